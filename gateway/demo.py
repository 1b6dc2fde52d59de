"""`gateway demo`: a day at the hall of the sample town, on a site of its own that is thrown away.

Policy
- It runs the product itself: the same verbs, the same outbox, SQLite, the simulator as the carrier, and for the notice
  to the whole town CMPP 3.0 over loopback to a rehearsal operator. Only the clock is turned on between the scenes,
  since a day should take seconds.
- Three ledgers are held against each other text by text: what the verbs said they queued (asked), what the database
  says (stored), what the operator saw (seen). Any difference makes the demo fail.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import tempfile
from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from gateway import phone
from gateway.app import Gateway, open_gateway
from gateway.broadcasts import Draft, Preview
from gateway.carriers import Received
from gateway.carriers.cmpp import GATES
from gateway.carriers.simulator import Carrier as Simulator
from gateway.carriers.wire.operator import Behaviour, Operator
from gateway.config import Audience, Config, Route
from gateway.config import Carrier as Account
from gateway.errors import Refused
from gateway.model import Role
from gateway.officials import Official
from gateway.site import write_site
from gateway.store import ledgers
from gateway.worktime import SystemClock

ZONE = ZoneInfo("Asia/Shanghai")
EVE = datetime(2026, 6, 30, 18, 0, tzinfo=ZONE)
SEVEN = datetime(2026, 7, 1, 6, 59, 59, tzinfo=ZONE)
NINE = datetime(2026, 7, 1, 9, 0, tzinfo=ZONE)

REHEARSED: Mapping[str, Any] = {
    "seed": 2011,
    "latency": 0.01,
    "reject": 0.02,
    "receipt_failed": 0.03,
    "receipt_lost": 0.02,
    "receipt_late": 0.05,
    "receipt_late_after": 1.5,
    "receipt_early": 0.02,
    "receipt_twice": 0.02,
    "defer": 0.01,
}
"""Five texts of a hundred fail, some receipts come late, early, twice or not at all."""

WIRE = Behaviour(
    user="901234",
    secret="rehearsal",  # noqa: S106 - nothing is behind it
    seed=2011,
    latency=0.01,
    reject=0.02,
    receipt_failed=0.03,
    receipt_lost=0.02,
    receipt_late=0.05,
    receipt_late_after=1.5,
    receipt_early=0.02,
    receipt_twice=0.02,
    in_flight=256,
)
"""The CMPP operator behaves no better."""
BY_WIRE = "medical-premium"

CASE_TEXTS = ("在吗", "我妈76了 养老认证刷不上脸", "我在东莞回不来 咋办")
SOLVED, RATING = "1", "5"
ANSWER = "可以在家认证：村协办员上门拍照即可，已约明天上午。也可打0912-0000500。"
ASKER, LEAVER, PAID = "+8613800130011", "+8613800130017", "+8613300130006"
PATIENCE_SECONDS = 45.0


class TurnedClock(SystemClock):
    """The machine's pace, from another day; can be turned on, never back."""

    def __init__(self, start: datetime) -> None:
        self._ahead = start - super().now()

    def now(self) -> datetime:
        return super().now() + self._ahead

    def turn(self, to: datetime) -> None:
        """Go to a later moment at once."""
        self._ahead += max(timedelta(0), to - self.now())


@dataclass(slots=True)
class Line:
    """One row of the three ledgers: a broadcast, or the single texts together."""

    name: str
    asked: int
    stored: int = 0
    seen: int = 0
    states: dict[str, int] = field(default_factory=dict)
    differences: int = 0

    @property
    def agrees(self) -> bool:
        """Asked is stored, what the operator took is seen, and every text is in exactly one state."""
        taken = self.stored - self.states.get("rejected", 0) - self.states.get("withheld", 0)
        counted = sum(self.states.values()) == self.stored and not self.states.get("waiting", 0)
        return self.asked == self.stored and self.seen == taken and counted and not self.differences


