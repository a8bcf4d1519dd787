"""Several policies on the same arrivals: run, tabulate, judge, export the winner."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol

from markopt.errors import ConfigError
from markopt.evaluation.differences import (
    Difference,
    as_rows,
    cost_and_attainment_differences,
)
from markopt.evaluation.episode import (
    Conditions,
    EpisodeSetup,
    Scene,
    fit_forecaster,
    forecast_once,
    run_episode,
    set_conditions,
)
from markopt.evaluation.folder import csv_text, json_text, replace_text
from markopt.evaluation.outcome import EpisodeResult, summarize
from markopt.evaluation.progress import late_bar
from markopt.evaluation.provenance import plain, provenance
from markopt.evaluation.results import write_episode
from markopt.evaluation.seeds import generator
from markopt.evaluation.tabulation import (
    COMPARISON,
    COMPARISON_SCHEMA,
    DIFFERENCES,
    ROWS,
    means,
    row,
)
from markopt.evaluation.tape import RecordedForecaster
from markopt.evaluation.terminal import markdown_table
from markopt.evaluation.tuning import Search, Trial, Tuned, tune
from markopt.evaluation.tuning import as_rows as tuning_rows
from markopt.forecasting.protocol import Forecaster
from markopt.planning.protocol import Planner

Span = Literal["judged", "tuning"]


class Parts(Protocol):
    """Makes the parts of a comparison from a configuration."""

    def scene(self, seed: int, span: Span) -> Scene:
        """Return the scene of a seed on the judged span, or on the last of the history."""
        ...

    def forecaster(self) -> Forecaster:
        """Return a forecaster that has not been fitted."""
        ...

    def knob(self, policy: str) -> tuple[str | None, tuple[float, ...]]:
        """Return the constructor argument that may be tuned, and its values, cheap to safe."""
        ...

    def planner(self, policy: str, value: float | None = None) -> Planner:
        """Return a policy's planner, with its knob at ``value`` where one is given."""
        ...

    def config(self, policy: str, seed: int, value: float | None = None) -> dict[str, Any]:
        """Return the complete configuration of one episode."""
        ...

    def export(self, policy: str, seed: int, value: float | None, path: Path) -> None:
        """Write the configuration of a policy as a file that ``markopt run`` accepts."""
        ...


@dataclass(frozen=True)
class CompareSettings:
    """How to compare: see ``conf/config.yaml``.

    Raises:
        ConfigError: a list is empty or repeats itself, or a value is out of range.
    """

    planners: tuple[str, ...]
    seeds: tuple[int, ...] = (0,)
    jobs: int = 1
    at_equal_slo: float | None = None
    tune_search: Search = "grid"

    def __post_init__(self) -> None:
        for key in ("planners", "seeds"):
            values = getattr(self, key)
            if not values:
                raise ConfigError(f"compare.{key}: must name at least one, got none")
            if len(set(values)) != len(values):
                raise ConfigError(f"compare.{key}: must not repeat itself, got {list(values)}")
        if self.jobs < 1:
            raise ConfigError(f"compare.jobs: must be at least 1, got {self.jobs}")
        if self.at_equal_slo is not None and not 0.0 < self.at_equal_slo < 1.0:
            raise ConfigError(
                f"--at-equal-slo: must lie strictly between 0 and 1, got {self.at_equal_slo}"
            )


