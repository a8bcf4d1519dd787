import subprocess
import sys
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from markopt.errors import DataError
from markopt.workload import CountSource, MapSource, PoissonSource, ReplaySource
from markopt.workload.kernels import CHUNK

EDGES_S = np.array([0.0, 10.0, 20.0, 25.0, 45.0, 60.0])
RATES_RPS = np.array([5.0, 0.0, 40.0, 2.5, 12.0])
TIMES_S = np.sort(np.random.default_rng(3).uniform(0.0, 60.0, 700))
SOURCES = {
    "poisson": PoissonSource(EDGES_S, RATES_RPS),
    "counts": CountSource(EDGES_S, RATES_RPS * np.diff(EDGES_S) * 1.37),
    "mmpp": MapSource.mmpp2((3.0, 60.0), (4.0, 2.0)),
    "replay": ReplaySource(TIMES_S),
    "thinned": ReplaySource(TIMES_S, 0.4),
    "superposed": ReplaySource(TIMES_S, 2.6, jitter_s=3.0),
}
every_source = pytest.mark.parametrize("source", SOURCES.values(), ids=SOURCES.keys())


def drawn(source, cuts_s, seed=7):
    process, rng = source.new_process(), np.random.default_rng(seed)
    return [process.arrivals(a, b, rng) for a, b in pairwise(cuts_s)]


@every_source
@settings(max_examples=40, deadline=None)
@given(
    cuts=st.lists(st.floats(0.0, 60.0), min_size=2, max_size=8, unique=True).map(sorted),
    seed=st.integers(0, 2**32 - 1),
)
def test_times_are_sorted_and_lie_within_their_block(source, cuts, seed):
    for block, start_s, end_s in zip(drawn(source, cuts, seed), cuts[:-1], cuts[1:], strict=True):
        assert block.dtype == np.float64
        assert np.all(np.diff(block) >= 0.0)
        assert np.all((block >= start_s) & (block < end_s))


@every_source
@settings(max_examples=40, deadline=None)
@given(cuts=st.lists(st.floats(0.5, 59.5), max_size=8, unique=True).map(sorted))
def test_the_way_a_span_is_cut_into_blocks_changes_nothing(source, cuts):
    whole = drawn(source, [0.0, 60.0])[0]
    parts = np.concatenate(drawn(source, [0.0, *cuts, 60.0]))
    np.testing.assert_allclose(parts, whole, rtol=0.0, atol=1e-9)


@pytest.mark.parametrize("name", ["poisson", "counts"])
def test_blocks_that_end_with_bins_give_the_same_bits(name):
    source = SOURCES[name]
    whole = drawn(source, [0.0, 60.0])[0]
    np.testing.assert_array_equal(np.concatenate(drawn(source, EDGES_S)), whole)
    np.testing.assert_array_equal(np.concatenate(drawn(source, EDGES_S[[0, 2, 3, 5]])), whole)


@every_source
def test_the_same_seed_gives_the_same_times_and_another_seed_others(source):
    first, again = (np.concatenate(drawn(source, [0.0, 20.0, 60.0])) for _ in range(2))
    np.testing.assert_array_equal(first, again)
    other = np.concatenate(drawn(source, [0.0, 20.0, 60.0], seed=8))
    if source is not SOURCES["replay"]:
        assert len(first) != len(other) or np.any(first != other)


@every_source
def test_a_block_without_length_is_empty(source):
    blocks = drawn(source, [0.0, 30.0, 30.0, 60.0])
    assert len(blocks[1]) == 0


@every_source
def test_blocks_must_go_forward(source):
    process, rng = source.new_process(), np.random.default_rng(1)
    process.arrivals(0.0, 30.0, rng)
    with pytest.raises(DataError, match="must go forward in time from"):
        process.arrivals(10.0, 40.0, rng)


def test_a_process_may_start_late_and_leap_ahead():
    for source in SOURCES.values():
        process, rng = source.new_process(), np.random.default_rng(1)
        late = process.arrivals(21.0, 24.0, rng)
        leapt = process.arrivals(50.0, 60.0, rng)
        assert np.all((late >= 21.0) & (late < 24.0))
        assert np.all((leapt >= 50.0) & (leapt < 60.0))
        assert len(late) > 0
        assert len(leapt) > 0


