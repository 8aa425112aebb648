"""Planted lies are struck out, each and wholly, and what is true beside them is not."""

import re
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from intact.assist.asking import Language
from tests.assist.lies.scene import checked
from tests.assist.lies.test_truths import TRUE

LIES = [line for line in Path(__file__).with_name("lies.txt").read_text().splitlines() if not line.startswith("# ")]
_MARKED = re.compile(r"⟪(.*?)⟫")


def test_there_are_enough() -> None:
    assert len(LIES) == len(set(LIES)) >= 150


@pytest.mark.parametrize("marked", LIES)
def test_a_lie_is_struck(marked: str) -> None:
    answer = checked(_MARKED.sub(r"\1", marked))
    assert answer.text == _MARKED.sub(r"~~\1~~ (unproven)", marked)
    assert answer.struck == len(_MARKED.findall(marked))


def test_what_is_struck_is_said_in_the_language_of_the_question() -> None:
    assert checked("根分区已使用 79.3% [e1]。", language=Language.ZH).text == "根分区已使用 ~~79.3%~~（不成立） [e1]。"
    assert checked("根分区已使用 97.3%。", language=Language.ZH).text == "根分区已使用 ~~97.3%~~（未证实）。"


def test_true_statements_with_the_citation_gone_back_nothing() -> None:
    with_numbers = [text for text in TRUE if re.search(r"\[e\d+\]", text) and "31415" not in text]
    bare = [re.sub(r"\s?\[e\d+\]", "", text) for text in with_numbers]
    assert [text for text in bare if not checked(text).struck and re.search(r"\d[%.,]?\d", text)] == []


def test_a_model_cannot_strike_or_hide_by_itself() -> None:
    assert checked("~~79%~~ of the disk [e1]").text == "~~79%~~ (unproven) of the disk [e1]"


def test_nearly_every_other_digit_is_struck() -> None:
    """Each number of each true statement with another last digit; those that stay are numbers of the same evidence."""
    changed, kept = 0, []
    for text in TRUE:
        for match in re.finditer(r"(?<![\we\[.-])\d[\d,.]*\d|(?<![\w\[e.-])\d(?![\w.)]| of)", text):
            at = max(index for index in range(match.start(), match.end()) if text[index].isdigit())
            for more in (1, 3, 5, 9):
                changed += 1
                other = f"{text[:at]}{(int(text[at]) + more) % 10}{text[at + 1 :]}"
                kept += [] if checked(other).struck else [other]
    assert changed > 600
    assert len(kept) <= changed * 0.04, kept


@settings(max_examples=300, deadline=None)
@given(
    st.text(
        alphabet=st.sampled_from(list("0123456789.,:-/%$[]e`~|# abckmGiBs一二十百万点个没有no\n\u202e")), max_size=200
    )
)
def test_any_text_is_checked(text: str) -> None:
    answer = checked(text)
    assert answer.struck >= 0
    assert answer.struck or answer.text == "\n".join(text.replace("~~", "").splitlines())


@pytest.mark.parametrize(
    "piece", ["1", "1,", "1.", "a-", "e1", "[e1]", "`", "一", "千", "百分之", "no ", "2026-", "12:", "1/", " "]
)
def test_long_texts_do_not_take_long(piece: str) -> None:
    began = time.process_time()
    checked(piece * (4_000 // len(piece)))
    assert time.process_time() - began < 2
