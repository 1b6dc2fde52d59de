"""What the accounts that a broadcast would use have to say about it, before anybody approves it.

Policy
- Figures are of the frozen texts and of what the store says was taken and still waits; nothing is estimated but time.
- A `Finding` that refuses keeps a broadcast from being approved: as it is, some of it could not leave, or would be
  refused by the operator. The others are told and refuse nothing.
- Emergencies pass quotas, caps, balances and the operator's hours: of them these are told only.
- Nothing is asked of an operator here: what a body may say is asked of the protocol (`Carrier.objection`), each body
  once.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cached_property
from typing import Any

from gateway import bought, text
from gateway.bought import Ceiling
from gateway.config import Carrier, Config
from gateway.errors import Refused
from gateway.model import Priority
from gateway.store import Connection, usage
from gateway.store import broadcasts as rows
from gateway.worktime import Hours

Objection = Callable[[str, str], tuple[str, str] | None]
"""(account, body) -> why its operator would refuse the body, in Chinese and English."""

BODIES_REMEMBERED = 4096


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing to know before approving; `refuses`: it cannot be approved as it is."""

    account: str
    refuses: bool
    zh: str
    en: str


@dataclass(slots=True)
class Load:
    """What a broadcast asks of one account."""

    texts: int = 0
    parts: int = 0
    too_long: int = 0
    longest: int = 0
    not_allowed: int = 0
    objections: dict[tuple[str, str], int] = field(default_factory=dict)
    """What the protocol says against bodies, with the number of texts."""


def check(db: Connection, row: Any, config: Config, objection: Objection, now: datetime) -> list[Finding]:
    """Everything the accounts of a composed broadcast's frozen texts object to, or warn of."""
    weighing = _Weighing(config, objection)
    for one in rows.held_texts(db, row.id):
        weighing.take(one)
    trials = (_Trial(db, row, config, config.carriers[name], load, now) for name, load in weighing.loads.items())
    return [finding for trial in trials for finding in trial.findings()]


def unopposed(_account: str, _body: str) -> None:
    """An `Objection` of protocols that take anything."""


def refusals(findings: Sequence[Finding]) -> Refused | None:
    """What to raise when somebody approves in spite of them."""
    told = [one for one in findings if one.refuses]
    if not told:
        return None
    return Refused("；".join(one.zh for one in told), "; ".join(one.en for one in told))


class _Weighing:
    """Looks at every text once."""

    def __init__(self, config: Config, objection: Objection) -> None:
        self._config, self._objection = config, objection
        self._said: dict[tuple[str, str], tuple[str, str] | None] = {}
        self._allowed: dict[str, frozenset[str] | None] = {}
        self.loads: dict[str, Load] = {}

    def take(self, one: rows.HeldText) -> None:
        account = self._config.carriers.get(one.carrier)
        if account is None:
            return
        load = self.loads.setdefault(one.carrier, Load())
        load.texts, load.parts = load.texts + 1, load.parts + one.parts
        length = self._length(account, one.body)
        load.longest = max(load.longest, length)
        load.too_long += length > account.content_limit
        numbers = self._numbers(account)
        load.not_allowed += numbers is not None and one.phone not in numbers
        if (said := self._objects(one)) is not None:
            load.objections[said] = load.objections.get(said, 0) + 1

    def _length(self, account: Carrier, body: str) -> int:
        if account.signature_place != "carrier":
            return len(body)
        return len(text.counted(body, self._config.site.signature, "carrier"))

    def _numbers(self, account: Carrier) -> frozenset[str] | None:
        if account.name not in self._allowed:
            self._allowed[account.name] = bought.allowed(account, self._config.directory)
        return self._allowed[account.name]

    def _objects(self, one: rows.HeldText) -> tuple[str, str] | None:
        key = (one.carrier, one.body)
        if key not in self._said:
            if len(self._said) >= BODIES_REMEMBERED:
                self._said.clear()
            self._said[key] = self._objection(*key)
        return self._said[key]


