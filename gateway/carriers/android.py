"""A phone as the carrier: the open-source app SMS Gateway for Android (capcom6) in its local-server mode.

Policy
- The phone is asked by POST /message with basic authentication. It queues what it takes and refuses an id that it has,
  so an id of ours that it knows already is as good as taken.
- Calls (webhooks) are signed with HMAC-SHA256 over body and time: only a signature that fits and is younger than the
  tolerance is heard. Where the account has a token as well the address must end in it.
- Of a long text the app tells that parts arrived but not which. So `sms:delivered` is a receipt for texts of one part
  alone, and a long one is never called delivered; `sms:failed` speaks for any text.
- The app speaks plain http: reach it over a USB cable (adb forward), which makes it an address of this machine, or put
  TLS in front of it.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import Any

from gateway.carriers import Accepted, Call, Receipt, Received, Rejected, Reply, Text
from gateway.carriers.addresses import address_problem, fits
from gateway.carriers.verdicts import Answered, Batch, Job, Request, Verdict, one_ref, parsed, unread
from gateway.carriers.web import WebCarrier, WebSettings
from gateway.model import ReceiptState
from gateway.phone import parse
from gateway.text import measure

PRIORITIES: Mapping[int, int] = {0: 127, 1: 50, 2: 0, 3: -50}
"""Ours -> the app's; from 100 on it heeds none of its own limits."""
TAKEN, HAS_IT = 202, 409


@dataclass(frozen=True, kw_only=True)
class AndroidSettings(WebSettings):
    """`sim` counts from 1, 0 is the app's choice; without a `signing_key` no call is heard."""

    url: str
    password: str
    user: str = "sms"
    sim: int = 0
    signing_key: str = ""
    tolerance_seconds: int = 300

    def problems(self) -> Iterator[tuple[str, str, str]]:
        yield from super().problems()
        if said := address_problem(self.url):
            yield ("url", *said)
        if self.sim not in range(4):
            yield "sim", "应为 0（由手机选）到 3", "should be 0 (the phone chooses) to 3"


class Carrier(WebCarrier):
    """One phone."""

    Settings = AndroidSettings  # type: ignore[assignment]
    settings: AndroidSettings

    @property
    def address(self) -> str:
        return self.settings.url

    def prepare(self, text: Text) -> Job:
        return Job(text, (text.key, text.attempt))

    def request(self, batch: Batch) -> Request:
        s, (text,) = self.settings, batch.texts
        told: dict[str, Any] = {
            "id": _id(batch, text),
            "textMessage": {"text": text.body},
            "phoneNumbers": [text.phone],
            "withDeliveryReport": True,
            "priority": PRIORITIES.get(text.priority, 0),
        }
        if s.sim:
            told["simNumber"] = s.sim
        if text.expires_at is not None:
            told["ttl"] = max(1, int((text.expires_at - self.links.now()).total_seconds()))
        login = base64.b64encode(f"{s.user}:{s.password}".encode()).decode()
        headers = {"Content-Type": "application/json", "Authorization": f"Basic {login}"}
        return Request("POST", f"{s.url.rstrip('/')}/message", headers, json.dumps(told, ensure_ascii=False).encode())

    def refs(self, batch: Batch, text: Text) -> tuple[str, ...]:
        return one_ref(_id(batch, text), text)

    def read(self, batch: Batch, answered: Answered) -> Verdict:
        (text,) = batch.texts
        told = answered.json()
        took = answered.status == TAKEN and isinstance(told, dict) and told.get("id") == _id(batch, text)
        if took or answered.status == HAS_IT:
            return [Accepted(text, self.refs(batch, text))]
        if answered.status == 400:  # a number or a text that the phone cannot take
            return [Rejected(text, "HTTP 400")]
        return unread(batch.texts, answered, partial(self.refs, batch))

    @classmethod
    def called(cls, settings: Any, call: Call, now: datetime) -> Reply:
        if settings.callback_token and not fits(settings.callback_token, call.token):
            return Reply((), 404)
        if not _authentic(settings, call, now):
            return Reply((), 401 if settings.signing_key else 404)
        told = parsed(call.body)
        payload = told.get("payload") if isinstance(told, dict) else None
        if not isinstance(told, dict) or not isinstance(payload, dict):
            return Reply((), 400)
        item = _item(told, payload, now)
        return Reply((item,) if item is not None else ())


def _id(batch: Batch, text: Text) -> str:
    """Ours; it says how many parts there are, for the app's events do not."""
    return f"{batch.ref}-{measure(text.body).parts}"


# -- what comes in ---------------------------------------------------------------------------------------------


def _authentic(settings: AndroidSettings, call: Call, now: datetime) -> bool:
    at, given = call.headers.get("x-timestamp", ""), call.headers.get("x-signature", "")
    if not settings.signing_key or not (at.isascii() and at.isdigit() and len(at) < 12):
        return False
    made = hmac.new(settings.signing_key.encode(), call.body + at.encode(), hashlib.sha256).hexdigest()
    fresh = abs(now.timestamp() - int(at)) <= settings.tolerance_seconds
    return hmac.compare_digest(made.encode(), given.strip().lower().encode("utf-8", "surrogateescape")) and fresh


def _item(told: Mapping[str, Any], payload: Mapping[str, Any], now: datetime) -> Receipt | Received | None:
    """What an event tells us; those of other kinds, and of parts, tell nothing."""
    event, ref = told.get("event"), str(payload.get("messageId") or "")
    if event == "sms:received" and isinstance(payload.get("message"), str):
        phone = str(payload.get("sender") or payload.get("phoneNumber") or "")
        # The message's id is made of its content: a word said twice would count as once.
        own, to = str(told.get("id") or ""), str(payload.get("recipient") or "")
        at = _moment(payload.get("receivedAt"), now)
        return Received(own, parse(phone).e164 or phone, to, payload["message"], at)
    phone = parse(str(payload.get("recipient") or payload.get("phoneNumber") or "")).e164 or ""
    if event == "sms:delivered" and ref.endswith("-1"):
        return Receipt(ref, phone, ReceiptState.DELIVERED, None, _moment(payload.get("deliveredAt"), now))
    if event == "sms:failed" and ref:
        error = _code(str(payload.get("reason") or ""))
        return Receipt(ref, phone, ReceiptState.UNDELIVERED, error, _moment(payload.get("failedAt"), now))
    return None


def _code(reason: str) -> str | None:
    """The status of the message centre (3GPP TS 23.040, 9.2.3.15), or the phone's own word; the rest is prose."""
    if status := re.search(r"^Delivery result.*: (\d{1,3})$", reason):
        return f"0x{int(status[1]):02X}"
    word = re.search(r"\bRESULT_[A-Z_]+", reason)
    return word[0] if word else None


def _moment(said: object, now: datetime) -> datetime:
    """The phone's local time with its offset; now where it cannot be read."""
    try:
        at = datetime.fromisoformat(str(said))
        return at.astimezone(UTC) if at.tzinfo else now
    except (ValueError, OverflowError):
        return now
