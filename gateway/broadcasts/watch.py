"""Broadcasts that pause themselves when operators refuse what they say, or the account that says it.

Policy
- A broadcast that leaves is stopped when `dispatch.pause_after` of its last `pause_among` failures (refusals and failed
  receipts) are about its content, its signature or the account: more of the same would only be more of the same, and
  costs the account its standing. Who is on duty and the director are told; a person resumes it or words it anew.
- Failures before the last resume do not count again. An emergency is never stopped, for some may still get it; the
  alarm is raised all the same.
- The message to the account manager is in Chinese and has account, time, codes and texts; no number and nobody's name.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import structlog

from gateway import phone
from gateway.codes import KINDS, Kind
from gateway.config import Config
from gateway.duty import Duty
from gateway.errors import Conflict
from gateway.model import BroadcastState, Priority
from gateway.officials import SYSTEM
from gateway.store import Connection, Store, audit, failing
from gateway.store import broadcasts as rows
from gateway.store.failing import Failed
from gateway.templates import Template, worked_example
from gateway.worktime import Clock

log = structlog.get_logger()

OURS: frozenset[Kind] = frozenset({"content", "signature", "account"})
"""What a broadcast's wording or its account is to blame for."""

PAUSE, WARN, RESUME = "pause", "warn", "resume"
ALARM = "alarm-paused"
SAMPLES = 3


@dataclass(frozen=True, slots=True)
class Refusals:
    """A code of an account and how many of the failures that were looked at had it."""

    account: str
    stage: str
    code: str
    texts: int
    kind: str
    zh: str
    en: str


@dataclass(frozen=True, slots=True)
class Paused:
    """Why a broadcast was stopped: `answers` of its last `among` failures, by code; texts without numbers."""

    at: datetime
    answers: int
    among: int
    codes: Sequence[Refusals]
    samples: Sequence[str]


@dataclass(frozen=True, slots=True)
class _Verdict:
    among: int
    ours: Sequence[tuple[Failed, Kind]]

    @property
    def worst(self) -> Kind:
        return Counter(kind for _, kind in self.ours).most_common(1)[0][0]