@dataclass(slots=True)
class Outcome:
    """Everything the demo has to say."""

    lines: list[Line] = field(default_factory=list)
    roster: dict[str, Any] = field(default_factory=dict)
    checks: dict[str, bool] = field(default_factory=dict)
    phones: list[tuple[str, list[tuple[str, str]]]] = field(default_factory=list)
    """Masked number, and what stood on it: "" for texts that came, "› " before those written on it."""
    seconds: float = 0.0

    @property
    def agrees(self) -> bool:
        return all(line.agrees for line in self.lines) and all(self.checks.values())

    def figures(self) -> dict[str, Any]:
        """For `--json`."""
        lines = [{**asdict(line), "agrees": line.agrees} for line in self.lines]
        totals = {name: sum(getattr(line, name) for line in self.lines) for name in ("asked", "stored", "seen")}
        return {
            "ledgers": lines,
            "totals": totals,
            "roster": self.roster,
            "checks": self.checks,
            "seconds": round(self.seconds, 1),
            "agrees": self.agrees,
        }


async def run(*, as_json: bool = False, keep: Path | None = None) -> int:
    """Run the day, print it, and answer the exit code: 0 when the ledgers agree, else 1."""
    with contextlib.ExitStack() as stack:
        directory = keep or Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="gateway-demo-")))
        outcome = await play(directory, say=lambda text: None if as_json else print(text, flush=True))  # noqa: T201
    if as_json:
        print(json.dumps(outcome.figures(), ensure_ascii=False, indent=2))  # noqa: T201
    else:
        show(outcome)
    return 0 if outcome.agrees else 1


async def play(directory: Path, say: Callable[[str], None]) -> Outcome:
    """The day itself, on a fresh site in `directory`."""
    started = asyncio.get_running_loop().time()
    write_site(directory)
    clock = TurnedClock(EVE)
    operator = Operator(GATES["cmpp3"], WIRE)
    port = await operator.start()
    async with contextlib.AsyncExitStack() as stack:
        stack.push_async_callback(operator.stop)
        adapt = partial(_rehearsing, port=port)
        gateway = await stack.enter_async_context(open_gateway(directory, clock, adapt))
        day = _Day(gateway, clock, operator, say)
        await day.evening_before()
        async with gateway.dispatching(), gateway.handling():
            await day.morning()
            await day.forenoon()
            await day.texts_come_in()
            await day.wait_until_quiet()
        await day.compare()
    day.outcome.seconds = asyncio.get_running_loop().time() - started
    return day.outcome


def _rehearsing(site: Config, port: int) -> Config:
    """The site with operators that fail now and then, one of them over CMPP, and shorter pauses before trying again."""
    account = site.carriers["simulator"]
    simulator = account.model_copy(update={"options": dict(REHEARSED), "rate": 4000.0})
    mobile = Account.model_validate(
        {
            "name": "mobile",
            "protocol": "cmpp",
            "host": "127.0.0.1",
            "port": port,
            "user": WIRE.user,
            "secret": WIRE.secret,
            "service_code": "10690001",
            "rate": 2000,
            "links": 2,
            "in_flight": 64,
        }
    )
    by_wire = Route(name="by-wire", carriers=("mobile",), categories=(BY_WIRE,))
    retries = site.dispatch.model_copy(update={"retry_seconds": (1, 2)})
    carriers = {**site.carriers, "simulator": simulator, "mobile": mobile}
    return site.model_copy(update={"carriers": carriers, "routes": (by_wire, *site.routes), "dispatch": retries})


