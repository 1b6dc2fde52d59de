"""What the tests of carriers have in common."""

from __future__ import annotations

import pytest

from gateway.carriers import web


@pytest.fixture(autouse=True)
def nothing_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Providers' refusals are remembered by address for minutes, and ports of this machine are given out again."""
    monkeypatch.setattr(web, "_REFUSED", {})
