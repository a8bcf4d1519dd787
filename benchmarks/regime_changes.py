"""Measure how soon calibrated bands hold what they claim after a change of regime.

Run from the repository root: ``.venv/bin/python benchmarks/regime_changes.py``. Prints the table
and writes it to ``benchmarks/results/regime_changes.md``. Half a minute.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from markopt.core import RateSeries  # noqa: E402
from markopt.forecasting import Calibrated, LastValue  # noqa: E402
from markopt.forecasting.fair_coverage import fairly_covered  # noqa: E402

RESULT = ROOT / "benchmarks" / "results" / "regime_changes.md"
INTERVAL_S = 60.0
FITTED, CHANGE, AFTER = 500, 700, 120
HORIZON, SAMPLES, SEEDS = 2, 40, 12
KINDS = {
    "variance four times as large": "variance",
    "level 2.5 times as high": "level",
    "bursts of 3 in 12 minutes, three times as high": "bursts",
}


def rates(kind: str, seed: int) -> NDArray[np.float64]:
    """Return minutes of independent noise of 10 % that change at ``CHANGE``."""
    rng = np.random.default_rng(seed)
    at = np.arange(CHANGE + AFTER + HORIZON)
    after, noise = at >= CHANGE, rng.standard_normal(len(at))
    if kind == "variance":
        return 100.0 * np.exp(np.where(after, 0.2, 0.1) * noise)
    if kind == "level":
        return np.where(after, 250.0, 100.0) * np.exp(0.1 * noise)
    return 100.0 * np.where(after & (at % 12 < 3), 3.0, 1.0) * np.exp(0.1 * noise)


def coverage(kind: str, seed: int) -> NDArray[np.float64]:
    """Return the share of outcomes within the 90 % band of calibrated last value, by minute."""
    realized = rates(kind, seed)
    series = RateSeries(0.0, INTERVAL_S, realized)
    forecaster = Calibrated(LastValue()).fit(series.part(0, FITTED))
    rng, inside = np.random.default_rng(0), []
    for at in range(FITTED, CHANGE + AFTER):
        paths = forecaster.forecast(HORIZON, SAMPLES, rng).paths_rps
        inside.append(fairly_covered(paths, realized[at : at + HORIZON]).mean())
        forecaster.update(series.part(at, at + 1))
    return np.array(inside[CHANGE - FITTED :])


def main() -> None:
    rows = []
    for title, kind in KINDS.items():
        by_minute = 100.0 * np.mean([coverage(kind, seed) for seed in range(SEEDS)], axis=0)
        parts = [by_minute[k : k + 20].mean() for k in range(0, AFTER, 20)]
        hours = [by_minute[:60].mean(), by_minute[60:].mean()]
        cells = [f"{value:.0f} %" for value in (*parts, *hours)]
        rows.append(f"| {title} | {' | '.join(cells)} |")
        print(rows[-1], flush=True)
    heads = [f"{k}–{k + 20} min" for k in range(0, AFTER, 20)]  # noqa: RUF001
    text = f"""# Coverage after a change of regime

`.venv/bin/python benchmarks/regime_changes.py`

Share of outcomes within the 90 % band of `Calibrated(LastValue())` after the change, mean over
{HORIZON} steps of a minute and {SEEDS} seeds; 500 minutes to learn from, 200 minutes of forecasts
before it. Goal: 88 to 92 % within an hour.

| change | {" | ".join(heads)} | first hour | second hour |
|{"---|" * (len(heads) + 3)}
{chr(10).join(rows)}
"""
    RESULT.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
