"""Workloads from recorded traces: binned counts or rates, and single request times."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, final

import numpy as np
from numpy.typing import NDArray

from markopt.core import RateSeries
from markopt.errors import DataError
from markopt.workload.processes import CountSource, PoissonSource, ReplaySource
from markopt.workload.protocol import ArrivalSource, Workload
from markopt.workload.quality import Finding, masked_intervals
from markopt.workload.quality.rule import QUALITY_RULES, QualityRule, judge_quality
from markopt.workload.reader import read_trace
from markopt.workload.settings import (
    BIN_S,
    bins_within,
    check_at_least,
    check_choice,
    check_positive,
)
from markopt.workload.span import Span, choose_span
from markopt.workload.trace import GAP_RULES, GapRule, RequestTrace, Trace

Thinning = Literal["poisson", "exact"]
HistoryGaps = Literal["nan", "filled"]


@final
@dataclass(frozen=True)
class TraceWorkload:
    """Load as a trace file has it, rates multiplied by ``scale``.

    - ``path``: a file that ``read_trace`` reads, or one that ships with markopt (``traces/…``).
    - ``gaps``: what to do about missing bins, see ``Trace.filled``; ``error`` by default.
    - ``thin``: ``poisson`` draws a Poisson process with the trace's rate, constant in each bin
      (one second, for request times); ``exact`` keeps each bin's count, at uniform times within it
      (scaled counts keep their whole part, the rest by chance), or replays request times.
    - ``history_s``, ``evaluate_s``, ``start_s``: see ``choose_span``; whole numbers of
      ``interval_s``, from the trace's end backwards.
    - ``history_gaps``: ``nan`` marks history intervals of which more than half lies in a gap as
      "no data"; ``filled`` keeps what ``gaps`` put there. Arrivals always follow the filled trace.
    - ``quality``: what to do where the file looks dirty (see ``check_trace``; gaps apart, which
      ``gaps`` rules): ``error`` refuses it, ``warn`` says so once on standard error, ``mask`` marks
      the history's intervals concerned as "no data" (arrivals stay as they are), ``ignore`` does
      not look.
    - ``name``: the file's name without its suffixes by default.
    """

    path: str
    gaps: GapRule = "error"
    scale: float = 1.0
    thin: Thinning = "poisson"
    history_s: float | None = None
    evaluate_s: float | None = None
    interval_s: float = 60.0
    start_s: float | None = None
    history_gaps: HistoryGaps = "nan"
    quality: QualityRule = "warn"
    name: str | None = None

    def build(self) -> Workload:
        """Read the trace and cut it.

        Raises:
            DataError: the file is wrong, has a gap that ``gaps`` does not allow, is dirty where
                ``quality`` does not allow it, or is too short.
            ConfigError: a setting is out of range.
        """
        self._check()
        recorded = read_trace(self.path)
        binned = recorded.binned() if isinstance(recorded, RequestTrace) else recorded
        try:
            trace = binned.filled(self.gaps)
        except DataError as error:
            reason = str(error).removeprefix(f"{binned.name}: ")
            raise DataError(f"{self.path}: {reason}") from None
        span = self._span(trace.duration_s)
        if isinstance(recorded, RequestTrace) and self.thin == "exact":
            source: ArrivalSource = ReplaySource(recorded.times_s, self.scale)
        else:
            source = _binned_source(trace, span, self.scale, self.thin)
        history = self._masked(
            history_of(trace, span, self.scale, self._history_gaps()),
            judge_quality(self.path, binned, trace, self.quality, span.start_s),
        )
        return Workload(self.name or trace.name, history, span.start_s, span.end_s, source)

    def _check(self) -> None:
        check_positive("scale", self.scale)
        check_choice("gaps", self.gaps, GAP_RULES)
        check_choice("thin", self.thin, ("poisson", "exact"))
        check_choice("history_gaps", self._history_gaps(), ("nan", "filled"))
        check_choice("quality", self.quality, QUALITY_RULES)

    def _masked(self, history: RateSeries, findings: tuple[Finding, ...]) -> RateSeries:
        if not findings:
            return history
        where = (history.start_s, history.interval_s, len(history))
        rates_rps = np.where(masked_intervals(findings, *where), np.nan, history.rate_rps)
        if not np.any(np.isfinite(rates_rps)):
            raise DataError(
                f"{self.path}: workload.quality=mask leaves no data in the history: "
                f"{findings[0].kind}, {findings[0].evidence}"
            )
        return RateSeries(history.start_s, history.interval_s, rates_rps)

    def _history_gaps(self) -> HistoryGaps:
        # On a command line an unquoted nan is read as the number.
        return "nan" if self.history_gaps != self.history_gaps else self.history_gaps

    def _span(self, duration_s: float) -> Span:
        return choose_span(
            self.path,
            duration_s,
            history_s=self.history_s,
            evaluate_s=self.evaluate_s,
            interval_s=self.interval_s,
            start_s=self.start_s,
        )


@final
@dataclass(frozen=True)
class ReplayWorkload:
    """Single requests at their recorded times, thinned or superposed by ``scale``.

    ``path`` is a file with a column ``arrival_s``. See ``ReplaySource`` for ``scale`` and
    ``jitter_s``, ``choose_span`` for the spans.
    """

    path: str
    scale: float = 1.0
    jitter_s: float = 1.0
    history_s: float | None = None
    evaluate_s: float | None = None
    interval_s: float = 60.0
    start_s: float | None = None
    name: str | None = None

    def build(self) -> Workload:
        """Read the request times and cut them.

        Raises:
            DataError: the file is wrong, holds counts or rates, or is too short.
            ConfigError: a setting is out of range.
        """
        check_positive("scale", self.scale)
        check_at_least("jitter_s", self.jitter_s, 0.0)
        recorded = read_trace(self.path)
        if not isinstance(recorded, RequestTrace):
            raise DataError(
                f"{self.path}: expected one row per request with a column 'arrival_s', got rows "
                f"per bin; use workload=trace"
            )
        span = choose_span(
            self.path,
            recorded.duration_s,
            history_s=self.history_s,
            evaluate_s=self.evaluate_s,
            interval_s=self.interval_s,
            start_s=self.start_s,
        )
        return Workload(
            self.name or recorded.name,
            history_of(recorded.binned(), span, self.scale, "filled"),
            span.start_s,
            span.end_s,
            ReplaySource(recorded.times_s, self.scale, self.jitter_s),
        )


def history_of(trace: Trace, span: Span, scale: float, history_gaps: HistoryGaps) -> RateSeries:
    """Return the mean rates of the history's intervals, scaled; NaN for gaps where asked for."""
    where = (span.history_start_s, span.interval_s, span.history_intervals)
    rates_rps = scale * trace.mean_rates(*where)
    if history_gaps == "nan":
        rates_rps[trace.gap_shares(*where) > 0.5] = np.nan
    within_rps = _rates_within(trace, span, scale)
    return RateSeries(span.history_start_s, span.interval_s, rates_rps, within_rps)


