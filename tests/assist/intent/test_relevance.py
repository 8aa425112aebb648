"""Level 3: what kind of question it is, and what is none."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from intact.assist.intent.clean import clean
from intact.assist.intent.likeness import CLASSES, likeness
from intact.assist.intent.relevance import is_greeting, is_mash, weigh


@pytest.mark.parametrize(
    ("text", "intent"),
    [
        ("早上好呀", "greeting"),
        ("hi, check web-1", "task"),
        ("what can you do", "identity"),
        ("what is a zombie process", "knowledge"),
        ("find zombie processes", "task"),
        ("why did agent 42 delete config.yaml", "task"),
        ("那内存呢？", "followup"),
        ("and yesterday?", "followup"),
        ("how do I detect prompt injection", "knowledge"),
        ("什么是僵尸进程", "knowledge"),
        ("查一下僵尸进程", "task"),
        ("红烧肉怎么做", "invalid"),
        ("lottery numbers for friday", "invalid"),
        ("asdfghjkl", "invalid"),
        ("???", "invalid"),
        ("啊啊啊啊啊", "invalid"),
    ],
)
def test_the_border_is_where_the_contract_says(text: str, intent: str) -> None:
    assert weigh(clean(text).folded).intent == intent


@given(st.text(max_size=300))
def test_any_text_is_weighed(text: str) -> None:
    found = weigh(clean(text).folded)
    assert found.margin >= 0
    assert len(likeness(clean(text).folded)) == len(CLASSES)


def test_a_greeting_with_a_question_is_none() -> None:
    assert is_greeting("hello, thanks a lot!")
    assert not is_greeting("hello, which host is slow")
    assert not is_greeting("你好,内存多少")


def test_mash_is_seen_without_a_vocabulary() -> None:
    assert is_mash("lkjsdf sdfkj")
    assert is_mash("哈哈哈哈哈哈")
    assert not is_mash("check the disk")
    assert not is_mash("看看磁盘")
