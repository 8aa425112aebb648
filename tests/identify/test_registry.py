"""Who is an agent over the life of a process tree: roots, roles, threads, exec, re-parenting, pid reuse, expiry, bounds."""

from collections.abc import Iterable
from dataclasses import replace
from random import Random

import pytest

from intact.identify import registry as module
from intact.identify.endpoint import KNOWN_ENDPOINTS
from intact.identify.recogniser import Image, Request, Understood
from intact.identify.registry import Mark, Registry
from intact.identify.stage import identify
from intact.model.facts import Agent, HttpExchange
from intact.model.identity import ProcessKey, host_hash, process_id
from intact.model.recognition import BizType, EndpointRule, ManualRule, MatchOn, PathForm, ProcessRule, RecognitionRules
from intact.model.slice import Host, Slice
from tests.correlate.world import BASE_NS, MS, SECOND, World

HOST = Host(name="made-up", boot_id="b0", kernel="6", boot_offset_ns=BASE_NS)
RULES = RecognitionRules(endpoints=KNOWN_ENDPOINTS)
CALL = Understood(wire_api="openai.chat", host="api.openai.com")


def told(registry: Registry, slices: Iterable[Slice]) -> list[Agent]:
    return [fact for piece in identify(slices, HOST, registry) for fact in piece.facts if isinstance(fact, Agent)]


def exchange(
    process: int, at_ns: int, *, path: str = "/v1/chat/completions", is_server: bool = False, method: str = "POST"
) -> HttpExchange:
    return HttpExchange(
        id=at_ns, process_id=process, pid=7, tid=7, connection_id=1, is_server=is_server, method=method, target=path,
        request_headers=(), request_body=b"", status=200, response_headers=(), response_body=b"",
        server_address="api.example", server_port=443, started_ns=at_ns, request_end_ns=at_ns, first_byte_ns=None,
        ended_ns=at_ns, complete=True, missing_bytes=0, problem=None,
    )  # fmt: skip


def family(registry: Registry, *ids: int) -> None:
    """Each the child of the one before."""
    above = 0
    for each in ids:
        registry.started(each, each % 30_000, BASE_NS + each, above)
        above = each


def seen(registry: Registry, process: int, at_ns: int = BASE_NS) -> None:
    registry.sees(process, process, CALL, at_ns, at_ns)


def test_the_root_is_the_top_most_agent_whichever_was_seen_first() -> None:
    registry = Registry(HOST, RULES)
    family(registry, 1, 2, 3, 4)
    seen(registry, 3)
    assert [registry.root_of(each) for each in (1, 2, 3, 4)] == [0, 0, 3, 3]
    assert registry.news(BASE_NS)[0].root_process_id == 3
    seen(registry, 2)
    assert [registry.root_of(each) for each in (1, 2, 3, 4)] == [0, 2, 2, 2]
    assert {(each.id, each.root_process_id) for each in registry.news(BASE_NS)} == {(2, 2), (3, 2)}
    registry.started(5, 5, BASE_NS, 4)
    assert registry.root_of(5) == 2


def test_double_fork_and_setsid_keep_the_root() -> None:
    registry = Registry(HOST, RULES)
    family(registry, 1, 2)
    seen(registry, 1)
    registry.started(3, 3, BASE_NS, 2)
    registry.exited(2)
    registry.started(4, 4, BASE_NS, 3)
    registry.exited(1)
    assert [registry.root_of(each) for each in (3, 4)] == [1, 1]