class _Day:
    """The scenes, in order; each remembers what its verbs said was asked for."""

    def __init__(self, gateway: Gateway, clock: TurnedClock, operator: Operator, say: Callable[[str], None]) -> None:
        self._gateway, self._clock, self._wire, self._say = gateway, clock, operator, say
        self.outcome = Outcome()
        self._broadcasts: dict[int, Line] = {}
        self._singles = Line("回执、答复和确认", 0)
        self._came = 0
        self._author: Official
        self._director: Official

    async def evening_before(self) -> None:
        """Two officials, the roster, and the director's standing approval for the weather."""
        gateway = self._gateway
        area = gateway.config.site.area
        self._author = await gateway.officials.add(
            "wang", "王干事", "demo-password-1", [Role.AUTHOR, Role.CLERK], area, by="demo"
        )
        self._director = await gateway.officials.add(
            "li", "李主任", "demo-password-2", [Role.DIRECTOR, Role.APPROVER], area, by="demo"
        )
        report = await gateway.roster.import_file(
            gateway.config.directory / "subscribers" / "sample-town.csv", by=self._author
        )
        self.outcome.roster = {"rows": report.rows, "importable": report.importable, "rejected": len(report.rejected)}
        self._say(f"花名册：{report.rows} 行，收下 {report.importable} 人，{len(report.rejected)} 行有问题")
        weather = await gateway.schedules.run("weather-daily", by=self._author)
        await gateway.broadcasts.stand_for(
            "weather-daily", weather, max_people=5000, max_cost=Decimal(500), by=self._director
        )
        await gateway.broadcasts.cancel(weather, by=self._director)
        await gateway.schedules.tick()

    async def morning(self) -> None:
        """The weather goes out by itself."""
        self._clock.turn(SEVEN)
        await asyncio.sleep(1.2)
        await self._gateway.schedules.tick()
        newest = (await self._gateway.broadcasts.list(by=self._director, limit=1))[0]
        self._remember(await self._gateway.broadcasts.preview(newest.id))
        by_itself = newest.state == "approved" and newest.schedule == "weather-daily" and newest.author == "system"
        self.outcome.checks["the weather went out under the standing approval"] = by_itself

    async def forenoon(self) -> None:
        """Conscription, payout, and a notice to everybody."""
        self._clock.turn(NINE)
        site = self._gateway.config
        conscripts = Audience.of(sex="男", age="18-22")
        await self._send(
            Draft(
                template="conscription-registration",
                fields=self._examples("conscription-registration"),
                audience=conscripts,
            )
        )
        sheet = site.directory / "subscribers" / "sample-subsidy-2026-grain.xlsx"
        fields = {"项目": "2026年种粮补贴", "电话": "0912-0000300"}
        paid = await self._send(Draft(template="subsidy-payout", fields=fields, list_file=sheet))
        self.outcome.checks["600 paid, 16 rows listed and not sent"] = (paid.texts, sum(paid.left_out.values())) == (
            600,
            16,
        )
        await self._send(Draft(template="medical-premium", fields=self._examples("medical-premium")))

    async def _send(self, draft: Draft) -> Preview:
        verbs = self._gateway.broadcasts
        broadcast_id = await verbs.draft(draft, by=self._author)
        preview = await verbs.compose(broadcast_id, by=self._author)
        if preview.digest is None:
            raise Refused("没有生成短信", "nothing was composed")
        refused = False
        try:
            await verbs.approve(broadcast_id, by=self._author, digest=preview.digest)
        except Refused:
            refused = True
        self.outcome.checks[f"author of {broadcast_id} may not approve it"] = refused
        await verbs.approve(broadcast_id, by=self._director, digest=preview.digest)
        self._remember(preview, "（CMPP 3.0）" if draft.template == BY_WIRE else "")
        return preview

    def _examples(self, template: str) -> dict[str, str]:
        return {name: given.example for name, given in self._gateway.templates[template].fields.items()}

    def _remember(self, preview: Preview, by: str = "") -> None:
        self._broadcasts[preview.id] = Line(preview.title + by, preview.texts)
        self._say(
            f"{preview.title}{by}：{preview.people} 人，{preview.texts} 条，{preview.parts} 段，{preview.cost:.2f} 元"
        )

    async def texts_come_in(self) -> None:
        """Three texts that are one case, from the question to the rating; an opt-out, and a duplicate."""
        gateway, number = self._gateway, await self._asks()
        await gateway.cases.close(number, ANSWER, by=self._author)
        for answer in (SOLVED, RATING):
            await self._hears(answer, ASKER)
        closed = (await gateway.cases.show(number)).case
        self.outcome.checks["the case was solved and rated with five"] = (closed.solved, closed.rating) == (True, 5)
        # The acknowledgement, the answer, the question after the rating and the confirmation of the opt-out.
        self._singles.asked += 4
        self._say(f"来信 {len(CASE_TEXTS)} 条合成一件 {number}，答复办结，评价 5；1 人退订，1 条重复")

    async def _asks(self) -> str:
        """The number of the case that three texts within a minute make."""
        gateway = self._gateway
        first, *_ = [await self._hears(text, ASKER) for text in CASE_TEXTS]
        await self._hears("退订", LEAVER)
        await gateway.inbox.receive("simulator", [first])
        self._clock.turn(self._clock.now() + timedelta(seconds=gateway.config.inbound.join_seconds))
        await gateway.inbox.handle_waiting()
        cases = await gateway.cases.list()
        self.outcome.checks["one case from three texts and a duplicate"] = len(cases) == 1
        return cases[0].number

    async def _hears(self, text: str, phone: str) -> Received:
        """A text comes in by the simulator; it is handled at once if it need not wait for others."""
        self._came += 1
        received = Received(f"demo-{self._came}", phone, "10690000", text, self._clock.now())
        await self._gateway.inbox.receive("simulator", [received])
        await self._gateway.inbox.handle_waiting()
        return received

    async def wait_until_quiet(self) -> None:
        """Until every parcel is at its end and the operator has said all it will say."""
        loop = asyncio.get_running_loop()
        until = loop.time() + PATIENCE_SECONDS
        while loop.time() < until:
            if self._operator().idle and self._wire.idle and await self._gateway.store.read(ledgers.in_motion) == 0:
                break
            await asyncio.sleep(0.1)
        await asyncio.sleep(0.3)

    def _operator(self) -> Simulator:
        dispatcher = self._gateway.dispatcher
        if dispatcher is not None:
            carrier = dispatcher.accounts["simulator"].carrier
            if isinstance(carrier, Simulator):
                self._carrier = carrier
        return self._carrier

    async def compare(self) -> None:
        """Hold the three ledgers against each other, text by text."""
        gateway, seen = self._gateway, self._operators_ledger()
        await gateway.broadcasts.count()
        for key, line in [*self._broadcasts.items(), (0, self._singles)]:
            stored = await gateway.store.read(ledgers.stored, key)
            line.stored = len(stored)
            for text in stored:
                line.states[text.state] = line.states.get(text.state, 0) + 1
                arrived = seen(text)
                line.seen += arrived is not None
                line.differences += (arrived is not None) != text.accepted or arrived not in (None, text.body)
            self.outcome.lines.append(line)
        once = self._carrier.operator.repeated == 0 and all(len(found) == 1 for found in self._by_wire().values())
        self.outcome.checks["no text reached an operator twice"] = once
        audited = await gateway.audit_verify()
        self.outcome.checks["the audit trail is whole"] = not audited[1]
        for number in (PAID, ASKER, LEAVER):
            self.outcome.phones.append((phone.mask(number), await self._talk(number)))

    def _by_wire(self) -> dict[str, list[str]]:
        """Number -> the texts that the CMPP operator saw, put together from their parts."""
        found: dict[str, list[str]] = defaultdict(list)
        for _, part in self._wire.taken:
            found[part.phone].append(part.body)
        return found

    def _operators_ledger(self) -> Callable[[ledgers.StoredText], str | None]:
        """What an operator saw of a stored text, None where it saw nothing."""
        simulated, by_wire = self._carrier.operator.bodies, self._by_wire()

        def seen(text: ledgers.StoredText) -> str | None:
            return simulated.get(text.id) or next((body for body in by_wire[text.phone] if body == text.body), None)

        return seen

    async def _talk(self, number: str) -> list[tuple[str, str]]:
        """What stood on this phone: the texts the operator took, and those that were written on it."""
        sent = await self._gateway.store.read(ledgers.to_phone, number)
        came = await self._gateway.store.read(ledgers.from_phone, number)
        seen = self._operators_ledger()
        arrived = [(text.at, "", text.body) for text in sent if seen(text) is not None]
        written = [(text.at, "› ", text.body) for text in came]
        return [(mark, body) for _, mark, body in sorted([*arrived, *written])]


