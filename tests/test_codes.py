"""Every code of the protocols' and the providers' tables has the class that those give it; the data are checked."""

from __future__ import annotations

import re
import time
from importlib.resources import files
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from gateway import codes
from gateway.accounts import Carrier
from gateway.cli.codes import page
from gateway.codes import Entry, explain
from gateway.errors import Invalid

FIELD = """
cmpp DELIVRD delivered | sgip 0:0 delivered | cmpp ACCEPTD pending ? | cmpp ML:0001 ML:9999 pending
sgip 1:0 1:7 1: pending
cmpp EXPIRED MI:0001 MI:0029 absent | cmpp UNDELIV fault | cmpp MK:0001 dead | cmpp MK:0000 MK:0012 MK:0013 dead ?
cmpp MK:0005 suspended | cmpp MK:0008 MK:0009 MK:0010 MK:0024 MK:0029 absent | cmpp MK:0017 MK:0208 MK:0209 absent ?
cmpp MK:0115 MK:0118 MK:1004 content ? | cmpp DELETED MJ:0001 fault | cmpp UNKNOWN MM:0001 uncertain
cmpp MM:0064 blocked ? | cmpp REJECTD MN:0017 fault | cmpp MN:0001 MN:0012 MN:0013 MN:0051 dead
cmpp MN:0000 MN:0174 MN:0999 content | cmpp MN:0099 content ?
cmpp MA:0051 MA:0052 MA:0053 CA:0051 CA:0053 DA:0052 IA:0051 IA:0053 fault
cmpp MA:0054 MA:0073 CA:0054 CA:0073 DA:0054 DA:0073 IA:0054 IA:0073 uncertain | cmpp MA:0001 MA:0006 MA:0039 fault ?
cmpp SA:0001 SB:0999 fault | cmpp MB:0008 MB:0019 MB:0088 MB:1026 MB:1042 MB:1070 rate | cmpp MB:1041 rate ?
cmpp MB:1043 MB:1051 dead | cmpp MB:1048 MB:1049 MB:1050 NP:1243 route ? | cmpp MB:1076 account
cmpp MB:1077 blocked | cmpp MB:1078 route | cmpp MB:1079 MB:1083 content | cmpp MC:0055 IC:0001 uncertain ?
cmpp CB:0001 CB:0053 dead | cmpp CB:0005 CB:0007 suspended | cmpp DB:0100 DB:0101 dead
cmpp DB:0102 DB:0103 suspended | cmpp DB:0105 DB:0110 DB:0114 account | cmpp DB:0115 DB:0119 blocked ?
cmpp DB:0139 hours | cmpp DB:0142 DB:0143 quota | cmpp DB:0140 account ?
cmpp DB:0141 DB:0144 DB:0145 DB:0146 DB:0164 blocked | cmpp DB:0151 signature | cmpp DB:0309 content
cmpp DB:0318 dead ? | cmpp IB:0001 ID:0013 IB:0010 account | cmpp IB:0008 ID:0008 rate | cmpp IB:0011 IB:0012 account ?
cmpp ID:0043 route ? | cmpp ID:0044 hours | cmpp ID:0045 ID:0049 quota | cmpp ID:0069 ID:0097 ID:0141 blocked
cmpp ID:0096 account | cmpp ID:0076 ID:0318 content | cmpp ID:0111 signature ?
sgip 2:1 2:12 2:67 dead | sgip 2:5 suspended | sgip 2:4 2:53 2:54 absent | sgip 2:15 2:55 2:64 absent ?
sgip 2:43 2:79 absent | sgip 2:69 blocked | sgip 2:222 content | sgip 2:88 rate ? | sgip 2:33 rate
smgp UNDELIV:640 UNDELIV:765 UNDELIV:771 dead | smgp UNDELIV:705 UNDELIV:869 suspended
smgp UNDELIV:602 EXPIRED:702 UNDELIV:802 absent | smgp UNDELIV:601 dead ? | smgp UNDELIV:612 660 713 uncertain ?
cmpp BLACK MBBLACK DBBLACK TUIDING BWLIST blocked | smpp KEYWORD AUDIT:F NOPASS content
smgp LIMIT BEYONDN MILIMIT rate | sgip GB:0004 XA:0003 SC:0018 signature
"""
"""The providers' tables; `?` where they disagree."""

