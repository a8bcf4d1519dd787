"""Run a reference script through the compiled engine."""

from __future__ import annotations

import numpy as np

from markopt.engine import RequestEngine
from tests.engine.reference import Outcome, Script


def run_engine(script: Script, *, advance_between: bool = False) -> tuple[RequestEngine, Outcome]:
    """Return the finished engine and what it says happened."""
    arrivals_s = np.array(script.arrivals_s)
    last_s = max([*script.arrivals_s, *(change.time_s for change in script.changes), 1.0])
    engine = RequestEngine(
        script.settings,
        script.kinds,
        script.function,
        start_s=0.0,
        end_s=last_s + script.settings.bin_s,
        seed=script.seed,
    )
    slots: list[int] = []
    removed: list[tuple[int, int]] = []
    removed_end_s: list[float] = []
    served = 0
    for change in script.changes:
        before = int(np.searchsorted(arrivals_s, change.time_s, side="left"))
        engine.serve(arrivals_s[served:before])
        served = before
        if advance_between:
            engine.advance(change.time_s)
        if change.verb == "add":
            slots.append(engine.add_server(change.value, change.time_s))
            engine.take_server_at(slots[-1], change.time_s + change.lasts_s)
        elif change.verb == "remove":
            if slots:
                slot = slots.pop(change.value % len(slots))
                removed.append((slot, engine.life(slot)))
                removed_end_s.append(engine.remove_server(slot))
        elif change.verb == "share":
            engine.set_function_share(change.value / 10)
        elif change.verb == "take":
            known = [*slots, *removed]
            if known:
                _take(engine, known[change.value % len(known)], change.time_s + change.lasts_s)
        else:
            engine.set_provisioned_functions(change.value, change.time_s)
    engine.serve(arrivals_s[served:])
    engine.finish()
    response_s, path = engine.request_results()
    billed_steps = provisioned_steps = 0
    if script.function is not None:
        billed_steps = round(engine.function_billed_s / script.function.billing_step_s)
        provisioned_steps = round(engine.provisioned_billed_s / script.function.billing_step_s)
    return engine, Outcome(
        response_s.tolist(),
        path.tolist(),
        removed_end_s,
        billed_steps,
        provisioned_steps,
        engine.function_cold_starts,
        engine.function_invocations - engine.function_cold_starts,
        engine.function_throttles,
    )


def _take(engine: RequestEngine, server: int | tuple[int, int], at_s: float) -> None:
    if isinstance(server, int):
        engine.take_server_at(server, at_s)
    else:
        engine.take_removed_server_at(*server, at_s)
