"""What ``markopt run``, ``compare``, ``characterize`` and ``backtest`` do with their overrides."""

from __future__ import annotations

import difflib
import sys
import tempfile
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from markopt.composition import (
    CONFIG_NAME,
    HYDRA_VERSION,
    combinations,
    compose,
    parse,
    split_lists,
    take_lists,
)
from markopt.errors import ConfigError, MarkoptError
from markopt.resources import shipped_folder

if TYPE_CHECKING:
    from omegaconf import DictConfig
    from rich.table import Table

RESULTS = Path("results")
SWEEP_FLAGS = ("-m", "--multirun")
HYDRA_FLAGS = (
    *SWEEP_FLAGS,
    "-h",
    "--help",
    "--hydra-help",
    "-c",
    "--cfg",
    "-r",
    "--resolve",
    "-p",
    "--package",
    "-i",
    "--info",
    "-sc",
    "--shell-completion",
)
VALUE_FLAGS = ("-c", "--cfg", "-p", "--package", "-i", "--info")
CHOICES = {"-c": ("job", "hydra", "all"), "--cfg": ("job", "hydra", "all")}
QUIET = {
    "hydra/job_logging": "disabled",
    "hydra/hydra_logging": "disabled",
    "hydra.output_subdir": "null",
    "hydra.run.dir": ".",
    "hydra.sweep.subdir": ".",
}
"""What keeps Hydra from writing files of its own beside the results."""


def split_flags(arguments: Sequence[str]) -> tuple[list[str], list[str]]:
    """Return Hydra's flags, with their values, and the overrides.

    Raises:
        ConfigError: a flag is unknown.
    """
    flags: list[str] = []
    overrides: list[str] = []
    rest = iter(arguments)
    for argument in rest:
        if not argument.startswith("-"):
            overrides.append(argument)
            continue
        name = argument.split("=", 1)[0]
        if name not in HYDRA_FLAGS:
            near = difflib.get_close_matches(name, [*HYDRA_FLAGS, "--at-equal-slo"], n=1)
            hint = f"; did you mean '{near[0]}'?" if near else ""
            raise ConfigError(f"{name}: no such option{hint}")
        flags.append(argument)
        if name in VALUE_FLAGS:
            value = argument.partition("=")[2] or next(rest, None)
            choices = CHOICES.get(name)
            if value is None or (choices and value not in choices):
                wanted = f"one of {', '.join(choices)}" if choices else "a value"
                raise ConfigError(f"{name}: expected {wanted}, got {value or 'none'}")
            if "=" not in argument:
                flags.append(value)
    return flags, overrides


def _compose_first(
    flags: Sequence[str], overrides: Sequence[str], config_file: Path | None = None
) -> None:
    """Compose every job, so that a mistake in any of them shows before the first one runs."""
    if set(flags) & set(SWEEP_FLAGS):
        for job in combinations(overrides):
            compose(job, config_file)
    elif not set(flags) & {"-h", "--help", "--hydra-help"}:
        compose(overrides, config_file)


def launch_run(arguments: Sequence[str], config_file: Path | None) -> None:
    """Run one episode, or with ``-m`` one for every combination of values."""
    flags, overrides = split_flags(arguments)
    if not flags:
        _run(overrides, config_file, parent=None)
        return
    _compose_first(flags, overrides, config_file)
    _through_hydra([*flags, *overrides], config_file, _RunJob(swept(overrides), config_file))


def launch_compare(arguments: Sequence[str]) -> None:
    """Compare policies; with ``-m`` once for every combination of the other values."""
    flags, given = split_flags(arguments)
    overrides, planners, seeds = split_lists(given)
    if planners is not None:
        # The first one is composed with too, since settings may be those of its class alone.
        overrides += [f"planner={planners[0]}", f"compare.planners=[{','.join(planners)}]"]
    if seeds is not None:
        overrides.append(f"compare.seeds=[{','.join(seeds)}]")
    if not flags:
        _compare(overrides, parent=None)
        return
    _compose_first(flags, overrides)
    _through_hydra([*flags, *overrides], None, _CompareJob(swept(overrides)))


