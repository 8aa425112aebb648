"""Every fact comes back from its JSON text as it was, whatever it holds."""

import json
from dataclasses import fields
from typing import Any, get_type_hints

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from intact.model.codec import FACTS, TOO_DEEP, BadFact, fact_from_json, fact_json
from intact.model.facts import HttpExchange, Loss, ToolCall

JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)


def facts(kind: type[Any]) -> st.SearchStrategy[Any]:
    hints = get_type_hints(kind)
    named: dict[str, st.SearchStrategy[Any]] = {}
    for field in fields(kind):
        hint = hints[field.name]
        if hint == dict[str, Any]:
            named[field.name] = st.dictionaries(st.text(), JSON, max_size=3)
        elif hint == list[Any]:
            named[field.name] = st.lists(JSON, max_size=3)
        elif field.name in ("result", "error"):
            named[field.name] = JSON
        else:
            named[field.name] = st.from_type(hint)
    return st.builds(kind, **named)


@pytest.mark.parametrize("kind", FACTS)
def test_every_fact_comes_back_equal(kind: str) -> None:
    @settings(max_examples=25, suppress_health_check=[HealthCheck.too_slow], deadline=None)
    @given(facts(FACTS[kind]))
    def check(fact: Any) -> None:
        name, body = fact_json(fact)
        assert name == kind
        assert body.isascii()
        back = fact_from_json(name, body)
        assert repr(back) == repr(fact)

    check()


def tool_call(arguments: dict[str, Any]) -> ToolCall:
    return ToolCall(
        id=1, tool_call_id="t", name="n", arguments=arguments, arguments_text="", call_id=2, process_id=3, issued_ns=4
    )


def test_deep_nesting_is_cut_not_fatal() -> None:
    deep: Any = []
    for _ in range(100_000):
        deep = [deep]
    _, body = fact_json(tool_call({"x": deep}))
    back = fact_from_json("ToolCall", body)
    assert TOO_DEEP in json.dumps(back.arguments)  # type: ignore[union-attr]
    while deep:  # a deep list is freed by recursion as well
        deep = deep.pop()


def test_huge_integers_lone_surrogates_and_controls_survive() -> None:
    _, body = fact_json(tool_call({"n": 10**9000, "s": "\ud800\x00\x1b[2J\u2028", "f": float("inf")}))
    back = fact_from_json("ToolCall", body)
    assert back.arguments["s"] == "\ud800\x00\x1b[2J\u2028"  # type: ignore[union-attr]
    assert back.arguments["n"].startswith("0x")  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        ("Nothing", "{}"),
        ("__class__", "{}"),
        ("Loss", "[]"),
        ("Loss", "null"),
        ("Loss", "{"),
        ("Loss", "[" * 100_000),
        ("Loss", '{"stage":"x"}'),
        ("Loss", '{"stage":1,"cause":"c","count":1,"at_ns":1}'),
        ("Loss", '{"stage":"s","cause":"c","count":true,"at_ns":1}'),
        ("LlmCall", '{"finish_reasons":"abc"}'),
        ("Process", '{"id":1,"pid":1,"start_ns":1,"argv":[1]}'),
    ],
)
def test_hostile_text_is_refused_in_one_way(kind: str, body: str) -> None:
    with pytest.raises(BadFact):
        fact_from_json(kind, body)


def test_fields_of_a_later_version_are_left_out() -> None:
    loss = Loss(stage="s", cause="c", count=1, at_ns=2)
    kind, body = fact_json(loss)
    assert fact_from_json(kind, json.dumps({**json.loads(body), "later": 1})) == loss


def test_bodies_are_kept_byte_for_byte() -> None:
    names = {field.name for field in fields(HttpExchange)}
    assert {"request_body", "response_body"} <= names
    values: dict[str, Any] = {
        "id": 1, "process_id": 1, "pid": 1, "tid": 1, "connection_id": 1, "is_server": False, "method": "POST",
        "target": "/", "request_headers": (("a", "b"),), "request_body": bytes(range(256)), "status": 200,
        "response_headers": (), "response_body": b"plain", "server_address": None, "server_port": None,
        "started_ns": 1, "request_end_ns": None, "first_byte_ns": None, "ended_ns": None, "complete": True,
        "missing_bytes": 0, "problem": None,
    }  # fmt: skip
    exchange = HttpExchange(**values)
    assert fact_from_json(*fact_json(exchange)) == exchange
