"""The fleet factor: how much of its saturation throughput a fleet carries under the SLO."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from markopt.capacity import (
    CalibrationSettings,
    attainment,
    calibrate,
    fleet_factors,
    server_kind,
    slo_capacity_share,
    throughput_curve,
)
from markopt.core import Batching, Offer, RequiredThroughput, Slo, ThroughputCurve
from markopt.errors import ConfigError, DataError
from tests.capacity.services import fleet, offer, profile


def factor(curve: ThroughputCurve, instance: Offer, count: int) -> float:
    saturation_rps = count * instance.saturation_rps
    return curve.carried(saturation_rps) / saturation_rps


def test_one_inception_server_carries_a_quarter_and_25_carry_nearly_all(
    inception_curve: ThroughputCurve, inception_on_c5_large: Offer
) -> None:
    # 98 % in 0.5 s at 0.211 s a request; the figures that DESIGN states, less the margin.
    assert factor(inception_curve, inception_on_c5_large, 1) == pytest.approx(0.25, abs=0.035)
    assert factor(inception_curve, inception_on_c5_large, 25) == pytest.approx(0.95, abs=0.025)


def test_one_server_carries_what_the_waiting_time_of_m_d_1_says() -> None:
    """Crommelin's formula for P(W <= t) in M/D/1, against the calibrated load."""
    service_s, rt_max_s = 1.0, 3.0
    settings = CalibrationSettings(
        sizes=(1,), min_requests=400_000, miss_margin=0.0, precision=0.002
    )
    share = slo_capacity_share(
        fleet([offer(profile([service_s]))], [1]), Slo(rt_max_s, 0.95), settings
    )

    def waits_at_most(t: float, load: float) -> float:
        from math import exp, factorial, floor

        return (1.0 - load) * sum(
            (load * (k - t)) ** k / factorial(k) * exp(-load * (k - t)) for k in range(floor(t) + 1)
        )

    # Within precision and noise, the load is where 95 % wait no longer than RT_max - T.
    assert waits_at_most(rt_max_s - service_s, share - 0.012) > 0.95
    assert waits_at_most(rt_max_s - service_s, share + 0.012) < 0.95


def test_the_factor_rises_with_the_size_of_the_fleet(
    inception_on_c5_large: Offer, half_second: Slo, settings: CalibrationSettings
) -> None:
    kind = server_kind(inception_on_c5_large)
    factors = fleet_factors(kind, 1, half_second, settings)
    assert len(factors) == len(settings.sizes)
    assert factors == sorted(factors)
    assert factors[0] < 0.35 < 0.85 < factors[-1] <= settings.max_utilization


def test_the_factor_never_falls_when_rt_max_grows_or_the_slo_asks_for_less(
    inception_on_c5_large: Offer,
) -> None:
    quick = CalibrationSettings(min_requests=40_000, max_requests=60_000)
    few = fleet([inception_on_c5_large], [3])
    by_rt_max = [
        slo_capacity_share(few, Slo(rt_max_s, 0.98), quick)
        for rt_max_s in (0.2, 0.25, 0.4, 0.5, 0.8, 2.0)
    ]
    assert by_rt_max[0] == 0.0
    assert by_rt_max == sorted(by_rt_max)
    assert by_rt_max[-1] > 0.9
    by_level = [slo_capacity_share(few, Slo(0.5, level), quick) for level in (0.999, 0.98, 0.9)]
    assert by_level == sorted(by_level)
    assert by_level[0] < by_level[-1]


def test_the_margin_lowers_what_is_promised(inception_on_c5_large: Offer) -> None:
    few = fleet([inception_on_c5_large], [3])
    slo = Slo(0.5, 0.98)
    shares = [
        slo_capacity_share(few, slo, CalibrationSettings(min_requests=40_000, miss_margin=margin))
        for margin in (0.0, 0.2, 0.6)
    ]
    assert shares[0] >= shares[1] > shares[2]


def test_batches_that_would_be_late_at_a_middling_load_cap_the_factor() -> None:
    # A wait up to the last moment: full at once under high load, late at middling load.
    measured = profile([0.05, 0.06, 0.08, 0.15], sizes=[1, 4, 8, 16], cv=0.1)
    waiting = offer(measured, Batching(16, 0.16))
    slo = Slo(0.3, 0.98)
    quick = CalibrationSettings(min_requests=30_000, max_requests=40_000, precision=0.01)
    few = fleet([waiting], [4])
    share = slo_capacity_share(few, slo, quick)
    unit_arrivals_s = np.cumsum(np.random.default_rng(1).standard_exponential(30_000))
    for load in (0.3, 0.5, 0.7, 0.85):
        if load < share:
            met = attainment(few, slo, load * few.saturation_rps, unit_arrivals_s, 2)
            assert met >= slo.sl_min


