"""Tuning one knob per policy, so that policies are compared at an equal service level."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from markopt.errors import ConfigError

Search = Literal["grid", "bisection"]


@dataclass(frozen=True)
class Trial:
    """One knob value on the tuning span: what it attained and cost."""

    value: float
    attainment: float
    cost_usd: float


@dataclass(frozen=True)
class Tuned:
    """The value chosen for a policy's knob, and how it did on the tuning span.

    ``value`` is None where the policy has no knob. ``attained`` tells whether the wanted share was
    reached there; where no value reaches it, the closest one is taken.
    """

    policy: str
    knob: str | None
    value: float | None
    attainment: float | None
    cost_usd: float | None
    attained: bool
    remark: str
    trials: tuple[Trial, ...] = ()


def tune(
    policy: str,
    knob: str | None,
    grid: Sequence[float],
    target_share: float,
    *,
    attempt: Callable[[float], Trial],
    search: Search = "grid",
) -> Tuned:
    """Return the cheapest value of ``grid`` whose attainment reaches ``target_share``.

    ``grid`` goes from cheap and risky to dear and safe. ``grid`` search tries every value;
    ``bisection`` assumes that attainment rises along the grid and tries about log2 of them.

    Raises:
        ConfigError: the search has no such name, or the target is no share.
    """
    if search not in ("grid", "bisection"):
        raise ConfigError(f"compare.tune_search: must be 'grid' or 'bisection', got {search!r}")
    if not 0.0 < target_share < 1.0:
        raise ConfigError(f"--at-equal-slo: must lie strictly between 0 and 1, got {target_share}")
    if knob is None or not grid:
        return Tuned(policy, None, None, None, None, False, "has no knob: judged as configured")
    trials = _every(grid, attempt) if search == "grid" else _bisect(grid, target_share, attempt)
    reaching = [trial for trial in trials if trial.attainment >= target_share]
    if reaching:
        best = min(reaching, key=lambda trial: (trial.cost_usd, -trial.attainment))
        remark = "cheapest value that attains the target on the tuning span"
    else:
        best = max(trials, key=lambda trial: (trial.attainment, -trial.cost_usd))
        remark = "no value attains the target on the tuning span: the closest one is taken"
    return Tuned(
        policy,
        knob,
        best.value,
        best.attainment,
        best.cost_usd,
        bool(reaching),
        remark,
        tuple(trials),
    )


def _every(grid: Sequence[float], attempt: Callable[[float], Trial]) -> list[Trial]:
    return [attempt(float(value)) for value in grid]


def _bisect(
    grid: Sequence[float], target_share: float, attempt: Callable[[float], Trial]
) -> list[Trial]:
    trials: list[Trial] = []
    low, high = 0, len(grid) - 1
    while low < high:
        middle = (low + high) // 2
        trials.append(attempt(float(grid[middle])))
        if trials[-1].attainment >= target_share:
            high = middle
        else:
            low = middle + 1
    if all(trial.value != float(grid[low]) for trial in trials):
        trials.append(attempt(float(grid[low])))
    return trials


def as_rows(tuned: Sequence[Tuned]) -> list[dict[str, Any]]:
    """Return the tunings as plain documents, trials included."""
    return [{**vars(t), "trials": [dict(vars(trial)) for trial in t.trials]} for t in tuned]
