"""The sentences of an explanation."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from markopt.core import Plan, Problem
from markopt.planning.explanation.measure import Difference, Measured, difference
from markopt.planning.explanation.words import count, decision_words, usd

if TYPE_CHECKING:
    from markopt.planning.explanation.explain import Finding

# Below this share of each other the objective and the bill are the same to a reader.
ALIKE_SHARE = 0.02
SMALL_USD_PER_H = 5e-5
# A decision of so many letters is named by what was asked for.
LONG_DECISION = 150


def lead_sentences(
    planner: Any, problem: Problem, given: Measured, base: Measured
) -> tuple[str, ...]:
    """Return why, what it costs, how sure that is, and what the SLO's window has left."""
    plan = given.plan
    sentences = [f"Why: {_cause(plan)}", _cost_sentence(planner, given)]
    if plan.rung not in ("optimal", "rule"):
        status = f" ({plan.solver_status})" if plan.solver_status else ""
        sentences.append(f"Rung of the solve ladder: {plan.rung}{status}")
    if plan.target_now() != base.plan.target_now():
        less = -difference(given, base).usd_per_h
        sentences.append(
            f"Solved to a smaller gap the plan is to {decision_words(problem, base.plan)}, for "
            f"{usd(max(less, 0.0))}/h less: what follows is compared with that"
        )
    if not given.keeps_slo:
        verb = "is" if round(given.late) == 1 else "are"
        sentences.append(
            f"SLO: {count(given.late, 'request')} beyond its budget {verb} expected to miss it"
        )
    return tuple(sentences)


def _cause(plan: Plan) -> str:
    """Return the plan's reason without the decision that stands before it."""
    action, colon, cause = plan.reason.partition(": ")
    if colon and action.split(" ", 1)[0] in ("launch", "terminate", "keep"):
        return cause
    return plan.reason


def _cost_sentence(planner: Any, given: Measured) -> str:
    minutes = given.problem.horizon * given.problem.interval_s / 60.0
    ahead = f"over the next {minutes:.3g} min"
    bill = f"{usd(given.bill_usd_per_h)}/h"
    if given.objective_usd_per_h is None:
        return f"Cost: an expected bill of {bill} {ahead}; a '{given.plan.rung}' proves no bound"
    objective = f"{usd(given.objective_usd_per_h)}/h"
    if not given.keeps_slo:
        return (
            f"Cost: an expected bill of {bill} {ahead} (the planner's objective, {objective}, also "
            "holds the penalty for requests late beyond the SLO's budget)"
        )
    if _alike(given.objective_usd_per_h, given.bill_usd_per_h):
        sentence = f"Cost: an expected {objective} {ahead}"
    else:
        sentence = f"Cost: an expected bill of {bill} {ahead}; {objective} as the planner counts"
        weight = _spill_weight(planner)
        if weight:
            sentence += (
                f" (a request on a function at {weight:g} times its bill, since it may bring cold "
                "starts)"
            )
    if given.bound_usd_per_h is not None and given.plan.gap is not None:
        gap = max(100.0 * given.plan.gap, 1e-4)
        sentence += (
            f". Proven: no plan comes to less than {usd(given.bound_usd_per_h)}/h (gap {gap:.2g} %)"
        )
    return sentence


def _spill_weight(planner: Any) -> float | None:
    while planner is not None and not hasattr(planner, "spill_weight"):
        planner = getattr(planner, "planner", None)
    return None if planner is None else float(planner.spill_weight)


def finding_sentence(finding: Finding, noise_usd_per_h: float) -> str:
    """Return the answer to a question as one sentence; a plan that failed left its cause there."""
    change = finding.difference
    subject = finding.subject[:1].upper() + finding.subject[1:]
    if finding.kind == "pool":
        subject = f"If {finding.subject}"
    if change is None:
        return f"{subject}: there would be no plan ({finding.sentence})"
    if finding.kind == "limit":
        return f"{subject} {_worth_words(change, noise_usd_per_h)}"
    amount = change_words(change, noise_usd_per_h, at_most=not finding.exact)
    decision = finding.decision or ""
    long = len(decision) > LONG_DECISION
    if finding.kind == "alternative":
        return f"{subject if long else decision[:1].upper() + decision[1:]}: {amount}"
    if finding.same_decision:
        decision = "the same decision now"
    elif long:
        decision = "another decision now"
    return f"{subject}: {decision}, {amount}"


def change_words(change: Difference, noise_usd_per_h: float, *, at_most: bool = False) -> str:
    """Return what a second plan costs more, in words."""
    if round(abs(change.late)) > 0:
        more = _counted(change.late)
        return f"{more} late beyond the SLO's budget, {_bill(change)}"
    if abs(change.usd_per_h) < SMALL_USD_PER_H:
        return "at the same cost"
    if abs(change.usd_per_h) <= noise_usd_per_h:
        return f"at about the same cost (within {usd(noise_usd_per_h)}/h)"
    if not change.certain and change.most_usd_per_h is not None:
        most = max(change.most_usd_per_h, 0.0)
        return f"at the same cost within the gap (at most {usd(most)}/h more)"
    least = "at most " if at_most and change.usd_per_h > 0.0 else ""
    return f"{least}{_amount(change.usd_per_h)}{_note(change)}"


def _worth_words(change: Difference, noise_usd_per_h: float) -> str:
    """Return what a relaxed limit saves, in words."""
    saving = -change.usd_per_h
    if round(abs(change.late)) > 0:
        words = f"mean {_counted(change.late)} late, {_bill(change)}"
    elif abs(saving) < SMALL_USD_PER_H:
        words = "save nothing now"
    elif abs(saving) <= noise_usd_per_h:
        words = f"save nothing that can be told (less than {usd(noise_usd_per_h)}/h)"
    elif not change.certain and change.least_usd_per_h is not None:
        most = max(-change.least_usd_per_h, 0.0)
        words = f"save at most {usd(most)}/h: too little to tell within the gap"
    elif saving < 0.0:
        words = f"save nothing: the planner's plan with it costs {usd(-saving)}/h more"
    else:
        words = f"save {usd(saving)}/h{_note(change)}"
    return f"would {words}"


def _counted(number: float) -> str:
    direction = "more" if number > 0.0 else "fewer"
    whole = round(abs(number))
    return f"{whole:,} {direction} request{'' if whole == 1 else 's'}"


def _bill(change: Difference) -> str:
    if abs(change.bill_usd_per_h) < SMALL_USD_PER_H:
        return "at the same bill"
    return f"{_amount(change.bill_usd_per_h)} on the bill"


def _amount(usd_per_h: float) -> str:
    return f"{usd(abs(usd_per_h))}/h {'more' if usd_per_h > 0.0 else 'less'}"


def _note(change: Difference) -> str:
    """Return what of a change is on the bill, where that is another amount, and why."""
    if _alike(change.usd_per_h, change.bill_usd_per_h):
        return ""
    spilled = ""
    if round(abs(change.spilled)) > 0:
        spilled = f", {_counted(change.spilled)} on functions"
    return f" ({_bill(change)}{spilled})"


def _alike(one: float, two: float) -> bool:
    return abs(one - two) <= ALIKE_SHARE * max(abs(one), abs(two)) + SMALL_USD_PER_H
