"""Officials: who they are, what they may, and that nobody learns more than that."""

from __future__ import annotations

import pytest

from gateway.errors import Conflict, NotFound, Refused
from gateway.model import Role
from gateway.officials import SYSTEM, Official, Officials
from gateway.store import Store, audit
from gateway.store.officials import get
from gateway.worktime import ManualClock

PASSWORD = "correct horse"


@pytest.fixture
def officials(store: Store, clock: ManualClock) -> Officials:
    return Officials(store, clock)


async def wang(officials: Officials) -> Official:
    return await officials.add("wang", "王干事", PASSWORD, [Role.AUTHOR], "610899100", by="system")


async def test_whoever_was_added_may_sign_in(officials: Officials) -> None:
    added = await wang(officials)
    assert await officials.sign_in("wang", PASSWORD) == added == await officials.get("wang")
    assert added.roles == {Role.AUTHOR}


@pytest.mark.parametrize(("login", "password"), [("wang", "wrong horse!"), ("nobody", PASSWORD)])
async def test_a_wrong_login_and_a_wrong_password_are_told_alike(
    officials: Officials, login: str, password: str
) -> None:
    await wang(officials)
    with pytest.raises(NotFound, match="wrong login or password"):
        await officials.sign_in(login, password)


async def test_the_password_itself_is_kept_nowhere(officials: Officials, store: Store) -> None:
    await wang(officials)
    row = await store.read(get, "wang")
    assert row.password.startswith("$argon2id$") and PASSWORD not in repr(row)


async def test_a_taken_login_and_a_short_password_are_refused(officials: Officials) -> None:
    await wang(officials)
    with pytest.raises(Conflict, match="taken"):
        await wang(officials)
    with pytest.raises(Conflict, match="taken"):
        await officials.add(SYSTEM.login, "谁", PASSWORD, [], "", by="wang")
    with pytest.raises(Refused, match="at least 10"):
        await officials.add("li", "李", "123456789", [], "", by="wang")
    assert [one.login for one in await officials.list()] == ["wang"]


async def test_password_and_roles_change_and_are_audited(officials: Officials, store: Store) -> None:
    await wang(officials)
    await officials.set_password("wang", "another horse", by="li")
    await officials.set_roles("wang", [Role.APPROVER, Role.CLERK], by="li")
    assert (await officials.sign_in("wang", "another horse")).roles == {Role.APPROVER, Role.CLERK}
    with pytest.raises(NotFound):
        await officials.sign_in("wang", PASSWORD)
    assert await store.read(audit.verify) == (3, [])


async def test_whoever_is_not_there_cannot_be_changed(officials: Officials, store: Store) -> None:
    with pytest.raises(NotFound, match="no such official: li"):
        await officials.set_roles("li", [], by="wang")
    with pytest.raises(NotFound):
        await officials.get("li")
    assert (await store.read(audit.verify))[0] == 0


def test_a_role_is_asked_for_and_an_area_limits_sight() -> None:
    clerk = Official("chen", "陈大姐", frozenset({Role.CLERK}), "610899100")
    clerk.needs(Role.DIRECTOR, Role.CLERK)
    with pytest.raises(Refused, match="lacks the role: approver"):
        clerk.needs(Role.APPROVER)
    assert clerk.sees("610899100201") and not clerk.sees("610899101")
