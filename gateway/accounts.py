"""The tables of accounts and of routes: what was bought from operators, and which of it serves whom.

An account keeps the keys that it does not know, unread, for its protocol. Secrets are never among the values: a key
ending in `_env` names an environment variable, whose value is handed out by a method and kept nowhere.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from gateway.codes import Entry, Own, miswritten
from gateway.tomlfile import Table, wrong
from gateway.values import (
    AreaCode,
    Count,
    Environment,
    InnerPath,
    NoneOrMore,
    OpenHours,
    Price,
    Slug,
    Span,
    secret,
)

Operator = Literal["移动", "电信", "联通", "广电"]
OPERATORS: tuple[Operator, ...] = ("移动", "电信", "联通", "广电")
ReceiptRule = Literal["every", "first", "last", "one"]
LONGEST_SENDER = 20
"""Digits of a sender's number that every operator's gate takes."""


def _well_written(own: Own) -> Own:
    for key, (zh, en) in miswritten(own):
        raise wrong(f"{key}：{zh}", f"{key}: {en}")
    return own


OwnCodes = Annotated[Mapping[str, Entry], AfterValidator(_well_written)]


class Carrier(Table):
    """One account with an operator: what was bought. `options` are the keys that its protocol checks by itself.

    `rate` is parts per second over all `links`; `in_flight` is per link. Quotas, the cap and the balance are parts as
    the operator bills them. `receipts`: whether a long text's receipt comes for every part, or only for the first,
    the last or any one of them. `codes`: what this operator means by its codes where that is not in the common table.
    `extensions`: digits behind `service_code` that a text may be sent to -> the window it is for.
    """

    name: Slug
    protocol: Annotated[str, Field(pattern=r"^[a-z_][a-z0-9_]*(\.[a-z_][a-z0-9_]*)*$")]
    operators: Annotated[tuple[Operator, ...], Field(min_length=1)] = OPERATORS
    signature_place: Literal["front", "back", "carrier"] = "front"
    signature_state: Literal["unneeded", "filed", "pending", "refused"] = "unneeded"
    service_code: Annotated[str, Field(pattern=r"^\+?[0-9A-Za-z]{0,20}$")] = ""
    extension: Annotated[int, Field(ge=0, le=18)] = 0
    whitelist: InnerPath | None = None
    content_limit: Count = 500
    receipts: ReceiptRule = "every"
    validity: Span | None = None
    hours: OpenHours = None
    quota_per_day: Count | None = None
    quota_per_month: Count | None = None
    monthly_cap: Count | None = None
    balance: Annotated[int, Field(ge=0)] | None = None
    balance_on: date | None = None
    balance_warning: Count | None = None
    recipient_per_minute: NoneOrMore = 15
    recipient_per_day: NoneOrMore = 50
    same_per_minute: NoneOrMore = 2
    same_per_hour: NoneOrMore = 5
    relogin_seconds: Annotated[float, Field(ge=0, le=3600)] = 0
    price: Price | None = None
    rate: Annotated[float, Field(gt=0)] = 50
    in_flight: Count = 16
    links: Count = 1
    codes: OwnCodes = Field(default_factory=dict)
    extensions: Mapping[Annotated[str, Field(pattern=r"^[0-9]{1,18}$")], Slug] = Field(default_factory=dict)
    options: Mapping[str, Any] = Field(default_factory=dict)

    @model_validator(mode="before")
    @classmethod
    def _gather_options(cls, table: object) -> object:
        if not isinstance(table, dict):
            return table
        own = cls.model_fields.keys() - {"options"}
        options = {key: value for key, value in table.items() if key not in own}
        return {key: value for key, value in table.items() if key in own} | {"options": options}

    @model_validator(mode="after")
    def _balance_has_a_day(self) -> Self:
        if (self.balance is None) != (self.balance_on is None):
            raise wrong("balance 和 balance_on 要一起写", "balance and balance_on go together")
        if self.balance_warning is not None and self.balance is None:
            raise wrong("写了 balance_warning 就要写 balance", "balance_warning needs a balance")
        return self

    @model_validator(mode="after")
    def _extensions_fit(self) -> Self:
        for digits in self.extensions:
            if not self.service_code or len(digits) > self.extension:
                raise wrong(
                    f"扩展 {digits} 不行：service_code 后面只有 {self.extension} 位",
                    f"no extension {digits}: service_code has {self.extension} digits behind it",
                )
        return self

    @model_validator(mode="after")
    def _number_is_not_too_long(self) -> Self:
        if len(self.service_code.lstrip("+")) + self.extension > LONGEST_SENDER:
            raise wrong(
                f"service_code 加上 {self.extension} 位扩展超过 {LONGEST_SENDER} 位",
                f"service_code and {self.extension} digits behind it are more than {LONGEST_SENDER}",
            )
        return self

    def with_secrets(self, environ: Environment | None = None) -> dict[str, Any]:
        """`options`, NAME_env replaced by NAME with the variable's value; Refused if not set."""
        return dict(_revealed(key, value, environ) for key, value in self.options.items())

    def with_secrets_made_up(self) -> dict[str, Any]:
        """`options` as `with_secrets` would give them, for checking only: a secret is some word that fits anywhere."""
        return {
            key.removesuffix("_env"): "0000" if key.endswith("_env") else value for key, value in self.options.items()
        }


def _revealed(key: str, value: Any, environ: Environment | None) -> tuple[str, Any]:
    return (key.removesuffix("_env"), secret(str(value), environ)) if key.endswith("_env") else (key, value)


class Route(Table):
    """Which carriers serve a text, in order. Whatever is named must fit; what is not named is all.

    `prefixes` are of local numbers, "138" or "1705"; `areas` of the person's area code, or else the broadcast's.
    """

    name: Slug
    carriers: Annotated[tuple[str, ...], Field(min_length=1)]
    operators: tuple[Operator, ...] = ()
    prefixes: tuple[Annotated[str, Field(pattern=r"^1\d{0,10}$")], ...] = ()
    areas: tuple[AreaCode, ...] = ()
    categories: tuple[Slug, ...] = ()