@dataclass(frozen=True)
class _Trial:
    """One account before one broadcast."""

    db: Connection
    row: Any
    config: Config
    account: Carrier
    load: Load
    now: datetime

    def findings(self) -> Iterator[Finding]:
        """In the order in which a person would ask."""
        yield from self._signature()
        yield from self._content()
        yield from self._numbers()
        yield from self._time()
        for ceiling in self._ceilings:
            yield from self._below(ceiling)
        yield from self._balance()

    def _finding(self, zh: str, en: str, *, refuses: bool = True) -> Finding:
        return Finding(self.account.name, refuses, f"{self.account.name}：{zh}", f"{self.account.name}: {en}")

    @property
    def _urgent(self) -> bool:
        return bool(self.row.priority == Priority.EMERGENCY)

    # -- what it says, and to whom --------------------------------------------------------------------------

    def _signature(self) -> Iterator[Finding]:
        signature = self.config.site.signature
        if self.account.signature_state == "pending":
            yield self._finding(
                f"签名【{signature}】还在报备，运营商会拦下全部 {self.load.texts:,} 条",
                f"the signature 【{signature}】 is not filed yet: all {self.load.texts:,} texts would be stopped",
            )
        elif self.account.signature_state == "refused":
            yield self._finding(
                f"签名【{signature}】报备被退回，运营商会拦下全部 {self.load.texts:,} 条",
                f"filing the signature 【{signature}】 was refused: all {self.load.texts:,} texts would be stopped",
            )

    def _content(self) -> Iterator[Finding]:
        for (zh, en), count in self.load.objections.items():
            yield self._finding(f"{count:,} 条会被拒：{zh}", f"{count:,} texts would be refused: {en}")
        if self.load.too_long:
            most, count, longest = self.account.content_limit, self.load.too_long, self.load.longest
            yield self._finding(
                f"{count:,} 条超过 {most} 字，最长 {longest} 字",
                f"{count:,} texts have more than {most} characters, the longest {longest}",
            )

    def _numbers(self) -> Iterator[Finding]:
        if self.load.not_allowed:
            list_, texts, count = self.account.whitelist, self.load.texts, self.load.not_allowed
            yield self._finding(
                f"{texts:,} 条里有 {count:,} 条的号码不在许可名单（{list_}）里",
                f"{count:,} of {texts:,} numbers are not in {list_}",
            )

    # -- when, and how fast ---------------------------------------------------------------------------------

    @cached_property
    def _start(self) -> datetime:
        return max(self.now, self.row.not_before or self.now)

    @cached_property
    def _open(self) -> Sequence[tuple[datetime, datetime]]:
        """The stretches in which it may leave before it expires, by the notice's hours and the operator's."""
        own = None if self.row.hours is None else Hours.parse(self.row.hours)
        hours = [one for one in (own, bought.account_hours(self.account)) if one is not None]
        return list(bought.open_spans(self._start, self.row.expires_at, hours, self.config.site.zone))

    @cached_property
    def _waiting(self) -> dict[int, int]:
        return dict(usage.waiting(self.db, self.account.name, self.row.expires_at))

    def _time(self) -> Iterator[Finding]:
        hours = bought.account_hours(self.account)
        if not self._open:
            if hours is not None:
                yield self._finding(
                    f"运营商只在 {hours} 收短信，有效期内没有可发的时段",
                    f"the operator takes texts from {hours} only: none of it before this expires",
                    refuses=not self._urgent,
                )
            return
        ahead = sum(parts for priority, parts in self._waiting.items() if priority <= self.row.priority)
        needed = (ahead + self.load.parts) / self.account.rate
        there = sum((until - since).total_seconds() for since, until in self._open)
        if needed > there:
            yield self._finding(
                f"每秒 {self.account.rate:g} 段，前面有 {ahead:,} 段、这次 {self.load.parts:,} 段，要 {_zh(needed)}，"
                f"有效期内可发的时段只有 {_zh(there)}",
                f"{ahead:,} parts ahead and {self.load.parts:,} of this at {self.account.rate:g} a second take"
                f" {_en(needed)}; the open hours before it expires are {_en(there)}",
            )

    # -- how much -------------------------------------------------------------------------------------------

    @cached_property
    def _ceilings(self) -> Sequence[Ceiling]:
        if not bought.is_limited(self.account):
            return ()
        zone = self.config.site.zone
        used = usage.used(self.db, self.account.name, bought.beginnings(self.account, self.now, zone))
        return bought.ceilings(self.account, used, self.now, zone)

    def _below(self, ceiling: Ceiling) -> Iterator[Finding]:
        zh, en = bought.CEILINGS[ceiling.name]
        before = sum(usage.waiting(self.db, self.account.name, ceiling.renews_at or self.row.expires_at).values())
        wanted, left = before + self.load.parts, max(0, ceiling.left)
        if wanted <= left:
            return
        told_zh = f"{zh} {ceiling.most:,} 段还剩 {left:,} 段，待发 {before:,} 段，这次 {self.load.parts:,} 段"
        told_en = f"{en}, {ceiling.most:,} parts, has {left:,} left; {before:,} wait and this is {self.load.parts:,}"
        if self._urgent:
            yield self._finding(f"{told_zh}（紧急的照发）", f"{told_en} (emergencies pass)", refuses=False)
        elif wanted <= self._in_time(ceiling, left):
            yield self._finding(f"{told_zh}，其余以后发", f"{told_en}: the rest leaves later", refuses=False)
        else:
            yield self._finding(f"{told_zh}，到期前发不完", f"{told_en}: it cannot all leave before it expires")

    def _in_time(self, ceiling: Ceiling, left: int) -> int:
        """Parts that the ceiling lets pass until the broadcast expires."""
        if ceiling.renews_at is None:
            return left
        daily, zone = ceiling.name == "quota_per_day", self.config.site.zone
        periods = set()
        for since, until in self._open:
            day, last = since.astimezone(zone).date(), (until - timedelta(microseconds=1)).astimezone(zone).date()
            while day <= last:
                periods.add(day if daily else day.replace(day=1))
                day += timedelta(days=1)
        today = self.now.astimezone(zone).date()
        current = today if daily else today.replace(day=1)
        return left * (current in periods) + ceiling.most * len(periods - {current})

    def _balance(self) -> Iterator[Finding]:
        warning = self.account.balance_warning
        balance = next((one for one in self._ceilings if one.name == "balance"), None)
        if warning is None or balance is None:
            return
        after = balance.left - sum(self._waiting.values()) - self.load.parts
        if 0 <= after < warning:
            yield self._finding(
                f"发完后账号只剩 {after:,} 段，少于提醒线 {warning:,}",
                f"after this the account has {after:,} parts left, fewer than {warning:,}",
                refuses=False,
            )


def _zh(seconds: float) -> str:
    minutes = math.ceil(seconds / 60)
    return f"{minutes} 分钟" if minutes < 120 else f"{minutes // 60} 小时 {minutes % 60} 分钟"


def _en(seconds: float) -> str:
    minutes = math.ceil(seconds / 60)
    return f"{minutes} min" if minutes < 120 else f"{minutes // 60} h {minutes % 60} min"