def show(outcome: Outcome) -> None:
    """The table and a few phones, for people."""
    from rich.console import Console
    from rich.panel import Panel
    from rich.table import Table
    from rich.text import Text

    console = Console()
    for number, texts in outcome.phones:
        talk = Text("\n").join(Text(mark + body, "green" if mark else "") for mark, body in texts)
        console.print(Panel(talk, title=f"{number} 的手机", width=min(78, console.width)))
    table = Table(title="三本账：要发的、库里的、运营商收到的")
    for heading in ("群发", "要发", "入库", "运营商收到", "送达", "失败", "无回执", "退订未发", "相符"):
        table.add_column(heading, justify="left" if heading == "群发" else "right")
    for line in outcome.lines:
        state = line.states.get
        failed = state("rejected", 0) + state("undelivered", 0)
        cells = (
            line.asked,
            line.stored,
            line.seen,
            state("delivered", 0),
            failed,
            state("accepted", 0),
            state("withheld", 0),
        )
        table.add_row(line.name, *map(str, cells), "是" if line.agrees else "[red]否[/red]")
    console.print(table)
    for check, held in outcome.checks.items():
        if not held:
            console.print(f"[red]不符：{check}[/red]")
    verdict = "三本账一致" if outcome.agrees else "[red]三本账不一致[/red]"
    console.print(f"{verdict}，用时 {outcome.seconds:.1f} 秒")
