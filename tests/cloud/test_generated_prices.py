"""Generated prices: seeded, pool by pool, like the processes that they are drawn from."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from markopt.cloud.simulated import SimulationSettings
from markopt.cloud.simulated.markets import GeneratedPricesSettings, PriceMarket, PricePath
from markopt.cloud.simulated.markets.durations import FAMILIES, Durations
from markopt.cloud.simulated.markets.price_model import (
    BaseProcess,
    CommonSpikes,
    PriceProcess,
    SpikeProcess,
    draw_path,
    read_processes,
)
from markopt.core import Actions, Offer
from markopt.errors import ConfigError, DataError
from tests.cloud.worlds import cloud, offer

BASE = BaseProcess(600.0, level=0.2, lag_1=0.6, lag_2=0.2, sd=0.02, floor=0.15, ceiling=0.3)
CALM, SPIKE = Durations("lognormal", 9000.0, 1.0), Durations("weibull", 1000.0, 0.7)
SPIKES = SpikeProcess(CALM, SPIKE, (0.5, 1.0, 4.0), correlation=0.5, common_share=0.0)


def spot(kind: str = "c5.large", zone: str = "us-east-1a", maximum: float = 1.0) -> Offer:
    one = offer(f"{kind}/spot/{zone}", zone=zone)
    return replace(one, on_demand_usd_per_s=1e-4, max_price_usd_per_s=maximum * 1e-4)


def path_of(spikes: SpikeProcess | None, seed: int = 0, days: float = 400.0) -> PricePath:
    rng = np.random.default_rng(seed)
    return draw_path(PriceProcess(BASE, spikes), start_s=0.0, end_s=days * 86400.0, rng=rng)


@pytest.mark.parametrize("family", FAMILIES)
def test_durations_have_their_mean_and_survival(family: Any) -> None:
    spells = Durations(family, 600.0, None if family == "exponential" else 0.8)
    drawn = spells.draw(np.random.default_rng(0), 200_000)
    assert drawn.mean() == pytest.approx(600.0, rel=0.02)
    for time_s in (60.0, 600.0, 2400.0):
        share = float(spells.survival(np.array([time_s]))[0])
        assert (drawn > time_s).mean() == pytest.approx(share, abs=0.005)
        quantile = float(spells.quantiles(np.array([1.0 - share]))[0])
        assert quantile == pytest.approx(time_s, rel=1e-6)


def test_calm_prices_vary_around_their_level_as_the_autoregression_does() -> None:
    prices = path_of(None, days=2000.0)
    grid_s = np.arange(0.0, prices.end_s, 600.0)
    x = np.log(prices.usd_per_s[prices.starts_s.searchsorted(grid_s, side="right") - 1] / 0.2)
    # Yule-Walker: r1 = a1 / (1 - a2), variance = sd^2 / (1 - a1 r1 - a2 r2).
    first = 0.6 / 0.8
    second = 0.6 * first + 0.2
    variance = 0.02**2 / (1.0 - 0.6 * first - 0.2 * second)
    assert x.mean() == pytest.approx(0.0, abs=0.002)
    assert x.var() == pytest.approx(variance, rel=0.03)
    assert np.corrcoef(x[1:], x[:-1])[0, 1] == pytest.approx(first, abs=0.01)


def test_spikes_come_at_their_rate_with_their_heights_and_durations() -> None:
    prices = path_of(SPIKES)
    above = prices.usd_per_s > 0.3
    spikes = prices.rises_above_s(0.3)
    assert len(spikes) == pytest.approx(400 * 86400.0 / 10_000.0, rel=0.08)
    assert prices.durations_s()[above].sum() == pytest.approx(400 * 86400.0 / 10.0, rel=0.12)
    # Half of the heights exceed 1, the middle quantile.
    assert len(prices.rises_above_s(1.0)) == pytest.approx(0.5 * len(spikes), rel=0.1)
    # Higher ones last longer.
    tops, lengths = prices.usd_per_s[above], prices.durations_s()[above]
    assert lengths[tops > 1.0].mean() > 1.3 * lengths[tops < 1.0].mean()


def test_common_spikes_begin_together_and_leave_each_pool_its_rate() -> None:
    shared = replace(SPIKES, common_share=0.6)
    span = {"start_s": 0.0, "end_s": 400 * 86400.0}
    process = PriceProcess(BASE, shared)
    common = CommonSpikes([process] * 2, rng=np.random.default_rng(9), **span)
    one, other = (
        draw_path(process, rng=np.random.default_rng(seed), common=common, **span)
        for seed in (1, 2)
    )
    rises, others = one.rises_above_s(0.3), other.rises_above_s(0.3)
    together = np.isin(rises, others).mean()
    assert together == pytest.approx(0.6, abs=0.08)
    assert len(rises) == pytest.approx(len(path_of(SPIKES).rises_above_s(0.3)), rel=0.12)


def test_a_pool_draws_the_same_prices_whatever_is_bought_there_or_elsewhere() -> None:
    settings = SimulationSettings(market=GeneratedPricesSettings())
    seen = []
    for bought in (0, 5):
        offers = [spot(), spot(zone="us-east-1b"), spot("p2.xlarge")]
        backend = cloud(offers, settings=settings, seed=5, end_s=86_400.0)
        backend.apply(Actions("buy", launch={offers[1].name: bought, offers[0].name: bought}))
        backend.advance(86_400.0)
        path = backend.price_history(offers[2].name)
        assert path is not None
        seen.append((path.starts_s.tolist(), path.usd_per_s.tolist()))
    assert seen[0] == seen[1]
    other = cloud([spot("p2.xlarge")], settings=settings, seed=6)
    history = other.price_history("p2.xlarge/spot/us-east-1a")
    assert history is not None
    assert history.starts_s[0] == -7 * 86400.0


def test_launches_and_bills_follow_the_generated_price() -> None:
    market = GeneratedPricesSettings(map={"c5.large": "r3.large/us-east-1a"}).build(
        [spot()], start_s=0.0, end_s=10 * 86400.0, seed=np.random.SeedSequence(2)
    )
    assert isinstance(market, PriceMarket)
    refused = 0
    for time_s in range(0, 10 * 86400, 600):
        price = market.price_usd_per_s(spot(), float(time_s))
        assert price is not None
        assert market.available(spot(), float(time_s), 0) == (price <= 1e-4)
        refused += price > 1e-4
    assert 0 < refused < 1440
    assert market.own_interruption_s(spot(), 0.0) < math.inf


def test_policies_expect_the_mean_and_hazard_of_the_process_not_of_the_path() -> None:
    settings = GeneratedPricesSettings(processes=["r3.large/us-east-1a"])
    dear, cheap = settings.expected([spot(), spot(maximum=0.12)], start_s=0.0)
    # Recorded: 0.097 interruptions an hour at the on-demand price (docs/markets.md).
    assert dear.interruption_per_h == pytest.approx(0.08, rel=0.5)
    assert 0.09e-4 < cheap.price_usd_per_s < dear.price_usd_per_s < 0.2e-4
    assert cheap.interruption_per_h > dear.interruption_per_h
    assert settings.expected([spot(), spot(maximum=0.12)], start_s=1e6) == (dear, cheap)


@pytest.mark.parametrize("name", ["spot/prices_2015.yaml", "spot/prices_2021.yaml"])
def test_every_shipped_process_makes_prices_between_its_floor_and_its_highest_spike(
    name: str,
) -> None:
    for process in read_processes(name).values():
        path = draw_path(process, start_s=0.0, end_s=5e5, rng=np.random.default_rng(0))
        highest = process.base.ceiling
        if process.spikes is not None:
            highest = max(highest, process.spikes.height_quantiles[-1])
        assert path.usd_per_s.min() >= process.base.floor * (1.0 - 1e-9)
        assert path.usd_per_s.max() <= highest * (1.0 + 1e-9)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"processes": ["x"]}, r"no process 'x' for pool 'c5\.large/us-east-1a'; processes: c3"),
        ({"map": {"c5.large": "y"}}, "no process 'y'"),
        ({"processes": []}, "must name at least one"),
        ({"history_s": -1.0}, "must not be negative"),
        ({"billing": "daily"}, "expected one of"),
    ],
)
def test_a_wrong_setting_is_named(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        cloud([spot()], settings=SimulationSettings(market=GeneratedPricesSettings(**changes)))


def test_a_wrong_file_of_processes_is_named(tmp_path: Path) -> None:
    path = tmp_path / "model.yaml"
    base = {"step_s": 600, "level": 1, "lag_1": 0, "lag_2": 0, "sd": 0, "floor": 1}
    for text, message in (
        ("- 1", "expected keys and values, got list"),
        ("processes: {}", "expected at least one, got none"),
        (yaml.safe_dump({"processes": {"a": {"base": base}}}), "process 'a': .*ceiling"),
        (yaml.safe_dump({"processes": {"a": {}}}), "process 'a': .*base"),
        ("a: [", "cannot be read as spot parameters"),
    ):
        path.write_text(text)
        chosen = path.rename(tmp_path / f"{len(list(tmp_path.iterdir()))}-{len(text)}.yaml")
        with pytest.raises(DataError, match=message) as caught:
            read_processes(str(chosen))
        assert "\n" not in str(caught.value)
    with pytest.raises(DataError, match="nowhere"):
        read_processes("nowhere.yaml")
