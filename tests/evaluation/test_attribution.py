"""The loss of an episode, split: parts sum to the whole, what is perfect already is 0."""

from __future__ import annotations

import itertools
import json
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from markopt.assembly import ConfigParts
from markopt.cli import main
from markopt.cloud.simulated.markets import PriceMarket, PricePath, UninterruptedMarket
from markopt.core import Actions, InstanceState, PurchaseOption, RateSeries
from markopt.errors import ConfigError
from markopt.evaluation.attribution import (
    PARTS,
    AttributionSettings,
    Swap,
    World,
    attribute,
    changes,
    recorded,
    swapped,
    with_even_requests,
    with_required_factor,
    without_gap,
    without_interruptions,
    without_launch_delay,
)
from markopt.evaluation.episode import (
    EpisodeSetup,
    fit_forecaster,
    forecast_once,
    run_episode,
    set_conditions,
)
from markopt.evaluation.foresight import ideal_cost, perfect_foresight
from markopt.evaluation.results import read_episode
from markopt.evaluation.seeds import generator, seed_sequence
from markopt.evaluation.tape import RecordedForecaster
from markopt.forecasting import Oracle
from markopt.planning import Greedy, Program, WithStandbys
from tests.cloud.worlds import offer as priced_offer
from tests.evaluation.fluid import FUNCTION, FluidClouds, Proportional, ToyParts
from tests.planning.problems import EIGHT


@dataclass(frozen=True)
class PerfectFluid(FluidClouds):
    """Fluid clouds, in which nothing is interrupted, and launches take what offers say."""

    def without_interruptions(self):
        return self

    def with_instant_launches(self):
        return self


def fluid_world(*, seed=0, headroom=1.2, function=FUNCTION, intervals=12, oracle=False):
    parts = ToyParts(function=function, intervals=intervals)
    scene = replace(parts.scene(seed), cloud=PerfectFluid())
    conditions = set_conditions(scene)
    made = Oracle() if oracle else parts.forecaster()
    fitted = fit_forecaster(made, scene, conditions)
    if not oracle:
        fitted = RecordedForecaster(forecast_once(scene, conditions, fitted))
    return World(scene, Proportional(headroom), fitted), conditions


@settings(max_examples=10, deadline=None)
@given(
    seed=st.integers(0, 1000),
    headroom=st.floats(0.6, 2.0),
    with_function=st.booleans(),
    intervals=st.integers(2, 10),
)
def test_parts_sum_to_the_whole_in_both_orders(seed, headroom, with_function, intervals):
    function = FUNCTION if with_function else None
    world, conditions = fluid_world(
        seed=seed, headroom=headroom, function=function, intervals=intervals
    )
    found = attribute("toy", world, conditions)
    assert [loss.part for loss in found.losses] == list(PARTS)
    assert found.total_usd == found.episode.cost_usd - conditions.clairvoyant_bound_usd
    assert sum(loss.usd for loss in found.losses) == pytest.approx(found.total_usd, abs=1e-9)
    assert sum(loss.reverse_usd for loss in found.losses) == pytest.approx(
        found.total_usd, abs=1e-9
    )
    assert found.loss("capacity_profile").usd >= 0.0, "1 is among the factors"
    assert found.loss("integrality").usd >= -1e-9


def test_the_first_run_is_the_episode_itself_and_each_next_has_one_more_perfect_part():
    world, conditions = fluid_world()
    told = []
    found = attribute("toy", world, conditions, on_run=told.append)
    plain = run_episode(
        EpisodeSetup("toy", world.scene, conditions, world.forecaster, world.planner)
    )
    assert found.episode.cost_usd == plain.ledger.total_usd
    assert found.episode.attainment == plain.statistics.attainment
    assert [run.swaps for run in found.reruns] == [tuple(Swap)[:n] for n in range(len(Swap) + 1)]
    assert {tuple(run.swaps) for run in found.reverse_reruns} == {
        tuple(Swap)[n:] for n in range(1, len(Swap))
    }
    seen = [(run.swaps, run.factor) for run in told]
    assert len(seen) == len(set(seen)), "no world is run twice"


