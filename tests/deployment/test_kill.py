from __future__ import annotations

import multiprocessing
import os
import random
import signal
import sys

import pytest

from markopt.control.journal import JournalReader
from markopt.core.documents import plan_to_json, problem_to_json
from markopt.deployment import deploy
from tests.deployment.surviving_cloud import everything
from tests.deployment.toy import toy_parts

CHAOS_RUNS = int(os.environ.get("CHAOS_RUNS", "2"))
"""Runs of each kind; ``make chaos`` sets it."""

TRACED = ("/markopt/control/", "/markopt/deployment/", "/surviving_cloud.py")
"""Where the process may die: before any instruction of any line of these."""

ACTING = ("_carry_out", "_finish")
PLACES = ("anywhere", "acting")

context = multiprocessing.get_context("forkserver")
context.set_forkserver_preload(["tests.deployment.toy", "markopt.deployment.session"])


def run_to_the_end(folder):
    deploy(toy_parts(folder))


def run_and_die(folder, instruction, place="anywhere"):
    """Run, and die before the given instruction; count them where there is none to die at.

    ``place``: count them anywhere, or only between the intent to act and the report.
    """
    done = depth = 0

    def local(frame, event, _):
        nonlocal done, depth
        if event == "return" and frame.f_code.co_name in ACTING:
            depth -= 1
        if event == "opcode" and (place == "anywhere" or depth > 0):
            done += 1
            if done == instruction:
                os.kill(os.getpid(), signal.SIGKILL)
        return local

    def trace(frame, event, _):
        nonlocal depth
        if not any(part in frame.f_code.co_filename for part in TRACED):
            return None
        depth += frame.f_code.co_name in ACTING
        frame.f_trace_opcodes, frame.f_trace_lines = True, False
        return local

    parts = toy_parts(folder)
    sys.settrace(trace)
    try:
        deploy(parts)
    finally:
        sys.settrace(None)
    (folder / f"instructions-{place}").write_text(str(done))


def in_a_process(target, *args):
    process = context.Process(target=target, args=args)
    process.start()
    process.join()
    return process.exitcode


def whole_journal(folder):
    """Every decision: the problem, the plan, what was wanted and what came of it."""
    with JournalReader(folder / "journal") as reader:
        identity = f"{reader.meta('identity')}-"
        plans = {
            entry.entry: (problem_to_json(entry.problem), plan_to_json(entry.plan))
            for entry in reader.plans()
        }
        actions = [
            (
                action.decision_id.removeprefix(identity),
                plans.get(action.plan),
                action.wanted.launch,
                action.wanted.terminate,
                action.report.launched,
                action.report.terminated,
                action.report.insufficient,
            )
            for action in reader.actions()
        ]
        rates = [(e.time_s, e.observed.rate_rps.tolist()) for e in reader.rates()]
        observed = [(e.time_s, e.observation.instances) for e in reader.observations(last=10**6)]
        intervals = [(i.time_s, i.arrivals, i.late, i.billed) for i in reader.intervals()]
        assert reader.pending() == ()
        assert len(reader.epochs()) == 1
    return actions, list(plans.values()), rates, observed, intervals


def check_converged(folder, other):
    """The end is that of the run without a kill: fleet, launches, every decision."""
    assert everything(folder / "cloud") == everything(other / "cloud")
    assert whole_journal(folder) == whole_journal(other)
    launched = {
        name for action in whole_journal(folder)[0] for ids in action[4].values() for name in ids
    }
    in_the_cloud = {row[0] for row in everything(folder / "cloud")["instance"]}
    orphans = {name for name in in_the_cloud - launched if not name.startswith("i-first")}
    assert not orphans
    assert launched <= in_the_cloud


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    folders = {place: tmp_path_factory.mktemp(place) for place in PLACES}
    for place, folder in folders.items():
        assert in_a_process(run_and_die, folder, None, place) == 0
    check_converged(folders["acting"], folders["anywhere"])
    return folders


def test_the_undisturbed_run_has_all_that_can_be_cut_off(undisturbed):
    actions, plans, *_ = whole_journal(undisturbed["anywhere"])
    kinds = {action[0].split("-")[0] for action in actions}
    assert kinds == {"plan", "monitor"}
    assert any(action[3] for action in actions), "something must end"
    assert any(action[6] for action in actions), "something must be refused"
    assert len(plans) > 10, "some plans must be made again at once"


@pytest.mark.parametrize("number", range(CHAOS_RUNS))
@pytest.mark.parametrize("place", PLACES)
def test_killed_before_any_instruction_and_restarted_it_ends_as_if_nothing_had_happened(
    tmp_path, undisturbed, place, number
):
    random_ = random.Random(f"{place} {number}")
    total = int((undisturbed[place] / f"instructions-{place}").read_text())
    for _ in range(random_.randint(1, 3)):
        code = in_a_process(run_and_die, tmp_path, random_.randint(1, total), place)
        assert code in (0, -signal.SIGKILL)
    assert in_a_process(run_to_the_end, tmp_path) == 0
    check_converged(tmp_path, undisturbed[place])


@pytest.mark.parametrize("number", range(CHAOS_RUNS))
def test_killed_from_outside_at_any_time_and_restarted_it_ends_as_if_nothing_had_happened(
    tmp_path, undisturbed, number
):
    random_ = random.Random(f"outside {number}")
    for _ in range(random_.randint(1, 4)):
        process = context.Process(target=run_to_the_end, args=(tmp_path,))
        process.start()
        process.join(random_.uniform(0.0, 1.0))
        process.kill()
        process.join()
    assert in_a_process(run_to_the_end, tmp_path) == 0
    check_converged(tmp_path, undisturbed["anywhere"])
