"""What there is to see of a deployment, read from its journal at one moment."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from pathlib import Path

from markopt.control.journal import (
    ActionEntry,
    IntervalEntry,
    JournalReader,
    PlanEntry,
    Session,
)
from markopt.core import InstanceState, Observation

SHOWN_INTERVALS = 60
SHOWN_ACTIONS = 6
HOUR_S = 3600.0


@dataclass(frozen=True)
class OfferRow:
    """An offer's instances by state, how many the last plan wants, and its price."""

    name: str
    ready: int = 0
    booting: int = 0
    draining: int = 0
    noticed: int = 0
    wanted: int | None = None
    usd_per_h: float | None = None


@dataclass(frozen=True)
class Totals:
    """Requests of a span, and what became of them."""

    arrivals: int = 0
    spilled: int = 0
    missed: int = 0

    @property
    def attainment_share(self) -> float | None:
        """Share answered in time; None without requests."""
        return None if not self.arrivals else max(1.0 - self.missed / self.arrivals, 0.0)

    @property
    def spill_share(self) -> float | None:
        """Share sent to functions; None without requests."""
        return None if not self.arrivals else self.spilled / self.arrivals


@dataclass(frozen=True, eq=False)
class Board:
    """A deployment at a moment: ``silent_s`` is how long ago its journal was last written.

    ``decision`` is the newest action that a plan or the monitor made, ``plan`` what it carries out.
    ``changes`` are the newest actions that changed, or were to change, anything.
    """

    deployment: str
    session: Session | None
    epoch: int
    time_s: float | None
    silent_s: float | None
    intervals: tuple[IntervalEntry, ...]
    offers: tuple[OfferRow, ...]
    warm_functions: int
    last_hour: Totals
    sl_min: float | None
    bill_usd: float
    fleet_usd_per_h: float
    decision: ActionEntry | None
    plan: PlanEntry | None
    changes: tuple[ActionEntry, ...] = field(default=())


def read_board(path: str | Path) -> Board:
    """Read a journal, also while a controller writes it.

    Raises:
        DataError: it cannot be read.
    """
    with JournalReader(path) as reader:
        sessions, epochs = reader.sessions(), reader.epochs()
        observed = reader.observations(last=1)
        intervals = reader.intervals(last=SHOWN_INTERVALS)
        actions = reader.actions(last=200)
        decision = next((a for a in reversed(actions) if a.kind != "weights"), None)
        linked = next((a.plan for a in reversed(actions) if a.plan is not None), None)
        plan = None if linked is None else reader.plan(linked)
        last_unix_s = reader.last_unix_s()
        deployment = str(reader.meta("deployment"))
    seen = observed[-1].observation if observed else None
    offers = _rows(seen, plan)
    warm = 0 if seen is None else seen.warm_functions
    price = sum((row.usd_per_h or 0.0) * _paid(row) for row in offers)
    if plan is not None and plan.problem.function is not None:
        price += 3600.0 * warm * plan.problem.function.warm_price_usd_per_s
    return Board(
        deployment=deployment,
        session=sessions[-1] if sessions else None,
        epoch=epochs[-1].epoch if epochs else 0,
        time_s=None if seen is None else seen.time_s,
        silent_s=None if last_unix_s is None else max(time.time() - last_unix_s, 0.0),
        intervals=intervals,
        offers=offers,
        warm_functions=warm,
        last_hour=_totals(intervals),
        sl_min=None if plan is None else plan.problem.service.slo.sl_min,
        bill_usd=0.0 if seen is None else seen.bill_usd,
        fleet_usd_per_h=price,
        decision=decision,
        plan=plan,
        changes=tuple(a for a in actions if not a.wanted.empty or a.cuts)[-SHOWN_ACTIONS:],
    )


def _paid(row: OfferRow) -> int:
    return row.ready + row.booting + row.draining


def _totals(intervals: tuple[IntervalEntry, ...]) -> Totals:
    if not intervals:
        return Totals()
    since_s = intervals[-1].end_s - HOUR_S
    recent = [entry for entry in intervals if entry.end_s > since_s]
    return Totals(
        sum(entry.arrivals for entry in recent),
        sum(entry.spilled for entry in recent),
        sum(entry.late + entry.refused for entry in recent),
    )


def _rows(seen: Observation | None, plan: PlanEntry | None) -> tuple[OfferRow, ...]:
    """Return a row for each offer that runs or is wanted, in the problem's order."""
    counts: dict[str, dict[str, int]] = {}
    for instance in () if seen is None else seen.instances:
        entry = counts.setdefault(instance.offer, {})
        key = _column(instance.state)
        if key is not None:
            entry[key] = entry.get(key, 0) + 1
        entry["noticed"] = entry.get("noticed", 0) + instance.notice
    wanted = {} if plan is None or plan.plan is None else plan.plan.target_now()
    problem = None if plan is None else plan.problem
    prices = {} if problem is None else {o.name: o.price_usd_per_s for o in problem.offers}
    names = [*prices, *(name for name in counts if name not in prices)]
    return tuple(
        OfferRow(
            name,
            **counts.get(name, {}),
            wanted=wanted.get(name),
            usd_per_h=3600.0 * prices[name] if name in prices else None,
        )
        for name in names
        if any(counts.get(name, {}).values()) or wanted.get(name)
    )


def _column(state: InstanceState) -> str | None:
    if state in (InstanceState.PENDING, InstanceState.BOOTING):
        return "booting"
    return state.value if state in (InstanceState.READY, InstanceState.DRAINING) else None
