"""The program in cvxpy as a textbook has it: a spill per scenario, parameters for all data."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from markopt.planning.statement import CALM_SHARE, Statement

Array = NDArray[np.float64]
Indices = NDArray[np.int64]
Value = Callable[..., Any]

# Compiled models that are kept; one suffices while nothing but data changes.
KEPT_MODELS = 4


class CvxpyModel:
    """Variables and constraints over (offer, cell); their data come from a statement when solved.

    ``data(value)`` makes a cvxpy.Parameter that ``fill`` sets to ``value(statement)``. So every
    product is one of a parameter and a variable (DPP), and a second statement of the same shape is
    solved without compiling anew. USD are in units of the mean price of an instance and interval.
    ``relaxed``: nothing is a whole number.
    """

    def __init__(self, statement: Statement, *, relaxed: bool = False) -> None:
        import cvxpy

        self.cvxpy = cvxpy
        self.first, self.tree, self.relaxed = statement, statement.tree, relaxed
        self.constraints: list[Any] = []
        self.costs: list[Any] = []
        self._data: list[tuple[Any, Value]] = []
        offers, cells = len(statement.offers), statement.tree.cells
        states, scenarios = len(statement.states.probability), len(statement.demand.q)
        self.launch, self.ready = self._counts(offers), self._counts(offers)
        self.ended = cvxpy.Variable((offers, cells), nonneg=True)
        self.billed = cvxpy.Variable((offers, cells), nonneg=True)
        self.capacity = cvxpy.Variable((states, cells))
        shape = (scenarios, cells)
        self.spill = [cvxpy.Variable(shape, nonneg=True) for _ in range(states)]
        own = statement.own
        self.excess = self.spill[:0]
        if own.has_excess:
            self.excess = [cvxpy.Variable(shape, nonneg=True) for _ in range(states)]
        self.warm = cvxpy.Variable(cells, nonneg=True) if is_priced(statement) else None
        self.slack = cvxpy.Variable(len(statement.budget.allowed), nonneg=True)
        self.short = cvxpy.Variable(cells, nonneg=True)
        self._fleet()
        self._service()

    def data(self, value: Value) -> Any:
        """Return a parameter that takes this value of every statement that is solved."""
        parameter = self.cvxpy.Parameter(np.shape(value(self.first)))
        self._data.append((parameter, value))
        return parameter

    def fill(self, statement: Statement) -> None:
        """Set all data to those of a statement of the same shape."""
        for parameter, value in self._data:
            parameter.value = np.asarray(value(statement), dtype=np.float64)

    def usd(self, value: Value) -> Any:
        """Return a parameter of an amount in USD, in units of ``price_unit``."""
        return self.data(lambda s: np.asarray(value(s)) / price_unit(s))

    def back(self, intervals: int) -> Array:
        """Return the matrix that moves values over cells so many intervals on along the tree."""
        before = self.tree.ancestors(intervals)
        moved = np.zeros((self.tree.cells, self.tree.cells))
        there = np.flatnonzero(before >= 0)
        moved[before[there], there] = 1.0
        return moved

    def rows(self, values: Any) -> Any:
        """Return values per cell as a matrix with such a row for every scenario."""
        ones = np.ones((len(self.first.demand.q), 1))
        return ones @ self.cvxpy.reshape(values, (1, self.tree.cells), order="C")

    def whole_cells(self) -> int:
        """Return how many cells, the first ones, have whole numbers of instances."""
        within = self.first.whole_intervals
        return 0 if self.relaxed else int((self.tree.interval < within).sum())

    def _counts(self, offers: int) -> Any:
        whole = self.whole_cells()
        parts = [self.cvxpy.Variable((offers, whole), integer=True)] if whole else []
        if whole < self.tree.cells:
            parts.append(self.cvxpy.Variable((offers, self.tree.cells - whole)))
        self.constraints += [part >= 0 for part in parts]
        return parts[0] if len(parts) == 1 else self.cvxpy.hstack(parts)

    def _fleet(self) -> None:
        """Instances from launch to end, what they cost, and what they serve."""
        cvxpy, fleet, at = self.cvxpy, self.first.fleet, self.tree.interval
        horizon = self.first.problem.horizon
        come = self.data(_coming)
        for delay in np.unique(fleet.d).tolist():
            k = np.flatnonzero(fleet.d == delay)
            arrived = self.launch[k] @ self.back(delay)
            before = self.ready[k] @ self.back(1)
            self.constraints.append(self.ready[k] == before + arrived + come[k] - self.ended[k])
            late = np.flatnonzero(at + delay >= horizon)
            if len(late):
                self.constraints.append(self.launch[k][:, late] == 0)
        now = self.data(lambda s: np.outer(s.fleet.billed_now, s.tree.parent < 0))
        before = self.billed @ self.back(1)
        self.constraints.append(self.billed == before + now + self.launch - self.ended)
        for row in np.flatnonzero(fleet.m > fleet.d + 1).tolist():
            backs = range(int(fleet.d[row]), int(fleet.m[row]))
            kept = np.sum([self.back(back) for back in backs], axis=0)
            self.constraints.append(self.ready[row] >= self.launch[row] @ kept)
        for m in range(len(self.spill)):
            worth = self.data(lambda s, m=m: s.fleet.mu[:, None] * s.available[m])
            extra = self.data(lambda s: s.fleet.noticed_rps * (s.tree.parent < 0))
            serves = cvxpy.sum(cvxpy.multiply(worth, self.ready), axis=0)
            self.constraints.append(self.capacity[m] == serves + extra)
        self.costs.append(cvxpy.sum(cvxpy.multiply(self.usd(ready_usd), self.ready)))
        self.costs.append(cvxpy.sum(cvxpy.multiply(self.usd(launch_usd), self.launch)))

    def _service(self) -> None:
        """What no instance serves: its cost, the budget of misses, the promise per interval."""
        cvxpy = self.cvxpy
        slope, level = self.data(lambda s: s.demand.slope), self.data(_unserved_rps)
        misses: Any = 0.0
        warm_rps = self.rows(self.warm_rps())
        for m, spill in enumerate(self.spill):
            served = cvxpy.multiply(slope, self.rows(self.capacity[m]))
            self.constraints.append(spill >= level - served)
            usd = self.usd(lambda s, m=m: _weight(s, m) * s.own.spill_usd)
            self.costs.append(cvxpy.sum(cvxpy.multiply(usd, spill)))
            missed = self.data(lambda s, m=m: _weight(s, m) * s.own.spill_misses)
            misses += cvxpy.sum(cvxpy.multiply(missed, spill), axis=0)
            if not self.excess:
                continue
            excess = self.excess[m]
            self.constraints.append(excess >= spill - warm_rps)
            usd = self.usd(lambda s, m=m: _weight(s, m) * s.own.excess_usd)
            self.costs.append(cvxpy.sum(cvxpy.multiply(usd, excess)))
            missed = self.data(lambda s, m=m: _weight(s, m) * s.own.excess_misses)
            misses += cvxpy.sum(cvxpy.multiply(missed, excess), axis=0)
        window_of = self.first.budget.window_of[self.tree.interval]
        inside = (np.arange(self.slack.size)[:, None] == window_of[None, :]).astype(float)
        allowed = self.data(lambda s: s.budget.allowed)
        self.constraints.append(inside @ misses <= allowed + self.slack)
        self.costs.append(self.usd(lambda s: s.penalty_usd) * cvxpy.sum(self.slack))
        if self.warm is not None:
            self.constraints.append(self.warm <= self.data(lambda s: s.own.warm_limit))
            paid = self.usd(lambda s: s.own.warm_usd * s.tree.probability)
            self.costs.append(paid @ self.warm)
        paid = self.usd(lambda s: s.penalty_usd * s.problem.interval_s * s.tree.probability)
        self.costs.append(paid @ self.short)

    def warm_rps(self) -> Any:
        """Return what warm functions serve, by cell: a choice, or all that are at hand."""
        if self.warm is not None:
            return self.data(lambda s: s.own.warm_rps) * self.warm
        ones = np.ones(self.tree.cells)
        return self.data(lambda s: s.own.warm_limit * s.own.warm_rps * ones)

    def spill_usd(self, price: Value) -> Any:
        """Return what spill costs in expectation at a price per request."""
        total: Any = 0.0
        for m, spill in enumerate(self.spill):
            usd = self.usd(lambda s, m=m: _weight(s, m) * price(s))
            total += self.cvxpy.sum(self.cvxpy.multiply(usd, spill))
        return total


def price_unit(statement: Statement) -> float:
    """Return the mean price of an instance and interval, USD."""
    return float(statement.fleet.c.mean())


def is_priced(statement: Statement) -> bool:
    """Return whether warm environments have to be bought."""
    return statement.own.has_excess and statement.own.warm_usd > 0.0


def billed_usd(statement: Statement) -> Array:
    """Return USD per billed interval with what replacing costs, (offers,)."""
    return np.asarray(statement.fleet.c + statement.fleet.relaunch)


def ready_usd(statement: Statement) -> Array:
    """Return the expected cost of a ready instance, (offers, cells)."""
    fleet, tree = statement.fleet, statement.tree
    last = tree.interval == statement.problem.horizon - 1
    credit = statement.settings.terminal_value_share * np.outer(fleet.c * fleet.d, last)
    return np.asarray((billed_usd(statement)[:, None] - credit) * tree.probability)


def launch_usd(statement: Statement) -> Array:
    """Return the expected cost of a launch until it is ready, (offers, cells)."""
    fleet = statement.fleet
    usd = billed_usd(statement) * fleet.d + CALM_SHARE * fleet.c
    return np.outer(usd, statement.tree.probability)


def _coming(statement: Statement) -> Array:
    """Return instances that become ready without a decision, (offers, cells)."""
    fleet, tree = statement.fleet, statement.tree
    return np.asarray(fleet.arriving[:, tree.interval] + np.outer(fleet.ready, tree.parent < 0))


def _unserved_rps(statement: Statement) -> Array:
    """Return what is spilled at no capacity, (scenarios, cells): eta Q."""
    return np.asarray(statement.demand.slope * statement.demand.q)


def _weight(statement: Statement, state: int) -> Array:
    """Return the requests that one spilled per second is in expectation, (scenarios, cells)."""
    probability = float(statement.states.probability[state])
    return np.asarray(statement.problem.interval_s * probability * statement.demand.p)


class ModelCache:
    """The models compiled last, by their shape."""

    def __init__(self) -> None:
        self._models: OrderedDict[Hashable, Any] = OrderedDict()

    def get(self, key: Hashable, make: Callable[[], Any]) -> Any:
        """Return the model of this shape, made where there is none."""
        if key not in self._models:
            self._models[key] = make()
            while len(self._models) > KEPT_MODELS:
                self._models.popitem(last=False)
        self._models.move_to_end(key)
        return self._models[key]


def shape_of(statement: Statement) -> Hashable:
    """Return all of a statement that a compiled model does not take as data."""
    tree, fleet, settings = statement.tree, statement.fleet, statement.settings
    limits, risk = statement.problem.limits, statement.settings.risk
    arrays = (tree.cell_of, tree.leaf_of, tree.parent, tree.interval, fleet.d, fleet.m)
    masks = (np.isfinite(fleet.stock), statement.budget.window_of)
    return (
        statement.available.shape,
        statement.demand.q.shape,
        tuple((array.shape, array.tobytes()) for array in (*arrays, *masks)),
        tuple((offer.pool, offer.purchase) for offer in statement.offers),
        limits.max_vcpus is None,
        limits.max_launches_per_interval is None,
        limits.max_terminations_per_interval is None,
        tuple(sorted(limits.max_instances_by_pool)),
        (statement.own.has_excess, is_priced(statement)),
        (statement.whole_intervals, risk.measure, risk.joint),
        tuple((name, repr(term)) for name, term in settings.terms.items()),
    )
