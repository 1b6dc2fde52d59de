"""One suite of behaviour over every carrier, each against the rehearsal operator of its protocol."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from gateway.carriers import Accepted, Concat, Deferred, Rejected, Uncertain
from gateway.errors import Unavailable
from gateway.model import ReceiptState
from gateway.text import parts
from tests.carriers.line_operator import Line
from tests.carriers.modem import Gsm
from tests.carriers.rig import Cmpp2, Cmpp3, Rig, Sgip, SgipCalled, Smgp, SmgpPair, Smpp, SmppPair, texts
from tests.carriers.web_operator import WEB

RIGS: Sequence[type[Rig]] = (Cmpp2, Cmpp3, Sgip, SgipCalled, Smgp, SmgpPair, Smpp, SmppPair, Gsm, Line, *WEB)

LONG = "【枣原镇】" + "关于2026年城乡居民基本养老保险待遇领取资格认证的通知：" * 6 + "联系电话0912-0000500。𠮷😀完"


@pytest.fixture(autouse=True)
def outside(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the example of the carrier author's guide lies."""
    monkeypatch.syspath_prepend(Path(__file__).parents[2] / "docs")


@pytest.fixture(params=RIGS, ids=lambda kind: kind.__name__.lower())
async def rig(request: pytest.FixtureRequest) -> AsyncIterator[Rig]:
    made: Rig = request.param()
    yield made
    await made.stop()


def words(**behaviour: Any) -> dict[str, Any]:
    """No receipt of its own accord, unless it is asked for."""
    return {"receipt_lost": 1.0} | behaviour


# -- out ---------------------------------------------------------------------------------------------------------


async def test_accepted_once_with_a_reference_per_part(rig: Rig) -> None:
    await rig.start(**words())
    carrier = await rig.opened(in_flight=16)
    given = texts(16)
    carrier.submit(given)
    answers = await rig.desk.answered(16)
    assert all(isinstance(answer, Accepted) and len(answer.refs) == 1 for answer in answers)
    assert sorted(answer.text.key for answer in answers) == list(range(16))
    assert len({answer.refs for answer in answers if isinstance(answer, Accepted)}) == 16
    assert rig.bodies() == {text.phone: [text.body] for text in given}


async def test_a_long_text_arrives_whole_and_has_a_reference_per_part(rig: Rig) -> None:
    await rig.start(**words())
    carrier = await rig.opened()
    count = parts(LONG, carrier.cutting(carrier.settings))
    carrier.submit(texts(2, LONG, count))
    for answer in await rig.desk.answered(2):
        assert isinstance(answer, Accepted)
        assert len(set(answer.refs)) == count
    assert rig.bodies() == {"+8613800130000": [LONG], "+8613800130001": [LONG]}


async def test_rejected(rig: Rig) -> None:
    await rig.start(**words(reject=1.0))
    carrier = await rig.opened()
    carrier.submit(texts(3))
    for answer in await rig.desk.answered(3):
        assert isinstance(answer, Rejected)
        assert answer.error and not answer.refs
    assert not rig.bodies()
    assert carrier.free == carrier.capacity


async def test_a_throttled_text_leaves_later_and_once(rig: Rig) -> None:
    await rig.start(**words(rate=30.0))
    carrier = await rig.opened(in_flight=8)
    carrier.submit(texts(8))
    answers = await rig.desk.answered(8)
    assert all(isinstance(answer, Accepted | Deferred) for answer in answers)
    taken = {answer.text.phone for answer in answers if isinstance(answer, Accepted)}
    assert rig.bodies() == {phone: [texts(1)[0].body] for phone in taken}


async def test_a_cut_link_leaves_what_was_unanswered_uncertain(rig: Rig) -> None:
    await rig.start(**words())
    carrier = await rig.opened(in_flight=4)
    rig.hold()
    count = min(4, carrier.free)  # some take no more than one
    carrier.submit(texts(count))
    await rig.desk.until(lambda: rig.most_unanswered == count)
    rig.drop()
    answers = await rig.desk.answered(count)
    assert len(answers) == count and all(isinstance(answer, Uncertain) for answer in answers)
    assert carrier.free == 0 or carrier.free == carrier.capacity  # one that opens links on demand may open them again


async def test_no_answer_in_time_is_uncertain(rig: Rig) -> None:
    await rig.start(**words())
    carrier = await rig.opened(answer_seconds=0.2)
    rig.hold()
    count = min(2, carrier.free)
    carrier.submit(texts(count))
    assert all(isinstance(answer, Uncertain) for answer in await rig.desk.answered(count))
    rig.release()  # what comes too late is answered for already
    await rig.desk.until(lambda: carrier.free == carrier.capacity or rig.desk.failures)
    assert len(rig.desk.answers) == count


async def test_nobody_there_is_unavailable(rig: Rig) -> None:
    await rig.start(**words())
    await rig.close()
    with pytest.raises(Unavailable):
        await rig.opened()
    assert not rig.desk.answers


async def test_in_flight_is_never_above_its_limit(rig: Rig) -> None:
    await rig.start(**words(latency=0.01))
    carrier = await rig.opened(in_flight=5)
    given = texts(60)
    while given:
        batch, given = given[: carrier.free], given[carrier.free :]
        if batch:
            carrier.submit(batch)
        await rig.desk.until(lambda: carrier.free)
    await rig.desk.answered(60)
    assert rig.most_unanswered == carrier.capacity <= 5
    assert sum(map(len, rig.bodies().values())) == 60


