"""One process of a deployment: begin or take up the journal, open the cloud, run the loop."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from markopt.cloud.clock import Clock
from markopt.cloud.live import Detaches
from markopt.control import Controller
from markopt.control.guards import Guards
from markopt.control.guards.spending import DAY_S
from markopt.control.journal import (
    Carried,
    Epoch,
    Journal,
    JournalDiverged,
    JournaledBackend,
    JournaledForecaster,
    JournaledPlanner,
    Past,
    Rebuilt,
)
from markopt.control.record import IntervalRecord
from markopt.core import ActionReport, Ledger, Observation
from markopt.deployment.beginning import (
    FOREVER_S,
    begin,
    deployment_of,
    epoch_seed,
    is_stepped,
    restarted,
)
from markopt.deployment.modes import Advising
from markopt.deployment.pacing import PacedBackend, Stopped, StopSignal
from markopt.deployment.parts import Parts
from markopt.deployment.rebuilding import RebuiltInProcess, RebuiltShadow
from markopt.deployment.shadow import ShadowFleet

if TYPE_CHECKING:
    from markopt.cloud.protocol import Backend

DONE = "done"
"""How the ending of a session begins that came to its end."""


@dataclass(frozen=True)
class Listeners:
    """Who is told what happens, beside the journal: terminal, logs, metrics."""

    on_start: Callable[[Start], None] = lambda _: None
    on_observation: Callable[[Observation], None] = lambda _: None
    on_carried: Callable[[Carried], None] = lambda _: None
    on_interval: Callable[[IntervalRecord], None] = lambda _: None
    on_trouble: Callable[[str], None] = lambda _: None
    on_end: Callable[[Outcome], None] = lambda _: None


@dataclass(frozen=True)
class Start:
    """How a process begins: anew, or after ``replayed`` entries of a journal."""

    epoch: int
    begin_s: float
    now_s: float
    end_s: float
    resumed: bool
    why: str


@dataclass(frozen=True)
class Outcome:
    """How a process ended; ``ledger`` where it ended the fleet, too.

    In ``shadow`` the ledger is the imagined fleet's, and ``beside_usd`` what the real one has been
    billed while this process looked on.
    """

    journal: Path
    ending: str
    intervals: int
    ledger: Ledger | None
    beside_usd: float | None = None


def deploy(
    parts: Parts, listeners: Listeners | None = None, *, clock: Clock | None = None
) -> Outcome:
    """Run a deployment until its end, or until it is told to stop.

    Where the journal has a past, its process goes on from there: see docs/control.md. ``clock``
    takes the place of the one that the settings choose.

    Raises:
        ConfigError: the settings contradict each other or the journal, or another process drives
            the deployment.
        BackendError: the cloud cannot be used.
        MarkoptError: a part of the loop failed.
    """
    listeners = listeners or Listeners()
    durable = not is_stepped(parts) and clock is None
    journal = Journal(parts.deploy.journal_path, parts.deploy.name, durable=durable)
    ending = "failed"
    try:
        with StopSignal() as stop:
            try:
                outcome = _deploy(parts, journal, listeners, stop, clock, anew=False)
            except JournalDiverged as error:
                if parts.lives_here:
                    raise
                listeners.on_trouble(f"the journal cannot be gone through again: {error}")
                outcome = _deploy(parts, journal, listeners, stop, clock, anew=True)
        ending = outcome.ending
        listeners.on_end(outcome)
    except BaseException as error:
        ending = f"failed: {type(error).__name__}: {error}"
        raise
    finally:
        journal.close(ending)
    return outcome


def _deploy(
    parts: Parts,
    journal: Journal,
    listeners: Listeners,
    stop: StopSignal,
    clock: Clock | None,
    *,
    anew: bool,
) -> Outcome:
    beginning = begin(parts, journal, clock, anew=anew)
    epoch, mode = beginning.epoch, parts.controller.mode
    now_s = beginning.clock.now_s()
    if beginning.end_s <= now_s + 1e-6 and _done(journal):
        return Outcome(journal.path, f"over since {beginning.end_s:g} s", 0, None)
    forecaster = parts.forecaster.fit(beginning.history)
    if clock is None:  # a trace does not go on while the forecaster is fitted
        beginning = restarted(parts, beginning)
    backend = parts.cloud.open(deployment_of(parts, beginning.clock, beginning.observed_until_s))
    journal.begin_session(epoch.epoch, mode)
    if not beginning.resumed:
        _give_up(journal)
    listeners.on_start(
        Start(epoch.epoch, epoch.begin_s, now_s, beginning.end_s, beginning.resumed, beginning.why)
    )
    acted, rebuilt = _by_mode(parts, backend)
    paced = PacedBackend(
        acted,
        beginning.clock,
        end_s=parts.workload.end_s if parts.replays_workload else FOREVER_S,
        give_up_s=parts.deploy.give_up_s,
        speed=parts.deploy.speed,
        check_stop=stop.check,
        on_blind=listeners.on_trouble,
    )
    past = Past(journal.reader.entries(epoch.epoch) if beginning.resumed else ())
    journaled = JournaledBackend(
        paced,
        journal=journal,
        past=past,
        guards=_guards(parts, journal, epoch),
        mode=mode,
        now_s=beginning.clock.now_s,
        intent_lasts_s=parts.controller.interval_s,
        rebuilt=rebuilt,
        on_carried=listeners.on_carried,
        on_observation=listeners.on_observation,
    )
    controller = Controller(
        service=parts.service,
        offers=parts.offers,
        function=parts.function,
        required_throughput=parts.required_throughput,
        forecaster=JournaledForecaster(forecaster, journal=journal, past=past),
        planner=JournaledPlanner(
            parts.planner, journal=journal, past=past, time_limit_s=parts.time_limit_s
        ),
        backend=journaled,
        settings=parts.controller,
        history=beginning.history,
        rng=np.random.default_rng(epoch_seed(parts.seed, epoch.epoch)),
        decision_prefix=_prefix(journal, epoch),
        planner_name=type(parts.planner).__name__,
    )
    intervals, ending = 0, DONE
    try:
        journaled.advance(epoch.begin_s)
        for record in controller.intervals(epoch.begin_s, beginning.end_s):
            if journal.interval(record, past):
                listeners.on_interval(record)
                intervals += 1
        controller.settle()
    except Stopped as stopped:
        ending = f"stopped by {stopped}"
    ledger: Ledger | None
    if mode == "act" and (parts.lives_here or parts.deploy.terminate_at_end):
        ledger = acted.close()
        ending += ", fleet ended"
    else:
        ledger = acted.close() if isinstance(acted, ShadowFleet) else None
        if isinstance(backend, Detaches):
            backend.detach()
    beside_usd = acted.real_bill_usd if isinstance(acted, ShadowFleet) else None
    return Outcome(journal.path, ending, intervals, ledger, beside_usd)


def _prefix(journal: Journal, epoch: Epoch) -> str:
    """Return how the ids of an epoch's decisions begin: no two of an account are the same."""
    return f"{journal.identity}-" + ("" if epoch.epoch == 1 else f"{epoch.epoch}-")


