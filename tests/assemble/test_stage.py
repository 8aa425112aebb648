"""The whole stage: any cut gives the same facts, bad input stops one connection, memory stays bounded."""

import tracemalloc
from collections.abc import Iterator
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from intact.assemble.stage import MAX_CONNECTIONS, assemble
from intact.model.facts import Chunk, Fact, HttpExchange, LlmCall, Loss, StageCount, ToolCall
from intact.model.slice import Slice
from tests.assemble.traffic import (
    MODEL,
    Line,
    ask,
    calls,
    exchanges,
    request_bytes,
    response_bytes,
    say,
    told,
    tools,
    turn,
)

APIS = tuple(MODEL)


def cut_again(facts: list[Fact], cuts: list[int]) -> list[Fact]:
    """The same bytes at the same times in other pieces."""
    again: list[Fact] = []
    for number, fact in enumerate(facts):
        if not isinstance(fact, Chunk):
            again.append(fact)
            continue
        size = len(fact.data)
        inside = {cut * (number + 7) % max(size, 1) for cut in cuts}
        for start, end in pairwise(sorted({0, *inside, size})):
            again.append(
                Chunk(
                    process_id=fact.process_id,
                    pid=fact.pid,
                    tid=fact.tid,
                    connection_id=fact.connection_id,
                    source=fact.source,
                    is_write=fact.is_write,
                    at_ns=fact.at_ns,
                    stream_offset=fact.stream_offset + start,
                    data=fact.data[start:end],
                    missing_bytes=fact.missing_bytes if end == size else 0,
                    peer_address=fact.peer_address,
                    peer_port=fact.peer_port,
                )
            )
    return again


def assembled(facts: list[Fact], *, per_slice: int = 1_000_000) -> list[Fact]:
    """The facts that are told, bookkeeping aside, which tells of slices and not of bytes."""
    groups = [facts[at : at + per_slice] for at in range(0, len(facts), per_slice)]
    slices = [Slice(until_ns=1, facts=tuple(group)) for group in groups]
    given_back = [fact for each in assemble(slices) for fact in each.facts]
    return [fact for fact in given_back if isinstance(fact, LlmCall | ToolCall | HttpExchange)]


def conversation(api: str) -> list[Fact]:
    """Keep-alive, every coding, two connections, tools, then an unfinished answer."""
    line = turn(api, Line(), text="naïve ✓ " * 5, commands=["ls", "pwd"], thinking="hm")
    turn(api, line, text="done", coding="gzip")
    turn(api, line, text="done", coding="br", stream=False)
    other = Line(8)
    turn(api, other, text="words", coding="zstd")
    target, body = ask(api)
    content_type, pieces = say(api, target, body, text="never finished " * 9)
    unfinished = response_bytes(pieces[:-2], content_type=content_type).removesuffix(b"0\r\n\r\n")
    other.asks(request_bytes(target, body)).hears(unfinished).ends()
    return sorted(line.facts + other.facts, key=lambda fact: fact.at_ns)  # type: ignore[union-attr]


@pytest.mark.parametrize("api", APIS)
@settings(max_examples=15, deadline=None)
@given(cuts=st.lists(st.integers(1, 5000), max_size=60), per_slice=st.integers(1, 50))
def test_any_cut_of_a_conversation_gives_the_same_facts(api: str, cuts: list[int], per_slice: int) -> None:
    facts = conversation(api)
    whole = assembled(facts)
    assert len([fact for fact in whole if isinstance(fact, HttpExchange)]) == 5
    assert assembled(cut_again(facts, cuts), per_slice=per_slice) == whole


def test_a_byte_at_a_time() -> None:
    facts = conversation("anthropic.messages")
    assert assembled(cut_again(facts, list(range(1, 10_000))), per_slice=10_000) == assembled(facts)


