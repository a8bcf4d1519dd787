"""An event-driven SimPy model of the request path, written from the rules in docs/simulator.md.

Nothing here predicts the future but what the rules let the dispatcher know: batches start and end
as events, functions are released and expire as events, and a request's response time is read off
the clock when its answer is given. Events at one time happen in the order: functions released and
queues shortened by answers, changes of the fleet, arrivals, everything else.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from math import ceil, floor, inf, nan

import simpy
from simpy.events import URGENT

from markopt.engine import Bouncer, Dispatcher, EngineSettings, FunctionKind, Path, ServerKind
from markopt.engine.multipliers import service_time_multipliers

TOLERANCE_S = 1e-9


@dataclass(frozen=True)
class Change:
    """A change of the fleet: ``add`` a server of kind ``value`` that is taken after ``lasts_s``,
    ``remove`` the server that stands at place ``value`` (modulo their number) among those in
    service, ``take`` the one at that place among those in service and the removed ones after
    ``lasts_s``, ``provision`` functions, or send a ``share`` of ``value`` tenths to them.
    """

    time_s: float
    verb: str
    value: int
    lasts_s: float = inf


@dataclass(frozen=True)
class Script:
    """All that a simulation needs. Changes at the time of an arrival come before it."""

    settings: EngineSettings
    kinds: tuple[ServerKind, ...]
    function: FunctionKind | None
    seed: int
    changes: tuple[Change, ...]
    arrivals_s: tuple[float, ...]


@dataclass
class Outcome:
    """Response time and path by request, and what the functions and removed servers did."""

    response_s: list[float]
    path: list[int]
    removed_end_s: list[float] = field(default_factory=list)
    billed_steps: int = 0
    provisioned_steps: int = 0
    cold_starts: int = 0
    warm_starts: int = 0
    throttles: int = 0


def hashed(seed: int, index: int) -> int:
    """Return what request ``index`` draws: SplitMix64 in Python integers."""
    word = 2**64 - 1
    mixed = (seed + (index + 1) * 0x9E3779B97F4A7C15) & word
    mixed = ((mixed ^ (mixed >> 30)) * 0xBF58476D1CE4E5B9) & word
    mixed = ((mixed ^ (mixed >> 27)) * 0x94D049BB133111EB) & word
    return mixed ^ (mixed >> 31)


def quantile_number(seed: int, index: int) -> int:
    """Return which of the 4096 quantiles request ``index`` draws."""
    return hashed(seed, index) % 4096


class _Urgent(simpy.Event):
    """A timeout that comes before all others at its time."""

    def __init__(self, env: simpy.Environment, delay_s: float) -> None:
        super().__init__(env)
        self._ok = True
        self._value = None
        env.schedule(self, URGENT, delay_s)


def _after(event: simpy.Event, act: Callable[[], None]) -> None:
    event.callbacks.append(lambda _: act())


def run_on_credit(kind: ServerKind, credit_s: float, work_s: float) -> tuple[float, float]:
    """Return how long work takes that begins with a credit, and the credit left after it."""
    drain = 1.0 - kind.baseline_share
    if drain == 0.0:
        return work_s, credit_s
    if work_s <= credit_s / drain:
        return work_s, credit_s - drain * work_s
    fast_s = credit_s / drain
    return fast_s + (work_s - fast_s) / kind.baseline_share, 0.0


@dataclass
class _Batch:
    due_s: float
    due: bool = False
    members: list[int] = field(default_factory=list)


class Server:
    """One model server: at most one batch running, full ones queued, at most one still open."""

    def __init__(self, path: RequestPath, number: int, kind: ServerKind, factors: Sequence[float]):
        self.path = path
        self.env = path.env
        self.number = number
        self.kind = kind
        self.factors = factors
        self.free_s = self.env.now
        self.taken_s = inf
        self.unanswered = 0
        self.unanswered_since_s = self.env.now
        # The credit at the promised first-free time, and as the clock goes.
        self.promised_credit_s = self.credit_s = kind.credit_launch_s
        self.credit_at_s = self.env.now
        self.turn = 0.0
        self.open: _Batch | None = None
        self.full: deque[_Batch] = deque()
        self.running = False

    def next_start_s(self) -> float:
        """When the open batch starts as it is, or the server is free for a new one."""
        return self.free_s if self.open is None else max(self.open.due_s, self.free_s)

    def size_with_one_more(self) -> int:
        return 1 if self.open is None else len(self.open.members) + 1

    def would_start_s(self) -> float:
        if self.size_with_one_more() == self.kind.batch_size:
            return max(self.env.now, self.free_s)
        due_s = self.env.now + self.kind.wait_s if self.open is None else self.open.due_s
        return max(due_s, self.free_s)

    def earned(self, credit_s: float, idle_s: float) -> float:
        return min(credit_s + self.kind.baseline_share * idle_s, self.kind.credit_limit_s)

    def foreseen_s(self, start_s: float, work_s: float) -> tuple[float, float]:
        """How long work takes that starts at the first-free time or later, and the credit left."""
        credit_s = self.earned(self.promised_credit_s, start_s - self.free_s)
        return run_on_credit(self.kind, credit_s, work_s)

    def expected_answer_s(self) -> float:
        start_s = self.would_start_s()
        mean_s = self.kind.service_times_s[self.size_with_one_more() - 1]
        return start_s + self.foreseen_s(start_s, mean_s)[0]

    def has_room(self) -> bool:
        settings = self.path.script.settings
        if settings.bouncer != Bouncer.QUEUE_LENGTH:
            return True
        if settings.bouncer_queue_length is not None:
            return self.unanswered < settings.bouncer_queue_length
        batch_s = self.kind.service_times_s[-1] * self.kind.guard
        batches = max(floor(settings.rt_max_s / batch_s + 1e-9), 1)
        return self.unanswered < batches * self.kind.batch_size

    def admits(self) -> bool:
        settings = self.path.script.settings
        start_s = self.would_start_s()
        if settings.bouncer == Bouncer.QUEUE_LENGTH:
            return True
        if settings.bouncer == Bouncer.NONE:
            return start_s - self.env.now <= settings.queue_limit_s
        oldest_s = self.env.now if self.open is None else self.path.arrived_s(self.open.members[0])
        mean_s = self.kind.service_times_s[self.size_with_one_more() - 1]
        guarded_s = self.foreseen_s(start_s, mean_s * self.kind.guard)[0]
        return start_s + guarded_s <= oldest_s + settings.rt_max_s + TOLERANCE_S

    def join(self, request: int) -> None:
        self.unanswered += 1
        self.unanswered_since_s = self.env.now
        if self.open is None:
            batch = self.open = _Batch(self.env.now + self.kind.wait_s)
            if self.kind.batch_size > 1:
                _after(self.env.timeout(self.kind.wait_s), lambda: self._becomes_due(batch))
        self.open.members.append(request)
        if len(self.open.members) == self.kind.batch_size:
            batch, self.open = self.open, None
            self._promise(max(self.env.now, self.free_s), batch)
            self.full.append(batch)
            self._start_next()

    def _becomes_due(self, batch: _Batch) -> None:
        batch.due = True
        self._start_next()

    def _promise(self, start_s: float, batch: _Batch) -> None:
        busy_s, self.promised_credit_s = self.foreseen_s(start_s, self._work_s(batch))
        self.free_s = start_s + busy_s

    def _work_s(self, batch: _Batch) -> float:
        number = quantile_number(self.path.script.seed, batch.members[0])
        return self.kind.service_times_s[len(batch.members) - 1] * self.factors[number]

    def _start_next(self) -> None:
        if self.running:
            return
        if self.full:
            batch = self.full.popleft()
        elif self.open is not None and self.open.due:
            batch, self.open = self.open, None
            self._promise(self.env.now, batch)
        else:
            return
        self.running = True
        credit_s = self.earned(self.credit_s, self.env.now - self.credit_at_s)
        busy_s, self.credit_s = run_on_credit(self.kind, credit_s, self._work_s(batch))
        self.credit_at_s = self.env.now + busy_s
        _after(_Urgent(self.env, busy_s), lambda: self._shorten_queue(len(batch.members)))
        _after(self.env.timeout(busy_s), lambda: self._end(batch))

    def _shorten_queue(self, answered: int) -> None:
        self.unanswered -= answered
        self.unanswered_since_s = self.env.now

    def _end(self, batch: _Batch) -> None:
        self.running = False
        for request in batch.members:
            if self.env.now > self.taken_s:
                self.path.lose(request)
            else:
                self.path.answer(request, Path.INSTANCES)
        self._start_next()


@dataclass(eq=False)
class _Environment:
    expired: bool = False


class _Functions:
    """Environments: the one released last is taken first; each expires on a timer of its own."""

    def __init__(self, path: RequestPath, kind: FunctionKind) -> None:
        self.path = path
        self.env = path.env
        self.kind = kind
        self.factors = service_time_multipliers(kind.service_time_cv, "lognormal")
        self.idle: list[_Environment] = []
        self.busy = 0
        self.provisioned = 0
        self.tokens = kind.burst
        self.tokens_at_s = 0.0

    def _may_start(self) -> bool:
        grown = self.tokens + (self.env.now - self.tokens_at_s) * self.kind.burst_per_s
        self.tokens, self.tokens_at_s = min(grown, self.kind.burst), self.env.now
        if self.tokens < 1.0 - 1e-9:
            return False
        self.tokens -= 1.0
        return True

    def invoke(self, request: int) -> bool:
        """Run a request; False where all environments are busy and no more are allowed."""
        outcome = self.path.outcome
        number = quantile_number(self.path.script.seed + 1, request)
        service_s = self.kind.service_time_s * self.factors[number]
        if self.idle:
            self.idle.pop()
            path, delay_s = Path.FUNCTION_WARM, service_s
            outcome.warm_starts += 1
        elif self.busy < self.kind.concurrency_limit and self._may_start():
            path, delay_s = Path.FUNCTION_COLD, service_s + self.kind.cold_start_s
            outcome.cold_starts += 1
        else:
            outcome.throttles += 1
            return False
        steps = ceil(service_s / self.kind.billing_step_s - 1e-9)
        outcome.billed_steps += steps
        if self.busy < self.provisioned:
            outcome.provisioned_steps += steps
        self._occupy(delay_s, lambda: self.path.answer(request, path))
        return True

    def provision(self, count: int) -> None:
        self.provisioned = min(count, self.kind.concurrency_limit)
        while self.busy + len(self.idle) < self.provisioned and self._may_start():
            self._occupy(self.kind.cold_start_s, lambda: None)
        self.provisioned = min(self.provisioned, self.busy + len(self.idle))
        for environment in list(self.idle):
            if environment.expired:
                self._drop(environment)

    def _occupy(self, delay_s: float, act: Callable[[], None]) -> None:
        self.busy += 1

        def release() -> None:
            act()
            self.busy -= 1
            environment = _Environment()
            self.idle.append(environment)
            _after(
                self.env.timeout(self.kind.idle_timeout_s),
                lambda: self._expire(environment),
            )

        _after(_Urgent(self.env, delay_s), release)

    def _expire(self, environment: _Environment) -> None:
        environment.expired = True
        self._drop(environment)

    def _drop(self, environment: _Environment) -> None:
        if environment in self.idle and self.busy + len(self.idle) > self.provisioned:
            self.idle.remove(environment)


class RequestPath:
    """Dispatcher, bouncer, servers and functions on one SimPy clock."""

    def __init__(self, script: Script) -> None:
        self.script = script
        self.env = simpy.Environment()
        self.factors = [
            service_time_multipliers(kind.service_time_cv, kind.distribution).tolist()
            for kind in script.kinds
        ]
        self.functions = None if script.function is None else _Functions(self, script.function)
        self.servers: list[Server] = []
        self.places: list[Server] = []
        self.removed: list[Server] = []
        self.numbers_used = 0
        self.vacated: list[int] = []
        self.last_turn = 0.0
        self.function_share = 0.0
        count = len(script.arrivals_s)
        self.outcome = Outcome([nan] * count, [-1] * count)

    def run(self) -> Outcome:
        """Let everything happen and return it."""
        # Made in this order, so that SimPy takes them in this order at equal times.
        for change in self.script.changes:
            _after(self.env.timeout(change.time_s), lambda c=change: self._change(c))
        for request, arrival_s in enumerate(self.script.arrivals_s):
            _after(self.env.timeout(arrival_s), lambda r=request: self._arrive(r))
        self.env.run()
        self.outcome.removed_end_s = [server.free_s for server in self.removed]
        return self.outcome

    def arrived_s(self, request: int) -> float:
        return self.script.arrivals_s[request]

    def answer(self, request: int, path: Path) -> None:
        self.outcome.response_s[request] = self.env.now - self.arrived_s(request)
        self.outcome.path[request] = int(path)

    def lose(self, request: int) -> None:
        self.outcome.path[request] = int(Path.LOST)

    def _change(self, change: Change) -> None:
        if change.verb == "add":
            number = self.vacated.pop() if self.vacated else self.numbers_used
            self.numbers_used = max(self.numbers_used, number + 1)
            kind = self.script.kinds[change.value]
            server = Server(self, number, kind, self.factors[change.value])
            server.turn = self.last_turn + 1.0 / kind.weight
            server.taken_s = change.time_s + change.lasts_s
            self.servers.append(server)
            self.places.append(server)
        elif change.verb == "remove":
            if self.servers:
                server = self.servers.pop(change.value % len(self.servers))
                self.vacated.append(server.number)
                self.removed.append(server)
                self.places[self.places.index(server)] = self.places[-1]
                self.places.pop()
        elif change.verb == "take":
            known = [*self.servers, *self.removed]
            if known:
                server = known[change.value % len(known)]
                server.taken_s = min(server.taken_s, change.time_s + change.lasts_s)
        elif change.verb == "share":
            self.function_share = change.value / 10
        elif self.functions is not None:
            self.functions.provision(change.value)

    def _arrive(self, request: int) -> None:
        settings = self.script.settings
        if hashed(self.script.seed + 4, request) / 2**64 < self.function_share:
            if self.functions is None or not self.functions.invoke(request):
                self.outcome.path[request] = int(Path.REFUSED)
            return
        if settings.dispatcher is Dispatcher.WEIGHTED_ROUND_ROBIN:
            server = self._whose_turn_it_is()
        elif settings.dispatcher is Dispatcher.POWER_OF_TWO:
            server = self._better_of_two(request)
        elif settings.dispatcher is Dispatcher.JOIN_SHORTEST_QUEUE:
            server = self._shortest_queue()
        elif settings.dispatcher is Dispatcher.LEAST_CONNECTIONS:
            server = self._least_connections()
        else:
            server = self._least_expected_delay()
        if server is not None and server.has_room():
            server.join(request)
            return
        may_spill = settings.bouncer != Bouncer.NONE or not self.servers
        if (
            settings.overflows
            and may_spill
            and self.functions is not None
            and self.functions.invoke(request)
        ):
            return
        self.outcome.path[request] = int(Path.REFUSED)

    def _whose_turn_it_is(self) -> Server | None:
        if not self.servers:
            return None
        server = min(self.servers, key=lambda s: (s.turn, s.number))
        self.last_turn = server.turn
        server.turn += 1.0 / server.kind.weight
        return server if server.admits() else None

    def _shortest_queue(self) -> Server | None:
        server = min(self.servers, key=lambda s: (s.unanswered, s.number), default=None)
        return server if server is not None and server.admits() else None

    def _least_connections(self) -> Server | None:
        def rank(server: Server) -> tuple[int, float, int]:
            return server.unanswered, server.unanswered_since_s, server.number

        server = min(self.servers, key=rank, default=None)
        return server if server is not None and server.admits() else None

    def _better_of_two(self, request: int) -> Server | None:
        rest = list(self.places)
        drawn = []
        for extra in (2, 3):
            if rest:
                at = hashed(self.script.seed + extra, request) % len(rest)
                drawn.append(rest.pop(at))
        admitting = [server for server in drawn if server.admits()]
        return min(admitting, key=lambda s: s.expected_answer_s(), default=None)

    def _soonest_open(self, alike: list[Server]) -> Server | None:
        opened = [server for server in alike if server.open is not None]
        for server in sorted(opened, key=lambda s: (s.next_start_s(), s.number)):
            if server.admits():
                return server
        return None

    def _least_expected_delay(self) -> Server | None:
        best, best_s = None, inf
        for kind in range(len(self.script.kinds)):
            alike = [s for s in self.servers if s.kind is self.script.kinds[kind]]
            candidates = [self._soonest_open(alike)]
            others = [s for s in alike if s.open is None]
            if others:
                candidates.append(min(others, key=lambda s: (s.free_s, s.number)))
            for server in candidates:
                if server is not None and server.admits():
                    answer_s = server.expected_answer_s()
                    if answer_s < best_s:
                        best, best_s = server, answer_s
        return best


def simulate(script: Script) -> Outcome:
    """Run a script through the SimPy model."""
    return RequestPath(script).run()
