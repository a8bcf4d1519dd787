"""Whole clouds at random, and what is done to them: ``play`` runs a ``Story``.

``tests.cloud.checks`` holds what comes of it against its own history.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from hypothesis import strategies as st
from numpy.typing import NDArray

from markopt.cloud.simulated import (
    ApiSettings,
    InstanceLife,
    LaunchDelay,
    LaunchSettings,
    RateLimit,
    ShortageSettings,
    SimulationSettings,
)
from markopt.cloud.simulated.markets import DrawnSettings, ScriptedSettings
from markopt.core import (
    ActionReport,
    Actions,
    FunctionOffer,
    Ledger,
    Observation,
    RequestStatistics,
)
from tests.cloud.worlds import Times, cloud, function, offer

END_S = 700.0
LAST_LOOK_S = 60.0

OFFERS = (
    offer(launch_delay_s=20.0, servers=2),
    offer("c5.large/spot", hazard_per_h=30.0, launch_delay_s=30.0, stock=6),
    offer("p2.xlarge/spot", hazard_per_h=10.0, service_times_s=(0.1, 0.12, 0.15, 0.2)),
    offer(
        "t2.medium/burstable", baseline_share=0.4, credit_launch_s=2.0, credit_limit_s=5.0, stock=4
    ),
    offer("fargate/container", launch_delay_s=10.0, service_times_s=(0.2, 0.25)),
)
NAMES = [entry.name for entry in OFFERS]
BY_NAME = {entry.name: entry for entry in OFFERS}


@dataclass(frozen=True)
class Move:
    """After ``wait_s``: launch, end the first so many instances that are listed, warm up.

    ``share`` of the requests goes to functions from then on, where the data plane has fixed shares.
    """

    wait_s: float
    launch: dict[str, int]
    ends: int
    warm: int | None
    share: float | None = None


@dataclass(frozen=True)
class Story:
    """A cloud, its load, and what is done to it."""

    settings: SimulationSettings
    functions: FunctionOffer | None
    seed: int
    rate_rps: float
    moves: tuple[Move, ...]

    def arrivals_s(self) -> NDArray[np.float64]:
        rng = np.random.default_rng(self.seed)
        return np.sort(rng.uniform(0.0, END_S, rng.poisson(self.rate_rps * END_S)))


@dataclass
class Played:
    """What a story came to. ``reports`` come with what was asked for and the time."""

    story: Story
    arrivals_s: NDArray[np.float64]
    response_s: NDArray[np.float64]
    path: NDArray[np.int8]
    lives: tuple[InstanceLife, ...]
    statistics: RequestStatistics
    ledger: Ledger
    closed_s: float
    final_bill_usd: float
    seen: list[Observation] = field(default_factory=list)
    reports: list[tuple[float, Actions, ActionReport]] = field(default_factory=list)
    in_flight: list[tuple[int, int]] = field(default_factory=list)


MARKETS = (
    DrawnSettings(),
    DrawnSettings(shock_share=0.0),
    ScriptedSettings(
        (
            {"at_s": 20.0, "share": 0.5, "outage_s": 60.0},
            {"at_s": 100.0, "count": 1, "pool": "p2.xlarge/us-east-1"},
            {"at_s": 100.0, "share": 1.0},
        )
    ),
)
limits = st.one_of(
    st.just(RateLimit()),
    st.builds(
        RateLimit,
        calls_burst=st.sampled_from([None, 1.0, 3.0]),
        calls_per_s=st.sampled_from([0.0, 0.02, 1.0]),
        instances_burst=st.sampled_from([None, 1.0, 5.0]),
        instances_per_s=st.sampled_from([0.0, 0.1]),
    ),
)
delays = st.one_of(
    st.builds(
        LaunchDelay,
        distribution=st.sampled_from(["lognormal", "gamma", "constant"]),
        cv=st.sampled_from([0.0, 0.3, 2.0]),
    ),
    st.just(LaunchDelay("empirical", quantiles=(0.0, 10.0, 12.0, 60.0))),
)
rules = st.builds(
    SimulationSettings,
    dispatcher=st.sampled_from(
        ["least_expected_delay", "weighted_round_robin", "power_of_two", "join_shortest_queue"]
    ),
    data_plane=st.sampled_from(["bouncer", "bouncer", "weighted"]),
    bouncer=st.sampled_from(["predicted_deadline", "queue_length", "none"]),
    queue_limit_s=st.sampled_from([1.0, 20.0]),
    bin_s=st.sampled_from([1.0, 5.0]),
    market=st.sampled_from(MARKETS),
    spot_notice_s=st.sampled_from([0.0, 2.0, 30.0, 120.0]),
    drain_deadline_s=st.sampled_from([None, None, 0.0, 0.3, 10.0]),
    launch=st.builds(
        LaunchSettings,
        delay=delays,
        by_type=st.sampled_from([{}, {"c5.large": LaunchDelay("constant")}]),
        pending_s=st.sampled_from([0.0, 15.0, 200.0]),
        failure_share=st.sampled_from([0.0, 0.0, 0.5]),
        failure_found_s=st.sampled_from([0.0, 90.0]),
    ),
    shortage=st.builds(
        ShortageSettings,
        every_s=st.sampled_from([None, 50.0]),
        lasts_s=st.sampled_from([0.0, 200.0]),
        left=st.sampled_from([0.0, 2.0]),
    ),
    api=st.builds(
        ApiSettings,
        launch=limits,
        terminate=limits,
        error_share=st.sampled_from([0.0, 0.0, 0.3]),
        visible_after_s=st.sampled_from([0.0, 0.0, 20.0]),
    ),
)
functions = st.one_of(
    st.none(),
    st.builds(
        function,
        billing_step_s=st.sampled_from([0.1, 0.001]),
        idle_timeout_s=st.sampled_from([5.0, 600.0]),
        concurrency_limit=st.sampled_from([1, 10, 1000]),
        burst=st.sampled_from([None, 1.0, 20.0]),
        burst_per_s=st.sampled_from([0.0, 0.5]),
        warm_use_price_usd_per_gb_s=st.sampled_from([None, 6e-5]),
    ),
)
moves = st.builds(
    Move,
    st.floats(0.5, 60.0),
    st.dictionaries(st.sampled_from(NAMES), st.integers(0, 4), max_size=3),
    st.integers(0, 5),
    st.one_of(st.none(), st.integers(0, 30)),
    st.sampled_from([None, 0.0, 0.3, 1.0]),
)
stories = st.builds(
    Story,
    rules,
    functions,
    st.integers(0, 2**20),
    st.sampled_from([0.0, 5.0, 25.0, 80.0]),
    st.lists(moves, min_size=1, max_size=10).map(tuple),
)


def play(story: Story, *, looks: int = 0) -> Played:
    """Run a story to its end, looking so many times more between two moves."""
    arrivals_s = story.arrivals_s()
    backend = cloud(
        OFFERS,
        arrivals=Times(arrivals_s),
        function=story.functions,
        fleet={NAMES[0]: 1, NAMES[1]: 2, NAMES[3]: 1},
        end_s=END_S,
        seed=story.seed,
        record=True,
        settings=story.settings,
    )
    seen = [backend.observe()]
    reports: list[tuple[float, Actions, ActionReport]] = []
    in_flight: list[tuple[int, int]] = []
    time_s = 0.0
    for at, move in enumerate(story.moves):
        for look in range(looks):
            backend.advance(time_s + move.wait_s * (look + 1) / (looks + 1))
            seen.append(backend.observe())
        time_s += move.wait_s
        backend.advance(time_s)
        seen.append(backend.observe())
        in_flight.append((backend.in_flight, int(np.sum(backend.request_results()[1] < 0))))
        ids = tuple(i.instance_id for i in seen[-1].instances[: move.ends])
        weighted = story.settings.data_plane == "weighted" and story.functions is not None
        share = move.share if weighted else None
        actions = Actions(f"d{at}", move.launch, ids, move.warm, share)
        reports.append((time_s, actions, backend.apply(actions)))
        assert backend.apply(actions) == reports[-1][2]
        seen.append(backend.observe())
    time_s += LAST_LOOK_S
    backend.advance(time_s)
    seen.append(backend.observe())
    ledger = backend.close()
    response_s, path = backend.request_results()
    return Played(
        story,
        arrivals_s[: len(path)],
        response_s,
        path,
        backend.lives(),
        backend.statistics(),
        ledger,
        time_s,
        backend.observe().bill_usd,
        seen,
        reports,
        in_flight,
    )
