"""Words of a text as they are looked for: Chinese by a dictionary, English by stems, names with their parts."""

import csv
import logging
import re
import threading
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any

import jieba

MAX_WORD = 64
MAX_PARTS = 5

_RUN = re.compile(r"[\u3400-\u9fff]+|[A-Za-z0-9_$][\w$@:./+-]*", re.ASCII)
_COUNTED = re.compile("[一两几每各][\u4e00-\u9fff]")  # a number and what is counted, as one word
_PART = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[0-9]+")
_SUFFIXES = (
    ("ational", ""), ("ation", ""), ("ity", ""), ("ingly", ""), ("edly", ""), ("ied", "i"), ("ion", ""), ("ing", ""),
    ("ed", ""), ("er", ""), ("or", ""), ("ly", ""), ("able", ""), ("e", ""), ("y", "i"),
)  # fmt: skip


@cache
def stem(word: str) -> str:
    """A lower-case English word without its ending, roughly; the same on both sides is what counts."""
    if len(word) < 4 or not word.isascii() or not word.isalpha():
        return word
    if word.endswith("ies"):
        word = word[:-3] + "y"
    elif word.endswith(("sses", "shes", "ches", "xes")):
        word = word[:-2]
    elif word.endswith("s") and not word.endswith(("ss", "us", "is")):
        word = word[:-1]
    for suffix, instead in _SUFFIXES:
        if word.endswith(suffix) and len(word) - len(suffix) >= 3:
            word = word[: len(word) - len(suffix)] + instead
            break
    if len(word) > 3 and word[-1] == word[-2] and word[-1] not in "sl":
        word = word[:-1]
    return word.removesuffix("e") if len(word) > 4 else word


class _Chinese:
    """The dictionary of Chinese words, read when a Chinese text is met for the first time."""

    def __init__(self) -> None:
        self._lock = threading.Lock()  # held while the dictionary is read, half a second
        self._words: Any = None

    def cut(self, text: str) -> list[str]:
        """Its words, and the words inside them."""
        return list(self._dictionary().cut_for_search(text, HMM=False))

    def cut_once(self, text: str) -> list[str]:
        """Its words, each character in one of them."""
        return list(self._dictionary().cut(text, HMM=False))

    def _dictionary(self) -> Any:
        with self._lock:
            if self._words is None:
                self._words = self._read()
            return self._words

    def _read(self) -> Any:
        jieba.setLogLevel(logging.WARNING)
        words = jieba.Tokenizer()
        # by hand: `initialize` would keep and trust a file of a fixed name in the directory for temporary files
        words.FREQ, words.total = words.gen_pfdict(words.get_dict_file())
        words.initialized = True
        for group in read_terms():
            for word in group.chinese:
                words.add_word(word)
        return words


_CHINESE = _Chinese()


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """Words of the two languages that stand for one another."""

    chinese: tuple[str, ...]
    english: tuple[str, ...]


@cache
def _stop_words() -> frozenset[str]:
    words = resources.files("intact.assist.knowledge").joinpath("stop_words.txt").read_text("utf-8").split()
    return frozenset(words) | frozenset(stem(word) for word in words)


@cache
def read_terms() -> tuple[Terms, ...]:
    """The table of terms that ships."""
    text = resources.files("intact.assist.knowledge").joinpath("terms.tsv").read_text("utf-8")
    rows = csv.reader(text.splitlines(), delimiter="\t")
    return tuple(Terms(chinese=tuple(zh.split("|")), english=tuple(en.split("|"))) for zh, en in rows)


@cache
def _chinese_terms() -> frozenset[str]:
    return frozenset(word for group in read_terms() for word in group.chinese)


def words_of(text: str) -> Iterator[str]:
    """The words of a text in their order; a name (`file_agg_event`, `/dev/null`) as a whole, then its parts."""
    for match in _RUN.finditer(text):
        run = match[0]
        if run[0] >= "\u3400":
            for at in range(0, len(run), 2_000):
                yield from _CHINESE.cut(run[at : at + 2_000])
            continue
        run = run.rstrip(".:/+-")[:MAX_WORD]
        parts = _PART.findall(run)
        if len(parts) != 1 or parts[0] != run:
            yield run.lower()
        if len(parts) > MAX_PARTS:
            continue  # the name of a test reads like a sentence, and answers nothing
        if len(parts) > 1 or not parts or parts[0] != run:
            yield from (stem(part.lower()) for part in parts if len(part) > 1)
        else:
            yield stem(run.lower())


def asked_words(text: str) -> list[tuple[str, tuple[str, ...]]]:
    """The words of a question in their order, with their parts, which count for less than the whole; also stop words."""
    asked: list[tuple[str, tuple[str, ...]]] = []
    for match in _RUN.finditer(text):
        if match[0][0] >= "\u3400":
            for word in _CHINESE.cut_once(match[0][:2_000]):
                word = word[1:] if _COUNTED.fullmatch(word) and word not in _chinese_terms() else word
                asked.append((word, _parts(word, _CHINESE.cut(word))))
        elif words := list(words_of(match[0])):
            asked.append((words[0], _parts(words[0], words[1:])))
    return asked


def _parts(whole: str, words: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(word for word in words if word != whole and not is_stop_word(word)))


def names_of(text: str) -> Iterator[str]:
    """The names in a question: Latin words in a Chinese one, and elsewhere those with a capital that begin no sentence."""
    chinese = any(character >= "\u3400" for character in text)
    for match in _RUN.finditer(text):
        word = match[0].rstrip(".:/+-")
        if (
            word[:1].isalpha()
            and word.isascii()
            and len(word) > 2
            and (chinese or (match.start() and not word.islower()))
        ):
            yield next(words_of(word))


def is_stop_word(word: str) -> bool:
    """Whether a word tells nothing of what is looked for."""
    return word in _stop_words() or (len(word) == 1 and word.isascii())
