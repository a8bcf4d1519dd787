"""Bills: any life at any price path costs what adding it up second by second gives."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from markopt.cloud.simulated.bill import PerHour, PerSecond, Tariff
from markopt.cloud.simulated.markets import PricePath
from markopt.errors import DataError
from tests.fuzzing import examples

END_S = 30_000.0

paths = st.lists(
    st.tuples(st.integers(1, int(END_S) - 1), st.sampled_from([1e-5, 3e-5, 2e-4])), max_size=8
).map(
    lambda steps: PricePath(
        np.array([0.0, *sorted({float(t) for t, _ in steps})]),
        np.array([2e-5, *({float(t): p for t, p in sorted(steps)}.values())]),
        END_S,
    )
)
lives = st.lists(
    st.tuples(
        st.integers(0, 80_000).map(lambda quarters: quarters / 4.0),
        st.integers(0, 36_000).map(lambda quarters: quarters / 4.0),
        st.booleans(),
    ),
    max_size=6,
)


def brute_integral(path: PricePath, from_s: float, to_s: float) -> float:
    """Add up the pieces of a path, one by one."""
    ends_s = [*path.starts_s[1:], math.inf]
    return sum(
        price * max(min(end_s, to_s) - max(start_s, from_s), 0.0)
        for start_s, end_s, price in zip(path.starts_s, ends_s, path.usd_per_s, strict=True)
    )


def play(tariff: Tariff, lived: list[tuple[float, float, bool]], until_s: float) -> None:
    """Tell a tariff of lives (begin, length, interrupted) in order of time, and keep asking."""
    events = []
    for at, (from_s, length_s, interrupted) in enumerate(lived):
        events.append((from_s, 0, at, interrupted))
        events.append((from_s + length_s, 1, at, interrupted))
    for time_s, kind, at, interrupted in sorted(events):
        if time_s > until_s:
            break
        tariff.cost_usd(time_s)
        if kind == 0:
            tariff.start(f"i{at}", time_s)
        else:
            tariff.end(f"i{at}", time_s, interrupted=interrupted)


@settings(max_examples=examples(80), deadline=None)
@given(paths, lives, st.floats(0.0, END_S), st.sampled_from([0.0, 60.0]))
def test_per_second_bills_are_the_integral_of_the_price_over_each_life(
    path: PricePath, lived: list[tuple[float, float, bool]], now_s: float, minimum_s: float
) -> None:
    tariff = PerSecond(9.9, minimum_s, path.integral)
    play(tariff, lived, now_s)
    usd = seconds = 0.0
    for from_s, length_s, _ in lived:
        if from_s > now_s:
            continue
        ended = from_s + length_s <= now_s
        to_s = from_s + max(length_s, minimum_s if length_s > 0.0 else 0.0) if ended else now_s
        usd += brute_integral(path, from_s, to_s)
        seconds += to_s - from_s
    assert tariff.cost_usd(now_s) == pytest.approx(usd, rel=1e-9, abs=1e-9)
    assert tariff.billed_s(now_s) == pytest.approx(seconds, rel=1e-9, abs=1e-6)


@settings(max_examples=examples(80), deadline=None)
@given(paths, lives, st.floats(0.0, END_S))
def test_hourly_bills_charge_each_begun_hour_at_its_first_price_and_no_interrupted_one(
    path: PricePath, lived: list[tuple[float, float, bool]], now_s: float
) -> None:
    tariff = PerHour(path.price)
    play(tariff, lived, now_s)
    usd, hours = 0.0, 0
    for from_s, length_s, interrupted in lived:
        if from_s > now_s:
            continue
        end_s = from_s + length_s
        ended = end_s <= now_s
        begins = [from_s + 3600.0 * k for k in range(10)]
        begun = [s for s in begins if (s < end_s if ended else s <= now_s)]
        if ended and interrupted and begun and begun[-1] + 3600.0 > end_s:
            begun.pop()
        usd += sum(3600.0 * path.price(s) for s in begun)
        hours += len(begun)
    assert tariff.cost_usd(now_s) == pytest.approx(usd, rel=1e-9, abs=1e-12)
    assert tariff.billed_s(now_s) == 3600.0 * hours


@settings(max_examples=examples(60), deadline=None)
@given(paths, lives)
def test_a_constant_path_costs_what_the_constant_price_costs(
    path: PricePath, lived: list[tuple[float, float, bool]]
) -> None:
    flat = PricePath(path.starts_s, np.full(len(path.starts_s), 1e-4), END_S)
    one, other = PerSecond(1e-4, 60.0), PerSecond(7.0, 60.0, flat.integral)
    for tariff in (one, other):
        play(tariff, lived, END_S)
    assert one.cost_usd(END_S) == pytest.approx(other.cost_usd(END_S), rel=1e-9, abs=1e-12)
    assert one.billed_s(END_S) == other.billed_s(END_S)


@settings(max_examples=examples(80), deadline=None)
@given(paths, st.floats(0.0, END_S), st.floats(0.0, END_S), st.sampled_from([1.5e-5, 2.5e-5, 1.0]))
def test_a_path_answers_as_its_pieces_do(
    path: PricePath, one_s: float, other_s: float, maximum: float
) -> None:
    from_s, to_s = sorted((one_s, other_s))
    integral = path.integral(to_s) - path.integral(from_s)
    assert integral == pytest.approx(brute_integral(path, from_s, to_s), rel=1e-9, abs=1e-12)
    known = path.within(0.0, to_s)
    assert known.price(from_s) == path.price(from_s)
    assert known.starts_s[-1] <= to_s
    assert known.integral(to_s) == pytest.approx(path.integral(to_s), rel=1e-12, abs=1e-15)
    rises = path.rises_above_s(maximum)
    assert all(path.price(s) > maximum >= path.price(s - 1e-6) for s in rises)
    capped = path.capped(maximum)
    assert capped.integral(END_S) <= path.integral(END_S) + 1e-12
    price, hazard_per_h = path.expected(maximum)
    low = [
        (p, d)
        for p, d in zip(path.usd_per_s, path.durations_s(), strict=True)
        if p <= maximum and d > 0.0
    ]
    if not low:
        assert (price, hazard_per_h) == (maximum, math.inf)
    else:
        low_s = sum(d for _, d in low)
        assert price == pytest.approx(sum(p * d for p, d in low) / low_s, rel=1e-9)
        assert hazard_per_h == pytest.approx(3600.0 * len(rises) / low_s, rel=1e-9)


@pytest.mark.parametrize(
    ("starts_s", "prices", "message"),
    [
        ([], [], "needs a time for each price"),
        ([0.0, 1.0], [1.0], "needs a time for each price"),
        ([0.0, 0.0], [1.0, 1.0], "times must rise"),
        ([0.0, 200.0], [1.0, 1.0], "not exceed the end"),
        ([0.0], [0.0], "prices must be positive"),
        ([0.0], [math.nan], "prices must be positive"),
    ],
)
def test_a_wrong_path_is_refused(starts_s: list[float], prices: list[float], message: str) -> None:
    with pytest.raises(DataError, match=message):
        PricePath(np.array(starts_s), np.array(prices), 100.0)
