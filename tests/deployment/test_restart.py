from __future__ import annotations

import dataclasses
import sqlite3
import tempfile
import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from markopt.cloud.clock import SteppedClock
from markopt.control.guards import GuardSettings
from markopt.control.journal import JournalReader
from markopt.core import RateSeries
from markopt.deployment import Listeners, deploy
from markopt.deployment.past_load import extended, shifted
from markopt.errors import BackendError, ConfigError, Infeasible
from markopt.forecasting import LastValue
from tests.deployment import surviving_cloud
from tests.deployment.surviving_cloud import BIN_S, everything, requests_in_bin
from tests.deployment.toy import ByLoad, toy_parts


def rates(folder):
    with JournalReader(folder / "journal") as reader:
        return {e.time_s: float(e.observed.rate_rps[0]) for e in reader.rates()}


def starts(parts, clock=None):
    seen = []
    deploy(parts, Listeners(on_start=seen.append), clock=clock)
    return seen


def test_intervals_that_passed_while_nobody_was_there_are_learnt_but_not_decided(tmp_path):
    deploy(toy_parts(tmp_path, for_s=120.0))
    (start,) = starts(toy_parts(tmp_path), SteppedClock(290.0))
    assert start.resumed
    with JournalReader(tmp_path / "journal") as reader:
        decided = [i.time_s for i in reader.intervals()]
        plans = [p.time_s for p in reader.plans()]
    assert decided == [0.0, 60.0, 120.0, 240.0, 300.0, 360.0, 420.0, 480.0, 540.0]
    assert 180.0 not in plans
    per_interval = round(60.0 / BIN_S)
    for begin_s, rate_rps in rates(tmp_path).items():
        first = round(begin_s / BIN_S)
        arrived = sum(requests_in_bin(n) for n in range(first, first + per_interval))
        assert rate_rps == pytest.approx(arrived / 60.0), begin_s


def test_a_restart_long_after_the_fit_begins_a_new_epoch_with_what_was_observed(tmp_path):
    deploy(toy_parts(tmp_path, for_s=180.0))
    before = everything(tmp_path / "cloud")["instance"]
    fitted = []

    class Listening(type(toy_parts(tmp_path).forecaster)):
        def fit(self, history):
            fitted.append(history)
            return super().fit(history)

    late = dataclasses.replace(toy_parts(tmp_path, refit_after_s=100.0), forecaster=Listening())
    (start,) = starts(late, SteppedClock(290.0))
    assert (start.resumed, start.epoch, start.begin_s) == (False, 2, 300.0)
    assert "fitted 290 s ago" in start.why
    (history,) = fitted
    assert (history.start_s, history.end_s) == (-300.0, 300.0)
    told = rates(tmp_path)
    assert history.rate_rps[5:8].tolist() == [told[0.0], told[60.0], told[120.0]]
    assert np.isnan(history.rate_rps[8:]).all()
    kept = {row[0] for row in before} & {r[0] for r in everything(tmp_path / "cloud")["instance"]}
    assert kept == {row[0] for row in before}


def test_what_was_cut_off_long_ago_is_given_up_and_told(tmp_path, monkeypatch):
    class Cut(BaseException):
        pass

    applied = surviving_cloud.SurvivingBackend.apply

    def apply(self, actions):
        if "plan-120" in actions.decision_id:
            raise Cut
        return applied(self, actions)

    with monkeypatch.context() as patch:
        patch.setattr(surviving_cloud.SurvivingBackend, "apply", apply)
        with pytest.raises(Cut):
            deploy(toy_parts(tmp_path))
    with JournalReader(tmp_path / "journal") as reader:
        (pending,) = reader.pending()
    deploy(toy_parts(tmp_path), clock=SteppedClock(250.0))
    with JournalReader(tmp_path / "journal") as reader:
        (action,) = (a for a in reader.actions() if a.decision_id == pending.decision_id)
    assert action.report.launched == {}
    assert action.report.refused == ("given up after a restart: 130 s have passed",)


def test_what_an_earlier_epoch_was_cut_off_in_is_closed_and_no_id_is_used_twice(
    tmp_path, monkeypatch
):
    def apply(self, actions):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(surviving_cloud.SurvivingBackend, "apply", apply)
        with pytest.raises(KeyboardInterrupt):
            deploy(toy_parts(tmp_path))
    changed = toy_parts(tmp_path)
    changed = dataclasses.replace(changed, config={**changed.config, "seed": 1})
    (start,) = starts(changed)
    assert (start.resumed, start.begin_s) == (False, 0.0)
    with JournalReader(tmp_path / "journal") as reader:
        assert reader.pending() == ()
        first, again, *_ = reader.actions()
    assert "a new epoch has begun" in first.report.refused[0]
    assert again.decision_id == first.decision_id.replace("-plan", "-2-plan")
    assert again.report.launched


