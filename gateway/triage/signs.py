"""Signs that need no examples: danger, urgency, wishes not to be named, whom a complaint is about. Pure.

Policy
- A sign is found in the normalised text (no spaces, no punctuation). It is a list of expressions; any of them will do.
- Danger is told from talk about danger by what stands beside it: what happened last year, an insurance, a drill, a
  subsidy for those it happened to. Somebody who does not want to live is in danger whatever stands beside it.
- Danger is found too often rather than too seldom: a call too many costs a minute.
"""

from __future__ import annotations

import re
from collections.abc import Mapping


def _any(*parts: str) -> re.Pattern[str]:
    return re.compile("|".join(parts))


# --- danger and want ----------------------------------------------------------------------------------------

SUICIDE = "自杀"
_DANGERS: Mapping[str, re.Pattern[str]] = {
    SUICIDE: _any(
        "自杀|不想活|活不下去|活不成了|想死|死了算|寻短见|寻死|同归于尽",
        "跳楼|跳井|跳河|跳崖|喝药|喝农药|上吊|割腕",
    ),
    "着火": _any("(?:着|起|失)火(?!灾)|火灾|烧起来|冒火(?!星)|火大得|烧着了|点着了|救火", "烧山|山火|烧荒"),
    "爆炸": _any("爆炸|炸伤|炸死|要炸"),
    "洪水": _any(
        "洪水|发大水|山洪|水淹|淹了|淹到|淹进|泥石流",
        "河水.{0,2}漫|漫上来|水漫|水涨得?.{0,4}漫|冲走|冲跑|决口|溃坝|坝要垮|坝垮",
    ),
    "垮塌": _any(
        "[窑房墙桥楼洞](?:顶|面|子|洞)?(?:要|快|将)?(?:塌|垮|倒)(?!.{0,3}补)|塌下来|塌方",
        "山体滑坡|滑坡|滑下来|埋住|埋了|压住人|压到人",
    ),
    "中毒": _any(
        "中毒|误喝|毒倒|有毒气|煤烟打|煤气打|打着了煤烟",
        "闻着煤气|煤气味|液化气味|漏煤气|煤气漏|液化气漏|燃气漏|漏气|煤气罐.{0,4}有味",
    ),
    "触电": _any("触电|电着人|电打了|电死|电倒|漏电|冒火星", "电线.{0,4}(?:掉|断|落|垂|搭)"),
    "溺水": _any("溺水|淹死|掉(?:到|进)(?:河|井|坝|水|沟|窖)里"),
    "伤人": _any(
        "要杀|杀人|动刀|拿刀|砍人|打死|往死里打|家暴|打得.{0,4}流血|流血",
        "快不行了|没气了|昏迷|晕倒|救命",
    ),
    "走失": _any("走失|走丢|人不见了|找不见人|失踪"),
    "困住": _any("困住|困在|被困|出不来了|翻车|翻沟|翻到沟"),
}
_PAST = _any("去年|前年|年时|往年|那年|上个?月|好几年|以前|早先|几年前")
_ABOUT_MONEY_OR_PAPERS = _any(
    "救助|保险|理赔|补助|补贴|赔|证明|报销|许可|指南|材料|办证|申请|重盖|翻建",
    "预防|防着|怎么防|咋防|演练|培训|考|罚|宣传",
)
_NOBODY_HURT = _any("人没事")
_CRY = "救命"

_URGENT = _any(
    "裂(?:开|缝|了|得)|要塌|快塌|塌了半|路(?:面|基)?(?:都|全)?(?:塌|断|垮)|石头.{0,4}(?:滚|掉|落)|漏水|漏雨|井盖.{0,6}(?:没|丢|不见|掉)",
    "往出撤|要不要撤|撤离|转移|翻沟|拦一下|倒在路上",
    "冻着|冻得|挨冻|没吃的|没吃饭|断粮|断水|揭不开锅",
    "要出事|出人命|人命|会出事|危险|赶紧|快来|急诊|病危|抢救|耍水",
    "灌煤气|灌气|炸药|放炮采",
)
_NOT_URGENT = _any("补助|补贴|多少钱|危房改造|材料|指南")
_NOT_BY_ME = "说是我|说我|是我说|我说的|我反映|我举报|晓得是我|知道是我"
_MY_NAME = "我名字|我的名字|我名|我电话|我的?号码?|我电话号|漏出去|传出去|往外说|露出去"
_CONFIDENTIAL = _any(
    f"(?:不要|别|甭|莫|不能|不敢|可别)(?:跟|给|对|和|让|叫|把|告诉|透露|说出?)*.{{0,8}}(?:{_NOT_BY_ME}|{_MY_NAME})",
    "保密|匿名|不留名|不写名|不能写名|不敢留名",
    "怕(?:报复|人家报复|穿小鞋|得罪|打击)|打击报复",
)


def danger(whole: str) -> str | None:
    """The kind of danger that a normalised text tells of, or None."""
    if _DANGERS[SUICIDE].search(whole):
        return SUICIDE
    if _CRY not in whole and any(sign.search(whole) for sign in (_PAST, _ABOUT_MONEY_OR_PAPERS, _NOBODY_HURT)):
        return None
    return next((name for name, sign in _DANGERS.items() if sign.search(whole)), None)


