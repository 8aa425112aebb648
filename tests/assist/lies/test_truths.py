"""True statements stay as they are."""

from pathlib import Path

import pytest

from tests.assist.lies.scene import checked

TRUE = [line for line in Path(__file__).with_name("true.txt").read_text().splitlines() if not line.startswith("# ")]


def test_there_are_enough() -> None:
    assert len(TRUE) == len(set(TRUE)) >= 100


@pytest.mark.parametrize("text", TRUE)
def test_what_is_true_is_not_struck(text: str) -> None:
    answer = checked(text)
    assert answer.text == text
    assert answer.struck == 0
