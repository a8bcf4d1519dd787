"""The planners study's table: means over seeds, and costs paired with greedy's and with MArk's."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from markopt.evaluation.differences import block_bootstrap_interval, paired_t_interval

Row = dict[str, Any]
REFERENCES = ("greedy", "mark")


def table_rows(rows: Sequence[Row]) -> list[Row]:
    """Return one row per service, purchase and policy: means over the seeds.

    ``against …`` is the cost against the greedy's on sample paths and against MArk's, paired over
    the seeds; what follows ± is half of a 95 % interval (Student's t). ``by hours`` is the interval
    of the first where the day's hours are drawn again, with the mean of the seeds in each.
    ``violated %`` is the share of intervals that broke what a promise speaks of, ``short %`` counts
    the instances alone.
    """
    groups: dict[tuple[str, str], dict[str, list[Row]]] = {}
    for entry in rows:
        policies = groups.setdefault((entry["service"], entry["purchase"]), {})
        policies.setdefault(entry["policy"], []).append(entry)
    table = []
    for (service, purchase), policies in groups.items():
        for policy, group in policies.items():
            cost = _column(group, "cost_usd")
            over = cost / _column(group, "clairvoyant_bound_usd")
            promised = group[0]["promised"]
            worst = _column(group, "worst_window_attainment").min()
            greedy, mark = (_change(group, policies.get(name, ())) for name in REFERENCES)
            hours = _by_hours(group, policies.get(REFERENCES[0], ()))
            table.append(
                {
                    "service": service,
                    "purchase": purchase,
                    "policy": policy,
                    "tuned to": group[0]["values"],
                    "cost USD": f"{cost.mean():.3f}",
                    "over bound": f"{over.mean():.3f}",
                    "against greedy %": greedy,
                    "by hours %": hours,
                    "against mark %": mark,
                    "attainment %": f"{100.0 * _column(group, 'attainment').mean():.2f}",
                    "worst window %": "" if np.isnan(worst) else _percent(worst),
                    "promised %": "" if promised in (None, "") else _percent(float(promised), 0),
                    "violated %": _percent(_column(group, "violated").mean(), 1),
                    "short %": _percent(_column(group, "short").mean(), 1),
                    "Lambda %": _percent(_column(group, "lambda_share").mean()),
                }
            )
    return table


def hour_rows(rows: Sequence[Row]) -> list[Row]:
    """Return a row per service, purchase and hour since the start: each policy's bill in USD.

    The bills are means over the seeds.
    """
    groups: dict[tuple[str, str, str], list[Row]] = {}
    for row in rows:
        groups.setdefault((row["service"], row["purchase"], row["policy"]), []).append(row)
    policies = list(dict.fromkeys(policy for _, _, policy in groups))
    table: dict[tuple[str, str, int], Row] = {}
    for (service, purchase, policy), group in groups.items():
        for hour, usd in enumerate(hourly_usd(group).tolist()):
            head = {"service": service, "purchase": purchase, "hour": hour}
            blank = {**head, **dict.fromkeys(policies)}
            table.setdefault((service, purchase, hour), blank)[policy] = round(usd, 4)
    return list(table.values())


def hourly_usd(rows: Sequence[Row]) -> NDArray[np.float64]:
    """Return the bill of each hour, mean over the rows' seeds."""
    mean = np.mean([row["hours_usd"] for row in rows], axis=0)
    return np.asarray(mean, dtype=np.float64)


def _column(rows: Sequence[Row], key: str) -> NDArray[np.float64]:
    return np.array([np.nan if r[key] in (None, "") else r[key] for r in rows], dtype=np.float64)


def _percent(share: float, digits: int = 2) -> str:
    return f"{100.0 * share:.{digits}f}"


def _change(group: Sequence[Row], reference: Sequence[Row]) -> str:
    """Return the cost against a reference in percent; '' against itself, and without one."""
    if not reference or group[0]["policy"] == reference[0]["policy"]:
        return ""
    ratio = 100.0 * (_column(group, "cost_usd") / _column(reference, "cost_usd") - 1.0)
    if len(ratio) < 2:
        return f"{ratio.mean():.1f}"
    low, high = paired_t_interval(ratio)
    return f"{ratio.mean():.1f} ± {(high - low) / 2.0:.1f}"


def _by_hours(group: Sequence[Row], reference: Sequence[Row]) -> str:
    if not reference or group[0]["policy"] == reference[0]["policy"]:
        return ""
    own_usd, other_usd = hourly_usd(group), hourly_usd(reference)
    if len(own_usd) < 2:
        return ""
    low, high = block_bootstrap_interval(own_usd - other_usd, np.random.default_rng(0))
    total_usd = other_usd.sum()
    return f"{100.0 * low / total_usd:.1f} to {100.0 * high / total_usd:.1f}"
