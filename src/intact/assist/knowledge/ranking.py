"""Which chunks fit a question: BM25 over words, where the words that stand for one another count as one.

A word of a question is looked for with its translations and parts (`Asked`); how rare it is, is told by how many chunks
hold any of these. So a Chinese question finds an English chunk by the same measure as an English one.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from functools import cache

import numpy as np
from numpy.typing import NDArray

from intact.assist.asking import Language
from intact.assist.knowledge.chunks import Chunk
from intact.assist.knowledge.segment import Terms, asked_words, is_stop_word, names_of, read_terms, stem, words_of

K1 = 1.2
B = 0.5
HEADING_WEIGHT = 3.0  # of the section's own heading, beside the text
ABOVE_WEIGHT = 1.0  # of the headings above it, and the file's name
TRANSLATED = 0.75
SAME = 0.5  # another word of the same language
PART = 0.3
VAGUE = 0.3
OTHER_LANGUAGE = 0.7
COVERAGE = 0.1  # how much of a score depends on how many of the asked words are there
SECTION = 0.5  # how much the section of a chunk counts beside it, and its file
FILE = 0.3
UNKNOWN_NAME = 0.5  # what is left of a share if the question is about something that no document names
FEW = 100  # documents: of fewer than these what is rare cannot be told
MAX_ASKED = 40

Asked = dict[tuple[str, ...], float]  # words that have to be there together, and what they count


def weigh_words(chunk: Chunk) -> dict[str, float]:
    """The words of a chunk and how much each counts; the key "" has the length."""
    body = Counter(words_of(chunk.text))
    weights: dict[str, float] = {"": float(sum(body.values()))}
    for word, count in body.items():
        weights[word] = weights.get(word, 0.0) + count
    *above, last = ("", *chunk.headings)
    for text, weight in ((last, HEADING_WEIGHT), (" ".join((*above, chunk.file.rpartition("/")[2])), ABOVE_WEIGHT)):
        for word in set(words_of(text)):
            weights[word] = weights.get(word, 0.0) + weight
    return weights


class _Postings:
    """Which of `size` documents hold a word, and how much it counts there."""

    def __init__(self, weights: Sequence[Mapping[str, float]], chinese: NDArray[np.bool_]) -> None:
        self.size = len(weights)
        lengths = np.array([weight.get("", 0.0) for weight in weights], dtype=np.float32)
        self.norm = np.ones(self.size, dtype=np.float32)
        for group in (chinese, ~chinese):
            if group.any():  # a word of Chinese is shorter, so each language has its own mean
                self.norm[group] = 1 - B + B * lengths[group] / max(float(lengths[group].mean()), 1.0)
        names: dict[str, int] = {}
        words, places, counts = [], [], []
        for place, weight in enumerate(weights):
            for word, count in weight.items():
                if word:
                    words.append(names.setdefault(word, len(names)))
                    places.append(place)
                    counts.append(count)
        order = np.argsort(np.array(words, dtype=np.int64), kind="stable")
        self._names = names
        self._places = np.array(places, dtype=np.int32)[order]
        self._counts = np.array(counts, dtype=np.float32)[order]
        self._starts = np.searchsorted(np.array(words, dtype=np.int64)[order], np.arange(len(names) + 1))

    def counts(self, asked: Asked) -> NDArray[np.float32]:
        """How much each document holds of a word or what stands for it."""
        counts = np.zeros(self.size, dtype=np.float32)
        for words, weight in asked.items():
            together = np.full(self.size, np.inf, dtype=np.float32)
            for word in words:
                one = np.zeros(self.size, dtype=np.float32)
                number = self._names.get(word)
                if number is not None:
                    span = slice(self._starts[number], self._starts[number + 1])
                    one[self._places[span]] = self._counts[span]
                together = np.minimum(together, one)
            counts = np.maximum(counts, weight * together)
        return counts

    def rarity(self, counts: NDArray[np.float32]) -> float:
        """How much it tells that a document holds something, of which each holds so much."""
        there = int(np.count_nonzero(counts))
        return float(np.log(1 + (max(self.size, FEW) - there + 0.5) / (there + 0.5)))


class Ranking:
    """Postings over chunks, sections and files; never changed once it is made."""

    def __init__(self, chunks: Sequence[Chunk], weights: Sequence[Mapping[str, float]]) -> None:
        self._chinese = np.array([chunk.language is Language.ZH for chunk in chunks], dtype=bool)
        self._chunks = _Postings(weights, self._chinese)
        self._wider = [
            (weight, *self._grouped([key(chunk) for chunk in chunks], weights))
            for key, weight in ((_section, SECTION), (_file, FILE))
        ]

    def _grouped(
        self, keys: Sequence[object], weights: Sequence[Mapping[str, float]]
    ) -> tuple[NDArray[np.int32], _Postings]:
        numbers: dict[object, int] = {}
        sums: list[dict[str, float]] = []
        chinese: list[bool] = []
        members = np.zeros(len(keys), dtype=np.int32)
        for place, key in enumerate(keys):
            number = numbers.setdefault(key, len(numbers))
            members[place] = number
            if number == len(sums):
                sums.append({})
                chinese.append(bool(self._chinese[place]))
            for word, count in weights[place].items():
                sums[number][word] = sums[number].get(word, 0.0) + count
        return members, _Postings(sums, np.array(chinese, dtype=bool))

    def score(self, text: str, language: Language) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """How well each chunk fits, and which share of what was asked it holds (0 to 1)."""
        asked = asked_of(text)
        scores, share = _fit(self._chunks, asked)
        if any(not self._chunks.counts({(name,): 1.0}).any() for name in names_of(text)):
            share *= UNKNOWN_NAME
        for weight, members, postings in self._wider:
            scores += weight * _fit(postings, asked)[0][members]
        scores[self._chinese != (language is Language.ZH)] *= OTHER_LANGUAGE
        return scores, share

    def asked(self, text: str) -> list[tuple[Asked, float]]:
        """What a question looks for, and how rare each of it is."""
        return [(asked, self._chunks.rarity(self._chunks.counts(asked))) for asked in asked_of(text)]


def _section(chunk: Chunk) -> object:
    return chunk.file, chunk.headings


def _file(chunk: Chunk) -> object:
    return chunk.file


def _fit(postings: _Postings, questions: Sequence[Asked]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    scores = np.zeros(postings.size, dtype=np.float32)
    held = np.zeros(postings.size, dtype=np.float32)
    whole = 0.0
    for asked in questions:
        counts = postings.counts(asked)
        rarity = postings.rarity(counts)
        whole += rarity
        scores += rarity * (K1 + 1) * counts / (counts + K1 * postings.norm)
        held += rarity * np.minimum(counts, 1.0)
    share = held / max(whole, 1e-6)
    return scores * ((1 - COVERAGE) + COVERAGE * share), share


def asked_of(text: str) -> list[Asked]:
    """What a question looks for, one entry a word or term."""
    found: dict[tuple[str, ...], Asked] = {}
    words = asked_words(text)
    at = 0
    while at < len(words) and len(found) < MAX_ASKED:
        # terms of several words may hold stop words: `account for`, `end up`
        span = next((n for n in (3, 2) if at + n <= len(words) and _whole(words[at : at + n]) in _groups()), 1)
        whole = _whole(words[at : at + span])
        if span > 1 or not is_stop_word(whole[0]):
            found[whole] = _asked(whole, [part for _, parts in words[at : at + span] for part in parts])
        at += span
    return list(found.values())


def _whole(words: Sequence[tuple[str, tuple[str, ...]]]) -> tuple[str, ...]:
    return tuple(word for word, _ in words)


def _asked(whole: tuple[str, ...], parts: Sequence[str]) -> Asked:
    chinese = whole[0][:1] >= "\u3400"
    is_vague = chinese and len(whole[0]) == 1 and whole not in _groups()  # a character alone may be of any word
    asked: Asked = {whole: VAGUE if is_vague else 1.0} | {(part,): PART for part in parts}
    for group in _groups().get(whole, ()):
        same, other = (group.chinese, group.english) if chinese else (group.english, group.chinese)
        for terms, weight in ((same, SAME), (other, TRANSLATED)):
            for term in terms:
                key = _key(term)
                asked[key] = max(asked.get(key, 0.0), weight)
    return asked


def _key(term: str) -> tuple[str, ...]:
    if term[0] >= "\u3400":
        return (term,)
    return tuple(stem(word) for word in term.lower().replace("-", " ").split()) if "." not in term else (term,)


@cache
def _groups() -> dict[tuple[str, ...], tuple[Terms, ...]]:
    groups: dict[tuple[str, ...], tuple[Terms, ...]] = {}
    for group in read_terms():
        for term in (*group.chinese, *group.english):
            key = _key(term)
            groups[key] = (*groups.get(key, ()), group)
    return groups
