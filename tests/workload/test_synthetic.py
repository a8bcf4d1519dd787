import tracemalloc

import numpy as np
import pytest

from markopt.errors import ConfigError, DataError
from markopt.workload import (
    MapWorkload,
    MmppWorkload,
    PoissonWorkload,
    StressWorkload,
    realised_rates,
)

D0 = [[-40.01, 0.002], [0.004, -160.02]]
D1 = [[40.0, 0.008], [0.016, 160.0]]
SHORT = {"history_s": 3600.0, "evaluate_s": 1800.0}
BUILDERS = {
    "poisson": PoissonWorkload((30.0, 60.0), 600.0, **SHORT),
    "mmpp": MmppWorkload(**SHORT),
    "map": MapWorkload(D0, D1, **SHORT),
    "stress": StressWorkload(),
}
every_builder = pytest.mark.parametrize("builder", BUILDERS.values(), ids=BUILDERS.keys())


@every_builder
def test_the_history_ends_where_the_evaluated_span_begins(builder):
    workload = builder.build()
    assert workload.history.start_s == 0.0
    assert workload.history.end_s == workload.start_s == 3600.0
    assert workload.end_s == 5400.0
    assert len(workload.history) == 60


@every_builder
def test_the_history_is_fixed_by_the_seed_of_the_workload_alone(builder):
    first, again = builder.build(), builder.build()
    np.testing.assert_array_equal(first.history.rate_rps, again.history.rate_rps)
    other = type(builder)(**{**vars(builder), "seed": 1}).build()
    assert np.any(other.history.rate_rps != first.history.rate_rps)


@every_builder
def test_counts_equal_what_a_simulation_with_the_same_generator_sees(builder):
    workload = builder.build()
    counted = realised_rates(workload, 60.0, np.random.default_rng(12))
    process, rng = workload.new_arrivals(), np.random.default_rng(12)
    for k in range(30):
        start_s = workload.start_s + 60.0 * k
        seen = process.arrivals(start_s, start_s + 60.0, rng)
        assert len(seen) == round(counted.rate_rps[k] * 60.0)
    assert counted.start_s == workload.start_s
    assert len(counted) == 30


@every_builder
def test_a_finer_count_adds_up_to_the_coarser_one(builder):
    workload = builder.build()
    coarse = realised_rates(workload, 60.0, np.random.default_rng(12)).rate_rps
    fine = realised_rates(workload, 5.0, np.random.default_rng(12)).rate_rps
    np.testing.assert_allclose(fine.reshape(-1, 12).mean(axis=1), coarse)


@pytest.mark.parametrize("name", ["poisson", "mmpp", "stress"])
def test_scale_multiplies_the_load(name):
    builder = BUILDERS[name]
    plain = builder.build()
    scaled = type(builder)(**{**vars(builder), "scale": 9.0}).build()
    ratio = scaled.history.rate_rps.mean() / plain.history.rate_rps.mean()
    assert ratio == pytest.approx(9.0, rel=0.05 if name != "mmpp" else 0.6)


def test_scale_multiplies_the_stationary_rate_of_markovian_load_exactly():
    assert MmppWorkload(scale=3.0).source().mean_rps == pytest.approx(3.0 * 64.0)
    plain, scaled = MapWorkload(D0, D1).source(), MapWorkload(D0, D1, scale=3.0).source()
    assert scaled.mean_rps == pytest.approx(3.0 * plain.mean_rps)


def test_poisson_rates_step_through_the_list_and_start_over():
    history = (
        PoissonWorkload((30.0, 90.0), 600.0, history_s=7200.0, evaluate_s=60.0).build().history
    )
    by_step = history.rate_rps.reshape(-1, 10).mean(axis=1)
    np.testing.assert_allclose(by_step, np.tile([30.0, 90.0], 6), rtol=0.06)


def test_the_evaluated_span_of_an_mmpp_goes_on_in_the_state_in_which_the_history_ended():
    agree = 0
    for seed in range(12):
        workload = MmppWorkload(
            (10.0, 200.0), (3000.0, 3000.0), history_s=3600.0, evaluate_s=60.0, seed=seed
        ).build()
        first = realised_rates(workload, 60.0, np.random.default_rng(99)).rate_rps[0]
        agree += (first > 100.0) == (workload.history.rate_rps[-1] > 100.0)
    assert agree >= 11


