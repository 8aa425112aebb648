"""Interleaved pairs and what they tell: ratios with a confidence interval, never a lone time."""

import random
import statistics
from collections.abc import Callable
from dataclasses import dataclass

RESAMPLES = 5000


@dataclass(frozen=True, slots=True)
class Ratio:
    """with / without, over interleaved pairs; the interval is the bootstrap's 95 % of the median ratio."""

    name: str
    pairs: int
    without: float  # median, in `unit`
    with_: float
    unit: str
    ratio: float
    low: float
    high: float

    def line(self) -> str:
        """One line for a person."""
        return (
            f"{self.name:<34} {self.without:>10.2f} → {self.with_:>10.2f} {self.unit:<3}"
            f"  ×{self.ratio:.3f}  [{self.low:.3f}, {self.high:.3f}]  n={self.pairs}"
        )


def compare(
    name: str, without: Callable[[], float], with_: Callable[[], float], *, pairs: int, unit: str, seed: int
) -> Ratio:
    """Run `pairs` pairs, the order within each drawn from `seed`, and compare pair by pair."""
    draw = random.Random(seed)
    bare: list[float] = []
    observed: list[float] = []
    for _ in range(pairs):
        first, second = (without, with_) if draw.random() < 0.5 else (with_, without)
        a, b = first(), second()
        bare.append(a if first is without else b)
        observed.append(b if first is without else a)
    ratios = [y / x for x, y in zip(bare, observed, strict=True)]
    samples = sorted(statistics.median(draw.choices(ratios, k=len(ratios))) for _ in range(RESAMPLES))
    return Ratio(
        name=name,
        pairs=pairs,
        without=statistics.median(bare),
        with_=statistics.median(observed),
        unit=unit,
        ratio=statistics.median(ratios),
        low=samples[int(RESAMPLES * 0.025)],
        high=samples[int(RESAMPLES * 0.975)],
    )
