"""Three ledgers compared: what was asked, what the database says, what the operator saw.

A finding is a sentence; a run without any is one in which
- every text that was asked for is stored once, and what was acknowledged as composed was never composed anew;
- every text has a final state, and every attempt one outcome;
- what the operator accepted is `accepted` or `uncertain` here, what is `accepted` here the operator has (nothing lost);
- the operator has no attempt twice, and a second attempt only where the first is recorded as deferred, or as uncertain
  in a category that sends again (nothing sent twice without a decision);
- all that the operator reported of accepted texts is stored with the right text;
- the run ended, and each recovery marked at most `at_risk` texts uncertain.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from sqlalchemy import Connection, select

from gateway.carriers import Accepted, Deferred, Rejected, Text
from gateway.carriers.simulator import Operator
from gateway.model import POSITION_BITS, Fact, Outcome, ReceiptState, TextState, text_state
from gateway.store import open_store, parcels
from gateway.store.tables import message, parcel, receipt, submission
from tests.kill.plan import Plan, resends, texts_of
from tests.kill.run import Told

Attempt = tuple[int, int]
"""(message id, attempt)."""


@dataclass(slots=True)
class Stored:
    """What the database says."""

    texts: dict[int, tuple[int, str, int]] = field(default_factory=dict)
    """Message id -> (broadcast, number, parts)."""
    outcomes: dict[Attempt, dict[int, set[Outcome]]] = field(default_factory=lambda: defaultdict(dict))
    """Attempt -> part -> what was recorded of it."""
    receipts: dict[Attempt, set[tuple[int, ReceiptState]]] = field(default_factory=lambda: defaultdict(set))
    by_number: set[Attempt] = field(default_factory=set)
    """Attempts with a receipt that was matched by number."""

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
    states = {key: text_state(stored.texts[key][2], its) for key, its in facts.items()}
    report.states.update(states.values())
    report.uncertain = sum(stored.outcome(attempt) is Outcome.UNCERTAIN for attempt in stored.outcomes)
    report.sent_twice = sum(count > 1 for count in Counter(key for key, _ in seen).values())
    for findings in (
        _asked(plan, stored, told),
        _states(states, stored),
        _lost(stored, seen),
        _twice(stored, seen),
        _reported(plan, stored),
        _ends(plan, told),
    ):
        report.findings.extend(findings)
    return report


# -- reading ---------------------------------------------------------------------------------------------------


def read_stored(db: Connection) -> Stored:
    """All of it; a run is small."""
    stored = Stored()
    texts = select(message.c.id, parcel.c.broadcast_id, message.c.phone, message.c.parts)
    for key, *text in db.execute(texts.join(parcel, parcel.c.id == parcels.home_of(message.c.id))):
        stored.texts[key] = (text[0], text[1], text[2])
    for row in db.execute(select(submission)):
        stored.outcomes[row.message_id, row.attempt].setdefault(row.part, set()).add(Outcome(row.outcome))
    for row in db.execute(select(receipt)):
        stored.receipts[row.message_id, row.attempt].add((row.part, ReceiptState(row.state)))
        if row.matched == "number":
            stored.by_number.add((row.message_id, row.attempt))
    return stored


def read_seen(ledger: Path) -> dict[Attempt, list[str]]:
    """Attempt -> the numbers that the operator sent it to, one for each time."""
    seen: dict[Attempt, list[str]] = defaultdict(list)
    for line in ledger.read_text("utf-8").splitlines():
        key, attempt, phone = line.split()
        seen[int(key), int(attempt)].append(phone)
    return seen


# -- comparing -------------------------------------------------------------------------------------------------


def _asked(plan: Plan, stored: Stored, told: Told) -> Iterator[str]:
    asked = Counter(
        (broadcast, text.phone, text.parts)
        for broadcast in range(1, plan.broadcasts + 1)
        for text in texts_of(plan, broadcast)
    )
    found = Counter(stored.texts.values())
    yield from (f"asked for and not stored: broadcast {text[0]}" for text in (asked - found).elements())
    yield from (f"stored and not asked for: broadcast {text[0]}" for text in (found - asked).elements())
    yield from (f"composed anew after it was acknowledged: broadcast {number}" for number in told.changed)
    first = {broadcast: key >> POSITION_BITS for key, (broadcast, _, _) in sorted(stored.texts.items(), reverse=True)}
    for broadcast, parcel_id in told.composed.items():
        if first.get(broadcast) != parcel_id:
            yield f"acknowledged and then gone: broadcast {broadcast}"


def _states(states: dict[int, TextState], stored: Stored) -> Iterator[str]:
    ends = set(TextState) - {TextState.WAITING, TextState.WITHHELD, TextState.EXPIRED, TextState.CANCELLED}
    yield from (f"lost: text {key} is {state}" for key, state in states.items() if state not in ends)
    for (key, attempt), parts in stored.outcomes.items():
        whats = {what for outcomes in parts.values() for what in outcomes}
        if len(whats) != 1 or set(parts) != set(range(1, stored.texts[key][2] + 1)):
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
        if {stored.texts[attempt[0]][1]} != set(phones):
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


def _reported(plan: Plan, stored: Stored) -> Iterator[str]:
    """The operator's answers and reports follow from its seed: ask it again what they were."""
    operator = Operator(plan.operator())
    for (key, attempt), parts in stored.outcomes.items():
        text = Text(key, attempt, stored.texts[key][1], "", len(parts))
        expected, reports = _expected(operator, text)
        outcome = stored.outcome((key, attempt))
        if outcome is Outcome.UNCERTAIN:
            continue
        if outcome is not expected:
            yield f"answered {expected} and recorded {outcome}: {(key, attempt)}"
        if stored.receipts.get((key, attempt), set()) != reports:
            yield f"reported {sorted(reports)} and stored {sorted(stored.receipts.get((key, attempt), set()))}"


def _expected(operator: Operator, text: Text) -> tuple[Outcome, set[tuple[int, ReceiptState]]]:
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
