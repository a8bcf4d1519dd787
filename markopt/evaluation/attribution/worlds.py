"""Perfect versions of one part of an episode at a time: the worlds that an attribution re-runs."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any, Protocol, final, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from markopt.core import PurchaseOption, RateSeries, RequiredThroughput, ThroughputCurve
from markopt.errors import ConfigError
from markopt.evaluation.episode import CloudMaker, Scene
from markopt.forecasting import Oracle
from markopt.forecasting.protocol import Forecaster
from markopt.planning.protocol import Planner
from markopt.workload.protocol import ArrivalProcess, ArrivalSource


class Swap(StrEnum):
    """A part that can be made perfect, in the order in which an attribution does it.

    ``forecast``: the realized mean rates are known. ``interruptions``: spot is never taken or
    refused, at equal prices. ``launch_delay``: launches are ready at once and never fail.
    ``capacity_profile``: required throughput is scaled by its best factor in hindsight.
    ``within_interval``: requests come evenly, service times do not vary, so Q(D) = D.
    ``solver_gap``: the solver runs until its plan is proven optimal.
    """

    FORECAST = "forecast"
    INTERRUPTIONS = "interruptions"
    LAUNCH_DELAY = "launch_delay"
    CAPACITY_PROFILE = "capacity_profile"
    WITHIN_INTERVAL = "within_interval"
    SOLVER_GAP = "solver_gap"


@runtime_checkable
class PerfectibleClouds(CloudMaker, Protocol):
    """A maker of clouds that can leave out what goes wrong with instances."""

    def without_interruptions(self) -> CloudMaker:
        """Return the clouds whose spot instances are never taken or refused, at equal prices."""
        ...

    def with_instant_launches(self) -> CloudMaker:
        """Return the clouds that carry out every launch and end at once."""
        ...


@dataclass(frozen=True, eq=False)
class World:
    """What an episode is run with: a scene, a planner, and a forecaster that has been fitted."""

    scene: Scene
    planner: Planner
    forecaster: Forecaster


def swapped(world: World, swaps: Collection[Swap], realized: RateSeries) -> World:
    """Return the world with these parts perfect; a part that is perfect already stays as it is.

    ``capacity_profile`` is left to ``with_required_factor``, since its factor has to be found.

    Raises:
        ConfigError: the scene's clouds cannot be made perfect.
    """
    scene, planner, forecaster = world.scene, world.planner, world.forecaster
    if Swap.FORECAST in swaps and not isinstance(forecaster, Oracle):
        forecaster = Oracle(realized).fit(scene.workload.history)
    if Swap.INTERRUPTIONS in swaps:
        scene = without_interruptions(scene)
    if Swap.LAUNCH_DELAY in swaps:
        scene = without_launch_delay(scene)
    if Swap.WITHIN_INTERVAL in swaps:
        scene = with_even_requests(scene)
    if Swap.SOLVER_GAP in swaps:
        planner = without_gap(planner)
    return World(scene, planner, forecaster)


def changes(swap: Swap, world: World) -> bool:
    """Return whether a swap can change an episode: an equal world need not be run again."""
    if swap is Swap.FORECAST:
        return not isinstance(world.forecaster, Oracle)
    if swap is Swap.INTERRUPTIONS:
        return any(offer.purchase is PurchaseOption.SPOT for offer in world.scene.offers)
    if swap is Swap.SOLVER_GAP:
        return without_gap(world.planner) is not world.planner
    return True


def without_interruptions(scene: Scene) -> Scene:
    """Return the scene whose spot instances stay, known to planners and at equal prices."""
    offers = tuple(replace(offer, interruption_per_h=0.0) for offer in scene.offers)
    return replace(scene, offers=offers, cloud=_perfectible(scene).without_interruptions())


def without_launch_delay(scene: Scene) -> Scene:
    """Return the scene in which launches are ready at once, and none is refused or shown late."""
    offers = tuple(replace(offer, launch_delay_s=0.0) for offer in scene.offers)
    return replace(scene, offers=offers, cloud=_perfectible(scene).with_instant_launches())


def _perfectible(scene: Scene) -> PerfectibleClouds:
    if not isinstance(scene.cloud, PerfectibleClouds):
        raise ConfigError(
            f"cloud: attribution needs clouds that can leave out interruptions and launch delays, "
            f"got {type(scene.cloud).__name__}"
        )
    return scene.cloud


def with_required_factor(scene: Scene, factor: float) -> Scene:
    """Return the scene whose planners are told ``factor`` times Q(D), but at least D."""
    if factor == 1.0:
        return scene
    curves = {
        name: ThroughputCurve(
            curve.demand_rps, np.maximum(curve.demand_rps, factor * curve.throughput_rps)
        )
        for name, curve in scene.required_throughput.curves.items()
    }
    return replace(scene, required_throughput=RequiredThroughput(curves))


def with_even_requests(scene: Scene) -> Scene:
    """Return the scene whose requests are as many, but evenly spaced, and take equally long.

    Saturation throughput is then all that a rate needs, and planners are told so: Q(D) = D.
    """
    line = ThroughputCurve(np.array([0.0, 1.0]), np.array([0.0, 1.0]))
    function = scene.function
    return replace(
        scene,
        workload=replace(scene.workload, source=EvenRequests(scene.workload.source)),
        offers=tuple(replace(offer, service_time_cv=0.0) for offer in scene.offers),
        function=None if function is None else replace(function, service_time_cv=0.0),
        required_throughput=RequiredThroughput(
            dict.fromkeys(scene.required_throughput.curves, line)
        ),
    )


@final
@dataclass(frozen=True, eq=False)
class EvenRequests:
    """Makes arrivals as many as another source's, block by block, but evenly spaced."""

    source: ArrivalSource

    def new_process(self) -> ArrivalProcess:
        """Return a process positioned at the start of the evaluated span."""
        return _EvenProcess(self.source.new_process())


@final
class _EvenProcess:
    def __init__(self, process: ArrivalProcess) -> None:
        self._process = process

    def arrivals(
        self, start_s: float, end_s: float, rng: np.random.Generator
    ) -> NDArray[np.float64]:
        """Return the block's arrivals at the middles of equal parts of it."""
        count = len(self._process.arrivals(start_s, end_s, rng))
        middles = (np.arange(count, dtype=np.float64) + 0.5) / max(count, 1)
        return np.asarray(start_s + (end_s - start_s) * middles, dtype=np.float64)


def without_gap(planner: Planner) -> Planner:
    """Return the planner with its solver's gap at zero and no time limit; itself without a solver.

    Settings are found by name (``mip_rel_gap``, ``time_limit_s``), in planners around planners too;
    a limit on nodes stays.
    """
    if not dataclasses.is_dataclass(planner) or isinstance(planner, type):
        return planner
    names = {field.name for field in dataclasses.fields(planner)}
    found: dict[str, Any] = {}
    if "mip_rel_gap" in names and getattr(planner, "mip_rel_gap") > 0.0:  # noqa: B009
        found["mip_rel_gap"] = 0.0
        if "time_limit_s" in names:
            found["time_limit_s"] = None
    if "planner" in names:
        inner = getattr(planner, "planner")  # noqa: B009
        exact = without_gap(inner)
        if exact is not inner:
            found["planner"] = exact
    return dataclasses.replace(planner, **found) if found else planner
