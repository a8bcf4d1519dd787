"""How many requests a data plane with fixed shares must send to functions."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import final

import numpy as np

from markopt.core import (
    ActionReport,
    Actions,
    Forecast,
    InstanceState,
    InstanceStatus,
    Observation,
    Offer,
    RequiredThroughput,
)

_LEAST_CHANGE = 0.005
"""Smaller changes of the share are not worth a call to the load balancer."""


@final
class FunctionShare:
    """Sets the functions' share where the data plane cannot send overflow on by itself.

    A load balancer with weighted targets (AWS's) splits requests by weights: what an instance
    cannot take in time is not sent again. So the share is what the ready instances do not carry
    within the SLO, D with Q(D) at most their saturation throughput, of the rate that is expected.

    Args:
        offers: what instances may be.
        required_throughput: Q(D).
        quantile: the rate is this quantile of the forecast's paths in the interval.
    """

    def __init__(
        self,
        offers: Sequence[Offer],
        required_throughput: RequiredThroughput,
        *,
        quantile: float,
    ) -> None:
        self._offers = {offer.name: offer for offer in offers}
        self._required_throughput = required_throughput
        self._quantile = quantile
        self._rate_rps = 0.0
        self._share: float | None = None

    def expect(self, forecast: Forecast) -> None:
        """Take in the forecast of the interval that begins."""
        order = np.argsort(forecast.paths_rps[:, 0])
        below = np.cumsum(forecast.probabilities[order])
        at = int(np.searchsorted(below, self._quantile * below[-1] - 1e-12))
        self._rate_rps = float(forecast.paths_rps[order[min(at, len(order) - 1)], 0])

    def change(self, observation: Observation) -> float | None:
        """Return the share to set now; None where it may stay as it is."""
        share = self.wanted(observation)
        if self._share is not None and abs(share - self._share) < _LEAST_CHANGE:
            return None
        self._share = share
        return share

    def applied(self, actions: Actions, report: ActionReport) -> None:
        """Take in what became of a change: where anything was refused, it is made again."""
        if actions.function_share is not None and report.refused:
            self._share = None

    def wanted(self, observation: Observation) -> float:
        """Return the share of the expected rate that the ready instances do not carry."""
        throughput_rps = ready_throughput_rps(self._offers, observation.instances)
        if self._rate_rps <= 0.0:
            return 0.0 if throughput_rps else 1.0
        carried = carried_rps(self._required_throughput, throughput_rps, self._rate_rps)
        return max(1.0 - carried / self._rate_rps, 0.0)


def carried_rps(
    required_throughput: RequiredThroughput, throughput_rps: Mapping[str, float], most_rps: float
) -> float:
    """Return the largest rate D with Q(D) at most the throughput by type, up to ``most_rps``."""
    total_rps = sum(throughput_rps.values())
    if total_rps <= 0.0:
        return 0.0

    def fits(rate_rps: float) -> bool:
        required = required_throughput.at(np.array([rate_rps]), throughput_rps)
        return float(required[0]) <= total_rps

    low, high = 0.0, min(most_rps, total_rps)
    if fits(high):
        return high
    while high - low > 1e-4 * most_rps:
        middle = 0.5 * (low + high)
        low, high = (middle, high) if fits(middle) else (low, middle)
    return low


def ready_throughput_rps(
    offers: Mapping[str, Offer], instances: Iterable[InstanceStatus]
) -> dict[str, float]:
    """Return the saturation throughput of the ready instances by type."""
    throughput_rps: dict[str, float] = {}
    for instance in instances:
        offer = offers.get(instance.offer)
        if offer is not None and instance.state is InstanceState.READY:
            known_rps = throughput_rps.get(offer.instance_type, 0.0)
            throughput_rps[offer.instance_type] = known_rps + offer.saturation_rps
    return throughput_rps
