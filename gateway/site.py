"""A fresh site: the sample town's files, as `gateway init` writes them.

In an installed package the sample lies in `sample_site/` beside this module; in a checkout the repository's root is it.
"""

from __future__ import annotations

import shutil
from pathlib import Path

from gateway.errors import Refused

FILES = (
    "config.toml",
    "windows.toml",
    "duty.toml",
    "offers.toml",
    "scoring.toml",
    "questions.csv",
    "templates",
    "subscribers",
)


def sample() -> Path:
    """The directory that holds the sample town's files."""
    packaged = Path(__file__).parent / "sample_site"
    return packaged if packaged.is_dir() else Path(__file__).parent.parent


def write_site(directory: Path) -> list[Path]:
    """Copy the sample site; Refused, and nothing written, where one of its files is there already."""
    there = [name for name in FILES if (directory / name).exists()]
    if there:
        raise Refused(f"{directory} 里已有 {'、'.join(there)}，不覆盖", f"{directory} has {', '.join(there)} already")
    directory.mkdir(parents=True, exist_ok=True)
    written = []
    for name in FILES:
        source, target = sample() / name, directory / name
        if source.is_dir():
            shutil.copytree(source, target, ignore=_only_the_sample)
        else:
            shutil.copyfile(source, target)
        written.append(target)
    return written


def _only_the_sample(folder: str, names: list[str]) -> set[str]:
    """In a checkout a site's real rosters may lie beside the sample: they are never copied."""
    if Path(folder).name != "subscribers":
        return set()
    return {name for name in names if not (name.startswith("sample-") or name == "README.md")}
