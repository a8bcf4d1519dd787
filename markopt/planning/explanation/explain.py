"""One decision explained: what is decided, what binds it, what else there is, what could change."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from markopt.core import Plan, Problem
from markopt.errors import Infeasible
from markopt.planning.explanation.conflict import find_conflict
from markopt.planning.explanation.measure import (
    MANY_OFFERS,
    Difference,
    Measured,
    Resolver,
    difference,
    measure,
)
from markopt.planning.explanation.questions import (
    SHALLOW,
    Depth,
    Kind,
    Question,
    alternative_questions,
    limit_questions,
    load_questions,
    pool_questions,
    slo_questions,
)
from markopt.planning.explanation.sentences import finding_sentence, lead_sentences
from markopt.planning.explanation.words import decision_words
from markopt.planning.protocol import Planner

# So many of the alternatives, cheapest first, are kept.
MOST_ALTERNATIVES = 5


@dataclass(frozen=True)
class Finding:
    """The answer to one question.

    ``decision`` is what would be decided now, in words, and ``difference`` what that costs more;
    both None where there would be no plan. ``same_decision``: what is carried out now stays.
    """

    kind: Kind
    subject: str
    decision: str | None
    same_decision: bool
    difference: Difference | None
    exact: bool
    sentence: str


@dataclass(frozen=True)
class Explanation:
    """A decision in words and figures; USD per hour over the look-ahead of ``look_ahead_s``.

    ``lead`` says what is decided and what it costs; ``findings`` answer the questions, cheapest
    alternative first; ``loose`` tells what is left of limits that do not bind; ``conflict`` names
    the limits because of which requests miss beyond the SLO's budget. ``solves`` problems were
    solved for it, to ``relative_gap``; differences up to ``noise_usd_per_h`` mean nothing.
    """

    decision: str
    lead: tuple[str, ...]
    findings: tuple[Finding, ...]
    loose: tuple[str, ...]
    conflict: tuple[str, ...]
    look_ahead_s: float
    objective_usd_per_h: float | None
    bound_usd_per_h: float | None
    bill_usd_per_h: float
    late_requests: float
    noise_usd_per_h: float
    relative_gap: float | None
    solves: int

    def of(self, kind: Kind) -> tuple[Finding, ...]:
        """Return the findings of one kind."""
        return tuple(finding for finding in self.findings if finding.kind == kind)

    @property
    def next_best(self) -> Finding | None:
        """The cheapest plan whose first decision differs."""
        return next(iter(self.of("alternative")), None)

    def document(self) -> dict[str, Any]:
        """Return the explanation as JSON-serialisable data."""
        return asdict(self)


def explain(
    planner: Planner,
    problem: Problem,
    plan: Plan,
    on_solve: Callable[[int, int], None] | None = None,
) -> Explanation:
    """Explain ``plan``, which ``planner`` gave for ``problem``, by exact re-solves.

    Works on any planner: a question is a changed problem, and its answer the difference between two
    plans of the same planner, both to a small gap (see ``Resolver``). Deterministic; at most some
    forty solves, and a dozen to the planner's own gap where there are more than a hundred offers.
    ``on_solve`` is called after each question with how many are done, of how many.

    Raises:
        Infeasible: there is no plan for the problem as it is.
    """
    many = len(problem.offers) > MANY_OFFERS
    resolver = Resolver(planner, sharp=not many)
    given = measure(planner, problem, plan)
    base = given if many else resolver.solve(problem)
    questions, loose = _questions(problem, base, SHALLOW if many else Depth())
    findings = []
    for done, question in enumerate(questions, start=1):
        finding = _answer(resolver, problem, base, question)
        if finding is not None:
            findings.append(finding)
        if on_solve is not None:
            on_solve(done, len(questions))
    noise = _noise_usd_per_h(findings)
    findings = [replace(f, sentence=finding_sentence(f, noise)) for f in findings]
    conflict = None if base.keeps_slo else find_conflict(resolver, problem)
    return Explanation(
        decision=decision_words(problem, plan),
        lead=lead_sentences(planner, problem, given, base),
        findings=tuple(_ordered(findings)),
        loose=tuple(loose),
        conflict=() if conflict is None else conflict.limits,
        look_ahead_s=base.problem.horizon * problem.interval_s,
        objective_usd_per_h=given.objective_usd_per_h,
        bound_usd_per_h=given.bound_usd_per_h,
        bill_usd_per_h=given.bill_usd_per_h,
        late_requests=given.late,
        noise_usd_per_h=noise,
        relative_gap=resolver.relative_gap,
        solves=resolver.solves,
    )


def _questions(problem: Problem, base: Measured, depth: Depth) -> tuple[list[Question], list[str]]:
    limits, loose = limit_questions(base, problem, depth)
    questions = [
        *limits,
        *alternative_questions(problem, base.plan, depth),
        *pool_questions(problem, base.plan, depth),
        *load_questions(problem, depth),
        *slo_questions(problem, depth),
    ]
    return questions, loose


def _noise_usd_per_h(findings: Sequence[Finding]) -> float:
    """Return the largest difference with a sign that no true one has, 0 without any.

    A limit less cannot cost, and a pool less or another first decision than the best cannot save.
    Where a proven objective says so, required throughput has followed another mix (see
    docs/formulation.md): differences of that size tell nothing.
    """
    wrong = [0.0]
    for finding in findings:
        change = finding.difference
        if change is None or not change.certain or change.least_usd_per_h is None:
            continue
        if finding.kind == "limit":
            wrong.append(change.usd_per_h)
        elif finding.kind in ("alternative", "pool"):
            wrong.append(-change.usd_per_h)
    return max(wrong)


def _answer(
    resolver: Resolver, problem: Problem, base: Measured, question: Question
) -> Finding | None:
    """Return the answer; None for an alternative that leads to no other, or to no plan."""
    try:
        measured = resolver.solve(question.problem)
    except Infeasible as error:
        if question.kind == "alternative":
            return None
        return Finding(
            question.kind, question.subject, None, False, None, question.exact, str(error)
        )
    same = measured.plan.target_now() == base.plan.target_now()
    if question.kind == "alternative" and (same or not _allowed(problem, measured.plan)):
        return None
    reference = problem if question.kind == "alternative" else question.problem
    warm_before = int(base.plan.warm_functions[0])
    return Finding(
        kind=question.kind,
        subject=question.subject,
        decision=decision_words(reference, measured.plan, warm_before),
        same_decision=same,
        difference=difference(base, measured),
        exact=question.exact,
        sentence="",
    )


def _allowed(problem: Problem, plan: Plan) -> bool:
    """Return whether a first decision that was enforced keeps the launch and vCPU limits."""
    from markopt.planning.evaluator import evaluate_plan

    broken = evaluate_plan(problem, plan).broken
    return not any(text.startswith("interval 0:") for text in broken)


def _ordered(findings: Sequence[Finding]) -> list[Finding]:
    """Return the findings with the cheapest of the alternatives only, each decision once."""
    seen: set[str | None] = set()
    alternatives: list[Finding] = []
    for finding in sorted(
        (f for f in findings if f.kind == "alternative" and f.difference is not None),
        key=lambda f: (_cost_key(f), f.subject),
    ):
        if finding.decision not in seen:
            seen.add(finding.decision)
            alternatives.append(finding)
    ordered = [f for f in findings if f.kind == "limit"]
    ordered += alternatives[:MOST_ALTERNATIVES]
    return ordered + [f for f in findings if f.kind not in ("limit", "alternative")]


def _cost_key(finding: Finding) -> tuple[float, float]:
    change = finding.difference
    return (0.0, 0.0) if change is None else (max(change.late, 0.0), change.usd_per_h)
