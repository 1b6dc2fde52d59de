"""Tencent Cloud SMS (SendSms of 2021-01-11), requests signed by TC3-HMAC-SHA256.

Policy
- Up to 200 numbers share a request when template and parameters are the same. Each number is answered by itself, with
  the SerialNo that its receipt names.
- What no answer came of keeps the SessionContext that we chose, by which the provider finds it; receipts do not name
  it, so such a text is settled by its number.
"""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import Any, ClassVar

from gateway.carriers import Accepted, Answer, Receipt, Received, Rejected, Text
from gateway.carriers.registered import NUMBERED
from gateway.carriers.rendering import RenderingCarrier, RenderingSettings, on_chinese_clocks
from gateway.carriers.verdicts import (
    Answered,
    Batch,
    Job,
    Refusal,
    Request,
    Verdict,
    Wait,
    judged,
    judged_alone,
    of_the_account,
    one_ref,
    unread,
)
from gateway.model import ReceiptState
from gateway.phone import parse

VERSION = "2021-01-11"
ALGORITHM = "TC3-HMAC-SHA256"
SERVICE = "sms"
JSON = "application/json; charset=utf-8"
BATCH = 200


@dataclass(frozen=True, kw_only=True)
class TencentSettings(RenderingSettings):
    """Placeholders are written {1}, {2}, ..., as in the provider's console, which also says how long they may be."""

    PLACEHOLDER: ClassVar[str] = NUMBERED

    secret_id: str
    secret_key: str
    app_id: str
    region: str = "ap-guangzhou"
    endpoint: str = "https://sms.tencentcloudapi.com"
    longest_parameter: int = 6


class Carrier(RenderingCarrier):
    """One secret and application."""

    Settings = TencentSettings  # type: ignore[assignment]
    settings: TencentSettings
    most = BATCH
    THANKS = '{"result":0,"errmsg":"OK"}'

    def prepare(self, text: Text) -> Job | Rejected:
        fitted = self.fitted(text)
        if fitted is None:
            return Rejected(text, "TEMPLATE")
        values = tuple(fitted.values[name] for name in sorted(fitted.values, key=int))
        return Job(text, (fitted.code, values), (fitted.code, values))

    def request(self, batch: Batch) -> Request:
        s = self.settings
        template, values = batch.jobs[0].params
        told = {
            "PhoneNumberSet": [text.phone for text in batch.texts],
            "SmsSdkAppId": s.app_id,
            "SignName": s.sign_name,
            "TemplateId": template,
            "TemplateParamSet": list(values),
            "SessionContext": batch.ref,
        }
        return signed(s, "SendSms", json.dumps(told, ensure_ascii=False).encode(), self.links.now())

    def read(self, batch: Batch, answered: Answered) -> Verdict:
        told = answered.json()
        said = told.get("Response") if isinstance(told, dict) else None
        if not isinstance(said, dict):
            return unread(batch.texts, answered, partial(self.refs, batch))
        error = said.get("Error")
        if isinstance(error, dict):
            return judged(self.meaning("tencent", str(error.get("Code", ""))), batch, partial(self.refs, batch))
        statuses = said.get("SendStatusSet")
        return self._each(batch, statuses if isinstance(statuses, list) else [])

    def _each(self, batch: Batch, statuses: list[Any]) -> Verdict:
        """By number. Where all are refused for one reason that is not theirs, the account is."""
        by_phone = {one.get("PhoneNumber"): one for one in statuses if isinstance(one, dict)}
        found = [(text, by_phone[text.phone]) for text in batch.texts if text.phone in by_phone]
        codes = {str(status.get("Code", "")) for _, status in found}
        if len(codes) == 1 and len(found) == len(batch.texts) and (common := self._of_all(*codes)) is not None:
            return common
        return [self._one(text, status, batch) for text, status in found]

    def _of_all(self, code: str) -> Wait | Refusal | None:
        if code == "Ok":
            return None
        meaning = self.meaning("tencent", code)
        if meaning.does == "slow":
            return Wait(code)
        return Refusal(code) if of_the_account(meaning) else None

    def _one(self, text: Text, status: Mapping[str, Any], batch: Batch) -> Answer:
        code = str(status.get("Code", ""))
        if code == "Ok":
            return Accepted(text, one_ref(str(status.get("SerialNo") or batch.ref), text))
        return judged_alone(self.meaning("tencent", code), text, self.refs(batch, text))

    @classmethod
    def item(cls, one: Mapping[str, Any], now: datetime) -> Receipt | Received | None:
        said = str(one.get("mobile") or "")
        phone = parse(f"+{one.get('nationcode') or '86'}{said}").e164 or ""
        if "report_status" in one and (ref := str(one.get("sid") or "")):
            good = one["report_status"] == "SUCCESS"
            state = ReceiptState.DELIVERED if good else ReceiptState.UNDELIVERED
            error = None if good else str(one.get("errmsg") or "") or None
            return Receipt(ref, phone, state, error, on_chinese_clocks(one.get("user_receive_time"), now))
        if "text" not in one or not said:
            return None
        return Received(
            "", phone or said, str(one.get("extend") or ""), str(one["text"]), _instant(one.get("time"), now)
        )


def _instant(said: object, now: datetime) -> datetime:
    """Seconds since 1970; now where they are none."""
    try:
        return datetime.fromtimestamp(int(str(said)), UTC)
    except (ValueError, OverflowError, OSError):
        return now


# -- signature -------------------------------------------------------------------------------------------------


def signed(settings: TencentSettings, action: str, body: bytes, at: datetime) -> Request:
    """A call with a JSON body."""
    host = settings.endpoint.partition("://")[2].rstrip("/")
    seconds = int(at.timestamp())
    own = authorization(host, JSON, body, settings.secret_id, settings.secret_key, seconds)
    headers = {
        "host": host,
        "content-type": JSON,
        "authorization": own,
        "x-tc-action": action,
        "x-tc-timestamp": str(seconds),
        "x-tc-version": VERSION,
        "x-tc-region": settings.region,
    }
    return Request("POST", f"{settings.endpoint.rstrip('/')}/", headers, body)


def authorization(host: str, content_type: str, body: bytes, secret_id: str, secret_key: str, seconds: int) -> str:
    """The header over content type and host; the key is derived for the day, in UTC, and the service."""
    day = f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d}"
    lines = f"content-type:{content_type}\nhost:{host}\n"
    canonical = f"POST\n/\n\n{lines}\ncontent-type;host\n{hashlib.sha256(body).hexdigest()}"
    scope = f"{day}/{SERVICE}/tc3_request"
    to_sign = f"{ALGORITHM}\n{seconds}\n{scope}\n{hashlib.sha256(canonical.encode()).hexdigest()}"
    key = f"TC3{secret_key}".encode()
    for word in (day, SERVICE, "tc3_request"):
        key = _keyed(key, word)
    signature = _keyed(key, to_sign).hex()
    return f"{ALGORITHM} Credential={secret_id}/{scope}, SignedHeaders=content-type;host, Signature={signature}"


def _keyed(key: bytes, word: str) -> bytes:
    return hmac.new(key, word.encode(), hashlib.sha256).digest()
