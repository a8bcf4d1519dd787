"""What a backtest's page shows."""

from __future__ import annotations

from typing import Any

from markopt.evaluation.backtest import tables
from markopt.evaluation.backtest.results import BacktestFiles
from markopt.evaluation.report import backtest_figures as figures


def context(files: BacktestFiles) -> dict[str, Any]:
    """Return what the template needs."""
    document = files.document
    sections: list[dict[str, Any]] = []

    def section(identity: str, title: str, note: str, figure: Any, *, half: bool = True) -> None:
        entry = {"id": identity, "title": title, "note": note, "figure": figure, "half": half}
        sections.append(entry)

    section(
        "loss",
        "Loss by step",
        "Mean over the quantile levels 0.05 to 0.98; lower is better.",
        figures.loss_by_step(files),
    )
    section(
        "coverage",
        "Coverage by step",
        "Share of realised rates that the central 90 % band held; shaded: 88 to 92 %.",
        figures.coverage_by_step(files),
    )
    section(
        "pit",
        "PIT histogram",
        "Where in its forecast the realised rate lay. A hump: forecasts too wide; a trough: too "
        "narrow; a slope: too low (rising) or too high (falling).",
        figures.pit(files),
    )
    section(
        "reliability",
        "Reliability",
        "How far the share of realised rates at or below a quantile is from its level.",
        figures.reliability(files),
    )
    if files.stretch:
        lead_min = files.stretch[0]["lead_s"] / 60.0
        for at, name in enumerate(document["forecasters"]):
            section(
                f"stretch{at}",
                f"Forecasts against truth: {name}",
                f"As forecast {lead_min:g} minutes ahead, around the largest rate of the test.",
                figures.stretch(files, name),
            )
    lines = [
        {"cells": (*tables.cells(document, name), *tables.timing_cells(files.timing[name]))}
        for name in document["forecasters"]
    ]
    return {
        "title": f"Forecasters on {document['trace']}",
        "subtitle": tables.title(document).partition(": ")[2],
        "warnings": tables.warnings(document),
        "headers": (*tables.HEADERS, *tables.TIMING_HEADERS),
        "lines": lines,
        "note": tables.NOTE,
        "sections": sections,
    }
