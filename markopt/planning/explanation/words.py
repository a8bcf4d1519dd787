"""Decisions, amounts and counts in words, for a platform engineer."""

from __future__ import annotations

from collections.abc import Sequence

from markopt.core import Plan, Problem

MOST_OFFERS = 6


def lasting_count(problem: Problem, name: str) -> int:
    """Return the instances of an offer that a target speaks of: billed, without notice."""
    fleet = problem.fleet.of(name)
    return fleet.billed - min(fleet.noticed, fleet.ready)


def decision_words(problem: Problem, plan: Plan, warm_before: int | None = None) -> str:
    """Return what the plan changes now: launches, terminations, functions kept warm.

    Warm functions are left out where they are ``warm_before`` (None: those of the fleet).
    """
    changes = {
        name: wanted - lasting_count(problem, name) for name, wanted in plan.target_now().items()
    }
    starts = [f"{n:,} {name}" for name, n in changes.items() if n > 0]
    stops = [f"{-n:,} {name}" for name, n in changes.items() if n < 0]
    parts = []
    if starts:
        parts.append(f"launch {listed(starts)}")
    if stops:
        parts.append(f"terminate {listed(stops)}")
    if not parts:
        kept = [f"{n:,} {name}" for name, n in plan.target_now().items() if n > 0]
        parts.append(f"keep the fleet ({listed(kept)})" if kept else "run no instances")
    warm = int(plan.warm_functions[0])
    if warm != (problem.fleet.warm_functions if warm_before is None else warm_before):
        parts.append(f"keep {count(warm, 'function environment') if warm else 'no function'} warm")
    return "; ".join(parts)


def listed(names: Sequence[str], most: int = MOST_OFFERS) -> str:
    """Return names as a list in words; of many the first, and how many more."""
    if len(names) > most:
        return f"{', '.join(names[:most])} and {len(names) - most} more"
    if len(names) < 2:
        return "".join(names)
    return f"{', '.join(names[:-1])} and {names[-1]}"


def usd(amount: float) -> str:
    """Return an amount of money with three significant digits, or whole cents where it is large."""
    size = abs(amount)
    if size >= 1000.0:
        text = f"{size:,.0f}"
    elif size >= 1.0:
        text = f"{size:.2f}"
    elif size >= 0.1:
        text = f"{size:.3f}"
    elif size >= 0.001:
        text = f"{size:.4f}"
    else:
        text = f"{size:.1g}" if size else "0"
    return f"{'-' if amount < 0.0 else ''}${text}"


def count(number: float, noun: str, plural: str = "") -> str:
    """Return a whole count with its noun, in the plural where there is not one."""
    whole = round(number)
    return f"{whole:,} {noun if whole == 1 else plural or noun + 's'}"


def percent(share: float) -> str:
    """Return a share as a percentage without trailing zeros."""
    return f"{100.0 * share:.6g} %"
