"""Any provider over HTTP, described by its table in config.toml alone: how it is asked, what its answer means, how it
calls us.

Policy
- What is sent are templates with named places, filled in one pass: what stands in a text is never read as a template,
  and each value is encoded for where it goes (an address, a form, JSON). Texts go into no address path and no header.
- One number per request. Where something is in an answer or a call is a name, a JSON pointer (/messages/0/status, with
  * for each of a list), or, in an answer, a regular expression with one group.
- An answer without a word that the table knows is read by the account's own codes, then by its HTTP status.
- The address that the provider calls ends in our token. Receipts that say neither delivered nor failed are heard and
  tell nothing; a call in which nothing is understood is 400.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta, timezone
from functools import partial
from typing import Any
from urllib.parse import parse_qsl, quote, urlencode, urlsplit

from gateway.carriers import Accepted, Call, Concat, Receipt, Received, Rejected, Reply, Text
from gateway.carriers.addresses import address_problem, fits
from gateway.carriers.verdicts import (
    MISDIRECTED,
    THROTTLES,
    Answered,
    Batch,
    Job,
    Request,
    Verdict,
    Wait,
    judged,
    one_ref,
    parsed,
    unread,
)
from gateway.carriers.web import WebCarrier, WebSettings
from gateway.model import ReceiptState
from gateway.phone import local, parse
from gateway.text import Cutting

PLACES = ("phone", "digits", "local", "body", "id", "parts", "secret", "token", "service_code")
"""`phone` is E.164, `digits` without its plus, `local` without +86; `id` is ours; `token` ends our own address."""
_PLACE = re.compile(r"\{(" + "|".join(PLACES) + r")\}")
_MISSPELT = re.compile(r"\{[a-z_]+\}")
MOST_FIELDS = 1000

NUMBERS = PLACES[:3]
TABLES: Mapping[str, tuple[frozenset[str], frozenset[str]]] = {
    "answer": (frozenset({"state", "accepted", "later", "refused", "code", "id"}), frozenset()),
    "receipt": (
        frozenset({"id", "state", "delivered", "failed", "phone", "error", "time"}),
        frozenset({"id", "state", "delivered"}),
    ),
    "inbound": (
        frozenset({"phone", "body", "to", "id", "time", "concat_ref", "concat_total", "concat_part"}),
        frozenset({"phone", "body"}),
    ),
}
"""What each table may say, and what it must where it says anything."""
LISTS = frozenset({"accepted", "later", "refused", "delivered", "failed"})


@dataclass(frozen=True, kw_only=True)
class HttpSettings(WebSettings):
    """`answer` says what an answer means, `receipt` and `inbound` where things are in a call.

    At most one of `form` and `json`; `user` with the secret is basic authentication. Times in calls are `time_format`
    (strptime's, "iso" or "unix"), at `utc_offset` hours where they name none. `items`: where a call's list is.
    """

    url: str
    answer: Mapping[str, Any]
    method: str = "POST"
    headers: Mapping[str, Any] = field(default_factory=dict)
    query: Mapping[str, Any] = field(default_factory=dict)
    form: Mapping[str, Any] = field(default_factory=dict)
    json: Mapping[str, Any] = field(default_factory=dict)
    charset: str = "utf-8"
    user: str = ""
    secret: str = ""
    service_code: str = ""
    receipt: Mapping[str, Any] = field(default_factory=dict)
    inbound: Mapping[str, Any] = field(default_factory=dict)
    items: str = ""
    time_format: str = "iso"
    utc_offset: float = 8.0
    reply: str = ""
    reply_type: str = "text/plain"

    def problems(self) -> Iterator[tuple[str, str, str]]:
        yield from super().problems()
        if said := address_problem(self.url) or _url_problem(self.url):
            yield ("url", *said)
        if self.method not in ("GET", "POST"):
            yield "method", "应为 GET 或 POST", "should be GET or POST"
        if (self.form and self.json) or (self.method == "GET" and (self.form or self.json)):
            yield "form", "form 和 json 只能写一个，GET 两个都不能写", "form or json, and neither with GET"
        yield from _template_problems(self)
        yield from _word_problems(self)
        try:
            "".encode(self.charset)
        except LookupError:
            yield "charset", "没有这种编码", "no such encoding"


class Carrier(WebCarrier):
    """One account with a provider of the table's kind."""

    Settings = HttpSettings  # type: ignore[assignment]
    settings: HttpSettings

    @property
    def address(self) -> str:
        return self.settings.url

    @classmethod
    def cutting(cls, settings: Any) -> Cutting:
        """Where the answer has an id for each part, parts are counted and told of one by one."""
        return Cutting(header=6 if "*" in settings.answer.get("id", "") else 0)

    def prepare(self, text: Text) -> Job | Rejected:
        try:
            text.body.encode(self.settings.charset)
        except UnicodeError:
            return Rejected(text, "CHARSET")
        return Job(text, (text.key, text.attempt))

    def request(self, batch: Batch) -> Request:
        s, values = self.settings, self._values(batch)
        address, query = _filled(s.url, values, partial(quote, safe="")), self._line(s.query, values)
        url = address + (("&" if "?" in address else "?") + query if query else "")
        headers = {name: _filled(str(value), values) for name, value in s.headers.items()}
        if s.user:
            both = base64.b64encode(f"{s.user}:{s.secret}".encode()).decode()
            headers["Authorization"] = f"Basic {both}"
        if s.json:
            body = json.dumps(_each(s.json, values), ensure_ascii=False).encode()
            return Request(s.method, url, {"Content-Type": "application/json", **headers}, body)
        if s.method == "GET" or not s.form:
            return Request(s.method, url, headers, None)
        kind = {"Content-Type": "application/x-www-form-urlencoded"}
        return Request(s.method, url, {**kind, **headers}, self._line(s.form, values).encode())

    def _values(self, batch: Batch) -> dict[str, str]:
        s, text = self.settings, batch.texts[0]
        return {
            "phone": text.phone,
            "digits": text.phone.removeprefix("+"),
            "local": local(text.phone),
            "body": text.body,
            "id": batch.ref,
            "parts": str(text.parts),
            "secret": s.secret,
            "token": s.callback_token,
            "service_code": s.service_code,
        }

    def _line(self, templates: Mapping[str, Any], values: Mapping[str, str]) -> str:
        filled = {name: _filled(str(value), values) for name, value in templates.items()}
        return urlencode(filled, quote_via=quote, safe="", encoding=self.settings.charset)

    def refs(self, batch: Batch, text: Text) -> tuple[str, ...]:
        """Ours, where it was sent along."""
        return () if "id" in self.settings.answer else one_ref(batch.ref, text)

    def read(self, batch: Batch, answered: Answered) -> Verdict:
        rules, (text,) = self.settings.answer, batch.texts
        words = self._found(rules.get("state"), answered) if "state" in rules else [str(answered.status)]
        accepted = rules.get("accepted", ["200", "201", "202"])
        good = [word in accepted for word in words]
        if good and all(good):
            return [Accepted(text, self._ids(batch, answered))]
        code = next(iter(self._found(rules.get("code"), answered)), next((w for w in words if w not in accepted), ""))
        if any(good):
            return [Rejected(text, code, _taken(self._ids(batch, answered), good))]
        if any(word in rules.get("later", ()) for word in [code, *words]):
            return Wait(code)
        if any(word in rules.get("refused", ()) for word in [code, *words]):
            return [Rejected(text, code)]
        return self._otherwise(batch, answered, code)

    def _otherwise(self, batch: Batch, answered: Answered, code: str) -> Verdict:
        meaning = self.meaning("http", code)
        if code and meaning.known:
            return judged(meaning, batch, partial(self.refs, batch))
        status = answered.status
        telling = status >= 500 or 300 <= status < 400 or status in THROTTLES | MISDIRECTED
        if not code or telling:
            return unread(batch.texts, answered, partial(self.refs, batch))
        return [Rejected(batch.texts[0], code)]

    def _ids(self, batch: Batch, answered: Answered) -> tuple[str, ...]:
        """One per part; where the provider gives one for the text it is the first part's."""
        text, where = batch.texts[0], self.settings.answer.get("id")
        ids = self._found(where, answered) if where else [batch.ref]
        return tuple([*ids, *[""] * text.parts][: text.parts])

    def _found(self, where: str | None, answered: Answered) -> list[str]:
        if not where:
            return []
        if where.startswith("/"):
            return _pointed(answered.json(), where)
        return [str(found) for found in re.findall(where, answered.body.decode(self.settings.charset, "replace"))]

    @classmethod
    def objection(cls, settings: Any, body: str) -> tuple[str, str] | None:
        try:
            body.encode(settings.charset)
        except UnicodeError as error:
            char = body[error.start] if isinstance(error, UnicodeEncodeError) else ""
            return f"{settings.charset} 写不出“{char}”", f"{settings.charset} cannot write {char}"
        return None

    @classmethod
    def called(cls, settings: Any, call: Call, now: datetime) -> Reply:
        if not fits(settings.callback_token, call.token):
            return Reply((), 404)
        heard = [found for one in _told(settings, call) if (found := _heard(settings, one, now)) is not None]
        if not heard:
            return Reply((), 400)
        items = tuple(item for found in heard for item in found)
        return Reply(items, 200, settings.reply, settings.reply_type)


# -- templates -------------------------------------------------------------------------------------------------


def _filled(template: str, values: Mapping[str, str], encode: Any = str) -> str:
    """One pass: what is filled in is not looked at again."""
    return _PLACE.sub(lambda found: str(encode(values[found[1]])), template)


def _each(template: Any, values: Mapping[str, str]) -> Any:
    """Every string of a JSON template, filled."""
    if isinstance(template, str):
        return _filled(template, values)
    if isinstance(template, Mapping):
        return {str(name): _each(value, values) for name, value in template.items()}
    return [_each(value, values) for value in template] if isinstance(template, list) else template


def _taken(ids: Sequence[str], good: Sequence[bool]) -> tuple[str, ...]:
    """The references of the parts that were taken."""
    return tuple(ref if n < len(good) and good[n] else "" for n, ref in enumerate(ids))


# -- what is wrong with a table --------------------------------------------------------------------------------


def _url_problem(url: str) -> tuple[str, str] | None:
    if "{" in urlsplit(url).netloc:
        return "主机名里不能有占位", "no place in the host's name"
    if "{body}" in url:
        return "正文放在 query、form 或 json 里", "the body goes into query, form or json"
    return None


def _strings(template: Any) -> Iterator[str]:
    if isinstance(template, str):
        yield template
    elif isinstance(template, Mapping):
        for value in template.values():
            yield from _strings(value)
    elif isinstance(template, list):
        for value in template:
            yield from _strings(value)


def _template_problems(settings: HttpSettings) -> Iterator[tuple[str, str, str]]:
    sent = {key: list(_strings(getattr(settings, key))) for key in ("url", "headers", "query", "form", "json")}
    for key, templates in sent.items():
        for wrong in _misspelt(templates):
            listed = ", ".join(f"{{{name}}}" for name in PLACES)
            yield key, f"没有占位 {wrong}；有：{listed}", f"no place {wrong}; there are: {listed}"
    if any("{body}" in one for one in sent.pop("headers")):
        yield "headers", "正文不能放在 headers 里", "the body goes into no header"
    everything = "".join(one for templates in sent.values() for one in templates)
    if "{body}" not in everything:
        yield "query", "query、form、json 里没有 {body}", "no {body} in query, form or json"
    if not any(f"{{{name}}}" in everything for name in NUMBERS):
        yield "query", "没有号码：{phone}、{digits} 或 {local}", "no number: {phone}, {digits} or {local}"


def _misspelt(templates: Sequence[str]) -> Iterator[str]:
    return (found for text in templates for found in _MISSPELT.findall(text) if not _PLACE.match(found))


def _word_problems(settings: HttpSettings) -> Iterator[tuple[str, str, str]]:
    for key, (known, needed) in TABLES.items():
        table = getattr(settings, key)
        for name, value in table.items():
            if said := _entry_problem(name, value, known):
                yield (key, *said)
        for name in sorted(needed - table.keys()) if table else ():
            yield key, f"没有写 {name}", f"{name} is missing"
    if "state" in settings.answer and "accepted" not in settings.answer:
        yield "answer", "写了 state 就要写 accepted", "state needs accepted"
    for name in ("state", "code", "id"):
        where = settings.answer.get(name, "/")
        if isinstance(where, str) and not where.startswith("/") and not _one_group(where):
            yield "answer", f"{name} 应是 /a/b 或有一个括号的正则", f"{name} is /a/b or a pattern with one group"


def _entry_problem(name: str, value: object, known: frozenset[str]) -> tuple[str, str] | None:
    listed = ", ".join(sorted(known))
    if name not in known:
        return f"没有 {name}；有：{listed}", f"no {name}; there are: {listed}"
    if name in LISTS and not (isinstance(value, list) and all(isinstance(word, str) for word in value)):
        return f"{name} 应是一列文字", f"{name} should be a list of strings"
    if name not in LISTS and not isinstance(value, str):
        return f"{name} 应是文字", f"{name} should be a string"
    return None


def _one_group(pattern: str) -> bool:
    try:
        return re.compile(pattern).groups == 1
    except re.error:
        return False


# -- what comes in ---------------------------------------------------------------------------------------------


def _pointed(value: Any, pointer: str) -> list[str]:
    """What a JSON pointer names, as text; * is each of a list. Objects and lists are nothing."""
    found = [value]
    for step in pointer[1:].split("/"):
        key = step.replace("~1", "/").replace("~0", "~")
        found = [inner for one in found for inner in _inside(one, key)]
    return [_as_text(one) for one in found if one is not None and not isinstance(one, list | dict)]


def _inside(value: Any, key: str) -> list[Any]:
    if isinstance(value, Mapping):
        return [value[key]] if key in value else []
    if not isinstance(value, list):
        return []
    if key == "*":
        return value
    return value[int(key) : int(key) + 1] if key.isascii() and key.isdigit() and len(key) < 6 else []


def _as_text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _told(settings: HttpSettings, call: Call) -> list[Mapping[str, Any]]:
    """The entries of a call: of its JSON, or its form; what is in its address goes with each."""
    body = parsed(call.body) if call.body.lstrip()[:1] in (b"{", b"[") else _form(call.body, settings.charset)
    inner: Any = body
    if settings.items and body is not None:
        for step in settings.items[1:].split("/"):
            inner = next(iter(_inside(inner, step)), None)
    each = inner if isinstance(inner, list) else [inner]
    return [{**call.query, **one} for one in each if isinstance(one, Mapping)]


def _form(body: bytes, charset: str) -> dict[str, str]:
    try:
        text = body.decode("ascii", "replace")
        return dict(
            parse_qsl(text, keep_blank_values=True, encoding=charset, errors="replace", max_num_fields=MOST_FIELDS)
        )
    except ValueError:
        return {}


def _at(rules: Mapping[str, Any], name: str, one: Mapping[str, Any]) -> str | None:
    """What an entry has of this, as text."""
    where = rules.get(name)
    if not isinstance(where, str):
        return None
    if where.startswith("/"):
        return next(iter(_pointed(one, where)), None)
    value = one.get(where)
    return None if value is None or isinstance(value, list | dict) else _as_text(value)


def _heard(settings: HttpSettings, one: Mapping[str, Any], now: datetime) -> list[Receipt | Received] | None:
    """What an entry tells, perhaps nothing yet; None where it is neither receipt nor text."""
    rules = settings.receipt
    ref, word = _at(rules, "id", one), _at(rules, "state", one)
    if ref and word:
        return _receipt(settings, one, ref, word, now)
    phone, body = _at(settings.inbound, "phone", one), _at(settings.inbound, "body", one)
    if not phone or body is None:
        return None
    text = partial(_at, settings.inbound, one=one)
    at = _moment(settings, text("time"), now)
    return [Received(text("id") or "", parse(phone).e164 or phone, text("to") or "", body, at, _concat(settings, one))]


def _receipt(settings: HttpSettings, one: Mapping[str, Any], ref: str, word: str, now: datetime) -> list[Any]:
    rules = settings.receipt
    good = word in rules.get("delivered", ())
    if not good and word not in rules.get("failed", ()):
        return []
    state = ReceiptState.DELIVERED if good else ReceiptState.UNDELIVERED
    error = None if good else (_at(rules, "error", one) or word)
    phone = parse(_at(rules, "phone", one) or "").e164 or ""
    return [Receipt(ref, phone, state, error, _moment(settings, _at(rules, "time", one), now))]


def _concat(settings: HttpSettings, one: Mapping[str, Any]) -> Concat | None:
    said = [_at(settings.inbound, f"concat_{name}", one) or "" for name in ("ref", "total", "part")]
    if not all(number.isascii() and number.isdigit() and len(number) < 10 for number in said):
        return None
    ref, total, part = map(int, said)
    return Concat(ref, total, part) if total > 1 else None


def _moment(settings: HttpSettings, said: str | None, now: datetime) -> datetime:
    """In UTC; now where it cannot be read."""
    try:
        if said is None:
            return now
        if settings.time_format == "unix":
            return datetime.fromtimestamp(float(said), UTC)
        iso = settings.time_format == "iso"
        at = datetime.fromisoformat(said) if iso else datetime.strptime(said, settings.time_format)  # noqa: DTZ007
        home = timezone(timedelta(hours=settings.utc_offset))
        return (at if at.tzinfo else at.replace(tzinfo=home)).astimezone(UTC)
    except (ValueError, OverflowError, OSError):
        return now