def test_pipelined_requests_are_answered_in_order() -> None:
    asked = b"".join(b"GET /%d HTTP/1.1\r\nHost: h\r\n\r\n" % number for number in range(3))
    answered = b"".join(b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n%d" % number for number in range(3))
    found = exchanges(told(Line().asks(asked).hears(answered)))
    assert [(each.target, each.response_body) for each in found] == [("/0", b"0"), ("/1", b"1"), ("/2", b"2")]


def test_head_and_no_content_have_no_body() -> None:
    asked = b"HEAD /a HTTP/1.1\r\nHost: h\r\n\r\nGET /b HTTP/1.1\r\nHost: h\r\n\r\nGET /c HTTP/1.1\r\nHost: h\r\n\r\n"
    answered = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nHTTP/1.1 204 No\r\n\r\n"
    answered += b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"
    assert [each.response_body for each in exchanges(told(Line().asks(asked).hears(answered)))] == [b"", b"", b"hi"]


def test_a_body_until_the_end_of_the_connection_is_whole() -> None:
    line = Line().asks(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n").hears(b"HTTP/1.1 200 OK\r\n\r\nall of it").ends()
    [exchange] = exchanges(told(line))
    assert (exchange.complete, exchange.response_body) == (True, b"all of it")


def test_an_upgrade_is_noticed_and_the_rest_counted() -> None:
    line = Line().asks(b"GET /ws HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\n\r\n")
    line.hears(b"HTTP/1.1 101 Switching\r\nUpgrade: websocket\r\n\r\n").asks(b"\x81\x85frame").hears(b"\x81\x05other")
    facts = told(line)
    [exchange] = exchanges(facts)
    assert exchange.problem == "upgraded to websocket: not decoded"
    assert sum(fact.count for fact in facts if isinstance(fact, Loss) and fact.cause == "upgraded") == 14


def test_an_answer_before_the_request_is_whole() -> None:
    line = Line().asks(b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 10\r\n\r\nhalf")
    line.hears(b"HTTP/1.1 401 No\r\nContent-Length: 2\r\n\r\nno").asks(b"other!")
    [exchange] = exchanges(told(line))
    assert (exchange.status, exchange.request_body, exchange.complete) == (401, b"halfother!", True)


def test_a_connection_seen_midway_is_read_from_its_next_request() -> None:
    line = Line().hears(b"the rest of some answer\r\n0\r\n\r\n")
    turn("openai.chat", line, text="hello")
    facts = told(line)
    [call] = calls(facts)
    assert call.complete
    [loss] = [fact for fact in facts if isinstance(fact, Loss)]
    assert (loss.cause, loss.count) == ("midway", 30)


def test_chunks_out_of_order_are_put_in_order() -> None:
    line = turn("anthropic.messages", Line(), text="hello", commands=["ls"])
    facts = cut_again(line.facts, list(range(1, 4000, 97)))
    swapped = facts[:]
    for at in range(1, len(swapped) - 1, 3):
        if swapped[at].is_write == swapped[at + 1].is_write:  # type: ignore[union-attr]
            swapped[at], swapped[at + 1] = swapped[at + 1], swapped[at]
    assert assembled(swapped, per_slice=5) == assembled(facts)


def test_a_chunk_that_never_comes_is_a_hole() -> None:
    line = turn("anthropic.messages", Line(), text="hello " * 100)
    facts = cut_again(line.facts, [1000, 1003])
    del facts[-2]
    found = [fact for fact in assembled(facts, per_slice=1) if isinstance(fact, LlmCall)]
    assert not found[-1].complete
    assert found[-1].missing_bytes > 0


def test_a_lost_answer_does_not_shift_the_next_ones() -> None:
    line = Line().asks(b"GET /1 HTTP/1.1\r\nHost: h\r\n\r\n")
    line.facts.append(line.chunk(b"HTTP/1.1 200 OK\r\nCont", is_write=False, missing_bytes=5000))
    line.asks(b"GET /2 HTTP/1.1\r\nHost: h\r\n\r\n").hears(b"HTTP/1.1 201 OK\r\nContent-Length: 0\r\n\r\n")
    found = exchanges(told(line))
    assert [(each.target, each.status, each.complete) for each in found] == [("/1", None, False), ("/2", 201, True)]
    assert found[0].problem


def test_the_ledger_adds_up() -> None:
    line = turn("openai.chat", Line(1), text="hello")
    other = Line(2).asks(b"SSH-2.0-OpenSSH\r\n" * 10).ends()
    http2 = Line(3).asks(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes(500))
    facts = told(line, other, http2)
    [count] = [fact for fact in facts if isinstance(fact, StageCount) and fact.stage == "assemble"]
    lost = [fact for fact in facts if isinstance(fact, Loss) and fact.stage == "assemble"]
    assert count.seen == count.passed + sum(fact.count for fact in lost)
    assert count.seen == sum(
        len(fact.data) for each in (line, other, http2) for fact in each.facts if isinstance(fact, Chunk)
    )
    assert {fact.cause for fact in lost} == {"not_http", "http2"}


BAD: dict[str, tuple[bytes, bytes]] = {
    "chunk size of 2^63 or more": (
        b"GET / HTTP/1.1\r\nHost: h\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n8000000000000000\r\nx",
    ),
    "head longer than 262144 bytes": (
        b"GET / HTTP/1.1\r\nHost: h\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n" + b"a: b\r\n" * 100_000,
    ),
    "malformed status line": (
        b"GET / HTTP/1.1\r\nHost: h\r\n\r\nGET / HTTP/1.1\r\nHost: h\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n\x00\x01garbage\r\n\r\n",
    ),
    "malformed gzip body": (
        b"GET / HTTP/1.1\r\nHost: h\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 9\r\n\r\nnot gzip!",
    ),
    "connection ended": (b"GET / HTTP/1.1\r\nHost: h\r\n\r\n", b"HTTP/1.1 200 OK\r\nContent-Le"),
}


@pytest.mark.parametrize("problem", BAD)
def test_bad_input_marks_one_connection_and_all_else_goes_on(problem: str) -> None:
    asked, answered = BAD[problem]
    bad = Line(1).asks(asked).hears(answered).ends()
    good = turn("anthropic.messages", Line(2), text="hello", commands=["ls"])
    facts = told(bad, good)
    [call] = calls(facts)
    assert call.complete
    assert len(tools(facts)) == 1
    problems = [each.problem for each in exchanges(facts) if each.connection_id == 1]
    assert problem in problems


def test_an_event_without_end_leaves_the_call_and_the_memory_bounded() -> None:
    target, body = ask("anthropic.messages")
    head = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\ndata: "

    def slices() -> Iterator[Slice]:
        line = Line().asks(request_bytes(target, body)).hears(head)
        yield Slice(until_ns=0, facts=tuple(line.facts))
        for _ in range(1200):
            yield Slice(until_ns=0, facts=(line.chunk(b"x" * 65536, is_write=False),))

    tracemalloc.start()
    facts = [fact for each in assemble(slices()) for fact in each.facts if isinstance(fact, LlmCall | Loss)]
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    [call] = calls(facts)
    assert not call.complete
    assert call.problem == "body longer than 67108864 bytes"
    assert peak < 300 << 20


def test_many_connections_are_bounded() -> None:
    def slices() -> Iterator[Slice]:
        for number in range(MAX_CONNECTIONS + 100):
            line = Line(number).asks(b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 9\r\n\r\nhalf")
            yield Slice(until_ns=number, facts=tuple(line.facts))

    facts = [fact for each in assemble(slices()) for fact in each.facts]
    forgotten = [fact for fact in facts if isinstance(fact, Loss) and fact.cause == "too_many"]
    assert len(forgotten) == 100
    assert len(exchanges(facts)) == MAX_CONNECTIONS + 100


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.booleans(), st.binary(max_size=60)), max_size=12), st.booleans())
def test_anything_is_read_without_an_error(said: list[tuple[bool, bytes]], begun: bool) -> None:
    line = turn("openai.chat", Line(), text="x") if begun else Line()
    for is_write, data in said:
        line.say(data or b"\0", is_write=is_write)
    told(line.ends())
