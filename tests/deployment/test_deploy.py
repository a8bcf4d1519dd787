from __future__ import annotations

import dataclasses

import pytest

from markopt.control.journal import Journal, JournalReader, PlanEntry
from markopt.core.documents import plan_to_json, problem_to_json
from markopt.deployment import DeploySettings, Listeners, deploy, parts_of
from markopt.errors import ConfigError
from markopt.forecasting import LastValue

OVERRIDES = (
    "planner=greedy",
    "forecaster=last_value",
    "workload.evaluate_s=600",
    "controller.horizon=5",
    "controller.samples=20",
    "controller.mode=act",
)


@pytest.fixture(scope="module")
def base():
    return parts_of(OVERRIDES)


@pytest.fixture
def parts(base, tmp_path):
    def make(**settings):
        journal = str(tmp_path / settings.pop("file", "j"))
        return dataclasses.replace(
            base, forecaster=LastValue(), deploy=DeploySettings(journal=journal, **settings)
        )

    return make


def decided(path):
    """All plans, and all actions with their reports, of a journal."""
    with JournalReader(path) as reader:
        plans = [
            (problem_to_json(e.problem), plan_to_json(e.plan))
            for e in reader.entries(1)
            if isinstance(e, PlanEntry)
        ]
        identity = reader.meta("identity")
        acts = [
            (a.decision_id.removeprefix(f"{identity}-"), a.wanted.launch, a.report.launched)
            for a in reader.actions()
        ]
        return plans, acts


def test_a_rehearsal_runs_through_the_workload_and_ends_its_fleet(parts):
    seen = []
    outcome = deploy(parts(), Listeners(on_interval=seen.append))
    assert outcome.intervals == len(seen) == 10
    assert outcome.ending == "done, fleet ended"
    assert outcome.ledger.total_usd > 0.0
    plans, acts = decided(outcome.journal)
    assert len(plans) == 10
    assert acts[0][0] == "plan-345000.000"


def test_a_rehearsal_taken_up_again_decides_as_one_that_was_never_left(parts):
    whole = deploy(parts(file="whole"))
    for for_s in (120.0, 300.0, None):
        last = deploy(parts(file="parted", for_s=for_s))
    assert decided(last.journal) == decided(whole.journal)
    assert last.ledger.cost_usd == whole.ledger.cost_usd


def test_a_rehearsal_that_is_over_does_nothing_more(parts):
    deploy(parts(for_s=120.0))
    again = deploy(parts(for_s=120.0))
    assert again.intervals == 0
    assert "over" in again.ending


def test_a_rehearsal_with_another_configuration_needs_another_journal(parts, base):
    deploy(parts(for_s=120.0))
    changed = dataclasses.replace(parts(), config={**base.config, "seed": 7})
    with pytest.raises(ConfigError, match="the configuration has changed"):
        deploy(changed)


def test_advice_changes_nothing(parts, base):
    controller = dataclasses.replace(base.controller, mode="advise")
    outcome = deploy(dataclasses.replace(parts(), controller=controller))
    _, acts = decided(outcome.journal)
    assert all(not launched for _, _, launched in acts)


def test_a_second_driver_is_refused(parts):
    settings = parts()
    journal = Journal(settings.deploy.journal_path, settings.deploy.name)
    with pytest.raises(ConfigError, match="is driven by process"):
        deploy(settings)
    journal.close("done")


@pytest.mark.parametrize(
    ("override", "text"),
    [
        ("deploy.name=Bad_Name", "deploy.name"),
        ("deploy.speed=0", "deploy.speed: must be positive"),
        ("deploy.for_s=soon", "deploy.for_s: must be a number or null"),
        ("deploy.start=later", "deploy.start: expected one of auto, trace, now"),
        ("controller.mode=acts", "controller.mode: expected 'advise' or 'shadow' or 'act'"),
        ("controller.guards.max_launches=-1", "guards.max_launches: must be a whole number"),
        ("controller.guards.max_usd_per_hour=1", "guards.max_usd_per_hour"),
        ("forecaster=oracle", "an oracle knows the future"),
    ],
)
def test_a_wrong_setting_is_one_line_that_names_the_key(override, text):
    with pytest.raises(ConfigError, match=text.replace(".", r"\.")) as caught:
        parts_of([*OVERRIDES, override])
    assert "\n" not in str(caught.value)
