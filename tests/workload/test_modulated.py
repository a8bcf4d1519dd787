from dataclasses import fields, replace

import numpy as np
import pytest
import yaml

from markopt.errors import DataError
from markopt.workload import BurstClock, ModulatedTraceModel, read_model, read_trace

CLOCK = BurstClock(
    probability=np.full(24, 0.5),
    offset_s=120.0,
    spread_s=60.0,
    log_height=1.4,
    log_height_sd=0.2,
    log_height_max=1.6,
    plateau_s=400.0,
    plateau_sd_s=200.0,
    decay_s=120.0,
)
CALM = ModulatedTraceModel(
    level_rps=50.0,
    cosine=np.array([-0.3]),
    sine=np.array([0.2]),
    autoregression=np.array([0.6, 0.2]),
    innovation_sd=0.03,
    noise_shape=200.0,
)
QUIET = replace(CALM, cosine=np.zeros(1), sine=np.zeros(1), innovation_sd=0.0)


def rng(seed=1):
    return np.random.default_rng(seed)


def test_the_same_seed_draws_the_same_trace():
    model = replace(CALM, bursts=(CLOCK,))
    one, two = (model.draw("t", 86400.0, 10.0, rng()) for _ in range(2))
    np.testing.assert_array_equal(one.rate_rps, two.rate_rps)
    assert np.any(model.draw("t", 86400.0, 10.0, rng(2)).rate_rps != one.rate_rps)


def test_counts_are_whole_and_bins_are_as_asked():
    trace = CALM.draw("t", 3600.0, 10.0, rng())
    assert len(trace.rate_rps) == 360
    counts = trace.rate_rps * 10.0
    np.testing.assert_allclose(counts, np.rint(counts), atol=1e-9)


def test_the_daily_profile_shows_in_the_rates():
    model = replace(CALM, innovation_sd=0.0)
    rates = model.rates(2 * 86400.0, 60.0, rng())
    np.testing.assert_allclose(rates[:1440], rates[1440:])
    at = 60.0 * (np.arange(1440) + 0.5) * 2.0 * np.pi / 86400.0
    np.testing.assert_allclose(rates[:1440], 50.0 * np.exp(-0.3 * np.cos(at) + 0.2 * np.sin(at)))


def test_counts_within_bins_are_dispersed_as_gamma_noise_says():
    counts = QUIET.draw("t", 10 * 86400.0, 10.0, rng()).rate_rps * 10.0
    assert counts.mean() == pytest.approx(500.0, rel=0.005)
    assert counts.var() / counts.mean() == pytest.approx(1.0 + 500.0 / 200.0, rel=0.03)


def test_the_drift_has_the_variance_and_correlation_of_its_autoregression():
    model = replace(QUIET, innovation_sd=0.03)
    log_rates = np.log(model.rates(40 * 86400.0, 60.0, rng())[::2] / 50.0)
    on_minutes = np.log(model.rates(60.0 * 57600, 60.0, rng()) / 50.0)
    first = 0.6 / (1.0 - 0.2)
    variance = 0.03**2 / (1.0 - 0.6 * first - 0.2 * (0.6 * first + 0.2))
    # Bins are read in their middle, between two minutes.
    assert on_minutes.var() == pytest.approx(variance * (1.0 + first) / 2.0, rel=0.05)
    assert abs(log_rates.mean()) < 0.005


def test_bursts_come_as_often_and_as_high_as_told_and_by_the_clock():
    model = replace(QUIET, bursts=(CLOCK,))
    lift = np.log(model.rates(400 * 3600.0, 10.0, rng()) / 50.0).reshape(400, 360)
    assert lift.max() <= 1.6 + 1e-9
    starts = np.argmax(lift > 0.5, axis=1) * 10.0
    came = lift[:, 13:60].max(axis=1) > 0.5
    assert came.mean() == pytest.approx(0.5, abs=0.1)
    assert np.all((starts[came] >= 110.0) & (starts[came] <= 190.0))
    assert lift[came].max(axis=1).mean() == pytest.approx(1.36, abs=0.06)


def test_bursts_do_not_pile_up():
    always = replace(CLOCK, probability=np.ones(24), plateau_s=3000.0, plateau_sd_s=10.0)
    rates = replace(QUIET, bursts=(always, always)).rates(86400.0, 10.0, rng())
    assert rates.max() <= 50.0 * np.exp(1.6) * (1.0 + 1e-9)


