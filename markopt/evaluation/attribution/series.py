"""Where an episode's cost above the clairvoyant bound comes from: a telescoping series of re-runs.

Each re-run has the same arrivals and one more part in its perfect version; what the bill falls by
is that part's loss. From the last re-run to the bound lead computed costs, so that the parts sum to
the whole. The order matters (docs/evaluation.md): the reverse order is there to tell how much.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from markopt.errors import ConfigError
from markopt.evaluation.attribution.worlds import (
    Swap,
    World,
    changes,
    swapped,
    with_required_factor,
)
from markopt.evaluation.episode import (
    Conditions,
    EpisodeSetup,
    Scene,
    forecast_once,
    run_episode,
)
from markopt.evaluation.foresight import IdealCost, ideal_cost, perfect_foresight
from markopt.evaluation.outcome import EpisodeResult
from markopt.evaluation.progress import late_bar
from markopt.evaluation.tape import RecordedForecaster
from markopt.forecasting import Oracle
from markopt.forecasting.protocol import Forecaster
from markopt.planning.protocol import Planner

REST, INTEGRALITY, SLACK = "rest", "integrality", "bound_slack"
PARTS = (*(swap.value for swap in Swap), REST, INTEGRALITY, SLACK)
"""Losses in the order of the series, from the episode's bill down to the bound."""

_NO_BOUND = "attribution: needs a clairvoyant bound, but in this market hours may cost nothing"

FACTORS = (0.9, 1.0, 1.1)


@dataclass(frozen=True)
class AttributionSettings:
    """How to attribute.

    Args:
        reverse: also swap in the reverse order.
        factors: of required throughput, among which the best one in hindsight is taken.

    Raises:
        ConfigError: a factor is not positive, or 1 is not among them.
    """

    reverse: bool = True
    factors: tuple[float, ...] = FACTORS

    def __post_init__(self) -> None:
        if 1.0 not in self.factors or not all(factor > 0.0 for factor in self.factors):
            raise ConfigError(
                f"attribution.factors: must be positive and hold 1, got {list(self.factors)}"
            )


@dataclass(frozen=True)
class Rerun:
    """One episode of the series: what was perfect in it, and what came of it.

    ``factor`` is the one that multiplied required throughput; ``meets_slo`` tells whether the
    attainment is at least SL_min.
    """

    swaps: tuple[Swap, ...]
    factor: float
    cost_usd: float
    attainment: float
    meets_slo: bool
    lambda_share: float
    launches: int
    interruptions: int


@dataclass(frozen=True)
class Loss:
    """What one part costs. ``reverse_usd``: in the reverse order; None: not run."""

    part: str
    usd: float
    reverse_usd: float | None = None


@dataclass(frozen=True)
class Attribution:
    """The split of ``episode.cost_usd`` - ``bound_usd`` into ``losses``, which sum to it.

    ``reruns`` starts with the episode as it is; ``reverse_reruns`` are those that the reverse order
    needs besides. ``bound_without_boots_usd`` and ``ideal`` are the computed ends of the series.
    """

    policy: str
    seed: int
    reruns: tuple[Rerun, ...]
    reverse_reruns: tuple[Rerun, ...]
    losses: tuple[Loss, ...]
    bound_usd: float
    bound_without_boots_usd: float
    ideal: IdealCost

    @property
    def episode(self) -> Rerun:
        """The episode as it is."""
        return self.reruns[0]

    @property
    def total_usd(self) -> float:
        """Cost above the clairvoyant bound."""
        return self.episode.cost_usd - self.bound_usd

    def loss(self, part: str) -> Loss:
        """Return a part's loss."""
        return next(loss for loss in self.losses if loss.part == part)


def attribute(
    policy: str,
    world: World,
    conditions: Conditions,
    settings: AttributionSettings | None = None,
    on_run: Callable[[Rerun], None] | None = None,
) -> Attribution:
    """Re-run an episode with one more perfect part each time, and split its loss.

    ``world.forecaster`` must be one that can be run again: a ``RecordedForecaster``, or a fitted
    ``Oracle``. ``on_run`` is told of each episode as it ends.

    Raises:
        ConfigError: the scene's clouds cannot be made perfect, or there is no bound.
        MarkoptError: as ``run_episode``.
    """
    settings = settings or AttributionSettings()
    scene = world.scene
    free = perfect_foresight(scene, conditions.realized, conditions.initial_fleet, boots=False)
    ideal = ideal_cost(scene, conditions.realized)
    bound_usd = _require_bound(conditions)
    if free is None or ideal is None:
        raise ConfigError(_NO_BOUND)
    runner = _Runner(policy, world, conditions, settings, on_run)
    forward = runner.series(tuple(Swap))
    backward = runner.series(tuple(reversed(Swap))) if settings.reverse else ()
    boots_usd = bound_usd - free.total_usd
    reverse = {} if not settings.reverse else _drops(tuple(reversed(Swap)), backward, boots_usd)
    losses = [
        Loss(swap.value, usd, reverse.get(swap))
        for swap, usd in _drops(tuple(Swap), forward, boots_usd).items()
    ]
    ends = {
        REST: forward[-1].cost_usd - ideal.whole_usd,
        INTEGRALITY: ideal.whole_usd - ideal.fractional_usd,
        SLACK: ideal.fractional_usd - free.total_usd,
    }
    losses += [Loss(part, usd, usd if settings.reverse else None) for part, usd in ends.items()]
    return Attribution(
        policy=policy,
        seed=scene.seed,
        reruns=forward,
        reverse_reruns=backward[1:-1],
        losses=tuple(losses),
        bound_usd=bound_usd,
        bound_without_boots_usd=free.total_usd,
        ideal=ideal,
    )


