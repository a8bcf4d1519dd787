from __future__ import annotations

import dataclasses
import multiprocessing
import os
import signal
import threading
import time

import numpy as np
import pytest
import yaml

from markopt.assembly import ConfigParts
from markopt.cli import main
from markopt.cloud.clock import SteppedClock, WallClock
from markopt.cloud.live import Deployment
from markopt.control.guards import GuardSettings
from markopt.control.journal import Carried, JournalReader
from markopt.core import ActionReport, Actions, InstanceState
from markopt.deployment import Listeners, deploy, parts_of
from markopt.deployment.dry_run import dry_run
from markopt.deployment.launch import _confirm, carried_text
from markopt.deployment.pacing import PacedBackend
from markopt.deployment.shadow import ShadowFleet
from markopt.errors import ConfigError
from tests.control.fake_backend import SERVICE, curves
from tests.deployment.surviving_cloud import SurvivingCloud, everything
from tests.deployment.toy import HISTORY, OFFERS, toy_parts

context = multiprocessing.get_context("forkserver")
context.set_forkserver_preload(["tests.deployment.toy", "markopt.deployment.session"])

SMALL = (
    "planner=greedy",
    "forecaster=last_value",
    "catalog.instance_types=[c5.large]",
    "workload.evaluate_s=300",
    "controller.horizon=3",
    "controller.samples=5",
)


def opened(folder, clock):
    deployment = Deployment(
        "toy", SERVICE, OFFERS, None, 60.0, None, clock, np.random.SeedSequence(0)
    )
    return SurvivingCloud(str(folder / "cloud")).open(deployment)


def shadow_of(folder, clock):
    return ShadowFleet(opened(folder, clock), OFFERS, None, curves(OFFERS))


# --- shadow ---


def test_a_shadow_begins_as_the_real_fleet_and_changes_in_mind_only(tmp_path):
    clock = SteppedClock(0.0)
    shadow = shadow_of(tmp_path, clock)
    first = shadow.observe()
    assert [i.instance_id for i in first.instances] == ["i-first-0", "i-first-1"]
    before = everything(tmp_path / "cloud")
    report = shadow.apply(Actions("a", {"spot": 2}, ("i-first-0",), 3))
    assert report.launched == {"spot": ("shadow-a-spot-0", "shadow-a-spot-1")}
    assert report.terminated == ("i-first-0",)
    states = []
    for now_s in (20.0, 39.0, 40.0):
        shadow.advance(now_s)
        seen = shadow.observe()
        assert seen.warm_functions == 3
        states.append([i.state for i in seen.instances if i.offer == "spot"])
    assert states == [[InstanceState.BOOTING] * 2] * 2 + [[InstanceState.READY] * 2]
    assert everything(tmp_path / "cloud") == before


def test_a_shadows_bill_is_its_fleets_price_times_time(tmp_path):
    shadow = shadow_of(tmp_path, SteppedClock(0.0))
    shadow.observe()
    shadow.advance(100.0)
    assert shadow.observe().bill_usd == pytest.approx(2 * 1e-4 * 100.0)
    shadow.apply(Actions("a", {"spot": 1}))
    shadow.advance(150.0)
    assert shadow.observe().bill_usd == pytest.approx(2 * 1e-4 * 150.0 + 3e-5 * 50.0)
    shadow.apply(Actions("b", {}, ("shadow-a-spot-0",)))  # ten seconds short of its minimum
    assert shadow.close().total_usd == pytest.approx(2 * 1e-4 * 150.0 + 3e-5 * 60.0)
    assert shadow.real_bill_usd == pytest.approx(150.0 * 1e-4)


def test_what_an_imagined_fleet_cannot_carry_counts_as_spilled(tmp_path):
    shadow = shadow_of(tmp_path, SteppedClock(0.0))
    shadow.observe()
    shadow.advance(120.0)
    assert shadow.observe().spilled.sum() == 0
    shadow.advance(180.0)
    surge = shadow.observe()
    carried = round(2 * 10.0 / 1.25 * 5.0)
    assert surge.spilled.tolist() == [max(n - carried, 0) for n in surge.arrivals.tolist()]
    assert surge.spilled.sum() > 0


