"""Fresh simulated clouds for episodes, and the arrivals that they will see."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, final

import numpy as np

from markopt.core import FunctionOffer, Offer, RateSeries, RequestSink, Service
from markopt.errors import ConfigError
from markopt.evaluation.episode import RecordingBackend
from markopt.workload.protocol import Workload

if TYPE_CHECKING:
    from markopt.cloud.simulated import SimulationSettings


@final
@dataclass(frozen=True)
class SimulatedClouds:
    """Makes one simulated cloud per episode, all with the same settings."""

    settings: SimulationSettings

    def __call__(
        self,
        *,
        service: Service,
        offers: tuple[Offer, ...],
        function: FunctionOffer | None,
        workload: Workload,
        seed: np.random.SeedSequence,
        initial_fleet: Mapping[str, int],
        request_sink: RequestSink | None = None,
    ) -> RecordingBackend:
        """Return a cloud at the start of the workload's span."""
        from markopt.cloud.simulated import SimulatedCloud

        return SimulatedCloud(
            self.settings,
            service=service,
            offers=offers,
            function=function,
            arrivals=workload.new_arrivals(),
            start_s=workload.start_s,
            end_s=workload.end_s,
            seed=seed,
            initial_fleet=initial_fleet,
            request_sink=request_sink,
        )

    def realized_rates(
        self, workload: Workload, interval_s: float, seed: np.random.SeedSequence
    ) -> RateSeries:
        """Return the rates of the very arrivals that a cloud of this seed will see.

        Raises:
            ConfigError: the cloud's arrival blocks or bins do not divide an interval.
        """
        from markopt.cloud.simulated import arrival_generator
        from markopt.workload import realised_rates

        block_s = self.settings.arrival_block_s
        blocks = round(interval_s / block_s)
        if blocks < 1 or abs(blocks * block_s - interval_s) > 1e-9 * interval_s:
            raise ConfigError(
                f"cloud.arrival_block_s: must divide controller.interval_s ({interval_s:g} s), "
                f"got {block_s:g}"
            )
        bins = round(interval_s / self.settings.bin_s)
        if bins < 1 or abs(bins * self.settings.bin_s - interval_s) > 1e-9 * interval_s:
            raise ConfigError(
                f"cloud.bin_s: must divide controller.interval_s ({interval_s:g} s), "
                f"got {self.settings.bin_s:g}"
            )
        return realised_rates(
            workload,
            interval_s,
            arrival_generator(seed),
            block_s=block_s,
            bin_s=self.settings.bin_s,
        )

    def expected_offers(self, offers: tuple[Offer, ...], workload: Workload) -> tuple[Offer, ...]:
        """Return the offers at the prices and hazards that policies may expect at the start."""
        return self.settings.market.expected(offers, start_s=workload.start_s)

    def earlier(self, by_s: float) -> SimulatedClouds:
        """Return the clouds of a span that begins so much earlier, whose spot market does too."""
        market = self.settings.market.earlier(by_s)
        return SimulatedClouds(replace(self.settings, market=market))

    def without_interruptions(self) -> SimulatedClouds:
        """Return the clouds whose spot instances are never taken or refused, at equal prices."""
        from markopt.cloud.simulated.markets import UninterruptedSettings

        market = UninterruptedSettings(self.settings.market)
        return SimulatedClouds(replace(self.settings, market=market))

    def with_instant_launches(self) -> SimulatedClouds:
        """Return the clouds that carry out every launch and end at once and show it.

        How long a launch then takes is the offer's ``launch_delay_s``, without dispersion.
        """
        from markopt.cloud.simulated import (
            ApiSettings,
            LaunchDelay,
            LaunchSettings,
            ShortageSettings,
        )

        settings = replace(
            self.settings,
            launch=LaunchSettings(delay=LaunchDelay("constant")),
            shortage=ShortageSettings(),
            api=ApiSettings(),
        )
        return SimulatedClouds(settings)

    def least_offers(
        self, offers: tuple[Offer, ...], workload: Workload, seed: np.random.SeedSequence
    ) -> tuple[Offer, ...] | None:
        """Return the offers at the lowest price that each has in the span; None: maybe nothing."""
        from markopt.cloud.simulated import market_of

        market = market_of(
            self.settings, offers, start_s=workload.start_s, end_s=workload.end_s, seed=seed
        )
        prices = [market.least_price_usd_per_s(offer) for offer in offers]
        if any(price is None for price in prices):
            return None
        return tuple(
            offer if price is None else replace(offer, price_usd_per_s=price)
            for offer, price in zip(offers, prices, strict=True)
        )

    def least_boot_s(self, offer: Offer) -> float:
        """Return the least time that is billed between a launch and ready."""
        return self.settings.launch.least_boot_s(offer)
