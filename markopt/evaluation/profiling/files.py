"""A measured server as a profile file, and as tables for people."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from markopt.evaluation.folder import replace_text
from markopt.evaluation.profiling.estimates import ServerProfile

if TYPE_CHECKING:
    from rich.table import Table


def profile_document(measured: ServerProfile, service: str, platform: str) -> dict[str, Any]:
    """Return a profile file's content (see ``data/profiles/README.md``)."""
    counts = ", ".join(f"{batch.samples}" for batch in measured.batches)
    half = ", ".join(f"{500.0 * (batch.high_s - batch.low_s):.2f}" for batch in measured.batches)
    level = 100.0 * measured.confidence
    text = (
        f"markopt profile {measured.url}: time between the last answers of two batches that "
        f"followed each other, open loop; {counts} samples; intervals of {level:g} % +- {half} ms; "
        f"a lone request takes {1000.0 * measured.path_s:.2f} ms more on its way."
    )
    return {
        "service": service,
        "framework": "measured over HTTP",
        "sources": {"measurement": text},
        "dispersion": {
            "service_time_cv": round(min(measured.service_time_cv, 0.99), 4),
            "source": "measurement",
            "confidence": "measured",
        },
        "entries": {
            platform: {
                "batch_sizes": [batch.batch_size for batch in measured.batches],
                "service_times_ms": [round(1000.0 * batch.mean_s, 4) for batch in measured.batches],
                "source": "measurement",
                "confidence": "measured",
            }
        },
    }


def write_profile(measured: ServerProfile, service: str, platform: str, path: Path) -> None:
    """Write a profile file that ``catalog.profiles=FILE`` reads."""
    document = profile_document(measured, service, platform)
    replace_text(path, yaml.safe_dump(document, sort_keys=False, width=100))


def batch_table(measured: ServerProfile, title: str) -> Table:
    """Return the service time by batch size."""
    from rich.table import Table

    table = Table(title=title, title_justify="left")
    for name in (
        "batch",
        "T(b) ms",
        f"{100.0 * measured.confidence:g} % interval",
        "deviation ms",
        "per s",
        "samples",
        "dropped",
    ):
        table.add_column(name, justify="right")
    for batch in measured.batches:
        table.add_row(
            str(batch.batch_size),
            f"{1000.0 * batch.mean_s:.2f}",
            f"{1000.0 * batch.low_s:.2f} .. {1000.0 * batch.high_s:.2f}",
            f"{1000.0 * batch.deviation_s:.2f}",
            f"{batch.batch_size / batch.mean_s:.1f}",
            str(batch.samples),
            str(batch.dropped),
        )
    return table


def load_table(measured: ServerProfile) -> Table:
    """Return latencies by load and concurrency."""
    from rich.table import Table

    table = Table(title="Latency by load (Poisson arrivals, open loop)", title_justify="left")
    for name in ("offered /s", "served /s", "concurrency", "p50 ms", "p98 ms", "failed"):
        table.add_column(name, justify="right")
    for load in measured.loads:
        table.add_row(
            f"{load.offered_rps:.1f}",
            f"{load.served_rps:.1f}",
            f"{load.concurrency:.2f}",
            _with_interval(load.p50_s),
            _with_interval(load.p98_s),
            str(load.failed),
        )
    return table


def _with_interval(quantile_s: tuple[float, float, float]) -> str:
    value, low, high = (1000.0 * part for part in quantile_s)
    return f"{value:.1f} ({low:.1f} .. {high:.1f})"
