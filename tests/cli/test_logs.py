"""What goes to the log: times in UTC, no whole number, no values of variables."""

from __future__ import annotations

import pytest
import structlog

from gateway.cli.caller import log_to_stderr

NUMBER = "+8613800130001"


@pytest.fixture(autouse=True)
def as_it_was() -> object:
    yield
    structlog.reset_defaults()


def test_no_line_shows_a_whole_number_or_a_variable(capsys: pytest.CaptureFixture[str]) -> None:
    log_to_stderr("warning")
    password = "correct horse"
    try:
        raise ValueError(f"Failing row contains ({NUMBER}, 合疗)")
    except ValueError:
        structlog.get_logger().exception("account.failed", phone=NUMBER, local="13800130001")
    assert password
    said = capsys.readouterr().err
    assert "account.failed" in said and "ValueError" in said and "138****0001" in said
    assert "13800130001" not in said and "correct horse" not in said
    assert "Z" in said.split()[0]


def test_what_is_below_the_level_is_not_said(capsys: pytest.CaptureFixture[str]) -> None:
    log_to_stderr("warning")
    structlog.get_logger().info("parcel.done")
    assert capsys.readouterr().err == ""
