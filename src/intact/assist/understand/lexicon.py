"""Concepts in the words of a question: the list `words.tsv`, found by longest match, zh and en in one pass."""

import re
from dataclasses import dataclass
from functools import cache
from importlib import resources

MAX_CHARACTERS = 4_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Hit:
    """A word of the list at its place in the question."""

    concept: str
    word: str
    start: int


def concepts(text: str) -> tuple[Hit, ...]:
    """The concepts of a question from left to right; a word may stand for several.

    >>> [hit.concept for hit in concepts("how many tokens")]
    ['count', 'token']
    """
    pattern, meanings = _compiled()
    found: list[Hit] = []
    for match in pattern.finditer(text[:MAX_CHARACTERS].lower()):
        word = match[0]
        for stem in (word, *_stems(word)):
            if stem in meanings:
                found += [Hit(concept=concept, word=word, start=match.start()) for concept in meanings[stem]]
                break
    return tuple(found)


@cache
def _compiled() -> tuple[re.Pattern[str], dict[str, tuple[str, ...]]]:
    """One alternation of all words, the longest first, and the concepts of each; a stem ends in a star."""
    meanings: dict[str, tuple[str, ...]] = {}
    text = resources.files("intact.assist.understand").joinpath("words.tsv").read_text("utf-8")
    for line in text.splitlines():
        if line and not line.startswith("#"):
            concept, english, chinese = line.split("\t")
            for word in (each.strip().lower() for each in f"{english},{chinese}".split(",")):
                if concept not in meanings.get(word, ()):
                    meanings[word] = (*meanings.get(word, ()), concept)
    patterns = [_pattern(word) for word in sorted(meanings, key=lambda word: (-len(word.rstrip("*")), word))]
    return re.compile("|".join(patterns)), meanings


def _pattern(word: str) -> str:
    body = re.escape(word.rstrip("*")).replace(r"\ ", r"\s+")
    if not word.isascii():
        return body
    return rf"(?<![a-z0-9_]){body}[a-z]*" if word.endswith("*") else rf"(?<![a-z0-9_]){body}(?![a-z0-9_])"


def _stems(word: str) -> list[str]:
    """The entries of the list that a word may have been matched by: without runs of blanks, or as the ending of a stem."""
    plain = " ".join(word.split())
    return [plain, *(f"{plain[:length]}*" for length in range(len(plain), 1, -1))]
