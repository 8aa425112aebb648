"""Level 3: is it about hosts, agents and this product, and what kind of question is it?"""

import math
import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from intact.assist.intent.lexicon import cover, vocabulary
from intact.assist.intent.likeness import CLASSES, JOINT, likeness

TABLE = Path(__file__).with_name("cues.tsv")
LOOKED_AT = 1_200  # characters; what is asked stands at the beginning or at the end
SHORT_WORDS = 9  # a question that needs its history is no longer than this
SHORT_IDEOGRAPHS = 18
ENOUGH_DOMAIN = 2.0
LIKENESS = 1.0  # how much the trained signal counts beside the rules

_WORD = re.compile(r"[a-z]{2,}")
_CONSONANTS = re.compile(r"[bcdfghjklmnpqrstvwxz]{5,}")
_CONCRETE = re.compile(
    r"\b[a-z]{2,12}-\d{1,4}\b|\b\d{1,3}(?:\.\d{1,3}){3}\b|\b(?:run|agent|pid|port) #?[0-9a-f]{1,8}\b"
    r"|\b[\w-]{1,40}\.(?:yaml|yml|json|py|log|conf|toml|md|txt|sh|sql|env|db)\b|(?:^|\s)/[a-z]"
)
_IDENTIFIER = re.compile(r"\b[a-z]{2,20}(?:_[a-z]{2,20}){1,4}\b")
_ASKS = re.compile(
    r"\b(?:who|what|how|why|which|when|where|can you|could you)\b|什么|怎么|谁|哪|多少|为什么|干嘛|干啥|啥|能不能|可以|会不会"
)
_ROWS = ("qwertyuiop", "asdfghjkl", "zxcvbnm")


