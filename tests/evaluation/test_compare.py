import numpy as np
import pytest

from markopt.core import RateSeries
from markopt.errors import ConfigError, DataError
from markopt.evaluation.compare import CompareSettings, compare, write_comparison
from markopt.evaluation.episode import EpisodeSetup, fit_forecaster, run_episode, set_conditions
from markopt.evaluation.outcome import summarize
from markopt.evaluation.progress import late_bar
from markopt.evaluation.report.pareto_figure import write_pareto_figure
from markopt.evaluation.seeds import generator, seed_sequence
from markopt.evaluation.tabulation import means, read_comparison, row
from markopt.evaluation.tape import RecordedForecaster, record_tape
from markopt.evaluation.terminal import HEADERS, table_cells
from tests.evaluation.fluid import FUNCTION, NoisyLast, ToyParts, workload
from tests.evaluation.synthetic import episode


def run_alone(parts, policy, seed):
    scene = parts.scene(seed)
    conditions = set_conditions(scene)
    forecaster = fit_forecaster(parts.forecaster(), scene, conditions)
    return run_episode(EpisodeSetup(policy, scene, conditions, forecaster, parts.planner(policy)))


@pytest.fixture(scope="module")
def toy():
    parts = ToyParts(function=FUNCTION)
    return parts, compare(parts, CompareSettings(("proportional", "fixed"), (0, 1)))


def test_every_policy_sees_the_same_arrivals_and_starts_from_the_same_fleet(toy):
    _, comparison = toy
    for one, other in zip(comparison.of("proportional"), comparison.of("fixed"), strict=True):
        assert np.array_equal(one.statistics.arrivals, other.statistics.arrivals)
        assert one.intervals[0].fleet == other.intervals[0].fleet


def test_seeds_give_different_arrivals(toy):
    _, comparison = toy
    first, second = comparison.of("fixed")
    assert not np.array_equal(first.statistics.arrivals, second.statistics.arrivals)


def test_replayed_forecasts_give_the_very_result_of_live_ones(toy):
    _, comparison = toy
    alone = run_alone(ToyParts(function=FUNCTION), "proportional", 1)
    compared = comparison.of("proportional")[1]
    assert summarize(alone) == summarize(compared)


def test_forecasts_are_made_once_per_seed(toy):
    parts, comparison = toy
    assert len(parts.forecasters) == 2
    assert [f.calls for f in parts.forecasters] == [30, 30]
    assert len(comparison.episodes) == 4


def test_the_bound_bounds_every_policy_that_meets_the_slo(toy):
    _, comparison = toy
    met = [summarize(e) for e in comparison.episodes if e.meets_slo]
    assert met
    assert all(summary["cost_over_bound"] >= 1.0 for summary in met)


def test_worker_processes_change_nothing(toy):
    _, comparison = toy
    settings = CompareSettings(("proportional", "fixed"), (0, 1), jobs=2)
    parallel = compare(ToyParts(function=FUNCTION), settings)
    assert [summarize(e) for e in parallel.episodes] == [summarize(e) for e in comparison.episodes]


def test_tuning_takes_the_cheapest_knob_value_that_attains_the_target():
    comparison = compare(
        ToyParts(intervals=20),
        CompareSettings(("proportional", "fixed"), (0,), at_equal_slo=0.95),
    )
    tuned = {entry.policy: entry for entry in comparison.tuned}
    reaching = [t for t in tuned["proportional"].trials if t.attainment >= 0.95]
    assert tuned["proportional"].cost_usd == min(t.cost_usd for t in reaching)
    assert comparison.of("proportional")[0].config["value"] == tuned["proportional"].value
    assert tuned["fixed"].knob is None


def test_the_winner_is_the_cheapest_that_meets_the_slo_with_every_seed(toy, tmp_path):
    parts, comparison = toy
    table = {entry["policy"]: entry for entry in comparison.table()}
    winner = comparison.winner()
    assert table[winner]["met"]
    assert table[winner]["cost_usd"] == min(e["cost_usd"] for e in table.values() if e["met"])
    write_comparison(comparison, parts, tmp_path)
    files = read_comparison(tmp_path)
    assert files.document["winner"]["policy"] == winner
    assert (tmp_path / "winner.yaml").read_text().startswith(f"planner: {winner}")
    rows = [{k: v for k, v in e.items() if k != "plan_mean_s"} for e in files.table]
    expected = [{k: v for k, v in e.items() if k != "plan_mean_s"} for e in comparison.table()]
    assert rows == expected


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"planners": ()}, "compare.planners: must name at least one"),
        ({"planners": ("a", "a")}, "compare.planners: must not repeat"),
        ({"seeds": ()}, "compare.seeds"),
        ({"jobs": 0}, "compare.jobs: must be at least 1, got 0"),
        ({"at_equal_slo": 98.0}, "--at-equal-slo"),
    ],
)
def test_settings_out_of_range_are_named(change, message):
    with pytest.raises(ConfigError, match=message):
        CompareSettings(**{"planners": ("a",), **change})