def test_a_shadow_deployment_leaves_the_cloud_alone_and_tells_both_bills(tmp_path):
    outcome = deploy(toy_parts(tmp_path, mode="shadow"))
    assert outcome.ledger.total_usd > 0.0
    assert outcome.beside_usd == pytest.approx(600.0 * 1e-4)
    assert len(everything(tmp_path / "cloud")["instance"]) == 2
    with JournalReader(tmp_path / "journal") as reader:
        launched = [i for a in reader.actions() for ids in a.report.launched.values() for i in ids]
    assert launched
    assert all(name.startswith("shadow-") for name in launched)


def test_a_shadow_taken_up_again_is_as_one_that_was_never_left(tmp_path):
    def story(folder):
        with JournalReader(folder / "journal") as reader:
            identity = reader.meta("identity")
            return [
                (e.time_s, e.observation.bill_usd, len(e.observation.instances))
                for e in reader.observations(last=1000)
            ], [(a.decision_id.removeprefix(identity), a.wanted.launch) for a in reader.actions()]

    for folder, stops in (("whole", (600.0,)), ("parted", (120.0, 240.0, 600.0))):
        (tmp_path / folder).mkdir()
        for for_s in stops:
            deploy(toy_parts(tmp_path / folder, mode="shadow", for_s=for_s))
    assert story(tmp_path / "parted") == story(tmp_path / "whole")


def test_a_shadow_of_a_rehearsal_can_be_taken_up_again(tmp_path):
    for for_s in (120.0, 240.0):
        outcome = deploy(
            parts_of(
                [
                    *SMALL,
                    "controller.mode=shadow",
                    f"deploy.journal={tmp_path / 'j'}",
                    f"deploy.for_s={for_s}",
                ]
            )
        )
        assert outcome.intervals == 2


# --- guard rails in a deployment ---


def test_each_refusal_is_in_the_journal_under_its_rule_and_in_the_report(tmp_path):
    carried = []
    guards = GuardSettings(max_launches=1, max_instances=4)
    deploy(toy_parts(tmp_path, guards=guards), Listeners(on_carried=carried.append))
    with JournalReader(tmp_path / "journal") as reader:
        actions = reader.actions()
    rules = {cut.rule for action in actions for cut in action.cuts}
    assert rules == {"max_launches", "max_instances"}
    for action, told in zip(actions, carried, strict=True):
        assert action.cuts == told.cuts
        assert sum(len(ids) for ids in action.report.launched.values()) <= 1
        for cut in action.cuts:
            assert f"guard {cut.rule}: {cut.text}" in action.report.refused
    running = everything(tmp_path / "cloud")["instance"]
    assert max(_running_at(running, t) for t in range(0, 600, 5)) <= 4


def _running_at(rows, time_s):
    return sum(r[3] <= time_s and (r[4] is None or r[4] > time_s) for r in rows)


# --- dry run ---


def test_a_dry_run_tells_the_calls_and_changes_nothing(tmp_path):
    parts = toy_parts(tmp_path, guards=GuardSettings(max_launches=0))
    guarded = list(dry_run(parts))
    assert any(line.startswith("guard max_launches:") for line in guarded)
    lines = list(dry_run(toy_parts(tmp_path)))
    assert "plan: 2 for the load" in lines
    assert lines[lines.index("calls: 1") + 1 :] == ["  launch 1 spot"]
    assert len(everything(tmp_path / "cloud")["instance"]) == 2
    assert not (tmp_path / "journal").exists()


def test_a_dry_run_asks_the_cloud_for_its_calls_where_it_can_tell_them(tmp_path, monkeypatch):
    from tests.deployment.surviving_cloud import SurvivingBackend

    def describe(self, actions):
        return [f"RunInstances {name} x{n}" for name, n in actions.launch.items()]

    monkeypatch.setattr(SurvivingBackend, "describe", describe, raising=False)
    assert "  RunInstances spot x1" in list(dry_run(toy_parts(tmp_path)))


