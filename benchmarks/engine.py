"""Measure how fast the request engine simulates, and how much faster than Python models do.

Run from the repository root: ``.venv/bin/python benchmarks/engine.py``. Prints its tables and
writes them to ``benchmarks/results/engine.md``. About a minute on two slow cores.
"""

from __future__ import annotations

import heapq
import math
import os
import platform
import resource
import sys
import time
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import numpy as np
import simpy
from numpy.typing import NDArray

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from markopt.engine import (  # noqa: E402
    Bouncer,
    Dispatcher,
    EngineSettings,
    FunctionKind,
    RequestEngine,
    ServerKind,
)
from markopt.engine.kernel import draw_index  # noqa: E402
from markopt.engine.multipliers import service_time_multipliers  # noqa: E402
from tests.engine.reference import Change, Script, simulate  # noqa: E402

RESULT = ROOT / "benchmarks" / "results" / "engine.md"
LOAD_SHARE = 0.8
LOOK_S = 5.0
SEED = 1
SINGLE = ServerKind((0.05,), service_time_cv=0.1)
BATCHED = ServerKind(tuple(0.04 + 0.004 * b for b in range(1, 9)), wait_s=0.04, service_time_cv=0.1)
FUNCTION = FunctionKind(0.14, 2.0, service_time_cv=0.1)
BOUNCER = EngineSettings(0.2)


def saturation_rps(kind: ServerKind) -> float:
    return kind.batch_size / kind.service_times_s[-1]


def poisson_s(rate_rps: float, requests: int) -> NDArray[np.float64]:
    return np.cumsum(np.random.default_rng(0).standard_exponential(requests)) / rate_rps


def fleet_engine(
    kinds: Sequence[ServerKind], counts: Sequence[int], end_s: float, settings: EngineSettings
) -> RequestEngine:
    engine = RequestEngine(settings, kinds, FUNCTION, start_s=0.0, end_s=end_s, seed=SEED)
    for kind, count in enumerate(counts):
        for _ in range(count):
            engine.add_server(kind, 0.0)
    return engine


def engine_seconds(
    kinds: Sequence[ServerKind],
    counts: Sequence[int],
    arrivals_s: NDArray[np.float64],
    repeats: int = 3,
) -> float:
    """Return the best of some runs over the same requests."""
    best_s = math.inf
    for _ in range(repeats):
        engine = fleet_engine(kinds, counts, float(arrivals_s[-1]), BOUNCER)
        begin_s = time.process_time()
        engine.serve(arrivals_s)
        engine.finish()
        best_s = min(best_s, time.process_time() - begin_s)
    return best_s


def heap_loop(  # noqa: PLR0912 - one loop, as fast as Python can
    kind: ServerKind,
    servers: int,
    arrivals_s: Sequence[float],
    factors: Sequence[float],
    rt_max_s: float,
) -> list[float]:
    """Serve requests on one kind by the engine's rules, in plain Python with two heaps.

    Without functions: a spilled request gets NaN. ``factors`` are the draws by request.
    """
    response_s = [math.nan] * len(arrivals_s)
    free = [(0.0, slot) for slot in range(servers)]
    opened: list[tuple[float, int]] = []
    members: list[list[int]] = [[] for _ in range(servers)]
    free_s = [0.0] * servers
    times_s, size, wait_s = kind.service_times_s, kind.batch_size, kind.wait_s

    def close(slot: int, start_s: float) -> None:
        batch = members[slot]
        end_s = start_s + times_s[len(batch) - 1] * factors[batch[0]]
        for request in batch:
            response_s[request] = end_s - arrivals_s[request]
        members[slot] = []
        free_s[slot] = end_s
        heapq.heappush(free, (end_s, slot))

    for request, now_s in enumerate(arrivals_s):
        while opened and opened[0][0] < now_s:
            start_s, slot = heapq.heappop(opened)
            close(slot, start_s)
        best_s, chosen, start_s = math.inf, -1, 0.0
        if opened:
            start_s, slot = opened[0]
            count = len(members[slot]) + 1
            if count == size:
                start_s = max(now_s, free_s[slot])
            time_s = times_s[count - 1]
            if start_s + time_s <= arrivals_s[members[slot][0]] + rt_max_s + 1e-9:
                best_s, chosen = start_s + time_s, slot
        if free:
            ready_s, slot = free[0]
            would_s = max(now_s if size == 1 else now_s + wait_s, ready_s)
            answer_s = would_s + times_s[0]
            if answer_s < best_s and answer_s <= now_s + rt_max_s + 1e-9:
                best_s, chosen, start_s = answer_s, slot, would_s
        if chosen < 0:
            continue
        batch = members[chosen]
        batch.append(request)
        if len(batch) == 1:
            heapq.heappop(free)
            if size > 1:
                heapq.heappush(opened, (start_s, chosen))
                continue
        elif len(batch) < size:
            continue
        else:
            heapq.heappop(opened)
        close(chosen, start_s)
    for start_s, slot in opened:
        close(slot, start_s)
    return response_s


