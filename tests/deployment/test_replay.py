from __future__ import annotations

import dataclasses
import json
import shutil
import sqlite3

import pytest

from markopt.cli import main
from markopt.control.journal import JournalReader
from markopt.control.journal.documents import pack_plan
from markopt.deployment import DeploySettings, deploy, parts_of
from markopt.deployment.replay import Verdict, reproduce
from markopt.errors import SolverFailed
from tests.deployment.toy import ByLoad, toy_parts

PROGRAM = (
    "planner=program",
    "forecaster=last_value",
    "workload.evaluate_s=480",
    "workload.scale=30",
    "controller.horizon=5",
    "controller.samples=10",
    "controller.mode=act",
    "catalog.instance_types=[c5.large]",
)


@pytest.fixture(scope="module")
def recorded(tmp_path_factory):
    """The journal of a rehearsal with the program as planner."""
    path = tmp_path_factory.mktemp("recorded") / "program.journal"
    deploy(parts_of([*PROGRAM, f"deploy.journal={path}"]))
    return path


@pytest.fixture
def copy(recorded, tmp_path):
    return shutil.copy(recorded, tmp_path / "copy.journal")


def change(path, statement, *values):
    with sqlite3.connect(path) as database:
        database.execute(statement, values)
    database.close()


def replay(capsys, *arguments):
    code = main(["replay", *map(str, arguments)])
    return code, capsys.readouterr()


def test_every_plan_of_the_program_comes_out_bit_for_bit(recorded, capsys):
    code, said = replay(capsys, recorded)
    assert code == 0
    assert said.out.startswith("8 plans: 8 equal bit for bit, 0 diverged")


def test_the_document_counts_every_plan(recorded, capsys):
    code, said = replay(capsys, recorded, "--json")
    document = json.loads(said.out)
    assert code == 0
    assert document["plans"] == {"equal": 8, "diverged": 0, "as_recorded": 0}
    assert len(document["decisions"]) == 8


def test_a_plan_that_was_another_one_is_told_and_is_exit_code_1(copy, capsys):
    with JournalReader(copy) as reader:
        entry = list(reader.plans())[3]
    targets = entry.plan.targets.copy()
    targets[0, 0] += 5
    forged = dataclasses.replace(entry.plan, targets=targets)
    change(copy, "UPDATE plan SET document = ? WHERE entry = ?", pack_plan(forged), entry.entry)
    code, said = replay(capsys, copy)
    assert code == 1
    assert "7 equal bit for bit, 1 diverged" in said.out
    assert f"entry {entry.entry}: targets: 1 differ, first {entry.plan.offers[0]}" in said.out


def test_a_change_of_the_last_bit_is_a_divergence(copy, capsys):
    with JournalReader(copy) as reader:
        entry = next(reader.plans())
    objective = entry.plan.objective_usd
    forged = dataclasses.replace(entry.plan, objective_usd=objective * (1.0 + 2.0**-52))
    assert forged.objective_usd != objective
    change(copy, "UPDATE plan SET document = ? WHERE entry = ?", pack_plan(forged), entry.entry)
    code, said = replay(capsys, copy)
    assert code == 1
    assert "objective_usd" in said.out


def test_plans_that_met_a_deadline_are_taken_as_recorded_and_marked(copy, capsys):
    change(copy, "UPDATE plan SET at_deadline = 1 WHERE entry = (SELECT min(entry) FROM plan)")
    code, said = replay(capsys, copy)
    assert code == 0
    assert "7 equal bit for bit, 0 diverged, 1 met a time limit" in said.out
    assert "met its time limit, as recorded" in said.out


def test_a_planner_with_a_time_limit_marks_what_took_so_long(tmp_path):
    limited = dataclasses.replace(toy_parts(tmp_path, for_s=120.0), time_limit_s=1e-9)
    deploy(limited)
    with JournalReader(tmp_path / "journal") as reader:
        assert [entry.at_deadline for entry in reader.plans()] == [True, True]


