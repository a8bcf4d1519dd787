"""Sweeps as a user meets them: resumed, survived, on every launcher, watched."""

import tempfile
from pathlib import Path

import pytest

from markopt.cli import main
from markopt.composition import combinations, compose, representatives, split_lists
from markopt.launch.sweep import BASIC_SWEEPER
from tests.sweeps import BREAKING, SMALL, fake_slurm, markopt, write_trace


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    return tmp_path_factory.mktemp("cache")


@pytest.fixture
def here(tmp_path, monkeypatch, cache):
    """An empty folder with a small trace in it, as the working directory."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MARKOPT_CACHE", str(cache))
    write_trace(tmp_path)
    return tmp_path


COUNTING = """
import os, sys


def hook(event, arguments):
    if event == "open" and str(arguments[0]).endswith("conf/config.yaml"):
        with os.fdopen(os.open("composed", os.O_WRONLY | os.O_CREAT | os.O_APPEND), "w") as file:
            file.write("once\\n")


sys.addaudithook(hook)
"""
"""Python reads this as ``sitecustomize`` in every process; each composition reads that file."""


def names(folder):
    return sorted(path.name for path in Path(folder).iterdir())


def sweep(*arguments):
    return main(["run", "-m", "output=out", *SMALL, *arguments])


def test_finished_jobs_are_skipped_and_said_to_be(here, capsys):
    assert sweep("seed=0,1") == 0
    stamps = {p: p.stat().st_mtime_ns for p in Path("out").rglob("summary.json")}
    capsys.readouterr()
    assert sweep("seed=0,1,2") == 0
    told = capsys.readouterr().out
    assert told.count("skip greedy-seed") == 2
    assert told.count("done greedy-seed2") == 1
    assert "3 jobs: 1 finished, 2 skipped" in told
    assert names("out") == ["greedy-seed0", "greedy-seed1", "greedy-seed2"]
    assert all(path.stat().st_mtime_ns == stamp for path, stamp in stamps.items())


def test_a_job_is_finished_where_all_that_it_follows_from_is_equal(here, capsys):
    assert sweep("seed=0") == 0
    for number, (change, wanted) in enumerate(
        [
            ("compare.seeds=[5]", "skip"),
            ("controller.samples=11", "done"),
            ("sweep.resume=false", "done"),
            ("save_problems_every=5", "done"),
        ]
    ):
        rest = [text for text in SMALL if text.partition("=")[0] != change.partition("=")[0]]
        capsys.readouterr()
        assert main(["run", "-m", "output=out", "seed=0", *rest, change]) == 0
        assert f"1/1 {wanted} greedy-seed0" in capsys.readouterr().out, (number, change)
    assert names("out") == [f"greedy-seed0{end}" for end in ("", "-2", "-3", "-4")]


def test_changed_data_or_code_is_another_job(here, capsys, monkeypatch):
    assert sweep("seed=0") == 0
    with Path("trace.csv").open("a") as file:
        file.write("3600,250\n")
    assert sweep("seed=0") == 0
    monkeypatch.setattr("markopt.evaluation.provenance.code_sha256", lambda: "another")
    assert sweep("seed=0") == 0
    assert names("out") == ["greedy-seed0", "greedy-seed0-2", "greedy-seed0-3"]
    assert "skip" not in capsys.readouterr().out


def test_a_comparison_of_a_sweep_is_skipped_too(here, capsys):
    arguments = ["compare", "-m", "output=out", "workload.scale=2", *SMALL]
    assert main(arguments) == 0
    capsys.readouterr()
    assert main([*arguments, "compare.jobs=2"]) == 0
    assert "1 jobs: 1 skipped" in capsys.readouterr().out


def test_a_failed_job_is_listed_at_the_end_and_the_others_go_on(here, capsys):
    assert sweep("service.slo.rt_max_s=0.001,0.2,0.002") == 3
    told = capsys.readouterr()
    assert names("out") == ["greedy-seed0,service.slo.rt_max_s=0.2"]
    assert "3 jobs: 1 finished, 2 failed" in told.out
    lines = told.err.splitlines()
    assert len(lines) == 2
    assert all(line.startswith("markopt: ") and "rt_max_s=0.00" in line for line in lines)


def test_a_sweep_that_only_fails_leaves_nothing_behind(here, capsys):
    before = names(here)
    assert sweep("service.slo.rt_max_s=0.001") == 3
    assert names(here) == before


def test_jobs_that_take_their_workers_down_lose_no_others(here):
    (here / "breaking.py").write_text(BREAKING)
    targets = "markopt.planning.Greedy,breaking.Exiting,breaking.Faulty"
    launcher = ["hydra/launcher=joblib", "hydra.launcher.n_jobs=2"]
    arguments = ["run", "-m", "output=out", *SMALL, f"planner._target_={targets}"]
    done = markopt(here, *arguments, *launcher)
    assert done.returncode == 1, done.stderr
    assert "3 jobs: 1 finished, 2 failed" in done.stdout
    assert done.stderr.count("it takes its process down (exit code 9)") == 1
    assert done.stderr.count(": RuntimeError: a fault of its own\n") == 1
    assert names("out") == ["greedy-seed0,planner._target_=markopt.planning.Greedy"]


def test_an_interrupted_sweep_keeps_what_is_finished_and_leaves_nothing_else(here):
    (here / "breaking.py").write_text(
        "import os, signal\nfrom markopt.planning import Greedy\n\n\n"
        "class Interrupting(Greedy):\n    def plan(self, problem):\n"
        "        os.kill(os.getpid(), signal.SIGINT)\n        return super().plan(problem)\n"
    )
    targets = "markopt.planning.Greedy,breaking.Interrupting"
    done = markopt(here, "run", "-m", "output=out", *SMALL, f"planner._target_={targets}")
    assert (done.returncode, done.stderr) == (130, "markopt: interrupted\n")
    assert names("out") == ["greedy-seed0,planner._target_=markopt.planning.Greedy"]


@pytest.mark.parametrize(
    ("arguments", "per_job"),
    [
        (["seed=range(0,4)"], 1),
        (["seed=range(0,4)", "hydra/sweeper=basic"], 1),
        (["seed=range(0,4)", "hydra/launcher=joblib", "hydra.launcher.n_jobs=2"], 1),
        (["seed=range(0,4)", f"hydra.sweeper._target_={BASIC_SWEEPER}"], 2),  # it checks each
    ],
    ids=["serial", "basic", "joblib", "class"],
)
def test_a_sweep_composes_each_job_once_and_makes_what_single_runs_make(here, arguments, per_job):
    (here / "sitecustomize.py").write_text(COUNTING)
    done = markopt(here, "run", "-m", "output=out", *SMALL, *arguments)
    assert done.returncode == 0, done.stderr
    count = len(Path("composed").read_text().splitlines())
    first = 3  # before the first job: the check, and Hydra twice for the sweep as a whole
    assert count == first + 4 * per_job
    assert main(["run", "output=single", *SMALL, "seed=3"]) == 0
    assert names("out") == [f"greedy-seed{seed}" for seed in range(4)]
    swept = Path("out/greedy-seed3/summary.json")
    assert swept.read_bytes() == Path("single/summary.json").read_bytes()


def test_what_a_file_sweeps_by_itself_is_swept_and_checked_first(here, capsys):
    assert main(["run", *SMALL, "--cfg", "job"]) == 0
    plain = capsys.readouterr().out
    Path("mine.yaml").write_text(f"{plain}hydra: {{sweeper: {{params: {{seed: '4,5'}}}}}}\n")
    assert main(["run", "-m", "output=out", "--config-file", "mine.yaml"]) == 0
    assert names("out") == ["greedy-seed4", "greedy-seed5"]
    wrong = "{seed: '4,5', planner.nope: '1,2'}"
    Path("mine.yaml").write_text(f"{plain}hydra: {{sweeper: {{params: {wrong}}}}}\n")
    assert main(["run", "-m", "output=none", "--config-file", "mine.yaml"]) == 2
    assert capsys.readouterr().err.startswith("markopt: planner.nope: no such key")
    assert "none" not in names(here)


def test_a_class_of_ones_own_in_a_sweep_makes_what_a_single_run_makes(here):
    rest = [text for text in SMALL if not text.startswith("planner=")]
    own = ["planner=program", "planner._target_=markopt.planning.Greedy"]
    assert main(["run", "-m", "output=out", *rest, *own]) == 0
    assert main(["run", "output=single", *rest, *own]) == 0
    (swept,) = Path("out").glob("*/summary.json")
    assert swept.read_bytes() == Path("single/summary.json").read_bytes()


def test_a_ray_cluster_of_two_workers_gives_the_same_results(here):
    assert main(["run", "-m", "output=serial", *SMALL, "seed=0,1"]) == 0
    workers = ["hydra/launcher=ray", "+hydra.launcher.ray.init.num_cpus=2"]
    with tempfile.TemporaryDirectory(prefix="ray", dir="/tmp") as short:
        # A socket's path must be short, which a test's own folder is not.
        placed = f"+hydra.launcher.ray.init._temp_dir={short}"
        arguments = ["run", "-m", "output=ray", *SMALL, "seed=0,1", *workers, placed]
        done = markopt(here, *arguments)
    assert done.returncode == 0, done.stderr
    assert "2 jobs: 2 finished" in done.stdout
    assert names("ray") == names("serial")
    for name in names("serial"):
        one, other = (Path(base) / name / "summary.json" for base in ("serial", "ray"))
        assert one.read_bytes() == other.read_bytes()


def test_slurm_is_handed_an_array_of_jobs_and_its_results_are_collected(here):
    commands = fake_slurm(here / "commands")
    settings = ["hydra/launcher=slurm", "hydra.launcher.partition=short", "hydra.sweep.dir=kept"]
    arguments = ["run", "-m", "output=out", *SMALL, "seed=0,1", *settings]
    done = markopt(here, *arguments, path=str(commands))
    assert done.returncode == 0, done.stderr
    assert names("out") == ["greedy-seed0", "greedy-seed1"]
    (script,) = Path("kept").rglob("*.seen")
    text = script.read_text()
    for line in ("--array=0-1%2", "--partition=short", "--time=240", "--mem=4GB"):
        assert f"#SBATCH {line}" in text
    assert "#SBATCH --cpus-per-task=1" in text


@pytest.mark.parametrize(
    ("launcher", "target"),
    [
        ("joblib", "JoblibLauncher"),
        ("ray", "RayLauncher"),
        ("slurm", "SlurmLauncher"),
        ("submitit_local", "LocalLauncher"),
    ],
)
def test_every_launcher_composes(launcher, target):
    composed = compose([f"hydra/launcher={launcher}"])
    assert composed.launcher == launcher
    from hydra import compose as hydra_compose
    from hydra import initialize_config_dir

    from markopt.resources import shipped_folder

    with initialize_config_dir(str(shipped_folder("conf")), version_base="1.3"):
        config = hydra_compose("config", [f"hydra/launcher={launcher}"], return_hydra_config=True)
    assert config.hydra.launcher._target_.endswith(f".{target}")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["hydra/launcher=nope"], ["hydra/launcher=nope", "ray", "markopt[cluster]"]),
        (["hydra/sweeper=nope"], ["hydra/sweeper=nope", "optuna", "markopt[tuning]"]),
        (["sweep.objective=fun"], ["sweep.objective", "penalized_cost", "'fun'"]),
        (["sweep.penalty=-1"], ["sweep.penalty", "-1"]),
        (["sweep.resume=7"], ["sweep.resume", "true or false", "7"]),
        (["planner=glob(nope*)"], ["planner=glob(nope*)", "no option matches", "greedy"]),
        (["planner.nope=1,2"], ["planner.nope", "no such key"]),
        (["cloud/market=drawn,nope"], ["cloud/market=nope", "no such option"]),
        (["seed=0,1", "+strange=1"], ["strange", "no such key"]),
        (["controller.guards={max_vcpus:1},{vcpus:1}"], ["controller.guards", "vcpus"]),
        (["--cfg", "job"], ["--cfg", "-m"]),
        (["seed=0,1", "planer=greedy"], ["planer", "'planner'"]),
    ],
)
def test_a_mistake_in_a_sweep_is_one_line_and_code_2(here, capsys, arguments, words):
    before = names(here)
    assert main(["run", "-m", "output=out", *SMALL, *arguments]) == 2
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1, lines
    assert all(word in lines[0] for word in words)
    assert names(here) == before


def test_a_pattern_stands_for_the_options_that_match_it(here, capsys):
    rest = [text for text in SMALL if not text.startswith("planner=")]
    assert main(["run", "-m", "output=out", *rest, "planner=glob(greedy_r*)"]) == 0
    assert "1/1 done greedy_released-seed0" in capsys.readouterr().out
    options = next(zip(*combinations(["planner=glob(greedy*,exclude=*_with_*)"]), strict=True))
    assert options == ("planner=greedy", "planner=greedy_quantile", "planner=greedy_released")
    assert split_lists(["planner=glob(greedy_r*)"]) == ([], ["greedy_released"], None)


def test_mistakes_are_looked_for_in_every_option_and_one_value_of_each_other_key():
    given = ["planner=greedy,program", "seed=range(0,100)", "planner.headroom=interval(1,2)"]
    found = list(representatives([*given, "workload.scale=3"]))
    assert [job[0] for job in found] == ["planner=greedy", "planner=program"]
    assert {job[1:] for job in found} == {
        ("seed=0", "planner.headroom=1.0", "workload.scale=3"),
    }
    assert len(list(combinations(given[:2]))) == 200
    # Values with keys of their own can each have a wrong one.
    mixed = list(representatives(["planner.risk=null,1,{a:1},{b:1}", "seed=0,1"]))
    assert [job[0] for job in mixed] == [f"planner.risk={v}" for v in ("null", "{a:1}", "{b:1}")]
