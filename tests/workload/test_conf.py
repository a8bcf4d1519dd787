from pathlib import Path

import numpy as np
import pytest
from hydra.utils import instantiate
from omegaconf import OmegaConf

from markopt.resources import shipped_folder
from markopt.workload import TraceWorkload, realised_rates

NAMES = sorted(path.stem for path in (shipped_folder("conf") / "workload").glob("*.yaml"))


def config_of(name: str):
    return OmegaConf.load(shipped_folder("conf") / "workload" / f"{name}.yaml")


def test_every_kind_of_workload_has_a_config():
    assert set(NAMES) >= {
        "sample", "trace", "twitter", "poisson", "mmpp", "map", "replay", "stress"
    }  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
def test_every_config_names_all_arguments_of_its_workload(name):
    config = config_of(name)
    for key in ("path",):
        if OmegaConf.is_missing(config, key):
            config[key] = "x.csv"
    builder = instantiate(config)
    assert set(config) - {"_target_"} == set(type(builder).__dataclass_fields__)


@pytest.mark.parametrize("name", ["sample", "poisson", "mmpp", "map", "stress"])
def test_every_config_that_needs_no_file_builds_and_draws(name):
    workload = instantiate(config_of(name)).build()
    rates = realised_rates(workload, 60.0, np.random.default_rng(1))
    assert rates.rate_rps.mean() > 20.0
    assert len(workload.history) >= 60


def test_the_sample_can_be_overridden_into_any_other_trace(write_trace):
    path = write_trace("second,requests\n" + "".join(f"{60 * k},600\n" for k in range(30)))
    config = config_of("sample")
    config.merge_with_dotlist(
        [f"path={path}", "gaps=interpolate", "history_s=600", "evaluate_s=1200", "scale=1.8"]
    )
    workload = instantiate(config).build()
    assert isinstance(instantiate(config), TraceWorkload)
    np.testing.assert_allclose(workload.history.rate_rps, 18.0)
    assert (workload.start_s, workload.end_s) == (600.0, 1800.0)


def test_the_twitter_config_finds_its_file_by_the_environment(monkeypatch):
    monkeypatch.setenv("MARKOPT_DATA", "elsewhere")
    path = Path(config_of("twitter").path)
    assert path.parent == Path("elsewhere/traces")
    monkeypatch.delenv("MARKOPT_DATA")
    assert Path(config_of("twitter").path).parent == Path("../shared/data/traces")
