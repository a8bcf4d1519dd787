"""Measure what every forecaster costs per interval, its refits amortised, and what importing costs.

Run from the repository root: ``.venv/bin/python benchmarks/forecasting.py [NAME ...]``. Prints its
table and writes it to ``benchmarks/results/forecasting.md``. Some minutes on two slow cores.
``benchmarks/forecasting.py training`` measures how long the LSTM trains on two weeks of minutes and
writes ``benchmarks/results/lstm_training.md``.
"""

from __future__ import annotations

import os
import platform
import subprocess
import sys
import tempfile
import time
from importlib.metadata import version
from pathlib import Path
from statistics import median

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from markopt.composition import compose, instantiate  # noqa: E402
from markopt.core import RateSeries  # noqa: E402
from markopt.forecasting import Forecaster, Oracle  # noqa: E402

RESULT = ROOT / "benchmarks" / "results" / "forecasting.md"
INTERVAL_S = 60.0
DAY = 1440
HISTORY, MEASURED, HORIZON, SAMPLES = 10 * DAY, 60, 30, 100
TRAINING_DAYS = 14
TRAINING = ROOT / "benchmarks" / "results" / "lstm_training.md"
GOAL_MS = 20.0
TRAINING_GOAL_S = 120.0
IMPORT_GOAL_S = 0.5
NAMES = (
    *("last_value", "drift", "ewma", "seasonal_naive", "same_time_last_week", "holt_winters"),
    *("kalman_level", "arima", "arima_auto", "sarima", "stl_arima", "mark_lstm", "lstm"),
    *("lstm_calibrated", "statsforecast", "statsforecast_auto_arima"),
    *("statsforecast_auto_theta", "statsforecast_mstl", "combination", "oracle"),
)


def trace(count: int) -> RateSeries:
    """Return minutes with a day, a half-hourly burst and noise that lasts."""
    rng = np.random.default_rng(0)
    at = np.arange(count)
    wander = np.zeros(count)
    for index in range(1, count):
        wander[index] = 0.9 * wander[index - 1] + 0.03 * rng.standard_normal()
    burst = np.where(at % 30 < 4, 0.5, 0.0)
    logs = 6.0 + 0.4 * np.sin(2.0 * np.pi * at / DAY) + burst + wander
    return RateSeries(0.0, INTERVAL_S, np.exp(logs + 0.05 * rng.standard_normal(count)))


def configured(name: str, series: RateSeries) -> Forecaster:
    forecaster: Forecaster = instantiate(compose([f"forecaster={name}"]).config.forecaster, name)
    return forecaster.with_rates(series) if isinstance(forecaster, Oracle) else forecaster


def part(series: RateSeries, first: int, last: int) -> RateSeries:
    rates = series.rate_rps[first:last]
    return RateSeries(series.start_s + first * INTERVAL_S, INTERVAL_S, rates)


def refitting(forecaster: Forecaster) -> list[Forecaster]:
    """Return the forecaster and those within it, of which each fits again while it is updated."""
    within = [
        getattr(forecaster, "forecaster", None),
        *getattr(forecaster, "forecasters", {}).values(),
    ]
    return [one for one in (forecaster, *within) if getattr(one, "refit_every", None)]


def refit_ms(forecaster: Forecaster, series: RateSeries, first: int, update_s: float) -> float:
    """Return the time of a fit by the members that fit again, over the intervals in between."""
    total_s = 0.0
    for at, one in enumerate(refitting(forecaster), start=first):
        every, one.refit_every = one.refit_every, 1  # type: ignore[attr-defined]
        begin_s = time.process_time()
        forecaster.update(part(series, at, at + 1))
        total_s += max(time.process_time() - begin_s - update_s, 0.0) / every
        one.refit_every = every  # type: ignore[attr-defined]
    return 1e3 * total_s


def measured(name: str, series: RateSeries) -> list[float]:
    """Return fit seconds, then update, forecast and amortised refit in milliseconds (CPU)."""
    forecaster = configured(name, series)
    begin_s = time.process_time()
    forecaster.fit(part(series, 0, HISTORY))
    fit_s = time.process_time() - begin_s
    rng, updates, forecasts = np.random.default_rng(0), [], []
    for at in range(HISTORY, HISTORY + MEASURED):
        begin_s = time.process_time()
        forecaster.update(part(series, at, at + 1))
        middle_s = time.process_time()
        forecaster.forecast(HORIZON, SAMPLES, rng)
        updates.append(middle_s - begin_s)
        forecasts.append(time.process_time() - middle_s)
    warm = slice(10, None)
    return [
        fit_s,
        1e3 * median(updates[warm]),
        1e3 * median(forecasts[warm]),
        refit_ms(forecaster, series, HISTORY + MEASURED, median(updates[warm])),
    ]


