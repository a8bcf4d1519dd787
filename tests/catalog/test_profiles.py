from __future__ import annotations

import pickle
import shutil
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import yaml
from hydra.utils import instantiate
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from omegaconf import OmegaConf

from markopt.catalog import ProfileBook, load_catalog, load_profiles, monotone_envelope
from markopt.core import Profile, Service
from markopt.errors import CatalogError, DataError
from markopt.resources import resolve_data_path, shipped_folder
from tests.catalog.conftest import Write

INFERALL = {
    "caffenet": "caffenet",
    "squeezenet": "squeeznet",
    "vgg16": "vggnet16",
    "inception_bn": "inception",
    "resnet200": "resnet200",
}
MXNET = {
    "inception_v3": "inception_v3",
    "inception_v3_mxnet": "inception_v3",
    "inception_bn": "inception_bn",
    "vgg16": "vgg16",
}
ENCODERS = [
    "albert_base_v2",
    "bert_base_uncased",
    "bert_large_uncased",
    "distilbert_base_uncased",
    "roberta_base",
    "vit_base_patch16_224",
]


@pytest.fixture(scope="module")
def book() -> ProfileBook:
    return load_profiles("profiles")


def test_every_service_has_a_profile_and_a_config_of_its_name(book: ProfileBook) -> None:
    files = sorted(path.stem for path in resolve_data_path("profiles").glob("*.yaml"))
    assert book.services() == files
    configs = sorted(path.stem for path in (shipped_folder("conf") / "service").glob("*.yaml"))
    assert configs == files
    assert {*INFERALL, *MXNET, *ENCODERS, "nasnet", "opennmt", "lstm_ptb"} == set(files)


@pytest.mark.parametrize(
    ("service", "platform", "batch", "capacity_per_min"),
    [
        ("inception_v3", "c5.large", 1, 284),
        ("inception_v3", "c5.xlarge", 1, 490),
        ("inception_v3", "c5.2xlarge", 1, 771),
        ("inception_v3", "c5.4xlarge", 1, 1080),
        ("inception_v3", "p2.xlarge", 8, 3320),
        ("nasnet", "c5.xlarge", 1, 85),
        ("nasnet", "c5.2xlarge", 1, 135),
        ("nasnet", "c5.4xlarge", 1, 187),
        ("nasnet", "p2.xlarge", 8, 760),
        ("opennmt", "c5.xlarge", 2, 80),
        ("opennmt", "c5.2xlarge", 2, 108),
        ("opennmt", "c5.4xlarge", 2, 150),
        ("opennmt", "p2.xlarge", 8, 640),
        ("lstm_ptb", "c5.xlarge", 1, 3100),
    ],
)
def test_mark_capacities_are_those_of_its_released_code(
    book: ProfileBook, service: str, platform: str, batch: int, capacity_per_min: int
) -> None:
    profile = book.of(service)[platform]
    assert profile.confidence == "code"
    assert profile.batch_sizes == (batch,)
    assert 60.0 * batch / profile.service_time_s(batch) == pytest.approx(capacity_per_min)


def test_lambda_for_inception_v3_is_assumed_and_says_so(book: ProfileBook) -> None:
    profile = book.of("inception_v3")["lambda/3008"]
    assert profile.service_time_s(1) == 0.40
    assert profile.confidence == "assumed"
    assert "2.8" in profile.source


@pytest.mark.parametrize(
    ("service", "platform", "batch", "time_ms"),
    [
        ("inception_bn", "c5.large", 1, 35),
        ("inception_bn", "lambda/3008", 1, 144),
        ("inception_bn", "c5.2xlarge", 256, 210),
        ("caffenet", "c5.xlarge", 2, 30),
        ("squeezenet", "lambda/1024", 128, 330),
        ("vgg16", "c5.large", 1, 242),
        ("resnet200", "lambda/2048", 256, 1100),
        ("inception_v3", "p3.2xlarge", 8, 17.581),
        ("inception_v3_mxnet", "c5.xlarge", 1, 99.108),
    ],
)
def test_round_figures_of_the_published_tables(
    book: ProfileBook, service: str, platform: str, batch: int, time_ms: float
) -> None:
    profile = book.of(service)[platform]
    assert profile.service_time_s(batch) * 1000.0 == pytest.approx(time_ms)
    assert profile.confidence == "measured"


