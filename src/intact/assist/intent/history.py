"""Level 4: what a short question means after what was said before."""

import re
from collections.abc import Sequence

from intact.assist.asking import Message
from intact.assist.intent.clean import clean, has_ideograph
from intact.assist.intent.lexicon import cover, spans
from intact.assist.intent.relevance import SHORT_IDEOGRAPHS, SHORT_WORDS, weigh

LOOKED_AT = 20  # messages
MAX_RESOLVED = 600  # characters
KINDS = ("time", "metric", "state", "agentname")

_HOST = re.compile(
    r"(?<![a-z0-9_-])(?:[a-z]{2,14}-\d{1,4}|\d{1,3}(?:\.\d{1,3}){3}|(?:run|agent) [0-9a-f]{1,8}|pid \d{1,7})(?![a-z0-9_-])"
)
_ORDINALS = {
    **{"first": 1, "second": 2, "third": 3, "fourth": 4, "fifth": 5, "last": -1},
    **{"一": 1, "二": 2, "两": 2, "三": 3, "四": 4, "五": 5, "六": 6, "七": 7, "八": 8, "九": 9},
}
_NTH = re.compile(
    r"\b(?:the |number )(first|second|third|fourth|fifth|last|\d)\b(?! (?:hour|day|week|month|night|minute))"
    r"|第([一二三四五六七八九\d])[个条台次项]|(最后一)[个条台]"
)
_ITEM = re.compile(
    r"(?m)(?:^|\s)(?:[-*•]|\d{1,2}[.)、])\s{1,3}[`*]{0,2}([\w./:@-]{1,80})|^\|\s{0,3}`?([\w./:@-]{1,80})`?\s{0,3}\|"
)
_LEAD = re.compile(
    r"^\W{0,3}(?:and (?:for|on|the|what about|how about)?|but|so|what about|how about|now (?:for )?|same (?:for|thing for|on)"
    r"|instead|那么?|还有|另外|换成|换|改成|改为|再看看?|再查|只看|only (?:the )?)\s{0,2}"
)
_TAIL = re.compile(r"\s{0,2}(?:呢|怎么样|咋样|如何|看看|的呢|的|ones?|instead|please)?[\s?!.~]{0,4}$")


def looks_back(folded: str, history: Sequence[Message]) -> bool:
    """Whether a text that is no question by itself only names what to put in place in the last question."""
    if not any(message.role == "user" for message in history[-LOOKED_AT:]):
        return False
    found = cover(folded, "metric", "time", "state", "agentname", "ellip", "fill")
    ideographs = sum("\u3400" <= c <= "\u9fff" for c in folded)
    if found.size - ideographs > SHORT_WORDS or ideographs > SHORT_IDEOGRAPHS:
        return False
    left = [word for word in found.left if not _HOST.fullmatch(word)]
    return not left and found.size > 0


def resolve(text: str, history: Sequence[Message]) -> str:
    """The question that `text` stands for, read after `history`; `text` itself where nothing was asked before."""
    standing: str | None = None
    answer = ""
    for message in history[-LOOKED_AT:]:
        if message.role != "user":
            answer = message.content[:20_000]
            continue
        said = clean(message.content).text[:MAX_RESOLVED]
        kind = weigh(clean(said).folded).intent
        if kind == "followup" and standing is not None:
            standing = _joined(standing, said, answer)
        elif kind in ("task", "knowledge"):
            standing = said
    return text if standing is None else _joined(standing, text, answer)[:MAX_RESOLVED]


def _joined(standing: str, text: str, answer: str) -> str:
    """The standing question with what a follow-up changes in it."""
    lowered, folded = standing.lower(), clean(text).folded
    if len(lowered) != len(standing):  # rare letters change their length with their case
        lowered = standing
    nth = _NTH.search(folded)
    if nth is not None:
        item = _item(answer, nth[1] or nth[2] or "last")
        return _behind(standing, f"{text} {item}" if item else text)
    core = _TAIL.sub("", _LEAD.sub("", folded)).strip()
    changed = False
    for kind in ("host", *KINDS):
        new = _first(core, kind)
        if new is None:
            continue
        core = core.replace(new, " ", 1)
        old = _first(lowered, kind)
        if old is not None:
            at = lowered.index(old)
            standing = standing[:at] + new + standing[at + len(old) :]
        elif kind == "time" and has_ideograph(standing):
            standing = f"{new} {standing}"
        else:
            standing = f"{standing.rstrip('?？。.! ')} {new}"
        lowered, changed = standing.lower(), True
    rest = cover(core, "ellip", "fill")
    return standing if changed and rest.share >= 0.99 else _behind(standing, text)


def _first(lowered: str, kind: str) -> str | None:
    """The first span of a kind; the one before it of the same kind where several stand is what was asked about."""
    if kind == "host":
        match = _HOST.search(lowered)
        return match[0] if match else None
    span = next(spans(lowered, kind), None)
    return lowered[span[0] : span[1]] if span else None


def _item(answer: str, which: str) -> str | None:
    """The nth thing a list or table of the last answer names, if it is a harmless word."""
    items = [match[1] or match[2] for match in _ITEM.finditer(answer)]
    number = _ORDINALS.get(which, int(which) if which.isdigit() else 0)
    index = number - 1 if number > 0 else number
    return items[index] if number and -len(items) <= index < len(items) else None


def _behind(standing: str, text: str) -> str:
    mark = "；" if has_ideograph(standing + text) else "; "
    return f"{standing.rstrip('?？。.!； ;')}{mark}{text}"
