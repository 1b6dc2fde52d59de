"""What the providers that are reached over HTTP have in common; each of them adds how it asks and reads.

Policy
- What certainly did not leave (no connection came about) is Deferred and the account is opened anew. Once there was a
  connection, a timeout, a cut and an answer that nobody can read make Uncertain what they were about, with the
  reference that we chose. Nothing is sent twice, but what the provider refused to take at this pace.
- `submit` only queues. A request takes what waits and belongs together, never two texts to one number, since answers
  and receipts tell the texts of a request apart by their number. Requests that may carry many texts run `links` at a
  time, others as many as may be in flight.
- Where the provider throttles, texts stay in flight and the account waits as long as it says, else for seconds that
  double; after some tries they are Deferred.
- Where it refuses the account (key, balance, closed service), what it was asked to take is Deferred and the account is
  Unavailable for minutes that double, so that no text uses up its attempts and what waits may go another way.
- Addresses are https, or of this machine; certificates are verified, redirects not followed, answers read to a limit.
- Whatever is logged or told names kinds of errors, never their words: those quote addresses with secrets in them.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from abc import abstractmethod
from collections import deque
from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from typing import Any, NamedTuple

import aiohttp
import structlog
from yarl import URL

from gateway import carriers
from gateway.carriers import Answer, Deferred, Links, Rejected, Text, Uncertain
from gateway.carriers.addresses import reach
from gateway.carriers.verdicts import Answered, Apart, Batch, Job, Refusal, Request, Verdict, Wait
from gateway.codes import Code, explain
from gateway.errors import Unavailable, place
from gateway.text import Cutting

log = structlog.get_logger()

LARGEST_ANSWER = 1024 * 1024
GRACE_SECONDS = 5.0
IDLE_SECONDS = 10.0
"""A connection that was unused for longer is not used again: the provider may be closing it at that moment."""
MOST_TRIES = 5
CLOCK_SECONDS = 0.01
"""A timer may fire this much before its time."""
THROTTLED_SECONDS, LONGEST_THROTTLE = 1.0, 60.0
REFUSED_SECONDS, LONGEST_REFUSAL = 60.0, 900.0


@dataclass(slots=True)
class _Trail:
    """How far a request came."""

    connected: bool = False


class _TooLong(aiohttp.ClientError):
    pass


class _Broken(aiohttp.ClientError):
    """Its one word is the kind of error that it was."""


class _Refused(NamedTuple):
    """An account that its provider refuses: why, until when nothing is asked, and how long that pause is."""

    error: str
    until: float
    pause: float


_REFUSED: dict[tuple[str, str], _Refused] = {}
"""By account and address. A carrier is made anew after it failed, and the new one must not ask again at once."""


@dataclass(frozen=True, kw_only=True)
class WebSettings(carriers.Carrier.Settings):
    """`callback_token` is the secret that ends the address the provider calls; `codes` are the account's own."""

    in_flight: int = 16
    links: int = 1
    connect_seconds: float = 10.0
    answer_seconds: float = 15.0
    callback_token: str = ""
    codes: Mapping[str, Any] = field(default_factory=dict)

    def problems(self) -> Iterator[tuple[str, str, str]]:
        for key in ("connect_seconds", "answer_seconds"):
            if getattr(self, key) <= 0:
                yield key, "应大于 0", "should be more than 0"