@dataclass(frozen=True, eq=False)
class Comparison:
    """What a comparison found. ``episodes`` are in the order policy by policy, seed by seed."""

    settings: CompareSettings
    episodes: tuple[EpisodeResult, ...]
    differences: tuple[Difference, ...]
    tuned: tuple[Tuned, ...]

    def of(self, policy: str) -> tuple[EpisodeResult, ...]:
        """Return the policy's episodes, one per seed."""
        return tuple(episode for episode in self.episodes if episode.policy == policy)

    def table(self) -> tuple[dict[str, Any], ...]:
        """Return one row of means per policy."""
        plan_s: dict[str, float | None] = {}
        for policy in self.settings.planners:
            walls = [r.plan_wall_s for e in self.of(policy) for r in e.intervals]
            plan_s[policy] = sum(walls) / len(walls) if walls else None
        return means([row(summarize(episode)) for episode in self.episodes], plan_s)

    def winner(self) -> str | None:
        """Return the cheapest policy that meets the SLO with every seed, None where none does."""
        meeting = [entry for entry in self.table() if entry["met"]]
        return min(meeting, key=lambda e: e["cost_usd"])["policy"] if meeting else None

    def tuned_value(self, policy: str) -> float | None:
        """Return the value that the policy's knob was set to, None where it was left alone."""
        return next((t.value for t in self.tuned if t.policy == policy), None)


def compare(parts: Parts, settings: CompareSettings) -> Comparison:
    """Run every policy with every seed; the arrivals of a seed are the same for all policies.

    Raises:
        Infeasible: no offer can serve the load.
        MarkoptError: a part is configured wrongly.
    """
    for policy in settings.planners:
        parts.planner(policy)  # a misspelt setting fails now, not after an hour
    tuned = _tune_all(parts, settings)
    values = {entry.policy: entry.value for entry in tuned}
    setups = _judged_setups(parts, settings, values)
    label = f"Simulating {len(setups)} episodes"
    with late_bar(label, sum(setup.scene.interval_count for setup in setups)) as bar:
        found = tuple(_in_parallel(_run, setups, settings.jobs, bar.step))
    return Comparison(settings, found, _differences(found, settings), tuned)


def _run(setup: EpisodeSetup, on_step: Callable[[], None] | None) -> EpisodeResult:
    return run_episode(setup, None if on_step is None else lambda _: on_step())


def _in_parallel(
    work: Callable[[Any, Callable[[], None] | None], Any],
    items: Sequence[EpisodeSetup],
    jobs: int,
    on_step: Callable[..., None],
) -> Iterator[Any]:
    """Yield results in order; the bar moves per interval alone, per episode with workers."""
    if jobs == 1 or len(items) == 1:
        for item in items:
            yield work(item, on_step)
        return
    from joblib import Parallel, delayed  # type: ignore[import-untyped]

    pool = Parallel(n_jobs=jobs, return_as="generator", pre_dispatch="2*n_jobs")
    results = pool(delayed(work)(item, None) for item in items)
    for item, result in zip(items, results, strict=True):
        on_step(item.scene.interval_count)
        yield result


def _recorded(parts: Parts, scene: Scene, *, bound: bool) -> tuple[Conditions, RecordedForecaster]:
    conditions = set_conditions(scene, bound=bound)
    forecaster = fit_forecaster(parts.forecaster(), scene, conditions)
    with late_bar(f"Forecasting, seed {scene.seed}", scene.interval_count) as bar:
        tape = forecast_once(scene, conditions, forecaster, bar.step)
    return conditions, RecordedForecaster(tape)


def _judged_setups(
    parts: Parts, settings: CompareSettings, values: Mapping[str, float | None]
) -> list[EpisodeSetup]:
    shared = {}
    for seed in settings.seeds:
        scene = parts.scene(seed, "judged")
        shared[seed] = (scene, *_recorded(parts, scene, bound=True))
    setups = []
    for policy in settings.planners:
        for seed in settings.seeds:
            scene, conditions, recorded = shared[seed]
            value = values.get(policy)
            config = parts.config(policy, seed, value)
            setups.append(
                EpisodeSetup(
                    policy=policy,
                    scene=scene,
                    conditions=conditions,
                    forecaster=copy.copy(recorded),
                    planner=parts.planner(policy, value),
                    config=config,
                    provenance=provenance(config),
                )
            )
    return setups


