"""Every code block of the documentation runs, or says why it does not and is checked in part."""

import importlib.util
import re
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest

from markopt.cli import main
from markopt.composition import combinations, compose, options, take_lists
from tests.docs.blocks import (
    MARKS,
    PYTHON,
    ROOT,
    SHELL,
    Block,
    blocks,
    expanded,
    inline_commands,
    pages,
)

COMPOSED = ("run", "compare", "characterize", "backtest", "deploy")
"""Commands that take settings."""

LISTS = ("planner", "seed", "forecaster", "catalog", "service", "traces")
PLACEHOLDER = re.compile(r"…|\$|\b[A-Z][A-Z_]+\b(?!=)|^my\.module|my\.csv")
WITH_RUN = [page for page in pages() if any("not run" not in b.marks for b in blocks(page))]
EXECUTED = [
    page
    for page in WITH_RUN
    if any("not run" not in b.marks and b.language in PYTHON + SHELL for b in blocks(page))
]


def every_block():
    return [block for page in pages() for block in blocks(page)]


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    return tmp_path_factory.mktemp("cache")


@pytest.fixture
def here(tmp_path, monkeypatch, cache):
    """An empty folder with a small trace and a saved problem, from which modules are imported."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setenv("MARKOPT_CACHE", str(cache))
    before = set(sys.modules)
    second = np.arange(0, 12 * 3600, 10)
    counts = np.random.default_rng(7).poisson(400.0 + 250.0 * np.sin(second / 7000.0))
    table = np.column_stack([second, counts])
    np.savetxt("my_requests.csv", table, "%d", ",", header="second,requests", comments="")
    shutil.copy(ROOT / "tests" / "data" / "problem_small.json", "problem.json")
    yield tmp_path
    for name in set(sys.modules) - before:
        if str(getattr(sys.modules[name], "__file__", "")).startswith(str(tmp_path)):
            del sys.modules[name]


def run_command(block: Block, words: list[str]) -> None:
    program, *arguments = words
    assert Path(program).name == "markopt", f"{block.where}: cannot run {program}; say 'not run'"
    if arguments[0] == "deploy":
        assert "cloud=simulated" in arguments, f"{block.where}: say 'not run'"
    if arguments[0] in COMPOSED:
        arguments += block.marks.get("run with", "").split()
    code = main(expanded(arguments))
    assert code == 0, f"{block.where}: {' '.join(words)} ended with {code}"


@pytest.mark.parametrize("page", EXECUTED)
def test_the_blocks_of_a_page_run_one_after_the_other(page, here):
    namespace: dict[str, object] = {"__name__": "documentation"}
    for block in blocks(page):
        if "not run" in block.marks:
            continue
        if "file" in block.marks:
            (here / block.marks["file"]).write_text(block.text, encoding="utf-8")
        if block.language in PYTHON:
            exec(compile(block.text, block.where, "exec"), namespace)
        elif block.language in SHELL:
            for words in block.commands():
                run_command(block, words)


@pytest.mark.parametrize("block", every_block(), ids=lambda block: block.where)
def test_a_block_says_what_it_is_and_why_it_is_not_run(block):
    assert block.language in (*PYTHON, *SHELL, "", "text", "yaml", "toml", "json", "csv")
    assert set(block.marks) <= set(MARKS), block.marks
    if not block.language:
        assert not re.match(r"(\$ )?(markopt|make|python|pip) ", block.text), "say that it is sh"
    if "not run" in block.marks:
        assert block.language in PYTHON + SHELL
        assert len(block.marks["not run"].split()) >= 4, "a reason in words"
        assert len(block.marks) == 1
    if "run with" in block.marks:
        assert block.language in SHELL
        assert all("=" in word for word in block.marks["run with"].split())
    if "file" in block.marks:
        assert block.language in PYTHON


def composes(words: list[str]) -> None:
    """Check that the settings of a command are ones that there are."""
    arguments = [word for word in words[2:] if not word.startswith("--at-equal-slo")]
    if any(PLACEHOLDER.search(word) for word in arguments) or "--config-file" in arguments:
        return
    overrides = [word for word in arguments if "=" in word or word.startswith("~")]
    if "-m" in arguments:
        overrides = list(next(combinations(overrides)))
    rest, lists = take_lists(overrides, LISTS)
    for group, values in lists.items():
        if values and group not in ("seed", "traces"):
            assert set(values) <= set(options(group)), (words, group)
            rest.append(f"{group}={values[0]}")
    compose([o for o in rest if not o.startswith(("forecaster._target_", "planner._target_"))])


def there_is(arguments: list[str]) -> bool:
    """Return whether the script or module that Python is given is there."""
    if arguments[0] == "-m":
        return importlib.util.find_spec(arguments[1]) is not None
    return arguments[0] == "-c" or (ROOT / arguments[0]).is_file()


def test_the_commands_of_every_block_have_settings_that_there_are():
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    seen = 0
    for block in every_block():
        if block.language not in SHELL:
            continue
        for program, *arguments in block.commands():
            name = Path(program).name
            seen += 1
            if name == "make":
                assert {word for word in arguments if "=" not in word} <= targets, block.where
                for word in arguments:
                    if word.startswith("NAME="):
                        study = word.removeprefix("NAME=")
                        assert (ROOT / "experiments" / f"{study}.py").is_file(), block.where
            elif name == "python":
                assert there_is(arguments), (block.where, arguments)
            elif name == "markopt" and arguments[0] in COMPOSED:
                composes([name, *arguments])
    assert seen > 20


@pytest.mark.parametrize("page", pages())
def test_commands_within_sentences_have_settings_that_there_are(page):
    for words in inline_commands(page):
        if len(words) > 2 and words[1] in COMPOSED:
            composes(words)


def test_a_page_is_taken_apart():
    comments = "<!-- run with: x=1 -->\n<!-- file: f.py -->\n"
    text = f"a\n\n{comments}```sh\nA=. markopt run \\\n  b=2  # c\n```\n"
    (block,) = blocks("page.md", text)
    assert block.marks == {"run with": "x=1", "file": "f.py"}
    assert block.commands() == [["markopt", "run", "b=2"]]
    assert block.where == "page.md:5"
    (plain,) = blocks("page.md", "<!-- not run: w -->\n\n```python\n1\n```\n")
    assert plain.marks == {}, "the comment must stand directly above"
