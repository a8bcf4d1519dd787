"""The jobs of a sweep, as Hydra starts them one by one."""

from __future__ import annotations

import sys
import tempfile
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from markopt.composition import CONFIG_NAME, HYDRA_VERSION, combinations, compose, parse
from markopt.errors import MarkoptError
from markopt.launch.flags import SWEEP_FLAGS
from markopt.launch.folders import RESULTS
from markopt.resources import shipped_folder

if TYPE_CHECKING:
    from omegaconf import DictConfig

QUIET = {
    "hydra/job_logging": "disabled",
    "hydra/hydra_logging": "disabled",
    "hydra.output_subdir": "null",
    "hydra.run.dir": ".",
    "hydra.sweep.subdir": ".",
}
"""What keeps Hydra from writing files of its own beside the results."""


def compose_first(
    flags: Sequence[str], overrides: Sequence[str], config_file: Path | None = None
) -> None:
    """Compose every job, so that a mistake in any of them shows before the first one runs."""
    if set(flags) & set(SWEEP_FLAGS):
        for job in combinations(overrides):
            compose(job, config_file)
    elif not set(flags) & {"-h", "--help", "--hydra-help"}:
        compose(overrides, config_file)


def swept(overrides: Sequence[str]) -> frozenset[str]:
    """Return the keys that a sweep gives several values, but for planner and seed."""
    keys = {o.key_or_group for o in parse(overrides) if o.is_sweep_override()}
    return frozenset(keys - {"planner", "seed"})


class Job(ABC):
    """A job of a Hydra sweep: reports its own mistakes in one line and ends with their code.

    ``named`` are the keys whose values tell the jobs apart and go into the folder's name.
    """

    def __init__(self, named: frozenset[str]) -> None:
        self._named = named

    def __call__(self, config: DictConfig) -> None:
        """Do the job that Hydra composed ``config`` for."""
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


def through_hydra(
    arguments: Sequence[str], config_file: Path | None, job: Callable[[Any], None]
) -> None:
    """Hand flags and overrides to Hydra, which calls ``job`` with every configuration."""
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