def simpy_resource(
    kind: ServerKind,
    servers: int,
    arrivals_s: Sequence[float],
    factors: Sequence[float],
    rt_max_s: float,
) -> list[float]:
    """Serve requests as a textbook does: a process each, one ``Resource``, nobody is refused."""
    env = simpy.Environment()
    pool = simpy.Resource(env, servers)
    response_s = [math.nan] * len(arrivals_s)
    mean_s = kind.service_times_s[0]

    def request(index: int) -> Generator[simpy.Event, None, None]:
        arrived_s = env.now
        with pool.request() as turn:
            yield turn
            yield env.timeout(mean_s * factors[index])
        response_s[index] = env.now - arrived_s

    def source() -> Generator[simpy.Event, None, None]:
        for index, arrival_s in enumerate(arrivals_s):
            yield env.timeout(arrival_s - env.now)
            env.process(request(index))

    env.process(source())
    env.run()
    return response_s


def reference(
    kind: ServerKind,
    servers: int,
    arrivals_s: Sequence[float],
    factors: Sequence[float],
    rt_max_s: float,
) -> list[float]:
    """Serve requests in the tests' event-driven model of all the engine's rules."""
    script = Script(
        EngineSettings(rt_max_s),
        (kind,),
        None,
        SEED,
        tuple(Change(0.0, "add", 0) for _ in range(servers)),
        tuple(arrivals_s),
    )
    return simulate(script).response_s


