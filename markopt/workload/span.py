"""Which part of a trace is history and which is simulated, on a grid of whole intervals."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import final

from markopt.errors import DataError
from markopt.workload.settings import check_at_least, check_positive, check_whole_intervals

_TOLERANCE = 1e-9


@final
@dataclass(frozen=True)
class Span:
    """History [history_start_s, start_s) and evaluated span [start_s, end_s), whole intervals."""

    history_start_s: float
    start_s: float
    end_s: float
    interval_s: float

    @property
    def history_intervals(self) -> int:
        """Number of intervals that may be learnt from."""
        return round((self.start_s - self.history_start_s) / self.interval_s)


def _floor(length_s: float, interval_s: float) -> float:
    return math.floor(length_s / interval_s + _TOLERANCE) * interval_s


def choose_span(
    name: str,
    duration_s: float,
    *,
    history_s: float | None,
    evaluate_s: float | None,
    interval_s: float,
    start_s: float | None = None,
) -> Span:
    """Return the span to evaluate and the history before it, within a trace of ``duration_s``.

    Lengths must be whole numbers of intervals. Without ``start_s`` the evaluated span ends at the
    last whole interval of the trace. Without ``evaluate_s`` it is what follows ``start_s`` or the
    history and, where none of the three is given, the last quarter of the trace. Without
    ``history_s`` the history is all whole intervals before the evaluated span.

    Raises:
        ConfigError: a length is negative, or no whole number of intervals.
        DataError: the trace is shorter than what is asked for.
    """
    check_positive("interval_s", interval_s)
    if history_s is not None:
        check_whole_intervals("history_s", history_s, interval_s, 0)
    if evaluate_s is not None:
        check_whole_intervals("evaluate_s", evaluate_s, interval_s, 1)
    if start_s is not None:
        check_at_least("start_s", start_s, 0.0)
    whole_s = _floor(duration_s, interval_s)
    if evaluate_s is None:
        if start_s is not None:
            evaluate_s = _floor(duration_s - start_s, interval_s)
        elif history_s is not None:
            evaluate_s = whole_s - history_s
        else:
            evaluate_s = max(_floor(duration_s / 4.0, interval_s), interval_s)
    begin_s = whole_s - evaluate_s if start_s is None else start_s
    if history_s is None:
        history_s = max(_floor(begin_s, interval_s), 0.0)
    end_s = begin_s + evaluate_s
    slack_s = 1e-6 * interval_s
    if evaluate_s < interval_s - slack_s or begin_s - history_s < -slack_s:
        raise DataError(
            f"{name}: the trace lasts {duration_s:g} s, which is too short for history_s="
            f"{history_s:g}, evaluate_s={max(evaluate_s, interval_s):g}"
            + ("" if start_s is None else f" from start_s={start_s:g}")
            + " (keys of workload; null takes what there is)"
        )
    if end_s > duration_s + slack_s:
        raise DataError(
            f"{name}: the trace lasts {duration_s:g} s, but start_s={begin_s:g} and evaluate_s="
            f"{evaluate_s:g} reach to {end_s:g} s"
        )
    return Span(max(begin_s - history_s, 0.0), begin_s, end_s, interval_s)