def test_what_cannot_change_anything_costs_exactly_nothing():
    world, conditions = fluid_world()
    found = attribute("toy", world, conditions)
    assert all(o.purchase is PurchaseOption.ON_DEMAND for o in world.scene.offers)
    for part in ("interruptions", "solver_gap"):  # there is no spot, and no solver
        assert found.loss(part).usd == 0.0
        assert found.loss(part).reverse_usd == 0.0
    assert found.loss("forecast").usd != 0.0


def test_an_oracle_has_no_forecast_error_in_either_order():
    world, conditions = fluid_world(oracle=True)
    found = attribute("toy", world, conditions)
    assert found.loss("forecast").usd == 0.0
    assert found.loss("forecast").reverse_usd == 0.0


def test_without_the_reverse_order_nothing_is_said_of_it():
    world, conditions = fluid_world()
    found = attribute("toy", world, conditions, AttributionSettings(reverse=False, factors=(1.0,)))
    assert all(loss.reverse_usd is None for loss in found.losses)
    assert found.reverse_reruns == ()
    assert found.loss("capacity_profile").usd == 0.0


def test_clouds_that_cannot_be_made_perfect_are_named():
    world, conditions = fluid_world()
    world = replace(world, scene=replace(world.scene, cloud=FluidClouds()))
    with pytest.raises(ConfigError, match=r"attribution needs clouds.*FluidClouds"):
        attribute("toy", world, conditions)


@pytest.mark.parametrize("factors", [(), (0.9, 1.1), (1.0, 0.0)])
def test_factors_are_positive_and_hold_one(factors):
    with pytest.raises(ConfigError, match=r"attribution\.factors"):
        AttributionSettings(factors=factors)


# --- perfect versions in the request-level simulated cloud ---

SMALL = (
    "service=inception_bn",
    "workload=poisson",
    "workload.rates_rps=[60]",
    "workload.history_s=1800",
    "workload.evaluate_s=300",
    "forecaster=last_value",
    "catalog.batching=none",
    "catalog.instance_types=[c5.large]",
    "controller.horizon=4",
    "controller.samples=5",
)
TAKEN = ("cloud/market=scripted", "cloud.market.interruptions=[{at_s:90,share:1.0,outage_s:600}]")


def small_world(*overrides, planner="greedy"):
    parts = ConfigParts([*SMALL, *overrides], planners=[planner])
    scene = parts.scene(0)
    conditions = set_conditions(scene)
    fitted = fit_forecaster(parts.forecaster(), scene, conditions)
    recorded = RecordedForecaster(forecast_once(scene, conditions, fitted))
    return World(scene, parts.planner(planner), recorded), conditions


def episode(world, conditions):
    return run_episode(
        EpisodeSetup("x", world.scene, conditions, world.forecaster.fit(None), world.planner)
    )


def test_without_interruptions_spot_stays_at_its_price():
    world, conditions = small_world(*TAKEN)
    taken = episode(world, conditions)
    assert taken.ledger.interruptions > 0
    kept_world = swapped(world, {Swap.INTERRUPTIONS}, conditions.realized)
    assert all(offer.interruption_per_h == 0.0 for offer in kept_world.scene.offers)
    kept = episode(kept_world, conditions)
    assert kept.ledger.interruptions == 0
    assert kept.ledger.cost_usd["on_demand"] == 0.0
    assert kept.ledger.total_usd < taken.ledger.total_usd
    prices = [offer.price_usd_per_s for offer in world.scene.offers]
    assert [offer.price_usd_per_s for offer in kept_world.scene.offers] == prices


def test_without_spot_there_is_nothing_to_interrupt_run_or_not():
    world, conditions = small_world("catalog.purchase=[on_demand]", *TAKEN)
    assert not changes(Swap.INTERRUPTIONS, world)
    plain = episode(world, conditions)
    kept = episode(replace(world, scene=without_interruptions(world.scene)), conditions)
    assert kept.ledger.cost_usd == plain.ledger.cost_usd
    assert np.array_equal(kept.statistics.late, plain.statistics.late)
    assert np.array_equal(kept.statistics.spilled, plain.statistics.spilled)


