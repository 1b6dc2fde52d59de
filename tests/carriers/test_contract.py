"""gateway.carriers: settings from a table, and what a carrier may leave to the contract."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

import pytest

from gateway import carriers
from gateway.carriers import Call, Reply, simulator
from gateway.errors import Invalid


class Fancy(simulator.Carrier):
    """A carrier whose settings are of every kind."""

    @dataclass(frozen=True, kw_only=True)
    class Settings(carriers.Carrier.Settings):  # type: ignore[assignment]
        host: str
        secret: str
        tries: int = 3
        pause: float = 1.0
        tls: bool = False
        words: tuple[str, ...] = ()
        names: Mapping[str, str] | None = None

        def problems(self) -> Iterator[tuple[str, str, str]]:
            if self.tries < 1:
                yield "tries", "至少 1", "at least 1"


ALL = {"host": "h.invalid", "secret": "s", "pause": 2, "words": ["a", "b"], "names": {"a": "b"}, "tls": True}


def test_settings_take_their_types() -> None:
    made = carriers.settings_of(Fancy, "main", ALL)
    assert (made.pause, made.words, made.names, made.tls, made.tries) == (2.0, ("a", "b"), {"a": "b"}, True, 3)
    assert isinstance(made.pause, float)


@pytest.mark.parametrize(
    ("changed", "key", "said"),
    [
        ({"tries": "3"}, "tries", "应为整数"),
        ({"tries": True}, "tries", "应为整数"),
        ({"tls": 1}, "tls", "应为true 或 false"),
        ({"words": "a"}, "words", "应为列表"),
        ({"names": []}, "names", "应为表"),
        ({"tries": 0}, "tries", "至少 1"),
        ({"hosts": "h"}, "hosts", "没有这个设置"),
    ],
)
def test_a_wrong_setting_is_named(changed: dict[str, object], key: str, said: str) -> None:
    with pytest.raises(Invalid) as caught:
        carriers.settings_of(Fancy, "main", ALL | changed)
    [problem] = caught.value.problems
    assert (problem.key, problem.file) == (f"carriers.main.{key}", "config.toml")
    assert said in problem.zh


def test_every_missing_setting_is_named_at_once() -> None:
    with pytest.raises(Invalid) as caught:
        carriers.settings_of(Fancy, "main", {})
    assert [problem.key for problem in caught.value.problems] == ["carriers.main.host", "carriers.main.secret"]


def test_a_carrier_without_callbacks_has_none() -> None:
    call = Call("POST", {}, {}, b"")
    assert simulator.Carrier.called(simulator.SimulatorSettings(), call, datetime.now(UTC)) == Reply((), 404)
    assert simulator.Carrier.objection(simulator.SimulatorSettings(), "【枣原镇】你好") is None


@pytest.mark.parametrize("protocol", ["web", "nothing", "json.decoder"])
def test_a_module_without_a_carrier_is_no_protocol(protocol: str) -> None:
    with pytest.raises(ModuleNotFoundError):
        carriers.load(protocol)