def launch_characterize(arguments: Sequence[str]) -> None:
    """Characterise one service; with ``-m`` once for every combination of the other values."""
    flags, given = split_flags(arguments)
    overrides, lists = take_lists(given, ("catalog",))
    catalogs = lists["catalog"]
    if catalogs is not None:
        overrides.append(f"characterize.catalogs=[{','.join(catalogs)}]")
    if not flags:
        _characterize(overrides, parent=None)
        return
    _compose_first(flags, overrides)
    # The service is in the folder's name already; the seed is not, unlike a run's.
    keys = {o.key_or_group for o in parse(overrides) if o.is_sweep_override()}
    named = frozenset(keys - {"service"})
    _through_hydra([*flags, *overrides], None, _CharacterizeJob(named))


def launch_backtest(arguments: Sequence[str]) -> None:
    """Backtest forecasters; with ``-m`` once for every combination of the other values."""
    flags, given = split_flags(arguments)
    overrides, lists = take_lists(given, ("forecaster",))
    forecasters = lists["forecaster"]
    if forecasters is not None:
        # The first one is composed with too, since settings may be those of its class alone.
        overrides += [
            f"forecaster={forecasters[0]}",
            f"backtest.forecasters=[{','.join(forecasters)}]",
        ]
    if not flags:
        _backtest(overrides, parent=None)
        return
    _compose_first(flags, overrides)
    keys = {o.key_or_group for o in parse(overrides) if o.is_sweep_override()}
    _through_hydra([*flags, *overrides], None, _BacktestJob(frozenset(keys)))


def swept(overrides: Sequence[str]) -> frozenset[str]:
    """Return the keys that a sweep gives several values, but for planner and seed."""
    keys = {o.key_or_group for o in parse(overrides) if o.is_sweep_override()}
    return frozenset(keys - {"planner", "seed"})


class _Job(ABC):
    """A job of a Hydra sweep: reports its own mistakes in one line and ends with their code.

    ``named`` are the keys whose values tell the jobs apart and go into the folder's name.
    """

    def __init__(self, named: frozenset[str]) -> None:
        self._named = named

    def __call__(self, config: DictConfig) -> None:
        from hydra.core.hydra_config import HydraConfig

        overrides = list(HydraConfig.get().overrides.task)
        parent = Path(str(config.output)) if config.output is not None else RESULTS
        keys = [parsed.key_or_group for parsed in parse(overrides)]
        kept = [text for text, key in zip(overrides, keys, strict=True) if key != "output"]
        told = [text for text, key in zip(overrides, keys, strict=True) if key in self._named]
        suffix = "".join(f",{text}" for text in told).replace("/", "_")
        try:
            self.work(kept, parent, suffix)
        except MarkoptError as error:
            typer.echo(f"markopt: {' '.join(str(error).split())}", err=True)
            raise SystemExit(error.exit_code) from None

    @abstractmethod
    def work(self, overrides: Sequence[str], parent: Path, suffix: str) -> None:
        """Do the job; its results go into a new folder under ``parent``, named with ``suffix``."""


class _RunJob(_Job):
    def __init__(self, named: frozenset[str], config_file: Path | None) -> None:
        super().__init__(named)
        self._config_file = config_file

    def work(self, overrides: Sequence[str], parent: Path, suffix: str) -> None:
        _run(overrides, self._config_file, parent, suffix)


class _CompareJob(_Job):
    def work(self, overrides: Sequence[str], parent: Path, suffix: str) -> None:
        _compare(overrides, parent, suffix)


class _CharacterizeJob(_Job):
    def work(self, overrides: Sequence[str], parent: Path, suffix: str) -> None:
        _characterize(overrides, parent, suffix)


class _BacktestJob(_Job):
    def work(self, overrides: Sequence[str], parent: Path, suffix: str) -> None:
        _backtest(overrides, parent, suffix)


