"""What a workload does about dirty data: refuse it, say so, mask it, or not look."""

from __future__ import annotations

import logging
from typing import Literal

import numpy as np

from markopt.errors import DataError
from markopt.workload.quality.check import check_trace
from markopt.workload.quality.finding import Finding
from markopt.workload.trace import Gap, Trace

QualityRule = Literal["error", "warn", "mask", "ignore"]
QUALITY_RULES: tuple[QualityRule, ...] = ("error", "warn", "mask", "ignore")

_log = logging.getLogger("markopt.workload")
_said: set[str] = set()


def judge_quality(
    path: str, recorded: Trace, used: Trace, rule: QualityRule, history_end_s: float
) -> tuple[Finding, ...]:
    """Apply a rule to a recorded trace, and return the findings that mask its history.

    ``used`` is the trace without gaps that ``recorded`` became; ``history_end_s`` and the findings
    returned are in its time. A mask rests on what lies before the history's end alone. A warning is
    one line per file and process, by the logger ``markopt.workload``, which writes to standard
    error.

    Raises:
        DataError: the trace is dirty and ``rule`` is ``error``.
    """
    if rule == "ignore":
        return ()
    shift_s = used.origin_s - recorded.origin_s
    if rule == "mask":
        findings = check_trace(before(recorded, shift_s + history_end_s))
        return tuple(
            Finding(f.kind, f.start_s - shift_s, f.length_s, f.evidence)
            for f in findings
            if f.kind != "gap"
        )
    dirty = [f for f in check_trace(recorded) if f.kind != "gap"]
    if not dirty:
        return ()
    first = dirty[0]
    text = (
        f"{path}: {len(dirty)} suspicious stretch{'es' if len(dirty) > 1 else ''}; the first: "
        f"{first.kind} of {first.length_s:g} s from {recorded.origin_s + first.start_s:g} s on "
        f"({first.evidence})"
    )
    if rule == "error":
        raise DataError(f"{text}; choose workload.quality=warn, mask or ignore")
    if text not in _said:
        _said.add(text)
        _log.warning(
            "markopt: warning: %s; workload.quality=mask takes them for no data, ignore accepts "
            "them, and markopt data check lists them",
            text,
        )
    return ()


def before(trace: Trace, end_s: float) -> Trace:
    """Return the whole bins of a trace that end by ``end_s``."""
    count = int(np.searchsorted(trace.edges_s, end_s + 1e-9, side="right")) - 1
    gaps = tuple(
        Gap(gap.start_s, min(gap.end_s, end_s) - gap.start_s)
        for gap in trace.gaps
        if gap.start_s < end_s
    )
    return Trace(
        trace.name,
        trace.origin_s,
        trace.bin_s,
        trace.edges_s[: count + 1],
        trace.rate_rps[:count],
        gaps,
    )
