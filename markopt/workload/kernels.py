"""Compiled loops that draw arrival times one after the other from a NumPy generator.

Every kernel writes times into ``out`` and returns how many it wrote. It stops when ``out`` is full
or the span is done, keeps what it must remember in a small state array, and can be called again to
go on. Random numbers are consumed in the order of the events, never per call: so the times do not
depend on how a span is cut into blocks.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, cast

import numba
import numpy as np
from numpy.typing import NDArray

CHUNK = 1 << 18

_Function = TypeVar("_Function", bound=Callable[..., Any])


def compiled(function: _Function) -> _Function:
    """Return ``function`` compiled by numba, with the machine code kept on disk."""
    return cast(_Function, numba.njit(cache=True, nogil=True)(function))


def collect(fill: Callable[[NDArray[np.float64]], int], size_hint: int) -> NDArray[np.float64]:
    """Call ``fill`` on buffers until one is not filled to its end; return all times."""
    buffer = np.empty(min(max(size_hint, 64), CHUNK))
    pieces = []
    while True:
        count = fill(buffer)
        if count < len(buffer):
            break
        pieces.append(buffer)
        buffer = np.empty(CHUNK)
    if not pieces:
        return buffer[:count].copy()
    return np.concatenate([*pieces, buffer[:count]])


@compiled
def fill_poisson(  # noqa: PLR0917 - compiled code takes no keywords
    out: NDArray[np.float64],
    position: NDArray[np.float64],
    edges_s: NDArray[np.float64],
    rate_rps: NDArray[np.float64],
    end_s: float,
    rng: np.random.Generator,
) -> int:
    """Draw a Poisson process whose rate is constant between consecutive ``edges_s``.

    By time change: unit-exponential gaps are spent at the current rate. ``position`` holds the
    current time and what is left of the running gap (negative: not drawn yet).
    """
    at_s = position[0]
    left = position[1]
    if left < 0.0:
        left = rng.standard_exponential()
    count = 0
    index = int(np.searchsorted(edges_s, at_s, side="right")) - 1
    while at_s < end_s and index < len(rate_rps):
        if index < 0:
            at_s = min(edges_s[0], end_s)
            index = 0
            continue
        stop_s = min(edges_s[index + 1], end_s)
        rate = rate_rps[index]
        if rate > 0.0:
            mean_gap_s = 1.0 / rate
            while True:
                if count == len(out):
                    position[0] = at_s
                    position[1] = left
                    return count
                next_s = at_s + left * mean_gap_s
                if next_s >= stop_s:
                    left = max(left - (stop_s - at_s) * rate, 0.0)
                    break
                out[count] = next_s
                count += 1
                at_s = next_s
                left = rng.standard_exponential()
        at_s = stop_s
        if stop_s == edges_s[index + 1]:
            index += 1
    position[0] = max(at_s, end_s)
    position[1] = left
    return count


@compiled
def fill_counts(  # noqa: PLR0917 - compiled code takes no keywords
    out: NDArray[np.float64],
    position: NDArray[np.float64],
    edges_s: NDArray[np.float64],
    expected: NDArray[np.float64],
    end_s: float,
    rng: np.random.Generator,
) -> int:
    """Spread about ``expected[i]`` arrivals uniformly over [edges_s[i], edges_s[i+1]), in order.

    A whole number is kept; a fraction is one arrival more with that probability. The next order
    statistic of the uniforms left in a bin is drawn directly, so nothing is sorted. ``position``
    holds the bin, how many are left in it (negative: not drawn), the last time, and a time that
    was drawn but lies beyond the block (negative: none).
    """
    index = int(position[0])
    left = int(position[1])
    at_s = position[2]
    drawn_s = position[3]
    count = 0
    waiting = False
    while index < len(expected) and edges_s[index] < end_s:
        stop_s = edges_s[index + 1]
        if left < 0:
            left = int(np.floor(expected[index]))
            fraction = expected[index] - left
            if fraction > 0.0 and rng.random() < fraction:
                left += 1
            at_s = edges_s[index]
        while left > 0:
            if drawn_s < 0.0:
                drawn_s = at_s - (stop_s - at_s) * np.expm1(-rng.standard_exponential() / left)
                if drawn_s >= stop_s:
                    drawn_s = max(np.nextafter(stop_s, at_s), at_s)
            if drawn_s >= end_s or count == len(out):
                waiting = True
                break
            out[count] = drawn_s
            count += 1
            left -= 1
            at_s = drawn_s
            drawn_s = -1.0
        if waiting or stop_s > end_s:
            break
        index += 1
        left = -1
    position[0] = index
    position[1] = left
    position[2] = at_s
    position[3] = drawn_s
    return count


@compiled
def fill_markovian(  # noqa: PLR0917 - compiled code takes no keywords
    out: NDArray[np.float64],
    position: NDArray[np.float64],
    event_rate: NDArray[np.float64],
    choice: NDArray[np.float64],
    end_s: float,
    rng: np.random.Generator,
) -> int:
    """Draw a Markovian arrival process with phases 0..n-1.

    In phase i the next event comes at rate ``event_rate[i]``; ``choice[i]`` holds the cumulative
    probabilities of its 2n outcomes: silent changes to phases 0..n-1, then arrivals with changes to
    0..n-1. ``position`` holds the phase and the time of the next event.
    """
    phase = int(position[0])
    event_s = position[1]
    phases = len(event_rate)
    count = 0
    while event_s < end_s:
        if count == len(out):
            break
        draw = rng.random()
        outcome = 0
        while outcome < 2 * phases - 1 and draw >= choice[phase, outcome]:
            outcome += 1
        if outcome >= phases:
            out[count] = event_s
            count += 1
            phase = outcome - phases
        else:
            phase = outcome
        event_s += rng.standard_exponential() / event_rate[phase]
    position[0] = phase
    position[1] = event_s
    return count


@compiled
def copy_requests(  # noqa: PLR0917 - compiled code takes no keywords
    times_s: NDArray[np.float64],
    copies: float,
    jitter_s: float,
    start_s: float,
    out: NDArray[np.float64],
    rng: np.random.Generator,
) -> int:
    """Write, for each request, its copies: about ``copies`` of them, the first at its own time.

    Later copies are moved forward by up to ``jitter_s``. Times before ``start_s`` are left out.
    The result is not sorted.
    """
    whole = int(np.floor(copies))
    fraction = copies - whole
    count = 0
    for time_s in times_s:
        number = whole
        if fraction > 0.0 and rng.random() < fraction:
            number += 1
        for copy in range(number):
            moved_s = time_s if copy == 0 else time_s + jitter_s * rng.random()
            if moved_s >= start_s:
                out[count] = moved_s
                count += 1
    return count
