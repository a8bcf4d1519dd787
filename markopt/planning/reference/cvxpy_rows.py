"""Promises and limits as rows of the cvxpy model."""

from __future__ import annotations

import numpy as np

from markopt.planning.reference.cvxpy_model import CvxpyModel
from markopt.planning.statement import Statement


def add_promise(model: CvxpyModel) -> None:
    """Add the promise per interval: what serves is at least the level, in every pool state."""
    serves = model.warm_rps() + model.short
    for m in range(len(model.spill)):
        level = model.data(lambda s, m=m: np.maximum(s.levels_rps[m], 0.0))
        model.constraints.append(model.capacity[m] + serves >= level)


def add_promise_over_paths(model: CvxpyModel) -> None:
    """Add the sample-average promise for the window: whole paths are broken, by binaries.

    A path that is not broken is served in every interval and kept state; how many may be broken
    follows from the sample's size (Luedtke and Ahmed 2008).
    """
    cvxpy, tree = model.cvxpy, model.tree
    cells = tree.cell_of[tree.leaf_of]  # (paths, horizon)
    broken = cvxpy.Variable(len(cells), boolean=True)
    model.constraints.append(cvxpy.sum(broken) <= model.data(lambda s: s.spared_paths))
    met = cvxpy.reshape(1 - broken, (len(cells), 1), order="C") @ np.ones((1, cells.shape[1]))
    serves = model.warm_rps() + model.short
    for m in range(len(model.spill)):
        asked = model.data(lambda s, m=m: _asked_rps(s, m))
        total = model.capacity[m] + serves
        along = cvxpy.vstack([total[row] for row in cells])
        model.constraints.append(along >= cvxpy.multiply(asked, met))


def _asked_rps(statement: Statement, state: int) -> np.ndarray:
    """Return the required throughput by path and interval; none where the state is left out."""
    kept = bool((statement.levels_rps[state] > -np.inf).any())
    return np.asarray(statement.asked_by_path(state) * float(kept))


def add_cone(model: CvxpyModel) -> None:
    """Add the normal promise with the pools' covariance, a second-order cone per cell.

    Required throughput Q and what serves C are taken for normal and independent, with the mean and
    variance of the paths and of the pool states: E C + mu w + short - E Q >= z sqrt(Var Q + Var C).
    """
    cvxpy = model.cvxpy
    mean = model.data(lambda s: _moments(s)[0])
    deviation = model.data(lambda s: _moments(s)[1])
    probability = model.data(lambda s: s.states.probability)
    root = model.data(lambda s: np.sqrt(s.states.probability))
    z = model.data(_standard_score)
    expected = cvxpy.Variable(model.tree.cells)
    apart = cvxpy.Variable(model.capacity.shape)  # what a state serves beyond the mean
    for m in range(len(model.spill)):
        model.constraints.append(apart[m] == model.capacity[m] - expected)
    model.constraints.append(expected == probability @ model.capacity)
    spread = cvxpy.Variable(model.tree.cells, nonneg=True)
    for cell in range(model.tree.cells):
        parts = [cvxpy.multiply(root, apart[:, cell]), cvxpy.reshape(deviation[cell], (1,), "C")]
        model.constraints.append(cvxpy.norm(cvxpy.hstack(parts)) <= spread[cell])
    margin = z * spread
    model.constraints.append(expected + model.warm_rps() + model.short >= mean + margin)


def _moments(statement: Statement) -> tuple[np.ndarray, np.ndarray]:
    """Return mean and standard deviation of the required throughput by cell."""
    p = statement.demand.p / statement.tree.probability
    mean = (p * statement.demand.q).sum(axis=0)
    return mean, np.sqrt((p * (statement.demand.q - mean) ** 2).sum(axis=0))


def _standard_score(statement: Statement) -> float:
    """Return z of the violations that are allowed in one interval."""
    from scipy import special

    risk = statement.settings.risk
    share = risk.violation_share / (statement.problem.horizon if risk.joint else 1)
    return float(special.ndtri(1.0 - share))


def add_limits(model: CvxpyModel) -> None:
    """Add stock, pool quotas, vCPUs, launches and terminations; what runs is always allowed."""
    statement = model.first
    limits, finite = statement.problem.limits, np.flatnonzero(np.isfinite(statement.fleet.stock))
    if len(finite):
        most = model.data(lambda s: _stock(s, finite))
        model.constraints.append(model.billed[finite] <= most)
    for pool in sorted(limits.max_instances_by_pool):
        inside = np.array([float(offer.pool == pool) for offer in statement.offers])
        if inside.any():
            quota = model.data(lambda s, w=inside, p=pool: _quota(s, w, p))
            model.constraints.append(inside @ model.billed <= quota)
    if limits.max_vcpus is not None:
        vcpus = model.data(lambda s: s.fleet.vcpus)
        model.constraints.append(vcpus @ model.billed <= model.data(_vcpus))
    if limits.max_launches_per_interval is not None:
        most = model.data(lambda s: s.problem.limits.max_launches_per_interval)
        model.constraints.append(model.cvxpy.sum(model.launch, axis=0) <= most)
    if limits.max_terminations_per_interval is not None:
        most = model.data(lambda s: s.problem.limits.max_terminations_per_interval)
        model.constraints.append(model.cvxpy.sum(model.ended, axis=0) <= most)


def _stock(statement: Statement, finite: np.ndarray) -> np.ndarray:
    most = np.maximum(statement.fleet.stock, statement.fleet.billed_now)[finite]
    return np.repeat(most[:, None], statement.tree.cells, axis=1)


def _quota(statement: Statement, inside: np.ndarray, pool: str) -> float:
    quota = float(statement.problem.limits.max_instances_by_pool[pool])
    return max(quota, float(inside @ statement.fleet.billed_now))


def _vcpus(statement: Statement) -> float:
    limit = statement.problem.limits.max_vcpus
    used = float(statement.fleet.vcpus @ statement.fleet.billed_now)
    return used if limit is None else max(limit, used)
