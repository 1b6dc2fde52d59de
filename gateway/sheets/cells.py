"""What a cell says: as text, as a person's name, as a day.

What is changed loses nothing: NFKC (full-width digits, compatibility forms), format characters such as zero-width
spaces, the spaces within a Chinese name. What cannot be read is "" or None, never a guess.
"""

from __future__ import annotations

import re
import unicodedata
from datetime import date, datetime, timedelta
from decimal import Decimal
from functools import lru_cache
from typing import Final

from gateway.sheets.table import Cell

_SPACED: Final = re.compile(r"\s+")
_LATIN_GAP: Final = re.compile(r"(?<=[A-Za-z])\s+(?=[A-Za-z])")
_DOTS: Final = str.maketrans(dict.fromkeys("•‧・●∙", "·"))
_DATE: Final = re.compile(r"(\d{4})[-/.年](\d{1,2})[-/.月](\d{1,2})日?|(\d{4})(\d{2})(\d{2})")
_TIME: Final = re.compile(r"[ T]+\d{1,2}:\d{2}.*")
_SERIAL: Final = re.compile(r"\d{5}")
_SERIAL_ZERO: Final = date(1899, 12, 30)
_EARLIEST: Final = 1900  # nobody on a roster is older
_WORDS_SHOWN: Final = 12


def written(cell: Cell) -> str:
    """The cell as a person would write it: fifteen digits, as spreadsheets show them, and no exponent."""
    if isinstance(cell, str):
        return cell.strip()
    if cell is None:
        return ""
    if isinstance(cell, bool):
        return "是" if cell else "否"
    if isinstance(cell, float):
        return format(Decimal(format(cell, ".15g")), "f")
    if isinstance(cell, datetime) and not (cell.hour or cell.minute or cell.second):
        return cell.date().isoformat()
    return cell.isoformat() if isinstance(cell, date) else str(cell)


def plain(text: str) -> str:
    """NFKC, without format characters and outer spaces."""
    if text.isascii():
        return text.strip()
    normal = unicodedata.normalize("NFKC", text)
    return "".join([char for char in normal if unicodedata.category(char) != "Cf"]).strip()


@lru_cache(maxsize=1024)  # villages, groups, sexes, towns: a few dozen values in a hundred thousand rows
def joined(text: str) -> str:
    """`plain`, and no space left."""
    return _SPACED.sub("", plain(text))


def person_name(cell: Cell) -> str:
    """A name without spaces, but for one between Latin words; the dots in names of the minorities made one kind."""
    text = written(cell)
    if not text.isascii() and text.isalpha() and unicodedata.is_normalized("NFKC", text):
        return text
    text = _LATIN_GAP.sub("\0", plain(text).translate(_DOTS))
    return _SPACED.sub("", text).replace("\0", " ")


def day(cell: Cell) -> date | None:
    """1990-1-2, 1990/01/02, 1990.1.2, 1990年1月2日, 19900102, a spreadsheet's date or serial day; else None."""
    if isinstance(cell, date):
        return cell.date() if isinstance(cell, datetime) else cell
    text = _SPACED.sub("", _TIME.sub("", plain(written(cell))))
    found = _DATE.fullmatch(text)
    if found:
        year, month, day_of_month = (int(part) for part in found.groups() if part)
        return calendar_day(year, month, day_of_month)
    return _SERIAL_ZERO + timedelta(days=int(text)) if _SERIAL.fullmatch(text) else None


def calendar_day(year: int, month: int, day_of_month: int) -> date | None:
    """That day since 1900, or None where the calendar has none."""
    try:
        made = date(year, month, day_of_month)
    except ValueError:
        return None
    return made if made.year >= _EARLIEST else None


def hidden(cell: Cell) -> str:
    """What stood in a number's cell, for a person who must find it again: a number's ends only, words (无) whole."""
    text = _SPACED.sub("", plain(written(cell)))
    if not any(char.isnumeric() for char in text):
        return text[:_WORDS_SHOWN]
    kept = 3 if len(text) > 8 else 1
    return f"{text[:kept]}{'*' * max(2, len(text) - 2 * kept)}{text[-kept:]}" if text else ""
