import json
import math
import os
import subprocess
import sys

import pyarrow.parquet as parquet
import pytest
from hypothesis import given
from hypothesis import strategies as st

from markopt.composition import compose
from markopt.evaluation.provenance import (
    changes,
    code_sha256,
    data_files,
    from_plain,
    machine,
    plain,
    provenance,
)
from markopt.evaluation.results import ORIGIN, write_episode
from markopt.resources import shipped_folder
from tests.evaluation.synthetic import episode

VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.text("abc", max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("xyz", min_size=1), inner),
    max_leaves=8,
)


def config(path="trace.csv", **others):
    return {"workload": {"path": str(path), "scale": 1.0}, **others}


@pytest.fixture
def trace(tmp_path):
    path = tmp_path / "trace.csv"
    path.write_text("second,requests\n0,1\n")
    return path


@given(st.dictionaries(st.text("xyz", min_size=1), VALUES, max_size=4))
def test_a_configuration_survives_json(document):
    text = json.dumps(plain(document), allow_nan=False)
    assert from_plain(json.loads(text)) == document


def test_not_a_number_survives_json_too():
    text = json.dumps(plain({"x": math.nan}), allow_nan=False)
    assert math.isnan(from_plain(json.loads(text))["x"])


def test_the_fingerprint_follows_from_configuration_and_content(trace):
    base = provenance(config(trace))
    assert provenance(config(trace)) == base
    assert provenance(config(trace, seed=1))["fingerprint"] != base["fingerprint"]
    trace.write_text("second,requests\n0,2\n")
    changed = provenance(config(trace))
    assert changed["config_sha256"] == base["config_sha256"]
    assert changed["data_sha256"] != base["data_sha256"]
    assert changed["fingerprint"] != base["fingerprint"]


def test_the_order_of_keys_does_not_matter():
    one, other = {"a": 1, "b": {"c": 2, "d": 3}}, {"b": {"d": 3, "c": 2}, "a": 1}
    assert provenance(one) == provenance(other)


def test_a_folder_counts_as_all_its_files(tmp_path):
    (tmp_path / "one.yaml").write_text("a: 1")
    known = {"catalog": {"profiles": str(tmp_path)}}
    before = provenance(known)["fingerprint"]
    (tmp_path / "two.yaml").write_text("b: 2")
    assert provenance(known)["fingerprint"] != before


def test_code_outside_the_package_counts(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "my_planner.py").write_text("class Mine: ...\n")
    known = {"planner": {"_target_": "my_planner.Mine"}}
    before = provenance(known)
    (tmp_path / "my_planner.py").write_text("class Mine: size = 3\n")
    after = provenance(known)
    assert before["code_sha256"] != after["code_sha256"]
    assert before["config_sha256"] == after["config_sha256"]
    assert before["version"] == after["version"]


def test_changes_are_named(trace):
    base = provenance(config(trace))
    assert changes(base, base) == []
    older = {**base, "version": "0.0.9", "files": {**base["files"], str(trace): "0" * 64}}
    told = changes(older, base)
    assert len(told) == 2
    assert "0.0.9" in told[0]
    assert str(trace) in told[1]
    assert "code differs" in changes({**base, "code_sha256": "0"}, base)[0]


def test_names_that_are_no_files_are_left_alone():
    # 'spot' and 'traces' are folders of the shipped data, but these keys name no files.
    found = data_files({"catalog": {"purchase": ["on_demand", "spot"]}, "name": "traces"})
    assert set(found) == {"spot/on_demand.yaml"}


def test_every_default_data_file_is_found():
    from omegaconf import OmegaConf

    found = data_files(OmegaConf.to_container(compose([]).config, resolve=True))
    assert set(found) >= {"traces/sample.csv.gz", "catalog/aws-us-east-1-2019.yaml", "profiles"}


def test_machine_and_code_are_told():
    known = machine()
    assert known["cores"] >= 1
    assert known["libraries"]["numpy"]
    assert len(code_sha256()) == 64
    json.dumps(known, allow_nan=False)


def test_tables_carry_where_they_come_from(tmp_path):
    result = episode()
    write_episode(result, tmp_path)
    for name in ("intervals.parquet", "latency.parquet"):
        origin = json.loads(parquet.read_schema(tmp_path / name).metadata[ORIGIN])
        assert origin["config"] == result.config
        assert origin["seed"] == result.seed
    timing = json.loads((tmp_path / "timing.json").read_text())
    assert timing["machine"]["python"] == machine()["python"]


WATCHED = """
import json, pathlib, sys
opened = set()
sys.addaudithook(lambda event, args: opened.add(str(args[0])) if event == "open" else None)
from markopt.cli import main
assert main(sys.argv[2:]) == 0
data = pathlib.Path(sys.argv[1])
print(json.dumps(sorted(p for p in opened if p.startswith(str(data)) or p == "trace.csv")))
"""


def test_every_data_file_that_a_run_reads_is_in_its_provenance(tmp_path):
    rows = [f"{10 * k},{250 + 100 * (k % 7)}" for k in range(360)]
    (tmp_path / "trace.csv").write_text("\n".join(["second,requests", *rows]) + "\n")
    data = shipped_folder("data").resolve()
    arguments = ["planner=greedy", "forecaster=last_value", "catalog.instance_types=[c5.large]"]
    arguments += ["catalog.batching=none", "workload.path=trace.csv", "workload.history_s=1800"]
    arguments += ["workload.evaluate_s=120", "catalog.purchase=[on_demand,spot]", "output=out"]
    arguments += ["cloud/market=generated_prices", "controller.horizon=3", "controller.samples=5"]
    done = subprocess.run(
        [sys.executable, "-c", WATCHED, str(data), "run", *arguments],
        cwd=tmp_path,
        env={**os.environ, "MARKOPT_CACHE": str(tmp_path / "cache")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    opened = json.loads(done.stdout.splitlines()[-1])
    assert any("traces" in path or path == "trace.csv" for path in opened)
    assert any("prices_2015" in path for path in opened), opened
    summary = json.loads((tmp_path / "out" / "summary.json").read_text())
    known = set(summary["provenance"]["files"])
    for path in opened:
        name = path.removeprefix(f"{data}/")
        assert name in known or name.partition("/")[0] in known, path
