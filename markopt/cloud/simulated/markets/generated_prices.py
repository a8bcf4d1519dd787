"""Spot prices drawn from fitted processes, against maximum prices."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import final

import numpy as np

from markopt.cloud.simulated.markets.price_model import (
    CommonSpikes,
    PriceProcess,
    draw_path,
    read_processes,
)
from markopt.cloud.simulated.markets.price_path import PricePath
from markopt.cloud.simulated.markets.prices import Billing, PriceMarket, check_billing, expect
from markopt.cloud.simulated.markets.protocol import Market, MarketSettings, spot_pools
from markopt.core import Offer, PurchaseOption
from markopt.errors import ConfigError

_REFERENCE_S = 360 * 86400.0


@final
@dataclass(frozen=True)
class GeneratedPricesSettings(MarketSettings):
    """Prices are drawn from fitted processes, which are in units of the on-demand price.

    Args:
        model: file of price processes, as given or below the shipped ``data/``.
        processes: which of them the pools, by name, take in turn; None: all.
        map: instance type or pool to the process that it takes instead.
        history_s: how much of the past before the simulated start a policy may see.
        billing: ``per_second``, or ``hourly_2015``: each begun hour at the price at its begin, the
            last one of an interrupted instance free.

    Raises:
        ConfigError: a value is out of range.
    """

    model: str = "spot/prices_2015.yaml"
    processes: Sequence[str] | None = None
    map: Mapping[str, str] | None = None
    history_s: float = 7 * 86400.0
    billing: Billing = "per_second"

    def __post_init__(self) -> None:
        if not self.history_s >= 0.0:
            raise ConfigError(f"cloud.market.history_s: must not be negative, got {self.history_s}")
        check_billing(self.billing)

    def build(
        self, offers: Sequence[Offer], *, start_s: float, end_s: float, seed: np.random.SeedSequence
    ) -> Market:
        """Return the market of these offers; every pool and instance type draws for itself.

        Raises:
            ConfigError: a process is not in the file, or an offer has no on-demand price.
            DataError: the file cannot be read.
        """
        chosen = self._chosen(offers)
        pool_seed, type_seed = seed.spawn(2)
        kinds = sorted({_kind(pool) for pool in chosen})
        span = {"start_s": start_s - self.history_s, "end_s": end_s}
        common = {
            kind: CommonSpikes(
                [process for pool, process in chosen.items() if _kind(pool) == kind],
                rng=np.random.default_rng(child),
                **span,
            )
            for kind, child in zip(kinds, type_seed.spawn(len(kinds)), strict=True)
        }
        paths = {}
        for pool, child in zip(chosen, pool_seed.spawn(len(chosen)), strict=True):
            rng = np.random.default_rng(child)
            path = draw_path(chosen[pool], rng=rng, common=common[_kind(pool)], **span)
            paths[pool] = path.scaled(_on_demand_usd_per_s(offers, pool), 0.0)
        return PriceMarket(offers, paths, start_s=start_s, end_s=end_s, billing=self.billing)

    def expected(self, offers: Sequence[Offer], *, start_s: float) -> tuple[Offer, ...]:
        """Return spot offers at the mean price and hazard of their process, not of any path."""
        chosen = self._chosen(offers)
        return tuple(
            expect(o, _reference(chosen[o.pool]).scaled(_on_demand_usd_per_s(offers, o.pool), 0.0))
            if o.purchase is PurchaseOption.SPOT
            else o
            for o in offers
        )

    def _chosen(self, offers: Sequence[Offer]) -> dict[str, PriceProcess]:
        """Return the process of every spot pool, by the pools' names."""
        known = read_processes(self.model)
        turn = list(known) if self.processes is None else list(self.processes)
        if not turn:
            raise ConfigError("cloud.market.processes: must name at least one, got an empty list")
        names = {}
        for at, pool in enumerate(sorted(spot_pools(offers))):
            mapped = self.map or {}
            names[pool] = mapped.get(pool, mapped.get(_kind(pool), turn[at % len(turn)]))
            if names[pool] not in known:
                raise ConfigError(
                    f"cloud.market.processes: {self.model} has no process '{names[pool]}' for "
                    f"pool '{pool}'; processes: {', '.join(known)}"
                )
        return {pool: known[name] for pool, name in names.items()}


@lru_cache(maxsize=64)
def _reference(process: PriceProcess) -> PricePath:
    """Return a long path of a process, always the same: what may be known of it beforehand."""
    common = CommonSpikes([process], start_s=0.0, end_s=_REFERENCE_S, rng=np.random.default_rng(1))
    rng = np.random.default_rng(0)
    return draw_path(process, start_s=0.0, end_s=_REFERENCE_S, rng=rng, common=common)


def _kind(pool: str) -> str:
    return pool.partition("/")[0]


def _on_demand_usd_per_s(offers: Sequence[Offer], pool: str) -> float:
    for offer in offers:
        if offer.pool == pool and offer.on_demand_usd_per_s is not None:
            return offer.on_demand_usd_per_s
    raise ConfigError(f"cloud.market.model: the offers of pool '{pool}' have no on-demand price")
