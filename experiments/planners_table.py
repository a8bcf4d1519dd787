"""The planners study's table: means over seeds, and costs paired with the greedy's."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from markopt.evaluation.differences import paired_t_interval

Row = dict[str, Any]
REFERENCE = "greedy"


def table_rows(rows: Sequence[Row]) -> list[Row]:
    """Return one row per service, purchase and policy: means over the seeds.

    ``against greedy %`` is the cost against the greedy's on sample paths, paired over the seeds;
    what follows ± is half of a 95 % interval (Student's t). ``violated %`` is the share of
    intervals that broke what a promise speaks of, ``short %`` counts the instances alone.
    """
    groups: dict[tuple[str, str], dict[str, list[Row]]] = {}
    for entry in rows:
        policies = groups.setdefault((entry["service"], entry["purchase"]), {})
        policies.setdefault(entry["policy"], []).append(entry)
    table = []
    for (service, purchase), policies in groups.items():
        base = _column(policies[REFERENCE], "cost_usd") if REFERENCE in policies else None
        for policy, group in policies.items():
            cost = _column(group, "cost_usd")
            over = cost / _column(group, "clairvoyant_bound_usd")
            change = "" if base is None or policy == REFERENCE else _change(cost, base)
            promised = group[0]["promised"]
            table.append(
                {
                    "service": service,
                    "purchase": purchase,
                    "policy": policy,
                    "tuned to": group[0]["values"],
                    "cost USD": f"{cost.mean():.3f}",
                    "over bound": f"{over.mean():.3f}",
                    "against greedy %": change,
                    "attainment %": f"{100.0 * _column(group, 'attainment').mean():.2f}",
                    "worst window %": _percent(_column(group, "worst_window_attainment").min()),
                    "promised %": "" if promised in (None, "") else _percent(float(promised), 0),
                    "violated %": _percent(_column(group, "violated").mean(), 1),
                    "short %": _percent(_column(group, "short").mean(), 1),
                    "Lambda %": _percent(_column(group, "lambda_share").mean()),
                }
            )
    return table


def _column(rows: Sequence[Row], key: str) -> NDArray[np.float64]:
    return np.array([np.nan if r[key] in (None, "") else r[key] for r in rows], dtype=np.float64)


def _percent(share: float, digits: int = 2) -> str:
    return f"{100.0 * share:.{digits}f}"


def _change(cost: NDArray[np.float64], base: NDArray[np.float64]) -> str:
    ratio = 100.0 * (cost / base - 1.0)
    if len(ratio) < 2:
        return f"{ratio.mean():.1f}"
    low, high = paired_t_interval(ratio)
    return f"{ratio.mean():.1f} ± {(high - low) / 2.0:.1f}"
