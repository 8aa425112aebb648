"""How much of a message is kept: whole up to the bound that is in force, and what is beyond it is counted."""

import pytest

from intact.model.config import MAX_PAYLOAD_BYTES, AiAgent
from tests.assemble.traffic import Line, exchanges, request_bytes, response_bytes, told

SIZE = 200_000


def conversation(cut: int) -> Line:
    """A request of 200,000 bytes in pieces of `cut`, and its answer."""
    whole = request_bytes("/v1/chat/completions", b'"' + b"x" * (SIZE - 2) + b'"')
    return Line().asks(whole, cuts=range(cut, len(whole), cut)).hears(response_bytes([b"{}"]))


@pytest.mark.parametrize("cut", [4096, 16_384, 32_768, SIZE])
def test_two_hundred_thousand_bytes_are_whole_however_they_came(cut: int) -> None:
    (exchange,) = exchanges(told(conversation(cut)))
    assert (len(exchange.request_body), exchange.missing_bytes, exchange.complete) == (SIZE, 0, True)


@pytest.mark.parametrize("bound", [1, 4096, SIZE - 1])
def test_what_is_beyond_the_bound_is_counted(bound: int) -> None:
    agent = AiAgent(max_payload_size=bound)
    (exchange,) = exchanges(told(conversation(16_384), max_body_bytes=lambda: agent.payload_bound))
    assert len(exchange.request_body) == bound
    assert len(exchange.request_body) + exchange.missing_bytes >= SIZE


@pytest.mark.parametrize(
    ("asked", "bound"),
    [(0, MAX_PAYLOAD_BYTES), (1, 1), (MAX_PAYLOAD_BYTES, MAX_PAYLOAD_BYTES), (2_147_483_647, MAX_PAYLOAD_BYTES)],
)
def test_there_is_always_a_bound(asked: int, bound: int) -> None:
    assert AiAgent(max_payload_size=asked).payload_bound == bound


@pytest.mark.parametrize("asked", [-1, 2_147_483_648])
def test_a_bound_out_of_range_is_refused(asked: int) -> None:
    with pytest.raises(ValueError, match="max_payload_size"):
        AiAgent(max_payload_size=asked)
