"""The requests that a load generator sent: what its clients saw, and statistics of it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import final

import numpy as np
from numpy.typing import NDArray

from markopt.core import RequestStatistics
from markopt.core.arrays import Floats, Integers, frozen_floats, frozen_integers
from markopt.errors import DataError

PATHS = ("instances", "lambda", "lambda_cold")


@final
@dataclass(frozen=True, eq=False)
class RequestLog:
    """One entry per request that has ended, in order of arrival.

    ``lateness_s`` is how late the generator sent it, ``response_s`` the time from then to the end
    of the answer, NaN where none came. ``served_by`` is ``backend/server``.
    """

    arrival_s: Floats
    lateness_s: Floats
    response_s: Floats
    status: Integers
    served_by: tuple[str, ...]

    def __post_init__(self) -> None:
        for name in ("arrival_s", "lateness_s", "response_s"):
            object.__setattr__(self, name, frozen_floats(getattr(self, name)))
        object.__setattr__(self, "status", frozen_integers(self.status))

    def __len__(self) -> int:
        return len(self.arrival_s)

    @property
    def answered(self) -> NDArray[np.bool_]:
        """Whether each request was answered, in time or late."""
        return np.asarray((self.status == 200) & np.isfinite(self.response_s))

    @property
    def refused(self) -> NDArray[np.bool_]:
        """Whether each request was refused."""
        return np.asarray(np.isin(self.status, (429, 503)))

    def by(self, backend: str) -> NDArray[np.bool_]:
        """Whether each request was answered by a backend: ``instances`` or ``functions``."""
        sent = np.array([name.startswith(f"{backend}/") for name in self.served_by], dtype=np.bool_)
        return np.asarray(sent & self.answered)

    def attainment(self, rt_max_s: float) -> float:
        """Return the share of requests answered within ``rt_max_s``."""
        if not len(self):
            return 1.0
        with np.errstate(invalid="ignore"):
            return float(np.mean(self.answered & (self.response_s <= rt_max_s)))

    def statistics(self, *, start_s: float, bin_s: float, rt_max_s: float) -> RequestStatistics:
        """Return counts by bin of arrival and the histogram of response times."""
        from markopt.engine import latency_edges_s

        edges_s = latency_edges_s()
        bins = np.maximum(np.floor((self.arrival_s - start_s) / bin_s), 0).astype(np.int64)
        number = int(bins.max()) + 1 if len(bins) else 0

        def count(chosen: NDArray[np.bool_]) -> NDArray[np.int64]:
            return np.bincount(bins[chosen], minlength=number).astype(np.int64)

        answered, refused = self.answered, self.refused
        functions = self.by("functions")
        lost = ~answered & ~refused
        with np.errstate(invalid="ignore"):
            late = lost | (answered & (self.response_s > rt_max_s))
        chosen = {"instances": answered & ~functions, "lambda": functions}
        counts = {
            path: np.histogram(np.clip(self.response_s[which], edges_s[0], edges_s[-1]), edges_s)[
                0
            ].astype(np.int64)
            for path, which in chosen.items()
        }
        counts["lambda_cold"] = np.zeros(len(edges_s) - 1, dtype=np.int64)
        times_s = self.response_s[answered]
        return RequestStatistics(
            start_s=start_s,
            bin_s=bin_s,
            arrivals=count(np.ones(len(self), dtype=np.bool_)),
            late=count(late),
            refused=count(refused),
            spilled=count(functions),
            latency_edges_s=edges_s,
            latency_counts=counts,
            latency_sum_s=float(times_s.sum()),
            latency_max_s=float(times_s.max(initial=0.0)),
            lost=int(lost.sum()),
            throttled=int(np.sum(self.status == 429)),
        )


def read_requests(path: Path) -> RequestLog:
    """Read what a load generator wrote (see ``load.COLUMNS``), in order of arrival.

    Raises:
        DataError: a row is damaged.
    """
    text = path.read_text(encoding="utf-8") if path.exists() else ""
    rows = [line.split(",") for line in text.split("\n")[1:-1]]  # the last line may be half written
    for number, row in enumerate(rows, 2):
        if len(row) != 5:
            raise DataError(f"{path}: row {number}: expected 5 fields, got {len(row)}")
    rows.sort(key=lambda row: float(row[0]))
    numbers = np.array([row[:4] for row in rows], dtype=np.float64).reshape(-1, 4)
    return RequestLog(
        arrival_s=numbers[:, 0],
        lateness_s=numbers[:, 1],
        response_s=numbers[:, 2],
        status=numbers[:, 3].astype(np.int64),
        served_by=tuple(row[4] for row in rows),
    )
