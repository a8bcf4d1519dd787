"""Sweeps in which Optuna chooses the values, by the objective that jobs return."""

import json
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from markopt.composition import compose
from markopt.evaluation.pareto import front
from markopt.launch.objective import objective_settings, penalized_cost
from tests.sweeps import SMALL, markopt, write_trace


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    return tmp_path_factory.mktemp("cache")


@pytest.fixture
def here(tmp_path, monkeypatch, cache):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MARKOPT_CACHE", str(cache))
    write_trace(tmp_path)
    return tmp_path


def summaries(folder):
    return [json.loads(path.read_text()) for path in sorted(Path(folder).glob("*/summary.json"))]


def tuned(here, *more):
    chosen = ["planner.headroom=interval(0.5,1.5)", "hydra/sweeper=optuna"]
    counts = ["hydra.sweeper.n_trials=3", "+hydra.sweeper.sampler.seed=1", "output=out"]
    return markopt(here, "run", "-m", *SMALL, *chosen, *counts, *more)


def test_the_best_trial_has_the_least_penalized_cost_and_is_not_done_twice(here):
    arguments = ["sweep.objective=penalized_cost", "sweep.penalty=5", "service.slo.sl_min=0.9999"]
    done = tuned(here, *arguments, "hydra.sweeper.direction=minimize")
    assert done.returncode == 0, done.stderr
    assert "3 jobs: 3 finished" in done.stdout
    found = summaries("out")
    costs = {s["config"]["planner"]["headroom"]: penalized_cost(s, 5.0) for s in found}
    assert len(costs) == 3
    best = yaml.safe_load(Path("out/optimization_results.yaml").read_text())
    assert best["best_value"] == pytest.approx(min(costs.values()))
    assert costs[best["best_params"]["planner.headroom"]] == min(costs.values())
    again = tuned(here, *arguments, "hydra.sweeper.direction=minimize")
    assert "3 jobs: 3 skipped" in again.stdout
    assert yaml.safe_load(Path("out/optimization_results.yaml").read_text()) == best


def test_two_objectives_give_a_front(here):
    sampler = ["hydra/sweeper/sampler=nsgaii", "hydra.sweeper.direction=[minimize,maximize]"]
    done = tuned(here, "sweep.objective=cost_and_attainment", *sampler)
    assert done.returncode == 0, done.stderr
    rows = [
        {
            "policy": str(s["config"]["planner"]["headroom"]),
            "cost_usd": s["cost_usd"]["total"],
            "attainment": s["slo"]["attainment"],
            "met": s["slo"]["met"],
        }
        for s in summaries("out")
    ]
    best = {point.policy for point in front(rows) if not point.dominated_by}
    solutions = yaml.safe_load(Path("out/optimization_results.yaml").read_text())["solutions"]
    assert {str(s["params"]["planner.headroom"]) for s in solutions} == best


def summary(cost, attainment, sl_min=0.98):
    return {"cost_usd": {"total": cost}, "slo": {"attainment": attainment, "sl_min": sl_min}}


@given(st.floats(0.1, 100.0), st.floats(0.0, 1.0), st.floats(0.0, 1.0), st.floats(0.0, 50.0))
def test_missing_more_never_costs_less_and_attaining_more_earns_nothing(cost, one, other, penalty):
    low, high = sorted((one, other))
    assert penalized_cost(summary(cost, low), penalty) >= penalized_cost(
        summary(cost, high), penalty
    )
    assert penalized_cost(summary(cost, max(high, 0.98)), penalty) == cost
    assert penalized_cost(summary(cost, low), 0.0) == cost


def test_twice_the_misses_count_as_the_penalty_says():
    assert penalized_cost(summary(3.0, 0.96), 10.0) == pytest.approx(33.0)


def test_the_shipped_study_is_ready_to_run():
    composed = compose(["experiment=tune"])
    assert composed.trials == 30
    assert set(composed.sweep) == {
        "planner.headroom",
        "planner.window",
        "planner.risk.violation_share",
    }
    assert objective_settings(composed.config).objective == "penalized_cost"
