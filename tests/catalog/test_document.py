from __future__ import annotations

from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest

from markopt.catalog import load_catalog, load_profiles
from markopt.errors import CatalogError, DataError
from tests.catalog.conftest import Write

DELETE = object()


def changed(document: dict[str, Any], keys: tuple[Any, ...], value: Any) -> dict[str, Any]:
    result = deepcopy(document)
    part = result
    for key in keys[:-1]:
        part = part[key]
    if value is DELETE:
        del part[keys[-1]]
    else:
        part[keys[-1]] = value
    return result


def one_line(error: pytest.ExceptionInfo[Exception], *parts: str) -> None:
    message = str(error.value)
    assert "\n" not in message
    for part in parts:
        assert part in message


C5 = ("instance_types", "c5.large")
CATALOG_MISTAKES = [
    ((*C5, "on_demand_usd_per_h"), -0.5, ["greater than 0", "-0.5"]),
    ((*C5, "on_demand_usd_per_h"), 0, ["greater than 0", "got 0"]),
    ((*C5, "on_demand_usd_per_h"), float("nan"), ["finite", "nan"]),
    ((*C5, "on_demand_usd_per_h"), float("inf"), ["finite", "inf"]),
    ((*C5, "on_demand_usd_per_h"), "cheap", ["valid number", "'cheap'"]),
    ((*C5, "on_demand_usd_per_h"), True, ["valid number", "True"]),
    ((*C5, "on_demand_usd_per_h"), DELETE, ["required key is missing"]),
    ((*C5, "spot", "interruption_share_per_month"), 1.0, ["less than 1", "1.0"]),
    ((*C5, "spot", "zone_usd_per_h"), {"a": -1.0}, ["zone_usd_per_h.a", "-1.0"]),
    ((*C5, "confidence"), "sure", ["'measured'", "'sure'"]),
    (("launch", "delay_s"), -1, ["greater than or equal to 0", "-1"]),
    (("instance_types",), {}, ["at least 1"]),
    (("functions", "sizes"), [], ["at least 1"]),
    (("functions", "concurrency", "limit"), 1.5, ["valid integer", "1.5"]),
    (("functions", "sizes", 1, "cold_start_s"), -2, ["greater than or equal to 0", "-2"]),
]


@pytest.mark.parametrize(("keys", "value", "parts"), CATALOG_MISTAKES)
def test_catalog_error_names_file_key_and_value(
    catalog_document: dict[str, Any],
    write: Write,
    keys: tuple[Any, ...],
    value: Any,
    parts: list[str],
) -> None:
    path = write(changed(catalog_document, keys, value))
    with pytest.raises(CatalogError) as error:
        load_catalog(path)
    one_line(error, str(path), ".".join(map(str, keys)), *parts)


def test_misspelt_key_is_named_with_the_one_that_was_meant(
    catalog_document: dict[str, Any], write: Write
) -> None:
    entry = catalog_document["instance_types"]["c5.large"]
    entry["on_demnd_usd_per_h"] = entry.pop("on_demand_usd_per_h")
    path = write(catalog_document)
    with pytest.raises(CatalogError) as error:
        load_catalog(path)
    one_line(
        error,
        f"{path}: instance_types.c5.large.on_demnd_usd_per_h: unknown key",
        "did you mean 'on_demand_usd_per_h'?",
        "got 0.085",
    )


@pytest.mark.parametrize("share", [None, 0.1])
def test_spot_needs_exactly_one_form_of_hazard(
    catalog_document: dict[str, Any], write: Write, share: float | None
) -> None:
    spot = catalog_document["instance_types"]["c5.large"]["spot"]
    spot["interruption_share_per_month"] = share
    spot["interruption_per_h"] = None if share is None else 0.01
    path = write(catalog_document)
    with pytest.raises(CatalogError) as error:
        load_catalog(path)
    one_line(
        error, str(path), "instance_types.c5.large.spot.interruption_per_h: either", f"and {share}"
    )


def test_function_sizes_must_rise_within_the_largest_memory(
    catalog_document: dict[str, Any], write: Write
) -> None:
    sizes = catalog_document["functions"]["sizes"]
    sizes[0]["memory_mb"] = 4096
    with pytest.raises(CatalogError, match=r"functions\.sizes: .*must rise, got \[4096, 3008\]"):
        load_catalog(write(catalog_document))
    sizes[0]["memory_mb"], sizes[1]["memory_mb"] = 1024, 4096
    with pytest.raises(CatalogError, match=r"functions\.sizes: .*max_mb, 3008, got 4096"):
        load_catalog(write(catalog_document))


def test_baseline_beyond_the_vcpus_is_refused(
    catalog_document: dict[str, Any], write: Write
) -> None:
    catalog_document["instance_types"]["t2.medium"]["burst"]["baseline_vcpus"] = 2.5
    with pytest.raises(
        CatalogError, match=r"t2\.medium\.burst\.baseline_vcpus: .*vcpus, 2\.0, got 2\.5"
    ):
        load_catalog(write(catalog_document))


