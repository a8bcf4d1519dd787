"""The search for a plan: relax over few offers, cut, price the others, then solve whole."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from markopt.errors import SolverFailed
from markopt.planning.program.branching import Branching
from markopt.planning.program.builder import BuiltProgram, build_program
from markopt.planning.program.ladder import Solution, rounded_solution, whole_solution
from markopt.planning.program.pricing import advantage_usd, prices, starting_offers
from markopt.planning.program.relaxation import Relaxation
from markopt.planning.program.rounding import rounded_until, roundings
from markopt.planning.program.sleeping import calmer_states
from markopt.planning.program.solver import Session, SolverAnswer, SolverOptions
from markopt.planning.program.warm import Hint, starting_numbers
from markopt.planning.statement import Statement

Array = NDArray[np.float64]
Indices = NDArray[np.int64]

BRANCHES = 80  # nodes before HiGHS searches
CUT_ROUNDS = 25
PRICE_ROUNDS = 20
ENTERING = 6
WHOLE_ROUNDS = 4
RELAXED_SHARE = 0.3  # of the gap, what cuts may leave open in the relaxation
CUT_SHARE = 0.1  # of the gap, what cuts may leave open at a whole-number plan
WHOLE_SHARE = 0.9  # of the gap, for the tree search: the rest is what cuts leave open
WIDER = 1  # of the offers in the program, so many times as many join where the gap stays open


@dataclass(frozen=True, eq=False)
class _Relaxed:
    """A relaxation over the offers ``numbers``; ``complete``: no other offer would lower it."""

    numbers: Indices
    program: Relaxation
    answer: SolverAnswer
    advantage: Array
    complete: bool = True

    @property
    def built(self) -> BuiltProgram:
        """The program over these offers."""
        return self.program.built

    @property
    def hint(self) -> Hint | None:
        """Its solution, for the next one to begin near."""
        if self.answer.values is None:
            return None
        return Hint.of(self.numbers, self.built, self.answer.values)

    @property
    def floor_usd(self) -> float:
        """What every plan costs at least; nothing is known while other offers may pay."""
        return self.answer.objective or 0.0 if self.complete else -np.inf


def search(
    statement: Statement,
    options: SolverOptions,
    *,
    price_offers: bool,
    cut_count: int = 6,
    hint: Hint | None = None,
) -> tuple[BuiltProgram, Solution]:
    """Return the best plan found and the program that it solves, over the offers that matter.

    The program begins with ``cut_count`` cuts per interval, or near a ``hint``.

    Without ``price_offers`` all offers are in the program from the start: terms may tie offers
    together in ways that prices do not tell.

    Raises:
        SolverFailed: neither whole numbers nor a rounded relaxation gave a plan; the text says why.
    """
    search_ = _Search(statement, options, cut_count)
    numbers = np.arange(len(statement.offers))
    if price_offers:
        numbers = starting_numbers(hint, statement) if hint else starting_offers(statement)
    relaxed = search_.relax(numbers, hint)
    found = search_.whole(relaxed)
    if relaxed.answer.values is not None:
        found = replace(found, hint=relaxed.hint)
    if found.bound_usd is not None and not np.isfinite(found.bound_usd):
        found = replace(found, bound_usd=None)
    return found.built, found


class _Search:
    def __init__(self, statement: Statement, options: SolverOptions, cut_count: int) -> None:
        self.statement, self.options, self.cut_count = statement, options, cut_count
        self.joined = True
        self.scale = 1.0 / max(float(statement.fleet.c.mean()), 1e-12)
        self.until_s = (
            None if options.time_limit_s is None else time.monotonic() + options.time_limit_s
        )

    def relax(self, numbers: Indices, hint: Hint | None) -> _Relaxed:
        """Solve the relaxation over all offers, with few of them in the program."""
        while True:
            found = self._relaxed_part(numbers, hint)
            hint = found.hint
            if len(numbers) == len(self.statement.offers):
                return found
            outside = np.setdiff1d(np.arange(len(self.statement.offers)), numbers)
            objective = found.answer.objective or 0.0
            paying = outside[found.advantage[outside] > 1e-7 * max(abs(objective), 1e-9)]
            if not len(paying) or self._late():
                return replace(found, complete=not len(paying))
            best = paying[np.argsort(-found.advantage[paying], kind="stable")][:ENTERING]
            numbers = np.union1d(numbers, best)

    def _relaxed_part(self, numbers: Indices, hint: Hint | None) -> _Relaxed:
        """Solve the relaxation over some offers; the hint tells where to cut.

        Raises:
            SolverFailed: there is no optimum.
        """
        part = self.statement.of(numbers)
        stands_for = calmer_states(part)
        built = build_program(part, self.cut_count, np.unique(stands_for))
        program = Relaxation(built, stands_for, self.options, self.scale, joined=self.joined)
        if hint is not None:
            capacity = built.served_rps(hint.over(numbers))
            program.cut_at(capacity, hint.warm * part.own.warm_rps)
        for rounds_left in range(CUT_ROUNDS, 0, -1):
            self._limit_time(program.session)
            answer = program.solved()
            values = answer.values
            if answer.status != "optimal" or values is None:
                raise SolverFailed(f"relaxation: {answer.raw}")
            open_usd = RELAXED_SHARE * self.options.relative_gap * abs(answer.objective or 0.0)
            # Nothing may join after the last solve: its duals say which offers pay.
            if rounds_left == 1 or self._late() or not program.tighten(values, open_usd):
                break
        if program.overspent:
            self.joined = False
            return self._relaxed_part(numbers, Hint.of(numbers, built, np.asarray(values)))
        advantage = np.zeros(len(self.statement.offers))
        if len(numbers) < len(self.statement.offers):
            found = prices(built, program.session.row_duals())
            advantage = advantage_usd(self.statement, numbers, found)
        return _Relaxed(numbers, program, answer, advantage)

    def whole(self, relaxed: _Relaxed) -> Solution:
        """Solve in whole numbers, over more offers while the plan is not proven.

        The relaxation bounds every plan; where that proves too little, so does the program over
        all offers whose advantage is close to paying: a plan with an instance of another one costs
        at least the relaxation and that one's disadvantage.
        """
        floor_usd, advantage = relaxed.floor_usd, relaxed.advantage
        order = np.argsort(-advantage, kind="stable")
        found: Solution | None = None
        while True:
            outside = order[~np.isin(order, relaxed.numbers)]
            beyond_usd = np.inf
            if len(outside):
                beyond_usd = floor_usd + max(-float(advantage[outside[0]]), 0.0)
            found = self._solve_whole(relaxed, found, floor_usd, beyond_usd)
            if self._proven(found) or self._late():
                return found
            if relaxed.program.overspent:
                self.joined = False
                relaxed = self._relaxed_part(relaxed.numbers, relaxed.hint)
                continue
            # What costs more than the plan may be above the bound keeps no proof from closing.
            close = outside[floor_usd - advantage[outside] < self._enough_usd(found)]
            if not len(close):
                return found
            close = close[: WIDER * len(relaxed.numbers)]
            try:
                relaxed = self._relaxed_part(np.union1d(relaxed.numbers, close), relaxed.hint)
            except SolverFailed:
                return found

    def _rounded(self, relaxed: _Relaxed, floor_usd: float) -> Solution | None:
        """Return the best whole-number plan near the relaxed one; None: none keeps the limits."""
        best: Solution | None = None
        if relaxed.answer.values is None:
            return None
        for columns, values in roundings(relaxed.built, relaxed.answer.values):
            self._limit_time(relaxed.program.session)
            answer = relaxed.program.fixed(columns, values)
            if answer.status != "optimal" or answer.values is None:
                continue
            found = self._rung(whole_solution(relaxed.built, replace(answer, bound=floor_usd)))
            if best is None or found.objective_usd < best.objective_usd:
                best = found
            if self._proven(best) or self._late():
                return best
            # A tree search will look around here: cuts that are exact here save it a second round.
            relaxed.program.tighten(answer.values, CUT_SHARE * self._allowed_usd(best))
        dived = self._dived(relaxed, floor_usd)
        if dived is not None and (best is None or dived.objective_usd < best.objective_usd):
            return dived
        return best

    def _dived(self, relaxed: _Relaxed, floor_usd: float) -> Solution | None:
        """Round an interval at a time, and let the later ones answer before they are rounded."""
        built, values = relaxed.built, relaxed.answer.values
        if values is None or not built.ready.size:
            return None
        answer = relaxed.answer
        for interval in range(built.statement.whole_intervals):
            columns, whole = rounded_until(built, values, interval)
            answer = relaxed.program.fixed(columns, whole)
            if answer.status != "optimal" or answer.values is None or self._late():
                return None
            values = answer.values
        return self._rung(whole_solution(built, replace(answer, bound=floor_usd)))

    def _rung(self, rounded: Solution) -> Solution:
        """Return a rounded plan under its name: proven within the gap it is as good as any."""
        return replace(rounded, rung="optimal" if self._proven(rounded) else "rounded")

    def _proven(self, found: Solution) -> bool:
        if found.bound_usd is None:
            return False
        return found.bound_usd >= self._enough_usd(found)

    def _enough_usd(self, found: Solution) -> float:
        """The bound that proves a plan."""
        return found.objective_usd - self._allowed_usd(found)

    def _allowed_usd(self, found: Solution) -> float:
        return self.options.relative_gap * abs(found.objective_usd)

    def _solve_whole(
        self, relaxed: _Relaxed, known: Solution | None, floor_usd: float, beyond_usd: float
    ) -> Solution:
        """Round, then branch, then let HiGHS search; the bound speaks of all offers.

        ``known`` is a plan of the program over fewer offers.
        """
        best = self._rounded(relaxed, floor_usd)
        if known is not None and (best is None or known.objective_usd < best.objective_usd):
            best = known
        if best is None or not self._proven(best):
            best, bound_usd = self._branched(relaxed, best, floor_usd, beyond_usd)
            if best is None or not (self._proven(best) or bound_usd >= beyond_usd):
                # Where only other offers keep the bound down, they must join first.
                best = self._searched(relaxed, best, bound_usd, beyond_usd)
        return best

    def _branched(
        self, relaxed: _Relaxed, best: Solution | None, floor_usd: float, beyond_usd: float
    ) -> tuple[Solution | None, float]:
        """Branch on the relaxation; return the best plan and what all plans cost at least."""
        integer, most = relaxed.built.model.integer, min(BRANCHES, self.options.max_nodes)
        counted = integer[relaxed.built.launch].sum() + integer[relaxed.built.ready].sum()
        if not most or self._late() or counted < integer.sum():
            return best, floor_usd
        branching = Branching(
            relaxed.program,
            best,
            enough_usd=self._enough_usd,
            cut_share=CUT_SHARE * self.options.relative_gap,
            limit_time=lambda: self._limit_time(relaxed.program.session),
            late=self._late,
        )
        branching.run(relaxed.answer.objective or 0.0, most)
        bound_usd = max(floor_usd, min(branching.bound_usd, beyond_usd))
        found = branching.best
        if found is not None:
            rung = found.rung if found is best else "incumbent"
            found = replace(found, bound_usd=min(bound_usd, found.objective_usd), rung=rung)
            if self._proven(found):
                found = replace(found, rung="optimal")
        return found, bound_usd

    def _searched(
        self, relaxed: _Relaxed, best: Solution | None, bound_usd: float, beyond_usd: float
    ) -> Solution:
        """Let HiGHS search and add cuts until the gap is closed.

        Raises:
            SolverFailed: there is no plan.
        """
        built, session, share = relaxed.built, relaxed.program.session, WHOLE_SHARE
        if best is not None and best.built is built:
            session.start_from(best.values)
        for _ in range(WHOLE_ROUNDS):
            self._limit_time(session)
            answer = relaxed.program.whole(share)
            if answer.bound is not None:
                bound_usd = max(bound_usd, min(answer.bound, beyond_usd))
            if answer.values is None:
                if best is not None and best.rung == "rounded":
                    raw = f"{answer.raw}, then relaxation: {best.solver_status}"
                    best = replace(best, solver_status=raw)
                break
            found = whole_solution(built, answer)
            if best is None or found.objective_usd < best.objective_usd:
                best = found
            best = replace(best, bound_usd=min(bound_usd, best.objective_usd))
            best = replace(best, rung="optimal" if self._proven(best) else "incumbent")
            if best.rung == "optimal" or self._late():
                break
            if not relaxed.program.tighten(answer.values, CUT_SHARE * self._allowed_usd(best)):
                share *= 0.5
        return self._rounded_up(relaxed, answer.raw) if best is None else best

    def _rounded_up(self, relaxed: _Relaxed, first: str) -> Solution:
        """Return the relaxation rounded up.

        Raises:
            SolverFailed: it breaks a limit, or may break a term.
        """
        found = None
        if not self.statement.settings.terms:
            found = rounded_solution(relaxed.built, relaxed.answer, first)
        if found is None:
            raise SolverFailed(
                f"whole numbers: {first}; relaxation, rounded up: breaks a limit or term"
            )
        return found

    def _limit_time(self, session: Session) -> None:
        if self.until_s is not None:
            session.limit_time(self.until_s - time.monotonic())

    def _late(self) -> bool:
        return self.until_s is not None and time.monotonic() >= self.until_s
