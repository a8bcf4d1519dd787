"""The fits of spot markets find what data were made from; their figure draws what they write."""

import json
import os
import runpy
from pathlib import Path

import numpy as np
import pytest
import yaml

from markopt.cloud.simulated.markets import AvailabilityTrace, PricePath
from markopt.cloud.simulated.markets.durations import FAMILIES, Durations
from markopt.cloud.simulated.markets.price_model import (
    BaseProcess,
    PriceProcess,
    SpikeProcess,
    draw_path,
)

ROOT = Path(__file__).resolve().parent.parent
BASE = BaseProcess(600.0, level=0.15, lag_1=0.6, lag_2=0.2, sd=0.02, floor=0.12, ceiling=0.3)


@pytest.fixture(scope="module")
def fits():
    return runpy.run_path(str(ROOT / "experiments" / "fit_spot_markets.py"))


@pytest.mark.parametrize(
    ("family", "shape"), [("exponential", None), ("weibull", 0.6), ("lognormal", 1.4)]
)
def test_the_family_that_durations_were_drawn_from_is_found_with_its_parameters(
    fits, family, shape
):
    sample = Durations(family, 3000.0, shape).draw(np.random.default_rng(1), 3000)
    table = fits["compare_families"](sample)
    others = [name for name in FAMILIES if name != family]
    # Weibull contains the exponential family, and may gain a little by chance.
    assert table[family]["aic"] < min(table[name]["aic"] for name in others) + 4.0
    fitted = fits["fit_durations"](sample, family)
    assert fitted.mean_s == pytest.approx(3000.0, rel=0.15)
    assert fitted.shape is None or fitted.shape == pytest.approx(shape, rel=0.06)


def test_a_generated_price_gives_back_its_process(fits):
    spikes = SpikeProcess(
        Durations("lognormal", 20_000.0, 1.0),
        Durations("weibull", 2000.0, 0.8),
        (0.6, 1.5, 4.0),
        correlation=0.5,
    )
    rng = np.random.default_rng(3)
    path = draw_path(PriceProcess(BASE, spikes), start_s=0.0, end_s=3e7, rng=rng)
    found = fits["fit_pool"](path, 0.0)
    assert found.base.level == pytest.approx(0.15, rel=0.01)
    assert found.base.lag_1 == pytest.approx(0.6, abs=0.03)
    assert found.base.sd == pytest.approx(0.02, rel=0.05)
    assert found.spikes.calm.mean_s == pytest.approx(20_000.0, rel=0.1)
    assert found.spikes.duration.mean_s == pytest.approx(2000.0, rel=0.1)
    assert found.spikes.height_quantiles[5] == pytest.approx(1.5, rel=0.15)
    assert found.spikes.correlation == pytest.approx(0.5, abs=0.12)
    assert fits["behaviour"](path)["above"][-1] == 0.0


def test_a_price_without_spikes_has_none_in_its_fit(fits):
    path = PricePath(np.array([0.0, 1e6]), np.array([0.1, 0.11]), 2e6)
    assert fits["fit_pool"](path, 0.0).spikes is None


def test_events_together_are_counted_beyond_chance_only(fits):
    rng = np.random.default_rng(2)
    one, other = (np.sort(rng.uniform(0.0, 1e7, 2000)) for _ in range(2))
    assert fits["excess"](one, other, 1e7) == pytest.approx(0.0, abs=0.05)
    assert fits["excess"](one, one, 1e7) == pytest.approx(1.0)
    half = np.sort(np.concatenate([one[::2], other[:1000]]))
    assert fits["excess"](one, half, 1e7) == pytest.approx(0.5, abs=0.05)


def test_spells_and_falls_of_a_trace_are_those_seen(fits):
    trace = AvailabilityTrace(
        "made up", np.arange(7) * 100.0, np.array([0, 4, 1, 0, 2, 2, 0]), 700.0
    )
    starts_s, lengths_s = fits["runs_of"](trace, up=True)
    assert (starts_s.tolist(), lengths_s.tolist()) == ([100.0, 400.0], [200.0, 200.0])
    starts_s, lengths_s = fits["runs_of"](trace, up=False)
    assert (starts_s.tolist(), lengths_s.tolist()) == ([300.0], [100.0])
    times_s, shares = fits["falls_of"](trace)
    assert times_s.tolist() == [200.0, 300.0, 600.0]
    assert shares.tolist() == [0.75, 1.0, 1.0]


def test_the_figure_draws_what_the_fits_write(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    curve = {"times_s": [60.0, 600.0, 6000.0], "observed": [1.0, 0.5, 0.1]}
    curve |= {family: [0.9, 0.5, 0.2] for family in FAMILIES}
    monkeypatch.syspath_prepend(str(ROOT / "paper_figs"))
    figure = runpy.run_path(str(ROOT / "paper_figs" / "spot_fits.py"))
    maxima = [0.25, 0.5, 1.0, 2.0, 5.0]
    side = {"per_h": [0.5, 0.4, 0.3, 0.2, 0.0], "quantiles": np.linspace(0.1, 5.0, 21).tolist()}
    pool = {
        "observed": side,
        "fitted": side,
        "lags_s": [600.0, 6000.0],
        "autocorrelation": [0.9, 0.2],
        "autocorrelation_fitted": [0.8, 0.1],
    }
    document = {
        "maxima": maxima,
        "durations": {"v100_1 down": curve, "v100_1 up": curve},
        "prices_2015": dict.fromkeys(figure["POOLS"], pool),
        "prices_2021": {"c5.large": {"observed": [side["quantiles"]], "fitted": side["quantiles"]}},
    }
    Path("fits.json").write_text(json.dumps(document))
    assert figure["main"](["fits.json", "one.svg"]) == 0
    assert "<svg" in Path("one.svg").read_text()
    assert figure["main"](["fits.json"]) == 2


def test_the_shipped_parameters_are_the_fit_to_the_real_traces(fits):
    folder = Path(os.environ.get("MARKOPT_DATA", ROOT.parent / "shared" / "data")) / "spot"
    if not folder.is_dir():
        pytest.skip(f"the real spot records are not at {folder}")
    document, _, _ = fits["fit_capacity"](folder)
    shipped = yaml.safe_load((ROOT / "data" / "spot" / "availability.yaml").read_text())
    assert shipped["levels"] == document["levels"]
    assert shipped["families"]["v100_1"]["down_durations"]["mean_s"] == pytest.approx(
        document["families"]["v100_1"]["down_durations"]["mean_s"], rel=1e-6
    )
    assert set(shipped["traces"]) == set(document["traces"])
