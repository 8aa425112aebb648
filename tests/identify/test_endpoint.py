"""Requests that make an agent: the endpoints users know, a query, an override, a process of which nothing else was told."""

from dataclasses import replace

import pytest

from intact.identify.recogniser import Image, Understood
from intact.identify.registry import Registry
from intact.identify.stage import identify
from intact.model.config import DEFAULT_ENDPOINTS
from intact.model.facts import Agent, HttpExchange
from intact.model.recognition import BizType, EndpointRule, MatchOn, PathForm, ProcessRule, RecognitionRules
from intact.model.slice import Host, Slice
from tests.identify.test_registry import exchange

HOST = Host(name="made-up", boot_id="b0", kernel="6", boot_offset_ns=0)
# What `http_endpoints` says by default, and nothing that Intact knows beside it.
RULES = RecognitionRules(
    endpoints=tuple(EndpointRule(path=path, form=PathForm.PREFIX, api="configured") for path in DEFAULT_ENDPOINTS)
)
MATCHER = ProcessRule(match_on=MatchOn.PROCESS_NAME, pattern="^agent$")


def agents_of(*facts: HttpExchange, registry: Registry | None = None) -> list[Agent]:
    known = registry or Registry(HOST, RULES)
    found = [fact for piece in identify([Slice(until_ns=9, facts=facts)], HOST, known) for fact in piece.facts]
    return [fact for fact in found if isinstance(fact, Agent)]


@pytest.mark.parametrize("endpoint", DEFAULT_ENDPOINTS)
@pytest.mark.parametrize("rest", ["", "?model=gpt-4o", "/batch"])
def test_a_path_that_begins_like_an_endpoint_makes_an_agent(endpoint: str, rest: str) -> None:
    (agent,) = agents_of(exchange(42, 1, path=endpoint + rest))
    assert (agent.process_id, agent.recogniser, agent.role) == (42, "endpoint", "agent")
    assert (agent.biz_type, BizType(agent.biz_type).label()) == (1, "AI-Agent")
    assert f"POST {endpoint}" in agent.reason
    assert "gpt-4o" not in agent.reason


@pytest.mark.parametrize(
    "path", ["/biz/override", "/api/v1", "/x?next=/v1/chat/completions", "/V1/chat/completions", ""]
)
def test_another_path_makes_none(path: str) -> None:
    assert agents_of(exchange(42, 1, path=path)) == []


def test_a_process_of_which_nothing_was_told_is_one_nevertheless() -> None:
    registry = Registry(HOST, RULES)
    assert len(registry) == 0
    assert [agent.process_id for agent in agents_of(exchange(7, 1), registry=registry)] == [7]


def test_two_kinds_of_evidence_are_one_agent_and_either_is_enough() -> None:
    registry = Registry(HOST, replace(RULES, processes=(MATCHER,)))
    registry.runs(registry.started(7, 7, 1), Image(exe="/usr/bin/agent"), 1)
    assert [(agent.id, agent.biz_type) for agent in agents_of(exchange(7, 2), registry=registry)] == [(7, 1)]
    registry.use(RULES)  # the matcher is gone, what it asked stays
    assert [(each.biz_type, each.recogniser) for each in registry.news(3)] == [(1, "endpoint")]
    registry.use(RecognitionRules())
    assert registry.news(4) == []


def test_a_matcher_alone_holds_as_long_as_it_is_there() -> None:
    registry = Registry(HOST, replace(RULES, processes=(MATCHER,)))
    registry.runs(registry.started(7, 7, 1), Image(exe="/usr/bin/agent"), 1)
    registry.runs(registry.started(8, 8, 1, 7), Image(exe="/usr/bin/other"), 1)
    assert [(each.id, each.biz_type) for each in registry.news(1)] == [(7, 1)]
    registry.use(RecognitionRules())
    assert [(each.id, each.biz_type, each.role) for each in registry.news(2)] == [(7, 0, "former")]
    assert (registry.root_of(7), registry.root_of(8)) == (0, 0)


def test_no_matcher_is_needed_where_a_request_tells() -> None:
    registry = Registry(HOST, RULES)
    registry.sees(7, 7, Understood(wire_api="openai.chat", host=""), 1, 1)
    assert [each.biz_type for each in registry.news(1)] == [1]
