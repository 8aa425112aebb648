"""Costs by the shipped price list."""

from intact.assemble.llm.reading import Usage
from intact.assemble.pricing import Prices

AT_NS = 1_760_000_000 * 10**9


def test_costs() -> None:
    prices = Prices()
    usage = Usage(
        input_tokens=32_010, output_tokens=100, cache_read_input_tokens=30_000, cache_creation_input_tokens=2_000
    )
    cost = prices.cost_usd("anthropic", ("claude-opus-4-1-20250805", None), usage, AT_NS)
    # 10 fresh at 15, 2,000 written at 18.75, 30,000 read at 1.5, 100 out at 75 dollars a million.
    assert cost is not None
    assert abs(cost - 0.09015) < 1e-9
    assert prices.cost_usd("openai", ("qwen3-coder:30b", None), usage, AT_NS) is None
    assert prices.cost_usd("nobody", ("gpt-4o",), usage, AT_NS) is None
    assert prices.cost_usd("openai", ("no such model", "gpt-4o"), usage, AT_NS) is not None
    assert prices.cost_usd("openai", ("gpt-4o",), Usage(output_tokens=1), AT_NS) is None
    too_many = Usage(input_tokens=1, output_tokens=1, cache_read_input_tokens=5)
    assert prices.cost_usd("openai", ("gpt-4o",), too_many, AT_NS) is None
