"""Tuning the knobs of a policy, so that policies are compared at an equal service level."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from markopt.errors import ConfigError

Search = Literal["grid", "bisection", "in_turn"]
SEARCHES = ("grid", "bisection", "in_turn")
Value = float | int | str | bool
Values = Mapping[str, Value]
MOST_ROUNDS = 3
"""So often is every knob turned in turn."""

NO_KNOB = "has no knob: judged as configured"
REACHED = "cheapest value that attains the target on the tuning span"
MISSED = "no value attains the target on the tuning span: the closest one is taken"


@dataclass(frozen=True)
class Knob:
    """A constructor argument of a planner, and its values, from cheap and risky to dear and safe.

    Raises:
        ConfigError: there is no value.
    """

    name: str
    grid: tuple[Value, ...]

    def __post_init__(self) -> None:
        if not self.grid:
            raise ConfigError(f"compare.knobs: '{self.name}' must have at least one value")


@dataclass(frozen=True)
class Trial:
    """One value of a knob on the tuning span: what it attained and cost.

    ``values`` has the values of all knobs by name, where ``tune_knobs`` has tried them; with
    several knobs there is no single ``value`` (None).
    """

    value: float | None
    attainment: float
    cost_usd: float
    values: Values = field(default_factory=dict)


@dataclass(frozen=True)
class Tuned:
    """The values chosen for a policy's knobs, and how they did on the tuning span.

    ``knob`` has the names, ``value`` the one value of a single numeric knob (else None), ``values``
    all by name (empty where the policy has no knob). ``attained`` tells whether the wanted share
    was reached there; where no value reaches it, the closest one is taken.
    """

    policy: str
    knob: str | None
    value: float | None
    attainment: float | None
    cost_usd: float | None
    attained: bool
    remark: str
    trials: tuple[Trial, ...] = ()
    values: Values = field(default_factory=dict)


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
    ``bisection`` tries fewer: it assumes that attainment rises along the grid, and that the cost of
    what reaches the target falls and then rises.

    Raises:
        ConfigError: the search has no such name, or the target is no share.
    """
    knobs = (Knob(knob, tuple(float(value) for value in grid)),) if knob and len(grid) else ()
    return tune_knobs(
        policy,
        knobs,
        target_share,
        attempt=lambda values: attempt(float(values[str(knob)])),
        search=search,
    )


def tune_knobs(
    policy: str,
    knobs: Sequence[Knob],
    target_share: float,
    *,
    attempt: Callable[[Values], Trial],
    search: Search = "grid",
    refine: int = 0,
) -> Tuned:
    """Return the cheapest values of all knobs together whose attainment reaches ``target_share``.

    ``grid`` search tries every combination; ``in_turn`` and, of several knobs, ``bisection`` turn
    one knob after the other, the others held at the best values so far (at first at their safest),
    until a round changes nothing. Then each number is moved ``refine`` times by halves from its
    best value towards the neighbor that misses the target, so that policies with coarse grids are
    not judged at a better service level than they were asked for.

    Raises:
        ConfigError: the search has no such name, or the target is no share.
    """
    if search not in SEARCHES:
        raise ConfigError(f"compare.tune_search: must be of {', '.join(SEARCHES)}, got {search!r}")
    if not 0.0 < target_share < 1.0:
        raise ConfigError(f"--at-equal-slo: must lie strictly between 0 and 1, got {target_share}")
    if not knobs:
        return Tuned(policy, None, None, None, None, False, NO_KNOB)
    trials = _Trials(attempt)
    if search == "grid":
        names = [knob.name for knob in knobs]
        for chosen in itertools.product(*(knob.grid for knob in knobs)):
            trials.at(dict(zip(names, chosen, strict=True)))
    else:
        _in_turn(knobs, target_share, trials, halving=search == "bisection")
    best = _best(trials.all(), target_share)
    if best.attainment >= target_share:
        for knob in knobs:
            best = _refined(knob, best, target_share, trials, refine)
    values = dict(best.values)
    only = next(iter(values.values())) if len(values) == 1 else None
    reached = best.attainment >= target_share
    return Tuned(
        policy=policy,
        knob=", ".join(values),
        value=float(only) if isinstance(only, int | float) and _is_number(only) else None,
        attainment=best.attainment,
        cost_usd=best.cost_usd,
        attained=reached,
        remark=REACHED if reached else MISSED,
        trials=tuple(trials.all()),
        values=values,
    )


