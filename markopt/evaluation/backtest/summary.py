"""A backtest in numbers: by step of the horizon, in all, and a stretch of forecasts."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from markopt.evaluation.backtest.measures import SHARES, Measures
from markopt.evaluation.backtest.rolling import Clock
from markopt.evaluation.backtest.study import Backtest
from markopt.forecasting import scores

BACKTEST_SCHEMA = "markopt.backtest/2"
BY_STEP = ("pinball_log", "pinball_rps", "crps_log", "crps_rps", "mae_log", "mae_rps")
PIT_BINS = 20
STRETCH_INTERVALS = 480
Row = dict[str, Any]


def rounded(value: float | np.floating[Any]) -> float | None:
    """Return six significant digits, so that files stay small; None for what is not known."""
    return float(f"{value:.6g}") if np.isfinite(value) else None


def step_rows(result: Backtest) -> list[Row]:
    """Return one row per forecaster and step of the horizon."""
    rows: list[Row] = []
    interval_s = result.load.series.interval_s
    for name, found in result.measures.items():
        means = {key: scores.mean_by_step(getattr(found, key)) for key in BY_STEP}
        closed, fair = (_by_share(held) for held in (found.covered, found.fairly_covered))
        known = np.isfinite(found.mae_rps).sum(axis=0)
        rows += [
            {
                "forecaster": name,
                "step": step + 1,
                "lead_s": (step + 1) * interval_s,
                "forecasts": int(known[step]),
                **{key: rounded(values[step]) for key, values in means.items()},
                **{
                    f"coverage_{_percent(share)}": rounded(values[step])
                    for share, values in closed.items()
                },
                **{
                    f"fair_coverage_{_percent(share)}": rounded(values[step])
                    for share, values in fair.items()
                },
            }
            for step in range(found.mae_rps.shape[1])
        ]
    return rows


def _by_share(held: NDArray[np.float64]) -> dict[float, NDArray[np.float64]]:
    """Return the covered share by step of the horizon, for each band."""
    return {share: scores.mean_by_step(held[..., at]) for at, share in enumerate(SHARES)}


def _percent(share: float) -> str:
    return f"{100.0 * share:g}"


def document(result: Backtest) -> dict[str, Any]:
    """Return the backtest as ``summary.json`` has it: same configuration, same bytes."""
    load, missing = result.load, result.load.missing()
    settings = asdict(result.settings)
    return {
        "schema": BACKTEST_SCHEMA,
        "trace": load.name,
        "seed": result.seed,
        "interval_s": load.series.interval_s,
        "start_s": load.start_s,
        "train": {"intervals": load.first, "without_data": missing[0]},
        "test": {
            "intervals": len(load.series) - load.first,
            "without_data": missing[1],
            "mean_rps": _mean(load.series.rate_rps[load.first :]),
            "max_rps": rounded(np.nanmax(load.series.rate_rps[load.first :], initial=-np.inf)),
        },
        "origins": len(result.starts),
        "settings": {k: list(v) if isinstance(v, tuple) else v for k, v in settings.items()},
        "forecasters": {name: _overall(found) for name, found in result.measures.items()},
        "refused": dict(result.refused),
    }


def _overall(found: Measures) -> dict[str, Any]:
    """Return a forecaster's means over all forecasts and steps, and its calibration."""
    levels = scores.mean_by_step(found.below.reshape(-1, found.below.shape[-1]))
    peak = found.peak_error
    return {
        **{key: _mean(getattr(found, key)) for key in BY_STEP},
        "energy_log": _mean(found.energy_log),
        "energy_rps": _mean(found.energy_rps),
        "peak_error": _mean(np.abs(peak)),
        "peak_bias": _mean(peak),
        "coverage": {
            _percent(share): _mean(found.covered[..., at]) for at, share in enumerate(SHARES)
        },
        "fair_coverage": {
            _percent(share): _mean(found.fairly_covered[..., at]) for at, share in enumerate(SHARES)
        },
        "pit": [rounded(v) for v in scores.pit_histogram(found.pit_low, found.pit_high, PIT_BINS)],
        "reliability": {
            f"{level:g}": rounded(value) for level, value in zip(scores.LEVELS, levels, strict=True)
        },
    }


def _mean(values: ArrayLike) -> float | None:
    array = np.asarray(values, dtype=np.float64)
    known = array[np.isfinite(array)]
    return rounded(known.mean()) if known.size else None


def stretch_rows(result: Backtest) -> list[Row]:
    """Return what was forecast half a horizon ahead, around the largest rate of the test.

    At most ``STRETCH_INTERVALS`` long: time since the test began, realised rate, 5, 50 and 95 %
    quantile.
    """
    load, starts = result.load, result.starts
    lead = (result.settings.horizon - 1) // 2
    spoken = np.asarray(starts) + lead
    rates = load.series.rate_rps[spoken]
    if np.isnan(rates).all():
        return []
    peak = int(spoken[np.nanargmax(rates)])
    latest_begin = max(int(spoken[-1]) - STRETCH_INTERVALS + 1, int(spoken[0]))
    begin = min(max(peak - STRETCH_INTERVALS // 2, int(spoken[0])), latest_begin)
    chosen = np.flatnonzero((spoken >= begin) & (spoken < begin + STRETCH_INTERVALS))
    interval_s = load.series.interval_s
    return [
        {
            "forecaster": name,
            "time_s": float((spoken[at] - load.first) * interval_s),
            "lead_s": (lead + 1) * interval_s,
            "realized_rps": rounded(rates[at]),
            **{
                f"p{level}_rps": rounded(found.band_rps[at, lead, place])
                for place, level in enumerate(("05", "50", "95"))
            },
        }
        for name, found in result.measures.items()
        for at in chosen
    ]


def timing(clock: Clock) -> dict[str, Any]:
    """Return clock readings: fits in all, and update and forecast of one interval, seconds.

    ``interval_s`` is the mean of both together, so that refits within updates count; ``…cpu_s``
    is CPU time in place of elapsed time.
    """
    parts = {
        "fit": np.array(clock.fit_s).reshape(-1, 2),
        "update": np.array(clock.update_s).reshape(-1, 2),
        "forecast": np.array(clock.forecast_s).reshape(-1, 2),
    }

    def spread(values: Any) -> dict[str, float | None]:
        if not len(values):
            return {"median": None, "p98": None, "mean": None}
        return {
            "median": float(np.median(values)),
            "p98": float(np.quantile(values, 0.98)),
            "mean": float(values.mean()),
        }

    means = [part.mean(axis=0) for key, part in parts.items() if key != "fit" and len(part)]
    interval_s, interval_cpu_s = np.sum(means, axis=0)
    return {
        "fits": len(parts["fit"]),
        "fit_s": float(parts["fit"][:, 0].sum()),
        "fit_cpu_s": float(parts["fit"][:, 1].sum()),
        "update_s": spread(parts["update"][:, 0]),
        "forecast_s": spread(parts["forecast"][:, 0]),
        "interval_s": float(interval_s),
        "interval_cpu_s": float(interval_cpu_s),
    }
