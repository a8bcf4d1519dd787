"""``markopt run``: one episode, or a sweep of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, final

import typer

from markopt.launch.display import episode_title, figures, show
from markopt.launch.flags import split_flags
from markopt.launch.folders import result_folder
from markopt.launch.sweep import launch_sweep, through_hydra, wants_sweep
from markopt.launch.work import Done

if TYPE_CHECKING:
    from omegaconf import DictConfig

    from markopt.assembly import ConfigParts
    from markopt.composition import Composed
    from markopt.evaluation.outcome import EpisodeResult

OPTIONS = ("save_problems_every", "regret_every", "attribute_loss", "record_requests")
"""What may be asked for besides the episode itself."""


def launch_run(arguments: Sequence[str], config_file: Path | None) -> None:
    """Run one episode, or with ``-m`` one for every combination of values."""
    flags, overrides = split_flags(arguments)
    make = partial(EpisodeWork, config_file=config_file)
    if wants_sweep(flags):
        launch_sweep(flags, overrides, make, known={"planner", "seed"}, config_file=config_file)
    elif flags:
        through_hydra([*flags, *overrides], config_file)
    else:
        work = make(overrides)
        _tell_changes(work, config_file)
        show(work.do(None))


def _tell_changes(work: EpisodeWork, config_file: Path | None) -> None:
    """Say in what a repeated run's data or code differ from those of the summary repeated."""
    from markopt.config_file import read_provenance
    from markopt.evaluation.provenance import changes

    earlier = None if config_file is None else read_provenance(config_file)
    if earlier is not None:
        for line in changes(earlier, work.provenance):
            typer.echo(f"markopt: warning: {config_file}: {line}", err=True)


@final
class EpisodeWork:
    """One episode: its parts, and the run.

    Raises:
        ConfigError: a key or an option does not exist, or a value is out of range.
    """

    def __init__(
        self,
        overrides: Sequence[str],
        composed: Composed | None = None,
        *,
        config_file: Path | None = None,
    ) -> None:
        from markopt.assembly import ConfigParts, check_seed

        self.parts: ConfigParts = ConfigParts(overrides, config_file=config_file, composed=composed)
        self.policy = next(iter(self.parts.policies))
        self.seed = check_seed(self.parts.base.seed)

    @property
    def base(self) -> DictConfig:
        """Return the configuration as composed."""
        return self.parts.base

    @cached_property
    def config(self) -> Mapping[str, Any]:
        """Return what the figures follow from."""
        return self.parts.config(self.policy, self.seed)

    @property
    def options(self) -> Mapping[str, Any]:
        """Return what was asked for besides the episode."""
        return {key: self.base[key] for key in OPTIONS if self.base.get(key) not in (None, False)}

    @property
    def stem(self) -> str:
        """Return the folder's name."""
        return f"{self.policy}-seed{self.seed}"

    @cached_property
    def provenance(self) -> dict[str, Any]:
        """Return version and hashes, as the files are before the run."""
        from markopt.evaluation.provenance import provenance

        return provenance(self.config)

    def do(self, parent: Path | None, suffix: str = "") -> Done:
        """Run the episode and write its folder."""
        from markopt.evaluation.folder import whole_folder
        from markopt.evaluation.outcome import summarize
        from markopt.evaluation.report import write_report
        from markopt.evaluation.results import write_episode
        from markopt.evaluation.tabulation import means, row
        from markopt.evaluation.terminal import comparison_table

        target, numbered = result_folder(self.base.output, parent, f"{self.stem}{suffix}")
        with whole_folder(target, numbered=numbered) as folder:
            result = self._run(folder.path)
            write_episode(result, folder.path, self.options)
            plan_s = [record.plan_wall_s for record in result.intervals]
            mean_s = {self.policy: sum(plan_s) / max(len(plan_s), 1)}
            rows = means([row(summarize(result))], mean_s)
            title = episode_title(result)
            del result  # the report reads files, and long traces are large
            write_report(folder.path)
        return Done(folder.final, (comparison_table(rows, title),), figures(rows[0]))

    def _run(self, folder: Path) -> EpisodeResult:
        from markopt.evaluation.attribution import recorded, with_attribution
        from markopt.evaluation.episode import (
            EpisodeSetup,
            fit_forecaster,
            run_episode,
            set_conditions,
        )
        from markopt.evaluation.problems import PROBLEMS, SavingPlanner, check_every
        from markopt.evaluation.progress import late_bar
        from markopt.evaluation.regret import RecordingPlanner, with_regret
        from markopt.evaluation.request_file import REQUESTS, RequestFile, check_record

        parts, policy, base = self.parts, self.policy, self.base
        every = check_every(base.get("save_problems_every"))
        regret_every = check_every(base.get("regret_every"), "regret_every")
        record = check_record(base.get("record_requests"))
        attributes = check_record(base.get("attribute_loss"), "attribute_loss")
        planner, origin = parts.planner(policy), self.provenance
        scene = parts.scene(self.seed)
        conditions = set_conditions(scene)
        forecaster = fit_forecaster(parts.forecaster(), scene, conditions)
        if attributes:
            forecaster = recorded(scene, conditions, forecaster)
        if every is not None:
            (folder / PROBLEMS).mkdir()
            planner = SavingPlanner(planner, folder / PROBLEMS, every)
        recorder = None if regret_every is None else RecordingPlanner(planner, regret_every)
        setup = EpisodeSetup(
            policy, scene, conditions, forecaster, recorder or planner, self.config, origin
        )
        with (
            late_bar(f"Simulating {policy}", scene.interval_count) as bar,
            RequestFile(folder / REQUESTS) if record else nullcontext() as sink,
        ):
            result = run_episode(setup, lambda _: bar.step(), sink)
        if recorder is not None:
            result = with_regret(result, setup, parts.planner(policy), recorder)
        if attributes:
            result = with_attribution(result, setup, parts.planner(policy))
        return result
