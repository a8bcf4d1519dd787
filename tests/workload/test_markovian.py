import numpy as np
import pytest
from scipy import stats

from markopt.errors import DataError
from markopt.workload import MapSource

D0 = np.array([[-6.0, 1.0, 0.0], [0.5, -3.0, 0.5], [0.2, 0.1, -0.8]])
D1 = np.array([[4.0, 0.5, 0.5], [1.0, 1.0, 0.0], [0.0, 0.0, 0.5]])


def counts_of(source, window_s, windows, seed=1):
    times_s = source.new_process().arrivals(0.0, window_s * windows, np.random.default_rng(seed))
    return np.histogram(times_s, window_s * np.arange(windows + 1.0))[0]


def test_the_stationary_rate_of_an_mmpp_is_the_mean_over_its_sojourns():
    source = MapSource.mmpp2((10.0, 70.0), (30.0, 10.0))
    assert source.mean_rps == pytest.approx((10.0 * 30.0 + 70.0 * 10.0) / 40.0)
    np.testing.assert_allclose(source.stationary, [0.75, 0.25])


def test_the_dispersion_of_an_mmpp_follows_the_closed_form():
    rates, sojourns, window_s = (10.0, 70.0), (30.0, 10.0), 12.0
    leave = 1.0 / np.array(sojourns)
    total = leave.sum()
    spread = (rates[0] - rates[1]) ** 2 * leave[0] * leave[1] / total**2
    mean = (rates[0] * leave[1] + rates[1] * leave[0]) / total
    excess = (
        2.0
        * spread
        / (total * mean)
        * (1.0 - (1.0 - np.exp(-total * window_s)) / (total * window_s))
    )
    source = MapSource.mmpp2(rates, sojourns)
    assert source.dispersion(window_s) == pytest.approx(1.0 + excess, rel=1e-9)


@pytest.mark.parametrize(
    "source",
    [MapSource.mmpp2((10.0, 70.0), (3.0, 1.0)), MapSource(D0, D1)],
    ids=["mmpp", "map"],
)
def test_drawn_counts_have_the_mean_and_dispersion_of_theory(source):
    window_s, windows = 20.0, 20_000
    counts = counts_of(source, window_s, windows)
    dispersion = source.dispersion(window_s)
    mean = source.mean_rps * window_s
    # Neighboring windows are correlated: three times the error of independent ones.
    assert abs(counts.mean() - mean) < 3.0 * 3.0 * np.sqrt(mean * dispersion / windows)
    assert counts.var() / counts.mean() == pytest.approx(dispersion, rel=0.06)


def test_the_share_of_time_in_a_state_shows_in_the_rate_after_a_long_time():
    source = MapSource.mmpp2((0.0, 50.0), (5.0, 5.0))
    counts = counts_of(source, 1.0, 20_000)
    assert np.mean(counts > 0) == pytest.approx(0.5 + 0.5 * (1 - np.exp(-0.2)), abs=0.03)


def test_a_map_of_one_phase_is_poisson():
    source = MapSource(np.array([[-8.0]]), np.array([[8.0]]))
    times_s = source.new_process().arrivals(0.0, 2000.0, np.random.default_rng(4))
    assert source.mean_rps == 8.0
    assert source.dispersion(7.0) == pytest.approx(1.0)
    assert stats.kstest(np.diff(times_s) * 8.0, "expon").pvalue > 1e-3
    counts = np.histogram(times_s, np.arange(0.0, 2001.0, 1.0))[0]
    statistic = (len(counts) - 1) * counts.var(ddof=1) / counts.mean()
    assert 1e-3 < stats.chi2.sf(statistic, len(counts) - 1) < 1.0 - 1e-3


def test_an_mmpp_of_equal_rates_is_poisson():
    source = MapSource.mmpp2((8.0, 8.0), (5.0, 1.0))
    times_s = source.new_process().arrivals(0.0, 2000.0, np.random.default_rng(9))
    assert stats.kstest(np.diff(times_s) * 8.0, "expon").pvalue > 1e-3


def test_an_erlang_renewal_process_as_a_map_has_its_gaps():
    d0 = np.array([[-4.0, 4.0], [0.0, -4.0]])
    d1 = np.array([[0.0, 0.0], [4.0, 0.0]])
    times_s = MapSource(d0, d1).new_process().arrivals(0.0, 3000.0, np.random.default_rng(2))
    assert stats.kstest(np.diff(times_s), "gamma", args=(2.0, 0.0, 0.25)).pvalue > 1e-3


def test_a_process_starts_in_the_phase_that_it_is_given():
    d0 = np.array([[-100.0 - 1e-6, 1e-6], [1e-6, -1e-6 - 1e-3]])
    d1 = np.diag([100.0, 1e-3])
    for seed in range(5):
        busy = MapSource(d0, d1, phase=0).new_process()
        idle = MapSource(d0, d1, phase=1).new_process()
        assert len(busy.arrivals(0.0, 1.0, np.random.default_rng(seed))) > 50
        assert len(idle.arrivals(0.0, 1.0, np.random.default_rng(seed))) <= 1


@pytest.mark.parametrize(
    ("d0", "d1", "message"),
    [
        ([[-1.0, 1.0]], [[0.0, 0.0]], "must be square and alike"),
        ([[-1.0]], [[1.0, 0.0], [0.0, 1.0]], "must be square and alike"),
        ([[-np.inf]], [[1.0]], "must be finite"),
        ([[-1.0, -0.5], [1.0, -2.0]], [[1.5, 0.0], [0.0, 1.0]], "off its diagonal must not be"),
        ([[-1.0]], [[-1.0]], "D1 must not be negative, got -1.0 in row 0, column 0"),
        ([[0.0]], [[1.0]], "diagonal of D0 must be negative"),
        ([[-1.0]], [[2.0]], r"rows of D0 \+ D1 must sum to 0, got 1.0 in row 0"),
        ([[-1.0, 1.0], [1.0, -1.0]], [[0.0, 0.0], [0.0, 0.0]], "D1 must hold a positive rate"),
        ([[-1.0, 0.0], [0.0, -1.0]], [[1.0, 0.0], [0.0, 1.0]], "must form one class"),
    ],
)
def test_matrices_that_are_no_map_are_refused(d0, d1, message):
    with pytest.raises(DataError, match=message):
        MapSource(np.array(d0), np.array(d1))


def test_a_phase_that_does_not_exist_is_refused():
    with pytest.raises(DataError, match=r"phase must lie in 0\.\.2, got 3"):
        MapSource(D0, D1, phase=3)


@pytest.mark.parametrize(
    ("rates_rps", "mean_sojourn_s", "message"),
    [
        ((1.0, -1.0), (1.0, 1.0), "rates_rps must be two finite numbers, not negative"),
        ((1.0, 2.0, 3.0), (1.0, 1.0), "rates_rps must be two"),
        ((1.0, 2.0), (0.0, 1.0), "mean_sojourn_s must be two finite numbers, positive"),
        ((0.0, 0.0), (1.0, 1.0), "D1 must hold a positive rate"),
    ],
)
def test_an_mmpp_out_of_range_is_refused(rates_rps, mean_sojourn_s, message):
    with pytest.raises(DataError, match=message):
        MapSource.mmpp2(rates_rps, mean_sojourn_s)