def _through_hydra(
    arguments: Sequence[str], config_file: Path | None, job: Callable[[Any], None]
) -> None:
    import hydra

    folder = shipped_folder("conf") if config_file is None else config_file.parent
    name = CONFIG_NAME if config_file is None else config_file.stem
    given = {argument.split("=", 1)[0] for argument in arguments}
    before = sys.argv
    with tempfile.TemporaryDirectory() as scratch:
        quiet = {**QUIET, "hydra.sweep.dir": scratch}
        extra = [f"{key}={value}" for key, value in quiet.items() if key not in given]
        sys.argv = ["markopt", *arguments, *extra]
        try:
            hydra.main(str(folder.resolve()), name, HYDRA_VERSION)(job)()
        finally:
            sys.argv = before


def _target(output: Any, parent: Path | None, stem: str) -> tuple[Path, bool]:
    """Return where results go, and whether a number may be appended to the name."""
    from markopt.evaluation.folder import require_free

    if parent is None and output is not None:
        target = Path(str(output))
        require_free(target)
        return target, False
    target = (RESULTS if parent is None else parent) / stem
    require_free(target.parent / f"{stem}.new")
    return target, True


def _run(
    overrides: Sequence[str], config_file: Path | None, parent: Path | None, suffix: str = ""
) -> None:
    from markopt.assembly import ConfigParts, check_seed
    from markopt.evaluation.attribution import recorded, with_attribution
    from markopt.evaluation.episode import EpisodeSetup, fit_forecaster, run_episode, set_conditions
    from markopt.evaluation.folder import whole_folder
    from markopt.evaluation.outcome import summarize
    from markopt.evaluation.problems import PROBLEMS, SavingPlanner, check_every
    from markopt.evaluation.progress import late_bar
    from markopt.evaluation.regret import RecordingPlanner, with_regret
    from markopt.evaluation.report import write_report
    from markopt.evaluation.request_file import REQUESTS, RequestFile, check_record
    from markopt.evaluation.results import write_episode
    from markopt.evaluation.tabulation import means, row
    from markopt.evaluation.terminal import comparison_table

    parts = ConfigParts(overrides, config_file=config_file)
    seed, policy = check_seed(parts.base.seed), next(iter(parts.policies))
    target, numbered = _target(parts.base.output, parent, f"{policy}-seed{seed}{suffix}")
    every = check_every(parts.base.get("save_problems_every"))
    regret_every = check_every(parts.base.get("regret_every"), "regret_every")
    record = check_record(parts.base.get("record_requests"))
    attributes = check_record(parts.base.get("attribute_loss"), "attribute_loss")
    planner, config = parts.planner(policy), parts.config(policy, seed)
    scene = parts.scene(seed)
    conditions = set_conditions(scene)
    forecaster = fit_forecaster(parts.forecaster(), scene, conditions)
    if attributes:
        forecaster = recorded(scene, conditions, forecaster)
    with whole_folder(target, numbered=numbered) as folder:
        if every is not None:
            (folder.path / PROBLEMS).mkdir()
            planner = SavingPlanner(planner, folder.path / PROBLEMS, every)
        recorder = None if regret_every is None else RecordingPlanner(planner, regret_every)
        setup = EpisodeSetup(policy, scene, conditions, forecaster, recorder or planner, config)
        with (
            late_bar(f"Simulating {policy}", scene.interval_count) as bar,
            RequestFile(folder.path / REQUESTS) if record else nullcontext() as sink,
        ):
            result = run_episode(setup, lambda _: bar.step(), sink)
        if recorder is not None:
            result = with_regret(result, setup, parts.planner(policy), recorder)
        if attributes:
            result = with_attribution(result, setup, parts.planner(policy))
        write_episode(result, folder.path)
        plan_s = [record.plan_wall_s for record in result.intervals]
        rows = means([row(summarize(result))], {policy: sum(plan_s) / max(len(plan_s), 1)})
        title = _title(result)
        # The report reads files, and long traces are large.
        del result, setup, scene, conditions, recorder
        write_report(folder.path)
    _show(comparison_table(rows, title), folder.final)


