"""Column types: moments, and what is personal.

`Instant` keeps an aware UTC datetime as whole milliseconds, so that both databases compare and index it alike.
`Personal` marks numbers, names and bodies. They pass through this one type both ways and are looked up through
`sealed`, so that encryption at rest becomes a change to this file.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import BigInteger, Dialect, Text
from sqlalchemy.types import TypeDecorator

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)


def to_millis(moment: datetime) -> int:
    """Milliseconds since 1970 UTC of an aware datetime."""
    return (moment - EPOCH) // _MILLISECOND


def from_millis(millis: int) -> datetime:
    """The aware UTC datetime of `to_millis`."""
    return EPOCH + timedelta(milliseconds=millis)


class Instant(TypeDecorator[datetime]):
    """An aware datetime, stored as BIGINT milliseconds since 1970 UTC."""

    impl = BigInteger
    cache_ok = True

    def process_bind_param(self, value: Any, dialect: Dialect) -> int | None:
        return None if value is None else to_millis(value)

    def process_result_value(self, value: Any, dialect: Dialect) -> datetime | None:
        return None if value is None else from_millis(value)


class Personal(TypeDecorator[str]):
    """A number, a name or a text about a person. Stored as it is today; the one place to change that."""

    impl = Text
    cache_ok = True


def sealed(phone: str) -> str:
    """The form in which a number is looked up; the same as it is stored in."""
    return phone


def storable(said: str) -> str:
    """What an operator says, as every database takes it: one odd character would be repeated for ever.

    NUL disappears and lone surrogates become "?"; PostgreSQL takes neither.
    """
    if said.isascii() and "\0" not in said:
        return said
    return said.replace("\0", "").encode("utf-8", "replace").decode()
