"""Promises, limits and terms as rows of the PuLP model."""

from __future__ import annotations

from functools import singledispatch
from typing import Any

import numpy as np

from markopt.errors import ConfigError
from markopt.planning.program.terms import (
    BillCvar,
    BudgetCap,
    Diversification,
    LargestChange,
    MakeBeforeBreak,
)
from markopt.planning.reference.pulp_model import PulpModel


def add_promise(model: PulpModel) -> None:
    """Add the promise per interval: what serves is at least the level, in every pool state."""
    levels = model.statement.levels_rps
    for m, c in zip(*np.nonzero(levels > 0.0), strict=True):
        serves = model.capacity[int(m), int(c)] + model.warm_rps(int(c)) + model.short[int(c),]
        model.require(serves >= float(levels[m, c]))


def add_promise_over_paths(model: PulpModel) -> None:
    """Add the sample-average promise for the window: whole paths are broken, by binaries."""
    statement = model.statement
    spared, tree = statement.spared_paths, statement.tree
    broken = model.variables("broken", len(tree.leaf_of), whole=True)
    model.require(model.total(broken.values()) <= float(spared or 0))
    for variable in broken.values():
        variable.upBound = 1
    kept = [m for m in model.states if (statement.levels_rps[m] > -np.inf).any()]
    for m in kept:
        for (w, t), asked in np.ndenumerate(statement.asked_by_path(m)):
            c = int(tree.cell_of[tree.leaf_of[w], t])
            serves = model.capacity[m, c] + model.warm_rps(c) + model.short[c,]
            model.require(serves >= float(asked) * (1 - broken[w,]))


def add_limits(model: PulpModel) -> None:
    """Add stock, pool quotas, vCPUs, launches and terminations; what runs is always allowed."""
    statement = model.statement
    fleet, limits = statement.fleet, statement.problem.limits
    ones = np.ones(len(fleet.offers))
    totals = [(float(most), ones * (np.arange(len(ones)) == k))
              for k, most in enumerate(fleet.stock) if np.isfinite(most)]  # fmt: skip
    for pool, quota in limits.max_instances_by_pool.items():
        totals.append((float(quota), np.array([float(o.pool == pool) for o in fleet.offers])))
    if limits.max_vcpus is not None:
        totals.append((limits.max_vcpus, fleet.vcpus))
    for most, weight in totals:
        room = max(most, float(weight @ fleet.billed_now))
        for c in model.cells:
            used = [float(weight[k]) * model.billed[k, c] for k in model.offers if weight[k] > 0.0]
            if used:
                model.require(model.total(used) <= room)
    _limit_changes(model, limits.max_launches_per_interval, model.launch)
    _limit_changes(model, limits.max_terminations_per_interval, model.ended)


def _limit_changes(model: PulpModel, most: int | None, changed: dict[Any, Any]) -> None:
    if most is None:
        return
    for c in model.cells:
        model.require(model.total(changed[k, c] for k in model.offers) <= most)


def expected_need_rps(model: PulpModel, c: int) -> float:
    """Return the expected required throughput of a cell's interval."""
    statement = model.statement
    p = np.asarray(statement.problem.forecast.probabilities)
    return float(p @ statement.by_scenario[0][:, statement.tree.interval[c]])


def paid_spill_usd(model: PulpModel) -> float:
    """Return what a spilled request is billed, without its weight in the objective."""
    return model.statement.paid_spill_usd


@singledispatch
def add_term(term: object, model: PulpModel) -> None:
    """Add the constraints and costs of a term.

    Raises:
        ConfigError: the term has no formulation in PuLP; ``add_term.register`` gives it one.
    """
    raise ConfigError(
        f"planner.terms: '{type(term).__name__}' has no formulation in PuLP; known are "
        f"MakeBeforeBreak, Diversification, LargestChange, BudgetCap and BillCvar"
    )


@add_term.register
def _make_before_break(term: MakeBeforeBreak, model: PulpModel) -> None:
    fleet = model.statement.fleet
    shares = np.tensordot(model.statement.states.probability, model.statement.available, axes=1)
    for c in model.cells:
        worth = fleet.mu * shares[:, c]
        kept = min(float(worth @ fleet.ready), expected_need_rps(model, c))
        serves = model.total(float(worth[k]) * model.ready[k, c] for k in model.offers)
        model.require(serves >= kept)


@add_term.register
def _diversification(term: Diversification, model: PulpModel) -> None:
    mu, offers = model.statement.fleet.mu, model.statement.offers
    for pool in sorted({offer.pool for offer in offers if not offer.purchase.lasting}):
        inside = [k for k, o in enumerate(offers) if o.pool == pool and not o.purchase.lasting]
        for c in model.cells:
            most = max(term.largest_share * expected_need_rps(model, c), min(mu[inside].tolist()))
            model.require(model.total(float(mu[k]) * model.ready[k, c] for k in inside) <= most)


@add_term.register
def _largest_change(term: LargestChange, model: PulpModel) -> None:
    _limit_changes(model, term.launches, model.launch)
    _limit_changes(model, term.terminations, model.ended)


@add_term.register
def _budget_cap(term: BudgetCap, model: PulpModel) -> None:
    statement = model.statement
    over = model.variable("overrun", model.pulp.LpContinuous)
    p = statement.tree.probability.tolist()
    bill = [p[c] * model.bill(c) for c in model.cells]
    bill += [
        model.requests(m, w, c) * paid_spill_usd(model) * spill
        for (m, w, c), spill in model.spill.items()
    ]
    if model.warm is not None:
        bill += [p[c] * statement.own.warm_usd * model.warm[c,] for c in model.cells]
    hours = statement.problem.horizon * statement.problem.interval_s / 3600.0
    left = term.usd_per_h * hours - statement.fleet.committed_usd
    # Both sides in prices of an instance, as the objective is.
    share = 1.0 / model.unit_usd
    model.require(share * model.total(bill) <= share * left + over)
    model.costs.append(term.OVERRUN_USD * over)


@add_term.register
def _bill_cvar(term: BillCvar, model: PulpModel) -> None:
    """CVaR as the least over a threshold v of v + E (bill - v)+ / (1 - level)."""
    statement, tree = model.statement, model.statement.tree
    required, slope = statement.by_scenario
    paths, horizon = required.shape
    spill = model.variables("path_spill", paths, horizon)
    beyond = model.variables("beyond", paths)
    threshold = model.variable("threshold", model.pulp.LpContinuous, None)
    expected = model.variables("expected_capacity", len(model.cells))
    bill = model.variables("bill", len(model.cells))
    share = 1.0 / model.unit_usd
    for c in model.cells:
        model.require(expected[c,] == model.expected_capacity(c))
        model.require(bill[c,] == share * model.bill(c))
    model.costs.append(term.weight * threshold)
    for w, p in enumerate(statement.problem.forecast.probabilities.tolist()):
        cells = tree.cell_of[tree.leaf_of[w]].tolist()
        for t, c in enumerate(cells):
            short = float(required[w, t]) - expected[c,]
            model.require(spill[w, t] >= float(slope[w, t]) * short)
        paid_usd = share * paid_spill_usd(model) * statement.problem.interval_s
        spilled = model.total(paid_usd * spill[w, t] for t in range(horizon))
        total = model.total(bill[c,] for c in cells) + spilled
        model.require(beyond[w,] >= total - threshold)
        model.costs.append(term.weight * p / (1.0 - term.level) * beyond[w,])
