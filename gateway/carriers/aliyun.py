"""Alibaba Cloud SMS (SendSms, SendBatchSms of 2017-05-25), requests signed by ACS3-HMAC-SHA256.

Policy
- The provider renders registered templates and adds the signature; the text is taken apart for it (`registered`).
- Up to 100 texts of one template share a request. It is answered as a whole; where one text may be the reason of a
  refusal each is sent again by itself, for a refused request sent nothing.
- References are the OutId that we choose per request, so that a text of which no answer came has one too. Receipts
  bring it back with the number, and come once per text: the account's `receipts` is "one".
- Receipts (SmsReport) and texts (SmsUp) are not signed: the address they go to ends in our token.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import secrets
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone
from typing import Any, ClassVar
from urllib.parse import quote

from gateway.carriers import Accepted, Call, Receipt, Received, Rejected, Reply, Text
from gateway.carriers.addresses import address_problem, fits
from gateway.carriers.registered import NAMED, fit, objection, template_problems, unsigned
from gateway.carriers.verdicts import Answered, Apart, Batch, Job, Request, Verdict, judged, one_ref, parsed, unread
from gateway.carriers.web import WebCarrier, WebSettings
from gateway.model import ReceiptState
from gateway.phone import local, parse

VERSION = "2017-05-25"
ALGORITHM = "ACS3-HMAC-SHA256"
BATCH = 100
CHINA = timezone(timedelta(hours=8))

KINDS: Mapping[str, str] = {
    "isv.BUSINESS_LIMIT_CONTROL": "quota",
    "isv.DAY_LIMIT_CONTROL": "quota",
    "isv.MONTH_LIMIT_CONTROL": "quota",
    "isv.AMOUNT_NOT_ENOUGH": "account",
    "isv.OUT_OF_SERVICE": "account",
    "isv.PRODUCT_UN_SUBSCRIPT": "account",
    "isv.PRODUCT_UNSUBSCRIBE": "account",
    "isv.ACCOUNT_NOT_EXISTS": "account",
    "isv.ACCOUNT_ABNORMAL": "account",
    "isv.DENY_IP_RANGE": "account",
    "isp.RAM_PERMISSION_DENY": "account",
    "SignatureDoesNotMatch": "account",
    "SignatureNonceUsed": "rate",
    "InvalidTimeStamp.Expired": "account",
    "InvalidAccessKeyId.NotFound": "account",
    "InvalidAccessKeyId.Inactive": "account",
    "Forbidden.RAM": "account",
    "NoPermission": "account",
    "Throttling": "rate",
    "Throttling.User": "rate",
    "Throttling.Api": "rate",
    "ServiceUnavailable": "rate",
    "isp.SYSTEM_ERROR": "uncertain",
    "isp.UNKNOWN": "uncertain",
    "isp.GATEWAY_ERROR": "uncertain",
    "InternalError": "uncertain",
}
"""Kinds of codes; one that is not here is the text's own fault."""

WORDING = frozenset({"isv.SMS_SIGNATURE_ILLEGAL", "isv.SMS_TEMPLATE_ILLEGAL", "isv.SMS_SIGNATURE_SCENE_ILLEGAL"})
"""Codes that are about what all texts of a request have in common."""


@dataclass(frozen=True, kw_only=True)
class AliyunSettings(WebSettings):
    """`templates`: template code -> its registered wording with ${placeholders}; `sign_name` without 【】."""

    access_key_id: str
    access_key_secret: str
    sign_name: str
    templates: Mapping[str, str]
    endpoint: str = "https://dysmsapi.aliyuncs.com"
    longest_parameter: int = 35
    receipts: str = "one"
    signature_place: str = "carrier"

    def problems(self) -> Iterator[tuple[str, str, str]]:
        yield from super().problems()
        if said := address_problem(self.endpoint):
            yield ("endpoint", *said)
        for said in template_problems(self.templates, NAMED):
            yield ("templates", *said)
        if self.receipts != "one":
            yield "receipts", "应为 one：每条短信只有一个回执", "should be one: there is one receipt per text"
        if self.signature_place == "back":
            yield "signature_place", "服务商把签名加在前面", "the provider puts the signature in front"


class Carrier(WebCarrier):
    """One access key and signature."""

    Settings = AliyunSettings  # type: ignore[assignment]
    settings: AliyunSettings
    most = BATCH

    @property
    def address(self) -> str:
        return self.settings.endpoint

    def prepare(self, text: Text) -> Job | Rejected:
        s = self.settings
        fitted = fit(s.templates, NAMED, unsigned(text.body, s.sign_name), s.longest_parameter)
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
            return unread(batch.texts, answered, self._refs(batch))
        if code == "OK":
            return [Accepted(text, one_ref(batch.ref, text)) for text in batch.texts]
        kind = KINDS.get(code, "fault")
        if kind in ("fault", "quota") and code not in WORDING and len(batch.jobs) > 1:
            return Apart(code)
        return judged(kind, code, batch, self._refs(batch))

    def refs(self, batch: Batch, text: Text) -> tuple[str, ...]:
        return one_ref(batch.ref, text)

    def _refs(self, batch: Batch) -> Callable[[Text], tuple[str, ...]]:
        return lambda text: self.refs(batch, text)

    @classmethod
    def objection(cls, settings: Any, body: str) -> tuple[str, str] | None:
        own = unsigned(body, settings.sign_name)
        return objection(settings.templates, NAMED, own, settings.longest_parameter)

    TOLD: ClassVar[str] = '{"code":0,"msg":"ok"}'

    @classmethod
    def called(cls, settings: Any, call: Call, now: datetime) -> Reply:
        if not fits(settings.callback_token, call.token):
            return Reply((), 404)
        told = parsed(call.body)
        if not isinstance(told, list):
            return Reply((), 400)
        return Reply(tuple(_items(told, now)), 200, cls.TOLD, "application/json")


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


# -- what comes in ---------------------------------------------------------------------------------------------


def _items(told: Sequence[Any], now: datetime) -> Iterator[Receipt | Received]:
    """What can be read of a call's array; the rest of it would be told again for ever and is passed over."""
    for one in told:
        if not isinstance(one, dict):
            continue
        phone = parse(str(one.get("phone_number", ""))).e164 or ""
        if "success" in one and (ref := str(one.get("out_id") or one.get("biz_id") or "")):
            yield _receipt(one, ref, phone, now)
        elif "content" in one and phone:
            ref, to = str(one.get("sequence_id") or ""), str(one.get("dest_code") or "")
            yield Received(ref, phone, to, str(one["content"]), _moment(one.get("send_time"), now))


def _receipt(one: Mapping[str, Any], ref: str, phone: str, now: datetime) -> Receipt:
    good = one["success"] in (True, "true")
    state = ReceiptState.DELIVERED if good else ReceiptState.UNDELIVERED
    error = None if good else str(one.get("err_code") or "") or None
    return Receipt(ref, phone, state, error, _moment(one.get("report_time"), now))


def _moment(said: object, now: datetime) -> datetime:
    """ "2017-01-01 00:00:00" or "20170101000000", on Chinese clocks; now where it is neither."""
    digits = "".join(char for char in str(said) if char.isdigit() and char.isascii())
    try:
        return datetime.strptime(digits, "%Y%m%d%H%M%S").replace(tzinfo=CHINA).astimezone(UTC)
    except ValueError:
        return now


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