def test_standby_profile_is_the_cpu_profile_times_a_named_factor(book: ProfileBook) -> None:
    for service in ("inception_v3", "inception_bn"):
        large, standby = (book.of(service)[name] for name in ("c5.large", "t2.medium"))
        assert standby.batch_sizes == large.batch_sizes
        ratios = [
            s / t for s, t in zip(standby.service_times_s, large.service_times_s, strict=True)
        ]
        assert ratios == pytest.approx([1.5] * len(ratios))
        assert standby.confidence == "assumed"
        assert "c5.large x 1.5" in standby.source


def test_profiles_can_be_kept_to_measured_ones(book: ProfileBook) -> None:
    measured = book.of("inception_bn", confidences={"measured"})
    assert set(book.of("inception_bn")) - set(measured) == {"t2.medium"}
    assert {"c5.large", "p2.xlarge", "g3.4xlarge", "p3.2xlarge", "lambda/3008"} <= set(measured)


def test_every_platform_is_on_sale_in_a_catalogue(book: ProfileBook) -> None:
    catalogs = [load_catalog(f"catalog/aws-us-east-1-{year}.yaml") for year in (2019, 2026)]
    for service in book.services():
        platforms = set(book.of(service))
        on_sale = []
        for catalog in catalogs:
            assert catalog.functions is not None
            on_sale.append({*catalog.names(), *(size.name for size in catalog.functions.sizes)})
        assert any(platforms <= names for names in on_sale), service


def test_service_configs_instantiate_and_can_be_met(book: ProfileBook) -> None:
    for path in sorted((shipped_folder("conf") / "service").glob("*.yaml")):
        service = instantiate(OmegaConf.load(path))
        assert isinstance(service, Service)
        assert service.name == path.stem
        assert (service.slo.sl_min, service.slo.window_s) == (0.98, 3600)
        profiles = book.of(service.name).values()
        fast = [
            p.platform
            for p in profiles
            if p.service_times_s[0] < service.slo.rt_max_s and "lambda" not in p.platform
        ]
        assert len(fast) >= (1 if service.name == "lstm_ptb" else 2)


@pytest.mark.parametrize(
    ("service", "rt_max_s"),
    [
        ("inception_v3", 0.5),
        ("inception_bn", 0.2),
        ("nasnet", 2.0),
        ("opennmt", 2.0),
        ("lstm_ptb", 0.1),
        ("resnet200", 1.0),
        ("vgg16", 1.0),
    ],
)
def test_latency_bounds_are_the_documented_defaults(service: str, rt_max_s: float) -> None:
    config = OmegaConf.load(shipped_folder("conf") / "service" / f"{service}.yaml")
    assert config.slo.rt_max_s == rt_max_s


def test_unknown_service_is_an_error_that_lists_what_exists(book: ProfileBook) -> None:
    with pytest.raises(CatalogError) as error:
        book.of("incepton_v3")
    assert "\n" not in str(error.value)
    assert "Service 'incepton_v3' does not exist (did you mean 'inception_v3'?)" in str(error.value)
    for service in book.services():
        assert service in str(error.value)
    with pytest.raises(CatalogError, match="'zzz' does not exist; there are"):
        book.of("zzz")


def test_book_survives_pickling(book: ProfileBook) -> None:
    assert pickle.loads(pickle.dumps(book)) == book


