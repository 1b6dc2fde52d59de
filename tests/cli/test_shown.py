"""Tables on a screen too narrow for them."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from gateway.cli import shown

ROWS = [("conscription-registration", "征兵", "69 / 68", "加急、一人一文"), ("jobs", "招工信息", "78", "")]


@pytest.mark.parametrize("width", [20, 40, 60, 80, 120])
def test_no_figure_loses_a_digit_and_no_column_is_lost(monkeypatch: pytest.MonkeyPatch, width: int) -> None:
    screen = io.StringIO()
    made = Console(file=screen, width=width, force_terminal=True, color_system=None)
    monkeypatch.setattr(shown, "console", lambda **_: made)
    shown.table(("模板", "类别", "字数", "说明"), ROWS, right=(2,))
    drawn = screen.getvalue()
    assert "conscription-registration" in drawn
    assert "69 / 68" in drawn
    assert "说明" in drawn
    assert all(sign in drawn for sign in "加急一人文")
