"""Required throughput Q(D): the saturation throughput that a rate needs under the SLO."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from markopt.core.arrays import Floats, frozen_floats
from markopt.errors import DataError


@dataclass(frozen=True, eq=False)
class ThroughputCurve:
    """Q(D) of fleets of one kind of instance: knots, linear between, last slope beyond.

    ``demand_rps`` rises strictly from 0; ``throughput_rps`` rises too, and is at least the demand.

    Raises:
        DataError: the knots do not rise or Q(D) < D.
    """

    demand_rps: Floats
    throughput_rps: Floats

    def __post_init__(self) -> None:
        object.__setattr__(self, "demand_rps", frozen_floats(self.demand_rps))
        object.__setattr__(self, "throughput_rps", frozen_floats(self.throughput_rps))
        demand, throughput = self.demand_rps, self.throughput_rps
        if demand.shape != throughput.shape or demand.ndim != 1 or len(demand) < 2:
            raise DataError(
                f"ThroughputCurve: needs two knots or more, as many demands as throughputs, got "
                f"{demand.shape} and {throughput.shape}"
            )
        if demand[0] != 0.0 or np.any(np.diff(demand) <= 0.0) or np.any(np.diff(throughput) < 0.0):
            raise DataError("ThroughputCurve: demand_rps must rise from 0, throughput_rps not fall")
        if np.any(throughput < demand * (1.0 - 1e-9)):
            raise DataError("ThroughputCurve: required throughput must be at least the demand")

    def at(self, demand_rps: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return Q at the given rates (any shape)."""
        demand, throughput = self.demand_rps, self.throughput_rps
        inside = np.interp(demand_rps, demand, throughput)
        slope = max((throughput[-1] - throughput[-2]) / (demand[-1] - demand[-2]), 1.0)
        beyond = np.maximum(demand_rps - demand[-1], 0.0)
        return np.asarray(inside + slope * beyond, dtype=np.float64)

    def carried(self, throughput_rps: float) -> float:
        """Return the SLO capacity: the largest rate D with Q(D) <= ``throughput_rps``."""
        demand, throughput = self.demand_rps, self.throughput_rps
        if throughput_rps >= throughput[-1]:
            slope = max((throughput[-1] - throughput[-2]) / (demand[-1] - demand[-2]), 1.0)
            return float(demand[-1] + (throughput_rps - throughput[-1]) / slope)
        above = int(np.searchsorted(throughput, throughput_rps, side="right"))
        if above == 0:
            return 0.0
        low, high = throughput[above - 1], throughput[above]
        share = (throughput_rps - low) / (high - low)
        return float(demand[above - 1] + share * (demand[above] - demand[above - 1]))


@dataclass(frozen=True, eq=False)
class RequiredThroughput:
    """Q(D) for any mix of a fleet, from one curve per instance type.

    A mix is given as the share of saturation throughput that each instance type holds. Each type
    is judged at its own share of the demand, ``Q(D) = sum_k Q_k(s_k * D)``: the fleets of two
    types pool less than one fleet of either, and slow servers hold up the fast ones' batches. So a
    mixed fleet needs no less than its parts run apart (``docs/formulation.md``; the tests of
    ``markopt.capacity`` simulate mixed fleets).
    """

    curves: dict[str, ThroughputCurve]

    def at(self, demand_rps: NDArray[np.float64], mix: Mapping[str, float]) -> NDArray[np.float64]:
        """Return Q at the given rates for a fleet of this mix.

        Raises:
            DataError: the mix is empty or names an instance type without a curve.
        """
        total = sum(mix.values())
        if total <= 0.0:
            raise DataError("RequiredThroughput: the mix must hold a positive share, got none")
        demand = np.asarray(demand_rps, dtype=np.float64)
        required = np.zeros_like(demand)
        for instance_type, share in mix.items():
            if instance_type not in self.curves:
                raise DataError(f"RequiredThroughput: no curve for instance type '{instance_type}'")
            required += self.curves[instance_type].at(share / total * demand)
        return required
