"""Every plan of a journal made again from its problem, and compared bit for bit."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum

from markopt.control.journal import Epoch, JournalReader, PlanEntry
from markopt.core import Plan
from markopt.core.documents import plan_to_json
from markopt.errors import PlanningError
from markopt.planning.protocol import Planner


class Verdict(StrEnum):
    """What came of making a plan again.

    ``AS_RECORDED``: a time limit ended the solve, so that it depends on the machine and its load;
    the plan is taken as it was.
    """

    EQUAL = "equal"
    DIVERGED = "diverged"
    AS_RECORDED = "as_recorded"


@dataclass(frozen=True, eq=False)
class ReplayedPlan:
    """One recorded plan, and how the plan made again differs from it (nothing: not at all)."""

    recorded: PlanEntry
    verdict: Verdict
    differences: tuple[str, ...] = ()


def reproduce(
    reader: JournalReader, planner_of: Callable[[Epoch], Planner]
) -> Iterator[ReplayedPlan]:
    """Yield every plan of the journal, made again by its epoch's planner.

    Raises:
        DataError: the journal is damaged.
    """
    epochs = {epoch.epoch: epoch for epoch in reader.epochs()}
    planners: dict[int, Planner] = {}
    for entry in reader.plans():
        if entry.at_deadline:
            yield ReplayedPlan(entry, Verdict.AS_RECORDED)
            continue
        if entry.epoch not in planners:
            planners[entry.epoch] = planner_of(epochs[entry.epoch])
        differences = _differences(entry, planners[entry.epoch])
        verdict = Verdict.DIVERGED if differences else Verdict.EQUAL
        yield ReplayedPlan(entry, verdict, differences)


def _differences(entry: PlanEntry, planner: Planner) -> tuple[str, ...]:
    try:
        again = planner.plan(entry.problem)
    except PlanningError as error:
        text = f"{type(error).__name__}: {error}"
        if entry.error == text:
            return ()
        return (f"error: recorded {entry.error or 'a plan'}, now {text}",)
    if entry.plan is None:
        return (f"error: recorded {entry.error}, now a plan",)
    return _compared(entry.plan, again)


def _compared(recorded: Plan, again: Plan) -> tuple[str, ...]:
    """Return what of a plan is not what it was, key by key."""
    before, now = plan_to_json(recorded), plan_to_json(again)
    if before == now:
        return ()
    old, new = json.loads(before), json.loads(now)
    found = []
    for key in old:
        if old[key] == new[key]:
            continue
        if key == "targets" and recorded.targets.shape == again.targets.shape:
            row, column = (recorded.targets != again.targets).nonzero()
            name = recorded.offers[row[0]]
            found.append(
                f"targets: {len(row)} differ, first {name} in interval {column[0]}: recorded "
                f"{recorded.targets[row[0], column[0]]}, now {again.targets[row[0], column[0]]}"
            )
        else:
            found.append(f"{key}: recorded {_short(old[key])}, now {_short(new[key])}")
    return tuple(found)


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."
