import gzip
import importlib.util
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from markopt.workload import BurstClock, ModulatedTraceModel, Trace, read_model, read_trace

SCRIPT = Path(__file__).resolve().parents[2] / "experiments" / "fit_sample_trace.py"
TRUE = ModulatedTraceModel(
    level_rps=80.0,
    cosine=np.array([-0.2, 0.0, 0.0, 0.0]),
    sine=np.array([0.15, 0.0, 0.0, 0.0]),
    autoregression=np.array([0.5]),
    innovation_sd=0.02,
    noise_shape=400.0,
    bursts=(
        BurstClock(np.full(24, 0.3), 120.0, 120.0, 1.3, 0.1, 1.6, 400.0, 60.0, 100.0),
        BurstClock(np.full(24, 0.6), 1920.0, 60.0, 1.4, 0.1, 1.7, 400.0, 60.0, 100.0),
    ),
)


@pytest.fixture(scope="module")
def script() -> Iterator[ModuleType]:
    if not SCRIPT.is_file():
        pytest.skip("needs a checkout: experiments/ does not travel with the wheel")
    spec = importlib.util.spec_from_file_location("fit_sample_trace", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    # Dataclasses look their module up by name.
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    yield module
    del sys.modules[spec.name]


@pytest.fixture(scope="module")
def drawn() -> Trace:
    return TRUE.draw("true", 5 * 86400.0, 10.0, np.random.default_rng(4))


def test_the_fit_finds_the_model_that_a_trace_was_drawn_from(script, drawn):
    fitted = script.fit(drawn)
    assert fitted.level_rps == pytest.approx(80.0, rel=0.03)
    assert fitted.cosine[0] == pytest.approx(-0.2, abs=0.02)
    assert fitted.sine[0] == pytest.approx(0.15, abs=0.02)
    early, late = fitted.bursts
    assert early.probability.mean() == pytest.approx(0.3, abs=0.12)
    assert late.probability.mean() == pytest.approx(0.6, abs=0.12)
    assert 60.0 <= early.offset_s <= 180.0
    assert 1860.0 <= late.offset_s <= 1980.0
    assert late.log_height == pytest.approx(1.4, abs=0.15)
    assert late.plateau_s == pytest.approx(400.0, abs=100.0)


def test_a_trace_drawn_from_the_fit_looks_like_the_one_fitted_to(script, drawn):
    again = script.fit(drawn).draw("again", 5 * 86400.0, 10.0, np.random.default_rng(5))
    real, generated = script.figures(drawn), script.figures(again)
    assert generated["mean, requests/s"] == pytest.approx(real["mean, requests/s"], rel=0.1)
    assert generated["autocorrelation, 1 min"] == pytest.approx(
        real["autocorrelation, 1 min"], abs=0.05
    )
    late = "bursts a day, start at :30-:59"
    assert generated[late] == pytest.approx(real[late], rel=0.35)


def test_the_sample_and_the_model_are_read_back_as_written(script, drawn, tmp_path):
    first, second = tmp_path / "a.csv.gz", tmp_path / "b.csv.gz"
    script.write_sample(drawn, first)
    script.write_sample(drawn, second)
    assert first.read_bytes() == second.read_bytes()
    assert gzip.decompress(first.read_bytes()).startswith(b"second,requests\n0,")
    np.testing.assert_allclose(read_trace(first).rate_rps, drawn.rate_rps)
    script.write_model(TRUE, tmp_path / "model.yaml")
    back = read_model(tmp_path / "model.yaml")
    assert script.named(back.bursts[1]) == script.named(TRUE.bursts[1])
    np.testing.assert_array_equal(back.cosine, TRUE.cosine)
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "a.csv.gz",
        "b.csv.gz",
        "model.yaml",
    ]