def test_a_duration_of_part_of_a_bin_is_refused():
    with pytest.raises(DataError, match="whole number of bins of 10 s, got 25"):
        CALM.draw("t", 25.0, 10.0, rng())


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"level_rps": 0.0}, "level_rps must be positive"),
        ({"noise_shape": np.inf}, "noise_shape must be positive"),
        ({"innovation_sd": -1.0}, "innovation_sd must be at least 0"),
        ({"cosine": np.zeros(2)}, "as many cosines as sines, got 2 and 1"),
        ({"sine": np.array([np.nan])}, "sine must be finite"),
        ({"autoregression": np.array([0.9, 0.2])}, "must be stationary"),
    ],
)
def test_models_out_of_range_are_refused(changes, message):
    with pytest.raises(DataError, match=message):
        replace(CALM, **changes)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"probability": np.ones(3)}, "must be 24 numbers"),
        ({"probability": np.full(24, 1.5)}, r"must be 24 numbers within 0\.\.1"),
        ({"offset_s": -1.0}, "offset_s must be at least 0, got -1.0"),
        ({"decay_s": 0.0}, "decay_s must be positive"),
    ],
)
def test_burst_clocks_out_of_range_are_refused(changes, message):
    with pytest.raises(DataError, match=message):
        replace(CLOCK, **changes)


def document_of(model):
    values = {f.name: getattr(model, f.name) for f in fields(model)}
    values["bursts"] = [
        {f.name: np.asarray(getattr(clock, f.name)).tolist() for f in fields(clock)}
        for clock in model.bursts
    ]
    return {k: v.tolist() if isinstance(v, np.ndarray) else v for k, v in values.items()}


def test_a_model_is_read_back_as_written(tmp_path):
    model = replace(CALM, bursts=(CLOCK,))
    path = tmp_path / "model.yaml"
    path.write_text(yaml.safe_dump({"model": document_of(model)}))
    assert document_of(read_model(path)) == document_of(model)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda d: d.pop("sine"), "expected the keys"),
        (lambda d: d.update(level="x"), "expected the keys"),
        (lambda d: d.update(level_rps="high"), "level_rps must be a number, got 'high'"),
        (lambda d: d.update(sine=0.5), "sine must be a list of numbers"),
        (lambda d: d.update(bursts=3), "bursts must be a list"),
        (lambda d: d.update(bursts=[{"offset_s": 3}]), "expected the keys probability"),
        (lambda d: d.update(level_rps=-4), "level_rps must be positive"),
    ],
)
def test_a_model_file_that_is_wrong_is_named(tmp_path, change, message):
    document = document_of(CALM)
    change(document)
    path = tmp_path / "model.yaml"
    path.write_text(yaml.safe_dump({"model": document}))
    with pytest.raises(DataError, match=message) as raised:
        read_model(path)
    assert "model.yaml" in str(raised.value)


@pytest.mark.parametrize("text", ["model: [", "3", "other: 4", "model: 4"])
def test_a_file_without_a_model_is_refused(tmp_path, text):
    path = tmp_path / "model.yaml"
    path.write_text(text)
    with pytest.raises(DataError, match=r"model\.yaml: (cannot be read|expected an entry)"):
        read_model(path)


def test_a_missing_model_file_is_named():
    with pytest.raises(DataError, match=r"nowhere\.yaml: no such file"):
        read_model("nowhere.yaml")


def test_the_shipped_sample_is_four_days_drawn_from_the_shipped_model():
    sample = read_trace("traces/sample.csv.gz")
    model = read_model("traces/sample.yaml")
    assert (sample.bin_s, sample.duration_s, sample.gaps) == (10.0, 4 * 86400.0, ())
    again = model.draw("sample", 4 * 86400.0, 10.0, np.random.default_rng(20210802))
    # Another build of the mathematics library may round a rate, and so a count, the other way.
    assert np.mean(again.rate_rps == sample.rate_rps) > 0.99
    assert sample.rate_rps.mean() == pytest.approx(65.0, abs=5.0)
    assert sample.mean_rates(0.0, 60.0, 5760).max() > 4.0 * sample.rate_rps.mean()