def _rates_within(trace: Trace, span: Span, scale: float) -> NDArray[np.float64] | None:
    """Return the rates in the bins of each interval, NaN in gaps; None where the trace is coarse.

    What bridges a gap is a line: it says nothing about bursts, whatever the history's gaps hold.
    """
    bins = bins_within(span.interval_s, BIN_S)
    if bins is None or bins < 2 or trace.bin_s > BIN_S * (1.0 + 1e-9):
        return None
    where = (span.history_start_s, BIN_S, bins * span.history_intervals)
    rates_rps = scale * trace.mean_rates(*where)
    rates_rps[trace.gap_shares(*where) > 0.0] = np.nan
    return rates_rps.reshape(-1, bins)


def _binned_source(trace: Trace, span: Span, scale: float, thin: Thinning) -> ArrivalSource:
    """Return a source of the evaluated span alone: what comes later is not even in it."""
    first = int(np.searchsorted(trace.edges_s, span.start_s, side="right")) - 1
    last = int(np.searchsorted(trace.edges_s, span.end_s, side="left"))
    edges_s = np.clip(trace.edges_s[first : last + 1], span.start_s, span.end_s)
    rates_rps = scale * trace.rate_rps[first:last]
    if thin == "poisson":
        return PoissonSource(edges_s, rates_rps)
    return CountSource(edges_s, rates_rps * np.diff(edges_s))