def test_what_is_forgotten_between_leaves_the_root(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_DEAD", 0)
    registry = Registry(HOST, RULES)
    family(registry, 1, 2, 3)
    registry.exited(2)
    assert len(registry) == 2
    seen(registry, 1)
    assert registry.root_of(3) == 1


def test_threads_exec_and_a_leader_that_leaves_first_change_nothing() -> None:
    world = World(rng=Random(1))
    top = world.process(BASE_NS)
    agent = world.fork(top, BASE_NS + MS, 0)
    world.exec(agent, BASE_NS + 2 * MS, ["/usr/bin/python3", "weather.py"], 0)
    world.thread(agent, BASE_NS + 3 * MS, 0)
    world.call(agent, BASE_NS + 10 * MS, BASE_NS + 50 * MS)
    child = world.fork(agent, BASE_NS + 60 * MS, 0, tid=agent.pid + 7)  # by the thread, its leader gone
    world.exec(agent, BASE_NS + 70 * MS, ["/usr/bin/env", "true"], 0)
    world.facts = [(at, fact) for at, fact in world.facts if not isinstance(fact, Agent)]
    registry = Registry(HOST, RULES)
    agents = told(registry, world.slices([BASE_NS + 20 * MS, BASE_NS + 65 * MS]))
    assert {each.id for each in agents} == {agent.id}
    assert {each.name for each in agents} == {"weather"}
    assert registry.root_of(child.id) == registry.root_of(agent.id) == agent.id
    assert agent.id != 0


def test_a_reused_pid_is_another_process() -> None:
    world = World(rng=Random(1))
    top = world.process(BASE_NS)
    first = world.fork(top, BASE_NS + MS, 0, pid=4711)
    world.call(first, BASE_NS + 10 * MS, BASE_NS + 20 * MS)
    world.exit(first, BASE_NS + 30 * MS, 0)
    second = world.fork(top, BASE_NS + 40 * MS, 0, pid=4711)
    world.exec(second, BASE_NS + 41 * MS, ["/bin/ls"], 0)
    world.facts = [(at, fact) for at, fact in world.facts if not isinstance(fact, Agent)]
    registry = Registry(HOST, RULES)
    told(registry, world.slices([BASE_NS + 35 * MS]))
    assert first.id != second.id
    assert (registry.root_of(first.id), registry.root_of(second.id)) == (first.id, 0)


def test_a_gateway_is_a_proxy_however_the_order() -> None:
    for served_first in (True, False):
        registry = Registry(HOST, RULES)
        family(registry, 1, 2, 3)
        facts = [exchange(2, BASE_NS, is_server=True), exchange(2, BASE_NS + 1)]
        agents = told(registry, [Slice(until_ns=BASE_NS + 5, facts=tuple(facts if served_first else facts[::-1]))])
        assert [(each.role, each.biz_type) for each in agents] == [("proxy", 0)]
        assert "answers POST /v1/chat/completions itself" in agents[0].reason
        assert registry.root_of(3) == 0
        seen(registry, 3)
        assert registry.root_of(3) == 3


def test_a_plain_server_is_no_agent() -> None:
    registry = Registry(HOST, RULES)
    assert not told(registry, [Slice(until_ns=BASE_NS, facts=(exchange(2, BASE_NS, is_server=True),))])
    facts = (exchange(2, BASE_NS, path="/upload"), exchange(2, BASE_NS, method="GET"))
    assert not told(registry, [Slice(until_ns=BASE_NS, facts=facts)])


def test_the_query_is_no_part_of_the_path() -> None:
    registry = Registry(HOST, RULES)
    fact = exchange(2, BASE_NS, path="/v1/chat/completions?model=gpt-4o")
    assert [each.recogniser for each in told(registry, [Slice(until_ns=BASE_NS, facts=(fact,))])] == ["endpoint"]


@pytest.mark.parametrize(
    ("path", "host", "port", "met"),
    [
        ("/v1/messages", "h", 443, "anthropic.messages"),
        ("/anthropic/v1/messages", "h", 443, "anthropic.messages"),
        ("/v1/projects/p/locations/l/publishers/anthropic/models/m:streamRawPredict", "h", 443, "anthropic.messages"),
        ("/openai/deployments/d/chat/completions", "h", 443, "openai.chat"),
        ("/compatible-mode/v1/chat/completions", "h", 443, "openai.chat"),
        ("/backend-api/codex/responses", "chatgpt.com", 443, "openai.responses"),
        ("/v1beta/models/g:streamGenerateContent", "h", 443, "gemini.generate_content"),
        ("/v1internal:generateContent", "h", 443, "gemini.generate_content"),
        ("/v1beta/interactions", "generativelanguage.googleapis.com", 443, "gemini.interactions"),
        ("/v1beta/interactions", "chat.example", 443, None),
        ("/model/us.anthropic.claude/converse-stream", "h", 443, "bedrock.converse"),
        ("/model/a/b/converse", "h", 443, None),
        ("/api/chat", "localhost", 11434, "ollama.chat"),
        ("/api/chat", "my-web-app", 443, None),
        ("/v1/embeddings", "h", 443, "openai.embeddings"),
        ("/v1/messages/count_tokens", "h", 443, None),
        ("/docs/v1/chat/completions.html", "h", 443, None),
    ],
)
def test_endpoints_of_every_api(path: str, host: str, port: int, met: str | None) -> None:
    registry = Registry(HOST, RULES)
    registry.sees(1, 1, Request(method="POST", path=path, host=host, port=port), BASE_NS, BASE_NS)
    found = registry.news(BASE_NS)
    assert bool(found) == (met is not None)
    if met:
        assert f"({met};" in found[0].reason


@pytest.mark.parametrize(
    ("rule", "line"),
    [
        (EndpointRule(path="/a/b", form=PathForm.EXACT, api="x"), (b"/a/b", b"", True)),
        (EndpointRule(path="/a/b", form=PathForm.PREFIX, api="x"), (b"/a/b", b"", False)),
        (EndpointRule(path="/a/b", form=PathForm.SUFFIX, api="x"), (b"", b"/a/b", False)),
        (EndpointRule(path="/m/{id}/x/{y}:go", form=PathForm.TEMPLATE, api="x"), (b"/m/", b":go", False)),
        (EndpointRule(path="/" + "a" * 99, form=PathForm.EXACT, api="x"), (b"/" + b"a" * 63, b"", False)),
        (EndpointRule(path="a" * 99, form=PathForm.SUFFIX, api="x"), (b"", b"a" * 32, False)),
    ],
)
def test_the_kernel_is_never_narrower_than_the_rule(rule: EndpointRule, line: tuple[bytes, bytes, bool]) -> None:
    made = rule.request_line
    assert (made.prefix, made.suffix, made.is_exact) == line


def test_matchers_come_and_go() -> None:
    matcher = ProcessRule(match_on=MatchOn.SCRIPT, pattern=r"agent\.py$")
    registry = Registry(HOST, replace(RULES, processes=(matcher,)))
    family(registry, 1, 2, 3)
    image = Image(exe="/usr/bin/python3", argv=("python3", "-u", "/w/agent.py"))
    for each in (2, 3):
        registry.runs(registry.started(each, each, BASE_NS), image, BASE_NS)
    assert {(each.id, each.recogniser, each.root_process_id) for each in registry.news(BASE_NS)} == {
        (2, "process", 2),
        (3, "process", 2),
    }
    assert {mark for _, mark in registry.marks()} == {Mark.KNOWN}
    seen(registry, 3)
    registry.use(RULES)
    now = {each.id: each for each in registry.news(BASE_NS)}
    assert (now[2].biz_type, now[2].role) == (0, "former")
    assert (now[3].biz_type, now[3].recogniser, now[3].root_process_id) == (1, "wire_api", 3)
    assert (ProcessKey(2, 2), Mark.FORGOTTEN) in registry.marks()


def test_an_environment_is_looked_at_and_not_kept() -> None:
    asked: list[ProcessKey] = []

    def environment(key: ProcessKey) -> dict[str, str]:
        asked.append(key)
        return {"MY_AGENT": "1", "API_KEY": "sk-canary"}

    rules = replace(RULES, processes=(ProcessRule(match_on=MatchOn.ENV, pattern="^MY_AGENT="),))
    registry = Registry(HOST, rules, environment=environment)
    registry.runs(registry.started(9, 9, BASE_NS + 5), Image(exe="/bin/x", argv=("x",)), BASE_NS)
    (agent,) = registry.news(BASE_NS)
    assert asked == [ProcessKey(9, 5)]
    assert "canary" not in repr(agent)


def test_the_last_word_of_a_person_counts() -> None:
    number = process_id(host_hash("b0"), 9, 5 * MS)
    rule = ManualRule(is_agent=False, reason="ours", added_ns=1, boot_id="b0", tgid=9, start_ns=0)
    registry = Registry(HOST, replace(RULES, manual=(rule,)))
    registry.runs(registry.started(number, 9, BASE_NS + 5 * MS), Image(exe="/bin/x"), BASE_NS)
    seen(registry, number)
    assert [(each.role, each.biz_type, each.reason) for each in registry.news(BASE_NS)] == [("refused", 0, "ours")]
    assert (ProcessKey(9, 5 * MS), Mark.REFUSED) in registry.marks()
    registry.use(replace(RULES, manual=(rule, replace(rule, is_agent=True, added_ns=2))))
    assert [(each.role, each.biz_type) for each in registry.news(BASE_NS)] == [("agent", 1)]
    other = Registry(replace(HOST, boot_id="b1"), replace(RULES, manual=(rule,)))
    other.runs(other.started(1, 9, BASE_NS + 5 * MS), Image(exe="/bin/x"), BASE_NS)
    assert not other.news(BASE_NS)  # another boot of the host


def test_an_agent_that_is_silent_for_long_is_one_no_longer() -> None:
    registry = Registry(HOST, replace(RULES, idle_ns=60 * SECOND))
    family(registry, 1, 2)
    seen(registry, 1)
    registry.news(BASE_NS)
    (gone,) = registry.news(BASE_NS + 200 * SECOND)
    assert (gone.role, gone.biz_type, registry.root_of(2)) == ("expired", 0, 0)
    seen(registry, 1, BASE_NS + 300 * SECOND)
    (back,) = registry.news(BASE_NS + 300 * SECOND)
    assert (back.role, back.biz_type, registry.root_of(2)) == ("agent", 1, 1)


def test_it_stays_within_its_bounds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_DEAD", 10)
    monkeypatch.setattr(module, "MOST_PROCESSES", 50)
    monkeypatch.setattr(module, "MOST_AGENTS", 20)
    registry = Registry(HOST, RULES)
    for number in range(1, 2000):
        registry.started(number, number, BASE_NS, number - 1)
        if number % 3 == 0:
            seen(registry, number)
        if number % 2:
            registry.exited(number)
        assert len(registry) <= 51
    assert len(list(registry.live())) <= 20


def test_what_the_kernel_let_through_for_nothing_is_judged_again() -> None:
    registry = Registry(HOST, RULES)
    family(registry, 1, 2)
    told(registry, [Slice(until_ns=BASE_NS, facts=(exchange(2, BASE_NS, path="/api/chat"),))])
    assert [mark for _, mark in registry.marks()] == [Mark.FORGOTTEN]


def test_labels() -> None:
    assert [BizType(each).label(lang) for each in (0, 1) for lang in ("en", "zh")] == [
        "Default",
        "默认",
        "AI-Agent",
        "智能体",
    ]