def test_small_profile_file_is_read_as_written(
    profile_document: dict[str, Any], write: Write
) -> None:
    book = load_profiles(write(profile_document))
    assert book.services() == ["tiny"]
    profiles = book.of("tiny")
    assert list(profiles) == ["c5.large", "p2.xlarge", "t2.medium"]
    assert profiles["c5.large"].service_times_s == (0.01, 0.03, 0.02)
    assert profiles["c5.large"].service_time_cv == 0.02
    assert profiles["c5.large"].source == "A bench.; service_time_cv 0.02 assumed: A guess."
    assert profiles["p2.xlarge"].service_times_s == (0.5,)
    assert profiles["p2.xlarge"].service_time_cv == 0.1
    assert profiles["p2.xlarge"].source == "A bench."
    assert profiles["t2.medium"].service_times_s == pytest.approx((0.015, 0.045, 0.03))


def test_capacity_of_several_servers_is_shared_among_them(
    profile_document: dict[str, Any], write: Write
) -> None:
    profile_document["entries"]["p2.xlarge"]["servers"] = 4
    profile = load_profiles(write(profile_document)).of("tiny")["p2.xlarge"]
    assert profile.servers == 4
    assert profile.servers * 8 / profile.service_time_s(8) * 60.0 == pytest.approx(960)


def test_service_given_by_two_files_is_an_error(
    profile_document: dict[str, Any], write: Write
) -> None:
    path = write(profile_document)
    shutil.copy(path, path.with_name("again.yaml"))
    with pytest.raises(DataError, match=r"written\.yaml: service: .*'tiny'.*again\.yaml"):
        load_profiles(path.parent)


curves = st.lists(st.floats(0.1, 1e4), min_size=1, max_size=8)


