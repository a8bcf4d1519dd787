"""One contract over every planner."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from inspect import signature
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hydra.utils import instantiate
from omegaconf import OmegaConf

from markopt.composition import compose
from markopt.core import Limits, Problem
from markopt.core.documents import plan_from_json, plan_to_json, problem_from_json, problem_to_json
from markopt.planning import (
    CvxpyProgram,
    Greedy,
    GreedyReleased,
    LambdaOnly,
    Planner,
    Program,
    PulpProgram,
    SquareRootStaffing,
    StaticPeak,
    TargetTracking,
    WithHardSlo,
    WithStandbys,
    evaluate_plan,
    peers,
)
from markopt.planning.transition import held_plan
from tests.planning.problems import EIGHT, function, problem, walk_paths
from tests.planning.test_baselines import STANDBY

CONF = Path(__file__).parents[2] / "conf" / "planner"
CLASSES = (
    Program,
    CvxpyProgram,
    PulpProgram,
    Greedy,
    GreedyReleased,
    TargetTracking,
    StaticPeak,
    LambdaOnly,
    SquareRootStaffing,
    *(getattr(peers, name) for name in peers.__all__),
)
MAKERS: list[Callable[[], Planner]] = [
    *CLASSES,
    lambda: PulpProgram(solver="highs"),
    lambda: WithStandbys(Greedy(), "t2.medium", 3),
    lambda: WithHardSlo(planner=Program()),
]


def contract_problem(seed: int, **changes) -> Problem:
    rng = np.random.default_rng(seed)
    paths = walk_paths(rng, samples=20, horizon=8, start_rps=float(rng.uniform(5.0, 300.0)))
    recent = walk_paths(rng, samples=1, horizon=20, start_rps=50.0)[0]
    return problem(
        (*EIGHT, STANDBY),
        paths,
        ready={"c5.large/spot": int(rng.integers(0, 9)), "c5.xlarge": int(rng.integers(0, 3))},
        pending={"c5.large": (20.0, 80.0)},
        noticed={"c5.large/spot": 1} if seed % 2 else {},
        with_function=function(),
        history_peak_rps=280.0,
        recent_rps=tuple(recent.tolist()),
        recent_bin_rps=tuple(rng.uniform(20.0, 90.0, 12).tolist()),
        recent_targets_rps=(100.0, 150.0),
        **changes,
    )


@pytest.mark.parametrize("make", MAKERS)
@pytest.mark.parametrize("seed", range(4))
def test_plans_are_whole_not_negative_and_executable(
    make: Callable[[], Planner], seed: int
) -> None:
    base = contract_problem(seed)
    plan = make().plan(base)
    assert plan.offers == tuple(o.name for o in base.offers)
    assert plan.targets.shape == (len(base.offers), base.horizon)
    assert (plan.targets >= 0).all()
    assert (plan.warm_functions >= 0).all()
    assert plan.reason
    assert "\n" not in plan.reason
    assert plan.rung in {"optimal", "incumbent", "rounded", "greedy", "hold", "rule"}


@pytest.mark.parametrize("make", MAKERS)
def test_same_problem_same_plan(make: Callable[[], Planner]) -> None:
    planner = make()
    first = plan_to_json(planner.plan(contract_problem(3)))
    planner.plan(contract_problem(4))  # what came between must not matter
    assert plan_to_json(planner.plan(contract_problem(3))) == first
    assert plan_to_json(make().plan(contract_problem(3))) == first


@pytest.mark.parametrize("make", MAKERS)
def test_a_saved_problem_gives_the_same_plan(make: Callable[[], Planner]) -> None:
    base = contract_problem(1)
    again = problem_from_json(problem_to_json(base))
    plan = make().plan(base)
    assert plan_to_json(make().plan(again)) == plan_to_json(plan)
    assert plan_to_json(plan_from_json(plan_to_json(plan))) == plan_to_json(plan)


@pytest.mark.parametrize("make", MAKERS)
def test_no_load_is_planned_for(make: Callable[[], Planner]) -> None:
    quiet = problem((*EIGHT, STANDBY), np.zeros((2, 3)), with_function=function())
    assert make().plan(quiet).targets.shape == (9, 3)


@pytest.mark.parametrize("make", MAKERS)
def test_one_interval_is_a_horizon(make: Callable[[], Planner]) -> None:
    short = problem((*EIGHT, STANDBY), [[40.0]], ready={"c5.large": 2}, with_function=function())
    assert make().plan(short).targets.shape == (9, 1)


@pytest.mark.parametrize("planner", [Program(), CvxpyProgram(), PulpProgram(), Greedy()])
def test_limits_are_kept_now(planner: Planner) -> None:
    base = contract_problem(2, limits=Limits(max_vcpus=60.0, max_launches_per_interval=12))
    account = evaluate_plan(base, planner.plan(base))
    assert not [item for item in account.broken if "interval 0" in item]


@pytest.mark.parametrize("make", CLASSES)
def test_knob_is_an_argument_and_its_grid_leads_to_more_capacity(make: type) -> None:
    if make.KNOB is None:
        assert make.KNOB_GRID == ()
        return
    assert make.KNOB in signature(make).parameters
    assert 6 <= len(make.KNOB_GRID) <= 9
    base = problem(
        EIGHT,
        walk_paths(np.random.default_rng(0), samples=40, horizon=10, start_rps=200.0),
        with_function=function(),
        history_peak_rps=300.0,
        recent_rps=(200.0,) * 20,
        recent_bin_rps=(200.0,) * 12,
    )
    rps = np.array([o.saturation_rps for o in EIGHT])
    held = [
        float(rps @ make(**{make.KNOB: value}).plan(base).targets[:, 0]) for value in make.KNOB_GRID
    ]
    assert held[0] < held[-1]
    assert all(a <= b * 1.1 for a, b in pairwise(held))


@pytest.mark.parametrize("path", sorted(CONF.glob("*.yaml")), ids=lambda p: p.stem)
def test_every_config_lists_every_argument_at_its_default(path: Path) -> None:
    config = compose([f"planner={path.stem}"]).config.planner
    planner = instantiate(config)
    if isinstance(planner, WithHardSlo):
        assert planner == WithHardSlo(planner=type(planner.planner)())
    elif isinstance(planner, WithStandbys):
        inner = type(planner.planner)()
        assert planner == WithStandbys(inner, "t2.medium/burstable")
    elif path.stem == "greedy_quantile":
        assert planner == Greedy(quantile=0.9)
    else:
        assert planner == type(planner)()
    written = set(config) - {"_target_"}
    assert written == set(signature(type(planner)).parameters)


def test_there_is_a_config_for_every_planner() -> None:
    targets = {OmegaConf.load(path)["_target_"] for path in CONF.glob("*.yaml")}
    assert targets == {
        f"markopt.planning.{make.__name__}" for make in (*CLASSES, WithStandbys, WithHardSlo)
    }


def test_hold_keeps_what_is_billed() -> None:
    base = contract_problem(1)
    plan = held_plan(base, "program", "keep")
    assert plan.rung == "hold"
    for name, count in plan.target_now().items():
        fleet = base.fleet.of(name)
        assert count == fleet.billed - fleet.noticed


def test_importing_the_planners_loads_no_solver() -> None:
    code = (
        "import sys, markopt.planning; "
        "print([m for m in ('highspy', 'scipy.optimize', 'cvxpy', 'pulp', 'torch', 'pandas') "
        "if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("name", ["Program()", "CvxpyProgram()", "PulpProgram(solver='highs')"])
def test_solving_prints_nothing(name: str) -> None:
    code = (
        "from tests.planning.test_contract import contract_problem; "
        f"from markopt.planning import *; {name}.plan(contract_problem(0))"
    )
    root = Path(__file__).parents[2]
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=root
    )
    assert done.stdout == ""
