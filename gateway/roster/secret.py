"""The site's own secret, with which forgotten numbers are hashed.

It is `GATEWAY_SECRET` where that is set (several hosts need the same one), else the file `var/secret.key` in the site's
directory, readable by its owner alone and written at first use. Without it an HMAC of a number is of no use to anybody,
and with another one no forgotten number is known again: so a new one is made only where nothing was hashed before.
"""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import os
import secrets
from pathlib import Path
from typing import Final

from gateway.errors import Refused

VARIABLE: Final = "GATEWAY_SECRET"
FILE: Final = Path("var", "secret.key")
SHORTEST: Final = 32  # characters


class Secret:
    """The key of one site; read once, when it is first needed."""

    def __init__(self, directory: Path, key: bytes | None = None) -> None:
        self._path, self._key = directory / FILE, key

    def hmac(self, phone: str, *, may_create: bool) -> str:
        """HMAC-SHA256 of an E.164 number, in hex; Refused where the key is lost or too short."""
        if self._key is None:
            self._key = self._load(may_create)
        return hmac.new(self._key, phone.encode(), hashlib.sha256).hexdigest()

    def _load(self, may_create: bool) -> bytes:
        text = os.environ.get(VARIABLE) or self._read()
        if text is None and may_create:
            text = self._create()
        if text is None:
            raise Refused(
                f"找不到密钥 {FILE}（或环境变量 {VARIABLE}），没有它认不出要求过删除的号码；请从备份放回来",
                f"the key {FILE} (or variable {VARIABLE}) is gone; without it no forgotten number is known: restore it",
            )
        if len(text) < SHORTEST:
            raise Refused(f"密钥太短，至少 {SHORTEST} 个字符", f"the key is too short: {SHORTEST} characters at least")
        return text.encode()

    def _read(self) -> str | None:
        return self._path.read_text().strip() if self._path.exists() else None

    def _create(self) -> str:
        """Written aside and linked into place, so that of two processes one wins and none reads half a key."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        aside = self._path.with_name(f"{self._path.name}.{secrets.token_hex(4)}")
        with os.fdopen(os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(secrets.token_hex(32) + "\n")
            file.flush()
            os.fsync(file.fileno())
        with contextlib.suppress(FileExistsError):
            self._path.hardlink_to(aside)
        aside.unlink()
        return self._path.read_text().strip()
