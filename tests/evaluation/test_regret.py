"""Single decisions beside greedy's, hindsight's and perfect foresight's."""

from __future__ import annotations

import csv
import json
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from markopt.cli import main
from markopt.core import FleetState, Forecast, Limits, OfferFleet, RateSeries
from markopt.evaluation.outcome import summarize
from markopt.evaluation.regret import (
    REGRET,
    RecordingPlanner,
    decision_regret,
    decision_regrets,
    looked_ahead,
    mean_regret,
    regret_text,
)
from markopt.evaluation.report import write_report
from markopt.evaluation.results import read_episode, write_episode
from markopt.planning import Greedy, Program, WithStandbys, clairvoyant_bound, evaluate_plan
from tests.evaluation.fluid import Proportional
from tests.evaluation.synthetic import episode
from tests.planning.problems import EIGHT, SLO, function, problem, walk_paths

EXACT = Program(spill_weight=1.0, mip_rel_gap=0.0, window=4)


def decision(seed=0, *, horizon=6, rate_rps=150.0):
    rng = np.random.default_rng(seed)
    paths = walk_paths(rng, samples=8, horizon=horizon, start_rps=rate_rps, step=0.1)
    ready = {"c5.large": int(rng.integers(0, 6)), "c5.large/spot": int(rng.integers(0, 6))}
    return problem(EIGHT, paths, ready=ready, with_function=function(cold_start_s=0.01))


def certain(base, rates):
    return replace(
        base, forecast=Forecast.equally_likely(base.time_s, 60.0, np.asarray(rates)[None])
    )


@settings(max_examples=10, deadline=None)
@given(st.integers(0, 10_000), st.floats(40.0, 250.0))
def test_knowing_the_demand_never_costs_more(seed, came_rps):
    base = decision(seed)
    realized = walk_paths(np.random.default_rng(seed + 1), samples=1, horizon=4, start_rps=came_rps)
    plan = EXACT.plan(base)
    found = decision_regret(EXACT, base, plan, realized[0])
    assert found.intervals == 4
    # Cold starts are in time here, so nobody misses and costs alone count.
    assert found.hindsight_missed == found.realized_plan_missed == 0.0
    # The Q of a mix is settled within 2 %.
    assert found.hindsight_usd <= found.realized_plan_usd * 1.02 + 1e-9


def test_costs_are_those_of_the_evaluator_over_what_the_planner_looks_ahead():
    base = decision()
    plan = EXACT.plan(base)
    rates = np.array([140.0, 150.0, 160.0, 170.0])
    found = decision_regret(EXACT, base, plan, rates, 0.01)
    cut = replace(plan, targets=plan.targets[:, :4], warm_functions=plan.warm_functions[:4])
    came = certain(base, rates)
    assert found.realized_plan_usd == evaluate_plan(came, cut).total_usd
    stated = replace(
        base, forecast=replace(base.forecast, paths_rps=base.forecast.paths_rps[:, :4])
    )
    assert found.plan_usd == evaluate_plan(stated, cut).total_usd
    assert found.greedy_usd == evaluate_plan(stated, Greedy().plan(stated)).total_usd
    assert found.realized_greedy_usd == evaluate_plan(came, Greedy().plan(stated)).total_usd
    assert (found.foresight_usd, found.gap, found.rung) == (0.01, plan.gap, plan.rung)


def test_a_forecast_that_comes_true_leaves_no_regret_against_hindsight():
    rates = np.array([120.0, 130.0, 150.0, 140.0])
    base = certain(decision(), rates)
    found = decision_regret(EXACT, base, EXACT.plan(base), rates)
    assert found.hindsight_usd == found.realized_plan_usd == found.plan_usd


def test_where_greedy_finds_no_plan_its_columns_are_empty():
    base = replace(decision(), limits=Limits(max_vcpus=1.0), fleet=FleetState())
    plan = Proportional(0.0).plan(base)
    found = decision_regret(Proportional(0.0), base, plan, np.array([150.0, 150.0]))
    assert (found.greedy_usd, found.realized_greedy_usd, found.realized_greedy_missed) == (
        None,
        None,
        None,
    )
    assert mean_regret([found])["greedy_usd"] is None
    assert mean_regret([found])["plan_usd"] == found.plan_usd