RECEIPTS = """
sgip 2:21 2:22 2:23 route | sgip 2:24 account | sgip 2:25 2:26 absent | sgip 2:27 2:28 2:30 2:31 2:32 fault
sgip 2:29 dead | sgip 2:200 2 2:0 2:00 fault | smgp UNDELIV:000 UNDELIV fault | smgp ACCEPTD:000 pending ?
smgp DELIVRD:000 delivered | smgp EXPIRED:001 UNDELIV:002 UNDELIV:007 absent | smgp UNDELIV:003 UNDELIV:006 fault
smgp UNDELIV:004 dead ? | smgp UNDELIV:005 blocked | smgp UNDELIV:008 UNDELIV:009 UNDELIV:010 fault
smgp UNDELIV:999 uncertain | smpp ENROUTE pending | smpp DELETED REJECTD UNDELIV fault | smpp UNKNOWN uncertain
gsm 0x00 delivered | gsm 0x01 uncertain | gsm 0x02 fault | gsm 0x20 0x21 0x22 0x23 0x24 0x25 0x2F pending
gsm 0x40 0x41 0x42 0x43 0x44 0x47 0x48 0x49 0x4F fault | gsm 0x45 route | gsm 0x46 0x60 0x6F absent
"""

SUBMITS = """
cmpp 0 pending | cmpp 1 2 3 4 6 13 99 108 fault | cmpp 5 7 9 10 11 12 account | cmpp 8 rate | cmpp2 8 rate
cmpp2 9 13 fault | cmpp3 9 account
sgip 1 2 3 4 24 account | sgip 5 6 7 8 9 10 27 28 30 31 32 fault | sgip 11 33 rate | sgip 21 22 23 route
sgip 25 26 absent | sgip 29 dead
smgp 1 rate | smgp 10 11 12 30 31 34 35 36 37 38 41 42 44 45 47 57 60 72 128 255 fault
smgp 20 21 22 2 32 33 40 43 46 48 49 56 59 73 76 account | smgp 39 58 route | smgp 74 hours | smgp 75 quota
smpp 0x01 0x02 0x03 0x04 0x06 0x07 0x08 0x0B 0x0C 0x11 0x13 0x33 0x34 0x40 0x42 0x43 0x44 0x45 fault
smpp 0x05 0x0A 0x0D 0x0E 0x0F 0x15 0x48 0x49 0x50 0x51 account | smpp 0x14 0x58 rate
smpp 0x53 0x54 0x55 0x61 0x62 0x63 0x64 0x65 0x66 0x67 0xC0 0xC4 0xFE 0xFF 0x400 0x4FF fault
gsm CMS:1 dead | gsm CMS:8 CMS:10 CMS:29 CMS:50 CMS:330 account | gsm CMS:17 CMS:21 CMS:38 CMS:41 CMS:47 fault
gsm CMS:22 CMS:42 CMS:192 rate | gsm CMS:27 absent | gsm CMS:28 account ? | gsm CMS:30 dead ?
gsm CMS:69 CMS:81 CMS:95 CMS:99 CMS:111 CMS:127 CMS:128 CMS:194 CMS:195 CMS:208 CMS:211 fault | gsm CMS:193 account
gsm CMS:196 blocked ? | gsm CMS:300 CMS:301 CMS:302 CMS:303 CMS:304 CMS:305 CMS:314 CMS:320 CMS:321 CMS:322 fault
gsm CMS:310 CMS:311 CMS:312 CMS:313 CMS:315 CMS:316 CMS:317 CMS:318 account
gsm CMS:331 CMS:340 CMS:500 CMS:512 CMS:513 CMS:600 fault
gsm CME:3 CME:4 CME:14 CME:20 CME:21 CME:22 CME:30 CME:100 CME:515 fault
gsm CMS:332 CME:31 uncertain
gsm CME:10 CME:11 CME:12 CME:13 CME:15 CME:16 CME:32 account
"""