@dataclass(frozen=True, slots=True, kw_only=True)
class Cue:
    """One way of putting a question, and how much it speaks for an intent."""

    intent: str
    weight: float
    pattern: re.Pattern[str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Relevance:
    """What a text is taken for, and how sure.

    Args:
        intent: one of `invalid knowledge task greeting identity followup`.
        margin: of the best over the second; the gate asks a model where it is small.
        scores: of every intent that anything speaks for.
        domain: how much of it is about hosts, agents and this product.
    """

    intent: str
    margin: float
    scores: tuple[tuple[str, float], ...]
    domain: float
    reason: str


@cache
def cues() -> tuple[Cue, ...]:
    found = []
    for line in TABLE.read_text(encoding="utf-8").splitlines():
        if line and not line.startswith("#"):
            intent, weight, pattern = line.split("\t")
            found.append(Cue(intent=intent, weight=float(weight), pattern=re.compile(pattern)))
    return tuple(found)


def weigh(folded: str) -> Relevance:
    """Level 3 for a folded text, without any history."""
    text = folded if len(folded) <= LOOKED_AT else folded[: LOOKED_AT // 2] + "\n" + folded[-LOOKED_AT // 2 :]
    nothing = _nothing_said(text)
    if nothing is not None:
        return _surely("invalid", nothing)
    if is_greeting(text):
        return _surely("greeting", "only a greeting")
    about = cover(text, "domain", "off")
    domain = _weight(about.hits.get("domain", []), "domain") + (3.0 if _CONCRETE.search(JOINT.sub(" ", text)) else 0.0)
    domain += 3.0 if _IDENTIFIER.search(text) else 0.0
    off = _weight(about.hits.get("off", []), "off")
    scores = dict.fromkeys(("task", "knowledge", "identity", "followup", "invalid"), 0.0)
    spaced = JOINT.sub(" ", text)  # \b knows no boundary between a letter and an ideograph
    for cue in cues():
        if cue.pattern.search(text) or (spaced != text and cue.pattern.search(spaced)):
            scores[cue.intent] += cue.weight
    _temper(scores, text, domain, off)
    like = dict(zip(CLASSES, likeness(text), strict=True))
    for intent in scores:
        scores[intent] += LIKENESS * like[intent]
    ranked = sorted(scores.items(), key=lambda item: -item[1])
    (best, high), (_, second) = ranked[:2]
    return Relevance(
        intent=best,
        margin=high - second,
        scores=tuple(ranked),
        domain=domain,
        reason=f"{best} {high:.1f}, next {second:.1f}, domain {domain:.0f}, elsewhere {off:.0f}",
    )


def is_greeting(text: str) -> bool:
    """Whether nothing but a greeting, thanks or a goodbye is said, with what stands around one."""
    found = cover(text, "greet", "fill", "domain")
    if not found.hits.get("greet") or found.hits.get("domain") or found.size > 24:
        return False
    if _ASKS.search(_without_greeting(text)):
        return False
    return found.share >= 0.75 or (len(found.left) <= 2 and found.size >= 4)


def is_mash(text: str) -> bool:
    """Whether the characters are those of keys struck at random, or of one struck again and again."""
    letters = [c for c in text if c.isalpha()]
    if not letters:
        return True
    words = _WORD.findall(text)
    ideographs = sum("\u3400" <= c <= "\u9fff" for c in letters)
    if 4 <= len(letters) <= 60 and len(set(letters)) <= max(1, len(letters) // 4):
        return True
    if ideographs or not words:
        return False
    strange = sum(len(word) for word in words if _is_strange(word))
    return strange >= 0.6 * len("".join(words))


def _is_strange(word: str) -> bool:
    if len(word) < 3:
        return False
    vowels = sum(c in "aeiouy" for c in word)
    run = any(word in row or (len(word) >= 4 and word[:4] in row) for row in _ROWS)
    return run or bool(_CONSONANTS.search(word)) or (len(word) >= 4 and vowels / len(word) < 0.15)


def _nothing_said(text: str) -> str | None:
    if not any(c.isalnum() for c in text):
        return "no letters"
    if not any(c.isalpha() for c in text):
        return "only digits" if not _CONCRETE.search(text) else None
    if (
        is_mash(text)
        and cover(text, "domain", "greet").share < 0.5
        and (len(text) > 3 or not cover(text, "ellip").hits)
    ):
        return "no words"
    return None


def _temper(scores: dict[str, float], text: str, domain: float, off: float) -> None:
    """Weigh the ways of asking by what is asked about."""
    elliptic = cover(text, "ellip", "fill")
    said = cover(text, "ellip", "fill", "domain", "off")
    ideographs = sum("\u3400" <= c <= "\u9fff" for c in text)
    is_short = elliptic.size - ideographs <= SHORT_WORDS and ideographs <= SHORT_IDEOGRAPHS
    names = bool(_CONCRETE.search(JOINT.sub(" ", text)))
    slots = cover(text, "metric", "time", "state", "agentname", "ellip", "fill")
    has_lead = scores["followup"] > 0
    if not is_short:
        scores["followup"] -= 5
    elif elliptic.share >= 0.99 and (domain <= 0 or has_lead):
        scores["followup"] += 4 if elliptic.size <= SHORT_WORDS + 4 else 2
    elif slots.share >= 0.99 and slots.size <= 3 and sum(map(len, slots.hits.values())) <= 2 and not scores["task"]:
        scores["followup"] += 4
    elif has_lead:
        scores["followup"] -= min(3.0, 1.0 * len(said.hits.get("domain", ())) + 0.4 * len(said.left))
    if domain <= 0 and elliptic.share < 0.99:
        scores["task"] *= 0.4
        scores["knowledge"] *= 0.4
        scores["invalid"] += 3.0
    elif domain < ENOUGH_DOMAIN and elliptic.share < 0.99:
        scores["invalid"] += 1.0
    if off > 0:
        scores["invalid"] += off + 2.5 - min(domain, 6.0) * 0.75
        scores["identity"] -= 1
        scores["followup"] -= 2
    if domain > 0:
        scores["task"] += 1.5 if names else 1.0
        scores["knowledge"] += 0.0 if names else 0.5
    if scores["identity"] > 0 and names:
        scores["identity"] -= 4


def _weight(terms: list[str], group: str) -> float:
    table = vocabulary()[group]
    return sum(table[term] for term in set(terms))


def _without_greeting(text: str) -> str:
    for term in sorted(vocabulary()["greet"], key=len, reverse=True):
        if len(term) > 2 and term in text:
            text = text.replace(term, " ")
    return text


def _surely(intent: str, reason: str) -> Relevance:
    return Relevance(intent=intent, margin=10.0, scores=((intent, 10.0),), domain=0.0, reason=reason)


def confidence(margin: float) -> float:
    return round(0.5 + 0.49 * math.tanh(max(margin, 0.0) / 3), 2)
