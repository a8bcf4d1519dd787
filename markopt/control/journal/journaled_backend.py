"""A back end whose every word is written down, and that can be gone through again."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Protocol, final

from markopt.control.guards import Cut, Guards
from markopt.control.journal.entries import ActionEntry, ObservationEntry
from markopt.control.journal.past import JournalDiverged, Past
from markopt.control.journal.writer import Journal
from markopt.core import ActionReport, Actions, Ledger, Observation
from markopt.errors import BackendError

if TYPE_CHECKING:  # its package loads what the loop itself does not need
    from markopt.cloud.protocol import Backend


class Rebuilt(Protocol):
    """What lives in this process alone, so that it must be told its past again."""

    def again_observed(self, observation: Observation) -> None:
        """Come into the state in which this was observed."""
        ...

    def again_applied(self, actions: Actions, report: ActionReport) -> None:
        """Come into the state after these actions."""
        ...


@dataclass(frozen=True)
class Carried:
    """Actions that the loop wanted, and what became of them: for logs and metrics."""

    time_s: float
    kind: str
    mode: str
    wanted: Actions
    cuts: tuple[Cut, ...]
    report: ActionReport


@final
class JournaledBackend:
    """Wraps a back end: guard rails first, then the journal, then the cloud, then the journal.

    While ``past`` lasts, the cloud is neither asked nor told: what was recorded is handed out
    again, so that the loop comes into the state in which the last process died. Actions whose
    report is missing were cut off between intent and report: they are applied again, under the
    same id, so that a cloud that has them already changes nothing; unless the kill switch is on,
    or they are older than ``intent_lasts_s``, by when the next decision knows better.

    A call that the cloud refuses as a whole (BackendError) is reported as refused: the next
    decision sees what is there and tries again.
    """

    def __init__(
        self,
        inner: Backend,
        *,
        journal: Journal,
        past: Past,
        guards: Guards,
        mode: str,
        now_s: Callable[[], float],
        intent_lasts_s: float,
        rebuilt: Rebuilt | None = None,
        on_carried: Callable[[Carried], None] | None = None,
        on_observation: Callable[[Observation], None] | None = None,
    ) -> None:
        self._inner = inner
        self._journal = journal
        self._past = past
        self._guards = guards
        self._mode = mode
        self._now_s = now_s
        self._intent_lasts_s = intent_lasts_s
        self._rebuilt = rebuilt
        self._on_carried = on_carried
        self._on_observation = on_observation
        self._seen: Observation | None = None

    def observe(self) -> Observation:
        """Return what the cloud shows, or showed."""
        entry = self._past.take(ObservationEntry)
        if entry is not None:
            seen = entry.observation
            if self._rebuilt is not None:
                self._rebuilt.again_observed(seen)
        else:
            seen = self._inner.observe()
            self._journal.observation(seen)
            if self._on_observation is not None:
                self._on_observation(seen)
        self._seen = seen
        self._guards.saw(seen)
        return seen

    def advance(self, until_s: float) -> None:
        """Let time pass; in the past it has."""
        if self._past.over:
            self._inner.advance(until_s)

    def apply(self, actions: Actions) -> ActionReport:
        """Judge, write down, carry out, write down."""
        entry = self._past.take(ActionEntry)
        if entry is None:
            return self._carry_out(actions)
        self._compare(entry, actions)
        report = self._finish(entry) if entry.report is None else entry.report
        if self._rebuilt is not None and entry.report is not None:
            self._rebuilt.again_applied(entry.allowed, entry.report)
        self._guards.launched(report)
        return report

    def close(self) -> Ledger:
        """End everything that still runs and return the final bill."""
        return self._inner.close()

    def _carry_out(self, actions: Actions) -> ActionReport:
        verdict = self._guards.judge(actions)
        kind = _kind(actions)
        now_s = 0.0 if self._seen is None else self._seen.time_s
        entry = self._journal.intend(
            now_s, actions, verdict.allowed, verdict.cuts, kind=kind, mode=self._mode
        )
        report = self._apply(verdict.allowed, verdict.cuts)
        self._journal.report(entry, report)
        self._guards.launched(report)
        if self._on_carried is not None:
            self._on_carried(Carried(now_s, kind, self._mode, actions, verdict.cuts, report))
        return report

    def _apply(self, allowed: Actions, cuts: tuple[Cut, ...]) -> ActionReport:
        try:
            report = self._inner.apply(allowed)
        except BackendError as error:
            report = ActionReport(allowed.decision_id, refused=(f"the cloud: {error}",))
        told = tuple(f"guard {cut.rule}: {cut.text}" for cut in cuts)
        return replace(report, refused=report.refused + told)

    def _finish(self, entry: ActionEntry) -> ActionReport:
        """Find out what became of actions that the process did not live to report."""
        age_s = self._now_s() - entry.time_s
        killed = self._guards.killed()
        if killed is not None or age_s > self._intent_lasts_s:
            why = f"kill_switch, {killed}" if killed else f"{age_s:.0f} s have passed"
            report = ActionReport(entry.decision_id, refused=(f"given up after a restart: {why}",))
        else:
            report = self._apply(entry.allowed, entry.cuts)
        self._journal.report(entry.entry, report)
        return report

    @staticmethod
    def _compare(entry: ActionEntry, actions: Actions) -> None:
        """Check that the loop wants again what it wanted.

        The functions' share hangs on the forecast, which another machine may round differently.

        Raises:
            JournalDiverged: it does not.
        """
        if replace(entry.wanted, function_share=None) != replace(actions, function_share=None):
            raise JournalDiverged(
                f"Journal: entry {entry.entry} wanted {entry.wanted}, the loop wants {actions}"
            )


def _kind(actions: Actions) -> str:
    for kind in ("monitor", "weights"):
        if f"{kind}-" in actions.decision_id:
            return kind
    return "plan"
