"""Passages: the sentences, rows and commands of chunks that answer a question, in the words of the document."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from typing import NamedTuple

from intact.assist.knowledge.chunks import Chunk
from intact.assist.knowledge.ranking import Asked
from intact.assist.knowledge.segment import words_of

MAX_PASSAGE = 190  # an answer shows so much of a text of others
MIN_PASSAGE = 12

_SENTENCE_END = re.compile(r"(?<=[。！？])(?![）”」])|(?<=[a-z0-9)`\"'][.:!?])\s+(?=[A-Z`*(])")
_PART_END = re.compile(r"(?<=；)|(?<=;)\s")
_CLAUSE_END = re.compile(r"(?<=[，,；;：:、|])")
_LINK = re.compile(r"!?\[([^\]\[]{0,300})\]\([^)\s]{0,500}\)")
_MARKS = re.compile(r"\*\*|`")
_LIST = re.compile(r"\s{0,8}(?:[*+-]|\d{1,3}[.)])\s")
_RULER = re.compile(r"[|\s:-]+")
_BROKEN_CHINESE = re.compile(r"(?<=[\u3000-\u9fff\uff00-\uffef])\n\s*(?=[\u3000-\u9fff\uff00-\uffef])")
_SPACE = re.compile(r"\s+")


class PassageKind(StrEnum):
    SENTENCE = "sentence"
    ROW = "row"
    CODE = "code"


@dataclass(frozen=True, slots=True, kw_only=True)
class Passage:
    """A piece of a chunk, verbatim but for white space and marks of Markdown; how well it fits what was asked."""

    chunk: Chunk
    kind: PassageKind
    text: str
    fit: float


def passages_of(chunk: Chunk, asked: Sequence[tuple[Asked, float]], limit: int) -> list[Passage]:
    """The passages of a chunk that fit best, in the order of the chunk.

    Args:
        asked: what is looked for, and how rare it is.
    """
    all_of_it = [Passage(chunk=chunk, kind=unit.kind, text=unit.text, fit=_fit(unit, asked)) for unit in _cut_up(chunk)]
    if not all_of_it:
        return []
    best = sorted(range(len(all_of_it)), key=lambda place: (-all_of_it[place].fit, place))[:limit]
    enough = all_of_it[best[0]].fit / 3
    chosen = {place for place in best if all_of_it[place].fit >= enough}
    # what a sentence that ends in a colon announces comes with it
    chosen |= {p + 1 for p in chosen if all_of_it[p].text.endswith((":", "：")) and p + 1 < len(all_of_it)}
    return [all_of_it[place] for place in sorted(chosen)][: limit + 1]


def closeness(chunk: Chunk, asked: Sequence[tuple[Asked, float]]) -> float:
    """How well the best passage of a chunk fits: words that stand together tell more than words that are far apart."""
    return max((_fit(unit, asked) for unit in _cut_up(chunk)), default=0.0)


class _Unit(NamedTuple):
    kind: PassageKind
    text: str
    words: frozenset[str]


@lru_cache(maxsize=4_000)
def _cut_up(chunk: Chunk) -> tuple[_Unit, ...]:
    return tuple(_Unit(kind, text, frozenset(words_of(text))) for kind, text in _units(chunk))


def _units(chunk: Chunk) -> Iterator[tuple[PassageKind, str]]:
    rest = chunk.text
    for code in chunk.code:
        before, _, rest = rest.partition(code)
        yield from _prose(before)
        yield from ((PassageKind.CODE, _cut(line.strip())) for line in code.split("\n") if len(line.strip()) > 2)
    yield from _prose(rest)


def _prose(text: str) -> Iterator[tuple[PassageKind, str]]:
    for block in text.split("\n\n"):
        for paragraph in _paragraphs(block):
            if paragraph.lstrip().startswith("|"):
                if not _RULER.fullmatch(paragraph):
                    yield PassageKind.ROW, _cut(_plain(paragraph).strip("| "))
                continue
            for sentence in _sentences(_plain(paragraph)):
                if len(sentence.strip()) >= MIN_PASSAGE or (sentence.strip() and sentence.strip()[0] >= "\u3400"):
                    yield PassageKind.SENTENCE, _cut(sentence.strip())


def _sentences(text: str) -> Iterator[str]:
    for sentence in _SENTENCE_END.split(text):
        yield from (sentence,) if len(sentence) <= MAX_PASSAGE else _PART_END.split(sentence)


def _paragraphs(block: str) -> Iterator[str]:
    """Rows of tables and items of lists by themselves, other lines as one."""
    together: list[str] = []
    for line in block.split("\n"):
        if line.lstrip().startswith("|") or _LIST.match(line):
            if together:
                yield "\n".join(together)
            together = []
            if line.lstrip().startswith("|"):
                yield line
                continue
        together.append(line)
    if together:
        yield "\n".join(together)


def _plain(text: str) -> str:
    text = _MARKS.sub("", _LINK.sub(r"\1", _BROKEN_CHINESE.sub("", text)))
    return _SPACE.sub(" ", _LIST.sub("", text, count=1) if _LIST.match(text) else text).strip()


def _cut(text: str) -> str:
    if len(text) <= MAX_PASSAGE:
        return text
    ends = [m.end() for m in _CLAUSE_END.finditer(text, MAX_PASSAGE // 2, MAX_PASSAGE - 1)]
    return text[: ends[-1] if ends else MAX_PASSAGE - 1].rstrip("，,；;：:、| ") + "…"


def _fit(unit: _Unit, asked: Sequence[tuple[Asked, float]]) -> float:
    fit = 0.0
    for variants, rarity in asked:
        fit += rarity * max((weight for key, weight in variants.items() if unit.words.issuperset(key)), default=0.0)
    return fit / (1 + len(unit.text) / 400)