def test_an_instance_that_never_meets_the_slo_gets_a_curve_that_nobody_would_buy(
    cache: Path,
) -> None:
    slow = offer(profile([1.0]))
    quick = CalibrationSettings(sizes=(1, 4), min_requests=5_000, max_requests=5_000)
    curve = throughput_curve(slow, Slo(0.5, 0.98), quick)
    assert curve.carried(1000 * slow.saturation_rps) < 0.01 * slow.saturation_rps
    assert float(curve.at(np.array([1.0]))[0]) > 1e5


def test_the_knots_are_what_the_calibrated_fleets_carry(
    inception_curve: ThroughputCurve, inception_on_c5_large: Offer, settings: CalibrationSettings
) -> None:
    throughput = [n * inception_on_c5_large.saturation_rps for n in settings.sizes]
    np.testing.assert_allclose(inception_curve.throughput_rps[1:], throughput)
    share = inception_curve.demand_rps[1:] / inception_curve.throughput_rps[1:]
    assert np.all(np.diff(share) >= 0.0)
    assert np.all(share <= settings.max_utilization)


def test_a_cached_curve_is_read_back_and_a_damaged_one_is_redone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, inception_on_c5_large: Offer
) -> None:
    monkeypatch.setenv("MARKOPT_CACHE", str(tmp_path))
    quick = CalibrationSettings(sizes=(1, 3), min_requests=5_000, max_requests=5_000)
    slo = Slo(0.5, 0.98)
    first = throughput_curve(inception_on_c5_large, slo, quick)
    (path,) = (tmp_path / "fleet_factor").glob("*.json")
    whole = path.read_text()

    measured: list[object] = []
    monkeypatch.setattr(
        "markopt.capacity.fleet_factor.fleet_factors",
        lambda *given: measured.append(given) or [0.1, 0.2],
    )
    hit = throughput_curve(inception_on_c5_large, slo, quick)
    assert not measured
    np.testing.assert_array_equal(hit.demand_rps, first.demand_rps)
    np.testing.assert_array_equal(hit.throughput_rps, first.throughput_rps)

    for damage in (whole[: len(whole) // 2], "", "null", "[]", '{"inputs": "other"}', "\x00\x01"):
        path.write_text(damage)
        measured.clear()
        redone = throughput_curve(inception_on_c5_large, slo, quick)
        assert len(measured) == 1, damage
        assert redone.demand_rps[1] == pytest.approx(0.1 * inception_on_c5_large.saturation_rps)
        # The file is whole again, and no temporary file is left.
        throughput_curve(inception_on_c5_large, slo, quick)
        assert len(measured) == 1, damage
        assert [p.name for p in path.parent.iterdir()] == [path.name]


def test_anything_that_changes_the_curve_changes_its_place_in_the_cache(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, inception_on_c5_large: Offer
) -> None:
    monkeypatch.setenv("MARKOPT_CACHE", str(tmp_path))
    monkeypatch.setattr(
        "markopt.capacity.fleet_factor.fleet_factors", lambda *given: [0.5] * len(given[3].sizes)
    )
    quick = CalibrationSettings(sizes=(1, 3))
    one = inception_on_c5_large
    variants = [
        (one, Slo(0.5, 0.98), quick),
        (one, Slo(0.6, 0.98), quick),
        (one, Slo(0.5, 0.99), quick),
        (one, Slo(0.5, 0.98), replace(quick, miss_margin=0.3)),
        (one, Slo(0.5, 0.98), replace(quick, seed=1)),
        (replace(one, servers=2), Slo(0.5, 0.98), quick),
        (replace(one, service_time_cv=0.1), Slo(0.5, 0.98), quick),
        (replace(one, service_times_s=(0.2,)), Slo(0.5, 0.98), quick),
    ]
    for at, variant in enumerate(variants, 1):
        throughput_curve(*variant)
        assert len(list((tmp_path / "fleet_factor").glob("*.json"))) == at
    # The price and the purchase option do not matter.
    throughput_curve(replace(one, name="x/spot", price_usd_per_s=9.0), Slo(0.5, 0.98), quick)
    assert len(list((tmp_path / "fleet_factor").glob("*.json"))) == len(variants)


def test_a_cache_that_cannot_be_written_costs_speed_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, inception_on_c5_large: Offer
) -> None:
    (tmp_path / "file").write_text("not a folder")
    monkeypatch.setenv("MARKOPT_CACHE", str(tmp_path / "file"))
    quick = CalibrationSettings(sizes=(1,), min_requests=5_000, max_requests=5_000)
    curve = throughput_curve(inception_on_c5_large, Slo(0.5, 0.98), quick)
    assert curve.carried(inception_on_c5_large.saturation_rps) > 0.0


def test_calibrating_offers_of_one_instance_type_gives_one_curve_and_shows_progress(
    inception_on_c5_large: Offer,
) -> None:
    spot = replace(inception_on_c5_large, name="c5.large/spot")
    other = replace(inception_on_c5_large, name="x/on_demand", instance_type="x")
    quick = CalibrationSettings(sizes=(1,), min_requests=5_000, max_requests=5_000)
    shown: list[str] = []

    def progress(names: object) -> object:
        for name in names:  # type: ignore[attr-defined]
            shown.append(name)
            yield name

    required = calibrate(
        [inception_on_c5_large, spot, other],
        Slo(0.5, 0.98),
        quick,
        progress=progress,  # type: ignore[arg-type]
    )
    assert list(required.curves) == ["c5.large", "x"] == shown


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("sizes", ()),
        ("sizes", (0, 1)),
        ("sizes", (2, 2)),
        ("miss_margin", 1.0),
        ("miss_margin", -0.1),
        ("max_utilization", 0.0),
        ("max_utilization", 1.01),
        ("min_requests", 0),
        ("precision", float("nan")),
    ],
)
def test_a_calibration_setting_out_of_range_is_an_error_that_names_it(
    key: str, value: object
) -> None:
    with pytest.raises(ConfigError, match=rf"calibration\.{key}: must"):
        CalibrationSettings(**{key: value})  # type: ignore[arg-type]


