"""Concepts in the words of a question: the list `words.tsv`, found by longest match, zh and en in one pass."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from importlib import resources
from string import ascii_lowercase

MAX_CHARACTERS = 4_000
MAX_MENDED = 20  # words that are tried
_WORD = re.compile(r"(?<![a-z0-9_])[a-z]{5,16}(?![a-z0-9_])")


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
    for match in pattern.finditer(_mended(text[:MAX_CHARACTERS].lower())):
        word = match[0]
        for stem in (word, *_stems(word)):
            if stem in meanings:
                found += [Hit(concept=concept, word=word, start=match.start()) for concept in meanings[stem]]
                break
    return tuple(found)


def _mended(text: str) -> str:
    """The text with words of the list in the place of those that two swapped letters or a missing one keep from being such."""
    pattern, _ = _compiled()
    tried = 0

    def mended(match: re.Match[str]) -> str:
        nonlocal tried
        word = match[0]
        if tried >= MAX_MENDED or pattern.fullmatch(word):
            return word
        tried += 1
        return next((each for each in _near(word) if each in _words()), word)

    return _WORD.sub(mended, text)


def _near(word: str) -> Iterator[str]:
    for place in range(len(word) - 1):
        yield word[:place] + word[place + 1] + word[place] + word[place + 2 :]
    if len(word) >= 6:  # of shorter ones too many are words themselves
        for place in range(1, len(word) + 1):
            for letter in ascii_lowercase:
                yield word[:place] + letter + word[place:]


@cache
def _words() -> frozenset[str]:
    """The single English words of the list, stems with their usual endings."""
    _, meanings = _compiled()
    found: set[str] = set()
    for word in meanings:
        stem = word.rstrip("*")
        if stem.isascii() and stem.isalpha() and len(stem) >= 4:
            found |= {stem, *((stem + ending for ending in ("s", "e", "es", "ed", "ing", "er")) if "*" in word else ())}
    return frozenset(found)


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
