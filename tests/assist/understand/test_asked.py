"""Topics of questions about agents, without a model."""

import time
from datetime import UTC

import pytest
from hypothesis import given
from hypothesis import strategies as st

from intact.assist.asking import Language
from intact.assist.understand.asked import TOPICS, Aggregation, understood
from intact.assist.understand.lexicon import concepts

NOW = 1_795_176_000 * 10**9


@pytest.mark.parametrize(
    ("text", "topic", "aggregation"),
    [
        ("how much did it cost per day", "cost", Aggregation.LIST),
        ("compare the cost of the models", "cost", Aggregation.COMPARE),
        ("最贵的模型是哪个", "cost", Aggregation.TOP),
        ("why was /etc/hosts changed", "why", Aggregation.WHY),
        ("who deleted a.log", "why", Aggregation.WHY),
        ("why is it slow", "duration", Aggregation.WHY),
        ("which signals were sent", "signals", Aggregation.LIST),
        ("有没有提权", "privileges", Aggregation.LIST),
        ("列出所有告警", "findings", Aggregation.LIST),
        ("how many calls were made", "calls", Aggregation.COUNT),
        ("总结一下最近一次运行", "summary", Aggregation.LIST),
        ("what did the agent do", "summary", Aggregation.LIST),
        ("退出码是多少", "exit_code", Aggregation.COUNT),
        ("which run took the longest", "duration", Aggregation.TOP),
        ("did the agent run curl?", "commands", Aggregation.LIST),
        ("did any agent read /etc/shadow?", "read", Aggregation.LIST),
        ("智能体都干了些什么", "summary", Aggregation.LIST),
        ("compare demo and gemini", "compare", Aggregation.COMPARE),
        ("did anyone steal data?", "risk", Aggregation.LIST),
        ("the weather in Paris", None, Aggregation.LIST),
        ("", None, Aggregation.LIST),
    ],
)
def test_a_topic_is_found_or_none(text: str, topic: str | None, aggregation: Aggregation) -> None:
    language = Language.EN if text.isascii() else Language.ZH
    asked = understood(text, NOW, language, zone=UTC)
    assert (asked.topic, asked.aggregation) == (topic, aggregation)


def test_names_are_no_words() -> None:
    asked = understood("what happened to /srv/cost/token.log in the last run", NOW, Language.EN, zone=UTC)
    assert asked.topic == "summary"
    assert asked.entities.paths == ("/srv/cost/token.log",)
    assert asked.wants_latest


def test_the_last_two_hours_are_not_the_last_run() -> None:
    asked = understood("cost of the runs in the last 2 hours", NOW, Language.EN, zone=UTC)
    assert asked.between is not None
    assert not asked.wants_latest


def test_words_are_found_whole_and_the_longest_first() -> None:
    assert [hit.concept for hit in concepts("recall the sprung tool")] == ["tool"]
    assert [hit.concept for hit in concepts("大模型调用花了多少钱")] == ["call", "cost", "cost"]


def test_it_takes_little_time() -> None:
    understood("warm", NOW, Language.EN)
    began = time.process_time()
    for _ in range(20):
        understood("昨天下午3点到5点之间，background 这次运行里哪个工具调用失败最多？", NOW, Language.ZH)
    assert (time.process_time() - began) / 20 < 0.01


@given(st.text(max_size=300))
def test_any_text_is_understood_the_same_again(text: str) -> None:
    asked = understood(text, NOW, Language.EN, zone=UTC)
    assert asked.topic is None or asked.topic in TOPICS
    assert asked == understood(text, NOW, Language.EN, zone=UTC)


@pytest.mark.parametrize(
    ("text", "is_whether"),
    [
        ("did any agent read /etc/shadow?", True), ("was anything blocked", True), ("any suspicious activity?", True),
        ("有没有删除过文件？", True), ("智能体访问过外网吗", True), ("是否触发过策略", True),
        ("which files changed, and why?", False),
        ("最近一次运行改了哪些文件，为什么？", False), ("干了什么", False), ("how many files are there", False),
        ("didn't it delete anything?", False), ("was nothing deleted?", False), ("没删过文件吧", False),
    ],
)  # fmt: skip
def test_yes_or_no_is_wanted_or_not(text: str, is_whether: bool) -> None:
    language = Language.EN if text.isascii() else Language.ZH
    assert understood(text, NOW, language, zone=UTC).is_whether is is_whether


def test_a_slip_of_the_fingers_is_read_over() -> None:
    assert {"command", "agent"} <= {hit.concept for hit in concepts("which comands did teh agnets run")}
    assert [hit.concept for hit in concepts("sign a contract at the terminal in modes")] == []