def test_what_was_cut_off_is_not_done_while_the_kill_switch_is_on(tmp_path, monkeypatch):
    switch = tmp_path / "stop"
    guards = GuardSettings(kill_switch=str(switch))

    def apply(self, actions):
        switch.write_text("on call said so\nsecond line")
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(surviving_cloud.SurvivingBackend, "apply", apply)
        with pytest.raises(KeyboardInterrupt):
            deploy(toy_parts(tmp_path, guards=guards))
    before = everything(tmp_path / "cloud")
    deploy(toy_parts(tmp_path, guards=guards))
    assert everything(tmp_path / "cloud") == before
    with JournalReader(tmp_path / "journal") as reader:
        first, *others = reader.actions()
    assert "given up after a restart: kill_switch" in first.report.refused[0]
    assert all("on call said so" in a.cuts[0].text for a in others if not a.wanted.empty)
    assert all("second line" not in a.cuts[0].text for a in others if not a.wanted.empty)


def test_another_mode_begins_a_new_epoch(tmp_path):
    deploy(toy_parts(tmp_path, for_s=120.0, mode="advise"))
    (start,) = starts(toy_parts(tmp_path))
    assert (start.resumed, start.why) == (False, "the configuration has changed")
    assert start.begin_s == 120.0


def test_a_cloud_that_does_not_answer_is_no_cloud_without_load(tmp_path, monkeypatch):
    observed = surviving_cloud.SurvivingBackend.observe

    def observe(self):
        if 240.0 < self.clock.now_s() <= 300.0:
            raise BackendError("no route to host")
        return observed(self)

    monkeypatch.setattr(surviving_cloud.SurvivingBackend, "observe", observe)
    troubles, acted = [], []
    deploy(toy_parts(tmp_path), Listeners(on_trouble=troubles.append, on_carried=acted.append))
    assert troubles == ["no route to host"] * 3
    (blind,) = (a for a in acted if a.kind == "plan" and a.time_s == 300.0)
    assert "scale-in frozen" in blind.wanted.reason
    assert blind.wanted.terminate == ()


def test_a_cloud_that_never_answers_again_ends_the_controller_and_not_the_fleet(
    tmp_path, monkeypatch
):
    observed = surviving_cloud.SurvivingBackend.observe

    def observe(self):
        if self.clock.now_s() > 240.0:
            raise BackendError("no route to host")
        return observed(self)

    monkeypatch.setattr(surviving_cloud.SurvivingBackend, "observe", observe)
    with pytest.raises(BackendError, match="no route"):
        deploy(toy_parts(tmp_path, give_up_s=100.0))
    assert any(row[4] is None for row in everything(tmp_path / "cloud")["instance"])
    with JournalReader(tmp_path / "journal") as reader:
        assert "BackendError" in reader.sessions()[0].ending


def test_a_fleet_ends_with_its_controller_only_where_that_is_wished(tmp_path):
    for folder, wished in (("stays", False), ("ends", True)):
        (tmp_path / folder).mkdir()
        deploy(toy_parts(tmp_path / folder, for_s=120.0, terminate_at_end=wished))
        running = [r for r in everything(tmp_path / folder / "cloud")["instance"] if r[4] is None]
        assert bool(running) != wished


def test_advice_never_ends_a_fleet(tmp_path):
    deploy(toy_parts(tmp_path, for_s=120.0, mode="advise", terminate_at_end=True))
    assert all(row[4] is None for row in everything(tmp_path / "cloud")["instance"])


class Slow:
    """A planner that takes 90 s for its second plan."""

    def __init__(self, clock):
        self.clock, self.calls = clock, 0

    def plan(self, problem):
        self.calls += 1
        if self.calls == 2:
            self.clock.wait_until(self.clock.now_s() + 90.0)
        return ByLoad().plan(problem)


def test_a_plan_that_takes_longer_than_its_interval_costs_the_next_interval_its_decision(tmp_path):
    clock = SteppedClock(0.0)
    deploy(dataclasses.replace(toy_parts(tmp_path), planner=Slow(clock)), clock=clock)
    with JournalReader(tmp_path / "journal") as reader:
        decided = [i.time_s for i in reader.intervals()]
        looked = [e.time_s for e in reader.observations(last=1000)]
        arrivals = sum(i.arrivals for i in reader.intervals())
    assert decided == [0.0, 60.0, 120.0, 180.0, 240.0, 300.0, 360.0, 420.0, 480.0, 540.0]
    assert looked == sorted(looked)
    assert 150.0 in looked
    assert not [t for t in looked if 60.0 < t < 150.0]
    assert arrivals == sum(requests_in_bin(n) for n in range(120))
    told = rates(tmp_path)
    assert sorted(told) == [60.0 * n for n in range(10)]
    assert told[120.0] == pytest.approx(sum(requests_in_bin(n) for n in range(24, 36)) / 60.0)


