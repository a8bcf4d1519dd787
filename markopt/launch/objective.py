"""What a job of a tuning sweep returns: cost with a penalty, or cost and attainment."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from markopt.annotations import fits, kind_of
from markopt.errors import ConfigError

if TYPE_CHECKING:
    from omegaconf import DictConfig

Objective = Literal["penalized_cost", "cost_and_attainment"]
OBJECTIVES = ("penalized_cost", "cost_and_attainment")


@dataclass(frozen=True)
class ObjectiveSettings:
    """The ``sweep`` section: see ``conf/config.yaml``.

    Raises:
        ConfigError: a value is out of range.
    """

    resume: bool = True
    objective: str | None = None
    penalty: float = 10.0

    def __post_init__(self) -> None:
        if self.objective not in (None, *OBJECTIVES):
            raise ConfigError(
                f"sweep.objective: must be null or one of {', '.join(OBJECTIVES)}, "
                f"got {self.objective!r}"
            )
        if not self.penalty >= 0.0:
            raise ConfigError(f"sweep.penalty: must be 0 or more, got {self.penalty}")

    def of(self, folder: Path) -> tuple[float, ...]:
        """Return the objective of an episode's folder; empty where none is asked for."""
        if self.objective is None:
            return ()
        from markopt.evaluation.results import read_summary

        summary = read_summary(folder)
        if self.objective == "penalized_cost":
            return (penalized_cost(summary, self.penalty),)
        return (float(summary["cost_usd"]["total"]), float(summary["slo"]["attainment"]))


def penalized_cost(summary: dict[str, Any], penalty: float) -> float:
    """Return an episode's cost in USD, raised by what it lacks of the SLO.

    The cost is multiplied by 1 + ``penalty`` × (SL_min − attainment) / (1 − SL_min) where the
    attainment lies below SL_min: with 10, a policy that misses twice as many requests as the SLO
    allows counts as eleven times as dear. What is above SL_min earns nothing.
    """
    slo, cost = summary["slo"], float(summary["cost_usd"]["total"])
    lacking = max(slo["sl_min"] - slo["attainment"], 0.0) / (1.0 - slo["sl_min"])
    return float(cost * (1.0 + penalty * lacking))


def objective_settings(config: DictConfig) -> ObjectiveSettings:
    """Return the ``sweep`` section, checked.

    Raises:
        ConfigError: a value is out of range or of the wrong kind.
    """
    from omegaconf import OmegaConf

    section: Any = OmegaConf.to_container(config.sweep, resolve=True)
    hints = {"resume": bool, "objective": str | None, "penalty": float}
    for key, value in section.items():
        if key not in hints:
            raise ConfigError(f"sweep.{key}: no such setting; there are: {', '.join(hints)}")
        if not fits(value, hints[key]):
            raise ConfigError(f"sweep.{key}: must be {kind_of(hints[key])}, got {value!r}")
    return ObjectiveSettings(**section)