def import_s() -> tuple[float, list[str]]:
    """Return the least CPU time of five imports, and which heavy packages came with it."""
    code = (
        "import sys, time; begin_s = time.process_time(); import markopt.forecasting; "
        "print(time.process_time() - begin_s, "
        "*sorted({'torch', 'statsmodels', 'statsforecast'} & set(sys.modules)))"
    )
    answers = [
        subprocess.run(
            [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
        ).stdout.split()
        for _ in range(5)
    ]
    return min(float(answer[0]) for answer in answers), answers[0][1:]


def machine() -> str:
    return (
        f"{os.cpu_count()} cores ({platform.machine()}), Python {platform.python_version()}, numpy "
        f"{version('numpy')}, statsmodels {version('statsmodels')}, statsforecast "
        f"{version('statsforecast')}, torch {version('torch')}"
    )


def train() -> None:
    """Fit the LSTM at its default settings to two weeks of minutes, its cache empty."""
    series = trace(TRAINING_DAYS * DAY)
    forecaster = configured("lstm", series)
    import torch  # noqa: F401  (loaded before, as import is no training)

    with tempfile.TemporaryDirectory() as cache:
        os.environ["MARKOPT_CACHE"] = cache
        begin_s, begin_cpu_s = time.perf_counter(), time.process_time()
        forecaster.fit(series)
        elapsed_s = time.perf_counter() - begin_s
        cpu_s = time.process_time() - begin_cpu_s
    load = os.getloadavg()[0]
    text = f"""# How long the LSTM trains

`.venv/bin/python benchmarks/forecasting.py training` on {machine()}.

`forecaster=lstm` as configured, on {len(series)} minutes ({TRAINING_DAYS} days), its cache empty:
{cpu_s:.0f} s of CPU time on one thread, {elapsed_s:.0f} s elapsed while {load:.1f} processes asked
for the {os.cpu_count()} cores. Goal: {TRAINING_GOAL_S:.0f} s.
"""
    print(text)
    TRAINING.write_text(text, encoding="utf-8")


def main(names: list[str]) -> None:
    if names == ["training"]:
        train()
        return
    series = trace(HISTORY + MEASURED + 10)
    rows = []
    with tempfile.TemporaryDirectory() as cache:
        os.environ["MARKOPT_CACHE"] = cache  # so that training is measured, once
        for name in names:
            fit_s, update_ms, forecast_ms, again_ms = measured(name, series)
            total_ms = update_ms + forecast_ms + again_ms
            verdict = "yes" if total_ms <= GOAL_MS else "**no**"
            rows.append(
                f"| `{name}` | {fit_s:.1f} | {update_ms:.2f} | {forecast_ms:.2f} | {again_ms:.2f} "
                f"| {total_ms:.2f} | {verdict} |"
            )
            print(rows[-1], flush=True)
    seconds, loaded = import_s()
    text = f"""# What a forecast costs

`.venv/bin/python benchmarks/forecasting.py` on {machine()}.

CPU time of this process: fit once to {HISTORY // DAY} days of minutes, then the median update with
one interval, the median forecast of {SAMPLES} paths x {HORIZON} steps, and a refit divided by the
intervals between two. Goal: at most {GOAL_MS:.0f} ms in all, at the settings of `conf/forecaster/`.
The networks' weights are cached: `lstm_calibrated` and `combination` find those of `lstm`.

| forecaster | fit, s | update, ms | forecast, ms | refit amortised, ms | in all, ms | within goal |
|---|---|---|---|---|---|---|
{chr(10).join(rows)}

Importing `markopt.forecasting` takes {seconds:.2f} s of CPU time (goal {IMPORT_GOAL_S} s) and
loads, of torch, statsmodels and statsforecast, {", ".join(loaded) or "none"}.
"""
    print(text)
    if names == list(NAMES):
        RESULT.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:] or list(NAMES))
