"""Findings as ``markopt data check`` lists them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from markopt.workload.quality.check import check_trace
from markopt.workload.quality.finding import Finding
from markopt.workload.reader import read_trace
from markopt.workload.trace import RequestTrace, Trace

if TYPE_CHECKING:
    from rich.table import Table

_MOST_ROWS = 40


def check_file(path: Path) -> tuple[Trace, tuple[Finding, ...]]:
    """Return a file's trace (request times in bins of a second) and what is suspicious in it.

    Raises:
        DataError: the file is not readable as a trace.
    """
    recorded = read_trace(path)
    trace = recorded.binned() if isinstance(recorded, RequestTrace) else recorded
    return trace, check_trace(trace)


def findings_json(path: str, trace: Trace, findings: Sequence[Finding]) -> str:
    """Return file, bins and findings as JSON; times are those of the file."""
    rows = [asdict(f) | {"start_s": trace.origin_s + f.start_s} for f in findings]
    about = {"file": path, "bin_s": trace.bin_s, "duration_s": trace.duration_s}
    return json.dumps(about | {"findings": rows}, indent=2)


def findings_table(path: str, trace: Trace, findings: Sequence[Finding]) -> Table:
    """Return the findings as a table, the first forty; times are those of the file."""
    from rich import box
    from rich.markup import escape
    from rich.table import Table

    title = f"{escape(path)}: {len(findings) or 'no'} finding{'' if len(findings) == 1 else 's'}"
    more = len(findings) - _MOST_ROWS
    caption = f"and {more} more: --json lists all" if more > 0 else None
    table = Table(title=title, caption=caption, box=box.SIMPLE_HEAD, caption_justify="left")
    table.add_column("kind")
    table.add_column("from s", justify="right")
    table.add_column("length s", justify="right")
    table.add_column("evidence")
    for f in findings[:_MOST_ROWS]:
        start = f"{trace.origin_s + f.start_s:.12g}"
        table.add_row(f.kind, start, f"{f.length_s:.12g}", escape(f.evidence))
    return table
