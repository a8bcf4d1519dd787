"""What each forecast of a backtest scored, forecast by forecast and step by step."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Self

import numpy as np
from numpy.typing import NDArray

from markopt.forecasting import scores
from markopt.forecasting.fair_coverage import fairly_covered

Array = NDArray[np.float64]
SHARES = (0.5, 0.8, 0.9, 0.95)
"""Central bands whose coverage is measured."""

_EDGES = {share: (round((1.0 - share) / 2.0, 6), round((1.0 + share) / 2.0, 6)) for share in SHARES}
_LEVELS = tuple(sorted({*scores.LEVELS, *sum(_EDGES.values(), ())}))
_KEPT = [_LEVELS.index(level) for level in scores.LEVELS]
_MEDIAN = _LEVELS.index(0.5)


@dataclass(frozen=True, eq=False)
class Measures:
    """Scores by forecast and step, (forecasts, horizon), NaN where there was no data.

    ``…_log`` are of log(1 + rate), ``…_rps`` of rates. ``covered`` has shape (forecasts, horizon,
    shares): whether the closed band held the realised rate; ``fairly_covered`` likewise, a rate
    that several paths share counting with the share of its levels within the band. ``below`` has
    shape (forecasts, horizon, levels): whether the realised rate was at or below the quantile.
    ``energy_…`` and ``peak_error`` have shape (forecasts,), ``band_rps`` holds the 5, 50
    and 95 % quantiles, (forecasts, horizon, 3).
    """

    pinball_log: Array
    pinball_rps: Array
    crps_log: Array
    crps_rps: Array
    mae_log: Array
    mae_rps: Array
    covered: Array
    fairly_covered: Array
    below: Array
    pit_low: Array
    pit_high: Array
    energy_log: Array
    energy_rps: Array
    peak_error: Array
    band_rps: Array

    @classmethod
    def joined(cls, parts: Sequence[Measures]) -> Self:
        """Return the measures of several runs of forecasts as one."""
        names = [entry.name for entry in fields(cls)]
        return cls(**{n: np.concatenate([getattr(part, n) for part in parts]) for n in names})


def measured(paths_rps: Array, realized_rps: Array) -> Measures:
    """Score forecasts.

    Args:
        paths_rps: equally likely paths, (forecasts, samples, horizon).
        realized_rps: (forecasts, horizon), NaN where there is no data.
    """
    logs, log_truth = np.log1p(paths_rps), np.log1p(realized_rps)
    quantiles = scores.path_quantiles(paths_rps, _LEVELS)
    log_quantiles = scores.path_quantiles(logs, _LEVELS)
    missing = np.isnan(realized_rps)
    low, high = scores.pit_bounds(paths_rps, realized_rps)

    def flags(condition: NDArray[np.bool_]) -> Array:
        return np.where(missing, np.nan, condition.astype(np.float64))

    def inside(share: float) -> Array:
        first, last = (_LEVELS.index(level) for level in _EDGES[share])
        return flags((realized_rps >= quantiles[first]) & (realized_rps <= quantiles[last]))

    return Measures(
        pinball_log=scores.quantile_loss(log_quantiles[_KEPT], log_truth),
        pinball_rps=scores.quantile_loss(quantiles[_KEPT], realized_rps),
        crps_log=scores.crps(logs, log_truth),
        crps_rps=scores.crps(paths_rps, realized_rps),
        mae_log=np.abs(log_quantiles[_MEDIAN] - log_truth),
        mae_rps=np.abs(quantiles[_MEDIAN] - realized_rps),
        covered=np.stack([inside(share) for share in SHARES], axis=-1),
        fairly_covered=np.stack(
            [fairly_covered(paths_rps, realized_rps, share) for share in SHARES], axis=-1
        ),
        below=np.stack([flags(realized_rps <= quantiles[at]) for at in _KEPT], axis=-1),
        pit_low=low,
        pit_high=high,
        energy_log=scores.energy_score(logs, log_truth),
        energy_rps=scores.energy_score(paths_rps, realized_rps),
        peak_error=scores.peak_error(paths_rps, realized_rps),
        band_rps=np.stack(
            [quantiles[_LEVELS.index(level)] for level in (0.05, 0.5, 0.95)], axis=-1
        ),
    )
