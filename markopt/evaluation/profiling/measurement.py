"""Measures a model server over HTTP, open loop: bursts for T(b), Poisson arrivals for latencies.

A batch of b cannot be asked for: the server forms it. So each sample first keeps the server busy
with a batch, sends b requests meanwhile, which gather in its queue, and takes the time between the
two batches' last answers. It holds the service time and what the server does around it, neither the
wait for company nor the way there and back.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import final

import numpy as np
from numpy.typing import NDArray

from markopt.cloud.local.load import OpenLoop
from markopt.errors import BackendError
from markopt.evaluation.profiling.estimates import (
    BatchTime,
    LoadPoint,
    ServerProfile,
    batch_time,
    quantile_interval_s,
)
from markopt.evaluation.profiling.settings import ProfileSettings

_LEAD_S = 0.05
_SPACE = 1.5
"""Samples are so many times their expected length apart."""


def measure(
    url: str,
    settings: ProfileSettings,
    bodies: Sequence[bytes] = (b"",),
    on_step: Callable[[], None] = lambda: None,
) -> ServerProfile:
    """Measure the server behind ``url``; ``on_step`` is called ``steps_of(settings)`` times.

    Raises:
        BackendError: it does not answer, or too few samples of a batch size are of use.
    """
    return asyncio.run(_Measurement(url, settings, bodies, on_step).run())


def steps_of(settings: ProfileSettings) -> int:
    """Return how many steps a measurement has."""
    return 1 + len(settings.batch_sizes) + len(settings.load_shares)


@dataclass(frozen=True)
class _Answer:
    """One request's course by the monotonic clock; ``end_s`` NaN: no answer."""

    tag: float
    sent_s: float
    end_s: float


