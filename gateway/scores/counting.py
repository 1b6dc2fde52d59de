"""Counting points: what a month's cases are worth by the rules, and what is counted by hand.

Policy
- A run adds what is not counted yet and changes nothing. It counts a month as it stood at its end, or as it stands now
  if that has not come; running again later adds what has happened since.
- Each point cites the version of scoring.toml that counted it, and its case where there is one.
- By hand are counted only rules that say so (`when = "manual"`), with a reason, and by nobody for themselves.
"""

from __future__ import annotations

import tomllib
from datetime import UTC, date, datetime, time
from typing import Any

from gateway import words
from gateway.config import FILE
from gateway.errors import Conflict, NotFound, Refused
from gateway.officials import Official
from gateway.rules import Rule
from gateway.scores import marking
from gateway.scores.ground import OFFICER, Ground, given, month_of
from gateway.scores.marking import Fact
from gateway.store import Connection, audit, site_files
from gateway.store import cases as case_rows
from gateway.store import points as rows


class Counting:
    """One transaction's worth each."""

    def __init__(self, ground: Ground) -> None:
        self._ground = ground
        self._rules = ground.config.scoring.rules

    def run(self, db: Connection, month: str, by: Official) -> int:
        """How many points are new."""
        span, now = self._ground.span(month), self._ground.clock.now()
        until = min(span.ends_at, now)
        if until <= span.begins_at:
            raise Refused(f"{month} 还没到", f"{month} has not begun")
        version = self._version(db)
        found = self._facts(db, span.begins_at, until)
        known = rows.known(db, sorted({fact.key for fact in found}))
        new = [
            rows.New(month, *share[:2], version, fact.case_id, fact.key, share.points, fact.why, by.login, fact.at)
            for fact in found
            for share in marking.shares(self._rules, fact)
            if (share.rule, share.subject, fact.key) not in known
        ]
        added = rows.add(db, new)
        if added:
            audit.append(db, now, by.login, "scores.run", f"month {month}", {"added": added, "version": version})
        return added

    def _facts(self, db: Connection, since: datetime, until: datetime) -> list[Fact]:
        cases = rows.touched(db, since, until)
        events = case_rows.events_of(db, [row.id for row in cases], marking.KINDS)
        office = self._ground.office
        return [fact for row in cases for fact in marking.facts(row, events[row.id], office, since, until)]

    def give(
        self, db: Connection, subject: str, code: str, why: str, by: Official, day: date | None, number: str | None
    ) -> int:
        """The id of the point."""
        rule, subject, now = self._manual(code), self._ground.subject(subject), self._ground.clock.now()
        self._fits(rule, subject, by)
        said = words.storable(given(why, "要写明为什么", "say why"))
        row = self._case(db, number, by) if number else None
        at = self._moment(day, now)
        on = self._ground.day(at)
        new = rows.New(
            month_of(on),
            subject,
            code,
            self._version(db),
            row.id if row else None,
            f"manual:{row.number if row else ''}:{on}:{said}",
            rule.points,
            said,
            by.login,
            at,
        )
        if not rows.add(db, [new]):
            raise Conflict("这件事已经记过分", "that is counted already")
        point_id = rows.id_of(db, new)
        audit.append(db, now, by.login, "scores.give", f"point {point_id}", {"subject": subject, "rule": code})
        return point_id

    def _manual(self, code: str) -> Rule:
        rule = self._ground.config.scoring.rule(code)
        if rule is None or rule.when != "manual":
            listed = "、".join(one.code for one in self._rules if one.when == "manual") or "—"
            raise NotFound(
                f"没有手工规则 {code}；有：{listed}", f"no rule {code} to count by hand; there are: {listed}"
            )
        return rule

    def _fits(self, rule: Rule, subject: str, by: Official) -> None:
        who = subject.partition(":")[0]
        if rule.who not in ("both", who):
            raise Refused(f"规则“{rule.name}”只记给 {rule.who}", f"the rule is for a {rule.who}")
        if subject == f"{OFFICER}:{by.login}":
            raise Refused("不能给自己记分", "nobody counts for themselves")

    def _case(self, db: Connection, number: str, by: Official) -> Any:
        row = case_rows.by_number(db, number.strip(), hold=False)
        if row is None or not self._ground.sight.may_see(row, by):
            raise NotFound(f"没有编号 {number}", f"no case {number}")
        return row

    def _moment(self, day: date | None, now: datetime) -> datetime:
        """Noon of the day, or now."""
        if day is None or day == self._ground.today():
            return now
        at = datetime.combine(day, time(12), self._ground.zone).astimezone(UTC)
        if at > now:
            raise Refused(f"{day} 还没到", f"{day} has not come")
        return at

    def _version(self, db: Connection) -> int:
        """The kept version of the rule file, which points cite."""
        config = self._ground.config
        name = tomllib.loads(config.sources[FILE]).get("hall", {}).get("scoring")
        if name is None:
            zh = "config.toml 的 [hall] 里没有写 scoring（积分规则文件）"
            raise Refused(zh, "config.toml names no [hall] scoring")
        return site_files.keep(db, name, config.sources[name], self._ground.clock.now())
