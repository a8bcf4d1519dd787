"""The planners study's table: means over seeds, and costs paired with greedy's and with MArk's."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from markopt.evaluation.differences import block_bootstrap_interval, paired_t_interval

Row = dict[str, Any]
REFERENCES = ("greedy", "mark")
_PAIR = ("service", "purchase", "policy", "reference")


def table_rows(rows: Sequence[Row]) -> list[Row]:
    """Return one row per service, purchase and policy: means over the seeds.

    ``against …`` is the cost against the greedy's on sample paths and against MArk's, as
    ``difference_rows`` has it; what follows ± is half of the interval over the seeds, ``by hours``
    the one over the hours. ``violated %`` is the share of intervals that broke what a promise
    speaks of, ``short %`` counts the instances alone.
    """
    against = {tuple(row[key] for key in _PAIR): row for row in difference_rows(rows)}
    table = []
    for (service, purchase, policy), group in _groups(rows).items():
        cost = _column(group, "cost_usd")
        over = cost / _column(group, "clairvoyant_bound_usd")
        promised = group[0]["promised"]
        worst = _column(group, "worst_window_attainment").min()
        greedy, mark = (against.get((service, purchase, policy, name)) for name in REFERENCES)
        table.append(
            {
                "service": service,
                "purchase": purchase,
                "policy": policy,
                "tuned to": group[0]["values"],
                "cost USD": f"{cost.mean():.3f}",
                "over bound": f"{over.mean():.3f}",
                "against greedy %": _change(greedy),
                "by hours %": _by_hours(greedy),
                "against mark %": _change(mark),
                "attainment %": f"{100.0 * _column(group, 'attainment').mean():.2f}",
                "worst window %": "" if np.isnan(worst) else _percent(worst),
                "promised %": "" if promised in (None, "") else _percent(float(promised), 0),
                "violated %": _percent(_column(group, "violated").mean(), 1),
                "short %": _percent(_column(group, "short").mean(), 1),
                "Lambda %": _percent(_column(group, "lambda_share").mean()),
            }
        )
    return table


def difference_rows(rows: Sequence[Row]) -> list[Row]:
    """Return every policy's cost against each reference's, in percent, with 95 % intervals.

    ``seeds_…`` is paired over the seeds (Student's t): it speaks of other draws of the same day.
    ``hours_…`` draws the day's hours again, each with the mean of its seeds: it speaks of other
    days made of such hours. ``dearer_hours_share``: hours in which the policy costs more.
    """
    groups = _groups(rows)
    table = []
    for (service, purchase, policy), group in groups.items():
        for reference in REFERENCES:
            base = groups.get((service, purchase, reference))
            if base is None or reference == policy:
                continue
            percent = 100.0 * (_column(group, "cost_usd") / _column(base, "cost_usd") - 1.0)
            own_usd, base_usd = hourly_usd(group), hourly_usd(base)
            change_usd = own_usd - base_usd
            seeds: Sequence[float | None] = (None, None)
            hours: Sequence[float | None] = (None, None)
            if len(percent) > 1:
                seeds = paired_t_interval(percent)
            if len(change_usd) > 1:
                found = block_bootstrap_interval(change_usd, np.random.default_rng(0))
                hours = [100.0 * usd / base_usd.sum() for usd in found]
            table.append(
                {
                    "service": service,
                    "purchase": purchase,
                    "policy": policy,
                    "reference": reference,
                    "cost_percent": round(float(percent.mean()), 3),
                    "seeds_low": _rounded(seeds[0]),
                    "seeds_high": _rounded(seeds[1]),
                    "hours_low": _rounded(hours[0]),
                    "hours_high": _rounded(hours[1]),
                    "dearer_hours_share": round(float((change_usd > 0.0).mean()), 3),
                }
            )
    return table


def hour_rows(rows: Sequence[Row]) -> list[Row]:
    """Return a row per service, purchase and hour since the start: each policy's bill in USD.

    The bills are means over the seeds.
    """
    groups = _groups(rows)
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


def _groups(rows: Sequence[Row]) -> dict[tuple[str, str, str], list[Row]]:
    """Return the rows by service, purchase and policy."""
    groups: dict[tuple[str, str, str], list[Row]] = {}
    for row in rows:
        groups.setdefault((row["service"], row["purchase"], row["policy"]), []).append(row)
    return groups


def _column(rows: Sequence[Row], key: str) -> NDArray[np.float64]:
    return np.array([np.nan if r[key] in (None, "") else r[key] for r in rows], dtype=np.float64)


def _percent(share: float, digits: int = 2) -> str:
    return f"{100.0 * share:.{digits}f}"


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 3)


def _change(found: Row | None) -> str:
    if found is None:
        return ""
    if found["seeds_low"] is None:
        return f"{found['cost_percent']:.1f}"
    return f"{found['cost_percent']:.1f} ± {(found['seeds_high'] - found['seeds_low']) / 2.0:.1f}"


def _by_hours(found: Row | None) -> str:
    if found is None or found["hours_low"] is None:
        return ""
    return f"{found['hours_low']:.1f} to {found['hours_high']:.1f}"
