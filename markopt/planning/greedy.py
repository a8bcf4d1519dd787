"""MArk's greedy heuristic: Algorithm 1 of the paper (ATC 2019, section 4.3)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from markopt.core import Offer, Plan, Problem
from markopt.errors import ConfigError, Infeasible
from markopt.planning.requirement import (
    REMIX_ROUNDS,
    candidate_offers,
    fleet_mix,
    launch_delay_intervals,
    listed,
    mix_of,
    remixed,
    required_rps,
    warm_count,
)
from markopt.planning.transition import counts_plan

Array = NDArray[np.float64]
Span = Literal["printed", "inclusive"]


@dataclass(frozen=True, kw_only=True)
class Greedy:
    """Cheapest candidate per request served, one after another, until the shortage is filled.

    ``quantile`` of the sample paths times ``headroom`` is MArk's predicted rate F_t; demand and
    capacities are in throughput units, Q(F_t) and mu. ``window`` steps are looked ahead (None: the
    whole forecast). ``launch_overhead_s`` times the price is a launch's overhead O_i (None: the
    offer's launch delay; MArk as released: 180). ``span`` ``printed`` charges (e - tau) steps of
    running time, ``inclusive`` (e - tau + 1).

    Raises:
        ConfigError: an argument is out of range.
    """

    KNOB: ClassVar[str | None] = "headroom"
    KNOB_GRID: ClassVar[tuple[float, ...]] = (0.7, 0.85, 1.0, 1.15, 1.3, 1.5, 1.75, 2.0, 2.5)

    quantile: float = 1.0
    headroom: float = 1.0
    window: int | None = None
    span: Span = "inclusive"
    launch_overhead_s: float | None = None

    def __post_init__(self) -> None:
        if not 0.0 < self.quantile <= 1.0:
            raise ConfigError(f"planner.quantile: must lie in (0, 1], got {self.quantile}")
        if not self.headroom > 0.0:
            raise ConfigError(f"planner.headroom: must be positive, got {self.headroom}")
        if self.window is not None and self.window < 1:
            raise ConfigError(f"planner.window: must be at least 1, got {self.window}")
        if self.span not in ("printed", "inclusive"):
            raise ConfigError(f"planner.span: must be 'printed' or 'inclusive', got '{self.span}'")

    def plan(self, problem: Problem) -> Plan:
        """Return MArk's plan.

        Raises:
            Infeasible: no candidate meets the SLO, or limits leave too few.
        """
        predicted_rps = problem.forecast.quantile_rps(self.quantile) * self.headroom
        counts = self.schedule(problem, predicted_rps)
        return greedy_plan(problem, "greedy", counts, predicted_rps)

    def schedule(self, problem: Problem, predicted_rps: Array) -> dict[str, int]:
        """Return SCHEDULE's plan, counts per offer, for a predicted rate per step (m,).

        Required throughput follows the plan's mix, in at most three rounds.
        """
        offers = candidate_offers(problem)
        ahead_rps = predicted_rps[: self.window]
        mix = fleet_mix(problem, offers)
        required = required_rps(problem, ahead_rps, mix)
        for _ in range(REMIX_ROUNDS):
            counts = self._fill(problem, offers, required)
            planned = required_rps(problem, ahead_rps, mix_of(offers, counts))
            if not counts.any() or not remixed(required, planned):
                break
            required = planned
        return {o.name: int(n) for o, n in zip(offers, counts.tolist(), strict=True)}

    def _fill(self, problem: Problem, offers: Sequence[Offer], required: Array) -> Array:
        """FILL: return counts per offer that cover ``required`` at step tau."""
        book = _Candidates(problem, offers, self.launch_overhead_s)
        tau = min(int(book.delay.min()), len(required) - 1)
        while True:
            shortage = required - float(book.capacity @ book.counts)
            if shortage[tau] <= 1e-9:
                return book.counts
            covered = np.flatnonzero(shortage[tau:] <= 1e-9)
            end = tau + (int(covered[0]) if covered.size else len(shortage) - tau) - 1
            steps = end - tau + (1 if self.span == "inclusive" else 0)
            book.add_cheapest(shortage[tau : end + 1], tau, steps)


class _Candidates:
    """Candidates by offer: first the running instances, each usable once, then new launches."""

    def __init__(
        self, problem: Problem, offers: Sequence[Offer], launch_overhead_s: float | None
    ) -> None:
        self._problem = problem
        self._offers = offers
        fleets = [problem.fleet.of(offer.name) for offer in offers]
        self.running = np.array([float(fleet.billed - fleet.noticed) for fleet in fleets])
        self.capacity = np.array([offer.saturation_rps for offer in offers])
        self.delay = np.array([launch_delay_intervals(o, problem.interval_s) for o in offers])
        self.counts = np.zeros(len(offers))
        self._price = np.array([offer.price_usd_per_s for offer in offers])
        overhead_s = [
            o.launch_delay_s if launch_overhead_s is None else launch_overhead_s for o in offers
        ]
        self._overhead_usd = self._price * np.array(overhead_s)
        self._stock = np.array([np.inf if o.stock is None else float(o.stock) for o in offers])
        self._vcpus = np.array([offer.vcpus for offer in offers])
        self._by_name = np.argsort(np.argsort([offer.name for offer in offers]))

    def add_cheapest(self, shortage: Array, tau: int, steps: int) -> None:
        """Add the candidate with the least (O_i + steps P_i) / N_i to the plan.

        It is added as often at once as it would be chosen again with the same figures, so that
        the work does not grow with the load.

        Raises:
            Infeasible: the limits leave no candidate.
        """
        interval_s = self._problem.interval_s
        served = np.minimum(self.capacity[:, None], shortage[None, :])
        # A launch that takes longer than tau serves only from the step at which it is ready.
        on_time = np.arange(tau, tau + len(shortage))[None, :] >= self.delay[:, None]
        running_usd = steps * interval_s * self._price
        idle = self.running > self.counts
        requests = interval_s * np.where(idle[:, None] | on_time, served, 0.0).sum(axis=1)
        usd = np.where(idle, running_usd, running_usd + self._overhead_usd)
        usable = (idle | self._may_launch()) & (requests > 0.0)
        if not usable.any() and not (idle[:, None] | on_time).any():
            raise Infeasible(
                f"Greedy: needs {shortage[0]:.1f} rps of throughput more, but no launch is ready "
                f"within the {tau + len(shortage)} intervals of the horizon: the quickest takes "
                f"{self.delay.min()}"
            )
        if not usable.any():
            raise Infeasible(
                f"Greedy: needs {shortage[0]:.1f} rps of throughput more, but stock, vCPU and "
                f"launch limits leave none of {listed([o.name for o in self._offers])}"
            )
        ratio = np.full(len(usd), np.inf)
        ratio[usable] = usd[usable] / requests[usable]
        ties = np.flatnonzero(ratio <= ratio.min() * (1.0 + 1e-12))
        best = min(ties.tolist(), key=lambda k: (not idle[k], self._price[k], self._by_name[k]))
        self.counts[best] += self._repeats(best, shortage, idle=bool(idle[best]))

    def _repeats(self, best: int, shortage: Array, *, idle: bool) -> float:
        """Return how often ``best`` is chosen in a row, at least once.

        While every step is short of more than any instance serves, each candidate's N_i stays the
        same, and so does the choice, until idle instances or a limit are used up.
        """
        full = (float(shortage.min()) - float(self.capacity.max())) / float(self.capacity[best])
        rounds = [np.floor(full)]
        if idle:
            rounds.append(self.running[best] - self.counts[best])
        else:
            limits = self._problem.limits
            rounds.append(max(self._stock[best], self.running[best]) - self.counts[best])
            if limits.max_launches_per_interval is not None:
                launched = float(np.maximum(self.counts - self.running, 0.0).sum())
                rounds.append(limits.max_launches_per_interval - launched)
            if limits.max_vcpus is not None and self._vcpus[best] > 0.0:
                left = limits.max_vcpus + 1e-9 - float(self._vcpus @ self.counts)
                rounds.append(np.floor(left / self._vcpus[best]))
        return max(float(min(rounds)), 1.0)

    def _may_launch(self) -> NDArray[np.bool_]:
        limits = self._problem.limits
        allowed = self.counts + 1.0 <= np.maximum(self._stock, self.running)
        if limits.max_launches_per_interval is not None:
            launched = np.maximum(self.counts - self.running, 0.0).sum()
            allowed &= launched + 1.0 <= limits.max_launches_per_interval
        if limits.max_vcpus is not None:
            used = float(self._vcpus @ self.counts)
            allowed &= used + self._vcpus <= limits.max_vcpus + 1e-9
        return np.asarray(allowed, dtype=bool)


def greedy_plan(
    problem: Problem, planner: str, counts: dict[str, int], predicted_rps: Array
) -> Plan:
    """Return the plan of these counts, with functions warm for what they leave over."""
    offers = [offer for offer in problem.offers if counts.get(offer.name, 0) > 0]
    held = [counts[offer.name] for offer in offers]
    throughput_rps = sum(o.saturation_rps * n for o, n in zip(offers, held, strict=True))
    if offers:
        required = required_rps(problem, predicted_rps, mix_of(offers, held))
        lacking = np.maximum(1.0 - throughput_rps / np.maximum(required, 1e-9), 0.0)
    else:
        lacking = np.ones_like(predicted_rps)
    warm = warm_count(problem, predicted_rps * lacking, predicted_rps)
    reason = _reason(problem, counts, predicted_rps, throughput_rps)
    return counts_plan(problem, planner, counts, warm, reason=reason)


def _reason(
    problem: Problem, counts: dict[str, int], predicted_rps: Array, throughput_rps: float
) -> str:
    changes = []
    for offer in problem.offers:
        fleet = problem.fleet.of(offer.name)
        change = counts.get(offer.name, 0) - (fleet.billed - fleet.noticed)
        if change:
            verb = "launch" if change > 0 else "terminate"
            changes.append(f"{verb} {abs(change)} {offer.name}")
    what = ", ".join(changes) or "keep the fleet"
    return (
        f"{what}: predicted rate {predicted_rps[0]:.0f} rps now, {predicted_rps.max():.0f} rps at "
        f"most, for {throughput_rps:.0f} rps of throughput"
    )
