"""Robust statistics: what wild values cannot move, and where a level changes."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from intact.assist.diagnosis.baseline import baseline, change_point, rises, seconds_left

NUMBERS = st.floats(-1e9, 1e9, allow_nan=False)


@given(st.lists(NUMBERS, min_size=1, max_size=60))
def test_the_middle_is_among_the_values(values: list[float]) -> None:
    found = baseline(values)
    assert found is not None
    assert min(values) <= found.middle <= max(values)
    assert found.spread >= 0
    assert abs(found.score(found.middle)) < 1e-6


@given(st.lists(NUMBERS, min_size=5, max_size=60), NUMBERS)
def test_scores_are_bounded_and_have_a_side(values: list[float], value: float) -> None:
    found = baseline(values)
    assert found is not None
    score = found.score(value)
    assert -1_000 <= score <= 1_000
    assert math.copysign(1, score) == math.copysign(1, value - found.middle) or score == 0


@given(st.lists(st.floats(9.0, 11.0), min_size=11, max_size=40), st.lists(st.floats(1e6, 1e9), min_size=1, max_size=5))
def test_a_few_wild_values_move_nothing(usual: list[float], wild: list[float]) -> None:
    found = baseline([*usual, *wild])
    assert found is not None
    assert 9.0 <= found.middle <= 11.0


def test_nothing_has_no_baseline() -> None:
    assert baseline([]) is None


@given(st.integers(8, 40), st.integers(8, 40), st.floats(5, 1_000), st.randoms())
def test_a_step_is_found_where_it_is(before: int, after: int, height: float, random: object) -> None:
    noise = [random.random() for _ in range(before + after)]  # type: ignore[attr-defined]
    place = change_point([value + height * 10 * (index >= before) for index, value in enumerate(noise)])
    assert place is not None
    assert place == before


@given(st.lists(st.floats(9.9, 10.1), min_size=1, max_size=60))
def test_a_level_that_stays_has_no_change(values: list[float]) -> None:
    assert change_point(values) is None


def test_one_wild_value_is_no_change() -> None:
    assert change_point([10.0, 10.1] * 10 + [1e9] + [10.0, 10.1] * 10) is None


@given(st.lists(st.floats(0.001, 100), min_size=1, max_size=30))
def test_sums_of_growth_rise(steps: list[float]) -> None:
    values = [sum(steps[:count]) for count in range(len(steps) + 1)]
    assert rises(values)
    assert not rises(values[::-1])
    assert not rises([values[0]] * 3)


def test_a_share_of_steps_may_stand_still() -> None:
    assert rises([1, 2, 2, 3, 4, 5], share=0.8)
    assert not rises([1, 2, 2, 2, 3, 4], share=0.8)
    assert not rises([1, 2, 1, 3, 4, 5], share=0.5)


@pytest.mark.parametrize(("room", "rate", "left"), [(10, 2, 5), (10, 0, None), (10, -1, None), (-5, 1, 0)])
def test_time_that_is_left(room: float, rate: float, left: float | None) -> None:
    assert seconds_left(room, rate) == left