def test_a_tape_refuses_another_past():
    load = workload()
    realized = RateSeries(load.start_s, 60.0, np.array([50.0, 60.0, 70.0]))
    forecaster = NoisyLast().fit(load.history)
    tape = record_tape(forecaster, realized, horizon=2, samples=4, rng=np.random.default_rng(0))
    replay = RecordedForecaster(tape).fit(load.history)
    first = replay.forecast(2, 4, np.random.default_rng(9))
    assert np.array_equal(first.paths_rps, tape.forecasts[0].paths_rps)
    with pytest.raises(DataError, match="asked for 5 of 2"):
        replay.forecast(2, 5, np.random.default_rng(9))
    with pytest.raises(DataError, match="expected the recorded rates"):
        replay.update(RateSeries(load.start_s, 60.0, np.array([51.0])))
    replay.update(realized)
    with pytest.raises(DataError, match="asked for interval 3"):
        replay.forecast(2, 4, np.random.default_rng(9))


def test_streams_of_a_seed_are_distinct_and_repeatable():
    draws = {name: generator(3, name).random() for name in ("cloud", "forecast", "bootstrap")}
    assert len(set(draws.values())) == 3
    assert generator(3, "cloud").random() == draws["cloud"]
    assert generator(4, "cloud").random() != draws["cloud"]


@pytest.mark.parametrize("seed", [-1, 1.5, float("nan"), True, "0", None])
def test_a_seed_that_is_no_whole_number_is_refused(seed):
    with pytest.raises(ConfigError, match="seed: must be a whole number"):
        seed_sequence(seed, "cloud")


def test_means_show_the_worst_window_and_the_largest_gap():
    rows = [row(summarize(episode(seed=s, missed_share=0.005 * (1 + s)))) for s in range(3)]
    (mean,) = means(rows, {"program": 0.01})
    assert mean["worst_window_attainment"] == min(r["worst_window_attainment"] for r in rows)
    assert mean["attainment"] == pytest.approx(np.mean([r["attainment"] for r in rows]))
    assert mean["met"]
    rows.append(row(summarize(episode(seed=3, missed_share=0.06))))
    (mean,) = means(rows, {})
    assert not mean["met"]
    assert mean["cost_over_bound"] is None
    cells = dict(zip(HEADERS, table_cells(mean), strict=True))
    assert cells["attainment"].endswith("†")
    assert cells["planning ms"] == "\N{EN DASH}"


def test_no_bar_appears_before_two_seconds(capsys):
    with late_bar("Working", 10) as bar:
        assert list(bar.over(range(10))) == list(range(10))
    assert bar.done == 10
    assert capsys.readouterr().err == ""


def test_the_front_is_drawn_the_same_twice(toy, tmp_path):
    _, comparison = toy
    for name in ("one", "two"):
        write_pareto_figure(comparison.verdict.points, 0.98, tmp_path / f"{name}.svg")
    text = (tmp_path / "one.svg").read_text()
    assert text == (tmp_path / "two.svg").read_text()
    assert "proportional" in text
    assert text.startswith("<?xml")


def test_tuning_takes_means_over_its_seeds():
    settings = CompareSettings(("proportional",), (0,), at_equal_slo=0.95, tune_seeds=(0, 1))
    both = compare(ToyParts(intervals=20), settings).tuned[0].trials
    single = [
        compare(
            ToyParts(intervals=20),
            CompareSettings(("proportional",), (0,), at_equal_slo=0.95, tune_seeds=(seed,)),
        )
        .tuned[0]
        .trials
        for seed in (0, 1)
    ]
    for mean, one, other in zip(both, *single, strict=True):
        assert mean.cost_usd == pytest.approx((one.cost_usd + other.cost_usd) / 2.0)
        assert mean.attainment == pytest.approx((one.attainment + other.attainment) / 2.0)
