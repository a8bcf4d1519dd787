"""An attribution as tables: one row per part, one per run."""

from __future__ import annotations

from typing import Any

from markopt.evaluation.attribution.series import Attribution, Rerun

Row = dict[str, Any]


def loss_rows(found: Attribution) -> list[Row]:
    """Return one row per part, from the bill down to the bound: its loss in both orders."""
    return [
        {"part": loss.part, "usd": loss.usd, "reverse_usd": loss.reverse_usd}
        for loss in found.losses
    ]


def run_rows(found: Attribution) -> list[Row]:
    """Return one row per run of the series, then the computed costs that lead to the bound.

    ``order`` is ``forward``, ``reverse`` or ``end``; ``perfect`` names what was perfect.
    """
    rows = [_run_row(run, "forward") for run in found.reruns]
    rows += [_run_row(run, "reverse") for run in found.reverse_reruns]
    ends = {
        "ideal_whole": found.ideal.whole_usd,
        "ideal_fractional": found.ideal.fractional_usd,
        "bound_without_boots": found.bound_without_boots_usd,
        "bound": found.bound_usd,
    }
    return rows + [{"order": "end", "perfect": name, "cost_usd": usd} for name, usd in ends.items()]


def _run_row(run: Rerun, order: str) -> Row:
    return {
        "order": order,
        "perfect": "+".join(swap.value for swap in run.swaps) or "nothing",
        "cost_usd": run.cost_usd,
        "attainment": run.attainment,
        "met": run.meets_slo,
        "lambda_share": run.lambda_share,
        "required_factor": run.factor,
        "launches": run.launches,
        "interruptions": run.interruptions,
    }
