"""What questions name."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from intact.assist.understand.entities import Entities, entities, names_in, without_entities


@pytest.mark.parametrize(
    ("text", "field", "value"),
    [
        ("why was /srv/app/config.yaml deleted?", "paths", ("/srv/app/config.yaml",)),
        ("为什么删除了/srv/app/config.yaml这个文件", "paths", ("/srv/app/config.yaml",)),
        ("who wrote src/main.py and primes.txt.", "paths", ("src/main.py", "primes.txt")),
        ("谁动了late.txt？", "paths", ("late.txt",)),
        ("reads of ~/.ssh/id_rsa", "paths", ("~/.ssh/id_rsa",)),
        ("connections to 10.0.0.7:443 and api.example.org", "hosts", ("10.0.0.7:443", "api.example.org")),
        ("memory of host web-1", "hosts", ("web-1",)),
        ("主机web-1的内存", "hosts", ("web-1",)),
        ("fe80::1 and ::1", "hosts", ("fe80::1", "::1")),
        ("what did pid 4711 do", "pids", (4711,)),
        ("进程 4711 做了什么", "pids", (4711,)),
        ("latency of gpt-4o-mini, claude-opus-4.1 and qwen3-max", "models", ("gpt-4o-mini", "claude-opus-4.1", "qwen3-max")),
        ("gpt-5 平均耗时", "models", ("gpt-5",)),
        ("show 20261120-094038-gemini-90e1", "runs", ("20261120-094038-gemini-90e1",)),
        ("how often was read_file called", "quoted", ("read_file",)),
        ('the tool "Bash"', "quoted", ("Bash",)),
        ("top 5 files", "limit", 5),
        ("the 3 slowest calls", "limit", 3),
        ("最大的五个文件", "limit", 5),
        ("前10个文件", "limit", 10),
        ("last 2 hours", "limit", None),
        ("最近一次运行", "limit", None),
        ("files bigger than 4096", "numbers", (4096,)),
    ],
)  # fmt: skip
def test_what_is_named_is_found(text: str, field: str, value: Any) -> None:
    assert getattr(entities(text), field) == value


@pytest.mark.parametrize("text", ["", "how much did it cost?", "一共有几个智能体", "the agent's runs, please."])
def test_nothing_is_made_up(text: str) -> None:
    assert entities(text) == Entities()


def test_known_names_are_found_whole_and_the_longest_first() -> None:
    assert names_in("demo-2 是什么，demo呢", ["demo", "demo-2"]) == ("demo-2", "demo")
    assert names_in("demonstrate; src/demo; demo_x", ["demo"]) == ()
    assert names_in("(a+b)*", ["(a+b)*", ""]) == ("(a+b)*",)


def test_names_are_taken_out_of_the_words() -> None:
    text = "why was /tmp/list-of-costs.txt made"
    assert without_entities(text, entities(text)).split() == ["why", "was", "made"]


@given(st.text(max_size=300), st.lists(st.text(max_size=8), max_size=5))
def test_any_text_is_taken(text: str, names: list[str]) -> None:
    found = entities(text)
    assert len(without_entities(text, found)) == len(text)
    assert all(0 <= start < end <= len(text) for start, end in found.spans)
    names_in(text, names)
