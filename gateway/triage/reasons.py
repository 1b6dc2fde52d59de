"""Why a text was read so, in Chinese: for the official who may correct it."""

from __future__ import annotations

from typing import NamedTuple

from gateway.triage.features import Seen
from gateway.words import Intent

NAMES = {
    Intent.CONSULT: "咨询",
    Intent.FEEDBACK: "反映",
    Intent.AGENCY: "代办",
    Intent.COMPLAINT: "投诉",
    Intent.OPTOUT: "退订",
    Intent.RESUME: "恢复订阅",
    Intent.HELP: "帮助",
    Intent.STATUS: "查进度",
    Intent.RATING: "评价",
    Intent.GUIDE: "办事指南",
    Intent.SUBSIDY: "查补贴",
    Intent.WEATHER: "天气",
    Intent.JOBS: "招工",
    Intent.SIGNUP: "报名",
    Intent.THANKS: "客气话",
    Intent.SPAM: "广告诈骗",
    Intent.UNCLEAR: "说不清",
    Intent.ERROR: "没读成",
    Intent.ANSWER: "答问",
    Intent.HELD: "等回答",
}
"""Every intent as officials call it."""
WORDS_AT_MOST = 4


class Reason(NamedTuple):
    """What was found, how likely the intent is, and the example that is most like the text, or ""."""

    look: Seen
    intent: Intent
    share: float
    like: str

    def told(self, place: str = "") -> str:
        """In one line; `place`: which window, and how sure."""
        said = "、".join(f"「{word}」" for word in self.look.found[:WORDS_AT_MOST])
        parts = [
            f"说到{said}" if said else "没有说到窗口的词",
            f"按{'、'.join(self.look.changes)}理解" if self.look.changes else "",
            f"像例句「{self.like}」" if self.like else "",
            f"{NAMES[self.intent]}（{self.share:.0%}）",
            place,
        ]
        return "；".join(filter(None, parts))
