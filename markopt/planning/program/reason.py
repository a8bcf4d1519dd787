"""One sentence on why the program decided as it did, for a platform engineer."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from markopt.core import Problem
from markopt.planning.program.builder import BuiltProgram

HIGH_LEVEL = 0.95


def describe(problem: Problem, built: BuiltProgram, values: NDArray[np.float64]) -> str:
    """Return what changes now, the demand that asks for it, and what spill would cost instead."""
    fleet, cells = built.statement.fleet, built.middle
    launched = np.rint(values[built.launch[:, 0]]).astype(int)
    kept = np.rint(values[built.ready[:, 0]])
    ended = np.rint(fleet.ready + fleet.arriving[:, 0] - kept).astype(int)
    net = launched - ended
    starts = [f"{n} {o.name}" for o, n in zip(fleet.offers, net.tolist(), strict=True) if n > 0]
    stops = [f"{-n} {o.name}" for o, n in zip(fleet.offers, net.tolist(), strict=True) if n < 0]
    high_rps = problem.forecast.quantile_rps(HIGH_LEVEL)
    capacity = built.expected_capacity_rps(values)[cells]
    if starts:
        at = int(min(fleet.d[net > 0].min(), problem.horizon - 1))
        minutes = at * problem.interval_s / 60.0
        text = (
            f"launch {', '.join(starts)}: 5 % of paths exceed {high_rps[at]:.0f} rps "
            f"in {minutes:.3g} min; {_otherwise(problem, built, values, launched)}"
        )
        return text + (f"; terminate {', '.join(stops)}" if stops else "")
    needed = built.statement.demand.q.max(axis=0)[cells]
    if stops:
        return (
            f"terminate {', '.join(stops)}: 95 % of paths stay below {high_rps.max():.0f} rps over "
            f"the next {problem.horizon * problem.interval_s / 60.0:.3g} min and spill is cheaper "
            "than idle instances"
        )
    cover = "covers" if capacity[0] >= needed[0] else "with spill is cheapest for"
    return (
        f"keep the fleet: its {capacity[0]:.0f} rps of throughput {cover} the next interval's "
        f"{high_rps[0]:.0f} rps (95 % of paths)"
    )


def _otherwise(
    problem: Problem,
    built: BuiltProgram,
    values: NDArray[np.float64],
    launched: NDArray[np.int64],
) -> str:
    """Say what would happen to the requests without these launches."""
    statement, tree = built.statement, built.statement.tree
    fleet, demand = statement.fleet, statement.demand
    capacity = built.expected_capacity_rps(values)
    ready = tree.interval[None, :] >= fleet.d[:, None]
    worth = (fleet.mu * launched)[:, None] * statement.expected_available
    less = np.maximum(capacity - (worth * ready).sum(axis=0), 0.0)
    spill = demand.expected_spill_rps(less) - demand.expected_spill_rps(capacity)
    requests = float(spill.sum()) * problem.interval_s
    if statement.own.spill_misses > 0.0 or statement.own.miss_usd > 0.0:
        return f"{requests:.0f} requests more would miss the SLO"
    usd = requests * statement.own.spill_usd
    return f"spilling {requests:.0f} requests instead would cost ${usd:.4f}"
