"""What is usual, and since when it is not: robust statistics over short lists of numbers."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import median

# Of normally distributed values the median deviation is this part of the standard deviation.
_NORMAL = 0.6745
_FLAT = 1e-9
_MOST_VALUES = 120  # in which a change is looked for: the work grows with their square


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

    The split is the one on whose two sides the values are nearest to the medians of their sides: a few wild values move it
    little. It is a change if the medians differ by more than the spreads explain. No side is shorter than `least`; of a
    long series every n-th value is looked at.
    """
    stride = -(-len(values) // _MOST_VALUES)
    some = values[:: max(stride, 1)]
    if len(some) < 2 * least:
        return None
    places = range(least, len(some) - least + 1)
    place = min(places, key=lambda place: _distance(some[:place]) + _distance(some[place:]))
    before, after = baseline(some[:place]), baseline(some[place:])
    assert before is not None
    assert after is not None
    room = 3 * max(before.spread, after.spread) + 0.02 * max(abs(before.middle), abs(after.middle)) + _FLAT
    return place * stride if abs(after.middle - before.middle) > room else None


def rises(values: Sequence[float], *, share: float = 1.0) -> bool:
    """Whether a series goes up in at least this share of its steps, and never down."""
    steps = [after - before for before, after in pairwise(values)]
    return bool(steps) and min(steps) >= 0 and sum(step > 0 for step in steps) >= share * len(steps)


def seconds_left(room: float, rate: float) -> float | None:
    """How long until something is used up; None: never at this rate."""
    return max(room, 0.0) / rate if rate > 0 else None


def _distance(values: Sequence[float]) -> float:
    """The sum of the distances to the median."""
    middle = median(values)
    return sum(abs(value - middle) for value in values)
