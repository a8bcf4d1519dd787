"""Which offers a relaxed program would want, and what the others would have to be cheaper by.

Column generation by offer: a program over some of the offers has duals for what capacity is worth
and what limits cost. At these an offer that was left out pays for itself or not: its own part of
the program is a network whose extreme solutions are single instances, launched once and ended once,
so the best of them is found by dynamic programming over the tree (Dantzig and Wolfe 1960; Gilmore
and Gomory 1961). Where none pays, the relaxation over some offers is that over all.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from markopt.planning.program.assembly import fleet_costs
from markopt.planning.program.builder import BuiltProgram
from markopt.planning.statement import Statement

Array = NDArray[np.float64]
Indices = NDArray[np.int64]

LIFETIMES = (3, 10, 30)
CHEAPEST_OF_EACH = 6


def held_offers(statement: Statement) -> Indices:
    """Return the offers of which something is billed."""
    fleet = statement.fleet
    return np.flatnonzero(fleet.billed_now + fleet.noticed > 0.0)


def starting_offers(statement: Statement) -> Indices:
    """Return the offers to begin with: what is billed, and the cheapest per throughput and life."""
    fleet = statement.fleet
    available = statement.states.expected.mean(axis=1)
    worth = np.maximum(fleet.mu * available, 1e-9)
    chosen = set(held_offers(statement).tolist())
    lasting = np.array([offer.purchase.lasting for offer in statement.offers])
    for kind in (lasting, ~lasting):
        if not kind.any():
            continue
        for life in LIFETIMES:
            usd = (fleet.c + fleet.relaunch) * (fleet.d + life) / (life * worth)
            order = np.argsort(np.where(kind, usd, np.inf), kind="stable")
            chosen |= set(order[: min(CHEAPEST_OF_EACH, int(kind.sum()))].tolist())
    return np.array(sorted(chosen), dtype=np.int64)


@dataclass(frozen=True, eq=False)
class Prices:
    """What a relaxed solution says of every cell; USD. Zero where there is no such row.

    ``throughput`` (states of the part, cells) is the worth of a unit, ``vcpu`` and ``launch``
    (cells,) the price of one, ``termination`` (cells,) that of an end, ``pool`` by pool (cells,).
    """

    throughput: Array
    vcpu: Array
    launch: Array
    termination: Array
    pool: Mapping[str, Array]


def prices(built: BuiltProgram, row_duals: Array) -> Prices:
    """Read the prices from the duals of a relaxed solution."""
    states, cells = built.spill.shape
    rows = {name: (first, count) for name, first, count in built.model.row_blocks}

    def of(name: str) -> Array:
        if name not in rows:
            return np.zeros(cells)
        first, count = rows[name]
        return row_duals[first : first + count]

    first = min(first for name, first, _ in built.model.row_blocks if name == "capacity")
    throughput = -row_duals[first : first + states * cells].reshape(states, cells)
    pools = {name.removeprefix("pool "): -of(name) for name in rows if name.startswith("pool ")}
    return Prices(throughput, -of("vcpus"), -of("launches"), of("terminations"), pools)


def advantage_usd(statement: Statement, part: Indices, found: Prices) -> Array:
    """Return what one more instance of every offer would save at these prices, (offers,), at best.

    Negative: it costs so much more than it is worth. The offers' own limits are left out, so a
    true saving is at most this.
    """
    fleet, tree = statement.fleet, statement.tree
    launch_usd, ready_usd = fleet_costs(statement)
    gain = _worth(statement, part, found) - ready_usd
    standing = found.vcpu[None, :] * fleet.vcpus[:, None]
    for pool, price in found.pool.items():
        inside = np.array([offer.pool == pool for offer in statement.offers])
        standing = standing + inside[:, None] * price[None, :]
    children = _children(tree.parent)
    ends = found.termination
    ended_below = np.array([sum(ends[child] for child in below) for below in children])
    gain = gain - standing + (ends - ended_below)[None, :]
    keep = np.zeros_like(gain)
    for cell in range(tree.cells - 1, -1, -1):
        keep[:, cell] = gain[:, cell]
        for child in children[cell]:
            keep[:, cell] += np.maximum(keep[:, child], 0.0)
    best = np.full(len(fleet.c), -np.inf)
    last = int(tree.interval[-1])
    for delay in np.unique(fleet.d).tolist():
        offers = np.flatnonzero(fleet.d == delay)
        arrive = tree.ancestors(delay)
        profit = -(launch_usd[offers] + found.launch[None, :])
        for cell in np.flatnonzero(arrive >= 0).tolist():
            profit[:, arrive[cell]] += np.maximum(keep[offers, cell], 0.0) - ends[cell]
        for back in range(delay):
            booting = tree.ancestors(back)
            there = np.flatnonzero(booting >= 0)
            np.subtract.at(profit.T, booting[there], standing[np.ix_(offers, there)].T)
        useful = tree.interval + delay <= last
        if useful.any():
            best[offers] = profit[:, useful].max(axis=1)
    return np.where(fleet.stock > 0.0, best, -np.inf)


def _worth(statement: Statement, part: Indices, found: Prices) -> Array:
    """Return the worth of a ready instance, (offers, cells).

    States that the part does not tell apart share the worth of their common one in proportion.
    """
    states, group = statement.states.of(part)
    share = statement.states.probability / np.maximum(states.probability[group], 1e-300)
    within = np.zeros((len(states.probability), *statement.states.available.shape[1:]))
    np.add.at(within, group, share[:, None, None] * statement.states.available)
    if within.shape[2] == 1:
        gain = within[:, :, 0].T @ found.throughput
    else:
        gain = np.einsum("gkc,gc->kc", within[:, :, statement.tree.interval], found.throughput)
    return np.asarray(statement.fleet.mu[:, None] * gain, dtype=np.float64)


def _children(parent: Indices) -> list[list[int]]:
    below: list[list[int]] = [[] for _ in parent]
    for cell, above in enumerate(parent.tolist()):
        if above >= 0:
            below[above].append(cell)
    return below
