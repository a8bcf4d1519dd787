"""A sweep: every job through Hydra's launcher, whatever becomes of single ones."""

from __future__ import annotations

import multiprocessing
import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import typer

from markopt.composition import (
    HYDRA_VERSION,
    OTHER_KEYS,
    SECTIONS,
    Composed,
    combinations,
    compose,
    parse,
    representatives,
)
from markopt.config_file import composable
from markopt.errors import ConfigError
from markopt.launch.flags import HELP_FLAGS, SWEEP_FLAGS
from markopt.launch.folders import RESULTS
from markopt.launch.job import FAULT, SweepJob
from markopt.launch.ledger import Entry, Ledger
from markopt.launch.objective import objective_settings
from markopt.launch.results import finished_results
from markopt.launch.watch import watched
from markopt.launch.work import Make

QUIET = {
    "hydra/job_logging": "disabled",
    "hydra/hydra_logging": "disabled",
    "hydra.output_subdir": "null",
    "hydra.run.dir": ".",
    "hydra.sweep.subdir": ".",
}
"""What keeps Hydra from writing files of its own beside the results."""

RAY = {
    "hydra.launcher.ray.init.include_dashboard": "false",
    "hydra.launcher.ray.init.log_to_driver": "false",
    "hydra.launcher.ray.init.logging_level": "40",
    "hydra.launcher.ray.remote.num_cpus": "1",
    "hydra.launcher.ray.remote.max_retries": "0",
}
"""What Ray is told unless overrides say otherwise.

A sweep has a line per job of its own, and tries a job alone that took its worker down.
"""

BASIC_SWEEPER = "hydra._internal.core_plugins.basic_sweeper.BasicSweeper"
CHECKED_BEFORE = "hydra_plugins.markopt_sweeper.CheckedBeforeSweeper"
"""What takes the place of Hydra's own sweeper, which composes every job once more."""

ONE_PROCESS_EACH = "submitit"
"""Launchers of this kind give every job a process of its own, whose end harms no other."""

TUNING_RESULT = "optimization_results.yaml"
"""What Optuna's sweeper leaves in Hydra's folder; it is kept beside the results."""


def wants_sweep(flags: Sequence[str]) -> bool:
    """Tell whether the flags ask for several jobs, and for nothing else first."""
    return bool(flags) and set(flags) <= set(SWEEP_FLAGS)


def launch_sweep(
    flags: Sequence[str],
    overrides: Sequence[str],
    make: Make,
    *,
    known: set[str],
    config_file: Path | None = None,
) -> None:
    """Do every job that the overrides describe; what fails is listed at the end.

    ``known`` are the keys that the folders' names tell anyway.

    Raises:
        ConfigError: a mistake in the overrides, found before the first job runs.
        SystemExit: a job has failed, with the code of the first that did.
    """
    composed = _compose_all(overrides, config_file)
    objective_settings(composed.config)
    output = composed.config.output
    base = (RESULTS if output is None else Path(str(output))).absolute()
    keys = {o.key_or_group for o in parse(overrides) if o.is_sweep_override()}
    launcher, total = composed.launcher, _count(composed, overrides)
    with _scratch(base, kept_after_errors=launcher.startswith(ONE_PROCESS_EACH)) as scratch:
        ledger = Ledger(scratch / "jobs")
        job = SweepJob(
            make=make,
            named=frozenset({*keys, *composed.sweep} - known),
            ledger=ledger,
            base=base,
            finished=finished_results(base),
            working_folder=Path.cwd(),
        )
        arguments = [*flags, *overrides]
        given = {text.split("=", 1)[0] for text in arguments}
        if "hydra.sweep.dir" not in given:
            arguments.append(f"hydra.sweep.dir={scratch}")
        told = {key.lstrip("+") for key in given}
        if composed.sweeper == BASIC_SWEEPER and "hydra.sweeper._target_" not in told:
            arguments.append(f"hydra.sweeper._target_={CHECKED_BEFORE}")
        if launcher == "ray":
            arguments += [f"++{key}={value}" for key, value in RAY.items() if key not in told]
        with watched(ledger, total):
            _launch_all(arguments, config_file, job, launcher)
        if (scratch / TUNING_RESULT).is_file():
            (scratch / TUNING_RESULT).replace(base / TUNING_RESULT)
        entries = ledger.entries()
    _conclude(entries, total, base)


def through_hydra(
    arguments: Sequence[str],
    config_file: Path | None = None,
    job: Callable[[Any], Any] | None = None,
) -> None:
    """Hand flags and overrides to Hydra, which calls ``job`` with every configuration.

    Raises:
        ConfigError: an override is wrong.
    """
    import hydra

    if job is None and not set(arguments) & set(HELP_FLAGS):
        compose(next(representatives([t for t in arguments if _is_override(t)])), config_file)
    given = {argument.split("=", 1)[0] for argument in arguments}
    before = sys.argv
    with (
        tempfile.TemporaryDirectory() as scratch,
        composable(config_file, SECTIONS, OTHER_KEYS) as (folder, name),
    ):
        quiet = {**QUIET, "hydra.sweep.dir": scratch}
        extra = [f"{key}={value}" for key, value in quiet.items() if key not in given]
        sys.argv = ["markopt", *arguments, *extra]
        try:
            hydra.main(str(folder.resolve()), name, HYDRA_VERSION)(job or _nothing)()
        finally:
            sys.argv = before


