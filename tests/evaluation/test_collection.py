"""``markopt collect``: whatever lies below a folder, as one table of a stable shape."""

import json
from pathlib import Path

import pyarrow.parquet as parquet
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from markopt.cli import main
from markopt.errors import DataError
from markopt.evaluation.collection import SCHEMA_KEY, collect
from markopt.evaluation.results import write_episode
from tests.evaluation.synthetic import episode


def write(base, name, config=None, **more):
    result = episode(**more)
    if config is not None:
        result.config.clear()
        result.config.update(config)
    (base / name).mkdir(parents=True)
    write_episode(result, base / name)
    return result


@pytest.fixture
def results(tmp_path):
    """Three episodes of two policies, one of them deeper than the others."""
    base = tmp_path / "results"
    planner = {"_target_": "markopt.planning.Program", "headroom": 1}
    write(base, "a", {"seed": 0, "planner": planner, "workload": {"scale": 2.0}})
    write(base, "b", {"seed": 1, "planner": {**planner, "headroom": 1.5}}, seed=1)
    write(base, "deep/er", {"seed": 0, "planner": planner}, policy="greedy", missed_share=0.05)
    return base


def test_every_summary_below_is_a_row(results):
    table = collect(results).table.to_pandas()
    assert list(table["folder"]) == ["a", "b", "deep/er"]
    assert list(table["policy"]) == ["program", "program", "greedy"]
    assert list(table["seed"]) == [0, 1, 0]
    summary = json.loads((results / "b" / "summary.json").read_text())
    assert table["cost_usd"][1] == summary["cost_usd"]["total"]
    assert table["latency_p98_s"][1] == summary["latency_s"]["p98"]
    assert table["requests"][1] == summary["requests"]["total"]
    assert list(table["met"]) == [True, True, False]
    assert json.loads(table["config"][0])["workload"] == {"scale": 2.0}


def test_what_varies_has_a_column_of_its_own(results):
    table = collect(results).table
    assert table["planner.headroom"].to_pylist() == [1.0, 1.5, 1.0]
    assert table["workload.scale"].to_pylist() == [2.0, None, None]
    assert "planner._target_" not in table.column_names


def test_the_first_columns_do_not_depend_on_what_is_collected(results, tmp_path):
    write(tmp_path / "other", "x", {"seed": 7}, seed=7)
    one, other = collect(results).table, collect(tmp_path / "other").table
    shared = other.column_names
    assert one.column_names[: len(shared)] == shared
    assert [one.schema.field(name).type for name in shared] == [f.type for f in other.schema]
    assert one.schema.metadata[SCHEMA_KEY] == b"markopt.collection/1"


def test_the_same_results_give_the_same_bytes(results, tmp_path):
    for name in ("one.parquet", "two.parquet"):
        assert main(["collect", str(results), "-o", str(tmp_path / name)]) == 0
    assert (tmp_path / "one.parquet").read_bytes() == (tmp_path / "two.parquet").read_bytes()


def test_unfinished_and_other_folders_are_left_out(results, capsys):
    write(results, ".hidden.partial-12")
    (results / "backtest").mkdir()
    (results / "backtest" / "summary.json").write_text('{"schema": "markopt.backtest/2"}')
    (results / "broken").mkdir()
    (results / "broken" / "summary.json").write_text("{")
    (results / "newer").mkdir()
    (results / "newer" / "summary.json").write_text('{"schema": "markopt.summary/9"}')
    assert main(["collect", str(results)]) == 0
    told = capsys.readouterr()
    assert len(told.err.splitlines()) == 2
    assert "broken/summary.json" in told.err
    assert "markopt.summary/9" in told.err or "newer" in told.err
    table = parquet.read_table(results / "collected.parquet")
    assert table["folder"].to_pylist() == ["a", "b", "deep/er"]
    assert "3 jobs" in told.out


def test_a_query_is_answered_as_a_table_or_as_csv(results, capsys):
    sql = 'select policy, count(*) as jobs, max("planner.headroom") as most from jobs group by 1'
    assert main(["collect", str(results), "--csv", "--sql", f"{sql} order by 1"]) == 0
    assert capsys.readouterr().out == "policy,jobs,most\ngreedy,1,1.0\nprogram,2,1.5\n"
    assert not (results / "collected.parquet").exists()
    assert main(["collect", str(results), "--sql", f"{sql} order by 1"]) == 0
    printed = capsys.readouterr().out
    assert all(word in printed for word in ("policy", "most", "greedy", "1.5"))
    output = results / "kept.parquet"
    assert main(["collect", str(results), "-o", str(output), "--sql", "select 1"]) == 0
    assert output.is_file()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["nowhere"], ["nowhere", "there is none"]),
        (["."], ["summary.json", "found none"]),
        (["results", "--sql", "selec 1"], ["--sql", "selec"]),
        (["results", "--sql", "select nothing from jobs"], ["--sql", "nothing"]),
        (["results", "-o", "no/such/folder.parquet"], ["no/such/folder.parquet"]),
        (["results", "--csv"], ["--csv", "--sql"]),
    ],
)
def test_bad_input_is_one_line_and_code_2(results, capsys, monkeypatch, arguments, words):
    monkeypatch.chdir(results.parent if arguments[0] == "results" else results / "deep")
    if arguments[0] == ".":
        (results / "deep" / "er" / "summary.json").unlink()
    assert main(["collect", *arguments]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert all(word in line for word in words)
    assert not list(Path().rglob("*.partial*"))


VALUES = st.none() | st.booleans() | st.integers(-9, 9) | st.floats(-1, 1) | st.text("ab")
CONFIGS = st.lists(
    st.dictionaries(st.sampled_from("xyz"), VALUES | st.lists(VALUES, max_size=2)),
    min_size=1,
    max_size=4,
)


@settings(max_examples=40, deadline=None)
@given(CONFIGS)
def test_any_settings_fit_into_a_table(tmp_path_factory, configs):
    base = tmp_path_factory.mktemp("any")
    for at, config in enumerate(configs):
        (base / str(at)).mkdir()
        document = {"schema": "markopt.summary/1", "config": config}
        (base / str(at) / "summary.json").write_text(json.dumps(document))
    table = collect(base).table
    assert table.num_rows == len(configs)
    assert [json.loads(text) for text in table["config"].to_pylist()] == configs
    for key in {key for config in configs for key in config}:
        values = [config.get(key) for config in configs]
        if any(value != values[0] for value in values):
            nulls = [value is None for value in table[key].to_pylist()]
            assert nulls == [value is None for value in values]


def test_nothing_to_collect_is_an_error(tmp_path):
    with pytest.raises(DataError, match="found none"):
        collect(tmp_path)
