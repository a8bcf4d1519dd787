"""The guard rails: each action passes them, each refusal names its rule."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import final

from markopt.control.guards.cut import Cut
from markopt.control.guards.settings import GuardSettings
from markopt.control.guards.spending import Spending
from markopt.core import (
    ActionReport,
    Actions,
    FunctionOffer,
    InstanceState,
    InstanceStatus,
    Observation,
    Offer,
)

_GONE = (InstanceState.TERMINATED, InstanceState.INTERRUPTED)
_STAYING = (InstanceState.PENDING, InstanceState.BOOTING, InstanceState.READY)
_LOOK_AHEAD_S = 3600.0
_REASON_LENGTH = 200


@dataclass(frozen=True)
class Verdict:
    """What the guard rails left of some actions, and what they took away, by rule."""

    allowed: Actions
    cuts: tuple[Cut, ...]


@final
class Guards:
    """Judges actions by the settings and by what was last observed.

    Launches are allowed one by one, the cheapest per request first, for as long as every limit
    holds; terminations in the order that they were wanted in.
    """

    def __init__(
        self, settings: GuardSettings, offers: Sequence[Offer], function: FunctionOffer | None
    ) -> None:
        self._settings = settings
        self._offers = {offer.name: offer for offer in offers}
        self._warm_usd_per_s = 0.0 if function is None else function.warm_price_usd_per_s
        self.spending = Spending()
        self._seen: Observation | None = None
        self._load_seen_s: float | None = None

    def saw(self, observation: Observation) -> None:
        """Take in what the cloud shows."""
        self.spending.saw(observation.time_s, observation.bill_usd)
        if self._load_seen_s is None or len(observation.arrivals):
            self._load_seen_s = observation.time_s
        self._seen = observation

    def launched(self, report: ActionReport) -> None:
        """Take in launches that only the next observation will show."""
        if self._seen is not None and report.launched:
            new = tuple(
                InstanceStatus(name, offer, InstanceState.PENDING, 0.0)
                for offer, ids in report.launched.items()
                for name in ids
            )
            self._seen = replace(self._seen, instances=self._seen.instances + new)

    def killed(self) -> str | None:
        """Return why the kill switch stops everything; None: it does not."""
        path = None if self._settings.kill_switch is None else Path(self._settings.kill_switch)
        if path is None or not path.exists():
            return None
        try:
            with path.open(encoding="utf-8", errors="replace") as file:
                said = file.readline(_REASON_LENGTH).strip()
        except OSError:
            said = ""
        shown = "".join(c for c in said if c.isprintable())
        return f"'{path}' exists" + (f": {shown}" if shown else "")

    def judge(self, actions: Actions) -> Verdict:
        """Return what may be done of the actions."""
        killed = self.killed()
        if killed is not None:
            if actions.empty:
                return Verdict(actions, ())
            stopped = Actions(actions.decision_id, reason=actions.reason)
            return Verdict(stopped, (Cut("kill_switch", f"nothing is changed: {killed}"),))
        cuts: list[Cut] = []
        terminate = self._terminations(actions, cuts)
        launch = self._launches(actions, cuts)
        warm = self._warm(actions, launch, cuts)
        allowed = replace(actions, launch=launch, terminate=terminate, warm_functions=warm)
        return Verdict(allowed, tuple(cuts))

    # --- terminations ---

    def _terminations(self, actions: Actions, cuts: list[Cut]) -> tuple[str, ...]:
        settings, wanted = self._settings, actions.terminate
        staying = self._staying()
        if wanted and (stale := self._stale()):
            cuts.append(Cut("stale_after_s", f"ends none of {len(wanted)}: {stale}"))
            wanted = ()
        limit = settings.max_terminations
        if limit is not None and len(wanted) > limit:
            cuts.append(Cut("max_terminations", f"ends {limit} of {len(wanted)} at once"))
            wanted = wanted[:limit]
        room = max(len(staying) - settings.min_instances, 0)
        kept = [name for name in wanted if name in staying]
        if len(kept) > room:
            refused = set(kept[room:])
            text = f"ends {room} of {len(kept)}, so that {settings.min_instances} stay"
            cuts.append(Cut("min_instances", text))
            wanted = tuple(name for name in wanted if name not in refused)
        return wanted + self._over_the_daily_cap(set(wanted), cuts)

    def _over_the_daily_cap(self, ending: set[str], cuts: list[Cut]) -> tuple[str, ...]:
        """Return what else must end since the day's money is spent."""
        settings, cap = self._settings, self._settings.max_usd_per_day
        if settings.when_spent != "floor" or cap is None or self.spending.today_usd < cap:
            return ()
        staying = [i for name, i in self._staying().items() if name not in ending]
        staying.sort(key=lambda i: (-self._price_usd_per_s(i.offer), i.age_s, i.instance_id))
        more = staying[: max(len(staying) - settings.min_instances, 0)]
        if more:
            spent = f"{self.spending.today_usd:.2f} of {cap:.2f} USD are spent today"
            cuts.append(Cut("max_usd_per_day", f"ends {len(more)} more: {spent}"))
        return tuple(instance.instance_id for instance in more)

    def _stale(self) -> str:
        after_s = self._settings.stale_after_s
        if after_s is None or self._seen is None or self._load_seen_s is None:
            return ""
        age_s = self._seen.time_s - self._load_seen_s
        return f"no load was reported for {age_s:.0f} s" if age_s > after_s else ""

    # --- launches ---

    def _launches(self, actions: Actions, cuts: list[Cut]) -> dict[str, int]:
        wanted = [n for n, count in actions.launch.items() for _ in range(count)]
        wanted.sort(key=self._price_per_request)
        allowed: dict[str, int] = {}
        refused: dict[tuple[str, str], int] = {}
        vcpus, usd_per_s = self._vcpus(), self._usd_per_s()
        count = len(self._paid())
        for number, name in enumerate(wanted):
            offer = self._offers.get(name)
            more_vcpus = vcpus + (0.0 if offer is None else offer.vcpus)
            more_usd_per_s = usd_per_s + self._price_usd_per_s(name)
            rule = self._broken(number - sum(refused.values()), count, more_vcpus, more_usd_per_s)
            if rule:
                refused[rule] = refused.get(rule, 0) + 1
                continue
            vcpus, usd_per_s, count = more_vcpus, more_usd_per_s, count + 1
            allowed[name] = allowed.get(name, 0) + 1
        for (name, limit), number in refused.items():
            cuts.append(Cut(name, f"launches {number} of {len(wanted)} less: {limit}"))
        return {name: allowed[name] for name in actions.launch if name in allowed}

    def _broken(
        self, launched: int, count: int, vcpus: float, usd_per_s: float
    ) -> tuple[str, str] | None:
        """Return the rule that one more launch would break, and its limit in words."""
        settings = self._settings
        if settings.max_launches is not None and launched >= settings.max_launches:
            return "max_launches", f"at most {settings.max_launches} at once"
        if settings.max_instances is not None and count >= settings.max_instances:
            return "max_instances", f"at most {settings.max_instances} instances"
        if settings.max_vcpus is not None and vcpus > settings.max_vcpus + 1e-9:
            return "max_vcpus", f"at most {settings.max_vcpus:g} vCPUs"
        return self._too_dear(usd_per_s)

    def _too_dear(self, usd_per_s: float) -> tuple[str, str] | None:
        settings, cap = self._settings, self._settings.max_usd_per_day
        per_h = settings.max_usd_per_h
        if per_h is not None and usd_per_s * 3600.0 > per_h * (1.0 + 1e-9):
            return "max_usd_per_h", f"at most {per_h:g} USD/h"
        if cap is not None and self._seen is not None:
            ahead_s = min(_LOOK_AHEAD_S, Spending.rest_of_day_s(self._seen.time_s))
            if self.spending.today_usd + usd_per_s * ahead_s > cap * (1.0 + 1e-9):
                spent = f"{self.spending.today_usd:.2f} of {cap:g} USD are spent today"
                return "max_usd_per_day", spent
        return None

    # --- functions ---

    def _warm(self, actions: Actions, launch: dict[str, int], cuts: list[Cut]) -> int | None:
        wanted, now = actions.warm_functions, self._warm_now()
        if wanted is None:
            return None
        if wanted < now:
            stale = self._stale()
            if stale:
                cuts.append(Cut("stale_after_s", f"keeps {now} functions warm: {stale}"))
            return None if stale else wanted
        prices = sum(self._price_usd_per_s(name) * n for name, n in launch.items())
        others_usd_per_s = self._usd_per_s() + prices - now * self._warm_usd_per_s
        for number in range(wanted, now, -1):
            broken = self._too_dear(others_usd_per_s + number * self._warm_usd_per_s)
            if broken is None or self._warm_usd_per_s == 0.0:
                return number
            if number == wanted:
                cuts.append(Cut(broken[0], f"warms up fewer than {wanted} functions: {broken[1]}"))
        return None if wanted > now else wanted

    # --- what is there ---

    def _paid(self) -> list[InstanceStatus]:
        instances = () if self._seen is None else self._seen.instances
        return [instance for instance in instances if instance.state not in _GONE]

    def _staying(self) -> dict[str, InstanceStatus]:
        return {i.instance_id: i for i in self._paid() if i.state in _STAYING}

    def _warm_now(self) -> int:
        return 0 if self._seen is None else self._seen.warm_functions

    def _usd_per_s(self) -> float:
        instances = sum(self._price_usd_per_s(i.offer) for i in self._paid())
        return instances + self._warm_now() * self._warm_usd_per_s

    def _vcpus(self) -> float:
        return sum(self._offers[i.offer].vcpus for i in self._paid() if i.offer in self._offers)

    def _price_usd_per_s(self, name: str) -> float:
        offer = self._offers.get(name)
        return 0.0 if offer is None else offer.price_usd_per_s

    def _price_per_request(self, name: str) -> tuple[float, str]:
        offer = self._offers.get(name)
        return (0.0 if offer is None else offer.price_usd_per_s / offer.saturation_rps), name