PROFILE_MISTAKES = [
    ("batch_sizes", DELETE, ["batch_sizes: required key is missing", "service_times_ms"]),
    ("batch_sizes", [1, 4], ["batch_sizes: needs one figure for each", "3 figures for [1, 4]"]),
    ("batch_sizes", [1, 4, 2], ["batch_sizes: must rise", "[1, 4, 2]"]),
    ("batch_sizes", [0, 2, 4], ["batch_sizes.0", "greater than or equal to 1", "got 0"]),
    ("service_times_ms", [10, -30, 20], ["service_times_ms.1", "greater than 0", "-30"]),
    ("service_times_ms", [10, float("nan"), 20], ["service_times_ms.1", "finite", "nan"]),
    ("service_times_ms", DELETE, ["service_times_ms: either", "got ['batch_sizes'"]),
    ("capacity_per_min", [1, 2, 3], ["service_times_ms: either", "capacity_per_min'"]),
    ("service_time_cv", 1.0, ["less than 1", "1.0"]),
    ("servers", 0, ["greater than or equal to 1", "got 0"]),
    ("time_factor", 2.0, ["time_factor: must be absent without scaled_from, got 2.0"]),
    ("scaled_from", "p2.xlarge", ["time_factor: required", "'p2.xlarge' alone"]),
    ("source", "bnch", ["must be a key of 'sources'", "did you mean 'bench'?", "'bnch'"]),
]


@pytest.mark.parametrize(("key", "value", "parts"), PROFILE_MISTAKES)
def test_profile_error_names_file_key_and_value(
    profile_document: dict[str, Any], write: Write, key: str, value: Any, parts: list[str]
) -> None:
    path = write(changed(profile_document, ("entries", "c5.large", key), value))
    with pytest.raises(DataError) as error:
        load_profiles(path)
    one_line(error, f"{path}: entries.c5.large", *parts)


def test_misspelt_profile_key_is_named(profile_document: dict[str, Any], write: Write) -> None:
    entry = profile_document["entries"]["c5.large"]
    entry["batchsizes"] = entry.pop("batch_sizes")
    with pytest.raises(
        DataError, match=r"entries\.c5\.large\.batchsizes: unknown key .*'batch_sizes'.*\[1, 2, 4\]"
    ):
        load_profiles(write(profile_document))


@pytest.mark.parametrize("base", ["c5.huge", "t2.medium"])
def test_scaling_needs_an_entry_with_a_curve(
    profile_document: dict[str, Any], write: Write, base: str
) -> None:
    profile_document["entries"]["t2.medium"]["scaled_from"] = base
    with pytest.raises(DataError, match=rf"t2\.medium\.scaled_from: .*got '{base}'"):
        load_profiles(write(profile_document))


@pytest.mark.parametrize("key", ["batch_sizes", "service_times_ms", "capacity_per_min"])
def test_scaled_entry_has_no_curve_of_its_own(
    profile_document: dict[str, Any], write: Write, key: str
) -> None:
    profile_document["entries"]["t2.medium"][key] = [1]
    with pytest.raises(DataError, match=rf"t2\.medium\.{key}: must be absent .*got \[1"):
        load_profiles(write(profile_document))


def test_dispersion_is_never_taken_for_granted(
    profile_document: dict[str, Any], write: Write
) -> None:
    del profile_document["dispersion"]
    with pytest.raises(DataError, match=r"c5\.large\.service_time_cv: required"):
        load_profiles(write(profile_document))


def test_duplicate_key_is_an_error_that_names_its_line(tmp_path: Path) -> None:
    path = tmp_path / "twice.yaml"
    path.write_text("service: a\nframework: b\nservice: c\n")
    with pytest.raises(DataError) as error:
        load_profiles(path)
    one_line(error, f"{path}: line 3: duplicate key 'service'")


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("a: [1, 2", "line"),
        ("- 1\n- 2\n", "must hold a mapping"),
        ("", "must hold a mapping"),
        ("? [1, 2]\n: 3\n", "unhashable"),
        ("!!python/object/apply:os.getcwd []\n", "could not determine a constructor"),
    ],
)
def test_text_that_is_no_document_is_a_one_line_error(tmp_path: Path, text: str, part: str) -> None:
    path = tmp_path / "broken.yaml"
    path.write_text(text)
    with pytest.raises(CatalogError) as error:
        load_catalog(path)
    one_line(error, str(path), part)


def test_missing_and_unreadable_files_are_named(tmp_path: Path) -> None:
    with pytest.raises(CatalogError, match=r"catalog/nowhere\.yaml: no such file"):
        load_catalog("catalog/nowhere.yaml")
    with pytest.raises(DataError, match=r"nowhere: no such file"):
        load_profiles("nowhere")
    with pytest.raises(DataError, match=r"at least one \*\.yaml file, got none"):
        load_profiles(tmp_path)
    with pytest.raises(CatalogError, match="cannot be read"):
        load_catalog(tmp_path)
    binary = tmp_path / "binary.yaml"
    binary.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(CatalogError, match="not UTF-8"):
        load_catalog(binary)


def test_scientific_notation_is_a_number(
    catalog_document: dict[str, Any], tmp_path: Path, write: Write
) -> None:
    path = write(catalog_document)
    text = path.read_text()
    assert "usd_per_invocation: 2.0e-07" in text
    path.write_text(text.replace("2.0e-07", "2e-7"))
    functions = load_catalog(path).functions
    assert functions is not None
    assert functions.price_usd_per_invocation == 2e-7
