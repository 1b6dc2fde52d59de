"""Options as people type them."""

from __future__ import annotations

from pathlib import Path

import pytest
import typer

from gateway.cli.fields import audience
from gateway.config import load


@pytest.mark.parametrize(
    ("options", "told"),
    [({"age": "十八"}, "--age"), ({"age": "18到22"}, "--age"), ({"sex": "女士"}, "男 或 女"), ({"age": "-"}, "--age")],
)
def test_what_cannot_be_read_is_told_by_the_option(made: Path, options: dict[str, str], told: str) -> None:
    with pytest.raises(typer.BadParameter, match=told):
        audience(load(made), None, options, None)


@pytest.mark.parametrize(("age", "ages"), [("18-22", (18, 22)), ("60-", (60, 150)), ("18", (18, 18)), ("-22", (0, 22))])
def test_ages(made: Path, age: str, ages: tuple[int, int]) -> None:
    assert audience(load(made), None, {"age": age, "sex": "男"}, None).age == ages
