"""Ranges of time in questions of people."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from intact.assist.understand.numerals import number_of
from intact.assist.understand.times import SECOND_NS, time_range, without_time

# a Friday
NOW = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)


def ns(day: int, hour: int = 0, minute: int = 0, *, month: int = 11) -> int:
    return int(datetime(2026, month, day, hour, minute, tzinfo=UTC).timestamp()) * SECOND_NS


def asked(text: str) -> tuple[int, int] | None:
    found = time_range(text, ns(20, 12), zone=UTC)
    return None if found is None else (found.from_ns, found.to_ns)


@pytest.mark.parametrize(
    ("text", "start", "end"),
    [
        ("what happened in the last 2 hours?", ns(20, 10), ns(20, 12)),
        ("errors over the past hour", ns(20, 11), ns(20, 12)),
        ("last 30m", ns(20, 11, 30), ns(20, 12)),
        ("in the last half hour", ns(20, 11, 30), ns(20, 12)),
        ("cost in the last three days", ns(17, 12), ns(20, 12)),
        ("过去30分钟有什么异常", ns(20, 11, 30), ns(20, 12)),
        ("最近两个小时的错误", ns(20, 10), ns(20, 12)),
        ("最近一小时", ns(20, 11), ns(20, 12)),
        ("近半小时", ns(20, 11, 30), ns(20, 12)),
        ("最近一个半小时", ns(20, 10, 30), ns(20, 12)),
        ("24小时内的错误", ns(19, 12), ns(20, 12)),
        ("yesterday", ns(19), ns(20)),
        ("昨天花了多少钱", ns(19), ns(20)),
        ("前天的运行", ns(18), ns(19)),
        ("今天", ns(20), ns(20, 12)),
        ("today's cost", ns(20), ns(20, 12)),
        ("last night", ns(19, 18), ns(20, 6)),
        ("昨晚那次运行", ns(19, 18), ns(20, 6)),
        ("今早", ns(20, 5), ns(20, 12)),
        ("今天上午", ns(20, 6), ns(20, 12)),
        ("this morning", ns(20, 5), ns(20, 12)),
        ("yesterday afternoon", ns(19, 12), ns(19, 18)),
        ("since 10:00", ns(20, 10), ns(20, 12)),
        ("since yesterday", ns(19), ns(20, 12)),
        ("10点以后", ns(20, 10), ns(20, 12)),
        ("上午10点以来", ns(20, 10), ns(20, 12)),
        ("自9:30起", ns(20, 9, 30), ns(20, 12)),
        ("昨天下午3点到5点的网络", ns(19, 15), ns(19, 17)),
        ("between 9:00 and 10:30", ns(20, 9), ns(20, 10, 30)),
        ("from 9:00 to now", ns(20, 9), ns(20, 12)),
        ("从昨天到现在", ns(19), ns(20, 12)),
        ("yesterday from 9am to 11am", ns(19, 9), ns(19, 11)),
        ("昨晚8点半到10点", ns(19, 20, 30), ns(19, 22)),
        ("2026-11-18 10:00 to 2026-11-19 10:00", ns(18, 10), ns(19, 10)),
        ("on 2026-11-18", ns(18), ns(19)),
        ("11月18日", ns(18), ns(19)),
        ("2026年11月18号下午两点", ns(18, 14), ns(18, 15)),
        ("18 November", ns(18), ns(19)),
        ("Nov 18th", ns(18), ns(19)),
        ("on Monday", ns(16), ns(17)),
        ("周一", ns(16), ns(17)),
        ("上周三", ns(11), ns(12)),
        ("this week", ns(16), ns(20, 12)),
        ("上周的成本", ns(9), ns(16)),
        ("本月", ns(1), ns(20, 12)),
        ("last month", ns(1, month=10), ns(1)),
        ("at 10:05", ns(20, 10, 5), ns(20, 10, 6)),
        ("2 days ago", ns(18), ns(19)),
        ("三小时前", ns(20, 9), ns(20, 10)),
        ("10点之前的调用", 0, ns(20, 10)),
        ("before 09:00", 0, ns(20, 9)),
    ],
)
def test_a_range_is_found(text: str, start: int, end: int) -> None:
    assert asked(text) == (start, end)


@pytest.mark.parametrize(
    "text",
    [
        "", "how much did the last run cost?", "最近一次运行花了多少钱？", "why was /srv/10/30.txt made", "top 5 files",
        "前5个文件", "connect to 10.0.0.7:443", "早点处理", "how long did it take", "用了多长时间",
        "时间最长的调用", "pid 1200",
                "the good night agent", "第一次调用", "一共有几个", "上一次运行", "127.0.0.1:8080", "from web-1 to db",
    ],
)  # fmt: skip
def test_no_range_is_made_up(text: str) -> None:
    assert asked(text) is None


def test_the_zone_decides_what_a_day_is() -> None:
    east = timezone(timedelta(hours=8))
    found = time_range("昨天", ns(20, 12), zone=east)
    assert found is not None
    assert (found.from_ns, found.to_ns) == (ns(18, 16), ns(19, 16))


def test_the_words_of_the_range_can_be_taken_out() -> None:
    text = "errors in the last 2 hours of web-1"
    assert without_time(text, time_range(text, ns(20), zone=UTC)).split() == ["errors", "of", "web-1"]


@pytest.mark.parametrize(
    ("text", "number"),
    [("十", 10), ("三十五", 35), ("一百零二", 102), ("两", 2), ("twelve", 12), ("1.5", 1.5), ("多", None)],
)
def test_numerals(text: str, number: float | None) -> None:
    assert number_of(text) == number


WORDS = st.sampled_from(
    [
        "昨天",
        "last",
        "30",
        "hours",
        "到",
        "10:00",
        "2026-13-45",
        "2月30日",
        "点",
        "九",
        "since",
        " ",
        "半",
        "ago",
        "前",
        "-",
        "pm",
    ]
)


@given(st.lists(WORDS, max_size=12).map("".join) | st.text(max_size=200), st.integers(0, 1 << 62))
def test_any_text_gives_an_ordered_range_or_none(text: str, at_ns: int) -> None:
    found = time_range(text, at_ns, zone=UTC)
    if found is not None:
        assert 0 <= found.from_ns <= found.to_ns
        assert text[found.start : found.start + len(found.text)] == found.text
