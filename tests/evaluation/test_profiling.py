"""Profiles measured over HTTP are estimated soundly and can be used as any other profile."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from markopt.capacity import OfferSelection, build_offers
from markopt.catalog import load_catalog, load_profiles
from markopt.cli import main
from markopt.core import Service, Slo
from markopt.errors import BackendError, ConfigError
from markopt.evaluation.profiling import (
    BatchTime,
    LoadPoint,
    ProfileSettings,
    ServerProfile,
    measure,
)
from markopt.evaluation.profiling.estimates import batch_time, quantile_interval_s
from markopt.evaluation.profiling.files import write_profile
from tests.cloud.local_worlds import deployment, needs_haproxy, settings, short_folder
from tests.cloud.worlds import offer

MEASURED = ServerProfile(
    url="http://127.0.0.1:1/",
    wait_s=0.0,
    path_s=0.002,
    confidence=0.95,
    batches=(
        BatchTime(1, 0.02, 0.019, 0.021, 0.02, 0.001, 30, 0),
        BatchTime(4, 0.05, 0.049, 0.051, 0.05, 0.001, 30, 0),
    ),
    loads=(LoadPoint(10.0, 9.9, 0.3, (0.02, 0.01, 0.03), (0.05, 0.04, 0.06), 0),),
)


def test_the_interval_of_a_mean_holds_it_as_often_as_it_says() -> None:
    rng = np.random.default_rng(0)
    held = 0
    for _ in range(2000):
        found = batch_time(1, rng.normal(0.05, 0.01, 8).tolist(), 0, 0.9)
        held += found.low_s <= 0.05 <= found.high_s
    assert held / 2000 == pytest.approx(0.9, abs=0.02)


@pytest.mark.parametrize("level", [0.5, 0.98])
def test_the_interval_of_a_quantile_holds_it_at_least_as_often_as_it_says(level: float) -> None:
    rng = np.random.default_rng(1)
    true_s = -0.05 * np.log1p(-level)
    held = 0
    for _ in range(2000):
        _, low_s, high_s = quantile_interval_s(rng.exponential(0.05, 200), level, 0.9)
        held += low_s <= true_s <= high_s
    assert 0.89 <= held / 2000 <= 0.97


def test_a_sample_too_small_for_a_bound_says_so() -> None:
    assert quantile_interval_s(np.array([0.1, 0.2]), 0.98, 0.95)[2] == np.inf


def test_a_measured_profile_is_a_profile_like_any_other(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    write_profile(MEASURED, "mine", "c5.large", path)
    (profile,) = load_profiles(str(path)).of("mine").values()
    assert profile.batch_sizes == (1, 4)
    assert profile.service_times_s == pytest.approx((0.02, 0.05))
    assert profile.service_time_s(2) == pytest.approx(0.03)
    assert profile.service_time_cv == pytest.approx(MEASURED.service_time_cv, abs=1e-4)
    selection = OfferSelection(instance_types=["c5.large"], purchase=["on_demand"])
    offers = build_offers(
        Service("mine", Slo(0.2, 0.98)),
        load_catalog(selection.catalog),
        {"c5.large": profile},
        selection,
    )
    assert [one.instance_type for one in offers] == ["c5.large"]


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"batch_sizes": (2, 4)}, "batch sizes"),
        ({"batch_sizes": (1, 4, 2)}, "batch sizes"),
        ({"repeats": 2}, "repeats"),
        ({"wait_s": -1.0}, "wait"),
        ({"load_shares": (1.0,)}, "load shares"),
        ({"confidence": 1.0}, "confidence"),
    ],
)
def test_a_setting_out_of_range_is_named(changes: dict[str, object], named: str) -> None:
    with pytest.raises(ConfigError, match=named):
        dataclasses.replace(ProfileSettings(), **changes)  # type: ignore[arg-type]


def test_a_server_that_does_not_answer_is_an_error() -> None:
    quick = ProfileSettings(warm_up=2, timeout_s=0.5)
    with pytest.raises(BackendError, match="2 of 2 warm-up requests"):
        measure("http://127.0.0.1:9/", quick)


@pytest.mark.parametrize("url", ["nowhere", "ftp://127.0.0.1/", "http://"])
def test_what_is_no_url_ends_with_code_2(url: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["profile", url, "--service", "s", "--platform", "c5.large"]) == 2
    assert "expected http://HOST:PORT/PATH" in capsys.readouterr().err


@needs_haproxy
def test_the_command_measures_a_server_and_writes_its_profile(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "mine.yaml"
    given = deployment(
        [offer(service_times_s=(0.05, 0.06))], fleet={"c5.large/on_demand": 1}, speed=1.0
    )
    with short_folder() as folder:
        backend = settings(folder, bouncer="none").open(given)
        try:
            words = "--service mine --platform c5.large --batch-sizes 1,2 --repeats 12"
            more = ["--load-requests", "20", "--output", str(output)]
            code = main(["profile", backend.url, *words.split(), *more])
        finally:
            backend.close()
    assert code == 0
    (profile,) = load_profiles(str(output)).of("mine").values()
    assert profile.platform == "c5.large"
    assert profile.batch_sizes == (1, 2)
    assert min(profile.service_times_s) > 0.0
    printed = capsys.readouterr().out
    assert f"catalog.profiles={output}" in printed.replace("\n", "")
    assert "Latency by load" in printed
