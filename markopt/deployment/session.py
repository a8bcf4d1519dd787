"""One process of a deployment: begin or take up the journal, open the cloud, run the loop."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from markopt import __version__
from markopt.cloud.clock import Clock, SteppedClock, WallClock
from markopt.cloud.live import Deployment, Detaches
from markopt.control import Controller
from markopt.control.guards import Guards
from markopt.control.journal import (
    Carried,
    Epoch,
    Journal,
    JournalDiverged,
    JournaledBackend,
    JournaledForecaster,
    JournaledPlanner,
    Past,
)
from markopt.control.record import IntervalRecord
from markopt.core import Ledger, Observation, RateSeries
from markopt.deployment.modes import Advising
from markopt.deployment.pacing import PacedBackend, Stopped, StopSignal
from markopt.deployment.parts import Parts, loop_of
from markopt.deployment.past_load import extended, shifted
from markopt.deployment.rebuilding import RebuiltInProcess
from markopt.errors import ConfigError
from markopt.evaluation.seeds import STREAMS, seed_sequence

if TYPE_CHECKING:
    from markopt.cloud.protocol import Backend

FOREVER_S = math.inf


@dataclass(frozen=True)
class Listeners:
    """Who is told what happens, beside the journal: terminal, logs, metrics."""

    on_start: Callable[[Start], None] = lambda _: None
    on_observation: Callable[[Observation], None] = lambda _: None
    on_carried: Callable[[Carried], None] = lambda _: None
    on_interval: Callable[[IntervalRecord], None] = lambda _: None
    on_trouble: Callable[[str], None] = lambda _: None


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
    """How a process ended; ``ledger`` where it ended the fleet, too."""

    journal: Path
    ending: str
    intervals: int
    ledger: Ledger | None


@dataclass(frozen=True)
class _Beginning:
    """Where this process begins: in which epoch, with what past."""

    epoch: Epoch
    history: RateSeries
    clock: Clock
    resumed: bool
    why: str
    observed_until_s: float | None
    end_s: float = field(default=FOREVER_S)


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
    durable = not _stepped(parts) and clock is None
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
    beginning = _begin(parts, journal, clock, anew=anew)
    epoch, mode = beginning.epoch, parts.controller.mode
    now_s = beginning.clock.now_s()
    if beginning.end_s <= now_s + 1e-6:
        return Outcome(journal.path, f"over since {beginning.end_s:g} s", 0, None)
    forecaster = parts.forecaster.fit(beginning.history)
    backend = parts.cloud.open(_deployment(parts, beginning))
    journal.begin_session(epoch.epoch, mode)
    listeners.on_start(
        Start(epoch.epoch, epoch.begin_s, now_s, beginning.end_s, beginning.resumed, beginning.why)
    )
    acted: Backend = backend if mode == "act" else Advising(backend)
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
        guards=Guards(parts.controller.guards, parts.offers, parts.function),
        mode=mode,
        now_s=beginning.clock.now_s,
        intent_lasts_s=parts.controller.interval_s,
        rebuilt=RebuiltInProcess(acted) if parts.lives_here else None,
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
        rng=np.random.default_rng(_epoch_seed(parts.seed, epoch.epoch)),
        decision_prefix=f"{journal.identity}-",
        planner_name=type(parts.planner).__name__,
    )
    intervals, ending = 0, "done"
    try:
        journaled.advance(epoch.begin_s)
        for record in controller.intervals(epoch.begin_s, beginning.end_s):
            if journal.interval(record, past):
                listeners.on_interval(record)
                intervals += 1
    except Stopped as stopped:
        ending = f"stopped by {stopped}"
    ledger = None
    if parts.lives_here or (parts.deploy.terminate_at_end and mode == "act"):
        ledger = acted.close()
        ending += ", fleet ended"
    elif isinstance(backend, Detaches):
        backend.detach()
    return Outcome(journal.path, ending, intervals, ledger)


# --- where to begin ---


def _begin(parts: Parts, journal: Journal, clock: Clock | None, *, anew: bool) -> _Beginning:
    """Take the journal's last epoch up again, or open a new one."""
    epochs = journal.reader.epochs()
    last_s = journal.reader.last_time_s()
    clock = clock or _clock(parts, last_s)
    now_s = clock.now_s()
    interval_s = parts.controller.interval_s
    why = "the journal is new" if not epochs else _why_anew(parts, epochs[-1], now_s)
    if anew:
        why = "the journal cannot be gone through again"
    resumed = not why
    if why and epochs and parts.lives_here:
        raise ConfigError(
            f"deploy.journal: '{journal.path}' is of a rehearsal whose cloud ended with its "
            f"process, and it cannot go on ({why}); choose another deploy.journal or deploy.name"
        )
    if resumed:
        epoch = epochs[-1]
    else:
        begin_s = now_s
        if epochs or not _from_trace(parts):
            origin_s = epochs[0].begin_s if epochs else 0.0
            begin_s = origin_s + math.ceil((now_s - origin_s) / interval_s - 1e-9) * interval_s
        journal.open_epoch(begin_s, parts.config_text())
        epochs = journal.reader.epochs()
        epoch = epochs[-1]
    first_s = epochs[0].begin_s
    history = shifted(parts.workload.history, first_s)
    for earlier, following in pairwise(epochs):
        rates = (entry.observed for entry in journal.reader.rates(earlier.epoch))
        history = extended(history, rates, following.begin_s)
    span_s = parts.workload.end_s - parts.workload.start_s
    ends = [first_s + span_s] if parts.replays_workload else []
    ends += [] if parts.deploy.for_s is None else [first_s + parts.deploy.for_s]
    return _Beginning(
        epoch=epoch,
        history=history,
        clock=clock,
        resumed=resumed,
        why=why or "goes on where the process before ended",
        observed_until_s=last_s,
        end_s=min(ends, default=FOREVER_S),
    )