@final
class _Measurement:
    """One server's measurement."""

    def __init__(
        self,
        url: str,
        settings: ProfileSettings,
        bodies: Sequence[bytes],
        on_step: Callable[[], None],
    ) -> None:
        self._url = url
        self._settings = settings
        self._bodies = bodies
        self._on_step = on_step

    async def run(self) -> ServerProfile:
        """Warm up, then measure batches, then loads."""
        settings = self._settings
        lone_s = await self._warm_up()
        self._on_step()
        # Where batches wait, a lone request waits for company that does not come.
        wait_s = settings.wait_s if settings.largest_batch > 1 else 0.0
        single_s = max(lone_s - wait_s, 1e-3)
        batches: list[BatchTime] = []
        for size in settings.batch_sizes:
            last = batches[-1] if batches else None
            expected_s = single_s if last is None else last.mean_s * size / last.batch_size
            batches.append(await self._batch(size, single_s, expected_s))
            self._on_step()
        saturation_rps = max(batch.batch_size / batch.mean_s for batch in batches)
        loads = []
        for number, share in enumerate(settings.load_shares):
            loads.append(await self._load(share * saturation_rps, number))
            self._on_step()
        path_s = max(lone_s - wait_s - batches[0].median_s, 0.0)  # of medians: both have outliers
        return ServerProfile(
            self._url, settings.wait_s, path_s, settings.confidence, tuple(batches), tuple(loads)
        )

    async def _send(self, due: Sequence[tuple[float, float]]) -> list[_Answer]:
        """Send requests ``(tag, monotonic time)`` and return their courses."""
        loop = OpenLoop(self._url, due, bodies=self._bodies, timeout_s=self._settings.timeout_s)
        await loop.run()
        planned = dict(due)
        answers = []
        for tag, lateness_s, response_s, status, _ in loop.rows:
            sent_s = planned[tag] + lateness_s
            answers.append(_Answer(tag, sent_s, sent_s + response_s if status == 200 else np.nan))
        return sorted(answers, key=lambda answer: answer.tag)

    async def _warm_up(self) -> float:
        """Send single requests, one after the other; return the median latency.

        Raises:
            BackendError: more than half get no answer.
        """
        answers: list[_Answer] = []
        for number in range(self._settings.warm_up):
            answers += await self._send([(float(number), time.monotonic())])
        took_s = np.array([answer.end_s - answer.sent_s for answer in answers])
        if np.mean(np.isnan(took_s)) > 0.5:
            raise BackendError(
                f"{self._url}: {np.isnan(took_s).sum()} of {len(took_s)} warm-up requests were not "
                f"answered with 200"
            )
        return float(np.nanmedian(took_s[len(took_s) // 2 :]))

    async def _batch(self, size: int, single_s: float, expected_s: float) -> BatchTime:
        """Sample the time of a batch.

        Raises:
            BackendError: fewer than three samples are of use.
        """
        settings = self._settings
        # A server that waits longer than a request takes is kept busy by a full batch, which starts
        # at once; another one by a single request, whose wait is over before the others come.
        waits_long = settings.wait_s > 0.5 * single_s
        first = settings.largest_batch if waits_long else 1
        gap_s = 0.1 * single_s if waits_long else settings.wait_s + 0.3 * single_s
        space_s = _SPACE * (first * single_s + settings.wait_s + expected_s) + gap_s
        begin_s = time.monotonic() + _LEAD_S
        due: list[tuple[float, float]] = []
        for repeat in range(settings.repeats):
            at_s = begin_s + repeat * space_s
            due += [(float(len(due) + k), at_s) for k in range(first)]
            due += [(float(len(due) + k), at_s + gap_s) for k in range(size)]
        answers = await self._send(due)
        samples_s: list[float] = []
        free_s = -np.inf
        per_sample = first + size
        for repeat in range(settings.repeats):
            group = answers[repeat * per_sample : (repeat + 1) * per_sample]
            ends_s = np.array([answer.end_s for answer in group])
            idle = min(answer.sent_s for answer in group) > free_s
            free_s = float(np.nanmax(ends_s, initial=free_s))
            sample_s = _spacing_s(ends_s, first)
            if idle and sample_s is not None:
                samples_s.append(sample_s)
        if len(samples_s) < 3:
            raise BackendError(
                f"{self._url}: only {len(samples_s)} of {settings.repeats} samples of a batch of "
                f"{size} are of use; is {settings.largest_batch} the server's largest batch, and "
                f"{settings.wait_s:g} s its wait?"
            )
        dropped = settings.repeats - len(samples_s)
        return batch_time(size, samples_s, dropped, settings.confidence)

    async def _load(self, rate_rps: float, number: int) -> LoadPoint:
        """Measure latencies under Poisson arrivals of a rate."""
        settings = self._settings
        rng = np.random.default_rng((settings.seed, number))
        offsets_s = np.cumsum(rng.exponential(1.0 / rate_rps, settings.load_requests))
        begin_s = time.monotonic() + _LEAD_S
        answers = await self._send(
            [(float(at), begin_s + offset_s) for at, offset_s in enumerate(offsets_s.tolist())]
        )
        sent_s = np.array([answer.sent_s for answer in answers])
        took_s = np.array([answer.end_s for answer in answers]) - sent_s
        good = np.isfinite(took_s)
        span_s = float(np.nanmax(sent_s + took_s) - sent_s.min()) if good.any() else np.nan
        return LoadPoint(
            offered_rps=rate_rps,
            served_rps=float(good.sum()) / span_s,
            concurrency=float(took_s[good].sum()) / span_s,
            p50_s=quantile_interval_s(took_s[good], 0.5, settings.confidence),
            p98_s=quantile_interval_s(took_s[good], 0.98, settings.confidence),
            failed=int((~good).sum()),
        )


def _spacing_s(ends_s: NDArray[np.float64], first: int) -> float | None:
    """Return the time between two batches' last answers; None where they were not two batches."""
    if np.isnan(ends_s).any():
        return None
    busy_s, batch_s = ends_s[:first], ends_s[first:]
    spacing_s = float(batch_s.max() - busy_s.max())
    together = float(batch_s.max() - batch_s.min()) < 0.5 * spacing_s
    return spacing_s if spacing_s > 0.0 and together else None
