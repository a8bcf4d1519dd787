"""The policies of the planners study: what each is, and what of it is tuned on a past day."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from markopt.errors import ConfigError

MEAN, PEAK, PLAIN, CARRIED = "mean", "peak", "plain", "carried"
FORECASTERS = {
    MEAN: "lstm_surges",
    PEAK: "lstm_peak",  # the largest 5 s, as MArk
    PLAIN: "lstm_calibrated",  # without recurring surges
    CARRIED: "lstm_carried",  # what bursts within a minute need, without recurring surges
}
Value = float
Values = Mapping[str, Value]


@dataclass(frozen=True)
class Policy:
    """A planner's option and overrides, what is tuned one after another, and its forecaster.

    A knob's grid goes from cheap and risky to dear and safe; its tuning begins at ``start``. What
    the policy ``like`` was tuned to holds for this one too. ``main`` policies are run before the
    others.
    """

    planner: str
    overrides: tuple[str, ...] = ()
    knobs: Mapping[str, tuple[Value, ...]] = field(default_factory=dict)
    start: Values = field(default_factory=dict)
    forecaster: str = MEAN
    like: str | None = None
    main: bool = False


_MEASURES = ("quantile", "saa", "cvar", "gaussian", "wasserstein")
_PROMISED_SHARE = 0.05
_RECOURSE = {
    "wait_and_see": ("planner.spread=open_loop", "planner.integer_intervals=1"),
    "delayed": ("planner.spread=open_loop", "planner.window=8", "planner.integer_intervals=4"),
    "open_loop": ("planner.spread=open_loop",),
}


def policies(*, function: bool) -> dict[str, Policy]:
    """Return the policies by name; ``function``: one is in time, so that a spill misses nothing.

    Every rival has a head-room to tune. A promise's share is no knob: it is what is asked for.
    """
    headroom = {"headroom": (0.7, 0.85, 1.0, 1.2, 1.5, 2.0)}
    if function:
        price, first = {"spill_weight": (0.4, 0.6, 1.0, 1.6, 2.5, 4.0)}, {"spill_weight": 1.0}
    else:
        price, first = {"miss_weight": (4.0, 6.0, 10.0, 14.0, 20.0, 30.0)}, {"miss_weight": 10.0}
    quantiles = (0.8, 0.85, 0.9, 0.95, 0.98, 1.0)
    tuned = {**price, **headroom}
    start = {**first, "headroom": 1.0}
    found = {
        "mark": Policy(
            "greedy",
            ("planner.quantile=0.5",),
            {"headroom": (0.7, 0.85, 1.0, 1.15, 1.3, 1.6, 2.0)},
            {"headroom": 1.0},
            PEAK,
            main=True,
        ),
        "greedy": Policy(
            "greedy",
            (),
            {"quantile": quantiles, **headroom},
            {"quantile": 0.95, "headroom": 1.0},
            main=True,
        ),
        "program": Policy("program", (), tuned, start, main=True),
    }
    for name in ("greedy", "program"):
        rival = found[name]
        found[f"{name}_plain"] = Policy(name, (), rival.knobs, rival.start, PLAIN)
    for measure in _MEASURES:
        risk = (
            f"planner.risk.measure={measure}",
            f"planner.risk.violation_share={_PROMISED_SHARE}",
        )
        found[f"program_{measure}"] = Policy("program", risk, like="program")
    for recourse, others in _RECOURSE.items():
        chosen = (f"planner.recourse={recourse}", "planner.scenario_groups=[4]", *others)
        found[f"program_{recourse}"] = Policy("program", chosen, like="program")
    found["program_carried"] = Policy("program", (), price, start, CARRIED)
    return found


def chosen_policies(names: Sequence[str], known: Mapping[str, Policy]) -> dict[str, Policy]:
    """Return the policies of these names, and those that they are ``like``.

    Raises:
        ConfigError: a name is unknown.
    """
    unknown = [name for name in names if name not in known]
    if unknown:
        raise ConfigError(f"compare.planners: expected of {list(known)}, got {unknown}")
    wanted = {*names, *(known[name].like for name in names)}
    return {name: policy for name, policy in known.items() if name in wanted}