async def test_a_text_longer_than_the_window_leaves_within_it(rig: Rig) -> None:
    await rig.start(**words(latency=0.005))
    carrier = await rig.opened(in_flight=2)
    carrier.submit(texts(1, LONG, parts(LONG, carrier.cutting(carrier.settings))))
    assert isinstance((await rig.desk.answered(1))[0], Accepted)
    assert rig.most_unanswered <= 2
    assert rig.bodies() == {"+8613800130000": [LONG]}


async def test_an_orderly_end_leaves_nothing_in_flight(rig: Rig) -> None:
    await rig.start(**words(latency=0.05))
    carrier = await rig.opened()
    count = min(4, carrier.free)
    carrier.submit(texts(count))
    await carrier.close()
    assert [type(answer) for answer in rig.desk.answers] == [Accepted] * count
    assert carrier.free == 0
    assert not rig.desk.failures
    await carrier.close()  # twice does nothing


# -- back --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("delivered", [True, False])
async def test_a_receipt_finds_its_part(rig: Rig, delivered: bool) -> None:
    await rig.start(**words())
    carrier = await rig.opened()
    count = parts(LONG, carrier.cutting(carrier.settings))
    carrier.submit([*texts(1), *texts(1, LONG, count, first=1)])
    answers = {answer.text.key: answer for answer in await rig.desk.answered(2)}
    rig.report(answers[0], delivered=delivered)
    rig.report(answers[1], delivered=delivered)
    if delivered and not rig.tells_of_long:
        answers.pop(1)
        await rig.desk.until(lambda: not rig.unacknowledged)
    wanted = {ref for answer in answers.values() for ref in answer.refs}  # type: ignore[union-attr]
    await rig.desk.until(lambda: len(rig.desk.receipts) == len(wanted))
    said = {receipt.ref: receipt for receipt in rig.desk.receipts}
    assert set(said) == wanted
    for receipt in said.values():
        assert receipt.state is (ReceiptState.DELIVERED if delivered else ReceiptState.UNDELIVERED)
        assert receipt.phone in ("+8613800130000", "+8613800130001", "")
        assert (receipt.error is None) is delivered


async def test_early_and_repeated_receipts_are_told_as_they_come(rig: Rig) -> None:
    await rig.start(receipt_early=1.0, receipt_twice=1.0)
    carrier = await rig.opened()
    carrier.submit(texts(3))
    answers = await rig.desk.answered(3)
    await rig.desk.until(lambda: len(rig.desk.receipts) == 6)
    refs = [ref for answer in answers for ref in answer.refs]  # type: ignore[union-attr]
    assert sorted(receipt.ref for receipt in rig.desk.receipts) == sorted(refs * 2)


async def test_a_text_to_us(rig: Rig) -> None:
    await rig.start(**words())
    await rig.opened()
    rig.say("+8613800130009", "我妈76了 养老认证刷不上脸")
    await rig.desk.until(lambda: rig.desk.received)
    [text] = rig.desk.received
    assert (text.phone, text.body, text.concat) == ("+8613800130009", "我妈76了 养老认证刷不上脸", None)
    await rig.desk.until(lambda: not rig.unacknowledged)


async def test_a_long_text_to_us_comes_in_parts_that_join(rig: Rig) -> None:
    await rig.start(**words())
    await rig.opened()
    rig.say("+8613800130009", LONG)
    wanted = parts(LONG, rig.carriers[0].cutting(rig.carriers[0].settings))
    await rig.desk.until(lambda: len(rig.desk.received) in (1, wanted) and not rig.unacknowledged)
    pieces = sorted(rig.desk.received, key=lambda text: text.concat or Concat(0, 1, 1))
    assert "".join(text.body for text in pieces) == LONG
    assert [text.concat and text.concat.number for text in pieces] in ([None], list(range(1, wanted + 1)))


async def test_stored_before_acknowledged(rig: Rig) -> None:
    await rig.start(**words())
    await rig.opened()
    rig.desk.refusals = 1
    rig.say("+8613800130009", "查询")
    await rig.desk.until(lambda: not rig.desk.refusals)
    assert rig.unacknowledged == 1 and not rig.desk.received
    await rig.desk.until(lambda: rig.desk.received and not rig.unacknowledged)


async def test_what_was_not_acknowledged_comes_again_over_the_next_link(rig: Rig) -> None:
    await rig.start(**words())
    carrier = await rig.opened()
    rig.desk.refusals = 1_000
    rig.say("+8613800130009", "查询")
    await rig.desk.until(lambda: rig.desk.refusals < 1_000)
    rig.drop()
    await carrier.close()
    rig.desk.refusals = 0
    await rig.opened()
    await rig.desk.until(lambda: rig.desk.received)
    assert {text.body for text in rig.desk.received} == {"查询"}


# -- links -------------------------------------------------------------------------------------------------------


async def test_a_failed_carrier_opens_again(rig: Rig) -> None:
    await rig.start(**words())
    carrier = await rig.opened()
    rig.drop()
    await rig.desk.until(lambda: rig.desk.failures or carrier.free)
    await carrier.close()
    again = await rig.opened()
    again.submit(texts(1))
    assert isinstance((await rig.desk.answered(1))[-1], Accepted)


async def test_neither_secret_nor_number_is_logged(
    rig: Rig, caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level(logging.DEBUG)
    await rig.start(**words())
    carrier = await rig.opened()
    carrier.submit(texts(2))
    rig.say("+8613800130009", "我要投诉")
    await rig.desk.until(lambda: rig.desk.received and len(rig.desk.answers) == 2)
    rig.drop()
    await rig.desk.until(lambda: rig.desk.failures or carrier.links_up[0] == 0 or carrier.free)
    said = caplog.text + "".join(capsys.readouterr())
    assert rig.secret not in said
    assert "1380013" not in said and "我要投诉" not in said
