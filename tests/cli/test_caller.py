"""Who types, and where what is logged goes."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
import structlog

from gateway.cli.caller import log_to_stderr


def test_the_log_is_in_utc_on_standard_error_without_anybodys_values(capsys: pytest.CaptureFixture[str]) -> None:
    log_to_stderr("info")
    failing("13800130011")
    said = capsys.readouterr()
    stamp = said.err.split()[0]
    assert (said.out, stamp[-1]) == ("", "Z")
    assert abs(datetime.fromisoformat(stamp) - datetime.now(UTC)) < timedelta(minutes=1)
    assert "ValueError" in said.err
    assert "13800130011" not in said.err


def failing(number: str) -> None:
    try:
        raise ValueError
    except ValueError:
        structlog.get_logger().exception("schedule.failed", digits=len(number))
