"""Level 2: is it an order to the assistant that it must not follow, or only talk about such things?"""

import codecs
import re
from collections.abc import Iterable
from dataclasses import dataclass

from intact.assist.intent.clean import Cleaned
from intact.assist.intent.likeness import CLASSES, likeness
from intact.assist.intent.rules import Rule, Spared, part, rules

MAX_HITS = 3  # of one rule in one text
LEAST_HIDDEN = 3  # characters written in tags, which nobody types by accident

ALIKE = 1.75  # above every benign question with frightening words that the weights were not trained on
MAX_DISGUISED = 1_000
_TELLING = re.compile(
    r"\b(?:ignore|previous|instructions?|prompt|system|password|rules|reveal|delete|secrets?|all|your)\b"
)
_QUOTED = re.compile(
    r"\"[^\"\n]{1,400}\"|`{1,3}[^`\n]{1,400}`{1,3}|\[[^\]\n]{1,200}\]\s?(?=是|什么)"
    r"|(?:(?<=[\s:,(])|^)'[^\n]{1,300}?'(?=[\s.,:;!?)]|$)"
)
_SENTENCE_END = re.compile(r"[.!?](?=\s|$)|[!?](?=\S)|\.(?=[\u4e00-\u9fff])|\n")
_CLAUSE_END = re.compile(r";|&&|\|\||\n|,\s?(?:and |then |also |并|然后|顺便|再|同时)|\b(?:and then|and also|then)\b")

# What of a sentence makes a match talk: asked right before it; asked how it is met; who says so; who did it.
_NEAR, _TOPIC, _REPORTED, _ASKED_WHO = "NEAR", "TOPIC", "REPORTED", "ASKED_WHO"


@dataclass(frozen=True, slots=True, kw_only=True)
class Suspicion:
    """What was matched, and where: `text`, `form` or `decoded`."""

    rule: str
    seen_in: str


def suspicions(cleaned: Cleaned) -> tuple[Suspicion, ...]:
    """Every rule that a text breaks, in any of its readings."""
    found = [Suspicion(rule=name, seen_in="text") for name in _broken(cleaned.folded)]
    for form in cleaned.forms:
        found += [Suspicion(rule=name, seen_in="form") for name in _broken(form) if name.split(".")[0] != "code"]
    if not found:
        for inner in (*cleaned.decoded, *_disguised(cleaned.folded)):
            found += [Suspicion(rule=name, seen_in="decoded") for name in _broken(inner)]
    if not found and cleaned.text and _alikeness(cleaned.folded) >= ALIKE:
        found.append(Suspicion(rule="rules.alike", seen_in="text"))
    if len(cleaned.hidden.strip()) >= LEAST_HIDDEN:
        found.append(Suspicion(rule="rules.hidden_text", seen_in="text"))
    return tuple(dict.fromkeys(found))


def _disguised(folded: str) -> Iterable[str]:
    """What a text says read backwards or thirteen letters on, where that names what orders are about."""
    short = folded[:MAX_DISGUISED]
    if not short.isascii():
        return []
    return [read for read in (short[::-1], codecs.encode(short, "rot13")) if len(set(_TELLING.findall(read))) >= 2]


def _alikeness(folded: str) -> float:
    """How far a text is more like known orders than like anything else; 0 where it asks about such things."""
    if part(_TOPIC).search(folded):
        return 0.0
    alike = dict(zip(CLASSES, likeness(folded), strict=True))
    return alike.pop("suspicious") - max(alike.values())


def _broken(folded: str) -> Iterable[str]:
    if len(folded) < 3:
        return []
    return [rule.name for rule in rules() if _breaks(rule, folded)]


def _breaks(rule: Rule, folded: str) -> bool:
    for count, match in enumerate(rule.pattern.finditer(folded)):
        if rule.spared is Spared.NEVER or not is_talk(folded, match.start(), match.end(), rule.spared):
            return True
        if count + 1 >= MAX_HITS:
            break
    return False


def is_talk(text: str, start: int, end: int, spared: Spared) -> bool:
    """Whether what stands at `start` to `end` is named in a question about it, rather than ordered.

    A quotation is talk if the sentence around it asks; without one only the clause is looked at, so that an order put
    behind an innocent question does not borrow its words.
    """
    for quoted in _QUOTED.finditer(text):
        if quoted.start() <= start and end <= quoted.end() and quoted.end() - quoted.start() < len(text):
            left, right = _around(text, quoted.start(), quoted.end(), _SENTENCE_END)
            return _asks(left, right, spared, is_quoted=True)
    left, right = _around(text, start, end, _SENTENCE_END)
    left, right = _after_last(left, _CLAUSE_END), _before_first(right, _CLAUSE_END)
    return _asks(left, right, spared, is_quoted=False)


def _around(text: str, start: int, end: int, bound: re.Pattern[str]) -> tuple[str, str]:
    return _after_last(text[max(0, start - 300) : start], bound), _before_first(text[end : end + 200], bound)


def _after_last(text: str, bound: re.Pattern[str]) -> str:
    last = 0
    for match in bound.finditer(text):
        last = match.end()
    return text[last:]


def _before_first(text: str, bound: re.Pattern[str]) -> str:
    match = bound.search(text)
    return text[: match.start()] if match else text


def _asks(left: str, right: str, spared: Spared, *, is_quoted: bool) -> bool:
    if part(_NEAR).search(left):
        return True
    for side in (left, right):
        if part(_TOPIC).search(side):
            return True
        if (is_quoted or spared is Spared.TALK) and part(_REPORTED).search(side):
            return True
        if (is_quoted or spared is Spared.MENTION) and (part(_ASKED_WHO).search(side) or part(_REPORTED).search(side)):
            return True
    return False