def _give_up(journal: Journal) -> None:
    """Close what an earlier epoch was cut off in: tags tell what came of it."""
    for action in journal.reader.pending():
        why = "given up: a new epoch has begun, what runs shows what was done"
        journal.report(action.entry, ActionReport(action.decision_id, refused=(why,)))


def _guards(parts: Parts, journal: Journal, epoch: Epoch) -> Guards:
    """Return the guard rails, which know what earlier epochs have spent of the day."""
    guards = Guards(parts.controller.guards, parts.offers, parts.function)
    midnight_s = epoch.begin_s - epoch.begin_s % DAY_S
    for time_s, bill_usd in journal.reader.bills(before_epoch=epoch.epoch, since_s=midnight_s):
        guards.spending.saw(time_s, bill_usd)
    return guards


def _by_mode(parts: Parts, backend: Backend) -> tuple[Backend, Rebuilt | None]:
    """Return the back end that the mode acts on, and what must be told its past again."""
    mode, beneath = parts.controller.mode, backend if parts.lives_here else None
    if mode == "shadow":
        shadow = ShadowFleet(backend, parts.offers, parts.function, parts.required_throughput)
        return shadow, RebuiltShadow(shadow, beneath)
    acted: Backend = backend if mode == "act" else Advising(backend)
    return acted, None if beneath is None else RebuiltInProcess(acted)


def _done(journal: Journal) -> bool:
    """Tell whether a process came to the end; one that died just before left something undone."""
    sessions = journal.reader.sessions()
    return bool(sessions) and (sessions[-1].ending or "").startswith(DONE)
