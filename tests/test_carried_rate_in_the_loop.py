"""The bins that a recorded forecast rests on are those that the loop observes."""

import pytest

from markopt.assembly import ConfigParts
from markopt.evaluation.episode import (
    EpisodeSetup,
    fit_forecaster,
    forecast_once,
    run_episode,
    set_conditions,
)
from markopt.evaluation.tape import RecordedForecaster


@pytest.mark.parametrize("forecaster", ["lstm_carried", "lstm_peak"])
def test_a_recorded_forecast_of_bursts_decides_as_a_live_one(forecaster):
    overrides = [
        f"forecaster={forecaster}",
        "forecaster@forecaster.forecaster=last_value",
        "service=inception_v3",
        "workload.scale=20",
        "workload.history_s=7200",
        "workload.evaluate_s=600",
        "catalog.instance_types=[c5.large]",
        "catalog.batching=none",
        "cloud.arrival_block_s=20",
        "controller.horizon=6",
        "controller.samples=20",
    ]
    parts = ConfigParts(overrides, planners=["greedy"])
    scene = parts.scene(0)
    conditions = set_conditions(scene, bound=False)
    live = fit_forecaster(parts.forecaster(), scene, conditions)
    tape = forecast_once(scene, conditions, fit_forecaster(parts.forecaster(), scene, conditions))
    results = [
        run_episode(EpisodeSetup("greedy", scene, conditions, each, parts.planner("greedy")))
        for each in (live, RecordedForecaster(tape))
    ]
    one, other = results
    assert [r.plan.reason for r in one.intervals] == [r.plan.reason for r in other.intervals]
    means = [r.forecast_mean_rps for r in one.intervals]
    assert means == pytest.approx([r.forecast_mean_rps for r in other.intervals], rel=1e-12)
    assert one.ledger.total_usd == pytest.approx(other.ledger.total_usd)
    assert {f.statistic for f in tape.forecasts} == {"max" if "peak" in forecaster else "carried"}
