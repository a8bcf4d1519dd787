"""What a command prints: its tables, and where its report lies."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import typer

from markopt.launch.work import Done


def episode_title(episode: Any) -> str:
    """Return the title of an episode's table: service, trace, length and SLO."""
    hours = (episode.end_s - episode.start_s) / 3600.0
    slo = episode.slo
    return (
        f"{episode.service} on {episode.trace}, {hours:.4g} h, "
        f"{100 * slo.sl_min:g} % within {1000 * slo.rt_max_s:g} ms"
    )


def figures(row: Mapping[str, Any]) -> str:
    """Return a row of means in a few words, for the line of a sweep's job."""
    met = "" if row["met"] else ", misses the SLO"
    return f"{row['cost_usd']:.4g} USD, {100.0 * row['attainment']:.2f} % in time{met}"


def show(done: Done) -> None:
    """Print a result's warnings, its tables and its report's path.

    Tables are printed in full width even where the terminal is narrower.
    """
    from rich.console import Console

    for text in done.warnings:
        typer.echo(f"markopt: warning: {text}", err=True)
    for table in done.tables:
        console = Console()
        needed = Console(width=1000).measure(table).maximum
        if console.width < needed:
            console = Console(width=needed)
        console.print(table)
    typer.echo(f"Report: {done.folder / 'report.html'}")
