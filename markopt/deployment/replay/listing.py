"""Replays as tables for people and as JSON for programs."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from statistics import fmean
from typing import TYPE_CHECKING

from markopt.deployment.replay.reproduction import ReplayedPlan, Verdict
from markopt.deployment.replay.what_if import Alternative, Judged

if TYPE_CHECKING:
    from rich.table import Table

SCHEMA = "markopt.replay/1"


def counts_of(plans: Sequence[ReplayedPlan]) -> dict[str, int]:
    """Return how many plans came out how."""
    return {verdict.value: sum(p.verdict is verdict for p in plans) for verdict in Verdict}


def reproduction_json(journal: str, deployment: str, plans: Sequence[ReplayedPlan]) -> str:
    """Return a replay as one JSON document."""
    document = {
        "schema": SCHEMA,
        "journal": journal,
        "deployment": deployment,
        "plans": counts_of(plans),
        "decisions": [
            {
                "entry": plan.recorded.entry,
                "time_s": plan.recorded.time_s,
                "verdict": plan.verdict.value,
                "differences": list(plan.differences),
            }
            for plan in plans
        ],
    }
    return json.dumps(document, indent=2, allow_nan=False)


def alternatives_json(
    journal: str, deployment: str, policy: str, found: Sequence[Alternative]
) -> str:
    """Return what another policy would have done as one JSON document."""
    document = {
        "schema": SCHEMA,
        "journal": journal,
        "deployment": deployment,
        "other": policy,
        "decisions": [asdict(alternative) for alternative in found],
    }
    return json.dumps(document, indent=2, allow_nan=False)


def reproduction_text(plans: Sequence[ReplayedPlan]) -> str:
    """Return a replay in lines: the sums, and every plan that diverged or was not made again."""
    counts = counts_of(plans)
    lines = [
        f"{len(plans)} plans: {counts['equal']} equal bit for bit, {counts['diverged']} diverged, "
        f"{counts['as_recorded']} met a time limit and are taken as recorded"
    ]
    for plan in plans:
        if plan.verdict is Verdict.EQUAL:
            continue
        text = "; ".join(plan.differences) or "met its time limit, as recorded"
        lines.append(f"{plan.recorded.time_s:12.0f} s  entry {plan.recorded.entry}: {text}")
    return "\n".join(lines)


def alternatives_table(policy: str, found: Sequence[Alternative]) -> Table:
    """Return a row per decision: both fleets, their prices, and what each is expected to cost."""
    from rich.table import Table

    table = Table(title=f"What {policy} would have done", title_justify="left")
    for name in ("time s", "done", "USD/h", "expected USD", "misses"):
        table.add_column(name, justify="left" if name == "done" else "right")
    for name in (policy, "USD/h", "expected USD", "misses"):
        table.add_column(name, justify="left" if name == policy else "right")
    for alternative in found:
        table.add_row(
            f"{alternative.time_s:.0f}",
            *_cells(alternative.recorded, "no plan"),
            *_cells(alternative.other, alternative.why_not or "no plan"),
        )
    both = [(a.recorded, a.other) for a in found if a.recorded and a.other]
    if both:
        table.add_section()
        table.add_row("mean", *_means([r for r, _ in both]), *_means([o for _, o in both]))
    return table


def _cells(judged: Judged | None, otherwise: str) -> tuple[str, str, str, str]:
    if judged is None:
        return (otherwise, "", "", "")
    fleet = ", ".join(f"{count} {name}" for name, count in judged.target.items()) or "nothing"
    if judged.warm_functions:
        fleet += f", {judged.warm_functions} warm"
    usd = "" if judged.expected_usd is None else f"{judged.expected_usd:.5f}"
    misses = "" if judged.expected_misses is None else f"{judged.expected_misses:.1f}"
    return (fleet, f"{judged.usd_per_h:.4f}", usd, misses)


def _means(judged: Sequence[Judged]) -> tuple[str, str, str, str]:
    usd = [j.expected_usd for j in judged if j.expected_usd is not None]
    misses = [j.expected_misses for j in judged if j.expected_misses is not None]
    return (
        "",
        f"{fmean(j.usd_per_h for j in judged):.4f}",
        f"{fmean(usd):.5f}" if usd else "",
        f"{fmean(misses):.1f}" if misses else "",
    )
