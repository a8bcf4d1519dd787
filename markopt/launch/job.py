"""One job of a sweep, in whatever process its launcher gives it."""

from __future__ import annotations

import os
import time
import traceback
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, final

from markopt.composition import checked, parse
from markopt.errors import DataError, MarkoptError
from markopt.launch.ledger import Entry, Ledger
from markopt.launch.objective import objective_settings
from markopt.launch.results import Finished, finished_results
from markopt.launch.work import Make

if TYPE_CHECKING:
    from omegaconf import DictConfig

FAULT = 1
"""The exit code where a job met a fault of markopt's."""


class JobFailed(Exception):
    """A job has failed, for a sweeper that counts failures; the ledger says why."""


@final
@dataclass(frozen=True, eq=False)
class SweepJob:
    """Does one job after the other; called by Hydra, or by ``attempt``.

    ``make`` turns overrides into work. ``named`` are the keys whose values tell the jobs apart and
    go into the folder's name. ``finished`` is what lay below ``base`` when the sweep began.
    """

    make: Make
    named: frozenset[str]
    ledger: Ledger
    base: Path
    finished: Finished
    working_folder: Path

    def __call__(self, config: DictConfig) -> float | tuple[float, ...] | None:
        """Do the job that Hydra is about, and return its objective where one is asked for.

        Raises:
            JobFailed: it failed, and a sweeper waits for its objective.
        """
        from hydra.core.hydra_config import HydraConfig

        overrides = list(HydraConfig.get().overrides.task)
        entry = self.ledger.ended(overrides) or self.attempt(overrides, config)
        if objective_settings(config).objective is None:
            return None
        if entry.state == "failed":
            raise JobFailed(entry.text)
        return entry.objective[0] if len(entry.objective) == 1 else entry.objective

    def attempt(self, overrides: Sequence[str], config: DictConfig | None = None) -> Entry:
        """Do the job of these overrides, or find it finished; note in the ledger what came of it.

        ``config`` is what Hydra composed of them where this is a job of Hydra's; else they are
        composed here. A job's error ends that job alone.
        """
        from markopt.evaluation.progress import without_bars

        if self.working_folder.is_dir() and Path.cwd() != self.working_folder:
            os.chdir(self.working_folder)  # a worker of a cluster may have begun elsewhere
        began = time.monotonic()
        entry = Entry("begun", self._label(overrides), tuple(overrides), pid=os.getpid())
        self.ledger.write(entry)
        try:
            with without_bars():
                entry = self._work(entry, config)
        except MarkoptError as error:
            text = " ".join(str(error).split())
            entry = replace(entry, state="failed", text=text, exit_code=error.exit_code)
        except OSError as error:
            text = " ".join(str(error).split())
            entry = replace(entry, state="failed", text=text, exit_code=DataError.exit_code)
        except Exception as error:  # noqa: BLE001 - a fault in one job must not end the others
            text = f"{type(error).__name__}: {' '.join(str(error).split())}"
            trace = traceback.format_exc()
            entry = replace(entry, state="failed", text=text, exit_code=FAULT, trace=trace)
        entry = replace(entry, wall_s=time.monotonic() - began)
        self.ledger.write(entry)
        return entry

    def _work(self, entry: Entry, config: DictConfig | None) -> Entry:
        from hydra.core.hydra_config import HydraConfig

        from markopt.evaluation.provenance import FINGERPRINT, provenance

        known = None if config is None else checked(config, HydraConfig.get(), entry.overrides)
        work = self.make(entry.overrides, known)
        base = work.base
        settings = objective_settings(base)
        parent = self.base if base.output is None else Path(str(base.output)).absolute()
        pairs = zip(entry.overrides, parse(entry.overrides), strict=True)
        told = [text for text, parsed in pairs if parsed.key_or_group in self.named]
        suffix = "".join(f",{text}" for text in told).replace("/", "_")
        entry = replace(entry, name=f"{work.stem}{suffix}")
        found = None
        if settings.resume:
            results = self.finished if parent == self.base else finished_results(parent)
            found = results.find(provenance(work.config)[FINGERPRINT], work.options)
        if found is not None:
            text = "finished before, by the same configuration, data and code"
            entry = replace(entry, state="skipped", name=found.name, text=text)
        else:
            done = work.do(parent, suffix)
            found = done.folder
            entry = replace(entry, state="finished", name=found.name, text=done.line)
        return replace(entry, folder=str(found), objective=settings.of(found))

    def _label(self, overrides: Sequence[str]) -> str:
        keys = {"planner", "seed", *self.named}
        told = [t for t in overrides if t.partition("=")[0] in keys]
        return " ".join(told) or "the only job"