def _why_anew(parts: Parts, epoch: Epoch, now_s: float) -> str:
    """Return why the last epoch cannot be taken up again, or ''."""
    if epoch.version != __version__:
        return f"its last epoch is by markopt {epoch.version}"
    if loop_of(epoch.config) != parts.loop_text():
        return "the configuration has changed"
    if not parts.lives_here and now_s - epoch.begin_s > parts.deploy.refit_after_s:
        return f"its forecaster was fitted {now_s - epoch.begin_s:.0f} s ago"
    return ""


def _deployment(parts: Parts, beginning: _Beginning) -> Deployment:
    """Return what the cloud is told. Only what acts on a replayed workload brings a fleet."""
    from markopt.planning import cheapest_fleet

    fleet: dict[str, int] = {}
    acts = parts.controller.mode == "act" or parts.lives_here
    if acts and parts.replays_workload:
        known = parts.workload.history.rate_rps
        rate_rps = float(known[np.isfinite(known)][-1]) if np.isfinite(known).any() else 0.0
        fleet = dict(cheapest_fleet(parts.offers, parts.required_throughput, rate_rps))
    return Deployment(
        name=parts.deploy.name,
        service=parts.service,
        offers=parts.offers,
        function=parts.function,
        interval_s=parts.controller.interval_s,
        workload=parts.workload,
        clock=beginning.clock,
        seed=seed_sequence(parts.seed, "cloud"),
        initial_fleet=fleet,
        observed_until_s=beginning.observed_until_s,
    )


def _clock(parts: Parts, last_s: float | None) -> Clock:
    """Return the clock; one that is not the wall's goes on where the journal ends."""
    if not _from_trace(parts) and not _stepped(parts):
        return WallClock(speed=parts.deploy.speed)
    first_s = parts.workload.start_s if _from_trace(parts) else time.time()
    start_s = first_s if last_s is None else last_s
    if _stepped(parts):
        return SteppedClock(start_s)
    return WallClock(start_s=start_s, speed=parts.deploy.speed)


def _from_trace(parts: Parts) -> bool:
    if parts.deploy.start == "auto":
        return parts.replays_workload
    return parts.deploy.start == "trace"


def _stepped(parts: Parts) -> bool:
    if parts.deploy.clock == "auto":
        return parts.lives_here
    return parts.deploy.clock == "stepped"


def _epoch_seed(seed: int, epoch: int) -> np.random.SeedSequence:
    """Return the forecaster's seed; the first epoch's is that of ``markopt run``."""
    if epoch == 1:
        return seed_sequence(seed, "forecast")
    return np.random.SeedSequence(entropy=seed, spawn_key=(STREAMS.index("forecast"), epoch))
