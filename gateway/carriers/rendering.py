"""What the providers that render registered templates have in common, beside how they are asked.

Policy
- The provider adds the signature in front; an account may have it in our texts too, so that it shares a route with
  others: it is taken off, and the text that people read is the same.
- Calls are JSON and not signed by the provider: the address they go to ends in our token. Beside entries that can be
  read those that cannot are passed over, for they would be told again for ever.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone
from typing import Any, ClassVar

from gateway.carriers import Call, Receipt, Received, Reply, Text
from gateway.carriers.addresses import address_problem, fits
from gateway.carriers.registered import Fitted, fit, objection, template_problems, unsigned
from gateway.carriers.verdicts import Batch, one_ref, parsed
from gateway.carriers.web import WebCarrier, WebSettings

CHINA = timezone(timedelta(hours=8))


@dataclass(frozen=True, kw_only=True)
class RenderingSettings(WebSettings):
    """`templates`: the provider's code -> the wording registered with it; `sign_name` without 【】."""

    PLACEHOLDER: ClassVar[str] = ""

    sign_name: str
    templates: Mapping[str, str]
    endpoint: str = ""
    longest_parameter: int = 35
    signature_place: str = "carrier"

    def problems(self) -> Iterator[tuple[str, str, str]]:
        yield from super().problems()
        if said := address_problem(self.endpoint):
            yield ("endpoint", *said)
        for said in template_problems(self.templates, self.PLACEHOLDER):
            yield ("templates", *said)
        if self.signature_place == "back":
            yield "signature_place", "服务商把签名加在前面", "the provider puts the signature in front"


class RenderingCarrier(WebCarrier):
    """A subclass says what it is told by calls, and what it answers."""

    settings: RenderingSettings
    THANKS: ClassVar[str]
    _newest: tuple[str, Fitted | None] | None = None

    @property
    def address(self) -> str:
        return self.settings.endpoint

    def fitted(self, text: Text) -> Fitted | None:
        """The template of a text and its values; texts of one notice come one after another and share them."""
        if self._newest is None or self._newest[0] != text.body:
            s = self.settings
            found = fit(s.templates, s.PLACEHOLDER, unsigned(text.body, s.sign_name), s.longest_parameter)
            self._newest = (text.body, found)
        return self._newest[1]

    def refs(self, batch: Batch, text: Text) -> tuple[str, ...]:
        return one_ref(batch.ref, text)

    @classmethod
    def objection(cls, settings: Any, body: str) -> tuple[str, str] | None:
        own = unsigned(body, settings.sign_name)
        return objection(settings.templates, settings.PLACEHOLDER, own, settings.longest_parameter)

    @classmethod
    def called(cls, settings: Any, call: Call, now: datetime) -> Reply:
        if not fits(settings.callback_token, call.token):
            return Reply((), 404)
        told = parsed(call.body)
        if not isinstance(told, list | dict):
            return Reply((), 400)
        each = told if isinstance(told, list) else [told]
        items = [item for one in each if isinstance(one, dict) and (item := cls.item(one, now)) is not None]
        if each and not items:
            return Reply((), 400)
        return Reply(tuple(items), 200, cls.THANKS, "application/json")

    @classmethod
    @abstractmethod
    def item(cls, one: Mapping[str, Any], now: datetime) -> Receipt | Received | None:
        """What one entry of a call tells; None where it cannot be read."""


def on_chinese_clocks(said: object, now: datetime) -> datetime:
    """ "2017-01-01 00:00:00" or "20170101000000"; now where it is neither."""
    digits = "".join(char for char in str(said) if char.isdigit() and char.isascii())
    try:
        return datetime.strptime(digits, "%Y%m%d%H%M%S").replace(tzinfo=CHINA).astimezone(UTC)
    except ValueError:
        return now