def _nothing(_: Any) -> None:
    """Stand in for the job where Hydra only shows something."""


def _compose_all(overrides: Sequence[str], config_file: Path | None) -> Composed:
    """Compose a job of every kind, so that a mistake shows before the first one runs."""
    jobs = list(representatives(overrides))
    composed = compose(jobs.pop(0), config_file)
    swept = _with_own_sweep(composed, overrides)
    for job in jobs if len(swept) == len(overrides) else representatives(swept):
        compose(job, config_file)
    return composed


def _with_own_sweep(composed: Composed, overrides: Sequence[str]) -> list[str]:
    """Return what is swept by the configuration itself, then the overrides, which come first."""
    given = {o.key_or_group for o in parse(overrides)}
    params = [f"{key}={value}" for key, value in composed.sweep.items() if key not in given]
    return [*params, *overrides]


def _count(composed: Composed, overrides: Sequence[str]) -> int | None:
    """Return how many jobs there will be, None where the sweeper decides that."""
    if composed.trials is not None:
        return composed.trials
    try:
        return sum(1 for _ in combinations(_with_own_sweep(composed, overrides)))
    except ConfigError:
        return None


@contextmanager
def _scratch(base: Path, *, kept_after_errors: bool) -> Iterator[Path]:
    """Yield a folder below the results, where the processes of a cluster see it too.

    After an error it is kept where jobs may go on that read it and write to it.
    """
    made = [folder for folder in (base, *base.parents) if not folder.exists()]
    try:
        base.mkdir(parents=True, exist_ok=True)
        scratch = Path(tempfile.mkdtemp(prefix=".sweep-", dir=base))
    except OSError as error:
        raise ConfigError(f"output={base}: cannot be made: {error.strerror}") from None
    ended = False
    try:
        yield scratch
        ended = True
    finally:
        if ended or not kept_after_errors:
            shutil.rmtree(scratch, ignore_errors=True)
        for folder in made:
            with suppress(OSError):  # it holds results
                folder.rmdir()


def _launch_all(
    arguments: Sequence[str], config_file: Path | None, job: SweepJob, launcher: str
) -> None:
    """Launch until every job has ended; one that takes its process down is tried alone, once."""
    while True:
        try:
            with _plain_errors():
                through_hydra(arguments, config_file, job)
            return
        except Exception as error:
            lost = job.ledger.lost()
            if launcher.startswith(ONE_PROCESS_EACH) or not lost:
                reason = " ".join(str(error).split()) or type(error).__name__
                if any(entry.state == "failed" for entry in job.ledger.entries()):
                    return  # such as a study that ends because every trial has failed
                raise ConfigError(
                    f"hydra/launcher={launcher}: the sweep ended early: {reason}"
                ) from error
            for entry in lost:
                _alone(job, entry)
        finally:
            _stop_ray(launcher)


def _alone(job: SweepJob, entry: Entry) -> None:
    """Do a job in a process of its own, so that nothing else dies of it."""
    process = multiprocessing.get_context("spawn").Process(
        target=job.attempt, args=(entry.overrides,)
    )
    process.start()
    process.join()
    _remove_partial(job.base, entry.pid)
    if job.ledger.ended(entry.overrides) is None:
        _remove_partial(job.base, process.pid or 0)
        text = f"it takes its process down (exit code {process.exitcode})"
        job.ledger.write(replace(entry, state="failed", text=text, exit_code=FAULT))


def _remove_partial(base: Path, pid: int) -> None:
    """Remove the folder that a process was filling when it died (see ``whole_folder``)."""
    for folder in base.glob(f".*.partial-{pid}"):
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def _plain_errors() -> Iterator[None]:
    """Let Hydra raise what goes wrong; otherwise it prints a traceback and exits."""
    key = "HYDRA_FULL_ERROR"
    before = os.environ.get(key)
    os.environ[key] = "1"
    try:
        yield
    finally:
        if before is None:
            del os.environ[key]
        else:
            os.environ[key] = before


def _stop_ray(launcher: str) -> None:
    if launcher == "ray" and "ray" in sys.modules:
        sys.modules["ray"].shutdown()


def _is_override(text: str) -> bool:
    return not text.startswith("-") and "=" in text


def _conclude(entries: Sequence[Entry], total: int | None, base: Path) -> None:
    """Print how many jobs ended how, and every failure.

    Raises:
        SystemExit: a job has failed or was not run.
    """
    failed = [entry for entry in entries if entry.state == "failed"]
    missing = max((total or 0) - len(entries), 0)
    counts = {state: sum(e.state == state for e in entries) for state in ("finished", "skipped")}
    counts |= {"failed": len(failed), "not run": missing}
    if len(failed) < len(entries):
        told = ", ".join(f"{count} {state}" for state, count in counts.items() if count)
        where = f"in a table: markopt collect {_shown(base)}"
        typer.echo(f"{len(entries) + missing} jobs: {told}; {where}")
    for trace in dict.fromkeys(entry.trace for entry in failed if entry.trace):
        typer.echo(trace, err=True)
    for entry in failed:
        typer.echo(f"markopt: {entry.name}: {entry.text}", err=True)
    if failed or missing:
        raise SystemExit(failed[0].exit_code if failed else FAULT)


def _shown(base: Path) -> str:
    return str(base.relative_to(Path.cwd())) if base.is_relative_to(Path.cwd()) else str(base)
