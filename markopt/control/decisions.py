"""The decision log: one JSON line per decision, the same bytes for the same decisions."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from types import TracebackType
from typing import IO, Literal, Self, final

from pydantic import ConfigDict, TypeAdapter, ValidationError

from markopt.control.record import IntervalRecord, MonitorDecision, violation_text
from markopt.errors import DataError


@dataclass(frozen=True)
class SeenBefore:
    """What was observed when a decision was made, in brief.

    ``rate_rps`` is the rate of the interval before, None without data; requests and violations are
    those of the SLO's window so far. Counts are over all offers; ``ready`` includes ``noticed``.
    """

    rate_rps: float | None
    window_requests: int
    window_violations: int
    ready: int
    pending: int
    noticed: int
    warm_functions: int


@dataclass(frozen=True)
class Decision:
    """One line of the log: a plan, or a launch by the SLO monitor.

    ``target`` maps offers to the billed count wanted now. ``seen``, ``target``, ``rung``,
    ``objective_usd``, ``bound_usd`` and ``gap`` are empty for the monitor.
    """

    __pydantic_config__ = ConfigDict(extra="forbid")

    kind: Literal["plan", "monitor"]
    time_s: float
    decision_id: str
    planner: str
    rung: str
    reason: str
    launch: dict[str, int]
    terminate: tuple[str, ...]
    warm_functions: int | None
    launched: dict[str, tuple[str, ...]]
    terminated: tuple[str, ...]
    refused: tuple[str, ...]
    seen: SeenBefore | None = None
    target: dict[str, int] = field(default_factory=dict)
    objective_usd: float | None = None
    bound_usd: float | None = None
    gap: float | None = None
    scale_in_frozen: bool = False
    function_share: float | None = None


@cache
def _adapter() -> TypeAdapter[Decision]:
    return TypeAdapter(Decision)


@final
class DecisionLog:
    """Writes decisions to ``path`` as JSON lines; ``append`` fits ``Controller.on_interval``.

    The lines go to a temporary file beside ``path``, which takes its name on ``close``. Used as a
    context manager, an exception in the block discards the file instead. No clock is read: the same
    decisions give the same bytes.

    Raises:
        DataError: the file cannot be written.
    """

    def __init__(self, path: str | Path) -> None:
        self._path = Path(path)
        self._temporary = self._path.with_name(f".{self._path.name}.partial")
        try:
            self._file: IO[str] = self._temporary.open("w", encoding="utf-8", newline="\n")
        except OSError as error:
            raise DataError(
                f"Decision log '{self._path}': must be writable, got {error.strerror}"
            ) from None

    def append(self, record: IntervalRecord) -> None:
        """Write the decisions of one control interval: the plan, then the monitor's launches.

        Raises:
            DataError: the log is closed.
        """
        if self._file.closed:
            raise DataError(
                f"Decision log '{self._path}': must be open to append, got a closed one"
            )
        for decision in decisions_of(record):
            self._file.write(_adapter().dump_json(decision).decode() + "\n")

    def close(self) -> None:
        """Finish the file and give it its name; a second call changes nothing."""
        if not self._file.closed:
            self._file.close()
            self._temporary.replace(self._path)

    def discard(self) -> None:
        """Leave no file; after ``close`` this changes nothing."""
        if not self._file.closed:
            self._file.close()
            self._temporary.unlink()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if kind is None:
            self.close()
        else:
            self.discard()

    @staticmethod
    def read(path: str | Path) -> tuple[Decision, ...]:
        """Return the decisions of a log, oldest first.

        Raises:
            DataError: the file cannot be read, or a line is no decision; the text names it.
        """
        try:
            lines = Path(path).read_text(encoding="utf-8").removesuffix("\n").split("\n")
        except (OSError, UnicodeDecodeError) as error:
            raise DataError(f"Decision log '{path}': must be readable, got {error}") from None
        if lines == [""]:
            return ()
        return tuple(_parse(line, f"{path}:{row}") for row, line in enumerate(lines, start=1))


def decisions_of(record: IntervalRecord) -> tuple[Decision, ...]:
    """Return the decisions of one control interval, oldest first."""
    return (
        *(
            _plan_decision(replace(record, plan=one.plan, actions=one.actions, report=one.report))
            for one in record.earlier
        ),
        _plan_decision(record),
        *(_monitor_decision(decision) for decision in record.monitor_decisions),
    )


def _plan_decision(record: IntervalRecord) -> Decision:
    plan, fleet = record.plan, record.fleet
    actions, report = record.actions, record.report
    return Decision(
        kind="plan",
        time_s=record.start_s,
        decision_id=actions.decision_id,
        launch=dict(sorted(actions.launch.items())),
        terminate=actions.terminate,
        warm_functions=actions.warm_functions,
        function_share=actions.function_share,
        launched=dict(sorted(report.launched.items())),
        terminated=report.terminated,
        refused=report.refused,
        planner=plan.planner,
        rung=plan.rung,
        reason=plan.reason,
        seen=SeenBefore(
            rate_rps=None if math.isnan(record.observed_rps) else record.observed_rps,
            window_requests=record.window.requests,
            window_violations=record.window.violations,
            ready=sum(offer.ready for offer in fleet.offers),
            pending=sum(len(offer.pending_ready_in_s) for offer in fleet.offers),
            noticed=sum(offer.noticed for offer in fleet.offers),
            warm_functions=fleet.warm_functions,
        ),
        target={name: count for name, count in sorted(plan.target_now().items()) if count},
        objective_usd=plan.objective_usd,
        bound_usd=plan.bound_usd,
        gap=plan.gap,
        scale_in_frozen=record.scale_in_frozen,
    )


def _monitor_decision(decision: MonitorDecision) -> Decision:
    actions, report = decision.actions, decision.report
    return Decision(
        kind="monitor",
        time_s=decision.time_s,
        decision_id=actions.decision_id,
        launch=dict(sorted(actions.launch.items())),
        terminate=actions.terminate,
        warm_functions=actions.warm_functions,
        function_share=actions.function_share,
        launched=dict(sorted(report.launched.items())),
        terminated=report.terminated,
        refused=report.refused,
        planner="slo_monitor",
        rung="",
        reason=violation_text(decision.violation_share),
    )


def _parse(line: str, where: str) -> Decision:
    try:
        return _adapter().validate_json(line)
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"]) or "line"
        shown = repr(first["input"])[:80]
        raise DataError(f"Decision log '{where}': {key}: {first['msg']}, got {shown}") from None
