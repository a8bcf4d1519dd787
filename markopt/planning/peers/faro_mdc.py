"""Faro (Jeon et al., EuroSys 2025): M/D/c latency estimate, as in its released solver."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

from markopt.core import Offer, Plan, Problem
from markopt.errors import ConfigError
from markopt.planning.peers.scaling_group import (
    HEADROOM_GRID,
    ScalingGroup,
    check_positive,
    check_share,
)
from markopt.planning.requirement import launch_delay_intervals


def erlang_c(servers: int, load: float) -> float:
    """Return the probability of waiting in M/M/c at an offered load below ``servers``."""
    blocked = 1.0
    for count in range(1, servers + 1):
        blocked = load * blocked / (count + load * blocked)
    return blocked / (1.0 - load / servers * (1.0 - blocked))


def waiting_time_s(servers: int, rate_rps: float, service_s: float, level: float) -> float:
    """Return the waiting time that a ``level`` share of requests does not exceed, in M/D/c.

    Half of M/M/c's: ln(C / (1 - level)) / (c mu - rate), C Erlang's probability of waiting.
    """
    waiting = erlang_c(servers, rate_rps * service_s)
    if waiting <= 1.0 - level:
        return 0.0
    spare_rps = servers / service_s - rate_rps
    return 0.5 * math.log(waiting / (1.0 - level)) / spare_rps


def servers_for(
    rate_rps: float,
    service_s: float,
    *,
    response_s: float,
    rt_max_s: float,
    level: float,
    max_utilization: float,
) -> int:
    """Return the least servers with waiting time plus ``response_s`` within ``rt_max_s``."""
    servers = max(math.ceil(rate_rps * service_s / max_utilization - 1e-9), 1)
    while waiting_time_s(servers, rate_rps, service_s, level) + response_s > rt_max_s + 1e-12:
        servers += 1
    return servers


@dataclass(frozen=True, kw_only=True)
class FaroMdc:
    """The least model servers whose M/D/c response time keeps the SLO at the predicted rate.

    Faro shares a cluster among services by their utilities; of one service without a quota, the
    utility is full as soon as the SLO is kept, and what remains is this sizing. Response time is
    half of M/M/c's waiting time at level SL_min plus the service time; utilization stays within
    ``max_utilization``, up to which Faro's estimate holds. The rate is the forecast's ``quantile``,
    the largest until a launch of the next decision is ready, times ``headroom``. Faro's replicas
    serve one request at a time; here a request occupies a server for its share of a full batch,
    and takes the batch's time.

    Raises:
        ConfigError: an argument is out of range.
    """

    KNOB: ClassVar[str | None] = "headroom"
    KNOB_GRID: ClassVar[tuple[float, ...]] = HEADROOM_GRID

    headroom: float = 1.0
    quantile: float = 0.5
    max_utilization: float = 0.95
    instance_type: str | None = None

    def __post_init__(self) -> None:
        check_positive(headroom=self.headroom)
        check_share("quantile", self.quantile)
        if not 0.0 < self.max_utilization < 1.0:
            raise ConfigError(
                f"planner.max_utilization: must lie in (0, 1), got {self.max_utilization}"
            )

    def plan(self, problem: Problem) -> Plan:
        """Return the plan of the least count.

        Raises:
            ConfigError: there is no on-demand offer of ``instance_type``.
            Infeasible: no on-demand offer meets the SLO.
        """
        group = ScalingGroup.of(problem, self.instance_type)
        offer, slo = group.offer, problem.service.slo
        rates_rps = self.headroom * problem.forecast.quantile_rps(self.quantile)
        ahead = launch_delay_intervals(offer, problem.interval_s) + 2
        rate_rps = float(rates_rps[:ahead].max())
        service_s = offer.servers / offer.saturation_rps
        servers = servers_for(
            rate_rps,
            service_s,
            response_s=_batch_s(offer, slo.rt_max_s),
            rt_max_s=slo.rt_max_s,
            level=slo.sl_min,
            max_utilization=self.max_utilization,
        )
        count = math.ceil(servers / offer.servers)
        reason = (
            f"{count} {offer.name}: {rate_rps:.0f} rps need {servers} servers by M/D/c for "
            f"{slo.sl_min:.0%} within {slo.rt_max_s:g} s"
        )
        return group.plan(problem, "faro_mdc", count, rates_rps, reason=reason)


def _batch_s(offer: Offer, rt_max_s: float) -> float:
    """Return the time of the largest batch that is in time by itself."""
    return max(time_s for time_s in offer.service_times_s if time_s <= rt_max_s)