def test_where_no_plan_exists_the_fleet_is_held_and_the_reason_told(tmp_path):
    class Contradicted:
        def plan(self, problem):
            if problem.time_s == 120.0:
                raise Infeasible("max_vcpus is below what the floor needs")
            return ByLoad().plan(problem)

    carried = []
    parts = dataclasses.replace(toy_parts(tmp_path), planner=Contradicted())
    deploy(parts, Listeners(on_carried=carried.append))
    (held,) = (c for c in carried if c.kind == "plan" and c.time_s == 120.0)
    assert held.wanted.reason == (
        "fleet held: no plan exists: max_vcpus is below what the floor needs"
    )
    with JournalReader(tmp_path / "journal") as reader:
        (entry,) = (e for e in reader.plans() if e.time_s == 120.0 and e.plan is None)
    assert entry.error == "Infeasible: max_vcpus is below what the floor needs"


def test_a_new_epoch_knows_what_the_day_has_cost(tmp_path):
    deploy(toy_parts(tmp_path, for_s=300.0, mode="advise"))
    carried = []
    spent = GuardSettings(max_usd_per_day=300.0 * 1e-4)
    deploy(toy_parts(tmp_path, guards=spent), Listeners(on_carried=carried.append))
    wanted = [c for c in carried if any(c.wanted.launch.values())]
    assert wanted
    for one in wanted:
        assert one.report.launched == {}
        assert {cut.rule for cut in one.cuts} == {"max_usd_per_day"}
    assert "0.03 of 0.03 USD are spent today" in wanted[0].cuts[0].text


def test_guard_rails_may_change_without_a_new_epoch(tmp_path):
    deploy(toy_parts(tmp_path, for_s=120.0))
    changed = toy_parts(tmp_path, guards=GuardSettings(max_launches=1))
    config = {**changed.config, "controller": {"mode": "act", "guards": {"max_launches": 1}}}
    (start,) = starts(dataclasses.replace(changed, config=config))
    assert start.resumed


def test_instances_of_offers_that_are_gone_from_the_configuration_end(tmp_path):
    deploy(toy_parts(tmp_path, for_s=120.0))
    with sqlite3.connect(tmp_path / "cloud") as cloud:
        cloud.execute("INSERT INTO instance VALUES ('i-old', 't', 'm4.old', -500, NULL)")
    cloud.close()
    deploy(toy_parts(tmp_path, for_s=300.0))
    (old,) = (r for r in everything(tmp_path / "cloud")["instance"] if r[0] == "i-old")
    assert old[4] is not None


def test_a_trace_does_not_go_on_while_the_forecaster_is_fitted(tmp_path):
    class SlowToFit(LastValue):
        def fit(self, history):
            time.sleep(0.3)
            return super().fit(history)

    parts = toy_parts(tmp_path, for_s=60.0, clock="wall", speed=200.0)
    deploy(dataclasses.replace(parts, forecaster=SlowToFit()))
    with JournalReader(tmp_path / "journal") as reader:
        (first,) = [i.time_s for i in reader.intervals()]
        looked = reader.observations(last=1000)[0].time_s
    assert first == 0.0
    assert looked < 0.3 * 200.0


@settings(max_examples=6, deadline=None)
@given(st.lists(st.integers(1, 9), min_size=1, max_size=3, unique=True))
def test_wherever_a_deployment_is_stopped_it_goes_on_as_if_it_had_not_been(whole, stops):
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for minutes in (*sorted(stops), 10):
            deploy(toy_parts(folder, for_s=60.0 * minutes))
        assert everything(folder / "cloud") == whole[0]
        assert story(folder) == whole[1]


def story(folder):
    with JournalReader(folder / "journal") as reader:
        identity = f"{reader.meta('identity')}-"
        return [
            (a.decision_id.removeprefix(identity), a.wanted.reason, a.report.launched)
            for a in reader.actions()
        ]


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    folder = tmp_path_factory.mktemp("whole")
    deploy(toy_parts(folder))
    return everything(folder / "cloud"), story(folder)


def test_history_moves_and_grows_on_its_own_grid():
    history = RateSeries(0.0, 60.0, [1.0, 2.0], [[1.0, 1.0], [2.0, 2.0]])
    moved = shifted(history, 1000.0)
    assert (moved.start_s, moved.end_s) == (880.0, 1000.0)
    told = (
        RateSeries(1060.0, 60.0, [4.0], [[3.0, 5.0]]),
        RateSeries(1121.0, 60.0, [9.0], [[9.0, 9.0]]),  # off the grid
        RateSeries(1120.0, 30.0, [9.0]),  # of another grid
        RateSeries(940.0, 60.0, [9.0], [[9.0, 9.0]]),  # known already
    )
    grown = extended(moved, told, 1180.0)
    assert grown.end_s == 1180.0
    np.testing.assert_array_equal(grown.rate_rps, [1.0, 2.0, np.nan, 4.0, np.nan])
    np.testing.assert_array_equal(grown.within_rps[3], [3.0, 5.0])
    assert extended(moved, told, 1000.0) is moved


def test_the_journals_folder_must_exist(tmp_path):
    parts = toy_parts(tmp_path, name="toy")
    lost = dataclasses.replace(parts.deploy, journal=str(tmp_path / "no" / "journal"))
    with pytest.raises(ConfigError, match=r"deploy\.journal: folder"):
        deploy(dataclasses.replace(parts, deploy=lost))