def test_what_the_solver_failed_at_fails_again(tmp_path):
    class Failing:
        def plan(self, problem):
            if problem.time_s >= 60.0:
                raise SolverFailed("no incumbent")
            return ByLoad().plan(problem)

    deploy(dataclasses.replace(toy_parts(tmp_path, for_s=180.0), planner=Failing()))
    with JournalReader(tmp_path / "journal") as reader:
        same = list(reproduce(reader, lambda _: Failing()))
        other = list(reproduce(reader, lambda _: ByLoad()))
        held = [a.wanted.reason for a in reader.actions() if a.kind == "plan"]
    assert [p.verdict for p in same] == [Verdict.EQUAL] * 3
    assert [p.verdict for p in other] == [Verdict.EQUAL, Verdict.DIVERGED, Verdict.DIVERGED]
    assert "recorded SolverFailed: no incumbent, now a plan" in other[1].differences[0]
    assert held[1:] == ["fleet held: no incumbent"] * 2


def test_a_planner_that_is_not_markopts_is_built_only_where_the_journal_is_trusted(
    tmp_path, capsys
):
    deploy(toy_parts(tmp_path, for_s=120.0))
    code, said = replay(capsys, tmp_path / "journal")
    assert code == 2
    assert "'tests.deployment.toy.ByLoad' is not markopt's own; --trust" in said.err
    assert replay(capsys, tmp_path / "journal", "--trust")[0] == 0


def test_a_journal_cannot_name_a_function_to_be_called(copy, tmp_path, capsys):
    victim = tmp_path / "victim"
    config = {"planner": {"_target_": "os.mkdir", "path": str(victim)}}
    change(copy, "UPDATE epoch SET config = ?", json.dumps(config))
    assert replay(capsys, copy)[0] == 2
    config = {
        "planner": {
            "_target_": "markopt.evaluation.folder.replace_text",
            "path": str(victim),
            "text": "x",
        }
    }
    change(copy, "UPDATE epoch SET config = ?", json.dumps(config))
    assert replay(capsys, copy)[0] == 2
    nested = {
        "planner": {
            "_target_": "markopt.planning.Greedy",
            "inner": [{"_target_": "os.mkdir", "path": str(victim)}],
        }
    }
    change(copy, "UPDATE epoch SET config = ?", json.dumps(nested))
    assert replay(capsys, copy)[0] == 2
    assert not victim.exists()


def test_another_policy_is_asked_at_every_decision(recorded, capsys):
    code, said = replay(capsys, recorded, "--with", "planner=static_peak", "--json")
    document = json.loads(said.out)
    assert code == 0
    assert document["other"] == "static_peak"
    assert len(document["decisions"]) == 8
    for decision in document["decisions"]:
        assert decision["other"]["usd_per_h"] >= decision["recorded"]["usd_per_h"]
        assert decision["other"]["expected_usd"] > 0.0
    assert any(d["other"]["target"] != d["recorded"]["target"] for d in document["decisions"])


def test_the_same_policy_asked_again_does_and_costs_the_same(recorded, capsys):
    said = replay(capsys, recorded, "--with", "planner=program", "--json")[1]
    for decision in json.loads(said.out)["decisions"]:
        assert decision["other"] == decision["recorded"]


def test_the_table_has_a_row_per_decision_and_the_means(recorded, capsys):
    code, said = replay(capsys, recorded, "--with", "planner=greedy", "planner.headroom=1.2")
    assert code == 0
    assert "What greedy would have done" in said.out
    assert sum("│" in line for line in said.out.splitlines()) == 9


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (("--with", "forecaster=arima"), "expected planner=NAME"),
        (("--with", "planner=none_such"), "no such option"),
        (("--with", "planner=greedy", "seed=3"), "only the planner"),
        (("planner.headroom=2",), "--with planner=NAME"),
    ],
)
def test_a_wrong_question_is_one_line(recorded, capsys, arguments, text):
    code, said = replay(capsys, recorded, *arguments)
    assert code == 2
    assert text in said.err
    assert len(said.err.splitlines()) == 1


def test_a_missing_journal_is_bad_input(tmp_path, capsys):
    code, said = replay(capsys, tmp_path / "none.journal")
    assert code == 2
    assert "no such file" in said.err


def test_a_replay_leaves_the_journal_as_it_is(copy, capsys):
    with open(copy, "rb") as file:  # noqa: PTH123
        before = file.read()
    replay(capsys, copy)
    with open(copy, "rb") as file:  # noqa: PTH123
        assert file.read() == before


def test_deploy_settings_do_not_tell_rehearsals_apart(recorded):
    with JournalReader(recorded) as reader:
        (epoch,) = reader.epochs()
    assert "deploy" not in json.loads(epoch.config)
    assert DeploySettings().name == "markopt"
