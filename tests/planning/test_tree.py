"""Scenario trees: nested, probable, and what knowing more later is worth."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from markopt.core import Problem
from markopt.planning import PulpProgram
from markopt.planning.statement.tree import ScenarioTree, scenario_tree
from tests.fuzzing import examples
from tests.planning.problems import offer, problem
from tests.planning.statements import decisions, statement_of

QUICK = settings(
    max_examples=examples(40),
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow],
)


@st.composite
def trees(draw: st.DrawFn) -> tuple[ScenarioTree, np.ndarray, int]:
    rng = np.random.default_rng(draw(st.integers(0, 10_000)))
    count, horizon = draw(st.integers(1, 15)), draw(st.integers(1, 7))
    p = rng.uniform(0.1, 1.0, count)
    p /= p.sum()
    shared = draw(st.integers(1, 8))
    groups = draw(st.sampled_from([(), (1,), (3,), (2, 2), (4, 2, 2)]))
    return scenario_tree(rng.uniform(0, 9, (count, horizon)), p, shared, groups), p, shared


@QUICK
@given(trees())
def test_cells_partition_the_paths_and_are_nested(data) -> None:
    tree, p, shared = data
    for t in range(tree.cell_of.shape[1]):
        cells = np.flatnonzero(tree.interval == t)
        inside = [tree.members(c) for c in cells.tolist()]
        assert sorted(np.concatenate(inside).tolist()) == list(range(len(p)))
        assert np.isclose(tree.probability[cells].sum(), 1.0)
        if t < shared:
            assert len(cells) == 1
        for cell, own in zip(cells.tolist(), inside, strict=True):
            assert np.isclose(tree.probability[cell], p[own].sum())
            parent = int(tree.parent[cell])
            assert (parent == -1) == (t == 0)
            if parent >= 0:
                assert set(own.tolist()) <= set(tree.members(parent).tolist())


@QUICK
@given(trees(), st.integers(0, 7))
def test_ancestors_are_found_by_walking_up(data, back: int) -> None:
    tree, _, _ = data
    for cell in range(tree.cells):
        at = cell
        for _ in range(back):
            at = -1 if at == -1 else int(tree.parent[at])
        assert tree.ancestor(cell, back) == at
        assert tree.ancestors(back)[cell] == at


@settings(
    max_examples=examples(8),
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow],
)
@given(decisions())
def test_to_know_more_is_never_dearer(base: Problem) -> None:
    # The same program but for what decisions may depend on: each set of plans holds the one before.
    gap = {"mip_rel_gap": 1e-7, "max_nodes": 200_000, "window": None, "solver": "highs"}
    found = []
    for recourse, groups in (
        ("open_loop", ()),
        ("delayed", (2,)),
        ("delayed", (2, 2)),
        ("delayed", ()),
        ("wait_and_see", ()),
    ):
        planner = PulpProgram(**gap, recourse=recourse, scenario_groups=groups)
        found.append(planner.solve(statement_of(planner, base)).objective_usd)
    open_loop, two, nested, delayed, wait_and_see = found
    assert two <= open_loop * (1 + 1e-6) + 1e-9
    assert delayed <= two * (1 + 1e-6) + 1e-9
    assert wait_and_see <= delayed * (1 + 1e-6) + 1e-9
    assert nested <= two * (1 + 1e-6) + 1e-9


def test_without_branching_a_cell_is_an_interval() -> None:
    tree = scenario_tree(np.ones((4, 3)), np.full(4, 0.25), 3)
    assert tree.interval.tolist() == [0, 1, 2]
    assert not tree.branches


def test_the_window_is_shared_until_a_launch_of_now_is_ready() -> None:
    kinds = [offer("slow", launch_delay_s=200.0), offer("quick", launch_delay_s=100.0)]
    base = problem(kinds, np.random.default_rng(0).uniform(1, 9, (4, 6)))
    planner = PulpProgram(recourse="delayed", scenario_groups=())
    tree = statement_of(planner, base).tree
    assert [int((tree.interval == t).sum()) for t in range(6)] == [1, 1, 1, 4, 4, 4]
    seen = statement_of(replace(planner, recourse="wait_and_see"), base).tree
    assert [int((seen.interval == t).sum()) for t in range(6)] == [1, 4, 4, 4, 4, 4]