LOGINS = """
cmpp 1 stop | cmpp 2 3 4 stop | cmpp 5 relogin | cmpp2 3 stop | sgip 1 4 5 stop | sgip 2 3 11 relogin
smgp 1 2 relogin | smgp 10 20 21 22 stop | smpp 0x0D 0x0E 0x0F stop | smpp 0x05 0x08 0x14 0x58 relogin
gsm CME:10 CME:12 CMS:311 stop | gsm CMS:300 CMS:302 relogin
"""

DONE = """
cmpp DELIVRD UNDELIV MK:0005 MM:0001 MA:0054 MN:0001 CB:0001 DB:0318 final
cmpp ACCEPTD ML:0002 MK:1004 DB:0139 DB:0142 ID:0044 ID:0047 LIMIT wait
cmpp EXPIRED MI:0024 MK:0024 MK:0017 MA:0051 IA:0053 retry | cmpp MB:1070 MB:1041 IB:0008 slow
cmpp MK:0001 MK:0012 MB:1043 MB:1077 DB:0100 DB:0141 ID:0097 TUIDING suppress
cmpp MB:1048 NP:1243 MB:1078 ID:0043 reroute | cmpp MN:0174 MB:1079 DB:0309 ID:0076 KEYWORD GB:0004 pause
cmpp SA:0001 MB:1076 DB:0151 ID:0001 ID:0096 tell | cmpp MA:0006 XY:0001 show
sgip 2:12 suppress | smgp UNDELIV:640 suppress
"""


def listed(text: str) -> list[tuple[str, str, str, bool]]:
    """Protocol, code, word, disputed."""
    found = []
    for row in text.replace("\n", " | ").split("|"):
        if words := row.split():
            disputed = words[-1] == "?"
            protocol, *many, word = words[:-1] if disputed else words
            found += [(protocol, code, word, disputed) for code in many]
    return found


@pytest.mark.parametrize(("protocol", "code", "kind", "disputed"), listed(FIELD) + listed(RECEIPTS))
def test_receipts_have_the_class_of_the_tables(protocol: str, code: str, kind: str, disputed: bool) -> None:
    found = explain(protocol, "receipt", code)
    assert (found.known, found.kind, found.disputed, found.code) == (True, kind, disputed, code)
    assert ("各家说法不一" in found.zh, "sources disagree" in found.en) == (disputed, disputed)


@pytest.mark.parametrize(("protocol", "code", "kind", "disputed"), listed(SUBMITS))
def test_answers_to_submits_have_the_class_of_the_protocols(
    protocol: str, code: str, kind: str, disputed: bool
) -> None:
    found = explain(protocol, "submit", code)
    assert (found.known, found.kind, found.disputed) == (True, kind, disputed)


@pytest.mark.parametrize(("protocol", "code", "does", "_"), listed(LOGINS))
def test_logins_say_whether_to_try_again(protocol: str, code: str, does: str, _: bool) -> None:
    assert explain(protocol, "login", code).does == does


@pytest.mark.parametrize(("protocol", "code", "does", "_"), listed(DONE))
def test_what_is_done(protocol: str, code: str, does: str, _: bool) -> None:
    assert explain(protocol, "receipt", code).does == does


@pytest.mark.parametrize(
    ("protocol", "stage", "written", "same"),
    [
        ("cmpp", "receipt", " mk:0001 ", "MK:0001"),
        ("cmpp", "receipt", "MK:1", "MK:0001"),
        ("smgp", "receipt", "640", "UNDELIV:640"),
        ("sgip", "receipt", "02:005", "2:5"),
        ("smpp", "submit", "88", "0x58"),
        ("smpp", "submit", "0x00000058", "0x58"),
        ("gsm", "submit", "+CMS ERROR: 304", "CMS:304"),
        ("gsm", "submit", "CME ERROR:10", "CME:10"),
        ("gsm", "submit", "CMS 38", "CMS:38"),
    ],
)
def test_spellings_of_one_code(protocol: str, stage: codes.Stage, written: str, same: str) -> None:
    assert explain(protocol, stage, written)[1:] == explain(protocol, stage, same)[1:]
    assert explain(protocol, stage, written).code == written


