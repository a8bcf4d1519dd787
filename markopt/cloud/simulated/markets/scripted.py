"""Spot instances interrupted at stated times, for experiments that need to know them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from markopt.cloud.simulated.markets.protocol import Market, MarketSettings, spot_pools
from markopt.core import Offer, PurchaseOption
from markopt.errors import ConfigError

_KEYS = ("at_s", "share", "count", "pool", "outage_s")


@final
@dataclass(frozen=True)
class ScriptedSettings(MarketSettings):
    """Interruptions happen at stated times; nothing else interrupts.

    Args:
        interruptions: each with ``at_s`` (seconds from the simulated start), ``share`` (of the
            instances that stay in a spot pool, rounded up) or ``count`` (how many of them; the
            oldest go), ``pool`` (its name; None, the default: every spot pool) and ``outage_s``
            (how long the pools give nothing afterwards; 0 by default).

    Raises:
        ConfigError: an entry lacks a key, has another, or a value is out of range.
    """

    interruptions: Sequence[Mapping[str, Any]] = ()
    _parsed: tuple[_Interruption, ...] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        parsed = [_parse(at, entry) for at, entry in enumerate(self.interruptions)]
        object.__setattr__(self, "_parsed", tuple(sorted(parsed, key=lambda one: one.at_s)))

    def build(
        self, offers: Sequence[Offer], *, start_s: float, end_s: float, seed: np.random.SeedSequence
    ) -> Market:
        """Return the market of these offers.

        Raises:
            ConfigError: a named pool has no spot offer.
        """
        pools = spot_pools(offers)
        for one in self._parsed:
            if one.pool is not None and one.pool not in pools:
                raise ConfigError(
                    f"cloud.market.interruptions: no spot offer in pool '{one.pool}'; spot pools: "
                    f"{pools or 'none'}"
                )
        return ScriptedMarket(pools, self._parsed, start_s=start_s)


@dataclass(frozen=True)
class _Interruption:
    at_s: float
    share: float | None
    count: int | None
    pool: str | None
    outage_s: float

    def number(self, staying: int) -> int:
        """Return how many of so many instances are interrupted."""
        if self.count is not None:
            return min(self.count, staying)
        return math.ceil((self.share or 0.0) * staying - 1e-9)


def _parse(at: int, entry: Mapping[str, Any]) -> _Interruption:
    where = f"cloud.market.interruptions[{at}]"
    if not isinstance(entry, Mapping):
        raise ConfigError(f"{where}: expected keys {', '.join(_KEYS)}, got {entry!r}")
    for key in entry:
        if key not in _KEYS:
            raise ConfigError(f"{where}.{key}: no such key; keys: {', '.join(_KEYS)}")
    share, count, pool = entry.get("share"), entry.get("count"), entry.get("pool")
    if (share is None) == (count is None):
        raise ConfigError(f"{where}: needs either share or count, got {dict(entry)}")
    if share is not None and not (_is_number(share) and 0.0 < share <= 1.0):
        raise ConfigError(f"{where}.share: must be a number in (0, 1], got {share!r}")
    if count is not None and (isinstance(count, bool) or not isinstance(count, int) or count < 1):
        raise ConfigError(f"{where}.count: must be a whole number from 1 on, got {count!r}")
    if pool is not None and not isinstance(pool, str):
        raise ConfigError(f"{where}.pool: must be a pool's name or null, got {pool!r}")
    times_s = {"at_s": entry.get("at_s"), "outage_s": entry.get("outage_s", 0.0)}
    for key, value in times_s.items():
        if not (_is_number(value) and value >= 0.0):
            raise ConfigError(
                f"{where}.{key}: must be a number of seconds from 0 on, got {value!r}"
            )
    return _Interruption(
        at_s=float(times_s["at_s"]),
        share=share,
        count=count,
        pool=pool,
        outage_s=float(times_s["outage_s"]),
    )


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


@final
class ScriptedMarket(Market):
    """Interrupts and closes pools at stated times.

    Args:
        pools: those with spot offers.
        interruptions: what happens, in order of time.
        start_s: when the simulated span begins, from which ``at_s`` counts.
    """

    def __init__(
        self, pools: Sequence[str], interruptions: Sequence[_Interruption], *, start_s: float
    ) -> None:
        self._at: dict[str, dict[float, list[_Interruption]]] = {pool: {} for pool in pools}
        for one in interruptions:
            for pool in pools if one.pool is None else [one.pool]:
                self._at[pool].setdefault(start_s + one.at_s, []).append(one)

    @property
    def pools(self) -> list[str]:
        """Pools with spot offers."""
        return list(self._at)

    def next_shock_s(self, pool: str, after_s: float) -> float:
        """Return when the script next interrupts in a pool, after a time."""
        return min((at_s for at_s in self._at[pool] if at_s > after_s), default=math.inf)

    def strike(self, pool: str, noticed: NDArray[np.bool_], now_s: float) -> NDArray[np.bool_]:
        """Return which of a pool's instances are taken: as many as stated, the oldest."""
        taken = np.zeros(len(noticed), dtype=np.bool_)
        for one in self._at[pool].get(now_s, ()):
            staying = np.flatnonzero(~noticed & ~taken)
            taken[staying[: one.number(len(staying))]] = True
        return taken

    def own_interruption_s(self, offer: Offer, launched_s: float) -> float:
        """Return infinity: the script interrupts, nothing else."""
        return math.inf

    def available(self, offer: Offer, now_s: float, running: int) -> bool:
        """True where the offer's pool is not in an outage."""
        if offer.purchase is not PurchaseOption.SPOT:
            return True
        return not any(
            at_s <= now_s < at_s + one.outage_s
            for at_s, several in self._at[offer.pool].items()
            for one in several
        )