def _compare(overrides: Sequence[str], parent: Path | None, suffix: str = "") -> None:
    from markopt.assembly import ConfigParts, compare_settings
    from markopt.evaluation.compare import compare, write_comparison
    from markopt.evaluation.folder import whole_folder
    from markopt.evaluation.terminal import comparison_table

    base = compose(overrides).config
    settings = compare_settings(base)
    if base.get("save_problems_every") is not None:
        raise ConfigError("save_problems_every: only markopt run saves problems, got it in compare")
    if base.get("regret_every") is not None:
        raise ConfigError(
            "regret_every: only markopt run judges single decisions, got it in compare"
        )
    if base.get("attribute_loss"):
        raise ConfigError("attribute_loss: only markopt run attributes its loss, got it in compare")
    if base.get("record_requests"):
        raise ConfigError("record_requests: only markopt run records requests, got it in compare")
    target, numbered = _target(base.output, parent, f"comparison{suffix}")
    parts = ConfigParts(overrides, settings.planners)
    comparison = compare(parts, settings)
    with whole_folder(target, numbered=numbered) as folder:
        write_comparison(comparison, parts, folder.path)
    _show(comparison_table(comparison.table(), _title(comparison.episodes[0])), folder.final)


def _characterize(overrides: Sequence[str], parent: Path | None, suffix: str = "") -> None:
    from markopt.assembly import characterization_options, characterize_settings, check_seed
    from markopt.evaluation.characterization import characterize, judge, write_characterization
    from markopt.evaluation.characterization.findings import as_document
    from markopt.evaluation.characterization.tables import findings_table, options_table
    from markopt.evaluation.folder import whole_folder

    base = compose(overrides).config
    settings, seed = characterize_settings(base), check_seed(base.seed)
    service, options = characterization_options(overrides, settings)
    target, numbered = _target(base.output, parent, f"characterization-{service.name}{suffix}")
    result = characterize(service, options, settings, seed)
    findings = judge(result.rows)
    with whole_folder(target, numbered=numbered) as folder:
        write_characterization(result, findings, folder.path)
    slo = service.slo
    title = f"{service.name}, {100 * slo.sl_min:g} % within {1000 * slo.rt_max_s:g} ms"
    documents = [as_document(finding) for finding in findings]
    _show(options_table(result.rows, title), folder.final, findings_table(documents))


def _backtest(overrides: Sequence[str], parent: Path | None, suffix: str = "") -> None:
    from markopt.assembly import check_seed
    from markopt.backtest_assembly import BacktestParts
    from markopt.evaluation.backtest import backtest, write_backtest
    from markopt.evaluation.backtest.results import read_backtest
    from markopt.evaluation.backtest.tables import backtest_table, warnings
    from markopt.evaluation.folder import whole_folder

    parts = BacktestParts(overrides)
    seed = check_seed(parts.base.seed)
    load = parts.load(seed)
    target, numbered = _target(parts.base.output, parent, f"backtest-{load.name}{suffix}")
    result = backtest(parts.makers(), load, parts.settings, seed)
    with whole_folder(target, numbered=numbered) as folder:
        write_backtest(result, parts.config(), folder.path)
        files = read_backtest(folder.path)
    for text in warnings(files.document):
        typer.echo(f"markopt: warning: {text}", err=True)
    _show(backtest_table(files.document, files.timing), folder.final)


def _title(episode: Any) -> str:
    hours = (episode.end_s - episode.start_s) / 3600.0
    slo = episode.slo
    return (
        f"{episode.service} on {episode.trace}, {hours:.4g} h, "
        f"{100 * slo.sl_min:g} % within {1000 * slo.rt_max_s:g} ms"
    )


def _show(table: Table, folder: Path, *more: Table) -> None:
    from rich.console import Console

    for entry in (table, *more):
        console = Console()
        needed = Console(width=1000).measure(entry).maximum
        if console.width < needed:
            console = Console(width=needed)
        console.print(entry)
    typer.echo(f"Report: {folder / 'report.html'}")
