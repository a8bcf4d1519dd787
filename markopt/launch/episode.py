"""``markopt run``: one episode, or a sweep of them."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path

from markopt.launch.display import episode_title, show
from markopt.launch.flags import split_flags
from markopt.launch.folders import result_folder
from markopt.launch.sweep import Job, compose_first, swept, through_hydra


def launch_run(arguments: Sequence[str], config_file: Path | None) -> None:
    """Run one episode, or with ``-m`` one for every combination of values."""
    flags, overrides = split_flags(arguments)
    if not flags:
        _run(overrides, config_file, parent=None)
        return
    compose_first(flags, overrides, config_file)
    through_hydra([*flags, *overrides], config_file, _RunJob(swept(overrides), config_file))


class _RunJob(Job):
    def __init__(self, named: frozenset[str], config_file: Path | None) -> None:
        super().__init__(named)
        self._config_file = config_file

    def work(self, overrides: Sequence[str], parent: Path, suffix: str) -> None:
        _run(overrides, self._config_file, parent, suffix)


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
    target, numbered = result_folder(parts.base.output, parent, f"{policy}-seed{seed}{suffix}")
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
        title = episode_title(result)
        # The report reads files, and long traces are large.
        del result, setup, scene, conditions, recorder
        write_report(folder.path)
    show(comparison_table(rows, title), folder.final)