def test_poisson_counts_per_bin_have_their_mean_and_are_poisson():
    runs = 2000
    counts = np.array(
        [
            np.histogram(drawn(SOURCES["poisson"], [0.0, 60.0], seed)[0], EDGES_S)[0]
            for seed in range(runs)
        ]
    )
    expected = RATES_RPS * np.diff(EDGES_S)
    assert np.all(counts[:, 1] == 0)
    busy = expected > 0.0
    z = (counts.mean(axis=0) - expected)[busy] / np.sqrt(expected[busy] / runs)
    assert np.all(np.abs(z) < 4.0)
    # Variance-to-mean times (runs - 1) is chi-square where counts are Poisson.
    statistic = (runs - 1) * counts.var(axis=0, ddof=1)[busy] / expected[busy]
    assert np.all(stats.chi2.cdf(statistic, runs - 1) > 1e-4)
    assert np.all(stats.chi2.sf(statistic, runs - 1) > 1e-4)


def test_poisson_with_a_daily_rate_passes_a_chi_square_test_by_bins():
    edges_s = np.arange(0.0, 86401.0, 600.0)
    rates_rps = 4.0 + 3.0 * np.sin(2.0 * np.pi * edges_s[:-1] / 86400.0)
    times_s = drawn(PoissonSource(edges_s, rates_rps), edges_s, seed=11)
    counts = np.array([len(block) for block in times_s])
    statistic = np.sum((counts - 600.0 * rates_rps) ** 2 / (600.0 * rates_rps))
    assert 1e-3 < stats.chi2.sf(statistic, len(counts)) < 1.0 - 1e-3


def test_poisson_gaps_within_a_bin_are_exponential():
    times_s = drawn(PoissonSource(np.array([0.0, 1000.0]), np.array([50.0])), [0.0, 1000.0])[0]
    assert stats.kstest(np.diff(times_s) * 50.0, "expon").pvalue > 1e-3


def test_nothing_arrives_outside_the_edges():
    source = PoissonSource(np.array([10.0, 20.0]), np.array([50.0]))
    times_s = drawn(source, [0.0, 15.0, 100.0])
    assert times_s[0].min() >= 10.0
    assert times_s[1].max() < 20.0
    assert len(times_s[1]) > 150


def test_a_block_larger_than_the_buffer_is_drawn_whole():
    rate_rps = 3.0 * CHUNK
    source = PoissonSource(np.array([0.0, 1.0]), np.array([rate_rps]))
    count = len(drawn(source, [0.0, 1.0])[0])
    assert abs(count - rate_rps) < 6.0 * np.sqrt(rate_rps)
    exact = CountSource(np.array([0.0, 1.0]), np.array([rate_rps]))
    times_s = drawn(exact, [0.0, 1.0])[0]
    assert len(times_s) == rate_rps
    assert np.all(np.diff(times_s) >= 0.0)


def test_exact_replay_keeps_every_count_at_uniform_times():
    counts = np.random.default_rng(5).poisson(30.0, 400)
    edges_s = 2.0 * np.arange(401.0)
    times_s = drawn(CountSource(edges_s, counts), [0.0, 333.0, 800.0])
    times_s = np.concatenate(times_s)
    np.testing.assert_array_equal(np.histogram(times_s, edges_s)[0], counts)
    assert stats.kstest(times_s % 2.0 / 2.0, "uniform").pvalue > 1e-3


def test_exact_replay_of_a_scaled_count_keeps_the_whole_and_draws_the_rest():
    edges_s = np.arange(2001.0)
    times_s = drawn(CountSource(edges_s, np.full(2000, 3.3)), edges_s)
    counts = np.array([len(block) for block in times_s])
    assert set(np.unique(counts)) == {3, 4}
    assert abs(counts.mean() - 3.3) < 4.0 * np.sqrt(0.3 * 0.7 / 2000)


def test_replay_at_scale_one_gives_the_recorded_times():
    np.testing.assert_array_equal(
        np.concatenate(drawn(SOURCES["replay"], [0.0, 13.0, 60.0])), TIMES_S
    )


def test_thinned_replay_keeps_a_part_of_the_recorded_times():
    kept = np.concatenate(drawn(SOURCES["thinned"], [0.0, 13.0, 60.0]))
    assert set(kept.tolist()) <= set(TIMES_S.tolist())
    assert abs(len(kept) - 280) < 4.0 * np.sqrt(700 * 0.4 * 0.6)


