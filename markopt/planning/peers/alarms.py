"""The pair of CloudWatch alarms that a target tracking policy makes, on one-minute points."""

from __future__ import annotations

from dataclasses import dataclass

from markopt.core import Problem
from markopt.errors import ConfigError
from markopt.planning.peers.scaling_group import check_share
from markopt.planning.target_tracking import minute_points


@dataclass(frozen=True)
class AlarmState:
    """Which alarm is on, and the rate that the policy then scales for.

    The newest point where the high alarm is on; the largest of the low alarm's span where that is
    on, so that a scale-in does not undo itself (AWS does not say how much it removes, only that it
    removes less readily).
    """

    high: bool
    low: bool
    rate_rps: float


@dataclass(frozen=True)
class Alarms:
    """``high_points`` in a row above the target; ``low_points`` below ``low_share`` of it.

    Raises:
        ConfigError: an argument is out of range.
    """

    high_points: int
    low_points: int
    low_share: float

    def __post_init__(self) -> None:
        if self.high_points < 1 or self.low_points < 1:
            raise ConfigError(
                "planner.scale_out_points and planner.scale_in_points: must be at least 1, got "
                f"{self.high_points} and {self.low_points}"
            )
        check_share("scale_in_share", self.low_share)

    def check(self, problem: Problem, target_rps: float) -> AlarmState:
        """Return the alarms' state at a target rate of the whole group.

        A point without data sets off no alarm.
        """
        points_rps = minute_points(problem)
        newest, span = points_rps[-self.high_points :], points_rps[-self.low_points :]
        high = len(newest) == self.high_points and bool((newest > target_rps).all())
        low_rps = self.low_share * target_rps
        low = len(span) == self.low_points and bool((span < low_rps).all())
        if high:
            return AlarmState(True, False, float(newest[-1]))
        return AlarmState(False, low, float(span.max()) if low else 0.0)
