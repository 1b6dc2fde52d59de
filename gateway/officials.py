"""Officials: people with roles and an area, who sign for what they do.

Policy
- Passwords are kept as argon2 hashes and compared in a thread; a wrong login takes as long as a wrong password.
- A role is asked for by the verb that needs it (`Official.needs`), and an official's sight is an area prefix.
- The gateway itself (schedules, acknowledgements) acts as `SYSTEM`, which has no password and can approve nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerifyMismatchError

from gateway.errors import Conflict, NotFound, Refused
from gateway.model import Role, within
from gateway.store import Connection, Store, audit
from gateway.store import officials as rows
from gateway.worktime import Clock

SHORTEST_PASSWORD = 10
ROLE_NAMES: Mapping[Role, str] = {
    Role.AUTHOR: "起草",
    Role.APPROVER: "审批",
    Role.CLERK: "窗口",
    Role.DIRECTOR: "主任",
    Role.ADMIN: "管理",
    Role.AUDITOR: "审计",
}
"""Roles as officials call them."""
_hasher = PasswordHasher()


@dataclass(frozen=True, slots=True)
class Official:
    """Somebody who acts; `area` is the prefix of what they may see."""

    login: str
    name: str
    roles: frozenset[Role]
    area: str

    def needs(self, *any_of: Role) -> None:
        """Refused unless the official has one of these roles."""
        if self.roles.isdisjoint(any_of):
            wanted, called = " / ".join(any_of), "、".join(ROLE_NAMES[role] for role in any_of)
            raise Refused(f"{self.name} 没有这项权限（要有角色：{called}）", f"{self.login} lacks the role: {wanted}")

    def sees(self, area: str) -> bool:
        """Whether something of this area lies in the official's sight."""
        return within(area, self.area)


SYSTEM = Official("system", "系统", frozenset(), "")


class Officials:
    """Who may act, and as whom."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store, self._clock = store, clock

    async def add(
        self, login: str, name: str, password: str, roles: Collection[Role], area: str, *, by: str, phone: str = ""
    ) -> Official:
        """A new official; Conflict when the login is taken, Refused for a short password."""
        hashed = await _hashed(password)
        await self._store.write(self._add, login, name, hashed, sorted(roles), area, by, phone or None)
        return Official(login, name, frozenset(roles), area)

    def _add(
        self,
        db: Connection,
        login: str,
        name: str,
        hashed: str,
        roles: list[Role],
        area: str,
        by: str,
        phone: str | None,
    ) -> None:
        if login == SYSTEM.login or rows.get(db, login) is not None:
            raise Conflict(f"登录名 {login} 已有人用", f"the login {login} is taken")
        now = self._clock.now()
        rows.add(db, login=login, name=name, password=hashed, roles=list(roles), area=area, phone=phone, created_at=now)
        audit.append(db, now, by, "official.add", f"official {login}", {"roles": list(roles), "area": area})

    async def sign_in(self, login: str, password: str) -> Official:
        """Who that is; NotFound for a wrong login or a wrong password, which are not told apart."""
        row = await self._store.read(rows.get, login)
        good = await asyncio.to_thread(_verify, row.password if row else _nobody(), password)
        if row is None or not good:
            raise NotFound("登录名或密码不对", "wrong login or password")
        return _official(row)

    async def get(self, login: str) -> Official:
        """The official of that login; NotFound."""
        row = await self._store.read(rows.get, login)
        if row is None:
            raise NotFound(f"没有这位工作人员：{login}", f"no such official: {login}")
        return _official(row)

    async def list(self) -> list[Official]:
        """All officials by login."""
        return [_official(row) for row in await self._store.read(rows.everybody)]

    async def set_password(self, login: str, password: str, *, by: str) -> None:
        """A new password; NotFound."""
        hashed = await _hashed(password)
        await self._change(login, "official.passwd", {}, by, password=hashed)

    async def set_roles(self, login: str, roles: Collection[Role], *, by: str) -> None:
        """Exactly these roles from now on; NotFound."""
        await self._change(login, "official.roles", {"roles": sorted(roles)}, by, roles=sorted(roles))

    async def _change(self, login: str, verb: str, what: dict[str, object], by: str, **values: object) -> None:
        def change(db: Connection) -> None:
            if not rows.change(db, login, **values):
                raise NotFound(f"没有这位工作人员：{login}", f"no such official: {login}")
            audit.append(db, self._clock.now(), by, verb, f"official {login}", what)

        await self._store.write(change)


@cache
def _nobody() -> str:
    return _hasher.hash("nobody has this password")


def _official(row: Any) -> Official:
    return Official(row.login, row.name, frozenset(Role(role) for role in row.roles), row.area)


async def _hashed(password: str) -> str:
    if len(password) < SHORTEST_PASSWORD:
        raise Refused(f"密码至少 {SHORTEST_PASSWORD} 位", f"a password has at least {SHORTEST_PASSWORD} characters")
    return await asyncio.to_thread(_hasher.hash, password)


def _verify(hashed: str, password: str) -> bool:
    try:
        return _hasher.verify(hashed, password)
    except (VerifyMismatchError, InvalidHashError):
        return False