class WebCarrier(carriers.Carrier):
    """A carrier that sends by requests: a subclass says how one is put, and what the answer to it means."""

    settings: WebSettings
    most = 1
    """Texts that one request may carry."""

    def __init__(self, name: str, settings: Any, links: Links) -> None:
        super().__init__(name, settings, links)
        self._waiting: dict[Hashable, deque[Job]] = {}
        self._again: deque[Batch] = deque()
        self._flying: dict[tuple[int, int], Text] = {}
        self._parts = 0
        self._running: set[asyncio.Task[None]] = set()
        self._session: aiohttp.ClientSession | None = None
        self._paused_until = 0.0
        self._failed = self._closing = False
        self._noticed: dict[str, str] = {}

    # -- what a protocol says ----------------------------------------------------------------------------------

    @property
    @abstractmethod
    def address(self) -> str:
        """Where requests go to; opening connects there once."""

    @abstractmethod
    def prepare(self, text: Text) -> Job | Rejected:
        """What is sent of a text; Rejected where it cannot be."""

    @abstractmethod
    def request(self, batch: Batch) -> Request:
        """How a batch is put to the provider."""

    @abstractmethod
    def read(self, batch: Batch, answered: Answered) -> Verdict:
        """What an answer means; `unread` is for those that say nothing in the protocol's own words."""

    def refs(self, batch: Batch, text: Text) -> tuple[str, ...]:
        """References that a receipt may name a text by of which no answer came."""
        return ()

    def meaning(self, protocol: str, code: str) -> Code:
        """Of a code that a request was answered with, the account's own first."""
        return explain(protocol, "submit", code, self.settings.codes)

    # -- the contract ------------------------------------------------------------------------------------------

    @property
    def capacity(self) -> int:
        return self.settings.in_flight * self.settings.links

    @property
    def at_once(self) -> int:
        """Requests at a time: where they carry many texts it is worth waiting until there are many."""
        return self.settings.links if self.most > 1 else self.capacity

    @classmethod
    def cutting(cls, settings: Any) -> Cutting:
        """The provider cuts, and speaks of a text as a whole."""
        return Cutting(header=0)

    @property
    def free(self) -> int:
        """None while the provider throttles."""
        if not self._working or self._now() < self._paused_until:
            return 0
        return max(0, self.capacity - self._parts)

    @property
    def _working(self) -> bool:
        return self._session is not None and not (self._failed or self._closing)

    @property
    def links_up(self) -> tuple[int, int]:
        return (self.settings.links if self._working else 0, self.settings.links)

    @property
    def noticed(self) -> Mapping[str, str]:
        """Our address on the way there, and how far the provider's clock is ahead: signatures hang on that."""
        return self._noticed

    def submit(self, texts: Sequence[Text]) -> None:
        refused: list[Answer] = []
        for text in texts:
            self._flying[text.key, text.attempt] = text
            self._parts += text.parts
            job = self.prepare(text)
            if isinstance(job, Rejected):
                refused.append(job)
            else:
                self._waiting.setdefault(job.key, deque()).append(job)
        self._answer_soon(refused)
        self._start()

    async def open(self) -> None:
        self._not_refused()
        self._noticed["our address"] = await reach(self.address, self.settings.connect_seconds)
        traced = aiohttp.TraceConfig()
        traced.on_connection_create_end.append(_connected)
        traced.on_connection_reuseconn.append(_connected)
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=self.at_once, keepalive_timeout=IDLE_SECONDS),
            timeout=aiohttp.ClientTimeout(total=self.settings.answer_seconds, connect=self.settings.connect_seconds),
            cookie_jar=aiohttp.DummyCookieJar(),
            trace_configs=[traced],
            middlewares=[_once],
            headers={"User-Agent": "gateway"},
            skip_auto_headers=("Content-Type",),
        )

    async def close(self) -> None:
        self._closing = True
        self._give_back()
        if self._running:
            await asyncio.wait(self._running, timeout=GRACE_SECONDS)
        for task in self._running:
            task.cancel()
        await asyncio.gather(*self._running, return_exceptions=True)
        self._give_back()  # what a last answer sent back to be put otherwise
        self._answer([Uncertain(text, "closed") for text in self._flying.values()])
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    def _give_back(self) -> None:
        self._answer([Deferred(text, "closed") for text in self._unsent()])

    def _unsent(self) -> list[Text]:
        unsent = [job.text for jobs in self._waiting.values() for job in jobs]
        unsent += [text for batch in self._again for text in batch.texts]
        self._waiting.clear()
        self._again.clear()
        return unsent

    # -- requests ----------------------------------------------------------------------------------------------

    def _start(self) -> None:
        """As many requests as there are links, unless the account has to wait."""
        while self._may_start() and (batch := self._next()) is not None:
            task = asyncio.create_task(self._send(batch))
            self._running.add(task)
            task.add_done_callback(self._ended)

    def _may_start(self) -> bool:
        return self._working and len(self._running) < self.at_once and self._now() >= self._paused_until

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._running.discard(task)
        self._start()

    def _next(self) -> Batch | None:
        if self._again:
            return self._again.popleft()
        while self._waiting:
            key, jobs = next(iter(self._waiting.items()))
            taken = self._take(jobs)
            if not jobs:
                del self._waiting[key]
            if taken:
                return Batch(taken)
        return None

    def _take(self, jobs: deque[Job]) -> list[Job]:
        """The first of them, as many as one request carries; of several to one number the others stay."""
        taken: dict[str, Job] = {}
        left: list[Job] = []
        late: list[Answer] = []
        now = self.links.now()
        while jobs and len(taken) < self.most:
            job = jobs.popleft()
            if job.text.expires_at is not None and job.text.expires_at <= now:
                late.append(Deferred(job.text, "expired"))
            elif job.text.phone in taken:
                left.append(job)
            else:
                taken[job.text.phone] = job
        jobs.extendleft(reversed(left))
        self._answer_soon(late)
        return list(taken.values())

    async def _send(self, batch: Batch) -> None:
        trail = _Trail()
        batch.tries += 1
        try:
            answered = await self._exchange(self.request(batch), trail)
            self._conclude(batch, self.read(batch, answered))
        except asyncio.CancelledError:
            self._answer(self._broken(batch, trail, "closed"))
            raise
        except (aiohttp.ClientError, OSError) as error:  # TimeoutError is an OSError
            kind = str(error) if isinstance(error, _Broken) else type(error).__name__
            self._answer(self._broken(batch, trail, kind))
            if not trail.connected:
                self._fail(f"no connection: {kind}")
        except Exception as error:
            # A mistake of ours in putting or reading it: whatever was connected may have left.
            log.error("carrier.misread", carrier=self.name, error=type(error).__name__, where=place(error))
            self._answer(self._broken(batch, trail, type(error).__name__))

    async def _exchange(self, request: Request, trail: _Trail) -> Answered:
        if self._session is None:
            raise aiohttp.ClientConnectionError
        url = URL(request.url, encoded=True)
        async with self._session.request(
            request.method,
            url,
            headers=request.headers,
            data=request.body,
            allow_redirects=False,
            trace_request_ctx=trail,
        ) as response:
            headers = {name.lower(): value for name, value in response.headers.items()}
            self._notice_clock(headers.get("date", ""))
            return Answered(response.status, headers, await _body(response))

    def _notice_clock(self, said: str) -> None:
        with contextlib.suppress(ValueError, TypeError):
            ahead = parsedate_to_datetime(said) - self.links.now()
            self._noticed["their clock"] = f"{ahead.total_seconds():+.0f} s"

    def _broken(self, batch: Batch, trail: _Trail, error: str) -> list[Answer]:
        if trail.connected:
            return [Uncertain(text, error, self.refs(batch, text)) for text in batch.texts]
        return [Deferred(text, error) for text in batch.texts]

    # -- what became of them -----------------------------------------------------------------------------------

    def _conclude(self, batch: Batch, verdict: Verdict) -> None:
        if isinstance(verdict, Wait):
            self._throttled(batch, verdict)
        elif isinstance(verdict, Refusal):
            self._refused(batch, verdict)
        elif isinstance(verdict, Apart):
            self._again.extend(Batch([job]) for job in batch.jobs)
        else:
            _REFUSED.pop(self._place, None)
            self._answer(self._all_of(batch, verdict))

    def _all_of(self, batch: Batch, answers: Sequence[Answer]) -> list[Answer]:
        """An answer that passes over a text leaves it uncertain."""
        named = {(answer.text.key, answer.text.attempt) for answer in answers}
        missing = [text for text in batch.texts if (text.key, text.attempt) not in named]
        return [*answers, *(Uncertain(text, "unanswered", self.refs(batch, text)) for text in missing)]

    def _throttled(self, batch: Batch, wait: Wait) -> None:
        seconds = wait.seconds if wait.seconds is not None else THROTTLED_SECONDS * 2 ** (batch.tries - 1)
        self._pause(min(seconds, LONGEST_THROTTLE))
        if batch.tries < MOST_TRIES and self._working:
            self._again.append(batch)
        else:
            self._answer([Deferred(text, wait.error) for text in batch.texts])

    def _refused(self, batch: Batch, refusal: Refusal) -> None:
        known = _REFUSED.get(self._place)
        pause = REFUSED_SECONDS if known is None else min(known.pause * 2, LONGEST_REFUSAL)
        if self._working:
            _REFUSED[self._place] = _Refused(refusal.error, time.monotonic() + pause, pause)
            log.error("carrier.refuses_us", carrier=self.name, code=refusal.error, again_in=pause)
        self._answer([Deferred(text, refusal.error) for text in batch.texts])
        self._fail(f"refused: {refusal.error}")

    @property
    def _place(self) -> tuple[str, str]:
        return (self.name, self.address)

    def _not_refused(self) -> None:
        """Unavailable while the provider's last word on the account is young."""
        known = _REFUSED.get(self._place)
        if known is not None and time.monotonic() < known.until:
            zh, en = f"服务商不让这个账号发：{known.error}", f"the provider refuses the account: {known.error}"
            raise Unavailable(zh, en)

    def _pause(self, seconds: float) -> None:
        self._paused_until = max(self._paused_until, self._now() + seconds)
        asyncio.get_running_loop().call_later(seconds + CLOCK_SECONDS, self._start)

    def _fail(self, why: str) -> None:
        if self._working:
            self._failed = True
            self.links.failed(why)

    def _answer_soon(self, answers: Sequence[Answer]) -> None:
        """Not before whoever handed the texts over has noted them."""
        if answers:
            asyncio.get_running_loop().call_soon(self._answer, answers)

    def _answer(self, answers: Iterable[Answer]) -> None:
        known = []
        for answer in list(answers):
            if self._flying.pop((answer.text.key, answer.text.attempt), None) is not None:
                self._parts -= answer.text.parts
                known.append(answer)
        if known:
            self.links.answered(known)

    def _now(self) -> float:
        return asyncio.get_running_loop().time()


async def _once(request: aiohttp.ClientRequest, ask: aiohttp.ClientHandlerType) -> aiohttp.ClientResponse:
    """The client repeats a GET by itself where its connection is cut; under another name it leaves the error alone."""
    try:
        return await ask(request)
    except (aiohttp.ClientOSError, aiohttp.ServerDisconnectedError) as error:
        raise _Broken(type(error).__name__) from None


async def _connected(session: aiohttp.ClientSession, context: Any, params: Any) -> None:
    context.trace_request_ctx.connected = True


async def _body(response: aiohttp.ClientResponse) -> bytes:
    body = bytearray()
    async for chunk in response.content.iter_any():
        body += chunk
        if len(body) > LARGEST_ANSWER:
            raise _TooLong
    return bytes(body)