def urgent(whole: str) -> bool:
    """Whether somebody may come to harm soon, or lives in want now."""
    return bool(_URGENT.search(whole)) and not _NOT_URGENT.search(whole)


def confidential(whole: str) -> bool:
    """Whether the person asks not to be named."""
    return bool(_CONFIDENTIAL.search(whole))


# --- whom a complaint is about ------------------------------------------------------------------------------

_OFFICIALS = _any(
    "村长|村?主任|支书|书记|干部|队长|组长|村?文书|会计|镇长|当官|专干|公务员|村委会?|村上[^人的]{0,6}(?:不|推|扣|分|没)",
    "领导(?!你好|您好|好)",  # 「领导你好」 is how a letter begins
    "财政所|武装部|派出所|计生办|民政办|安监|[办所站]的人|信访.{0,3}(?:人|同志|接待)|接待(?:室|的人|人员)",
    "窗口|办事员|工作人员|大厅.{0,6}(?:人|态度)|前台|几号台|管.{1,4}的(?:人|那个|女|男|干部)",
    "你们.{0,6}(?:不管|不理|推|包庇|拖|骂|上班|下班|敷衍|说话不算)",
)
_MANY = r"[\dN一两二三四五六七八九十几好多]+"
_TREATMENT = _any(
    f"(?:跑|来|去|问|打|反映|说|找)[了过]?(?:{_MANY})(?:趟|回|次|遍)|回回说|办不成",
    "推来推去|推三阻四|互相推|踢皮球|[推扯]皮|没人接|没人回|不接电话|没人理|石沉大海|没下文|不给回执|压下|不作为",
    "态度|不耐烦|白眼|甩脸|爱[答理]不[理答]|刁难|一次不说|不一次说|少给我说",
    "吃拿卡要|好处费|走后门|送礼|送[他她我两一几]{0,2}[条盒]?[烟酒]|有?关系户|凭关系|插队|优亲厚友|官官相护",
)
_RUDE = _any(
    "态度.{0,3}(?:差|恶劣|不好|坏|凶|冲|硬)|不耐烦|白眼|甩脸|刁难|爱[答理]不[理答]|骂[我人]|吼[我人]",
    "吃拿卡要|要好处|收红包|踢皮球|推来推去",
)
_SEAT = re.compile(r"(\d{1,2}|[一二三四五六七八九])号(?:窗口?|台|接待室|柜台|那)")
_DIGITS = "零一二三四五六七八九"
_OFFICES: Mapping[str, re.Pattern[str]] = {
    "caizheng": _any("财政|惠农"),
    "weiji": _any("计生|卫计|卫健"),
    "minzheng": _any("民政|社保|管(?:合疗|低保|养老)|医保"),
    "wuzhuang": _any("武装|征兵|当兵|走兵"),
    "anjian": _any("安监|安全"),
    "jiuye": _any("劳动|就业|管培训"),
    "xinfang": _any("信访(?:窗口|大厅|办|室|局|[上那]|的?人|的?同志|.{0,2}接待)|接待(?:室|的人|人员)"),
    "front-desk": _any("前台|保安|门口"),
    "zhengwu": _any("户籍|政务|城建|派出所|建房|盖章|证明|身份证|户口"),
}
_IN_THE_HALL = _any(
    "窗口?|大厅|前台|柜台|办事员|工作人员|所的?人|专干|干事",
    "趟|[跑来去]了.{1,2}回|态度|不耐烦|推|办|材料|批|体检",
)


def against_officials(whole: str) -> bool:
    """Whether what is complained of is an official, a village body or how one was treated in the hall."""
    return bool(_OFFICIALS.search(whole) or _TREATMENT.search(whole))


def rude_at_a_window(whole: str) -> bool:
    """Whether it tells of rudeness at a window or of an official: a complaint, however it is said."""
    return bool(_RUDE.search(whole) and (_SEAT.search(whole) or _OFFICIALS.search(whole)))


def complained_about(whole: str, seats: Mapping[str, str]) -> str:
    """The window complained about, "" where it is none of the hall's; `seats`: "3" -> code, one a counter."""
    if found := _SEAT.search(whole):
        return seats.get(found[1] if found[1].isdecimal() else str(_DIGITS.index(found[1])), "")
    if not _IN_THE_HALL.search(whole):
        return ""
    return next((code for code, sign in _OFFICES.items() if sign.search(whole)), "")


# --- wishes about our texts ---------------------------------------------------------------------------------

_FEWER = _any("退订|拒收|(?:别|不要|不用|甭|莫|勿|少).{0,4}发", "再发.{0,2}(?:投诉|举报|拉黑|告)")


def wants_fewer(whole: str) -> bool:
    """Whether it may ask for fewer texts or none, without being a plain opt-out."""
    return bool(_FEWER.search(whole))


# --- what nobody here wrote ---------------------------------------------------------------------------------

_ADVERTISES = re.compile(r"^\s*【[^】]*】|(?:拒收|退订?)(?:请)?回复?[A-Z]{1,2}[】。.!！]?\s*$", re.IGNORECASE)


def advertises(text: str) -> bool:
    """Whether the text begins with a signature, as those of service numbers do."""
    return bool(_ADVERTISES.search(text))
