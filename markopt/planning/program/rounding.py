"""Whole numbers near a relaxed solution: launches and ends rounded as running totals."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from markopt.planning.program.builder import BuiltProgram

Array = NDArray[np.float64]
Indices = NDArray[np.int64]

PASSES = ((0.5, True), (0.5, False), (0.65, True), (0.35, True))
"""(threshold, whether the error of one offer's throughput is handed on to the next)."""


def rounded_until(built: BuiltProgram, values: Array, interval: int) -> tuple[Indices, Array]:
    """Return whole numbers for the whole-number cells up to an interval: columns and values."""
    whole = np.flatnonzero(built.model.integer[built.ready[0]])
    whole = whole[built.statement.tree.interval[whole] <= interval]
    rounding = _Rounding(built, values, 0.5, handed_on=True)
    for cell in whole.tolist():
        rounding.round_cell(cell)
    return _columns(built, whole, rounding.launched, rounding.counts)


def roundings(built: BuiltProgram, values: Array) -> Iterator[tuple[Indices, Array]]:
    """Yield whole launches and ready counts of the whole-number intervals: columns and values.

    Along every path of the tree the sums of launches and of ends so far are rounded, so that counts
    stay near the relaxed ones at any time, and no ramp breaks: ready is what was there and arrived,
    less what has ended. What rounding adds to the throughput of one offer is handed on to the next
    smaller one, so that all of them together stay within an instance of what is wanted.
    """
    if not built.ready.size:
        return
    whole = np.flatnonzero(built.model.integer[built.ready[0]])
    for threshold, handed_on in PASSES:
        rounding = _Rounding(built, values, threshold, handed_on=handed_on)
        for cell in whole.tolist():
            rounding.round_cell(cell)
        yield _columns(built, whole, rounding.launched, rounding.counts)


class _Rounding:
    """Sums of launches and ends so far along the tree, relaxed and whole, (offers, cells)."""

    def __init__(
        self, built: BuiltProgram, values: Array, threshold: float, *, handed_on: bool
    ) -> None:
        self.fleet, self.tree = built.statement.fleet, built.statement.tree
        self.launch, self.ready = values[built.launch], values[built.ready]
        self.threshold, self.handed_on = threshold, handed_on
        shape = self.launch.shape
        self.exact, self.launched, self.ended, self.counts = np.zeros((4, *shape))
        self.order = np.argsort(-self.fleet.mu, kind="stable")
        self.available = built.statement.expected_available

    def round_cell(self, cell: int) -> None:
        """Round what is launched and ready in a cell whose parent is done."""
        above = int(self.tree.parent[cell])
        before = self.exact[:, above] if above >= 0 else np.zeros(len(self.order))
        launched = self.launched[:, above] if above >= 0 else np.zeros(len(self.order))
        ended = self.ended[:, above] if above >= 0 else np.zeros(len(self.order))
        self.exact[:, cell] = before + self.launch[:, cell]
        self.launched[:, cell] = self._whole(self.exact[:, cell], launched, self.threshold, cell)
        until = int(self.tree.interval[cell]) + 1
        there = self.fleet.ready + self.fleet.arriving[:, :until].sum(axis=1)
        relaxed, held = there.copy(), there.copy()
        for delay in np.unique(self.fleet.d).tolist():
            at = self.tree.ancestor(cell, delay)
            if at >= 0:
                offers = self.fleet.d == delay
                relaxed[offers] += self.exact[offers, at]
                held[offers] += self.launched[offers, at]
        # Ready counts are rounded; what is not ready has ended, and does not come back.
        wanted = self._whole(self.ready[:, cell], np.zeros(len(held)), self.threshold, cell)
        self.ended[:, cell] = np.clip(np.maximum(held - wanted, ended), 0.0, held)
        self.counts[:, cell] = held - self.ended[:, cell]

    def _whole(self, exact: Array, least: Array, threshold: float, cell: int) -> Array:
        """Round up where the fraction is at least 1 - threshold, never below ``least``."""
        rounded = np.floor(exact + threshold + 1e-9)
        if self.handed_on:
            worth = self.fleet.mu * self.available[:, cell]
            missing_rps = 0.0
            for k in self.order.tolist():
                if worth[k] > 0.0 and abs(exact[k] - np.rint(exact[k])) > 1e-6:
                    asked = exact[k] + missing_rps / worth[k]
                    rounded[k] = np.clip(
                        np.floor(asked + threshold), np.floor(exact[k]), np.ceil(exact[k])
                    )
                    missing_rps += worth[k] * (exact[k] - rounded[k])
        return np.maximum(rounded, least)


def _columns(
    built: BuiltProgram, whole: Indices, launched: Array, counts: Array
) -> tuple[Indices, Array]:
    parent = built.statement.tree.parent[whole]
    before = np.where(parent[None, :] >= 0, launched[:, np.maximum(parent, 0)], 0.0)
    launches = launched[:, whole] - before
    columns = np.concatenate([built.launch[:, whole].ravel(), built.ready[:, whole].ravel()])
    chosen = np.concatenate([launches.ravel(), counts[:, whole].ravel()])
    upper = built.model.upper[columns]
    return columns, np.minimum(chosen, np.where(np.isfinite(upper), np.floor(upper + 1e-9), np.inf))