def test_the_stress_test_is_5000_a_minute_for_14_minutes_and_half_as_many_again_after():
    drawn = realised_rates(StressWorkload().build(), 60.0, np.random.default_rng(1)).rate_rps * 60.0
    assert drawn[:14].mean() == pytest.approx(5000.0, rel=0.02)
    assert drawn[14:].mean() == pytest.approx(7500.0, rel=0.02)
    assert drawn[13] < 5400.0 < 7000.0 < drawn[14]


def test_an_mmpp_without_history_starts_from_its_stationary_law():
    workload = MmppWorkload((0.0, 100.0), (90.0, 10.0), history_s=0.0, evaluate_s=60.0).build()
    assert len(workload.history) == 0
    starts = [
        len(workload.new_arrivals().arrivals(0.0, 0.2, np.random.default_rng(seed))) > 0
        for seed in range(400)
    ]
    assert np.mean(starts) == pytest.approx(0.1, abs=0.06)


@pytest.mark.parametrize(
    ("builder", "error", "message"),
    [
        (PoissonWorkload(()), ConfigError, r"workload\.rates_rps: expected a list"),
        (PoissonWorkload((-1.0,)), DataError, "bin 0 must be finite and not negative"),
        (PoissonWorkload(bin_s=0.0), ConfigError, r"workload\.bin_s: must be a positive"),
        (PoissonWorkload(history_s=30.0), ConfigError, r"workload\.history_s: must be a whole"),
        (PoissonWorkload(evaluate_s=0.0), ConfigError, r"workload\.evaluate_s: .* at least 1"),
        (PoissonWorkload(seed=-1), ConfigError, r"workload\.seed: must be a whole number"),
        (MmppWorkload(scale=0.0), ConfigError, r"workload\.scale: must be a positive"),
        (MmppWorkload((1.0,)), DataError, "rates_rps must be two finite numbers"),
        (MapWorkload([[-1.0], [1.0, 2.0]], D1), ConfigError, r"workload\.d0: rows must be equally"),
        (MapWorkload([], []), ConfigError, r"workload\.d0: rows must be"),
        (MapWorkload(D0, D0), DataError, "D1 must not be negative"),
        (StressWorkload(steady_rps=0.0), ConfigError, r"workload\.steady_rps: must be a positive"),
        (
            StressWorkload(burst=-2.0),
            ConfigError,
            r"workload\.burst: must be a finite number",
        ),
        (StressWorkload(steady_s=30.0), ConfigError, r"workload\.evaluate_s: must be a whole"),
        (PoissonWorkload(("many",)), ConfigError, r"workload\.rates_rps: .* got 'many' in it"),
        (PoissonWorkload(60.0), ConfigError, r"workload\.rates_rps: expected a list of numbers"),
        (PoissonWorkload(seed="x"), ConfigError, r"workload\.seed: .* got 'x'"),
        (PoissonWorkload(history_s="day"), ConfigError, r"workload\.history_s: .* got 'day'"),
        (MmppWorkload(scale="big"), ConfigError, r"workload\.scale: .* got 'big'"),
        (MapWorkload([["a"]], [[1.0]]), ConfigError, r"workload\.d0: .* got 'a' in it"),
        (StressWorkload(surge_s=-960.0), ConfigError, r"workload\."),
    ],
)
def test_settings_out_of_range_are_refused(builder, error, message):
    with pytest.raises(error, match=message):
        builder.build()


@pytest.mark.parametrize("interval_s", [0.0, -60.0, 7.0, 3600.0])
def test_counting_needs_whole_intervals(interval_s):
    workload = BUILDERS["poisson"].build()
    with pytest.raises(ConfigError, match=r"workload\.(interval_s|evaluate_s)"):
        realised_rates(workload, interval_s, np.random.default_rng(1))


def test_drawing_block_by_block_holds_no_more_than_a_few_blocks():
    workload = PoissonWorkload((2000.0,), history_s=0.0, evaluate_s=3600.0).build()
    realised_rates(workload, 60.0, np.random.default_rng(1))
    tracemalloc.start()
    try:
        rates = realised_rates(workload, 60.0, np.random.default_rng(1))
        peak_bytes = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    block_bytes = 2000.0 * 60.0 * 8.0
    assert rates.rate_rps.sum() * 60.0 * 8.0 > 50.0 * block_bytes
    assert peak_bytes < 6.0 * block_bytes