class Watch:
    """Looks every few seconds at the broadcasts that leave."""

    def __init__(
        self,
        store: Store,
        config: Config,
        templates: Mapping[str, Template],
        duty: Duty,
        clock: Clock,
        queued: Callable[[], None] = lambda: None,
    ) -> None:
        """`queued` is called after texts were queued in this process."""
        self._store, self._config, self._templates = store, config, templates
        self._duty, self._clock, self._queued = duty, clock, queued

    async def run_due(self) -> int:
        """Stop, or warn of, each broadcast that fails for a reason of ours; answers how many."""
        found = [one for one in await self._store.read(failing.leaving) if await self._store.read(self._fails, one)]
        done = 0
        for broadcast_id in found:
            done += await self._store.write(self._act, broadcast_id)
        if done:
            self._queued()
        return done

    async def paused(self, broadcast_id: int) -> Paused | None:
        """Why the system has stopped it; None where it has not, or a person has decided since."""
        return await self._store.read(self._paused, broadcast_id)

    async def to_manager(self, broadcast_id: int) -> Sequence[str]:
        """A message for each account's manager, ready to send; Conflict where the system has not stopped it."""
        found = await self.paused(broadcast_id)
        if found is None:
            raise Conflict("这次群发不是系统停下的", "the system has not stopped this broadcast")
        return [self._message(found, account) for account in dict.fromkeys(one.account for one in found.codes)]

    # -- looking -----------------------------------------------------------------------------------------------

    def _fails(self, db: Connection, broadcast_id: int) -> bool:
        return self._verdict(db, broadcast_id) is not None

    def _verdict(self, db: Connection, broadcast_id: int) -> _Verdict | None:
        """None while too few of its newest failures are ours; most often one look at the index shows it."""
        limits = self._config.dispatch
        failed = failing.newest(db, broadcast_id, limits.pause_among)
        if len(self._ours(failed)) < limits.pause_after:
            return None
        row = rows.get(db, broadcast_id)
        if row is None or row.state != BroadcastState.APPROVED:
            return None
        decided = failing.last_said(db, _about(broadcast_id), (RESUME, WARN), row.created_at.date())
        failed = [one for one in failed if decided is None or one.at > decided.at]
        ours = self._ours(failed)
        return _Verdict(len(failed), ours) if len(ours) >= limits.pause_after else None

    def _ours(self, failed: Sequence[Failed]) -> list[tuple[Failed, Kind]]:
        meant = ((one, self._config.meaning(one.carrier, one.stage, one.code).kind) for one in failed)
        return [(one, kind) for one, kind in meant if kind in OURS]

    # -- acting ------------------------------------------------------------------------------------------------

    def _act(self, db: Connection, broadcast_id: int) -> int:
        row = rows.get(db, broadcast_id, lock=True)
        verdict = self._verdict(db, broadcast_id)
        if verdict is None:
            return 0
        emergency = row.priority == Priority.EMERGENCY
        if not emergency:
            rows.move(db, broadcast_id, [BroadcastState.APPROVED], BroadcastState.STOPPED)
            rows.hold(db, broadcast_id)
        counted = Counter((one.carrier, one.stage, one.code) for one, _ in verdict.ours)
        what = {
            "answers": len(verdict.ours),
            "among": verdict.among,
            "codes": [[*key, count] for key, count in counted.most_common()],
        }
        now = self._clock.now()
        audit.append(db, now, SYSTEM.login, WARN if emergency else PAUSE, _about(broadcast_id), what)
        log.error("broadcast.refused", broadcast=broadcast_id, stopped=not emergency, **what)
        self._tell(db, broadcast_id, verdict, emergency, now)
        return 1

    def _tell(self, db: Connection, broadcast_id: int, verdict: _Verdict, emergency: bool, now: datetime) -> None:
        director = self._duty.director(now)
        officers = [*self._duty.on_duty("", now), *([director] if director else [])]
        values = {
            "编号": str(broadcast_id),
            "结果": "还在发" if emergency else "已自动停下",
            "条数": str(len(verdict.ours)),
            "原因": KINDS[verdict.worst][0],
        }
        if not self._duty.say(db, list({one.login: one for one in officers}.values()), ALARM, values, now):
            log.error("broadcast.nobody_told", broadcast=broadcast_id)

    # -- telling -----------------------------------------------------------------------------------------------

    def _paused(self, db: Connection, broadcast_id: int) -> Paused | None:
        row = rows.get(db, broadcast_id)
        if row is None or row.state != BroadcastState.STOPPED:
            return None
        said = failing.last_said(db, _about(broadcast_id), (PAUSE, RESUME, "stop"), row.created_at.date())
        if said is None or said.verb != PAUSE:
            return None
        failed = failing.newest(db, broadcast_id, self._config.dispatch.pause_among)
        keys = [one.message_id for one, _ in self._ours(failed)]
        samples = failing.shared_bodies(db, keys, SAMPLES) or self._example(row.template)
        codes = [self._refusals(*one) for one in said.what["codes"]]
        return Paused(said.at, said.what["answers"], said.what["among"], codes, list(map(phone.mask_text, samples)))

    def _example(self, template: str) -> list[str]:
        """Of personal texts, which must not leave the hall, the template's own example."""
        return [worked_example(self._templates[template])] if template in self._templates else []

    def _refusals(self, account: str, stage: str, code: str, count: int) -> Refusals:
        meant = self._config.meaning(account, "submit" if stage == "submit" else "receipt", code)
        return Refusals(account, stage, code, count, meant.kind, meant.zh, meant.en)

    def _message(self, found: Paused, account: str) -> str:
        site, known = self._config.site, self._config.carriers.get(account)
        number = f"，接入号 {known.service_code}" if known and known.service_code else ""
        lines = [
            f"您好，我们是{site.name}，短信签名【{site.signature}】，账号 {account}{number}。",
            f"{found.at.astimezone(site.zone):%Y年%m月%d日 %H:%M} 前后发的短信被大量退回，我们已经停发：",
            *(f"· {one.code or '没有代码'}，{one.texts} 条：{one.zh}" for one in found.codes if one.account == account),
            "原文（略去号码）：",
            *(f"{n}. {body}" for n, body in enumerate(found.samples, 1)),
            "请帮忙查一下：是哪些字词、签名或账号的哪一项有问题，要补什么报备，改好后从什么时候能发。谢谢！",
            f"联系电话：{site.phone}",
        ]
        return "\n".join(lines)


def _about(broadcast_id: int) -> str:
    return f"broadcast {broadcast_id}"
