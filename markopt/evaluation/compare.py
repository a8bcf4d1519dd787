"""Several policies on the same arrivals: run, tabulate, judge, export the winner."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, Protocol

from markopt.errors import ConfigError
from markopt.evaluation import inference, pareto, ranks
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
from markopt.evaluation.inference import PairedTest, paired_tests
from markopt.evaluation.outcome import EpisodeResult, summarize
from markopt.evaluation.pareto import Point, front
from markopt.evaluation.progress import late_bar
from markopt.evaluation.provenance import plain, provenance
from markopt.evaluation.ranks import Ranks, rank
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
from markopt.evaluation.tuning import (
    Knob,
    Search,
    Trial,
    Tuned,
    Values,
    trial_rows,
    tune_knobs,
)
from markopt.evaluation.tuning import as_rows as tuning_rows
from markopt.forecasting.protocol import Forecaster
from markopt.planning.protocol import Planner

Span = Literal["judged", "tuning"]
PARETO = "pareto.svg"


class Parts(Protocol):
    """Makes the parts of a comparison from a configuration."""

    def scene(self, seed: int, span: Span) -> Scene:
        """Return the scene of a seed on the judged span, or on the last of the history."""
        ...

    def forecaster(self) -> Forecaster:
        """Return a forecaster that has not been fitted."""
        ...

    def knobs(self, policy: str) -> tuple[Knob, ...]:
        """Return the constructor arguments that may be tuned, and their values, cheap to safe."""
        ...

    def planner(self, policy: str, value: Values | None = None) -> Planner:
        """Return a policy's planner, with its knobs at the values that are given."""
        ...

    def config(self, policy: str, seed: int, value: Values | None = None) -> dict[str, Any]:
        """Return the complete configuration of one episode."""
        ...

    def export(self, policy: str, seed: int, value: Values | None, path: Path) -> None:
        """Write the configuration of a policy as a file that ``markopt run`` accepts."""
        ...


@dataclass(frozen=True)
class CompareSettings:
    """How to compare: see ``conf/config.yaml``.

    ``tune_seeds`` are the seeds of the tuning span (None: the first of ``seeds``).

    Raises:
        ConfigError: a list is empty or repeats itself, or a value is out of range.
    """

    planners: tuple[str, ...]
    seeds: tuple[int, ...] = (0,)
    jobs: int = 1
    at_equal_slo: float | None = None
    tune_search: Search = "grid"
    tune_seeds: tuple[int, ...] | None = None
    tune_refine: int = 0

    def __post_init__(self) -> None:
        for key in ("planners", "seeds", "tune_seeds"):
            values = getattr(self, key)
            if values is None:
                continue
            if not values:
                raise ConfigError(f"compare.{key}: must name at least one, got none")
            if len(set(values)) != len(values):
                raise ConfigError(f"compare.{key}: must not repeat itself, got {list(values)}")
        if self.jobs < 1:
            raise ConfigError(f"compare.jobs: must be at least 1, got {self.jobs}")
        if self.tune_refine < 0:
            raise ConfigError(f"compare.tune_refine: must be 0 or more, got {self.tune_refine}")
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

    def tuned_values(self, policy: str) -> Values | None:
        """Return the values that the policy's knobs were set to, None where they were left."""
        return next((t.values or None for t in self.tuned if t.policy == policy), None)

    @cached_property
    def verdict(self) -> Verdict:
        """Return what the seeds say about the policies: tests, ranks and the front."""
        rng = generator(self.settings.seeds[0], "bootstrap")
        rows = [row(summarize(episode)) for episode in self.episodes]
        policies = self.settings.planners
        tests = paired_tests(rows, policies, rng) if len(policies) > 1 else ()
        return Verdict(tests, rank(rows, policies), front(self.table()))


@dataclass(frozen=True, eq=False)
class Verdict:
    """Paired tests against the first policy, ranks over seeds, and cost against attainment."""

    tests: tuple[PairedTest, ...]
    ranks: Ranks
    points: tuple[Point, ...]


def compare(parts: Parts, settings: CompareSettings) -> Comparison:
    """Run every policy with every seed; the arrivals of a seed are the same for all policies.

    Raises:
        Infeasible: no offer can serve the load.
        MarkoptError: a part is configured wrongly.
    """
    for policy in settings.planners:
        parts.planner(policy)  # a misspelt setting fails now, not after an hour
        for knob in parts.knobs(policy) if settings.at_equal_slo is not None else ():
            for value in knob.grid:
                parts.planner(policy, {knob.name: value})
    tuned = _tune_all(parts, settings)
    values = {entry.policy: entry.values or None for entry in tuned}
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
    parts: Parts, settings: CompareSettings, values: Mapping[str, Values | None]
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
    stages: tuple[tuple[Scene, Conditions, RecordedForecaster], ...]

    def __call__(self) -> Tuned:
        return tune_knobs(
            self.policy,
            self.parts.knobs(self.policy),
            self.settings.at_equal_slo or 0.0,
            attempt=self.attempt,
            search=self.settings.tune_search,
            refine=self.settings.tune_refine,
        )

    def attempt(self, values: Values) -> Trial:
        """Return means over the tuning seeds."""
        shares, costs = [], []
        for scene, conditions, forecaster in self.stages:
            result = run_episode(
                EpisodeSetup(
                    policy=self.policy,
                    scene=scene,
                    conditions=conditions,
                    forecaster=copy.copy(forecaster),
                    planner=self.parts.planner(self.policy, values),
                )
            )
            shares.append(result.statistics.attainment)
            costs.append(result.ledger.total_usd)
        numbers = [value for value in values.values() if isinstance(value, float | int)]
        only = float(numbers[0]) if len(values) == len(numbers) == 1 else None
        return Trial(only, sum(shares) / len(shares), sum(costs) / len(costs))


def _tune_all(parts: Parts, settings: CompareSettings) -> tuple[Tuned, ...]:
    if settings.at_equal_slo is None:
        return ()
    stages = []
    for seed in settings.tune_seeds or settings.seeds[:1]:
        scene = parts.scene(seed, "tuning")
        stages.append((scene, *_recorded(parts, scene, bound=False)))
    tuners = [_Tuner(parts, settings, policy, tuple(stages)) for policy in settings.planners]
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
    from markopt.evaluation.report.pareto_figure import write_pareto_figure

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
        values = comparison.tuned_values(policy)
        parts.export(policy, settings.seeds[0], values, folder / winner["config"])
    differences = as_rows(comparison.differences)
    verdict = comparison.verdict
    found = {
        "tests": inference.as_rows(verdict.tests),
        "ranks": ranks.as_rows(verdict.ranks),
        "front": pareto.as_rows(verdict.points),
    }
    document = {
        "schema": COMPARISON_SCHEMA,
        "policies": list(settings.planners),
        "seeds": list(settings.seeds),
        "equal_slo": settings.at_equal_slo,
        "winner": winner,
        "rows": rows,
        "differences": differences,
        **found,
        "tuning": tuning_rows(comparison.tuned),
        "episodes": names,
        **plain(origin or {}),
    }
    replace_text(folder / ROWS, csv_text(rows))
    replace_text(folder / DIFFERENCES, csv_text(differences))
    for name, entries in {**found, "tuning": trial_rows(comparison.tuned)}.items():
        if entries:
            replace_text(folder / f"{name}.csv", csv_text(entries))
    sl_min = comparison.episodes[0].slo.sl_min
    write_pareto_figure(verdict.points, sl_min, folder / PARETO)
    replace_text(folder / COMPARISON, json_text(document))
    replace_text(folder / "table.md", markdown_table(comparison.table()))
    write_comparison_report(folder)
