"""Turn a plan and what is observed into the changes to apply now: the only place that does."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from markopt.core import Actions, InstanceState, InstanceStatus, Observation, Offer, Plan
from markopt.errors import PlanningError

_UNREADY = (InstanceState.PENDING, InstanceState.BOOTING)
_ALIVE = (*_UNREADY, InstanceState.READY)


@dataclass
class _Group:
    """Instances of one offer; ``noticed`` ones are in neither of the other two lists."""

    unready: list[InstanceStatus] = field(default_factory=list)
    ready: list[InstanceStatus] = field(default_factory=list)
    noticed: list[InstanceStatus] = field(default_factory=list)

    @property
    def counted(self) -> int:
        """Instances that a plan's target speaks of."""
        return len(self.unready) + len(self.ready)


def actuate(
    plan: Plan,
    observation: Observation,
    *,
    decision_id: str,
    offers: Sequence[Offer],
    keep_until_minimum: bool = True,
    make_before_break_share: float = 1.0,
    scale_in: bool = True,
    end_unknown: bool = False,
) -> Actions:
    """Return the changes that lead from what is observed to the plan's first step.

    Per offer, the target is compared with the instances that are pending, booting or ready.
    Draining ones are on their way out, and ones under a spot notice cannot be counted on: both are
    left out, so a noticed instance is replaced while it still serves. Offers that the plan does not
    name are left alone, but for ``end_unknown``.

    What ends, where there are too many:

    1. pending and booting instances, the ones furthest from ready first: they serve nothing yet;
    2. ready instances, dearest offer per request first, then oldest first, and only as long as the
       ready instances without notice keep ``make_before_break_share`` of the saturation throughput
       that the plan's target has: while replacements boot, what they replace keeps serving;
    3. instances under notice, once the ready ones without notice reach the whole target;
    4. with ``end_unknown``, at the same time, instances of offers that are not among ``offers``:
       what an earlier configuration has left.

    Args:
        plan: column 0 of its targets, and of its warm functions, is carried out.
        observation: the cloud now.
        decision_id: goes into the actions, which back ends apply once per id.
        offers: every offer that the plan names, for throughput, price and minimum billing.
        keep_until_minimum: an instance within its minimum billed time gives nothing back when it
            ends, so it stays as a reserve until the first decision after that time (its age,
            counted from the launch, stands for the billed time; up to an interval more than the
            minimum may be billed). A pending one is not billed yet and may end at once.
        make_before_break_share: hysteresis in [0, 1]; 0 ends ready instances without waiting.
        scale_in: False freezes scale-in: nothing is ended and no warm function is given up.
        end_unknown: end instances of unknown offers, too.

    Raises:
        PlanningError: the plan names an offer that is not among ``offers``.
    """
    by_name = {offer.name: offer for offer in offers}
    target = plan.target_now()
    for name in target:
        if name not in by_name:
            raise PlanningError(
                f"Plan of '{plan.planner}': offer '{name}' is not on offer, expected one of "
                f"{sorted(by_name)}"
            )
    groups = _groups(observation.instances, target)
    launch = {
        name: wanted - groups[name].counted
        for name, wanted in target.items()
        if wanted > groups[name].counted
    }
    ended: list[str] = []
    if scale_in:
        kept_s = {n: o.minimum_billed_s if keep_until_minimum else 0.0 for n, o in by_name.items()}
        strangers = [
            instance.instance_id
            for instance in observation.instances
            if end_unknown and instance.offer not in by_name and instance.state in _ALIVE
        ]
        ended = _terminations(
            groups,
            target,
            by_name,
            kept_s=kept_s,
            make_before_break_share=make_before_break_share,
            strangers=strangers,
        )
    return Actions(decision_id, launch, tuple(ended), _warm_change(plan, observation, scale_in))


def _groups(instances: Iterable[InstanceStatus], target: Mapping[str, int]) -> dict[str, _Group]:
    groups = {name: _Group() for name in target}
    for instance in instances:
        group = groups.get(instance.offer)
        if group is None:
            continue
        if instance.state is not InstanceState.READY and instance.state not in _UNREADY:
            continue
        if instance.notice:
            group.noticed.append(instance)
        elif instance.state is InstanceState.READY:
            group.ready.append(instance)
        else:
            group.unready.append(instance)
    return groups


def _terminations(
    groups: Mapping[str, _Group],
    target: Mapping[str, int],
    offers: Mapping[str, Offer],
    *,
    kept_s: Mapping[str, float],
    make_before_break_share: float,
    strangers: Sequence[str],
) -> list[str]:
    """Return the ids to end, in the order that ``actuate`` documents."""
    ended: list[str] = []
    candidates: list[InstanceStatus] = []
    for name, group in groups.items():
        excess = max(group.counted - target[name], 0)
        newest = sorted(group.unready, key=lambda i: (-i.ready_in_s, i.age_s, i.instance_id))
        surplus = newest[:excess]
        ended += [i.instance_id for i in surplus if _may_end(i, kept_s[name])]
        oldest = sorted(group.ready, key=lambda i: (-i.age_s, i.instance_id))
        # A surplus instance that still boots within its minimum takes its share of the excess: it
        # ends later, and no ready one ends in its place.
        candidates += [i for i in oldest if _may_end(i, kept_s[name])][: excess - len(surplus)]

    throughput_rps = sum(offers[n].saturation_rps * count for n, count in target.items())
    ready_rps = sum(offers[n].saturation_rps * len(group.ready) for n, group in groups.items())
    rounding_rps = 1e-9 * (throughput_rps + ready_rps)
    floor_rps = make_before_break_share * throughput_rps - rounding_rps
    candidates.sort(key=lambda i: -offers[i.offer].price_usd_per_s / offers[i.offer].saturation_rps)
    for instance in candidates:
        rest_rps = ready_rps - offers[instance.offer].saturation_rps
        if rest_rps >= floor_rps:
            ended.append(instance.instance_id)
            ready_rps = rest_rps
    if ready_rps >= throughput_rps - rounding_rps:
        ended += [
            instance.instance_id
            for name, group in groups.items()
            for instance in group.noticed
            if _may_end(instance, kept_s[name])
        ]
        ended += strangers
    return ended


def _may_end(instance: InstanceStatus, kept_s: float) -> bool:
    return instance.state is InstanceState.PENDING or instance.age_s >= kept_s


def _warm_change(plan: Plan, observation: Observation, scale_in: bool) -> int | None:
    wanted = int(plan.warm_functions[0])
    if wanted == observation.warm_functions or (
        wanted < observation.warm_functions and not scale_in
    ):
        return None
    return wanted