def test_superposed_replay_holds_the_recorded_times_and_copies_soon_after_them():
    times_s = np.concatenate(drawn(SOURCES["superposed"], [0.0, 13.0, 60.0]))
    assert set(TIMES_S.tolist()) <= set(times_s.tolist())
    copies = times_s[~np.isin(times_s, TIMES_S)]
    before = np.searchsorted(TIMES_S, copies, side="right") - 1
    assert np.all(copies - TIMES_S[before] < 3.0)
    assert abs(len(times_s) - 2.6 * 700) < 80


def test_superposed_replay_has_its_full_rate_from_the_first_second_on():
    source = ReplaySource(np.arange(0.0, 100.0, 0.01), 3.0, jitter_s=5.0)
    times_s = drawn(source, [50.0, 51.0])[0]
    assert abs(len(times_s) - 300) < 40


@pytest.mark.parametrize(
    ("edges_s", "level", "message"),
    [
        ([0.0, 1.0], [1.0, 2.0], "one edge more than bins"),
        ([0.0], [], "one edge more than bins"),
        ([0.0, 1.0, 1.0], [1.0, 2.0], "must rise strictly"),
        ([-1.0, 1.0], [1.0], "must rise strictly"),
        ([0.0, np.inf], [1.0], "must rise strictly"),
        ([0.0, 1.0], [-1.0], "bin 0 must be finite and not negative, got -1.0"),
        ([0.0, 1.0, 2.0], [1.0, np.nan], "bin 1 must be finite and not negative, got nan"),
    ],
)
@pytest.mark.parametrize("make", [PoissonSource, CountSource])
def test_steps_that_make_no_sense_are_refused(make, edges_s, level, message):
    with pytest.raises(DataError, match=message):
        make(np.array(edges_s), np.array(level))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (([1.0, 0.0],), "finite and sorted"),
        (([0.0, np.nan],), "finite and sorted"),
        (([0.0, 1.0], 0.0), "scale must be positive"),
        (([0.0, 1.0], np.inf), "scale must be positive"),
        (([0.0, 1.0], 1.0, -1.0), "jitter_s must be at least 0"),
    ],
)
def test_a_replay_that_makes_no_sense_is_refused(arguments, message):
    with pytest.raises(DataError, match=message):
        ReplaySource(np.array(arguments[0]), *arguments[1:])


@pytest.mark.parametrize("name", ["poisson", "counts"])
def test_altering_the_future_of_a_rate_leaves_all_earlier_arrivals(name):
    make = {"poisson": PoissonSource, "counts": CountSource}[name]
    level = RATES_RPS.copy()
    before = drawn(make(EDGES_S, level), EDGES_S)
    level[3:] *= 5.0
    after = drawn(make(EDGES_S, level), EDGES_S)
    for k in range(3):
        np.testing.assert_array_equal(before[k], after[k])
    assert len(after[3]) != len(before[3])


def test_altering_the_future_of_a_replay_leaves_all_earlier_arrivals():
    shifted = np.sort(np.where(TIMES_S < 30.0, TIMES_S, 30.0 + 0.1 * (TIMES_S - 30.0)))
    for scale in (0.5, 1.0, 2.6):
        before = drawn(ReplaySource(TIMES_S, scale), [0.0, 20.0, 30.0, 60.0])
        after = drawn(ReplaySource(shifted, scale), [0.0, 20.0, 30.0, 60.0])
        np.testing.assert_array_equal(before[0], after[0])
        np.testing.assert_array_equal(before[1], after[1])


def test_another_process_of_the_operating_system_draws_the_same():
    script = (
        "import numpy as np\n"
        "from markopt.workload import MapSource, PoissonSource\n"
        "rng = np.random.default_rng(42)\n"
        "a = PoissonSource([0., 5., 9.], [20., 70.]).new_process().arrivals(0., 9., rng)\n"
        "b = MapSource.mmpp2((3., 60.), (4., 2.)).new_process().arrivals(0., 9., rng)\n"
        "print(a.sum().hex(), b.sum().hex(), len(a), len(b))\n"
    )
    rng = np.random.default_rng(42)
    a = PoissonSource(np.array([0.0, 5, 9]), np.array([20.0, 70])).new_process()
    first = a.arrivals(0.0, 9.0, rng)
    second = MapSource.mmpp2((3.0, 60.0), (4.0, 2.0)).new_process().arrivals(0.0, 9.0, rng)
    ran = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert ran.stdout.split() == [
        first.sum().hex(),
        second.sum().hex(),
        str(len(first)),
        str(len(second)),
    ]