@dataclass(frozen=True, eq=False)
class _Tuner:
    """Tunes one policy; picklable, so that a worker process can do it."""

    parts: Parts
    settings: CompareSettings
    policy: str
    scene: Scene
    conditions: Conditions
    forecaster: RecordedForecaster

    def __call__(self) -> Tuned:
        knob, grid = self.parts.knob(self.policy)
        target = self.settings.at_equal_slo or 0.0
        search = self.settings.tune_search
        return tune(self.policy, knob, grid, target, attempt=self.attempt, search=search)

    def attempt(self, value: float) -> Trial:
        result = run_episode(
            EpisodeSetup(
                policy=self.policy,
                scene=self.scene,
                conditions=self.conditions,
                forecaster=copy.copy(self.forecaster),
                planner=self.parts.planner(self.policy, value),
            )
        )
        return Trial(value, result.statistics.attainment, result.ledger.total_usd)


def _tune_all(parts: Parts, settings: CompareSettings) -> tuple[Tuned, ...]:
    if settings.at_equal_slo is None:
        return ()
    scene = parts.scene(settings.seeds[0], "tuning")
    conditions, recorded = _recorded(parts, scene, bound=False)
    tuners = [
        _Tuner(parts, settings, policy, scene, conditions, recorded) for policy in settings.planners
    ]
    tuned: list[Tuned] = []
    with late_bar("Tuning policies", len(tuners)) as bar:
        for entry in _tune_each(tuners, settings.jobs):
            tuned.append(entry)
            bar.step()
    return tuple(tuned)


def _tune_each(tuners: Sequence[_Tuner], jobs: int) -> Iterator[Tuned]:
    if jobs == 1 or len(tuners) == 1:
        for tuner in tuners:
            yield tuner()
        return
    from joblib import Parallel, delayed

    yield from Parallel(n_jobs=jobs, return_as="generator")(delayed(t)() for t in tuners)


def _differences(
    episodes: Sequence[EpisodeResult], settings: CompareSettings
) -> tuple[Difference, ...]:
    groups = {p: [e for e in episodes if e.policy == p] for p in settings.planners}
    reference = groups[settings.planners[0]]
    found: list[Difference] = []
    for policy in settings.planners[1:]:
        rng = generator(settings.seeds[0], "bootstrap")  # anew, so that order changes nothing
        found.extend(cost_and_attainment_differences(reference, groups[policy], rng))
    return tuple(found)


def write_comparison(
    comparison: Comparison,
    parts: Parts,
    folder: Path,
    origin: Mapping[str, Any] | None = None,
) -> None:
    """Write a comparison's files into an existing folder, episodes and reports included.

    ``origin`` is what ``comparison.json`` says of where it comes from: config and provenance.
    """
    from markopt.evaluation.report import write_comparison_report, write_report

    rows, names = [], []
    for episode in comparison.episodes:
        name = f"episodes/{episode.policy}-seed{episode.seed}"
        (folder / name).mkdir(parents=True)
        write_episode(episode, folder / name)
        write_report(folder / name)
        rows.append(row(summarize(episode)))
        names.append(name)
    settings, policy = comparison.settings, comparison.winner()
    winner = None
    if policy is not None:
        winner = {"policy": policy, "config": "winner.yaml"}
        value = comparison.tuned_value(policy)
        parts.export(policy, settings.seeds[0], value, folder / winner["config"])
    differences = as_rows(comparison.differences)
    document = {
        "schema": COMPARISON_SCHEMA,
        "policies": list(settings.planners),
        "seeds": list(settings.seeds),
        "equal_slo": settings.at_equal_slo,
        "winner": winner,
        "rows": rows,
        "differences": differences,
        "tuning": tuning_rows(comparison.tuned),
        "episodes": names,
        **plain(origin or {}),
    }
    replace_text(folder / ROWS, csv_text(rows))
    replace_text(folder / DIFFERENCES, csv_text(differences))
    replace_text(folder / COMPARISON, json_text(document))
    replace_text(folder / "table.md", markdown_table(comparison.table()))
    write_comparison_report(folder)
