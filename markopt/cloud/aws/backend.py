"""The AWS back end: observes and changes one deployment, and sees to its instances in between."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, final

from markopt.cloud.aws.balancer import Balancer
from markopt.cloud.aws.bill import EstimatedBill
from markopt.cloud.aws.calls import CallFailed
from markopt.cloud.aws.functions import WarmUp
from markopt.cloud.aws.instances import InstanceCalls
from markopt.cloud.aws.load import LoadMetrics, no_counts
from markopt.cloud.aws.prices import SpotPrices
from markopt.cloud.aws.rehearsal import Rehearsal
from markopt.cloud.aws.settings import AwsCloud
from markopt.cloud.aws.tags import TaggedInstance, check_value
from markopt.cloud.aws.tending import Tending
from markopt.cloud.aws.user_data import user_data
from markopt.cloud.live import Deployment
from markopt.core import (
    ActionReport,
    Actions,
    InstanceState,
    InstanceStatus,
    Ledger,
    Observation,
)
from markopt.errors import BackendError, ConfigError

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Parts:
    """What the back end works with, one object per service of AWS."""

    instances: InstanceCalls
    balancer: Balancer
    tending: Tending
    warm_up: WarmUp
    load: LoadMetrics
    spot_prices: SpotPrices | None
    bill: EstimatedBill
    rehearsal: Rehearsal | None


@final
class AwsBackend:
    """A ``Backend`` over EC2, Lambda, ELB and CloudWatch.

    What there is stands in tags: the object can be thrown away at any moment and made anew.
    ``open`` of ``AwsCloud`` makes it.
    """

    def __init__(self, settings: AwsCloud, deployment: Deployment, parts: Parts) -> None:
        self._settings = settings
        self._deployment = deployment
        self._offers = {offer.name: offer for offer in deployment.offers}
        self._parts = parts
        self._now_s = deployment.clock.now_s()
        self._reports: dict[str, ActionReport] = {}
        self._seen: dict[str, TaggedInstance] = {}
        self._health: dict[str, str] = {}
        self._seen_s = self._tended_s = self._now_s
        self._own: set[str] = set()
        self._warm = parts.warm_up.count()
        self._look()

    def __repr__(self) -> str:
        return f"AwsBackend({self._deployment.name!r} in {self._settings.region})"

    # --- Backend protocol ---

    def observe(self) -> Observation:
        """Return instances now, and the load of the periods that became known since the last time.

        Without an answer of CloudWatch there is no count; without one of EC2 what was last seen
        stands for ``stale_s``.

        Raises:
            BackendError: EC2 has not answered for longer than that.
        """
        self._look()
        try:
            counts = self._parts.load.take(self._now_s)
        except CallFailed as error:
            _log.warning("no load data: %s", error)
            counts = no_counts()
        self._parts.bill.spilled(int(counts["spilled"].sum()))
        return Observation(
            time_s=self._now_s,
            instances=tuple(
                self._status(instance)
                for instance in sorted(self._seen.values(), key=_by_launch)
                if instance.alive and instance.offer in self._offers
            ),
            bin_s=self._parts.load.bin_s,
            warm_functions=self._warm,
            bill_usd=self._parts.bill.total_usd(),
            spot_price_usd_per_s=self._spot_prices(),
            **counts,
        )

    def apply(self, actions: Actions) -> ActionReport:
        """Launch, drain and warm up as told; the same ``decision_id`` again changes nothing.

        After a restart too: what a decision launched or ended carries its id.

        Raises:
            ConfigError: an offer is not on sale, a count is negative, or the id cannot be a tag;
                nothing is carried out.
        """
        if actions.decision_id in self._reports:
            return self._reports[actions.decision_id]
        self._check(actions)
        if actions.empty:
            return ActionReport(actions.decision_id)
        refused: list[str] = []
        self._refresh(refused)
        launched: dict[str, tuple[str, ...]] = {}
        insufficient: list[str] = []
        for name, number in actions.launch.items():
            if number > 0:
                launched[name] = self._launch(name, number, actions, refused, insufficient)
        terminated = self._terminate(actions, refused)
        if actions.warm_functions is not None:
            self._set_warm(actions.warm_functions, refused)
        if actions.function_share is not None and self._settings.data_plane == "weighted":
            try:
                self._parts.balancer.set_function_share(actions.function_share)
            except CallFailed as error:
                refused.append(f"function share {actions.function_share:.3f}: {error}")
        report = ActionReport(
            actions.decision_id, launched, terminated, tuple(refused), tuple(insufficient)
        )
        self._reports[actions.decision_id] = report
        return report

    def advance(self, until_s: float) -> None:
        """Wait until ``until_s``, and see to the instances every ``look_period_s``.

        Raises:
            BackendError: ``until_s`` lies in the past, or EC2 has not answered for ``stale_s``.
        """
        if until_s < self._now_s:
            raise BackendError(f"AwsBackend: can advance from {self._now_s} s on, got {until_s} s")
        while self._now_s < until_s:
            due_s = self._tended_s + self._settings.look_period_s
            next_s = min(max(due_s, self._now_s), until_s)
            self._deployment.clock.wait_until(next_s)
            self._now_s = next_s
            self._play()
            if next_s >= due_s - 1e-6:
                self._tended_s = next_s
                self._tend()

    def close(self) -> Ledger:
        """End every instance of the deployment at once, keep nothing warm, return the bill.

        Raises:
            BackendError: EC2 refuses; what still runs is named by its tag.
        """
        alive = [name for name, one in self._parts.instances.all().items() if one.alive]
        self._parts.instances.terminate(alive)
        if self._warm:
            self._parts.warm_up.keep(0)
        self._account({})
        self._warm = 0
        self._seen = {}
        bill = self._parts.bill
        return Ledger(
            cost_usd=bill.cost_usd(),
            billed_s=bill.billed_s(),
            launches=len(self._own),
            interruptions=len(self._parts.tending.interrupted),
        )

    def detach(self) -> None:
        """Leave everything as it is: what runs is found by its tags when somebody comes back."""

    # --- dry run ---

    def describe(self, actions: Actions) -> Sequence[str]:
        """Return the calls that carrying the actions out would make, one per line.

        Raises:
            ConfigError: as ``apply``.
        """
        from markopt.cloud.aws.description import describe

        self._check(actions)
        return describe(
            actions,
            offers=self._offers,
            instances=self._parts.instances,
            balancer=self._parts.balancer,
            warm_up=self._parts.warm_up,
            weighted=self._settings.data_plane == "weighted",
        )

    # --- launches and ends ---

    def _check(self, actions: Actions) -> None:
        check_value("decision_id", actions.decision_id)
        for name, number in actions.launch.items():
            if name not in self._offers:
                raise ConfigError(
                    f"Actions '{actions.decision_id}': offer '{name}' is not on sale, expected one "
                    f"of {sorted(self._offers)}"
                )
            if number < 0:
                raise ConfigError(
                    f"Actions '{actions.decision_id}': launches of '{name}' must not be negative, "
                    f"got {number}"
                )
        if actions.warm_functions is not None and actions.warm_functions < 0:
            raise ConfigError(
                f"Actions '{actions.decision_id}': warm_functions must not be negative, got "
                f"{actions.warm_functions}"
            )
        share = actions.function_share
        if share is not None and not 0.0 <= share <= 1.0:
            raise ConfigError(
                f"Actions '{actions.decision_id}': function_share must lie in [0, 1], got {share}"
            )

    def _launch(
        self,
        name: str,
        number: int,
        actions: Actions,
        refused: list[str],
        insufficient: list[str],
    ) -> tuple[str, ...]:
        decision = actions.decision_id
        before = tuple(
            instance.instance_id
            for instance in sorted(self._seen.values(), key=_by_launch)
            if instance.decision_id == decision and instance.offer == name
        )
        if before:
            return before
        offer = self._offers[name]
        script = user_data(self._settings.server, self._deployment.service, offer)
        outcome = self._parts.instances.launch(offer, number, decision, script)
        if outcome.refused:
            refused.append(outcome.refused)
        if outcome.insufficient:
            insufficient.append(name)
        for instance_id in outcome.ids:
            self._own.add(instance_id)
            self._seen[instance_id] = TaggedInstance(
                instance_id, name, decision, "pending", self._now_s
            )
        self._parts.tending.launched(outcome.ids, self._now_s)
        return outcome.ids

    def _terminate(self, actions: Actions, refused: list[str]) -> tuple[str, ...]:
        """Tag instances as leaving and take them out of service; ``_tend`` ends them, drained."""
        known: list[str] = []
        ended: list[str] = []
        for name in actions.terminate:
            instance = self._seen.get(name)
            if instance is not None and instance.ended_by == actions.decision_id:
                ended.append(name)
            elif (instance is None and name not in self._own) or (
                instance is not None and not instance.alive
            ):
                refused.append(f"terminate {name}: no such instance of this deployment")
            elif instance is not None and instance.leaving_s is not None:
                ended.append(name)
            else:
                known.append(name)
        try:
            self._parts.tending.leave(known, self._now_s, actions.decision_id)
        except CallFailed as error:
            refused += [f"terminate {name}: {error}" for name in known]
            return tuple(ended)
        for name in known:
            if name in self._seen:
                self._seen[name] = replace(
                    self._seen[name], leaving_s=self._now_s, ended_by=actions.decision_id
                )
        self._parts.tending.drain(self._seen, self._health, self._now_s)
        order = {name: place for place, name in enumerate(actions.terminate)}
        return tuple(sorted([*ended, *known], key=order.__getitem__))

    def _set_warm(self, count: int, refused: list[str]) -> None:
        if count == self._warm:
            return
        try:
            self._parts.warm_up.keep(count)
            self._warm = count
        except CallFailed as error:
            refused.append(f"warm functions {count}: {error}")

    # --- looking ---

    def _look(self) -> None:
        """List the instances; where EC2 does not answer, what was last seen stands for a while."""
        try:
            self._seen = self._parts.instances.all()
            self._health = self._parts.balancer.health()
            self._seen_s = self._now_s
        except CallFailed as error:
            stale_s = self._now_s - self._seen_s
            if stale_s > self._settings.stale_s:
                raise BackendError(f"nothing seen for {stale_s:.0f} s: {error}") from None
            _log.warning("instances as seen %.0f s ago: %s", stale_s, error)
        self._account(self._running())

    def _refresh(self, refused: list[str]) -> None:
        """List the instances before a decision is carried out, so that it is not done twice."""
        try:
            self._seen = {**self._unlisted(), **self._parts.instances.all()}
        except CallFailed as error:
            refused.append(f"acting on what was seen before: {error}")

    def _unlisted(self) -> dict[str, TaggedInstance]:
        """Return own launches, which EC2 may list only later."""
        return {name: one for name, one in self._seen.items() if name in self._own}

    def _play(self) -> None:
        """Play the rehearsal's load, if this is one."""
        if self._parts.rehearsal is not None:
            try:
                self._parts.rehearsal.publish(self._now_s)
            except CallFailed as error:
                _log.warning("the rehearsal's load comes later: %s", error)

    def _tend(self) -> None:
        """See to the instances; failures wait for the next look."""
        parts = self._parts
        self._look()
        if self._settings.mode != "act":
            return
        self._seen = parts.tending.tend(self._seen, self._health, self._now_s)
        try:
            parts.warm_up.tend(self._now_s)
        except CallFailed as error:
            _log.warning("warm-up: %s", error)

    def _running(self) -> dict[str, tuple[str, float]]:
        return {
            name: (one.offer, self._since_s(one))
            for name, one in self._seen.items()
            if one.state == "running"
        }

    def _account(self, running: Mapping[str, tuple[str, float]]) -> None:
        self._parts.bill.account(
            self._now_s,
            running,
            spot_usd_per_s=self._spot_prices(),
            warm_functions=self._warm,
        )

    def _spot_prices(self) -> dict[str, float]:
        prices = self._parts.spot_prices
        return {} if prices is None else prices.now(self._now_s)

    def _since_s(self, instance: TaggedInstance) -> float:
        launched_s = instance.launched_s
        if launched_s is None:
            launched_s = self._parts.tending.first_seen(instance.instance_id, self._now_s)
        return min(launched_s, self._now_s)

    def _status(self, instance: TaggedInstance) -> InstanceStatus:
        age_s = self._now_s - self._since_s(instance)
        state = _state(instance, self._health.get(instance.instance_id, ""))
        ready_in_s = 0.0
        if state in (InstanceState.PENDING, InstanceState.BOOTING):
            # An overdue launch is expected any second, so it is never shown as ready.
            ready_in_s = max(self._offers[instance.offer].launch_delay_s - age_s, 1.0)
        return InstanceStatus(
            instance_id=instance.instance_id,
            offer=instance.offer,
            state=state,
            age_s=age_s,
            ready_in_s=ready_in_s,
            notice=instance.noticed,
        )


def _state(instance: TaggedInstance, health: str) -> InstanceState:
    if instance.leaving_s is not None:
        return InstanceState.DRAINING
    if instance.state == "pending":
        return InstanceState.PENDING
    return InstanceState.READY if health == "healthy" else InstanceState.BOOTING


def _by_launch(instance: TaggedInstance) -> tuple[Any, ...]:
    return (instance.launched_s or 0.0, instance.instance_id)
