"""What a command prints: its tables, and where its report lies."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

if TYPE_CHECKING:
    from rich.table import Table


def episode_title(episode: Any) -> str:
    """Return the title of an episode's table: service, trace, length and SLO."""
    hours = (episode.end_s - episode.start_s) / 3600.0
    slo = episode.slo
    return (
        f"{episode.service} on {episode.trace}, {hours:.4g} h, "
        f"{100 * slo.sl_min:g} % within {1000 * slo.rt_max_s:g} ms"
    )


def show(table: Table, folder: Path, *more: Table) -> None:
    """Print tables, in full width even where the terminal is narrower, and the report's path."""
    from rich.console import Console

    for entry in (table, *more):
        console = Console()
        needed = Console(width=1000).measure(entry).maximum
        if console.width < needed:
            console = Console(width=needed)
        console.print(entry)
    typer.echo(f"Report: {folder / 'report.html'}")
