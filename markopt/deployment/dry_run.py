"""One decision on a cloud that is only looked at: the plan, and the calls that it would make."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from typing import final

import numpy as np

from markopt.cloud.live import Detaches
from markopt.cloud.protocol import Backend
from markopt.control import Controller
from markopt.control.guards import Cut, Guards
from markopt.control.journal import JournalReader
from markopt.core import ActionReport, Actions, Ledger, Observation, RateSeries
from markopt.deployment.beginning import clock_of, deployment_of, known_load
from markopt.deployment.modes import calls_for
from markopt.deployment.parts import Parts
from markopt.deployment.past_load import shifted
from markopt.evaluation.seeds import seed_sequence


def dry_run(parts: Parts) -> Iterator[str]:
    """Yield in lines what the deployment would do now, as one that acts; change nothing.

    Where there is a journal, the load that it knows of is learnt from, too; it is not written.

    Raises:
        BackendError: the cloud cannot be used.
        Infeasible: no plan exists.
    """
    looking = replace(parts, controller=replace(parts.controller, mode="advise"))
    clock = clock_of(looking, None)
    begin_s = clock.now_s()
    history = _history(looking, begin_s)
    forecaster = looking.forecaster.fit(history)
    backend = looking.cloud.open(deployment_of(looking, clock, None))
    noting = _Noting(backend, Guards(parts.controller.guards, parts.offers, parts.function))
    controller = Controller(
        service=parts.service,
        offers=parts.offers,
        function=parts.function,
        required_throughput=parts.required_throughput,
        forecaster=forecaster,
        planner=parts.planner,
        backend=noting,
        settings=looking.controller,
        history=history,
        rng=np.random.default_rng(seed_sequence(parts.seed, "forecast")),
    )
    try:
        made = controller.decide(begin_s)
    finally:
        if isinstance(backend, Detaches):
            backend.detach()
    seen = made.seen
    yield f"observed: {len(seen.instances)} instances, {seen.warm_functions} functions warm"
    yield f"forecast: {float(made.problem.forecast.mean_rps()[0]):.1f} requests/s"
    yield f"plan: {made.plan.reason}"
    wanted = {name: count for name, count in made.plan.target_now().items() if count}
    yield "wanted: " + (", ".join(f"{n} {name}" for name, n in wanted.items()) or "nothing")
    for cut in noting.cuts:
        yield f"guard {cut.rule}: {cut.text}"
    yield f"calls: {len(noting.calls) or 'none'}"
    for call in noting.calls:
        yield f"  {call}"


def _history(parts: Parts, begin_s: float) -> RateSeries:
    path = parts.deploy.journal_path
    if not path.exists():
        return shifted(parts.workload.history, begin_s)
    with closing(JournalReader(path)) as reader:
        return known_load(parts, reader, begin_s)


@final
class _Noting:
    """Wraps a back end; notes the calls that actions would make, in their place."""

    def __init__(self, inner: Backend, guards: Guards) -> None:
        self._inner = inner
        self._guards = guards
        self.calls: tuple[str, ...] = ()
        self.cuts: tuple[Cut, ...] = ()

    def observe(self) -> Observation:
        seen = self._inner.observe()
        self._guards.saw(seen)
        return seen

    def apply(self, actions: Actions) -> ActionReport:
        verdict = self._guards.judge(actions)
        self.cuts = verdict.cuts
        self.calls = tuple(calls_for(self._inner, verdict.allowed))
        return ActionReport(actions.decision_id)

    def advance(self, until_s: float) -> None:
        self._inner.advance(until_s)

    def close(self) -> Ledger:
        return Ledger({}, {}, 0, 0)
