"""What of a forecast a decision must cover: how far ahead, and how much of its spread."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Literal

import numpy as np

from markopt.core import Offer, Problem
from markopt.planning.requirement import launch_delay_intervals

Spread = Literal["lead_time", "open_loop"]


def lead_time_problem(problem: Problem, offers: Sequence[Offer]) -> Problem:
    """Return the problem with the spread that remains when each interval's capacity is decided.

    One fleet plan for all paths would cover, ten intervals ahead, the whole spread of ten
    intervals, though capacity for then can be launched, or ended, knowing far more. So beyond the
    shortest launch delay L a path keeps its deviation from the mean at L, around the mean at t:
    D'[t] = mean[t] D[L] / mean[L]. Means do not change.
    """
    paths = problem.forecast.paths_rps
    lead = min(launch_delay_intervals(offer, problem.interval_s) for offer in offers)
    mean = problem.forecast.mean_rps()
    if lead >= problem.horizon - 1 or mean[lead] <= 0.0:
        return problem
    settled = np.array(paths)
    settled[:, lead + 1 :] = np.outer(paths[:, lead] / mean[lead], mean[lead + 1 :])
    return replace(problem, forecast=replace(problem.forecast, paths_rps=settled))


def first_intervals(problem: Problem, offers: Sequence[Offer], window: int) -> Problem:
    """Return the problem over its first ``window`` intervals, at least the largest delay + 1."""
    longest = max(launch_delay_intervals(offer, problem.interval_s) for offer in offers)
    kept = min(max(window, longest + 1), problem.horizon)
    if kept == problem.horizon:
        return problem
    shortened = replace(problem.forecast, paths_rps=problem.forecast.paths_rps[:, :kept])
    return replace(problem, forecast=shortened)