class _Trials:
    """Every combination is tried once, however often it is asked for."""

    def __init__(self, attempt: Callable[[Values], Trial]) -> None:
        self._attempt = attempt
        self._known: dict[tuple[tuple[str, Value], ...], Trial] = {}

    def at(self, values: Values) -> Trial:
        key = tuple(values.items())
        if key not in self._known:
            self._known[key] = replace(self._attempt(values), values=dict(values))
        return self._known[key]

    def all(self) -> list[Trial]:
        return list(self._known.values())


def _best(trials: Sequence[Trial], target_share: float) -> Trial:
    """Return the cheapest trial that reaches the target, else the one that comes closest."""
    reaching = [trial for trial in trials if trial.attainment >= target_share]
    if reaching:
        return min(reaching, key=lambda trial: (trial.cost_usd, -trial.attainment))
    return max(trials, key=lambda trial: (trial.attainment, -trial.cost_usd))


def _in_turn(knobs: Sequence[Knob], target_share: float, trials: _Trials, *, halving: bool) -> None:
    current = {knob.name: knob.grid[-1] for knob in knobs}
    for _ in range(MOST_ROUNDS):
        before = dict(current)
        for knob in knobs:
            others = dict(current)

            def one(value: Value, name: str = knob.name, others: Values = others) -> Trial:
                return trials.at({**others, name: value})

            found = (
                _halved(knob.grid, target_share, one)
                if halving
                else [one(value) for value in knob.grid]
            )
            current[knob.name] = _best(found, target_share).values[knob.name]
        if current == before:
            return


def _halved(
    grid: Sequence[Value], target_share: float, one: Callable[[Value], Trial]
) -> list[Trial]:
    """Return few trials of a grid, by halves towards the cheapest value that reaches the target.

    Along the grid attainment must rise, and the cost of what reaches the target fall and then rise:
    safer is cheaper as long as it saves more on functions than it spends on instances.
    """
    found: dict[int, Trial] = {}

    def at(index: int) -> Trial:
        found[index] = one(grid[index])
        return found[index]

    low, high = 0, len(grid) - 1
    while low < high:
        middle = (low + high) // 2
        riskier = at(middle)
        if riskier.attainment < target_share or _dearer(riskier, at(middle + 1), target_share):
            low = middle + 1
        else:
            high = middle
    at(low)
    return list(found.values())


def _dearer(riskier: Trial, safer: Trial, target_share: float) -> bool:
    return safer.attainment >= target_share and safer.cost_usd < riskier.cost_usd


def _refined(knob: Knob, best: Trial, target_share: float, trials: _Trials, steps: int) -> Trial:
    """Return a cheaper trial between the best one and its neighbors that miss the target."""
    if not all(_is_number(value) for value in knob.grid):
        return best
    whole = all(isinstance(value, int) for value in knob.grid)
    others = {name: value for name, value in best.values.items() if name != knob.name}
    line = [t for t in trials.all() if {**t.values, knob.name: None} == {**others, knob.name: None}]
    line.sort(key=lambda trial: float(trial.values[knob.name]))
    at = line.index(best)
    for neighbor in (line[at - 1] if at else None, line[at + 1] if at + 1 < len(line) else None):
        if neighbor is None or neighbor.attainment >= target_share:
            continue
        inside, outside = best.values[knob.name], neighbor.values[knob.name]
        for _ in range(steps):
            middle: float = (float(inside) + float(outside)) / 2.0
            if whole:
                middle = round(middle)
            if middle in (inside, outside):
                break
            trial = trials.at({**best.values, knob.name: int(middle) if whole else middle})
            if trial.attainment < target_share:
                outside = middle
                continue
            inside = middle
            best = _best([best, trial], target_share)
    return best


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def as_rows(tuned: Sequence[Tuned]) -> list[dict[str, Any]]:
    """Return the tunings as plain documents, trials included."""
    return [
        {
            **vars(entry),
            "values": dict(entry.values),
            "trials": [{**vars(t), "values": dict(t.values)} for t in entry.trials],
        }
        for entry in tuned
    ]


def trial_rows(tuned: Sequence[Tuned]) -> list[dict[str, Any]]:
    """Return one flat row per trial of every policy; ``chosen`` marks the one that was taken."""
    return [
        {
            "policy": entry.policy,
            "values": " ".join(f"{name}={value}" for name, value in trial.values.items()),
            "attainment": trial.attainment,
            "cost_usd": trial.cost_usd,
            "chosen": dict(trial.values) == dict(entry.values),
        }
        for entry in tuned
        for trial in entry.trials
    ]
