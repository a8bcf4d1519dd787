"""What a decision is asked: changed problems, each with the words that state the change."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from markopt.core import FleetState, Forecast, Offer, OfferFleet, Plan, Problem, PurchaseOption
from markopt.planning.explanation.limits import (
    MissBudget,
    PricedLimit,
    Stock,
    priced_limits,
    with_slo,
)
from markopt.planning.explanation.measure import Measured
from markopt.planning.explanation.words import count, lasting_count, percent
from markopt.planning.requirement import launch_delay_intervals

Kind = Literal["limit", "alternative", "pool", "slo", "load"]

LOAD_SHARE = 0.1
# So many scarce offers in use are listed among what does not bind.
MOST_STOCKS = 4


@dataclass(frozen=True)
class Depth:
    """How many of each kind are asked at most, so that the number of solves is bounded."""

    limits: int = 8
    offers: int = 4
    pools: int = 6
    both_ways: bool = True


SHALLOW = Depth(limits=2, offers=1, pools=1, both_ways=False)


@dataclass(frozen=True, eq=False)
class Question:
    """A changed problem. ``subject`` is the change in words.

    An alternative's answer counts only where its first decision differs; ``exact`` says whether
    nothing beside the first decision was restricted to get there.
    """

    kind: Kind
    subject: str
    problem: Problem
    exact: bool = True


def limit_questions(
    measured: Measured, problem: Problem, depth: Depth
) -> tuple[list[Question], list[str]]:
    """Return one question per binding limit, and in words what is left of the others.

    Of many scarce offers the cheapest per throughput are asked about.
    """
    limits = sorted(priced_limits(measured.problem), key=lambda limit: _price(measured, limit))
    binding = [limit for limit in limits if limit.binds(measured)]
    over = [limit for limit in limits if isinstance(limit, MissBudget) and limit.exceeded(measured)]
    loose = [limit for limit in limits if limit not in binding and limit not in over]
    stocks = [limit for limit in loose if isinstance(limit, Stock)]
    named = [limit for limit in loose if limit not in stocks]
    named += [limit for limit in stocks if limit.billed(measured) > 0][:MOST_STOCKS]
    words = [limit.use(measured) for limit in named]
    if len(named) < len(loose):
        words.append(f"the stock of {count(len(loose) - len(named), 'more offer')}")
    whole = replace(measured, problem=problem)
    questions = [Question("limit", *limit.relaxed(whole)) for limit in binding[: depth.limits]]
    if len(binding) > depth.limits:
        words.append(f"(not asked about: {len(binding) - depth.limits} more that bind)")
    return questions, words


def _price(measured: Measured, limit: PricedLimit) -> float:
    """Return the price per throughput of the offer that a limit is about; others come first."""
    names = getattr(limit, "offers", ())
    if not names:
        return 0.0
    offer = measured.problem.offer(names[0])
    return offer.price_usd_per_s / offer.saturation_rps


def alternative_questions(problem: Problem, plan: Plan, depth: Depth) -> list[Question]:
    """Return problems whose first decision differs from the plan's.

    One instance fewer of an offer: its stock ends there, and what runs beyond it is gone; so it
    holds for the whole look-ahead. One more: it is launching already, so that only this launch is
    enforced. No launch of an offer, no launch at all: for the whole look-ahead.
    """
    now = plan.target_now()
    changed = {name: abs(n - lasting_count(problem, name)) for name, n in now.items()}
    offers = {offer.name: offer for offer in problem.offers}
    names = sorted(
        (name for name in now if now[name] > 0 or changed[name] > 0),
        key=lambda name: (-changed[name], -now[name] * offers[name].saturation_rps, name),
    )
    questions: list[Question] = []
    for name in names[: depth.offers]:
        questions += _neighbours(problem, offers[name], now[name])
    return [*questions, *_without_launches(problem, now, depth)]


def _neighbours(problem: Problem, offer: Offer, wanted: int) -> Iterator[Question]:
    held = lasting_count(problem, offer.name)
    pending = len(problem.fleet.of(offer.name).pending_ready_in_s)
    if wanted > pending:
        fewer = _with_stock(problem, (offer.name,), wanted - 1)
        fewer = replace(fewer, fleet=_kept(problem, offer.name, wanted - 1))
        yield Question("alternative", f"one {offer.name} fewer", fewer, exact=False)
    room = offer.stock is None or wanted < max(offer.stock, held)
    if wanted >= held and room and launch_delay_intervals(offer, problem.interval_s) > 0:
        more = replace(problem, fleet=_launched(problem, offer, wanted + 1 - held))
        yield Question("alternative", f"one {offer.name} more", more)


def _without_launches(problem: Problem, now: dict[str, int], depth: Depth) -> Iterator[Question]:
    more = {name: n - lasting_count(problem, name) for name, n in now.items()}
    launched = sorted((name for name in now if more[name] > 0), key=lambda n: (-more[n], n))
    for name in launched[: depth.offers]:
        held = lasting_count(problem, name)
        without = _with_stock(problem, (name,), held)
        yield Question("alternative", f"no launch of {name}", without, exact=False)
    if launched:
        limits = replace(problem.limits, max_launches_per_interval=0)
        none = replace(problem, limits=limits)
        yield Question("alternative", "no launch at all", none, exact=False)


def pool_questions(problem: Problem, plan: Plan, depth: Depth) -> list[Question]:
    """Return, for every spot pool in use or planned, the problem after it has vanished.

    Its instances are gone, and no more are to be had.
    """
    most = dict(zip(plan.offers, plan.targets.max(axis=1).tolist(), strict=True))
    pools: dict[str, list[Offer]] = {}
    for offer in problem.offers:
        if offer.purchase is PurchaseOption.SPOT:
            pools.setdefault(offer.pool, []).append(offer)

    def weight(offers: Sequence[Offer]) -> float:
        held = (max(most[o.name], problem.fleet.of(o.name).billed) for o in offers)
        return float(sum(n * o.saturation_rps for n, o in zip(held, offers, strict=True)))

    used = sorted(
        (p for p in pools if weight(pools[p]) > 0.0), key=lambda p: (-weight(pools[p]), p)
    )
    questions = []
    for pool in used[: depth.pools]:
        names = tuple(offer.name for offer in pools[pool])
        running = sum(problem.fleet.of(name).ready for name in names)
        gone = tuple(
            OfferFleet(entry.offer) if entry.offer in names else entry
            for entry in problem.fleet.offers
        )
        without = _with_stock(problem, names, 0)
        without = replace(without, fleet=replace(problem.fleet, offers=gone))
        subject = f"the spot pool {pool} vanishes ({running or 'none'} running)"
        questions.append(Question("pool", subject, without))
    return questions


def slo_questions(problem: Problem, depth: Depth) -> list[Question]:
    """Return the problem with half and with twice the share of late requests."""
    slo = problem.service.slo
    questions = []
    for factor in (0.5, 2.0) if depth.both_ways else (0.5,):
        share = 1.0 - factor * slo.miss_share
        if share > 0.0:
            changed = with_slo(problem, replace(slo, sl_min=share))
            questions.append(Question("slo", f"an SLO of {percent(share)}", changed))
    return questions


def load_questions(problem: Problem, depth: Depth) -> list[Question]:
    """Return the problem with a forecast a tenth higher and a tenth lower."""
    questions = []
    changes = ((LOAD_SHARE, "higher"), (-LOAD_SHARE, "lower"))
    for share, word in changes if depth.both_ways else changes[:1]:
        forecast: Forecast = replace(
            problem.forecast, paths_rps=problem.forecast.paths_rps * (1.0 + share)
        )
        subject = f"a load {100.0 * LOAD_SHARE:.0f} % {word}"
        questions.append(Question("load", subject, replace(problem, forecast=forecast)))
    return questions


def _with_stock(problem: Problem, names: tuple[str, ...], stock: int) -> Problem:
    offers = tuple(
        replace(offer, stock=stock if offer.stock is None else min(stock, offer.stock))
        if offer.name in names
        else offer
        for offer in problem.offers
    )
    return replace(problem, offers=offers)


def _kept(problem: Problem, name: str, most: int) -> FleetState:
    """Return the fleet after ready instances of an offer beyond ``most`` have been ended."""
    own = problem.fleet.of(name)
    over = max(lasting_count(problem, name) - most, 0)
    kept = replace(own, ready=max(own.ready - over, own.noticed))
    entries = tuple(kept if entry.offer == name else entry for entry in problem.fleet.offers)
    return replace(problem.fleet, offers=entries)


def _launched(problem: Problem, offer: Offer, launches: int) -> FleetState:
    """Return the fleet right after ``launches`` of an offer."""
    delay_s = launch_delay_intervals(offer, problem.interval_s) * problem.interval_s
    own = problem.fleet.of(offer.name)
    pending = (*own.pending_ready_in_s, *([delay_s] * launches))
    others = tuple(e for e in problem.fleet.offers if e.offer != offer.name)
    launched = replace(own, pending_ready_in_s=tuple(sorted(pending)))
    return replace(problem.fleet, offers=(*others, launched))