def test_an_uninterrupted_market_bills_what_the_market_bills_and_gives_when_it_is_dear():
    spot = replace(
        priced_offer("c5.large/spot"), on_demand_usd_per_s=1e-3, max_price_usd_per_s=4e-4
    )
    path = PricePath(np.array([0.0, 100.0, 200.0]), np.array([1e-4, 9e-4, 2e-4]), 300.0)
    market = PriceMarket([spot], {spot.pool: path}, start_s=0.0, end_s=300.0)
    kept = UninterruptedMarket(market)
    assert market.own_interruption_s(spot, 0.0) == 100.0
    assert kept.own_interruption_s(spot, 0.0) == np.inf
    assert (market.available(spot, 150.0, 0), kept.available(spot, 150.0, 0)) == (False, True)
    assert kept.price_usd_per_s(spot, 150.0) == market.price_usd_per_s(spot, 150.0) == 9e-4
    assert kept.least_price_usd_per_s(spot) == market.least_price_usd_per_s(spot)
    assert kept.price_history(spot, 50.0).price(50.0) == 1e-4
    assert kept.pools == market.pools
    assert kept.next_shock_s(spot.pool, 0.0) == np.inf
    assert not kept.strike(spot.pool, np.zeros(2, dtype=bool), 0.0).any()
    bills = [m.tariff(spot) for m in (market, kept)]
    for bill in bills:
        bill.start("i-1", 0.0)
        bill.end("i-1", 300.0, interrupted=False)
    assert bills[0].cost_usd(300.0) == bills[1].cost_usd(300.0) == pytest.approx(0.01 + 0.04 + 0.02)


def test_without_launch_delay_an_instance_is_ready_at_once():
    world, conditions = small_world("cloud=unreliable", "cloud.launch.failure_share=1.0")
    scene = without_launch_delay(world.scene)
    cloud = scene.cloud(
        service=scene.service,
        offers=scene.offers,
        function=scene.function,
        workload=scene.workload,
        seed=seed_sequence(0, "cloud"),
        initial_fleet=conditions.initial_fleet,
    )
    before = len(cloud.observe().instances)
    cloud.apply(Actions("one", launch={"c5.large/spot": 30}))
    cloud.advance(scene.workload.start_s + 1e-3)
    instances = cloud.observe().instances
    assert len(instances) == before + 30
    assert {instance.state for instance in instances} == {InstanceState.READY}


def test_even_requests_are_as_many_in_every_interval_and_evenly_spaced():
    world, conditions = small_world()
    scene = with_even_requests(world.scene)
    seed = seed_sequence(0, "cloud")
    rates = scene.cloud.realized_rates(scene.workload, 60.0, seed)
    assert rates.rate_rps.tolist() == conditions.realized.rate_rps.tolist()
    start_s = scene.workload.start_s
    times_s = scene.workload.new_arrivals().arrivals(start_s, start_s + 60.0, generator(0, "cloud"))
    assert np.ptp(np.diff(times_s)) < 1e-9
    assert start_s < times_s[0] < times_s[-1] < start_s + 60.0
    demand = np.array([1.0, 50.0, 1e4])
    assert np.allclose(scene.required_throughput.at(demand, {"c5.large": 1.0}), demand)
    assert {offer.service_time_cv for offer in scene.offers} == {0.0}


def test_a_factor_scales_required_throughput_but_never_below_the_demand():
    scene = small_world()[0].scene
    assert with_required_factor(scene, 1.0) is scene
    demand, mix = np.array([5.0, 60.0, 2000.0]), {"c5.large": 1.0}
    was = scene.required_throughput.at(demand, mix)
    more = with_required_factor(scene, 1.5).required_throughput.at(demand, mix)
    assert np.allclose(more, 1.5 * was)
    least = with_required_factor(scene, 0.01).required_throughput.at(demand, mix)
    assert np.allclose(least, demand)


def test_a_program_split_whole_sums_and_has_its_solver_gap():
    world, conditions = small_world(*TAKEN, "planner.mip_rel_gap=0.2", planner="program")
    assert changes(Swap.SOLVER_GAP, world)
    found = attribute("program", world, conditions, AttributionSettings(reverse=False))
    assert sum(loss.usd for loss in found.losses) == pytest.approx(found.total_usd, abs=1e-9)
    assert found.reruns[0].interruptions > 0
    assert found.reruns[2].interruptions == 0
    assert found.loss("interruptions").usd > 0.0
    assert found.bound_without_boots_usd <= found.bound_usd


def test_a_planner_without_gap_is_the_same_but_for_its_limits():
    program = Program(mip_rel_gap=0.01, time_limit_s=1.0, headroom=1.1)
    assert without_gap(program) == replace(program, mip_rel_gap=0.0, time_limit_s=None)
    wrapped = WithStandbys(program, "t2.medium/burstable", 3)
    assert without_gap(wrapped) == replace(wrapped, planner=without_gap(program))
    for exact in (Greedy(), Proportional(1.0), Program(mip_rel_gap=0.0)):
        assert without_gap(exact) is exact


