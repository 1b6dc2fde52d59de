"""Which language the command line speaks: Simplified Chinese, or English where the locale asks for it.

`GATEWAY_LANG` decides, else the first of LC_ALL, LC_MESSAGES and LANG that is set; one that begins with "en" means
English. It is read once, when the command line is loaded: help texts are made then.
"""

from __future__ import annotations

import os

from gateway.errors import GatewayError, Invalid

VARIABLES = ("GATEWAY_LANG", "LC_ALL", "LC_MESSAGES", "LANG")
ENGLISH = next((os.environ[name] for name in VARIABLES if os.environ.get(name)), "zh").lower().startswith("en")


def t(zh: str, en: str) -> str:
    """The one of the two that this person reads."""
    return en if ENGLISH else zh


def told(error: GatewayError) -> list[str]:
    """What to print of an error: a line for each problem, with file, line and key."""
    if isinstance(error, Invalid):
        return [f"{problem.where()}{t('：', ': ')}{t(problem.zh, problem.en)}" for problem in error.problems]
    return t(error.zh, error.en).splitlines()