@settings(
    max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(times_ms=curves, factor=st.floats(0.1, 10.0))
def test_any_positive_curve_is_read_and_scaled_exactly(
    profile_document: dict[str, Any], tmp_path: Path, times_ms: list[float], factor: float
) -> None:
    sizes = [2**i for i in range(len(times_ms))]
    profile_document["entries"]["c5.large"].update(batch_sizes=sizes, service_times_ms=times_ms)
    profile_document["entries"]["t2.medium"]["time_factor"] = factor
    path = tmp_path / "drawn.yaml"
    path.write_text(yaml.safe_dump(profile_document), encoding="utf-8")
    profiles = load_profiles(path).of("tiny")
    for size, time_ms in zip(sizes, times_ms, strict=True):
        assert profiles["c5.large"].service_time_s(size) == time_ms / 1000.0
        assert profiles["t2.medium"].service_time_s(size) == factor * (time_ms / 1000.0)


@given(times_ms=curves)
def test_envelopes_are_monotone_and_enclose_the_curve(times_ms: list[float]) -> None:
    profile = Profile("s", "p", tuple(range(1, len(times_ms) + 1)), tuple(times_ms))
    upper, lower = monotone_envelope(profile), monotone_envelope(profile, side="lower")
    for envelope in (upper, lower):
        times = list(envelope.service_times_s)
        assert times == sorted(times)
        assert monotone_envelope(envelope) == envelope
    for low, time, high in zip(lower.service_times_s, times_ms, upper.service_times_s, strict=True):
        assert low <= time <= high
    assert upper.service_times_s[-1] == max(times_ms)
    assert lower.service_times_s[0] == min(times_ms)


def test_curve_that_is_not_monotone_loads_and_its_envelope_is_the_callers_choice(
    book: ProfileBook,
) -> None:
    profile = book.of("caffenet")["c5.xlarge"]
    assert profile.service_times_s[:4] == (0.020, 0.030, 0.022, 0.024)
    assert monotone_envelope(profile).service_times_s[:4] == (0.020, 0.030, 0.030, 0.030)
    lower = monotone_envelope(profile, side="lower")
    assert lower.service_times_s[:4] == (0.020, 0.022, 0.022, 0.024)
    with pytest.raises(DataError, match="'upper' or 'lower', got 'middle'"):
        monotone_envelope(profile, side="middle")  # type: ignore[arg-type]


def test_inferall_curves_agree_with_the_published_data(
    shared_data: Path, book: ProfileBook
) -> None:
    rows = pd.read_csv(shared_data / "profiles/profile_inferall_c5_lambda.csv.gz")
    rows = rows[rows.batch_size <= 256]
    for service, model in INFERALL.items():
        profiles = book.of(service)
        groups = rows[rows.model == model].groupby(["instance_type_inferred", "memory_mib"])
        assert groups.ngroups >= 4
        for (kind, memory_mb), group in groups:
            profile = profiles[f"lambda/{memory_mb}" if kind == "lambda" else kind]
            assert list(profile.batch_sizes) == list(group.batch_size)
            times_ms = [1000.0 * time for time in profile.service_times_s]
            assert times_ms == pytest.approx(list(group.latency_ms))


def test_mxnet_curves_agree_with_the_published_data(shared_data: Path, book: ProfileBook) -> None:
    rows = pd.read_csv(shared_data / "profiles/profile_mxnet_1.2_ec2.csv.gz")
    for service, model in MXNET.items():
        profiles = {p: v for p, v in book.of(service).items() if "MXNet 1.2" in v.source}
        assert {"g3.4xlarge", "p3.2xlarge"} <= set(profiles)
        for platform, profile in profiles.items():
            group = rows[
                (rows.model == model)
                & (rows.instance_type == platform)
                & (rows.precision == "fp32")
            ]
            assert list(profile.batch_sizes) == list(group.batch_size)
            for row in group.itertuples():
                time_s = profile.service_time_s(row.batch_size)
                assert 1000.0 * time_s == pytest.approx(row.batch_latency_ms_derived)
                assert row.batch_size / time_s == pytest.approx(row.images_per_second, rel=1e-3)
    assert len(book.of("inception_v3_mxnet")) == rows.instance_type.nunique()


def test_encoder_times_and_dispersion_agree_with_the_published_data(
    shared_data: Path, book: ProfileBook
) -> None:
    rows = pd.read_csv(shared_data / "profiles/profile_philschmid_encoders_2023.csv.gz")
    assert set(rows.model) == set(ENCODERS)
    at_128 = rows[(rows.sequence_length_tokens == 128) | rows.sequence_length_tokens.isna()]
    for model, group in at_128.groupby("model"):
        profiles = book.of(str(model))
        assert set(profiles) == set(group.instance_type)
        for row in group.itertuples():
            profile = profiles[row.instance_type]
            assert 1000.0 * profile.service_time_s(1) == pytest.approx(row.latency_mean_ms)
            cv = row.latency_std_ms / row.latency_mean_ms
            assert profile.service_time_cv == pytest.approx(cv, abs=5.1e-5)


def test_assumed_dispersion_is_of_the_size_of_the_measured_one(
    shared_data: Path, book: ProfileBook
) -> None:
    rows = pd.read_csv(shared_data / "profiles/profile_philschmid_encoders_2023.csv.gz")
    measured = rows.latency_std_ms / rows.latency_mean_ms
    assumed = book.of("inception_v3")["c5.large"].service_time_cv
    assert measured.mean() < assumed < measured.quantile(0.9)
    assert len(measured) == 137


def test_example_in_the_readme_loads(tmp_path: Path) -> None:
    readme = (resolve_data_path("profiles") / "README.md").read_text(encoding="utf-8")
    path = tmp_path / "example.yaml"
    path.write_text(readme.split("```yaml\n")[1].split("```")[0], encoding="utf-8")
    profiles = load_profiles(path).of("my_model")
    assert profiles["c6i.large"].service_times_s == (0.021, 0.033, 0.06)
    assert profiles["c6i.xlarge"].service_times_s == (0.4,)
    assert profiles["m5.large"].service_times_s[0] == pytest.approx(1.2 * 0.021)
