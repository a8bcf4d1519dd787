"""Cheap forecasters on the real Twitter trace, whose nights have holes."""

from __future__ import annotations

import csv
import gzip
import os
from pathlib import Path

import numpy as np
import pytest

from markopt.core import RateSeries
from markopt.forecasting import Forecaster, LastValue, SeasonalNaive
from markopt.forecasting.scores import coverage
from tests.forecasting.models import part

DAY = 1440
_ROOT = Path(__file__).resolve().parents[2]
_DATA = Path(os.environ.get("MARKOPT_DATA") or _ROOT.parent / "shared" / "data")
_TRACE = _DATA / "traces" / "twitter_2021-08_14d_per_second.csv.gz"


@pytest.fixture(scope="module")
def minutes() -> RateSeries:
    """Return four days of minutes; those with less than half of their seconds have no data."""
    if not _TRACE.exists():
        pytest.skip(f"needs the Twitter trace at {_TRACE} (set MARKOPT_DATA)")
    total, seconds = np.zeros(4 * DAY), np.zeros(4 * DAY)
    with gzip.open(_TRACE, "rt") as lines:
        for row in csv.DictReader(lines):
            minute = int(row["second"]) // 60
            if minute >= len(total):
                break
            total[minute] += float(row["requests"])
            seconds[minute] += 1.0
    rates = np.where(seconds >= 30.0, total / np.maximum(seconds, 1.0), np.nan)
    return RateSeries(0.0, 60.0, rates)


@pytest.mark.parametrize("forecaster", [LastValue(), SeasonalNaive()], ids=["last", "seasonal"])
def test_the_band_of_ninety_percent_holds_about_that_on_a_day_with_a_hole(
    forecaster: Forecaster, minutes: RateSeries
) -> None:
    assert np.isnan(minutes.rate_rps[3 * DAY :]).any()
    forecaster.fit(part(minutes, 0, 3 * DAY))
    rng, drawn, realized = np.random.default_rng(0), [], []
    for at in range(3 * DAY, 4 * DAY - 15):
        if at % 5 == 0:
            drawn.append(forecaster.forecast(15, 60, rng).paths_rps)
            realized.append(minutes.rate_rps[at : at + 15])
        forecaster.update(part(minutes, at, at + 1))
    share = coverage(np.array(drawn), np.array(realized)).mean()
    assert 0.8 < share < 0.97
