"""The comparison's table: one row per policy and seed, and their means."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from markopt.errors import DataError
from markopt.evaluation.results import EpisodeFiles, read_episode

COMPARISON_SCHEMA = "markopt.comparison/1"
COMPARISON, DIFFERENCES = "comparison.json", "differences.csv"
ROWS = "comparison.csv"
Row = dict[str, Any]


@dataclass(frozen=True, eq=False)
class ComparisonFiles:
    """A comparison as its files tell it; ``table`` has one row of means per policy."""

    folder: Path
    document: dict[str, Any]
    episodes: tuple[EpisodeFiles, ...]
    table: tuple[Row, ...]


def row(summary: Mapping[str, Any]) -> Row:
    """Return a summary as one flat row."""
    requests, slo, planner = summary["requests"], summary["slo"], summary["planner"]
    total = requests["total"]
    return {
        "policy": summary["policy"],
        "seed": summary["seed"],
        "cost_usd": summary["cost_usd"]["total"],
        "clairvoyant_bound_usd": summary["clairvoyant_bound_usd"],
        "cost_over_bound": summary["cost_over_bound"],
        "attainment": slo["attainment"],
        "sl_min": slo["sl_min"],
        "met": slo["met"],
        "worst_window_attainment": slo["worst_window_attainment"],
        "p98_s": summary["latency_s"]["p98"],
        "lambda_share": summary["lambda_share"],
        "refused_share": requests["refused"] / total if total else 0.0,
        "requests": total,
        "launches": summary["launches"],
        "interruptions": summary["interruptions"],
        "gap_max": planner["gap_max"],
        "pinball": summary["forecast"]["pinball"],
        **{f"cost_{k}_usd": v for k, v in summary["cost_usd"].items() if k != "total"},
    }


def means(rows: Sequence[Row], plan_mean_s: Mapping[str, float | None]) -> tuple[Row, ...]:
    """Return one row per policy: means over its seeds, but the worst window and the largest gap.

    ``met`` holds only where every seed meets SL_min; ``cost_over_bound`` is None where one does
    not. ``plan_mean_s`` is passed through: it is a clock reading, not part of the rows.
    """
    groups: dict[str, list[Row]] = {}
    for entry in rows:
        groups.setdefault(entry["policy"], []).append(entry)
    return tuple(_mean_row(policy, group, plan_mean_s) for policy, group in groups.items())


def _mean_row(policy: str, group: list[Row], plan_mean_s: Mapping[str, float | None]) -> Row:
    def mean(key: str) -> float | None:
        values = [entry[key] for entry in group]
        return None if None in values else float(np.mean(values))

    def extreme(key: str, pick: Any) -> float | None:
        values = [entry[key] for entry in group if entry[key] is not None]
        return pick(values) if values else None

    keys = ("cost_usd", "cost_over_bound", "attainment", "p98_s", "lambda_share", "refused_share")
    return {
        "policy": policy,
        "seeds": len(group),
        "met": all(entry["met"] for entry in group),
        **{key: mean(key) for key in (*keys, "launches", "interruptions")},
        "worst_window_attainment": extreme("worst_window_attainment", min),
        "gap_max": extreme("gap_max", max),
        "plan_mean_s": plan_mean_s.get(policy),
    }


def plan_means(episodes: Sequence[EpisodeFiles]) -> dict[str, float | None]:
    """Return each policy's mean planning time in seconds over its episodes."""
    readings: dict[str, list[float]] = {}
    for episode in episodes:
        value = episode.timing["plan_s"]["mean"]
        if value is not None:
            readings.setdefault(episode.summary["policy"], []).append(float(value))
    return {policy: float(np.mean(values)) for policy, values in readings.items()}


def read_comparison(folder: Path) -> ComparisonFiles:
    """Read a comparison's folder with all its episodes.

    Raises:
        DataError: a file is missing, damaged or of another schema version.
    """
    path = folder / COMPARISON
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise DataError(f"{path}: a result file is missing here") from None
    except (UnicodeDecodeError, json.JSONDecodeError) as error:
        raise DataError(f"{path}: expected a JSON document, {error}") from None
    if not isinstance(document, dict) or document.get("schema") != COMPARISON_SCHEMA:
        found = document.get("schema") if isinstance(document, dict) else type(document).__name__
        raise DataError(f"{path}: schema: this version reads '{COMPARISON_SCHEMA}', got {found!r}")
    episodes = tuple(read_episode(folder / name) for name in document["episodes"])
    if not episodes:
        raise DataError(f"{path}: episodes: expected at least one, got none")
    rows = [row(episode.summary) for episode in episodes]
    return ComparisonFiles(folder, document, episodes, means(rows, plan_means(episodes)))