@st.composite
def curves(draw: st.DrawFn) -> ThroughputCurve:
    steps = draw(st.lists(st.floats(0.1, 50.0), min_size=1, max_size=6))
    factors = sorted(draw(st.lists(st.floats(0.1, 1.0), min_size=len(steps), max_size=len(steps))))
    throughput = np.concatenate([[0.0], np.cumsum(steps)])
    return ThroughputCurve(throughput * np.array([1.0, *factors]), throughput)


rates = st.floats(0.0, 500.0)


@given(curves(), curves(), st.floats(0.01, 0.99), rates, rates)
def test_required_throughput_of_a_mix_rises_with_the_demand_and_covers_it(
    one: ThroughputCurve, other: ThroughputCurve, share: float, a: float, b: float
) -> None:
    required = RequiredThroughput({"one": one, "other": other})
    mixed = {"one": share, "other": 1.0 - share}
    low, high = (float(required.at(np.array([x]), mixed)[0]) for x in sorted((a, b)))
    assert low <= high * (1 + 1e-12)
    assert high >= max(a, b) * (1 - 1e-9)
    # Shares need not sum to one, and a mix of one kind is that kind.
    scaled = {"one": 7.0 * share, "other": 7.0 * (1.0 - share)}
    assert required.at(np.array([a]), scaled) == pytest.approx(required.at(np.array([a]), mixed))
    assert required.at(np.array([a]), {"one": 3.0})[0] == pytest.approx(one.at(np.array([a]))[0])


@given(curves(), st.floats(0.01, 0.99), rates)
def test_a_mixed_fleet_needs_no_less_than_one_of_a_kind_and_no_more_than_its_parts_apart(
    one: ThroughputCurve, share: float, rate: float
) -> None:
    required = RequiredThroughput({"one": one, "twin": one})
    whole = float(one.at(np.array([rate]))[0])
    mixed = float(required.at(np.array([rate]), {"one": share, "twin": 1.0 - share})[0])
    apart = float(one.at(np.array([share * rate]))[0] + one.at(np.array([(1 - share) * rate]))[0])
    assert mixed == pytest.approx(apart)
    convex = np.all(np.diff(np.diff(one.throughput_rps) / np.diff(one.demand_rps)) <= 1e-9)
    if convex:  # pooling throughout: the slope of Q falls
        assert mixed >= whole * (1 - 1e-9)


@given(curves(), st.floats(0.0, 500.0))
def test_what_is_carried_needs_just_what_there_is(curve: ThroughputCurve, rate: float) -> None:
    needed = float(curve.at(np.array([rate]))[0])
    assert curve.carried(needed) == pytest.approx(rate, rel=1e-6, abs=1e-6)


def test_a_mix_without_a_share_or_with_an_unknown_type_is_an_error(
    inception_curve: ThroughputCurve,
) -> None:
    required = RequiredThroughput({"c5.large": inception_curve})
    with pytest.raises(DataError, match="positive share, got none"):
        required.at(np.array([1.0]), {"c5.large": 0.0})
    with pytest.raises(DataError, match="no curve for instance type 'p9'"):
        required.at(np.array([1.0]), {"p9": 1.0})
