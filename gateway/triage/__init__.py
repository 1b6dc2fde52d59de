"""What a text is about, and whose desk it belongs to. Pure, offline, and able to say why.

Policy
- A text is read in this order: the service words of `gateway.words`; thanks, greetings and advertising; danger; and
  else what it says, weighed from the hall's own words (windows.toml), its sample questions (questions.csv) and the
  cases that officials corrected (learned.csv).
- Nothing is known here of open prompts, cases or notices: whoever has them asks them first. A rating is read as a
  rating, and it is for the asker to know that nobody was asked to rate.
- No guess: a text that makes a case, but whose window is not clear enough, goes to the front desk.
- Stopping notices is decided by the whole text alone (`gateway.words`), never by what the examples make likely.
- A complaint about an official, a village body or a window of the hall goes to the petitions desk, never to the window
  complained about (`about`); one about a trader, an employer or a false claim goes to the window of its subject.
- Danger to life (`danger`) is found by words, too often rather than too seldom, but not where it is long past.
- Every answer tells its reasons in Chinese, for the official who may correct it.
"""

from __future__ import annotations

from gateway.triage.questions import Question, learn, load
from gateway.triage.reader import SERVICE_WORDS, Triage
from gateway.triage.reasons import NAMES
from gateway.triage.understanding import CASE_INTENTS, FRONT_DESK, PETITIONS, Understanding

__all__ = [
    "CASE_INTENTS",
    "FRONT_DESK",
    "NAMES",
    "PETITIONS",
    "SERVICE_WORDS",
    "Question",
    "Triage",
    "Understanding",
    "learn",
    "load",
]
