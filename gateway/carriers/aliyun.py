"""Alibaba Cloud SMS (SendSms, SendBatchSms of 2017-05-25), requests signed by ACS3-HMAC-SHA256.

Policy
- Up to 100 texts of one template share a request. It is answered as a whole; where one text may be the reason of a
  refusal each is sent again by itself, for a refused request sent nothing.
- References are made of the OutId that we choose per request and of the number, so that a text of which no answer came
  has one too; receipts (SmsReport) bring both back. Texts come by SmsUp.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import Any, ClassVar
from urllib.parse import quote

from gateway.carriers import Accepted, Receipt, Received, Rejected, Text
from gateway.carriers.registered import NAMED
from gateway.carriers.rendering import RenderingCarrier, RenderingSettings, on_chinese_clocks
from gateway.carriers.verdicts import (
    Answered,
    Apart,
    Batch,
    Job,
    Refusal,
    Request,
    Verdict,
    Wait,
    judged,
    one_ref,
    unread,
)
from gateway.model import ReceiptState
from gateway.phone import local, parse

VERSION = "2017-05-25"
ALGORITHM = "ACS3-HMAC-SHA256"
BATCH = 100

SHARED = frozenset({"isv.SMS_TEMPLATE_ILLEGAL", "isv.SMS_CONTENT_MISMATCH_TEMPLATE_TYPE"})
"""Codes that are about what all texts of a request have in common; so are those about the signature."""


@dataclass(frozen=True, kw_only=True)
class AliyunSettings(RenderingSettings):
    """Placeholders are written ${name}, as in the provider's console."""

    PLACEHOLDER: ClassVar[str] = NAMED

    access_key_id: str
    access_key_secret: str
    endpoint: str = "https://dysmsapi.aliyuncs.com"


class Carrier(RenderingCarrier):
    """One access key and signature."""

    Settings = AliyunSettings  # type: ignore[assignment]
    settings: AliyunSettings
    most = BATCH
    THANKS = '{"code":0,"msg":"ok"}'

    def prepare(self, text: Text) -> Job | Rejected:
        fitted = self.fitted(text)
        return Rejected(text, "TEMPLATE") if fitted is None else Job(text, fitted.code, fitted.values)

    def request(self, batch: Batch) -> Request:
        return signed(self.settings, *self._call(batch), self.links.now(), secrets.token_hex(16))

    def _call(self, batch: Batch) -> tuple[str, dict[str, str], dict[str, str]]:
        """The action, what goes into its address and what into its body."""
        sign, phones = self.settings.sign_name, [local(text.phone) for text in batch.texts]
        own = {"OutId": batch.ref, "TemplateCode": str(batch.jobs[0].key)}
        values = [dict(job.params) for job in batch.jobs]
        if len(phones) == 1:
            alone = {"PhoneNumbers": phones[0], "SignName": sign, "TemplateParam": _json(values[0])}
            return "SendSms", own | alone, {}
        many = {"PhoneNumberJson": phones, "SignNameJson": [sign] * len(phones), "TemplateParamJson": values}
        return "SendBatchSms", own, {name: _json(value) for name, value in many.items()}

    def read(self, batch: Batch, answered: Answered) -> Verdict:
        told = answered.json()
        code = told.get("Code") if isinstance(told, dict) else None
        if not isinstance(code, str):
            return unread(batch.texts, answered, partial(self.refs, batch))
        if code == "OK":
            return [Accepted(text, self.refs(batch, text)) for text in batch.texts]
        meaning = self.meaning("aliyun", code)
        verdict = judged(meaning, batch, partial(self.refs, batch))
        alone = isinstance(verdict, Wait | Refusal) or meaning.kind in ("signature", "uncertain") or code in SHARED
        return verdict if alone or len(batch.jobs) == 1 else Apart(code)

    def refs(self, batch: Batch, text: Text) -> tuple[str, ...]:
        return one_ref(ref_of(batch.ref, text.phone), text)

    @classmethod
    def item(cls, one: Mapping[str, Any], now: datetime) -> Receipt | Received | None:
        said = str(one.get("phone_number") or "")
        phone = parse(said).e164 or ""
        if "success" in one and (out := str(one.get("out_id") or "")):
            good = one["success"] in (True, "true")
            state = ReceiptState.DELIVERED if good else ReceiptState.UNDELIVERED
            error = None if good else str(one.get("err_code") or "") or None
            return Receipt(ref_of(out, phone), phone, state, error, on_chinese_clocks(one.get("report_time"), now))
        if "content" not in one or not said:
            return None
        ref, to = str(one.get("sequence_id") or ""), str(one.get("dest_code") or "")
        return Received(ref, phone or said, to, str(one["content"]), on_chinese_clocks(one.get("send_time"), now))


def ref_of(out_id: str, phone: str) -> str:
    """Of one text of a request, as its receipt can make it too."""
    both = f"{out_id} {phone}".encode("utf-8", "surrogatepass")
    return f"{out_id}-{hashlib.sha256(both).hexdigest()[:12]}"


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


# -- signature version 3 ---------------------------------------------------------------------------------------


def signed(
    settings: AliyunSettings, action: str, query: Mapping[str, str], form: Mapping[str, str], at: datetime, nonce: str
) -> Request:
    """A call in RPC style, `form` as its body."""
    line, body = encoded(query), encoded(form).encode()
    headers = {
        "host": settings.endpoint.partition("://")[2].rstrip("/"),
        "x-acs-action": action,
        "x-acs-content-sha256": hashlib.sha256(body).hexdigest(),
        "x-acs-date": f"{at.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}",
        "x-acs-signature-nonce": nonce,
        "x-acs-version": VERSION,
        **({"content-type": "application/x-www-form-urlencoded"} if body else {}),
    }
    own = authorization("POST", line, headers, settings.access_key_id, settings.access_key_secret)
    sent = {**headers, "authorization": own, "accept": "application/json"}
    return Request("POST", f"{settings.endpoint.rstrip('/')}/?{line}", sent, body or None)


def encoded(values: Mapping[str, str]) -> str:
    """In canonical form: sorted by name, spaces as %20."""
    return "&".join(f"{name}={quote(values[name], safe='~')}" for name in sorted(values))


def authorization(method: str, query: str, headers: Mapping[str, str], key: str, secret: str) -> str:
    """The header over all of `headers`, names in lower case; `query` is canonical: sorted and encoded."""
    names = ";".join(sorted(headers))
    lines = "".join(f"{name}:{headers[name].strip()}\n" for name in sorted(headers))
    canonical = f"{method}\n/\n{query}\n{lines}\n{names}\n{headers['x-acs-content-sha256']}"
    to_sign = f"{ALGORITHM}\n{hashlib.sha256(canonical.encode()).hexdigest()}"
    signature = hmac.new(secret.encode(), to_sign.encode(), hashlib.sha256).hexdigest()
    return f"{ALGORITHM} Credential={key},SignedHeaders={names},Signature={signature}"