def test_a_dry_run_learns_from_the_journal_and_leaves_it(tmp_path):
    deploy(toy_parts(tmp_path, for_s=180.0))
    before = (tmp_path / "journal").read_bytes()
    assert any(line.startswith("forecast: ") for line in dry_run(toy_parts(tmp_path)))
    assert (tmp_path / "journal").read_bytes() == before


# --- the command line ---


def cli(capsys, *arguments):
    code = main(["deploy", *map(str, arguments)])
    return code, capsys.readouterr()


def test_the_command_says_each_decision_and_its_reason(tmp_path, capsys):
    code, said = cli(
        capsys, *SMALL, f"deploy.journal={tmp_path / 'j'}", "deploy.for_s=120", "deploy.name=x"
    )
    assert code == 0
    assert "x: advise, journal" in said.out
    assert said.out.count("  plan  ") == 2
    assert "keep the fleet" in said.out
    assert said.out.splitlines()[-1].startswith("done: 2 intervals")


def test_a_dry_run_on_the_command_line(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    code, said = cli(capsys, *SMALL, "--dry-run", "controller.mode=act")
    assert code == 0
    assert "calls: " in said.out
    assert list(tmp_path.iterdir()) == []


def test_a_first_change_of_a_real_account_must_be_confirmed(tmp_path, capsys):
    parts = toy_parts(tmp_path)
    with pytest.raises(ConfigError, match="Confirm with --yes"):
        _confirm(parts, False)
    _confirm(parts, True)
    _confirm(toy_parts(tmp_path, mode="advise"), False)
    deploy(toy_parts(tmp_path, mode="advise", for_s=60.0))
    with pytest.raises(ConfigError, match="Confirm with --yes"):
        _confirm(parts, False)
    deploy(toy_parts(tmp_path, for_s=120.0))
    _confirm(parts, False)


def test_the_name_typed_confirms(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)
    typed = iter(["toy", "tpy"])
    monkeypatch.setattr("typer.prompt", lambda *_, **__: next(typed))
    _confirm(toy_parts(tmp_path), False)
    with pytest.raises(ConfigError, match="expected 'toy', got 'tpy'"):
        _confirm(toy_parts(tmp_path), False)
    assert "to launch and end instances on SurvivingCloud" in capsys.readouterr().out


def test_what_is_said_cannot_steer_a_terminal():
    actions = Actions("a", {"small": 1}, reason="load \x1b[2J up")
    report = ActionReport("a", refused=("no \x1b]0;title\x07 capacity\r",))
    text = carried_text(Carried(0.0, "plan", "act", actions, (), report))
    assert all(line.isprintable() for line in text.split("\n"))


def test_a_policy_that_compare_exported_is_deployed_as_it_is(tmp_path, capsys):
    path = tmp_path / "policy.yaml"
    parts = ConfigParts([*SMALL, "planner.headroom=1.3"], ["greedy"])
    parts.export("greedy", 5, None, path)
    exported = parts_of([f"deploy.journal={tmp_path / 'j'}"], path)
    assert exported.planner.headroom == 1.3
    assert exported.seed == 5
    assert exported.controller.mode == "advise"
    changed = parts_of(["controller.mode=act", "planner.headroom=1.1", "cloud=unreliable"], path)
    assert (changed.controller.mode, changed.planner.headroom) == ("act", 1.1)
    assert changed.cloud.api.error_share > 0.0
    assert changed.controller.horizon == 3


def test_a_policy_of_before_modes_and_guards_is_filled_up(tmp_path):
    path = tmp_path / "policy.yaml"
    ConfigParts(SMALL, ["greedy"]).export("greedy", 0, None, path)
    old = yaml.safe_load(path.read_text())
    for key in ("mode", "guards", "suspect_chance"):
        del old["controller"][key]
    path.write_text(yaml.safe_dump(old))
    assert parts_of(["controller.guards.max_launches=2"], path).controller.guards.max_launches == 2


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (("--what",), "--what: no such option"),
        (("deploy.nme=x",), "deploy.nme"),
        (("cloud=azure",), "cloud=azure: no such option"),
        (("--config-file", "none.yaml"), "none.yaml: cannot be read"),
        (("workload.evaluate_s=soon",), "workload.evaluate_s"),
    ],
)
def test_a_wrong_argument_is_one_line_and_exit_code_2(capsys, arguments, text):
    code, said = cli(capsys, *arguments)
    assert code == 2
    assert text in said.err
    assert len(said.err.splitlines()) == 1


