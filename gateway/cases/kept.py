"""Answers that are kept, to be given again: one text file each, in templates/answers/ of the site.

A name is what an official calls it; the file is plain text that anybody can mend. A kept answer is never written over.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from gateway.errors import Conflict, NotFound, Refused

FOLDER = "templates/answers"
_NAME = re.compile(r"[\w\-（）()]{1,40}")


def keep(site: Path, name: str, text: str) -> Path:
    """Write an answer under a name; Conflict where there is one of that name."""
    path = _path(site, name)
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(text.strip() + "\n")
    except FileExistsError:
        raise Conflict(f"已有叫 {name} 的答复", f"there is an answer called {name}") from None
    return path


def kept(site: Path, name: str) -> str:
    """The answer of that name; NotFound names those there are."""
    path = _path(site, name)
    if not path.is_file():
        known = "、".join(everything(site)) or "（还没有）"
        raise NotFound(f"没有叫 {name} 的答复；有：{known}", f"no answer called {name}; there are: {known}")
    return path.read_text(encoding="utf-8").strip()


def everything(site: Path) -> Mapping[str, str]:
    """All kept answers by name."""
    found = sorted((site / FOLDER).glob("*.txt"))
    return {path.stem: path.read_text(encoding="utf-8").strip() for path in found}


def _path(site: Path, name: str) -> Path:
    if not _NAME.fullmatch(name):
        raise Refused("名字只用汉字、字母、数字和短横", "a name has letters, digits and dashes")
    return site / FOLDER / f"{name}.txt"
