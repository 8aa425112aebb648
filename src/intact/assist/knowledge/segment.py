"""Words of a text as they are looked for: Chinese by a dictionary, English by stems, names with their parts."""

import csv
import logging
import re
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any

import jieba

MAX_WORD = 64

_RUN = re.compile(r"[\u3400-\u9fff]+|[A-Za-z0-9_$][\w$@:./+-]*", re.ASCII)
_COUNTED = re.compile("[一两几每各][\u4e00-\u9fff]")  # a number and what is counted, as one word
_PART = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[0-9]+")
_SUFFIXES = (
    ("ational", ""), ("ation", ""), ("ity", ""), ("ingly", ""), ("edly", ""), ("ied", "i"), ("ion", ""), ("ing", ""), ("ed", ""),
    ("er", ""), ("or", ""), ("ly", ""), ("able", ""), ("e", ""), ("y", "i"),
)  # fmt: skip

# words that tell nothing of what is looked for
STOP_EN = frozenset(
    "a an the of to in on at by for from with and or not no is are was were be been being it its this that these those there "
    "what which who whom whose when where why how do does did done can could may might must shall should will would have has "
    "had i me my we our you your they them their he she his her if then than as so such any some all each every about into "
    "out up down over under again just only own same too very s t don now get gets got want need me much many really please "
    "tell let after while still end ends else everything possible required instead way thing things something someone one ones mean means does doing".split()
)
STOP_ZH = frozenset(
    "的 了 和 是 在 我 有 就 不 也 都 把 被 让 给 从 到 对 与 及 或 而 其 之 这 那 这个 那个 这些 那些 它 他 她 你 您 我们 你们 吗 呢 吧 啊 呀 "
    "什么 怎么 怎样 如何 怎么办 怎么样 为什么 为何 哪 哪个 哪些 哪里 哪儿 哪种 哪张 多少 几 几种 谁 何时 是否 能 能否 能不能 可以 可 会 会不会 要 "
    "需要 应该 应 该 必须 得 想 用 使用 做 请 请问 一下 一个 一种 一条 一张 个 种 条 张 次 时候 时 里 中 上 下 后 前 以后 之后 之前 然后 "
    "还 还是 还要 再 又 才 算 才算 很 太 最 更 有没有 没有 没 并 等 等等 着 过 地 得到 进行 通过 关于 所有 每 每个 某 某个 自己 凭 凭什么 干 "
    "到底 究竟 不能 不会 同一个 两个 什么样 几个 需要 必须 经常 常用 东西 事情 情况 方法 办法 关系 来 去 起 出 这样 那样 只 也是 因为 所以 说 吗 嘛 写 怎 么".split()
)


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
def read_terms() -> tuple[Terms, ...]:
    """The table of terms that ships."""
    text = resources.files("intact.assist.knowledge").joinpath("terms.tsv").read_text("utf-8")
    rows = csv.reader(text.splitlines(), delimiter="\t")
    return tuple(Terms(chinese=tuple(zh.split("|")), english=tuple(en.split("|"))) for zh, en in rows)


def words_of(text: str) -> Iterator[str]:
    """The words of a text in their order; a name (`file_agg_event`, `/dev/null`) as a whole, then its parts."""
    for match in _RUN.finditer(text):
        run = match[0]
        if run[0] >= "\u3400":
            for at in range(0, len(run), 2_000):
                for word in _CHINESE.cut(run[at : at + 2_000]):
                    yield word
            continue
        run = run.rstrip(".:/+-")[:MAX_WORD]
        parts = _PART.findall(run)
        if len(parts) != 1 or parts[0] != run:
            yield run.lower()
        if len(parts) > 1 or not parts or parts[0] != run:
            yield from (stem(part.lower()) for part in parts if len(part) > 1)
        else:
            yield stem(run.lower())


def asked_words(text: str) -> list[tuple[str, tuple[str, ...]]]:
    """The words of a question that tell something, each once, with its parts: parts count for less than the whole."""
    asked: dict[str, tuple[str, ...]] = {}
    for match in _RUN.finditer(text):
        if match[0][0] >= "\u3400":
            for word in _CHINESE.cut_once(match[0][:2_000]):
                word = word[1:] if _COUNTED.fullmatch(word) else word
                asked[word] = tuple(dict.fromkeys(part for part in _CHINESE.cut(word) if part != word))
        else:
            whole, *parts = words_of(match[0])
            asked[whole] = tuple(dict.fromkeys(parts))
    return [
        (word, tuple(part for part in parts if not is_stop_word(part)))
        for word, parts in asked.items()
        if not is_stop_word(word)
    ]


def is_stop_word(word: str) -> bool:
    return word in STOP_ZH or word in _STOP_STEMS or (len(word) == 1 and word.isascii())


_STOP_STEMS = STOP_EN | frozenset(stem(word) for word in STOP_EN)
