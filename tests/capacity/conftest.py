"""A cache folder of the tests' own, and one calibrated instance type for all of them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from markopt.capacity import CalibrationSettings, throughput_curve
from markopt.core import Offer, Slo, ThroughputCurve
from tests.capacity.services import offer, profile


@pytest.fixture(scope="session", autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("cache")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MARKOPT_CACHE", str(folder))
        yield folder


@pytest.fixture(scope="session")
def inception_on_c5_large() -> Offer:
    """MArk's Inception-v3: 284 requests a minute, one at a time."""
    return offer(profile([60.0 / 284.0], cv=0.02))


@pytest.fixture(scope="session")
def half_second() -> Slo:
    return Slo(0.5, 0.98)


@pytest.fixture(scope="session")
def settings() -> CalibrationSettings:
    return CalibrationSettings(sizes=(1, 2, 5, 12, 25), min_requests=60_000)


@pytest.fixture(scope="session")
def inception_curve(
    cache: Path, inception_on_c5_large: Offer, half_second: Slo, settings: CalibrationSettings
) -> ThroughputCurve:
    return throughput_curve(inception_on_c5_large, half_second, settings)
