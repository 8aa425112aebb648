"""What a call cost, by the price list that `genai-prices` ships; never over the network."""

import threading
from datetime import UTC, datetime
from functools import lru_cache
from importlib import import_module
from types import ModuleType

from intact.assemble.llm.reading import Usage

# OpenTelemetry's names of providers where the price list has others.
_PROVIDERS = {
    "aws.bedrock": "aws",
    "azure.ai.inference": "azure",
    "azure.ai.openai": "azure",
    "gcp.gemini": "google",
    "gcp.gen_ai": "google",
    "gcp.vertex_ai": "google",
    "mistral_ai": "mistral",
    "moonshot_ai": "moonshotai",
    "x_ai": "x-ai",
}
_DAY_S = 24 * 60 * 60


class Prices:
    """Loads the list beside the work: it takes longer (0.4 s) than a drain may wait."""

    def __init__(self) -> None:
        self._module: ModuleType | None = None
        self._loading: threading.Thread | None = None

    def prepare(self) -> None:
        """Begin to load the list; a call has begun, whose cost will be asked when it ends."""
        if self._loading is None:
            self._loading = threading.Thread(target=self._load, name="prices", daemon=True)
            self._loading.start()

    def cost_usd(self, provider_name: str, models: tuple[str | None, ...], usage: Usage, at_ns: int) -> float | None:
        """The cost by the first of these models that the list knows; None where it knows none, or the tokens are not known."""
        if usage.input_tokens is None or usage.output_tokens is None:
            return None
        self.prepare()
        assert self._loading is not None
        self._loading.join()
        counts = (
            usage.input_tokens,
            usage.output_tokens,
            usage.cache_read_input_tokens or 0,
            usage.cache_creation_input_tokens or 0,
        )
        day = at_ns // 1_000_000_000 // _DAY_S
        costs = (_cost(self._module, provider_name, model, counts, day) for model in models if model)
        return next((cost for cost in costs if cost is not None), None)

    def _load(self) -> None:
        self._module = import_module("genai_prices")


@lru_cache(maxsize=4096)
def _cost(
    module: ModuleType | None, provider_name: str, model: str, counts: tuple[int, int, int, int], day: int
) -> float | None:
    if module is None:
        return None
    usage = module.Usage(
        input_tokens=counts[0], output_tokens=counts[1], cache_read_tokens=counts[2], cache_write_tokens=counts[3]
    )
    provider = _PROVIDERS.get(provider_name, provider_name)
    at = datetime.fromtimestamp(day * _DAY_S, UTC)
    try:
        price = module.calc_price(usage, model, provider_id=provider, genai_request_timestamp=at)
    except (LookupError, ValueError):
        return None  # the model is not on the list, or its counts contradict each other
    return float(price.total_price)