def recorded(scene: Scene, conditions: Conditions, fitted: Forecaster) -> Forecaster:
    """Return a forecaster that can be run again and again: a tape, or the oracle itself.

    Raises:
        ConfigError: there is no bound that a loss could be measured from.
    """
    _require_bound(conditions)
    if isinstance(fitted, Oracle):
        return fitted
    return RecordedForecaster(forecast_once(scene, conditions, fitted))


def with_attribution(result: EpisodeResult, setup: EpisodeSetup, planner: Planner) -> EpisodeResult:
    """Return an episode's result with its loss attributed.

    ``setup.forecaster`` is as ``recorded`` returns it, ``planner`` without what wraps it to record.

    Raises:
        ConfigError: there is no bound.
    """
    world = World(setup.scene, planner, setup.forecaster)
    settings = AttributionSettings()
    most = 2 * len(Swap) + len(settings.factors)
    with late_bar("Attributing the loss", most) as bar:
        found = attribute(
            setup.policy, world, setup.conditions, settings, on_run=lambda _: bar.step()
        )
    return replace(result, attribution=found)


def _require_bound(conditions: Conditions) -> float:
    if conditions.clairvoyant_bound_usd is None:
        raise ConfigError(_NO_BOUND)
    return conditions.clairvoyant_bound_usd


def _drops(order: Sequence[Swap], series: Sequence[Rerun], boots_usd: float) -> dict[Swap, float]:
    """Return what the bill falls by at each swap.

    Perfect foresight pays for boots too, so of what instant launches save only the rest is a loss.
    """
    drops = {
        swap: before.cost_usd - after.cost_usd
        for swap, before, after in zip(order, series[:-1], series[1:], strict=True)
    }
    drops[Swap.LAUNCH_DELAY] -= boots_usd
    return drops


class _Runner:
    """Runs worlds by what is perfect in them, each different one once."""

    def __init__(
        self,
        policy: str,
        world: World,
        conditions: Conditions,
        settings: AttributionSettings,
        on_run: Callable[[Rerun], None] | None,
    ) -> None:
        self._policy = policy
        self._world = world
        self._conditions = conditions
        self._settings = settings
        self._on_run = on_run
        self._known: dict[tuple[frozenset[Swap], float], Rerun] = {}

    def series(self, order: Sequence[Swap]) -> tuple[Rerun, ...]:
        """Return the episode, and one re-run for each swap of the order beside those before it."""
        return tuple(self._best(order[:count]) for count in range(len(order) + 1))

    def _best(self, swaps: Sequence[Swap]) -> Rerun:
        """Return the run with these parts perfect, at the best factor of required throughput.

        Where requests are even there is nothing to scale: saturation throughput is what they need.
        """
        done = frozenset(swaps)
        factors: tuple[float, ...] = (1.0,)
        if Swap.CAPACITY_PROFILE in done and Swap.WITHIN_INTERVAL not in done:
            factors = self._settings.factors
        runs = {factor: self._run(done - {Swap.CAPACITY_PROFILE}, factor) for factor in factors}
        # A cheaper bill counts only at the service level that is promised, or was reached before.
        sl_min = self._world.scene.service.slo.sl_min
        least = min(sl_min, runs[1.0].attainment)
        allowed = [run for run in runs.values() if run.attainment >= least]
        best = min(allowed, key=lambda run: (run.cost_usd, abs(run.factor - 1.0)))
        return replace(best, swaps=tuple(swap for swap in Swap if swap in done))

    def _run(self, done: frozenset[Swap], factor: float) -> Rerun:
        real = frozenset(swap for swap in done if changes(swap, self._world))
        if (real, factor) not in self._known:
            world = swapped(self._world, real, self._conditions.realized)
            run = self._episode(world, real, factor)
            self._known[real, factor] = run
            if self._on_run is not None:
                self._on_run(run)
        return self._known[real, factor]

    def _episode(self, world: World, done: frozenset[Swap], factor: float) -> Rerun:
        forecaster: Any = copy.copy(world.forecaster)
        result = run_episode(
            EpisodeSetup(
                policy=self._policy,
                scene=with_required_factor(world.scene, factor),
                conditions=self._conditions,
                forecaster=forecaster.fit(world.scene.workload.history),
                planner=world.planner,
            )
        )
        statistics = result.statistics
        functions = sum(
            int(counts.sum())
            for path, counts in statistics.latency_counts.items()
            if path.startswith("lambda")
        )
        return Rerun(
            swaps=tuple(swap for swap in Swap if swap in done),
            factor=factor,
            cost_usd=result.ledger.total_usd,
            attainment=statistics.attainment,
            meets_slo=result.meets_slo,
            lambda_share=functions / statistics.requests if statistics.requests else 0.0,
            launches=result.ledger.launches,
            interruptions=result.ledger.interruptions,
        )