@pytest.mark.parametrize(
    ("planner", "intervals"),
    [
        (Program(window=4), 4),
        (Program(window=1), 3),  # a launch takes two intervals
        (Program(window=99), 6),
        (Program(window=None), 6),
        (Greedy(), 6),
        (WithStandbys(Program(window=4), "t2.medium/burstable"), 4),
    ],
)
def test_a_planner_is_judged_over_what_it_looks_ahead(planner, intervals):
    assert looked_ahead(planner, decision()) == intervals


def test_every_nth_decision_is_kept_and_of_several_at_once_the_last():
    recorder = RecordingPlanner(Proportional(1.0), 2)
    base = decision()
    times = [0.0, 60.0, 120.0, 120.0, 120.0, 180.0, 240.0]
    plans = [recorder.plan(replace(base, time_s=time_s)) for time_s in times]
    assert [kept.time_s for kept, _ in recorder.decisions] == [0.0, 120.0, 240.0]
    assert recorder.decisions[1][1] is plans[4]


def test_decisions_whose_look_ahead_passes_the_end_are_left_out():
    realized = RateSeries(0.0, 60.0, np.full(6, 150.0))
    base = decision()
    fleet = FleetState((OfferFleet("c5.large", ready=3),))
    best = {offer.name: offer.saturation_rps for offer in EIGHT}
    bound = clairvoyant_bound(realized, EIGHT, function(), SLO, fleet, best)
    assert float(bound.interval_usd.sum()) == pytest.approx(bound.total_usd)
    at = [replace(base, time_s=60.0 * k) for k in range(6)]
    found = decision_regrets(EXACT, [(one, EXACT.plan(one)) for one in at], realized, bound)
    assert [one.time_s for one in found] == [0.0, 60.0, 120.0]
    assert found[1].foresight_usd == pytest.approx(bound.interval_usd[1:5].sum())
    without = decision_regrets(EXACT, [(base, EXACT.plan(base))], realized, None)
    assert without[0].foresight_usd is None


def test_an_episode_without_judged_decisions_says_nothing_of_regret(tmp_path):
    assert "regret" not in summarize(episode())
    write_episode(episode(), tmp_path)
    assert not (tmp_path / REGRET).exists()
    assert read_episode(tmp_path).regret is None


def test_an_episode_too_short_for_any_has_an_empty_table(tmp_path):
    short = replace(episode(), regrets=())
    assert summarize(short)["regret"]["plan_usd"] is None
    assert regret_text(()).startswith("time_s,intervals,rung,")
    write_episode(short, tmp_path)
    assert len(read_episode(tmp_path).regret) == 0
    assert 'id="regret"' not in write_report(tmp_path).read_text(encoding="utf-8")


SMALL = (
    "service=inception_bn",
    "workload=poisson",
    "workload.rates_rps=[60]",
    "workload.history_s=1800",
    "workload.evaluate_s=600",
    "forecaster=last_value",
    "catalog.batching=none",
    "catalog.instance_types=[c5.large]",
    "controller.horizon=4",
    "controller.samples=5",
)


def test_a_run_judges_its_decisions_when_asked_and_is_otherwise_the_same(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(["run", "output=plain", *SMALL]) == 0
    assert main(["run", "regret_every=2", "output=judged", *SMALL]) == 0
    for name in ("intervals.parquet", "decisions.jsonl", "config.yaml"):
        assert (tmp_path / "plain" / name).read_bytes() == (tmp_path / "judged" / name).read_bytes()
    with (tmp_path / "judged" / REGRET).open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    begin_s = float(rows[0]["time_s"])
    assert [float(row["time_s"]) - begin_s for row in rows] == [0.0, 120.0, 240.0, 360.0]
    summary = json.loads((tmp_path / "judged" / "summary.json").read_text())
    means = summary.pop("regret")
    assert summary == json.loads((tmp_path / "plain" / "summary.json").read_text())
    assert means["decisions"] == 4
    plans = [float(row["realized_plan_usd"]) for row in rows]
    assert means["realized_plan_usd"] == pytest.approx(np.mean(plans))
    page = (tmp_path / "judged" / "report.html").read_text(encoding="utf-8")
    assert "Regret per decision" in page


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["run", "regret_every=0"], "regret_every: must be a whole number from 1 on"),
        (["compare", "regret_every=1"], "regret_every: only markopt run judges"),
    ],
)
def test_a_wrong_setting_is_named(arguments, message, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main([*arguments, *SMALL]) == 2
    assert message in capsys.readouterr().err
