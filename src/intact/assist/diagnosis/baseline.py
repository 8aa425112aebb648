"""What is usual, and since when it is not: robust statistics over short lists of numbers."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import median

# Of normally distributed values the median deviation is this part of the standard deviation.
_NORMAL = 0.6745
_FLAT = 1e-9


@dataclass(frozen=True, slots=True, kw_only=True)
class Baseline:
    """What a metric usually is."""

    middle: float
    spread: float  # median of the absolute deviations
    count: int

    def score(self, value: float) -> float:
        """How far a value is from the usual, in robust standard deviations; bounded by 1,000."""
        spread = max(self.spread, abs(self.middle) * 0.01, _FLAT)  # what never moves has no spread of its own
        return max(min(_NORMAL * (value - self.middle) / spread, 1_000.0), -1_000.0)


def baseline(values: Sequence[float]) -> Baseline | None:
    """The usual of these values; None of none."""
    if not values:
        return None
    middle = median(values)
    return Baseline(middle=middle, spread=median(abs(value - middle) for value in values), count=len(values))


def change_point(values: Sequence[float], *, least: int = 5) -> int | None:
    """Where a series changes its level: the index of the first value of the new level; None: nowhere.

    The point at which the cumulative sum of the deviations from the median is furthest from zero splits the series; it
    is a change if the two sides differ by more than their spreads explain. No side is shorter than `least`.
    """
    if len(values) < 2 * least:
        return None
    middle = median(values)
    total = 0.0
    best, place = -1.0, 0
    for index, value in enumerate(values[:-1], 1):
        total += _sign(value - middle)  # signs: one wild value is no change
        if least <= index <= len(values) - least and abs(total) > best:
            best, place = abs(total), index
    before, after = baseline(values[:place]), baseline(values[place:])
    assert before is not None
    assert after is not None
    room = 3 * max(before.spread, after.spread) + 0.02 * max(abs(before.middle), abs(after.middle)) + _FLAT
    return place if abs(after.middle - before.middle) > room else None


def rises(values: Sequence[float], *, share: float = 1.0) -> bool:
    """Whether a series goes up in at least this share of its steps, and never down."""
    steps = [after - before for before, after in pairwise(values)]
    return bool(steps) and min(steps) >= 0 and sum(step > 0 for step in steps) >= share * len(steps)


def seconds_left(room: float, rate: float) -> float | None:
    """How long until something is used up; None: never at this rate."""
    return max(room, 0.0) / rate if rate > 0 else None


def _sign(value: float) -> int:
    return (value > 0) - (value < 0)
