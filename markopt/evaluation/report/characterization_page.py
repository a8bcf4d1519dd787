"""What a characterisation's page shows."""

from __future__ import annotations

from typing import Any

from markopt.evaluation.characterization.results import CharacterizationFiles
from markopt.evaluation.characterization.tables import HEADERS, because, cells, lines
from markopt.evaluation.report import characterization_figures as figures

CLASSES = {"holds": "best", "fails": "missed", "not decided": ""}


def context(files: CharacterizationFiles) -> dict[str, Any]:
    """Return what the template needs."""
    document, rows = files.document, files.rows
    slo = document["slo"]
    sections: list[dict[str, Any]] = []

    def section(identity: str, title: str, note: str, figure: Any, *, half: bool = False) -> None:
        entry = {"id": identity, "title": title, "note": note, "figure": figure, "half": half}
        sections.append(entry)

    for at, catalog in enumerate(dict.fromkeys(row.catalog for row in rows)):
        some = [row for row in rows if row.catalog == catalog]
        section(
            f"cost{at}",
            f"Cost per platform, {catalog}",
            f"A lone stream of {document['low_rps']:.3g} requests/s on one instance, and a pool at "
            "the largest rate that meets the SLO, at the cheapest batch. Open marks rest on "
            "assumed figures; crosses miss the SLO.",
            figures.cost_by_platform(some),
        )
        section(
            f"batch{at}",
            f"Cost by batch, {catalog}",
            "In a pool at high load, without spot and burstable instances.",
            figures.cost_by_batch(some),
        )
        section(
            f"latency{at}",
            f"Latency against cost, {catalog}",
            "Lower and further left is better. Open marks rest on assumed figures.",
            figures.latency_against_cost(some),
            half=True,
        )
        section(
            f"ready{at}",
            f"Time to scale, {catalog}",
            "Launch until ready, or cold start; the shortest of each family. Hatched: assumed.",
            figures.time_to_scale(some),
            half=True,
        )
    findings = [
        {**finding, "because": because(finding), "css": CLASSES[finding["verdict"]]}
        for finding in document["findings"]
    ]
    return {
        "title": f"{document['service']} on every platform",
        "subtitle": f"{100 * slo['sl_min']:g} % within {1000 * slo['rt_max_s']:g} ms · "
        f"{len(rows):,} points, each simulated request by request · seed {document['seed']}",
        "findings": findings,
        "headers": HEADERS,
        "lines": [
            {"cells": cells(line), "assumed": not line.cheapest_known} for line in lines(rows)
        ],
        "sections": sections,
    }
