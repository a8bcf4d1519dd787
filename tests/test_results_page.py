"""docs/results.md: held to the committed tables, every number beside a command that is there."""

import re
import sys
from pathlib import Path

import pytest

from markopt.assembly import compare_settings
from markopt.composition import compose, options

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="module")
def script():
    """The page's script, as it is when run by itself."""
    before = set(sys.modules)
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(ROOT / "paper_figs"))
        yield __import__("results_page")
    for name in set(sys.modules) - before:
        if str(getattr(sys.modules[name], "__file__", "")).startswith(str(ROOT / "paper_figs")):
            del sys.modules[name]


def all_lines(script):
    return [
        line
        for makers in script.SECTIONS.values()
        for make in makers
        for line in script.lines(make)
    ]


def test_the_page_is_what_the_tables_say(script):
    """After a change of tables or goals: ``make figures``."""
    assert script.PAGE.read_text(encoding="utf-8") == script.page()


def test_every_section_has_numbers_and_every_number_a_command_that_is_there(script):
    assert all(any(script.lines(make) for make in makers) for makers in script.SECTIONS.values())
    for line in all_lines(script):
        assert re.search(r"\d", line.found), line
        study = re.fullmatch(r"make study NAME=(\w+)", line.command)
        if study is not None:
            assert study[1] in options("experiment")
            assert (ROOT / "experiments" / f"{study[1]}.py").is_file()
        else:
            path = re.search(r"python (\S+\.py)", line.command)
            assert path is not None, line.command
            assert (ROOT / path[1]).is_file()
        assert (ROOT / "docs" / line.page.split("#")[0]).is_file()


def test_goals_are_told_to_be_met_by_the_numbers(script, tmp_path, monkeypatch):
    """A table whose numbers are worse is a goal that is missed."""
    before = {line.question: line.met for line in script.lines(script.decision_speed)}
    text = (script.BENCHMARKS / "planner.md").read_text(encoding="utf-8")
    assert before["The largest proven gap of these and the smaller ones"]
    (tmp_path / "planner.md").write_text(re.sub(r"\| 0\.089 % \|", "| 0.2 % |", text))
    monkeypatch.setattr(script, "BENCHMARKS", tmp_path)
    after = {line.question: line.met for line in script.lines(script.decision_speed)}
    assert [question for question in before if before[question] != after[question]] == [
        "The largest proven gap of these and the smaller ones"
    ]


def test_a_goal_is_met_or_missed_and_what_has_none_is_neither(script):
    for line in all_lines(script):
        assert (line.met is None) == (line.goal == ""), line
        assert ("**no**" in line.cells()) == (line.met is False)


def test_all_planners_are_in_the_table_of_the_readme(script):
    """After a new study: ``make figures``."""
    study = script.all_planners
    source = script.STUDIES / "all_planners"
    rows = study.read_rows(source / "episodes.csv")
    settings = compare_settings(compose(["experiment=all_planners"]).config)
    assert {row["policy"] for row in rows} == set(settings.planners)
    assert {int(row["seed"]) for row in rows} == set(settings.seeds)
    left_out = {
        "cvxpy",
        "pulp",
        "program_hard_slo",
        "program_with_standbys",
        "greedy_with_standbys",
    }
    assert set(options("planner")) - set(settings.planners) == left_out
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert study.with_table(readme, study.markdown(study.table(source)), study.MARKS) == readme
