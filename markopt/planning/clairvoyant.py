"""The perfect-foresight bound: the least cost at which a trace could have been served."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from markopt.core import FleetState, FunctionOffer, Offer, RateSeries, Slo
from markopt.core.arrays import Floats, frozen_floats
from markopt.errors import CatalogError, DataError, SolverFailed
from markopt.planning.program.model import ModelBuilder
from markopt.planning.program.solver import SolverOptions, solve_model

Array = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class ClairvoyantBound:
    """The bound, and the fractional schedule that attains it.

    ``ready`` has shape (offers, intervals), mean ready instances; ``launched`` likewise;
    ``spilled_rps`` and ``missed_rps`` have shape (intervals,), and so has ``interval_usd``: what
    the schedule costs in each interval, ``total_usd`` in all. ``free_misses_share`` of all requests
    were granted as misses that cost nothing.
    """

    total_usd: float
    offers: tuple[str, ...]
    ready: Floats
    launched: Floats
    spilled_rps: Floats
    missed_rps: Floats
    interval_usd: Floats
    free_misses_share: float

    def __post_init__(self) -> None:
        for name in ("ready", "launched", "spilled_rps", "missed_rps", "interval_usd"):
            object.__setattr__(self, name, frozen_floats(getattr(self, name)))


def clairvoyant_bound(  # noqa: PLR0917 - the problem's nouns, in their usual order
    rates: RateSeries,
    offers: Sequence[Offer],
    function: FunctionOffer | None,
    slo: Slo,
    initial: FleetState | None,
    best_saturation_rps: Mapping[str, float],
    *,
    billed_boot_s: Mapping[str, float] | None = None,
) -> ClairvoyantBound:
    """Return a lower bound on the bill of every policy that meets SL_min on this trace.

    ``rates`` are the observed mean rates, so that rate times interval is the number of arrivals.
    ``best_saturation_rps`` is, per offer, the most it serves per second at any batch size that a
    policy may choose. ``billed_boot_s`` is the billed time from a launch to ready, per offer
    (default: its launch delay); with random boot times pass the least.

    Why it bounds. Take any policy and let r[k,t] be the time average of its ready instances of
    offer k in interval t, and u[k,t] = (r[k,t] - r[k,t-1])+.
    1. It serves at most best_k r[k,t] Delta requests on k in t, since Q(D) >= D.
    2. A request is served in its interval or at most RT_max later: the work that passes from t to
       t+1 is at most the arrivals of the last RT_max of t, under an even flow D[t] RT_max.
    3. Its launches are at least sum u: shifting the grid by s in [0, Delta) and averaging over s,
       each rise of averages is at most the average number of rises between, and for each s the
       shifted grid counts every rise once. Each costs its boot bill; what runs or launches at the
       start is free to use. Ready time costs its price; the 60 s minimum only adds to that.
    4. A spilled request costs at least its warm, unrounded-up-to-cold bill; a missed one may cost
       nothing (it is refused), and at most (1 - SL_min) of all may be missed.
    So (r, u, spill, misses) is feasible for the linear program below at no more than the policy's
    bill. Launch times, interruptions, stock, whole instances and Q(D) > D only add to the bill.
    Point 2 is the only step that takes the flow within an interval as even.

    Raises:
        DataError: a rate is missing.
        CatalogError: an offer lacks a best saturation throughput.
        SolverFailed: HiGHS gave no optimum.
    """
    demand = np.asarray(rates.rate_rps, dtype=np.float64)
    if not len(demand) or not np.all(np.isfinite(demand)):
        raise DataError(
            f"Clairvoyant bound: needs a rate for every interval, got {len(demand)} rates of which "
            f"{int((~np.isfinite(demand)).sum())} are missing"
        )
    missing = [offer.name for offer in offers if offer.name not in best_saturation_rps]
    if missing:
        raise CatalogError(f"Clairvoyant bound: needs best_saturation_rps of offer '{missing[0]}'")
    fleet = initial or FleetState()
    boot_s = {o.name: o.launch_delay_s for o in offers} | dict(billed_boot_s or {})
    used = _useful_offers(offers, fleet, best_saturation_rps, boot_s)
    return _solve(
        rates.interval_s,
        demand,
        used,
        function=function,
        slo=slo,
        fleet=fleet,
        best_rps=best_saturation_rps,
        boot_s=boot_s,
    )


def _useful_offers(
    offers: Sequence[Offer],
    fleet: FleetState,
    best_rps: Mapping[str, float],
    boot_s: Mapping[str, float],
) -> list[tuple[Offer, bool]]:
    """Return (offer, may launch). Of fractional offers only the cheapest per throughput matter.

    An offer that another beats in price per throughput and in boot bill per throughput is not
    launched; it stays while some of it runs at the start.
    """
    cost = {
        o.name: (
            o.price_usd_per_s / best_rps[o.name],
            o.price_usd_per_s * boot_s[o.name] / best_rps[o.name],
        )
        for o in offers
    }
    used = []
    for offer in sorted(offers, key=lambda o: o.name):
        price, boot = cost[offer.name]
        beaten = any(
            p <= price and b <= boot and ((p, b) != (price, boot) or name < offer.name)
            for name, (p, b) in cost.items()
            if name != offer.name
        )
        if not beaten or fleet.of(offer.name).billed:
            used.append((offer, not beaten))
    return used


def _spill_usd(function: FunctionOffer) -> float:
    """Return the least expected bill of a request.

    Not rounded up where durations vary. An environment that is kept warm for its own price, busy
    all the time, may be cheaper in use than an ordinary one.
    """
    ordinary_usd = function.price_usd(function.service_time_s)
    if function.service_time_cv > 0.0:
        ordinary_usd = _unrounded_usd(function, function.price_usd_per_gb_s)
    if function.warm_use_price_usd_per_gb_s is None:
        return ordinary_usd
    warm_usd = _unrounded_usd(function, function.warm_use_price_usd_per_gb_s)
    return min(ordinary_usd, warm_usd + function.service_time_s * function.warm_price_usd_per_s)


def _unrounded_usd(function: FunctionOffer, usd_per_gb_s: float) -> float:
    duration_usd = function.service_time_s * function.memory_gb * usd_per_gb_s
    return function.price_usd_per_invocation + duration_usd


def _solve(
    interval_s: float,
    demand: Array,
    used: Sequence[tuple[Offer, bool]],
    *,
    function: FunctionOffer | None,
    slo: Slo,
    fleet: FleetState,
    best_rps: Mapping[str, float],
    boot_s: Mapping[str, float],
) -> ClairvoyantBound:
    count, horizon = len(used), len(demand)
    price = np.array([offer.price_usd_per_s for offer, _ in used])
    boot = price * np.array([boot_s[offer.name] for offer, _ in used])
    mu = np.array([best_rps[offer.name] for offer, _ in used])
    start = np.array([float(fleet.of(offer.name).ready) for offer, _ in used])
    pending = np.array([float(len(fleet.of(o.name).pending_ready_in_s)) for o, _ in used])
    may = np.array([np.inf if launches else 0.0 for _, launches in used])
    builder = ModelBuilder()
    shape = (count, horizon)
    ready = builder.add_columns("ready", shape, cost=(price * interval_s)[:, None])
    launch = builder.add_columns("launch", shape, cost=boot[:, None], upper=may[:, None])
    # A varying function may answer in time even where its mean does not: then spill stays allowed.
    helps = function is not None and (
        function.service_time_s <= slo.rt_max_s or function.service_time_cv > 0.0
    )
    spill_usd = _spill_usd(function) if function is not None and helps else 0.0
    spill = builder.add_columns(
        "spill", (horizon,), cost=spill_usd * interval_s, upper=demand if helps else 0.0
    )
    missed = builder.add_columns("missed", (horizon,), upper=demand)
    carried = builder.add_columns(
        "carried", (horizon,), upper=demand * min(slo.rt_max_s / interval_s, 1.0)
    )
    _ramp_rows(builder, ready, launch, start, pending)
    rows = builder.add_rows("serve", horizon, lower=demand) + np.arange(horizon)
    builder.put(rows[None, :], ready, mu[:, None])
    for columns in (spill, missed, carried):
        builder.put(rows, columns, 1.0)
    builder.put(rows[1:], carried[:-1], -1.0)
    free = builder.add_rows("free_misses", 1, upper=slo.miss_share * float(demand.sum()))
    builder.put(free, missed, 1.0)
    scale = 1.0 / (float(price.mean()) * interval_s) if count else 1.0
    answer = solve_model(builder.build(), SolverOptions(), scale=scale)
    if answer.status != "optimal" or answer.values is None or answer.objective is None:
        raise SolverFailed(f"Clairvoyant bound: needs an optimum, HiGHS ended with '{answer.raw}'")
    requests = float(demand.sum())
    values = answer.values
    instance_usd = (price * interval_s) @ values[ready] + boot @ values[launch]
    return ClairvoyantBound(
        total_usd=answer.objective,
        offers=tuple(offer.name for offer, _ in used),
        ready=values[ready],
        launched=values[launch],
        spilled_rps=values[spill],
        missed_rps=values[missed],
        interval_usd=instance_usd + spill_usd * interval_s * values[spill],
        free_misses_share=float(values[missed].sum()) / requests if requests else 0.0,
    )


def _ramp_rows(
    builder: ModelBuilder,
    ready: NDArray[np.int64],
    launch: NDArray[np.int64],
    start: Array,
    pending: Array,
) -> None:
    """r[k,t] - r[k,t-1] <= u[k,t] + what was launching at the start, free and at any time."""
    count, horizon = ready.shape
    upper = np.zeros((count, horizon))
    upper[:, 0] = start
    first = builder.add_rows("ramp", count * horizon, upper=upper.ravel())
    rows = first + np.arange(count * horizon).reshape(count, horizon)
    builder.put(rows, ready, 1.0)
    builder.put(rows, launch, -1.0)
    builder.put(rows[:, 1:], ready[:, :-1], -1.0)
    for k in np.flatnonzero(pending).tolist():
        arrived = builder.add_columns("arrived", (horizon,))
        builder.put(rows[k], arrived, -1.0)
        builder.put(builder.add_rows("arrived", 1, upper=pending[k]), arrived, 1.0)