def test_without_a_bound_there_is_nothing_to_attribute():
    world, conditions = fluid_world()
    without = replace(conditions, clairvoyant_bound_usd=None)
    for fails in (
        lambda: attribute("toy", world, without),
        lambda: recorded(world.scene, without, world.forecaster),
    ):
        with pytest.raises(ConfigError, match="needs a clairvoyant bound"):
            fails()


def test_a_run_attributes_its_loss_when_asked_and_is_otherwise_the_same(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    settings = (*SMALL, "planner=greedy")
    assert main(["run", "output=plain", *settings]) == 0
    assert main(["run", "attribute_loss=true", "output=split", *settings]) == 0
    for name in ("intervals.parquet", "decisions.jsonl", "config.yaml"):
        assert (tmp_path / "plain" / name).read_bytes() == (tmp_path / "split" / name).read_bytes()
    summary = json.loads((tmp_path / "split" / "summary.json").read_text())
    losses = summary.pop("loss_usd")
    assert summary == json.loads((tmp_path / "plain" / "summary.json").read_text())
    over_usd = summary["cost_usd"]["total"] - summary["clairvoyant_bound_usd"]
    assert sum(losses.values()) == pytest.approx(over_usd, abs=1e-9)
    files = read_episode(tmp_path / "split")
    assert list(files.attribution["part"]) == list(PARTS) == list(losses)
    runs = pd.read_csv(tmp_path / "split" / "attribution_runs.csv")
    assert runs["cost_usd"].iloc[0] == summary["cost_usd"]["total"]
    assert runs["attainment"].iloc[0] == summary["slo"]["attainment"]
    assert set(runs["order"]) == {"forward", "reverse", "end"}
    page = (tmp_path / "split" / "report.html").read_text(encoding="utf-8")
    assert "Where the loss comes from" in page
    assert "Where the loss comes from" not in (tmp_path / "plain" / "report.html").read_text()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["run", "attribute_loss=2"], "attribute_loss: must be true or false"),
        (["compare", "attribute_loss=true"], "attribute_loss: only markopt run"),
    ],
)
def test_a_wrong_switch_is_named(arguments, message, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main([*arguments, *SMALL]) == 2
    assert message in capsys.readouterr().err


# --- the computed ends of the series ---


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10_000), st.booleans())
def test_the_ideal_in_whole_instances_is_that_of_enumeration(seed, with_function):
    rng = np.random.default_rng(seed)
    scene = ToyParts(function=FUNCTION if with_function else None).scene(0)
    offers = [EIGHT[k] for k in rng.choice(4, 2, replace=False)]
    scene = replace(scene, offers=tuple(offers))
    rates = rng.uniform(0.0, 150.0, 4)
    found = ideal_cost(scene, RateSeries(0.0, 60.0, rates))
    least = fractional = 0.0
    spill_usd = FUNCTION.price_usd_per_request if with_function else np.inf
    for rate in rates:
        best = np.inf
        for counts in itertools.product(range(8), repeat=2):
            served = sum(n * o.saturation_rps for n, o in zip(counts, offers, strict=True))
            left = max(rate - served, 0.0)
            held = sum(n * o.price_usd_per_s for n, o in zip(counts, offers, strict=True))
            best = min(best, 60.0 * (held + (left * spill_usd if left else 0.0)))
        least += best
        cheapest = min(o.price_usd_per_s / o.saturation_rps for o in offers)
        fractional += 60.0 * rate * min(cheapest, spill_usd)
    assert found.whole_usd == pytest.approx(least, rel=1e-6)
    assert found.fractional_usd == pytest.approx(fractional)
    assert found.fractional_usd <= found.whole_usd + 1e-9


def test_the_bound_without_boots_is_no_more_than_the_bound():
    world, conditions = fluid_world(intervals=30)
    free = perfect_foresight(
        world.scene, conditions.realized, conditions.initial_fleet, boots=False
    )
    assert free.total_usd <= conditions.clairvoyant_bound_usd + 1e-9
    assert float(free.interval_usd.sum()) == pytest.approx(free.total_usd)