@pytest.mark.parametrize("protocol", ["cmpp", "cmpp3", "sgip", "smgp", "smpp", "gsm", "simulator", "shop.operator"])
@pytest.mark.parametrize("stage", codes.STAGES)
@pytest.mark.parametrize("code", ["XY:0001", "NEWCODE", "", ":", "MK", "7777", "你好", "٣", "1:", "²"])
def test_an_unknown_code_suppresses_nobody(protocol: str, stage: codes.Stage, code: str) -> None:
    found = explain(protocol, stage, code)
    if not found.known:
        assert (found.kind, found.does, found.code) == ("fault", "show", code)
    assert found.does != "suppress"


@given(st.sampled_from(["cmpp", "sgip", "smgp", "smpp", "gsm"]), st.sampled_from(codes.STAGES), st.text(max_size=20))
def test_any_text_has_an_answer(protocol: str, stage: codes.Stage, code: str) -> None:
    found = explain(protocol, stage, code)
    assert found.code == code
    assert found.zh
    assert found.en


def test_what_arrived_has_no_error_beside_it() -> None:
    assert explain("smgp", "receipt", "DELIVRD:640").kind == "delivered"
    assert explain("smpp", "receipt", "ENROUTE:001").kind == "pending"
    assert explain("sgip", "receipt", "0:12").kind == "delivered"


def test_a_bare_number_means_something_at_its_own_operator_only() -> None:
    assert not explain("smgp", "receipt", "UNDELIV:640").disputed
    assert explain("smpp", "receipt", "UNDELIV:640").disputed
    assert explain("cmpp", "receipt", "UNDELIV:12").disputed
    assert not explain("smpp", "receipt", "MK:0001").disputed
    assert explain("gsm", "receipt", "640").known is False


def test_a_families_unknown_member_is_not_read_as_another_operators_number() -> None:
    assert explain("cmpp", "receipt", "MB:0640").kind == "fault"
    assert explain("smpp", "receipt", "DB:0012").kind == "fault"


def test_an_answer_to_a_submit_is_not_a_receipt() -> None:
    assert explain("smpp", "receipt", "UNDELIV:088").en != explain("smpp", "submit", "88").en
    assert explain("sgip", "submit", "1").kind == "account"
    assert explain("sgip", "receipt", "2:1").kind == "dead"


# --- an account's own -----------------------------------------------------------------------------------


def entry(kind: str = "dead", does: str = "suppress", disputed: bool = False) -> Entry:
    return Entry.model_validate({"kind": kind, "does": does, "zh": "本账号", "en": "ours", "disputed": disputed})


def test_an_accounts_own_meaning_comes_first() -> None:
    own = {"MA:0006": entry(), "ACCEPTD": entry("delivered", "final"), "submit 108": entry("quota", "wait")}
    assert explain("cmpp", "receipt", "MA:0006", own).does == "suppress"
    assert explain("cmpp", "receipt", "MA:0007", own).does == "show"
    assert explain("cmpp", "receipt", "ACCEPTD", own).kind == "delivered"
    assert explain("cmpp", "submit", "108", own).kind == "quota"
    assert explain("cmpp", "receipt", "108", own).known is False
    assert explain("cmpp", "receipt", "ACCEPTD").kind == "pending"


def test_what_is_more_exact_stands_before_an_accounts_family() -> None:
    own = {"MA": entry("rate", "slow")}
    assert explain("cmpp", "receipt", "MA:0060", own).kind == "rate"
    assert explain("cmpp", "receipt", "MA:0054", own).kind == "uncertain"


def account(**own: object) -> Carrier:
    return Carrier.model_validate({"name": "cmcc", "protocol": "simulator", "codes": own})