def test_a_live_cloud_is_not_for_run(capsys):
    assert main(["run", *SMALL, "cloud=aws", "output=/nonexistent/x"]) == 2
    assert main(["run", *SMALL, "cloud=aws"]) == 2
    said = capsys.readouterr().err.splitlines()[-1]
    assert "must be a simulated one here, got AwsCloud; use markopt deploy" in said


# --- time and stops ---


def run_slowly(folder):
    parts = toy_parts(folder, clock="wall", speed=20.0)
    deploy(parts)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_the_controller_cleanly_and_leaves_the_fleet(tmp_path, number):
    process = context.Process(target=run_slowly, args=(tmp_path,))
    process.start()
    while not _observed(tmp_path / "journal") and process.is_alive():
        time.sleep(0.05)
    os.kill(process.pid, number)
    process.join(60.0)
    assert process.exitcode == 0
    with JournalReader(tmp_path / "journal") as reader:
        assert reader.sessions()[0].ending == f"stopped by {signal.Signals(number).name}"
        assert reader.pending() == ()
    assert any(row[4] is None for row in everything(tmp_path / "cloud")["instance"])


def _observed(path):
    if not path.exists():
        return False
    try:
        with JournalReader(path) as reader:
            return reader.last_time_s() is not None
    except Exception:  # noqa: BLE001 - it is being made
        return False


def test_a_deployment_may_run_in_a_thread(tmp_path):
    done = []
    thread = threading.Thread(target=lambda: done.append(deploy(toy_parts(tmp_path, for_s=60.0))))
    thread.start()
    thread.join()
    assert done[0].intervals == 1


class Ticking:
    """A clock of which every look takes a second."""

    def __init__(self):
        self.time_s = 0.0
        self.waited = []

    def now_s(self):
        self.time_s += 1.0
        return self.time_s

    def wait_until(self, time_s):
        self.waited.append(time_s)
        self.time_s = max(self.time_s, time_s)


class Timed:
    def __init__(self):
        self.advanced = []

    def advance(self, until_s):
        self.advanced.append(until_s)


def test_waits_are_sliced_so_that_a_wish_to_stop_is_heard():
    asked, inner = [], Timed()
    paced = PacedBackend(
        inner, Ticking(), end_s=1e9, give_up_s=0.0, check_stop=lambda: asked.append(1)
    )
    paced.advance(6.0)
    assert inner.advanced[-1] == 6.0
    assert inner.advanced == sorted(inner.advanced)
    assert len(asked) == len(inner.advanced) >= 3


def test_a_time_that_has_passed_is_not_waited_for_but_the_end_is_kept():
    inner = Timed()
    clock = SteppedClock(100.0)
    PacedBackend(inner, clock, end_s=1e9, give_up_s=0.0).advance(40.0)
    assert inner.advanced == [100.0]
    PacedBackend(inner, clock, end_s=60.0, give_up_s=0.0).advance(40.0)
    assert inner.advanced[-1] == 60.0


def test_a_deployment_that_starts_now_has_its_history_end_now(tmp_path):
    fitted = []

    class Listening(type(toy_parts(tmp_path).forecaster)):
        def fit(self, history):
            fitted.append(history)
            return super().fit(history)

    parts = toy_parts(tmp_path, start="now", for_s=60.0)
    parts = dataclasses.replace(parts, forecaster=Listening())
    before_s = time.time()
    deploy(parts)
    (history,) = fitted
    assert before_s - 1.0 <= history.end_s <= time.time() + 60.0
    assert history.end_s % 60.0 == pytest.approx(0.0)
    assert history.rate_rps.tolist() == HISTORY.rate_rps.tolist()
    assert isinstance(WallClock(), WallClock)
