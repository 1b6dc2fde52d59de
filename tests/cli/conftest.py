"""A site made by `gateway init` with two officials and the sample roster, and a way to type at it."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import structlog
from argon2 import PasswordHasher

from gateway import officials
from gateway.cli import run

PASSWORD = "a-good-password"
AUTHOR, DIRECTOR = "wang", "li"
FEW = 120
"""So many of the sample roster's people are enough, and quicker to send to."""


@dataclass(frozen=True)
class Answer:
    """What one command line gave."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)

    def fine(self) -> Answer:
        assert self.code == 0, self.err
        return self


Gateway = Callable[..., Answer]


@pytest.fixture(autouse=True)
def speaking(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Nobody's own settings, a password for whoever acts, and no log left behind in a closed stream."""
    for name in ("GATEWAY_SITE", "GATEWAY_OFFICIAL", "GATEWAY_WEBHOOK_SECRET", "GATEWAY_SECRET"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("GATEWAY_PASSWORD", PASSWORD)
    monkeypatch.setenv("GATEWAY_NEW_PASSWORD", PASSWORD)
    yield
    structlog.reset_defaults()


@pytest.fixture
def gateway(capsys: pytest.CaptureFixture[str]) -> Gateway:
    """Type a command line; `words` as a shell would give them."""

    def typed(*words: str | Path) -> Answer:
        capsys.readouterr()
        code = run([str(word) for word in words])
        said = capsys.readouterr()
        return Answer(code, said.out, said.err)

    return typed


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site from which each test's own is copied."""
    directory = tmp_path_factory.mktemp("made") / "site"
    with pytest.MonkeyPatch.context() as env:
        env.setenv("GATEWAY_PASSWORD", PASSWORD)
        env.setenv("GATEWAY_NEW_PASSWORD", PASSWORD)
        # Verifying costs what hashing did: a test need not keep anybody out.
        env.setattr(officials, "_hasher", PasswordHasher(time_cost=1, memory_cost=8, parallelism=1))
        at = ["--site", str(directory)]
        assert run(["init", str(directory)]) == 0
        first = ["official", "add", DIRECTOR, "--first", "--name", "李主任", "--roles", "director,approver"]
        assert run([*at, *first]) == 0
        second = ["official", "add", AUTHOR, "--as", DIRECTOR, "--name", "王干事", "--roles", "author,clerk"]
        assert run([*at, *second]) == 0
        lines = (directory / "subscribers" / "sample-town.csv").read_text().splitlines(keepends=True)
        (directory / "subscribers" / "sample-few.csv").write_text(
            "".join([*lines[:41], *lines[41 :: len(lines) // (FEW - 40)][: FEW - 40]])
        )
        roster = directory / "subscribers" / "sample-few.csv"
        assert run([*at, "--as", AUTHOR, "roster", "import", str(roster), "--name", "town"]) == 0
    return directory


@pytest.fixture
def site(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A site of one's own, which is where we are."""
    directory = tmp_path / "site"
    shutil.copytree(made, directory)
    monkeypatch.chdir(directory)
    return directory


@pytest.fixture
def people(gateway: Gateway, site: Path) -> Mapping[str, int]:
    """How many people of each village the site's roster has; "" is all of them."""
    found = gateway("roster", "show", "--json").fine().json
    return {"": found["people"], "away": found["away"], **dict(found["villages"])}


POLICY = (
    "policy",
    "--set",
    "事项=危房改造",
    "--set",
    "要点=9月30日前申请",
    "--set",
    "窗口=2号窗口",
    "--set",
    "电话=0912-0000200",
)
"""A template with all of its fields."""
