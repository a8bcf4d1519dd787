"""``markopt plan`` on the saved problems: the plan, its explanation, or the limits in conflict."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from markopt.cli import main
from markopt.core import Problem, PurchaseOption
from markopt.core.documents import plan_from_json, plan_to_json, problem_from_json
from markopt.planning import Program, evaluate_plan

DATA = Path(__file__).parent / "data"
PATHS = sorted(DATA.glob("problem_*.json"))
SOLVABLE = [path for path in PATHS if path.stem != "problem_infeasible"]
MOST_BYTES = 400_000


def saved(name: str) -> Problem:
    return problem_from_json((DATA / f"problem_{name}.json").read_text(encoding="utf-8"))


def planned(capsys, path: Path, *more: str) -> tuple[int, str, str]:
    code = main(["plan", "--problem", str(path), *more])
    printed = capsys.readouterr()
    return code, printed.out, printed.err


def test_the_saved_problems_are_what_their_names_say() -> None:
    assert {path.stem.removeprefix("problem_") for path in PATHS} >= {
        "small", "spot_heavy", "gpu_batch", "tight_quota", "infeasible", "600_offers", "burst",
        "calm",
    }  # fmt: skip
    assert len(saved("small").offers) == 2
    assert len(saved("600_offers").offers) == 600
    spot = [o for o in saved("spot_heavy").offers if o.purchase is PurchaseOption.SPOT]
    assert len({offer.pool for offer in spot}) >= 9
    assert max(offer.batching.batch_size for offer in saved("gpu_batch").offers) >= 32
    assert saved("tight_quota").limits.max_vcpus is not None
    assert all(path.stat().st_size < MOST_BYTES for path in PATHS)


@pytest.mark.parametrize("path", SOLVABLE, ids=lambda path: path.stem)
def test_every_saved_problem_has_a_plan_and_an_explanation(capsys, path: Path) -> None:
    code, out, err = planned(capsys, path, "--planner", "program", "--explain")
    assert code == 0
    document = json.loads(out)
    explanation = document["explanation"]
    assert err.strip().startswith("Now: ")
    assert " ".join(explanation["decision"].split()) in " ".join(err.split())
    assert explanation["solves"] <= 60
    subjects = [finding["subject"] for finding in explanation["findings"]]
    assert "a load 10 % higher" in subjects
    problem = problem_from_json(path.read_text(encoding="utf-8"))
    plan = plan_from_json(out)
    assert evaluate_plan(problem, plan).feasible
    # The plan is the one that is printed without an explanation.
    assert plan_to_json(plan) == plan_to_json(Program().plan(problem))


def test_an_explanation_is_the_same_twice(capsys) -> None:
    path = DATA / "problem_burst.json"
    assert planned(capsys, path, "--explain") == planned(capsys, path, "--explain")


def test_without_explain_nothing_goes_to_standard_error(capsys) -> None:
    code, out, err = planned(capsys, DATA / "problem_small.json")
    assert (code, err) == (0, "")
    assert "explanation" not in json.loads(out)


@pytest.mark.parametrize("planner", ["program", "greedy", "lambda_only"])
@pytest.mark.parametrize("more", [(), ("--explain",)])
def test_the_infeasible_problem_ends_with_3_and_names_its_conflict(capsys, planner, more) -> None:
    path = DATA / "problem_infeasible.json"
    code, out, err = planned(capsys, path, "--planner", planner, *more)
    assert (code, out) == (3, "")
    assert err.count("\n") == 1
    assert "conflicting limits: rt_max_s of 0.05 s" in err


def test_a_quota_that_cannot_carry_the_load_ends_with_3_under_a_hard_slo(capsys) -> None:
    path = DATA / "problem_tight_quota.json"
    code, out, err = planned(capsys, path, "--planner", "program_hard_slo")
    assert (code, out) == (3, "")
    assert "vCPU quota of 48" in err
    assert "SLO of 98 % within 0.5 s" in err
    assert planned(capsys, DATA / "problem_small.json", "--planner", "program_hard_slo")[0] == 0


def test_the_explanation_of_a_rule_speaks_of_the_bill(capsys) -> None:
    path = DATA / "problem_burst.json"
    code, out, err = planned(capsys, path, "--planner", "greedy", "--explain")
    assert code == 0
    assert "a 'rule' proves no bound" in err
    assert json.loads(out)["explanation"]["objective_usd_per_h"] is None
