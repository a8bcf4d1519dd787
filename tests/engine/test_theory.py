"""The engine against queueing theory, within confidence intervals over replications."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from markopt.engine import Bouncer, Dispatcher, EngineSettings, FunctionKind, Path, ServerKind
from markopt.engine.kernel import draw_index
from markopt.engine.multipliers import service_time_multipliers
from tests.engine.theory import (
    assert_mean_is,
    erlang_arrivals_wait_s,
    erlang_b,
    erlang_c,
    m_m_c_k_loss,
    poisson_s,
    pollaczek_khinchine_s,
    simulated,
)

QUEUE = EngineSettings(
    1.0, bouncer=Bouncer.NONE, queue_limit_s=1e9, bin_s=1e4, record_requests=True
)
WARM_UP_SHARE = 10
"""The first tenth of each replication is left out: it starts with an empty system."""


def steady(values: NDArray[np.float64]) -> NDArray[np.float64]:
    return values[len(values) // WARM_UP_SHARE :]


def mean_wait_s(
    kind: ServerKind, servers: int, rate_rps: float, seed: int, requests: int = 100_000
) -> float:
    arrivals_s = poisson_s(rate_rps, requests, seed)
    response_s, _ = simulated(arrivals_s, [kind], [servers], QUEUE, seed=seed).request_results()
    return float(steady(response_s).mean()) - kind.service_times_s[0]


def quantile_numbers(seed: int, count: int) -> NDArray[np.int64]:
    return np.array([draw_index(seed, index) for index in range(count)])


def exponential(mean_s: float = 1.0) -> ServerKind:
    return ServerKind((mean_s,), distribution="exponential")


@pytest.mark.parametrize("load", [0.3, 0.7, 0.85])
def test_mean_wait_of_one_exponential_server_is_that_of_m_m_1(load: float) -> None:
    expected_s = load / (1.0 - load)
    # The table of 4096 quantiles has a second moment 0.07 % short of the exponential's.
    assert_mean_is(
        expected_s,
        lambda seed: mean_wait_s(exponential(), 1, load, seed, requests=200_000),
        replications=25,
        slack=1e-3,
    )


@pytest.mark.parametrize(("servers", "share"), [(2, 0.8), (10, 0.9), (30, 0.9)])
def test_mean_wait_of_many_exponential_servers_is_erlangs(servers: int, share: float) -> None:
    load = servers * share
    expected_s = erlang_c(servers, load) / (servers - load)
    assert_mean_is(
        expected_s,
        lambda seed: mean_wait_s(exponential(), servers, load, seed, requests=400_000),
        replications=30,
        slack=1e-3,
        width=0.08,
    )


def test_wait_of_many_exponential_servers_is_distributed_as_erlang_says() -> None:
    servers, load = 10, 8.0
    table = service_time_multipliers(0.0, "exponential")

    def shares(seed: int) -> list[float]:
        arrivals_s = poisson_s(load, 200_000, seed)
        engine = simulated(arrivals_s, [exponential()], [servers], QUEUE, seed=seed)
        response_s, _ = engine.request_results()
        drawn = quantile_numbers(seed, len(arrivals_s))
        wait_s = steady(response_s - table[drawn])
        return [float((wait_s > limit_s).mean()) for limit_s in limits_s]

    limits_s = (1e-9, 0.2, 0.5, 1.0)
    replications = [shares(seed) for seed in range(16)]
    for at, limit_s in enumerate(limits_s):
        expected = erlang_c(servers, load) * np.exp(-(servers - load) * limit_s)
        assert_mean_is(
            expected,
            lambda seed, at=at: replications[seed][at],
            replications=16,
            slack=2e-3,
            width=0.1,
        )


@pytest.mark.parametrize("load", [0.5, 0.9])
def test_mean_wait_of_one_constant_server_is_that_of_m_d_1(load: float) -> None:
    assert_mean_is(
        load / (2.0 * (1.0 - load)),
        lambda seed: mean_wait_s(ServerKind((1.0,)), 1, load, seed),
        replications=20,
    )


@pytest.mark.parametrize("cv", [0.5, 1.5])
def test_mean_wait_of_one_lognormal_server_is_pollaczek_and_khinchines(cv: float) -> None:
    table = service_time_multipliers(cv, "lognormal")
    expected_s = pollaczek_khinchine_s(0.7, 1.0, float(np.mean(table**2)))
    assert_mean_is(
        expected_s,
        lambda seed: mean_wait_s(ServerKind((1.0,), service_time_cv=cv), 1, 0.7, seed),
        replications=30,
    )


@pytest.mark.parametrize(("cv", "allowed"), [(0.1, 1e-4), (0.5, 1e-3), (1.0, 0.01)])
def test_second_moment_of_the_quantile_table_is_the_lognormals(cv: float, allowed: float) -> None:
    table = service_time_multipliers(cv, "lognormal")
    assert table.mean() == pytest.approx(1.0, abs=1e-12)
    assert np.mean(table**2) == pytest.approx(1.0 + cv * cv, rel=allowed)


def test_waits_of_constant_servers_follow_the_m_d_c_recursion() -> None:
    # Constant service keeps the order of arrival: request n waits for the end of n - c.
    servers, arrivals_s = 4, poisson_s(3.8, 20_000, 3)
    ends_s = np.zeros(len(arrivals_s))
    for at, arrival_s in enumerate(arrivals_s):
        free_s = ends_s[at - servers] if at >= servers else 0.0
        ends_s[at] = max(arrival_s, free_s) + 1.0
    engine = simulated(arrivals_s, [ServerKind((1.0,))], [servers], QUEUE)
    np.testing.assert_allclose(engine.request_results()[0], ends_s - arrivals_s, atol=1e-9)


@pytest.mark.parametrize(
    "kind",
    [
        ServerKind((1.0,)),
        ServerKind((1.0,), service_time_cv=1.0),
        ServerKind((1.0,), distribution="exponential"),
    ],
    ids=["constant", "lognormal", "exponential"],
)
def test_bouncer_without_slack_loses_what_erlang_b_says_whatever_the_service_times(
    kind: ServerKind,
) -> None:
    # RT_max equals the service time that the bouncer counts with: nobody may wait at all.
    settings = EngineSettings(1.0, bin_s=1e4, record_requests=True)
    servers, load = 10, 8.0

    def lost_share(seed: int) -> float:
        engine = simulated(poisson_s(load, 80_000, seed), [kind], [servers], settings, seed=seed)
        return float((steady(engine.request_results()[1]) == Path.REFUSED).mean())

    assert_mean_is(erlang_b(servers, load), lost_share, replications=20)


@pytest.mark.parametrize(("servers", "room"), [(1, 4), (3, 2)])
def test_queue_length_bouncer_loses_what_m_m_c_k_says(servers: int, room: int) -> None:
    # Join shortest queue with exponential service: exact for one server, M/M/1/K. With more the
    # queues are separate, so that losses lie between those of M/M/c/K and of c queues M/M/1/K.
    settings = EngineSettings(
        1.0,
        Dispatcher.JOIN_SHORTEST_QUEUE,
        bouncer=Bouncer.QUEUE_LENGTH,
        bouncer_queue_length=room,
        bin_s=1e4,
        record_requests=True,
    )
    share = 0.9

    def lost_share(seed: int) -> float:
        arrivals_s = poisson_s(servers * share, 80_000, seed)
        engine = simulated(arrivals_s, [exponential()], [servers], settings, seed=seed)
        return float((steady(engine.request_results()[1]) == Path.REFUSED).mean())

    pooled = m_m_c_k_loss(servers, servers * share, servers * room)
    apart = m_m_c_k_loss(1, share, room)
    if servers == 1:
        assert_mean_is(apart, lost_share, replications=20)
    else:
        mean = float(np.mean([lost_share(seed) for seed in range(10)]))
        assert pooled * 0.97 < mean < apart


def test_m_m_c_k_without_waiting_room_is_erlang_b() -> None:
    assert m_m_c_k_loss(5, 4.0, 5) == pytest.approx(erlang_b(5, 4.0))
    assert m_m_c_k_loss(1, 0.5, 2) == pytest.approx(0.25 / 1.75)


def test_a_burstable_server_carries_its_baseline_for_ever() -> None:
    # Saturated for long, it answers at the baseline; the first credit makes the difference.
    kind = ServerKind((1.0,), baseline_share=0.25, credit_limit_s=30.0, credit_launch_s=30.0)
    arrivals_s = np.zeros(1000)
    response_s, _ = simulated(arrivals_s, [kind], [1], QUEUE).request_results()
    # 30 s of credit at a drain of 0.75: 40 s at full speed, then four seconds each.
    assert response_s[39] == pytest.approx(40.0)
    assert response_s[-1] == pytest.approx(40.0 + 960 * 4.0)


def test_a_burstable_server_that_rests_runs_at_full_speed() -> None:
    kind = ServerKind((1.0,), baseline_share=0.25, credit_limit_s=3.0)
    # One second of work every four: the credit that it earns is just what it spends.
    arrivals_s = 4.0 * np.arange(1.0, 500.0)
    response_s, _ = simulated(arrivals_s, [kind], [1], QUEUE).request_results()
    np.testing.assert_allclose(response_s, 1.0)


def test_throttled_functions_lose_what_erlang_b_says() -> None:
    settings = EngineSettings(0.1, bin_s=1e4, record_requests=True)
    function = FunctionKind(1.0, 0.0, idle_timeout_s=5.0, concurrency_limit=6, service_time_cv=0.4)

    def lost_share(seed: int) -> float:
        arrivals_s = poisson_s(4.0, 80_000, seed)
        engine = simulated(arrivals_s, [], [], settings, function=function, seed=seed)
        return float((steady(engine.request_results()[1]) == Path.REFUSED).mean())

    assert_mean_is(erlang_b(6, 4.0), lost_share, replications=20)


def test_full_batches_wait_as_in_a_queue_with_erlang_arrivals() -> None:
    # Batches of 4 without a wait limit on one server: E_4/M/1, after the wait to fill up.
    kind = ServerKind((1.0,) * 4, wait_s=1e9, distribution="exponential")
    rate_rps = 3.2

    def response_s(seed: int) -> float:
        arrivals_s = poisson_s(rate_rps, 160_000, seed)
        engine = simulated(arrivals_s, [kind], [1], QUEUE, seed=seed)
        return float(steady(engine.request_results()[0]).mean())

    filling_s = 3.0 / (2.0 * rate_rps)
    expected_s = filling_s + erlang_arrivals_wait_s(rate_rps, 4, 1.0) + 1.0
    assert_mean_is(expected_s, response_s, replications=20, slack=1e-3)


def test_waiting_batches_hold_one_request_and_what_arrives_while_it_waits() -> None:
    # Batches that never fill: the first waits w, the others that come meanwhile w/2 on average.
    wait_s, rate_rps = 0.5, 6.0
    kind = ServerKind((0.01,) * 64, wait_s=wait_s)

    def response_s(seed: int) -> float:
        arrivals_s = poisson_s(rate_rps, 60_000, seed)
        return float(simulated(arrivals_s, [kind], [8], QUEUE).request_results()[0].mean())

    others = rate_rps * wait_s
    expected_s = 0.01 + (wait_s + others * wait_s / 2.0) / (1.0 + others)
    assert_mean_is(expected_s, response_s, replications=20)


def test_round_robin_gives_each_server_every_nth_request_of_a_poisson_process() -> None:
    settings = EngineSettings(
        1.0,
        Dispatcher.WEIGHTED_ROUND_ROBIN,
        bouncer=Bouncer.NONE,
        queue_limit_s=1e9,
        bin_s=1e4,
        record_requests=True,
    )
    servers, share = 3, 0.8

    def wait_s(seed: int) -> float:
        arrivals_s = poisson_s(servers * share, 150_000, seed)
        engine = simulated(arrivals_s, [exponential()], [servers], settings, seed=seed)
        return float(steady(engine.request_results()[0]).mean()) - 1.0

    expected_s = erlang_arrivals_wait_s(servers * share, servers, 1.0)
    assert_mean_is(expected_s, wait_s, replications=20, slack=1e-3)


def test_weighted_round_robin_shares_requests_by_weight() -> None:
    # The light kind answers in 1 s, the heavy one in 2 s: the path of each request shows in it.
    kinds = [ServerKind((1.0,), weight=1.0), ServerKind((2.0,), weight=2.5)]
    settings = EngineSettings(
        9.0,
        Dispatcher.WEIGHTED_ROUND_ROBIN,
        bouncer=Bouncer.NONE,
        queue_limit_s=1e9,
        record_requests=True,
    )
    arrivals_s = 10.0 * np.arange(1.0, 3001.0)
    response_s, _ = simulated(arrivals_s, kinds, [2, 4], settings).request_results()
    assert abs(int((response_s > 1.5).sum()) - 2500) <= 1


def test_arrivals_see_the_number_in_system_that_littles_law_gives() -> None:
    # Poisson arrivals see time averages, and the time average is rate times mean response.
    kind, servers, rate_rps = ServerKind((1.0,), service_time_cv=0.7), 5, 4.3

    def seen_over_expected(seed: int) -> float:
        arrivals_s = poisson_s(rate_rps, 100_000, seed)
        engine = simulated(arrivals_s, [kind], [servers], QUEUE, seed=seed)
        response_s, _ = engine.request_results()
        ended = np.searchsorted(np.sort(arrivals_s + response_s), arrivals_s, side="right")
        seen = np.arange(len(arrivals_s)) - ended
        return float(steady(seen).mean() / (rate_rps * steady(response_s).mean()))

    assert_mean_is(1.0, seen_over_expected, replications=20)