@dataclass(frozen=True)
class Rival:
    """A model in Python, and how many requests of the trace it is given."""

    name: str
    requests: int
    run: Callable[[ServerKind, int, Sequence[float], Sequence[float], float], list[float]]
    rt_max_s: float = BOUNCER.rt_max_s


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [header, ["---:"] * len(header), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def by_fleet_size() -> str:
    rows = []
    for servers in (1, 10, 50, 500, 5000):
        fleets = {
            "batch 1": ((SINGLE,), (servers,)),
            "batch 8": ((BATCHED,), (servers,)),
            "two kinds": ((SINGLE, BATCHED), ((servers + 1) // 2, servers // 2)),
        }
        row = [str(servers)]
        for kinds, counts in fleets.values():
            rate_rps = LOAD_SHARE * sum(
                n * saturation_rps(k) for k, n in zip(kinds, counts, strict=True)
            )
            arrivals_s = poisson_s(rate_rps, 2_000_000)
            seconds = engine_seconds(kinds, counts, arrivals_s)
            row.append(f"{len(arrivals_s) / seconds / 1e6:.1f}")
        rows.append(row)
    return table(["servers", *(f"{name}, M requests/s" for name in fleets)], rows)


def driven_seconds(
    kind: ServerKind, servers: int, arrivals_s: NDArray[np.float64], settings: EngineSettings
) -> float:
    """Return the best of some runs that stop every 5 s, as the control loop's looks make them."""
    looks_s = np.arange(LOOK_S, arrivals_s[-1], LOOK_S)
    blocks_s = np.split(arrivals_s, np.searchsorted(arrivals_s, looks_s))
    best_s = math.inf
    for _ in range(3):
        engine = fleet_engine((kind,), (servers,), float(arrivals_s[-1]), settings)
        begin_s = time.process_time()
        for block_s, look_s in zip(blocks_s, [*looks_s, arrivals_s[-1]], strict=True):
            engine.serve(block_s)
            engine.advance(float(look_s))
        engine.finish()
        best_s = min(best_s, time.process_time() - begin_s)
    return best_s


def by_rule() -> str:
    """Serve by each dispatch rule and bouncer as the simulated cloud does."""
    rows = []
    rules = [(dispatcher, Bouncer.PREDICTED_DEADLINE) for dispatcher in Dispatcher]
    rules.append((Dispatcher.LEAST_EXPECTED_DELAY, Bouncer.QUEUE_LENGTH))
    for dispatcher, bouncer in rules:
        settings = EngineSettings(0.2, dispatcher, bouncer=bouncer, revocable=True)
        row = [dispatcher.name.lower(), bouncer.name.lower()]
        for kind in (SINGLE, BATCHED):
            for servers in (50, 5000):
                rate_rps = LOAD_SHARE * servers * saturation_rps(kind)
                arrivals_s = poisson_s(rate_rps, 1_000_000)
                seconds = driven_seconds(kind, servers, arrivals_s, settings)
                row.append(f"{len(arrivals_s) / seconds / 1e6:.1f}")
        rows.append(row)
    head = [f"batch {b}, {n} servers" for b in (1, 8) for n in (50, 5000)]
    return table(["dispatcher", "bouncer", *head], rows)


def by_trace_length() -> str:
    """Serve ever longer traces in blocks of 60 s, as the simulated cloud does."""
    rows = []
    rate_rps = LOAD_SHARE * 50 * saturation_rps(SINGLE)
    block = int(60.0 * rate_rps)
    for requests in (100_000, 1_000_000, 10_000_000, 40_000_000):
        engine = fleet_engine((SINGLE,), (50,), requests / rate_rps + 60.0, BOUNCER)
        generator = np.random.default_rng(0)
        before_mib = peak_mib()
        serving_s, now_s = 0.0, 0.0
        for _ in range(-(-requests // block)):
            arrivals_s = now_s + np.cumsum(generator.standard_exponential(block)) / rate_rps
            now_s = float(arrivals_s[-1])
            begin_s = time.process_time()
            engine.serve(arrivals_s)
            engine.advance(now_s)
            serving_s += time.process_time() - begin_s
        speed = engine.requests / serving_s / 1e6
        more_mib = peak_mib() - before_mib
        rows.append([f"{requests:,}", f"{now_s / 3600.0:.2f}", f"{speed:.1f}", f"{more_mib:.1f}"])
    return table(["requests", "simulated h", "M requests/s", "more peak memory, MiB"], rows)


def peak_mib() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024.0


def against_python(servers: int = 50) -> str:
    """Serve the same requests in each model, in one run, and compare their answers."""
    rows: list[list[str]] = []
    for name, kind in (("batch 1", SINGLE), ("batch 8", BATCHED)):
        arrivals_s = poisson_s(LOAD_SHARE * servers * saturation_rps(kind), 2_000_000)
        engine_rps = len(arrivals_s) / engine_seconds((kind,), (servers,), arrivals_s)
        rows.append([name, "engine", f"{engine_rps:,.0f}", "1", ""])
        rivals = [
            Rival("heapq loop", 200_000, heap_loop),
            Rival("SimPy, all rules", 8_000, reference),
        ]
        if kind is SINGLE:
            rivals.append(Rival("SimPy Resource, no bouncer", 50_000, simpy_resource, 1e9))
        rows.extend(
            [name, *compared(rival, kind, servers, arrivals_s, engine_rps)] for rival in rivals
        )
    return table(["kind", "model", "requests/s", "engine is faster by", "same answers"], rows)


def compared(
    rival: Rival,
    kind: ServerKind,
    servers: int,
    arrivals_s: NDArray[np.float64],
    engine_rps: float,
) -> list[str]:
    """Return a row: the rival's speed, the engine's advantage, and whether their answers agree."""
    some_s = arrivals_s[: rival.requests]
    settings = EngineSettings(rival.rt_max_s, record_requests=True)
    engine = fleet_engine((kind,), (servers,), float(some_s[-1]), settings)
    engine.serve(some_s)
    engine.finish()
    expected_s, path = engine.request_results()
    expected_s[path != 0] = np.nan
    quantiles = service_time_multipliers(kind.service_time_cv, kind.distribution)
    factors = [float(quantiles[draw_index(SEED, at)]) for at in range(len(some_s))]
    times_s = some_s.tolist()
    begin_s = time.process_time()
    actual_s = rival.run(kind, servers, times_s, factors, rival.rt_max_s)
    rival_rps = len(some_s) / (time.process_time() - begin_s)
    agree = np.allclose(actual_s, expected_s, rtol=0.0, atol=1e-9, equal_nan=True)
    return [
        rival.name,
        f"{rival_rps:,.0f}",
        f"{engine_rps / rival_rps:,.0f}",
        "yes" if agree else "NO",
    ]


def machine() -> str:
    model = platform.processor() or platform.machine()
    if Path("/proc/cpuinfo").exists():
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                model = line.split(":", 1)[1].strip()
                break
    packages = ", ".join(f"{name} {version(name)}" for name in ("numpy", "numba", "simpy"))
    load = os.getloadavg()[0]
    return (
        f"{model}, {os.cpu_count()} cores (one is used; load average {load:.1f} at the "
        f"start), Python {platform.python_version()}, {packages}"
    )


def main() -> None:
    where = machine()
    begin_s = time.process_time()
    engine_seconds((SINGLE,), (1,), np.array([0.0]), repeats=1)
    first_s = time.process_time() - begin_s
    # First, since its memory is read off the process's peak.
    trace_length = by_trace_length()
    parts = [
        "# Speed of the request engine",
        "Written by `.venv/bin/python benchmarks/engine.py`.",
        f"Machine: {where}. First use: {first_s:.1f} s (about 20 s where numba has to compile).",
        f"Poisson arrivals at {LOAD_SHARE:.0%} of saturation; bouncer at {BOUNCER.rt_max_s} s, "
        "spilling to functions; 10 % dispersion of service times. Speeds are per second of "
        "processor time, so that other work on the machine disturbs them less; best of three runs.",
        "## By fleet size (2 million requests each)",
        by_fleet_size(),
        "## As the simulated cloud drives it (M requests/s)",
        f"Stopped every {LOOK_S:g} s for a look, and what a server has not answered can still be "
        "lost with it. One million requests each.",
        by_rule(),
        "## By trace length (50 servers, batch 1, blocks of 60 s)",
        trace_length,
        "## Against models in Python (50 servers, same requests and draws)",
        against_python(),
        "The heapq loop gets its draws ready-made. The SimPy model of all rules is the tests' "
        "reference: written to be read, it looks at every server for every request.",
        f"Peak memory of the whole process: {peak_mib():.0f} MiB, compiler and traces included.",
    ]
    text = "\n\n".join(parts) + "\n"
    print(text)
    RESULT.parent.mkdir(parents=True, exist_ok=True)
    partial = RESULT.with_suffix(".partial")
    partial.write_text(text)
    partial.replace(RESULT)


if __name__ == "__main__":
    main()