def test_an_account_writes_them_into_its_table() -> None:
    found = account(**{"MA:0006": {"kind": "dead", "does": "suppress", "zh": "空号", "en": "dead"}})
    assert found.options == {}
    assert explain("cmpp", "receipt", "MA:0006", found.codes).kind == "dead"


@pytest.mark.parametrize(
    ("own", "said"),
    [
        ({"MA:": {}}, "codes are written"),
        ({"submit ": {}}, "codes are written"),
        ({"MA:0006": {}, "MA:6": {}}, "MA:6 stands twice"),
        ({"MA:0006": {"kind": "rate", "does": "suppress"}}, "dead and blocked only"),
        ({"MA:0006": {"kind": "uncertain", "does": "retry"}}, "not sent again"),
        ({"MA:0006": {"kind": "delivered", "does": "retry"}}, "delivered goes with final"),
        ({"MA:0006": {"kind": "deaf"}}, "'dead'"),
    ],
)
def test_own_codes_that_are_wrong(own: dict[str, dict[str, str]], said: str) -> None:
    sound = {"kind": "dead", "does": "suppress", "zh": "空号", "en": "dead"}
    with pytest.raises(ValidationError, match=re.escape(said)):
        account(**{key: sound | value for key, value in own.items()})


# --- the data file --------------------------------------------------------------------------------------


def test_every_line_of_the_data_is_sound_and_tells_both_languages() -> None:
    for tables in codes.data().values():
        for entries in tables.values():
            for key, one in entries.items():
                assert re.search(r"[一-鿿]", one.zh), key
                assert re.search(r"[A-Za-z]", one.en), key
                assert not re.search(r"[一-鿿]", one.en), key


def test_every_table_is_looked_in() -> None:
    read = {place for name in codes.data() for stage in codes.STAGES for place in codes.places(name, [stage])}
    assert read == {(who, of) for who, tables in codes.data().items() for of in tables}


BROKEN = """\
[cmpp.submit]
"8" = { kind = "rate", does = "slow", zh = "慢", en = "slow" }
"9" = { kind = "rat", does = "slow", zh = "慢", en = "slow" }
"5..3" = { kind = "rate", does = "slow", zh = "慢", en = "slow" }
"008" = { kind = "rate", does = "slow", zh = "慢", en = "slow" }
"10" = { kind = "rate", does = "slow", zh = "慢" }

[cmpp.sumbit]
"7" = { kind = "rate", does = "slow", zh = "慢", en = "slow", why = "x" }

["移动".receipt]
"DB:0105..0114" = { kind = "account", does = "tell", zh = "停", en = "stop" }
"DB:0110..0119" = { kind = "account", does = "tell", zh = "停", en = "stop" }
"DB:0112" = { kind = "account", does = "tell", zh = "停", en = "stop", why = "x" }
"""


def test_mistakes_are_told_with_their_lines() -> None:
    with pytest.raises(Invalid) as caught:
        codes.read("codes.toml", BROKEN)
    assert {(one.line, one.en) for one in caught.value.problems} == {
        (3, caught.value.problems[0].en),
        (4, codes.MISWRITTEN[1]),
        (5, "8 stands twice"),
        (6, "is required"),
        (8, "no such stage, did you mean submit?"),
        (13, "DB:110..119 stands twice"),
        (14, "unknown key"),
    }
    assert "'rate'" in caught.value.problems[0].en


def test_the_data_travel_with_the_package() -> None:
    assert (files("gateway") / codes.FILE).is_file()


def test_the_page_is_made_from_the_data() -> None:
    written = (Path(__file__).parent.parent / "docs" / "codes.md").read_text(encoding="utf-8")
    assert written == page(), "gateway codes --markdown > docs/codes.md"
    for tables in codes.data().values():
        for entries in tables.values():
            assert all(f"| `{key}` |" in written for key in entries)


def test_looking_up_is_fast() -> None:
    explain("cmpp", "receipt", "MK:0001")
    began = time.perf_counter()
    for _ in range(10_000):
        explain("cmpp", "receipt", "MK:0001")
    assert time.perf_counter() - began < 0.5
