"""What each term means in the cvxpy model."""

from __future__ import annotations

from functools import singledispatch

import numpy as np

from markopt.errors import ConfigError
from markopt.planning.program.terms import (
    BillCvar,
    BudgetCap,
    Diversification,
    LargestChange,
    MakeBeforeBreak,
)
from markopt.planning.reference.cvxpy_model import CvxpyModel, billed_usd
from markopt.planning.statement import Statement


@singledispatch
def add_term(term: object, model: CvxpyModel) -> None:
    """Add the constraints and costs of a term.

    Raises:
        ConfigError: the term has no formulation in cvxpy; ``add_term.register`` gives it one.
    """
    raise ConfigError(
        f"planner.terms: '{type(term).__name__}' has no formulation in cvxpy; known are "
        f"MakeBeforeBreak, Diversification, LargestChange, BudgetCap and BillCvar"
    )


def expected_need_rps(statement: Statement) -> np.ndarray:
    """Return the expected required throughput of every cell's interval, (cells,)."""
    p = np.asarray(statement.problem.forecast.probabilities)
    return np.asarray((p @ statement.by_scenario[0])[statement.tree.interval])


@add_term.register
def _make_before_break(term: MakeBeforeBreak, model: CvxpyModel) -> None:
    def worth(statement: Statement) -> np.ndarray:
        shares = np.tensordot(statement.states.probability, statement.available, axes=1)
        return np.asarray(statement.fleet.mu[:, None] * shares)

    def kept(statement: Statement) -> np.ndarray:
        serves = statement.fleet.ready @ worth(statement)
        return np.asarray(np.minimum(serves, expected_need_rps(statement)))

    serves = model.cvxpy.multiply(model.data(worth), model.ready)
    model.constraints.append(model.cvxpy.sum(serves, axis=0) >= model.data(kept))


@add_term.register
def _diversification(term: Diversification, model: CvxpyModel) -> None:
    offers = model.first.offers
    for pool in sorted({offer.pool for offer in offers if not offer.purchase.lasting}):
        inside = [k for k, o in enumerate(offers) if o.pool == pool and not o.purchase.lasting]

        def most(statement: Statement, inside: list[int] = inside) -> np.ndarray:
            one = float(statement.fleet.mu[inside].min())
            return np.maximum(term.largest_share * expected_need_rps(statement), one)

        mu = model.data(lambda s, inside=inside: s.fleet.mu[inside])
        model.constraints.append(mu @ model.ready[inside] <= model.data(most))


@add_term.register
def _largest_change(term: LargestChange, model: CvxpyModel) -> None:
    for most, changed in ((term.launches, model.launch), (term.terminations, model.ended)):
        if most is not None:
            model.constraints.append(model.cvxpy.sum(changed, axis=0) <= most)


@add_term.register
def _budget_cap(term: BudgetCap, model: CvxpyModel) -> None:
    cvxpy = model.cvxpy
    over = cvxpy.Variable(nonneg=True)  # in the model's unit of cost
    ready = model.usd(lambda s: np.outer(billed_usd(s), s.tree.probability))
    launch = model.usd(lambda s: np.outer(billed_usd(s) * s.fleet.d, s.tree.probability))
    bill = cvxpy.sum(cvxpy.multiply(ready, model.ready))
    bill += cvxpy.sum(cvxpy.multiply(launch, model.launch))
    bill += model.spill_usd(_paid_usd)
    if model.warm is not None:
        bill += model.usd(lambda s: s.own.warm_usd * s.tree.probability) @ model.warm

    def left(statement: Statement) -> float:
        hours = statement.problem.horizon * statement.problem.interval_s / 3600.0
        return term.usd_per_h * hours - statement.fleet.committed_usd

    model.constraints.append(bill <= model.usd(left) + over)
    model.costs.append(term.OVERRUN_USD * over)


def _paid_usd(statement: Statement) -> float:
    """Return what a spilled request is billed, without its weight in the objective."""
    return statement.paid_spill_usd


@add_term.register
def _bill_cvar(term: BillCvar, model: CvxpyModel) -> None:
    """CVaR as the least over a threshold v of v + E (bill - v)+ / (1 - level)."""
    cvxpy, tree = model.cvxpy, model.tree
    cells = tree.cell_of[tree.leaf_of]  # (paths, horizon)
    probability = model.data(lambda s: s.states.probability)
    expected = cvxpy.Variable(tree.cells)
    model.constraints.append(expected == probability @ model.capacity)
    along = cvxpy.vstack([expected[row] for row in cells])
    spill = cvxpy.Variable(cells.shape, nonneg=True)
    slope = model.data(lambda s: s.by_scenario[1])
    level = model.data(lambda s: s.by_scenario[0] * s.by_scenario[1])
    model.constraints.append(spill >= level - cvxpy.multiply(slope, along))
    usd = model.usd(billed_usd)
    booted = model.usd(lambda s: billed_usd(s) * s.fleet.d)
    by_cell = usd @ model.ready + booted @ model.launch  # (cells,)
    passes = np.zeros((len(cells), tree.cells))
    passes[np.arange(len(cells))[:, None], cells] = 1.0
    paid = model.usd(lambda s: _paid_usd(s) * s.problem.interval_s)
    threshold, beyond = cvxpy.Variable(), cvxpy.Variable(len(cells), nonneg=True)
    bill = passes @ by_cell + paid * cvxpy.sum(spill, axis=1)
    model.constraints.append(beyond >= bill - threshold)
    tail = model.data(lambda s: np.asarray(s.problem.forecast.probabilities) / (1.0 - term.level))
    model.costs.append(term.weight * (threshold + tail @ beyond))
