"""Three ledgers compared: what was asked, what the database says, what the operator saw.

A finding is a sentence; a run without any is one in which
- every text that was asked for is stored once, word for word, and whoever gets none is left out once with the reason;
  of what was composed and thrown away nothing is left: no parcel, no text, nobody left out, no total that differs;
- what was acknowledged as composed was never composed anew, and what was approved is what was sent;
- every verb is in the audit trail once, and the trail is whole;
- every text has a final state, and every attempt one outcome;
- what the operator accepted is `accepted` or `uncertain` here, what is `accepted` here the operator has (nothing lost);
- the operator has no attempt twice, and a second attempt only where the first is recorded as deferred, or as uncertain
  in a category that sends again (nothing sent twice without a decision);
- all that the operator reported of accepted texts is stored with the right text, and of uncertain ones nothing else;
- the run ended, and each recovery marked at most `at_risk` texts uncertain.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, select

from gateway.carriers import Accepted, Deferred, Rejected, Text
from gateway.carriers.simulator import Operator
from gateway.model import BroadcastState, Fact, Outcome, ParcelState, ReceiptState, TextState, home_parcel, text_state
from gateway.store import broadcasts as rows
from gateway.store import open_store
from gateway.store.audit import verify
from gateway.store.tables import audit, broadcast, left_out, message, parcel, receipt, submission
from tests.kill.plan import Asked, Plan, drafted_as, expected, resends
from tests.kill.run import Told

Attempt = tuple[int, int]
"""(message id, attempt)."""


@dataclass(slots=True)
class Stored:
    """What the database says."""

    broadcasts: dict[int, Any] = field(default_factory=dict)
    """Broadcast, as the plan counts them -> its row."""
    digests: dict[int, str] = field(default_factory=dict)
    """Broadcast -> the digest of its texts as they are now."""
    left_out: dict[int, Counter[tuple[str, str, str]]] = field(default_factory=lambda: defaultdict(Counter))
    astray: list[str] = field(default_factory=list)
    """What belongs to nothing, or is not as it should be in itself."""
    verbs: Counter[tuple[str, str]] = field(default_factory=Counter)
    """(verb, object) of the audit trail."""
    texts: dict[int, tuple[int, Asked]] = field(default_factory=dict)
    """Message id -> (broadcast, text)."""
    outcomes: dict[Attempt, dict[int, set[Outcome]]] = field(default_factory=lambda: defaultdict(dict))
    """Attempt -> part -> what was recorded of it."""
    receipts: dict[Attempt, set[tuple[int, ReceiptState]]] = field(default_factory=lambda: defaultdict(set))

    def knows(self, row: Any) -> bool:
        """Whether a submission or receipt is of a text that is there."""
        if row.message_id in self.texts:
            return True
        self.astray.append(f"something is recorded of text {row.message_id}, which is not there")
        return False

    def facts(self) -> dict[int, list[Fact]]:
        """Message id -> all that is known of it."""
        found: dict[int, list[Fact]] = {key: [] for key in self.texts}
        for (key, attempt), parts in self.outcomes.items():
            found[key].extend(Fact(attempt, part, what) for part, whats in parts.items() for what in whats)
        for (key, attempt), said in self.receipts.items():
            found[key].extend(Fact(attempt, part, state) for part, state in said)
        return found

    def outcome(self, attempt: Attempt) -> Outcome | None:
        """The one outcome of an attempt; None where nothing is recorded."""
        return next((what for whats in self.outcomes.get(attempt, {}).values() for what in whats), None)


@dataclass(slots=True)
class Report:
    """What was found, and the figures to show beside it."""

    findings: list[str] = field(default_factory=list)
    states: Counter[str] = field(default_factory=Counter)
    uncertain: int = 0
    """Texts ever marked uncertain, also those settled since."""
    sent_twice: int = 0
    """By decision."""
    told: Told = field(default_factory=Told)

    def __str__(self) -> str:
        states = ", ".join(f"{count} {state}" for state, count in sorted(self.states.items()))
        phases = ", ".join(f"{count} {phase}" for phase, count in sorted(self.told.phases.items()))
        return (
            f"{self.told.kills} kills ({phases}); {states}; "
            f"{self.uncertain} ever uncertain, at most {max(self.told.recovered, default=0)} by one kill; "
            f"{self.sent_twice} sent twice by decision; {len(self.findings)} findings {self.findings[:5]}"
        )


async def check(plan: Plan, url: str, folder: Path, told: Told) -> Report:
    """Compare the ledgers of a finished run."""
    store = open_store(url)
    try:
        stored = await store.read(read_stored)
    finally:
        await store.close()
    seen = read_seen(folder / "ledger")
    report = Report(told=told)
    facts = stored.facts()
    states = {key: text_state(stored.texts[key][1].parts, its) for key, its in facts.items()}
    report.states.update(states.values())
    report.uncertain = sum(stored.outcome(attempt) is Outcome.UNCERTAIN for attempt in stored.outcomes)
    report.sent_twice = sum(count > 1 for count in Counter(key for key, _ in seen).values())
    for findings in (
        _asked(plan, stored),
        _composed(plan, stored, told),
        _states(states, stored),
        _lost(stored, seen),
        _twice(stored, seen),
        _reported(plan, stored, seen),
        _ends(plan, told),
    ):
        report.findings.extend(findings)
    return report


# -- reading ---------------------------------------------------------------------------------------------------


def read_stored(db: Connection) -> Stored:
    """All of it; a run is small."""
    stored = Stored()
    _read_broadcasts(db, stored)
    _read_texts(db, stored)
    for row in db.execute(select(submission)):
        if stored.knows(row):
            stored.outcomes[row.message_id, row.attempt].setdefault(row.part, set()).add(Outcome(row.outcome))
    for row in db.execute(select(receipt)):
        if stored.knows(row):
            stored.receipts[row.message_id, row.attempt].add((row.part, ReceiptState(row.state)))
    return stored


def _read_broadcasts(db: Connection, stored: Stored) -> None:
    numbers = {}
    for row in db.execute(select(broadcast)):
        number = numbers[row.id] = int(row.idempotency_key.removeprefix(drafted_as("")))
        stored.broadcasts[number] = row
        stored.digests[number] = rows.digest(db, row.id)
    for row in db.execute(select(left_out)):
        stored.left_out[numbers[row.broadcast_id]][row.name, row.phone, row.reason] += 1
    for row in db.execute(select(audit)):
        stored.verbs[row.verb, row.object] += 1
    stored.astray += [f"the audit trail does not hold: {flaw}" for flaw in verify(db)[1]]


def _read_texts(db: Connection, stored: Stored) -> None:
    numbers = {row.id: number for number, row in stored.broadcasts.items()}
    homes = {row.id: row for row in db.execute(select(parcel).where(parcel.c.members.is_(None)))}
    found = Counter[int]()
    for row in db.execute(select(message)):
        home = homes.get(home_parcel(row.id))
        if home is None or home.broadcast_id not in numbers:
            stored.astray.append(f"text {row.id} is in no broadcast's parcel")
            continue
        found[home.id] += 1
        text = Asked(row.phone, home.body if row.body is None else row.body, row.parts)
        stored.texts[row.id] = (numbers[home.broadcast_id], text)
    stored.astray += [
        f"parcel {one.id} of {one.n} has {found[one.id]}" for one in homes.values() if one.n != found[one.id]
    ]
    ends = select(parcel.c.id, parcel.c.state).where(parcel.c.state != ParcelState.DONE)
    stored.astray += [f"parcel {row.id} is {row.state}" for row in db.execute(ends)]


def read_seen(ledger: Path) -> dict[Attempt, list[str]]:
    """Attempt -> the numbers that the operator sent it to, one for each time."""
    seen: dict[Attempt, list[str]] = defaultdict(list)
    for line in ledger.read_text("utf-8").splitlines():
        key, attempt, phone = line.split()
        seen[int(key), int(attempt)].append(phone)
    return seen


# -- comparing -------------------------------------------------------------------------------------------------


def _asked(plan: Plan, stored: Stored) -> Iterator[str]:
    found: dict[int, Counter[Asked]] = defaultdict(Counter)
    for number, text in stored.texts.values():
        found[number][text] += 1
    for number in range(1, plan.broadcasts + 1):
        asked = expected(plan, number)
        yield from _differ(f"broadcast {number}: text", asked.texts, found[number])
        yield from _differ(f"broadcast {number}: person left out", asked.left_out, stored.left_out[number])


def _differ(what: str, asked: Counter[Any], found: Counter[Any]) -> Iterator[str]:
    if missing := (asked - found).total():
        yield f"{what} asked for and not stored, {missing} times"
    if more := (found - asked).total():
        yield f"{what} stored and not asked for, {more} times"


def _composed(plan: Plan, stored: Stored, told: Told) -> Iterator[str]:
    yield from stored.astray
    yield from (f"acknowledged twice and not as the same: broadcast {number}" for number in told.changed)
    if set(stored.broadcasts) != set(range(1, plan.broadcasts + 1)):
        yield f"broadcasts {sorted(stored.broadcasts)}"
    for number, row in stored.broadcasts.items():
        asked = expected(plan, number)
        if row.state != BroadcastState.APPROVED:
            yield f"broadcast {number} is {row.state}"
        if (row.people, row.texts, row.parts) != (asked.people, asked.texts.total(), asked.parts):
            yield f"broadcast {number} says {row.people} people, {row.texts} texts, {row.parts} parts"
        if not stored.digests[number] == row.digest == told.composed.get(number, (0, ""))[1]:
            yield f"what was acknowledged, approved and sent differs: broadcast {number}"
        for verb in ("draft", "composed", "approve"):
            if (count := stored.verbs[verb, f"broadcast {row.id}"]) != 1:
                yield f"{verb} {count} times in the audit trail: broadcast {number}"


def _states(states: dict[int, TextState], stored: Stored) -> Iterator[str]:
    ends = set(TextState) - {TextState.WAITING, TextState.WITHHELD, TextState.EXPIRED, TextState.CANCELLED}
    yield from (f"lost: text {key} is {state}" for key, state in states.items() if state not in ends)
    for (key, attempt), parts in stored.outcomes.items():
        whats = {what for outcomes in parts.values() for what in outcomes}
        if len(whats) != 1 or set(parts) != set(range(1, stored.texts[key][1].parts + 1)):
            yield f"text {key}, attempt {attempt} is recorded as {sorted(whats)} of parts {sorted(parts)}"


def _lost(stored: Stored, seen: dict[Attempt, list[str]]) -> Iterator[str]:
    for attempt in stored.outcomes:
        if stored.outcome(attempt) is Outcome.ACCEPTED and attempt not in seen:
            yield f"lost: {attempt} is accepted here and the operator does not have it"
    for attempt, phones in seen.items():
        if attempt[0] not in stored.texts:
            yield f"sent and unknown here: {attempt}"
            continue
        if stored.outcome(attempt) not in (Outcome.ACCEPTED, Outcome.UNCERTAIN):
            yield f"sent and recorded as {stored.outcome(attempt)}: {attempt}"
        if {stored.texts[attempt[0]][1].phone} != set(phones):
            yield f"sent to another number: {attempt}"


def _twice(stored: Stored, seen: dict[Attempt, list[str]]) -> Iterator[str]:
    for one, phones in seen.items():
        if len(phones) > 1:
            yield f"sent twice without a decision: {one}, {len(phones)} times"
    for key, attempt in {*stored.outcomes, *seen}:
        if attempt == 1 or key not in stored.texts:
            continue
        before = stored.outcome((key, attempt - 1))
        again = resends(stored.texts[key][0])
        if before is not Outcome.DEFERRED and not (before is Outcome.UNCERTAIN and again):
            yield f"tried again without a decision: {(key, attempt)} after {before}"


def _reported(plan: Plan, stored: Stored, seen: dict[Attempt, list[str]]) -> Iterator[str]:
    """The operator's answers and reports follow from its seed: ask it again what they were."""
    operator = Operator(plan.operator())
    for (key, attempt), parts in stored.outcomes.items():
        text = Text(key, attempt, stored.texts[key][1].phone, "", len(parts))
        answered, reports = _answered(operator, text)
        told = stored.receipts.get((key, attempt), set())
        outcome = stored.outcome((key, attempt))
        if outcome is Outcome.UNCERTAIN:
            if not told <= (reports if (key, attempt) in seen else set()):
                yield f"never reported and stored: {sorted(told)} of {(key, attempt)}"
            continue
        if outcome is not answered:
            yield f"answered {answered} and recorded {outcome}: {(key, attempt)}"
        if told != reports:
            yield f"reported {sorted(reports)} and stored {sorted(told)} of {(key, attempt)}"


def _answered(operator: Operator, text: Text) -> tuple[Outcome, set[tuple[int, ReceiptState]]]:
    fate = operator.fate(text)
    answer = operator.take(text, fate)
    if isinstance(answer, Deferred):
        return Outcome.DEFERRED, set()
    if isinstance(answer, Rejected):
        return Outcome.REJECTED, set()
    assert isinstance(answer, Accepted)
    if fate.receipt == "lost":
        return Outcome.ACCEPTED, set()
    state = ReceiptState.UNDELIVERED if fate.failed else ReceiptState.DELIVERED
    return Outcome.ACCEPTED, {(part, state) for part in range(1, text.parts + 1)}


def _ends(plan: Plan, told: Told) -> Iterator[str]:
    if not told.finished:
        yield "the run did not end"
    for count in told.recovered:
        if count > plan.at_risk:
            yield f"one kill left {count} texts uncertain; at_risk is {plan.at_risk}"
