"""Where a process of a deployment begins: anew, or where the one before was cut off."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, replace

import numpy as np

from markopt import __version__
from markopt.cloud.clock import Clock, SteppedClock, WallClock
from markopt.cloud.live import Deployment
from markopt.control.journal import Epoch, Journal, JournalReader
from markopt.core import RateSeries
from markopt.deployment.parts import Parts, loop_of
from markopt.deployment.past_load import extended, shifted
from markopt.errors import ConfigError
from markopt.evaluation.seeds import STREAMS, seed_sequence

FOREVER_S = math.inf


@dataclass(frozen=True)
class Beginning:
    """Where this process begins: in which epoch, with what past."""

    epoch: Epoch
    history: RateSeries
    clock: Clock
    resumed: bool
    why: str
    observed_until_s: float | None
    end_s: float


def begin(parts: Parts, journal: Journal, clock: Clock | None, *, anew: bool) -> Beginning:
    """Take the journal's last epoch up again, or open a new one."""
    epochs = journal.reader.epochs()
    last_s = journal.reader.last_time_s()
    clock = clock or clock_of(parts, last_s)
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
        begin_s = parts.workload.start_s
        if epochs or not _from_trace(parts):
            origin_s = epochs[0].begin_s if epochs else 0.0
            begin_s = origin_s + math.ceil((now_s - origin_s) / interval_s - 1e-9) * interval_s
        journal.open_epoch(begin_s, parts.config_text())
        epochs = journal.reader.epochs()
        epoch = epochs[-1]
    first_s = epochs[0].begin_s
    span_s = parts.workload.end_s - parts.workload.start_s
    ends = [first_s + span_s] if parts.replays_workload else []
    ends += [] if parts.deploy.for_s is None else [first_s + parts.deploy.for_s]
    return Beginning(
        epoch=epoch,
        history=known_load(parts, journal.reader, epoch.begin_s),
        clock=clock,
        resumed=resumed,
        why=why or "goes on where the process before ended",
        observed_until_s=last_s,
        end_s=min(ends, default=FOREVER_S),
    )


def restarted(parts: Parts, beginning: Beginning) -> Beginning:
    """Return the beginning with the trace's clock where it was; the calendar's cannot be held."""
    if not _from_trace(parts):
        return beginning
    return replace(beginning, clock=clock_of(parts, beginning.observed_until_s))


def known_load(parts: Parts, reader: JournalReader, begin_s: float) -> RateSeries:
    """Return what is known of the load at ``begin_s``, where an epoch begins (or could)."""
    epochs = [epoch for epoch in reader.epochs() if epoch.begin_s < begin_s - 1e-6]
    if not epochs:
        return shifted(parts.workload.history, begin_s)
    history = shifted(parts.workload.history, epochs[0].begin_s)
    ends_s = [epoch.begin_s for epoch in epochs[1:]] + [begin_s]
    for epoch, end_s in zip(epochs, ends_s, strict=True):
        rates = (entry.observed for entry in reader.rates(epoch.epoch))
        history = extended(history, rates, end_s)
    return history


def _why_anew(parts: Parts, epoch: Epoch, now_s: float) -> str:
    """Return why the last epoch cannot be taken up again, or ''."""
    if epoch.version != __version__:
        return f"its last epoch is by markopt {epoch.version}"
    if loop_of(epoch.config) != parts.loop_text():
        return "the configuration has changed"
    if not parts.lives_here and now_s - epoch.begin_s > parts.deploy.refit_after_s:
        return f"its forecaster was fitted {now_s - epoch.begin_s:.0f} s ago"
    return ""


def deployment_of(parts: Parts, clock: Clock, observed_until_s: float | None) -> Deployment:
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
        clock=clock,
        seed=seed_sequence(parts.seed, "cloud"),
        initial_fleet=fleet,
        observed_until_s=observed_until_s,
    )


def clock_of(parts: Parts, last_s: float | None) -> Clock:
    """Return the clock; one that is not the wall's goes on where the journal ends."""
    if not _from_trace(parts) and not is_stepped(parts):
        return WallClock(speed=parts.deploy.speed)
    first_s = parts.workload.start_s if _from_trace(parts) else time.time()
    start_s = first_s if last_s is None else last_s
    if is_stepped(parts):
        return SteppedClock(start_s)
    return WallClock(start_s=start_s, speed=parts.deploy.speed)


def _from_trace(parts: Parts) -> bool:
    if parts.deploy.start == "auto":
        return parts.replays_workload
    return parts.deploy.start == "trace"


def is_stepped(parts: Parts) -> bool:
    """Tell whether waiting takes no time."""
    if parts.deploy.clock == "auto":
        return parts.lives_here
    return parts.deploy.clock == "stepped"


def epoch_seed(seed: int, epoch: int) -> np.random.SeedSequence:
    """Return the forecaster's seed; the first epoch's is that of ``markopt run``."""
    if epoch == 1:
        return seed_sequence(seed, "forecast")
    return np.random.SeedSequence(entropy=seed, spawn_key=(STREAMS.index("forecast"), epoch))
