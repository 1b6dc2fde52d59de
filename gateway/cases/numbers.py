"""Case numbers: YYMMDD, the day's count in four digits, a check digit; digits only, so that any phone can type them.

Days are the site's. After 9,999 cases in a day the count takes a fifth digit rather than fail.
"""

from __future__ import annotations

from datetime import date


def issue_number(day: date, count: int) -> str:
    """The number of the day's `count`-th case: 2026-07-01 and 1 make 26070100014."""
    digits = f"{day:%y%m%d}{count:04d}"
    return digits + _check_digit(digits)


def is_number(text: str) -> bool:
    """Whether `text` is written like a case number and its check digit holds."""
    if len(text) not in (11, 12) or not (text.isascii() and text.isdigit()):
        return False
    try:
        date(2000 + int(text[:2]), int(text[2:4]), int(text[4:6]))
    except ValueError:
        return False
    return _check_digit(text[:-1]) == text[-1]


def _check_digit(digits: str) -> str:
    """ISO 7064 MOD 11,10 (GB/T 17710): finds every single wrong digit and nearly all that changed places."""
    carried = 10
    for digit in digits:
        carried = ((carried + int(digit)) % 10 or 10) * 2 % 11
    return str((11 - carried) % 10)
