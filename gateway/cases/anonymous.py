"""Taking people out of words that everybody may read: names, numbers, addresses. Pure.

Policy
- Rather a word too many is taken out than a person left in: what may be a name, a number of somebody's or the place
  where they live becomes 某人, （号码略）, 某村, （住址略）.
- Names are those that are known (of the roster, of officers, of the case) wherever they stand, and what stands where
  people write names: behind 我叫 or 我爹, before 同志 or 主任. A name found in one text of a case is taken out of all.
- Numbers are runs of five digits or more, grouped by spaces and dashes or written in Chinese numerals, mail addresses,
  plates of cars.
- The town's own name stays, for everybody knows whose list it is; villages, groups and doors go.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator

SOMEBODY, VILLAGE, ADDRESS, NUMBER = "某人", "某村", "（住址略）", "（号码略）"

_COMPOUND = "欧阳|上官|司马|诸葛|皇甫|尉迟|公孙|慕容|司徒|令狐|夏侯|东方"
_SINGLE = (
    "王李张刘陈杨黄赵吴周徐孙马朱胡郭何林高罗郑梁谢宋唐许韩冯邓曹彭曾肖田董潘袁蔡蒋余于杜叶程魏苏吕丁任卢姚沈钟姜崔"
    "谭陆范汪廖石金韦贾夏付方邹熊白孟秦邱江尹薛闫阎雷侯龙史陶黎贺顾毛郝龚邵万覃武钱戴严莫孔向常汤康尚惠拓折霍井艾南"
    "牛温樊葛邢安齐庄申鲁柴翟耿焦米柳景辛关冉屈党纪倪谷祁兰车路殷"
)
_SURNAME = f"(?:{_COMPOUND}|[{_SINGLE}])"
_HAN = "[\u4e00-\u9fff]"
_NAME = f"{_SURNAME}{_HAN}{{1,2}}"
_FAMILY = (
    "我?(?:爹|爸|妈|娘|爷爷?|奶奶?|外公|外婆|姥姥|姥爷|大伯|叔|婶|哥|弟|姐|妹|娃|儿子?|女儿|老婆|老公|媳妇|男人|婆姨"
    "|父亲|母亲|丈夫|妻子)"
)
_TITLE = (
    "同志|先生|女士|小姐|师傅|老师|大夫|医生|主任|书记|村长|支书|镇长|县长|局长|所长|站长|队长|组长|会计|文书|干事|经理"
    "|老板|大爷|大妈|大娘|大叔|大伯|大哥|大姐|阿姨"
)
_ENDS = f"(?=$|[^\u4e00-\u9fff]|的|是|今|现|在|住|家|想|问|把|被|和|跟|有|没|电话|手机|身份证|{_TITLE})"
_CUE = f"(?:我叫|名叫|名字[叫是]?|姓名|叫做|本人|[村组队]的|我是|{_FAMILY})"
_AFTER = re.compile(f"{_CUE}[:： ]?({_NAME}?){_ENDS}")
_BEFORE = re.compile(f"({_NAME})(?:{_TITLE})")
_SURNAME_ALONE = re.compile(f"(?:(?<!{_HAN})|(?<=[找是那个里上的问叫和跟]))[老小]?{_SURNAME}(?={_TITLE})")
_NOT_NAMES = re.compile(f"^(?:{_SURNAME})?(?:{_TITLE})$|村|镇|大厅|窗口|低保|补贴")

_D = "[0-9０-９]"
_NUMBERS = re.compile(
    f"{_D}(?:[ \\-－—]?{_D}){{4,}}[XxＸｘ]?|[零〇一二三四五六七八九幺两]{{7,}}"
    "|[A-Za-z0-9_.+-]+@[A-Za-z0-9-]+\\.[A-Za-z0-9.-]+"
    "|微信号?[:： ]?[A-Za-z][A-Za-z0-9_-]{5,}"
    "|[京津沪渝冀豫云辽黑湘皖鲁新苏浙赣鄂桂甘晋蒙陕吉闽贵粤青藏川宁琼][A-Z][·.]?[A-Z0-9]{5,6}"
)
_GROUP = f"(?:第?(?:{_D}{{1,2}}|[一二三四五六七八九十]{{1,3}})(?:村民小组|组|队|社))"
_DOOR = f"(?:{_D}{{1,4}}(?:号楼?|栋|幢|单元|室|户|弄)(?!窗|台|接待|文)|{_D}楼)"
_STREET = f"(?:{_HAN}{{2,3}}[市县区])*{_HAN}{{2,4}}(?:路|街|巷|小区|家属院|公寓)"
_PLACES = re.compile(f"{VILLAGE}(?:{_GROUP}|{_DOOR})+|{_GROUP}{_DOOR}*|{_STREET}{_DOOR}+|{_DOOR}{{2,}}")
_NO_VILLAGE = "我们|咱们|你们|他们|我家|这个|那个|哪个|一个|几个|整个|各个|每个|行政|自然|全镇|到村|回村|进村|农村"
_OTHER_VILLAGE = re.compile(
    f"(?<![行自农全各每本])(?!{_NO_VILLAGE}|{_HAN}?某)(?:(?<=[是在到去住回我家])|(?<!{_HAN})){_HAN}{{2}}[村庄]"
)


def candidates(text: str) -> Iterator[str]:
    """Every piece of a text that has the shape of a name: a surname and one or two characters more."""
    for found in re.finditer(f"(?=({_SURNAME}))", text):
        begins, size = found.start(), len(found[1])
        for longer in (1, 2):
            name = text[begins : begins + size + longer]
            if len(name) == size + longer and re.fullmatch(f"{_HAN}+", name):
                yield name


def named(text: str) -> Iterator[str]:
    """What stands in a text where people write names."""
    for sign in (_AFTER, _BEFORE):
        yield from (found[1] for found in sign.finditer(text) if not _NOT_NAMES.search(found[1]))


def hide(text: str, names: Collection[str], villages: Iterable[str]) -> str:
    """A text without people: `names` are known ones, `villages` those of the site."""
    swaps = {**dict.fromkeys(villages, VILLAGE), **dict.fromkeys((name for name in names if name), SOMEBODY)}
    known = re.compile("|".join(map(re.escape, sorted(swaps, key=len, reverse=True))) or "(?!)")
    said = known.sub(lambda found: swaps[found[0]], _NUMBERS.sub(NUMBER, text))
    said = _SURNAME_ALONE.sub(SOMEBODY, _OTHER_VILLAGE.sub(VILLAGE, said))
    return re.sub(f"(?:{NUMBER}[ 　]*)+", NUMBER, _PLACES.sub(_place, said))


def _place(found: re.Match[str]) -> str:
    return f"{VILLAGE}{ADDRESS}" if found[0].startswith(VILLAGE) else ADDRESS
