"""Several comparisons under one name, as two tidy tables: what the studies of this folder share.

A study is a configuration (``conf/experiment/NAME.yaml``) whose ``hydra.sweeper.params`` say what
it sweeps, and labels that tell its cases apart. Every case compares the configuration's policies on
the same arrivals. ``episodes.csv`` has one row per case, policy and seed, ``windows.csv`` one per
case, policy and minute, over the seeds. A study may also sweep ``variants``: sets of overrides by
name, where one key alone does not tell what differs.
"""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from finished_rows import FinishedRows, setting_digest
from numpy.typing import NDArray

from markopt.assembly import ConfigParts, compare_settings
from markopt.composition import combinations, compose, parse, split_lists
from markopt.errors import ConfigError, MarkoptError
from markopt.evaluation import compare
from markopt.evaluation.differences import paired_t_interval
from markopt.evaluation.folder import csv_text, replace_text, whole_folder
from markopt.evaluation.outcome import EpisodeResult, summarize
from markopt.evaluation.tabulation import row
from markopt.evaluation.tuning import Tuned

if TYPE_CHECKING:
    from omegaconf import DictConfig

Row = dict[str, Any]
EPISODES, WINDOWS = "episodes.csv", "windows.csv"
_EPISODE_KEYS = (
    "cost_usd",
    "clairvoyant_bound_usd",
    "attainment",
    "worst_window_attainment",
    "lambda_share",
    "refused_share",
    "requests",
    "launches",
    "interruptions",
)


@dataclass(frozen=True)
class Study:
    """A study's name, and its columns that tell cases apart, each from a case's configuration.

    ``variants`` are sets of overrides by the name that stands in the column ``variant``.
    ``completed`` are overrides that follow from a case's configuration, such as a load by service.
    ``by_window`` keeps a row per minute too.
    """

    name: str
    labels: Mapping[str, Callable[[DictConfig], Any]] = field(default_factory=dict)
    variants: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    completed: Callable[[DictConfig], tuple[str, ...]] | None = None
    by_window: bool = True

    @property
    def columns(self) -> list[str]:
        """The columns that tell cases apart."""
        return [*self.labels, *(["variant"] if self.variants else [])]


@dataclass(frozen=True, eq=False)
class Case:
    """One combination of what a study sweeps: overrides, what they compose to, values by label."""

    overrides: tuple[str, ...]
    config: DictConfig
    labels: Row


def cases(study: Study, overrides: Sequence[str]) -> list[Case]:
    """Return a study's cases; a key among the overrides takes the place of the study's own sweep.

    Policies and seeds are lists of every case: ``planner=a,b seed=0,1``.

    Raises:
        ConfigError: a key or an option does not exist.
    """
    rest, planners, seeds = split_lists([f"experiment={study.name}", *overrides])
    if planners is not None:
        rest.append(f"compare.planners=[{','.join(planners)}]")
    if seeds is not None:
        rest.append(f"compare.seeds=[{','.join(seeds)}]")
    given = {override.key_or_group for override in parse(rest)}
    fixed = [text for text, o in zip(rest, parse(rest), strict=True) if not o.is_sweep_override()]
    sweep = [f"{k}={v}" for k, v in compose(fixed).sweep.items() if k not in given]
    found = []
    for plain in combinations([*rest, *sweep]):
        for variant, changes in (study.variants or {"": ()}).items():
            job = (*plain, *changes)
            config = compose(job).config
            if study.completed is not None:
                wanted = study.completed(config)
                job += tuple(text for text in wanted if text.partition("=")[0] not in given)
                config = compose(job).config
            labels = {name: read(config) for name, read in study.labels.items()}
            if study.variants:
                labels["variant"] = variant
            found.append(Case(job, config, labels))
    return found


def output_folder(study: Study, found: Sequence[Case]) -> Path:
    """Return where a study's tables go: ``output``, else ``results/NAME``."""
    output = found[0].config.output
    return Path("results") / study.name if output is None else Path(str(output))


def compared(case: Case, *, by_window: bool = True) -> tuple[list[Row], list[Row]]:
    """Run a case's comparison; return its rows by episode and, if wanted, by window.

    Raises:
        ConfigError: response times are not kept by control interval.
        MarkoptError: a part is configured wrongly, or the load cannot be served.
    """
    base = case.config
    settings = compare_settings(base)
    if by_window and base.cloud.latency_window_s != base.controller.interval_s:
        raise ConfigError(
            f"cloud.latency_window_s: a study needs it equal to controller.interval_s "
            f"({base.controller.interval_s:g}), got {base.cloud.latency_window_s}"
        )
    comparison = compare(ConfigParts(case.overrides, settings.planners), settings)
    tuned = {entry.policy: tuned_to(entry) for entry in comparison.tuned}
    episodes = [
        {**case.labels, **episode_row(e), "tuned": tuned.get(e.policy, "")}
        for e in comparison.episodes
    ]
    windows: list[Row] = []
    for policy in settings.planners if by_window else ():
        found = [windows_of(episode) for episode in comparison.of(policy)]
        windows += [{**case.labels, "policy": policy, **entry} for entry in over_seeds(found)]
    return episodes, windows


def tuned_to(entry: Tuned) -> str:
    """Return what a policy's knobs were tuned to, in one cell."""
    return " ".join(f"{name}={value:g}" for name, value in entry.values.items())


def episode_row(episode: EpisodeResult) -> Row:
    """Return an episode as one row; the worst minute is that of the response-time windows."""
    found = row(summarize(episode))
    minutes = episode.statistics.attainment_by_window(episode.interval_s)
    return {
        "policy": found["policy"],
        "seed": found["seed"],
        **{key: _rounded(found[key], 6) for key in _EPISODE_KEYS},
        "worst_minute_attainment": _rounded(float(np.nanmin(minutes)), 6),
        "p98_ms": _rounded(found["p98_s"] and 1000.0 * found["p98_s"], 1),
    }


def windows_of(episode: EpisodeResult) -> dict[str, NDArray[np.float64]]:
    """Return an episode's columns by control interval, time from the simulated start."""
    statistics, interval_s = episode.statistics, episode.interval_s
    windows = statistics.latency_windows
    if windows is None:
        raise ConfigError("cloud.latency_window_s: a study needs response times by window")
    count = len(episode.intervals)
    width = round(interval_s / statistics.bin_s)

    def per_window(counts: NDArray[np.int64]) -> NDArray[np.float64]:
        return counts[: count * width].reshape(count, width).sum(axis=1).astype(np.float64)

    arrivals = per_window(statistics.arrivals)
    missed = per_window(statistics.late) + per_window(statistics.refused)
    bill_usd = np.array([record.bill_usd for record in episode.intervals])
    with np.errstate(invalid="ignore", divide="ignore"):
        attainment = 1.0 - missed / arrivals
        lambda_share = per_window(statistics.spilled) / arrivals
    quantiles_ms = 1000.0 * windows.quantiles_s([0.5, 0.98])[:count]
    return {
        "time_s": np.arange(count) * interval_s,
        "p50_ms": quantiles_ms[:, 0],
        "p98_ms": quantiles_ms[:, 1],
        "attainment": attainment,
        "lambda_share": lambda_share,
        "usd_per_h": 3600.0 / interval_s * np.diff(bill_usd, prepend=0.0),
    }


def over_seeds(found: Sequence[Mapping[str, NDArray[np.float64]]]) -> list[Row]:
    """Return one row per window: means over the seeds, and the least attainment."""
    stacked = {name: np.stack([entry[name] for entry in found]) for name in found[0]}
    rows = []
    for at, time_s in enumerate(stacked["time_s"][0]):
        now = {name: values[:, at] for name, values in stacked.items()}
        rows.append(
            {
                "time_s": round(float(time_s)),
                "p50_ms": _mean(now["p50_ms"], 1),
                "p98_ms": _mean(now["p98_ms"], 1),
                "attainment": _mean(now["attainment"], 5),
                "attainment_min": _rounded(float(now["attainment"].min()), 5),
                "lambda_share": _mean(now["lambda_share"], 5),
                "usd_per_h": _mean(now["usd_per_h"], 3),
            }
        )
    return rows


def _mean(values: NDArray[np.float64], digits: int) -> float | None:
    """Return the mean of the seeds that have a value: a window without answers has none."""
    known = values[np.isfinite(values)]
    return _rounded(float(known.mean()), digits) if len(known) else None


def _rounded(value: float | None, digits: int) -> float | None:
    if value is None or not np.isfinite(value):
        return None
    return value if isinstance(value, int) else round(value, digits)


def summary(episodes: Sequence[Row], labels: Sequence[str]) -> list[Row]:
    """Return one row per case and policy, for people: means over seeds, the worst minute of any.

    Costs stand beside those of the case's first policy, paired over the seeds; what follows ± is
    half of a 95 % interval.
    """
    groups: dict[tuple[Any, ...], dict[str, list[Row]]] = {}
    for entry in episodes:
        policies = groups.setdefault(tuple(entry[key] for key in labels), {})
        policies.setdefault(entry["policy"], []).append(entry)
    rows = []
    for case, policies in groups.items():
        first = next(iter(policies))
        for policy, group in policies.items():
            cost, base = (_column(policies[name], "cost_usd") for name in (policy, first))
            worst = _column(group, "worst_minute_attainment").min()
            change = "" if policy == first else _with_half_width(100.0 * (cost / base - 1.0), 1)
            rows.append(
                {
                    **dict(zip(labels, case, strict=True)),
                    "policy": policy,
                    "cost USD": _with_half_width(cost, 3),
                    f"against {first} %": change,
                    "attainment %": f"{100.0 * _column(group, 'attainment').mean():.2f}",
                    "worst minute %": f"{100.0 * worst:.2f}",
                    "p98 ms": f"{_column(group, 'p98_ms').mean():.0f}",
                    "Lambda %": f"{100.0 * _column(group, 'lambda_share').mean():.2f}",
                    "launches": f"{_column(group, 'launches').mean():.1f}",
                }
            )
    return rows


def _column(rows: Sequence[Row], key: str) -> NDArray[np.float64]:
    return np.array([np.nan if row[key] is None else row[key] for row in rows], dtype=np.float64)


def _with_half_width(values: NDArray[np.float64], digits: int) -> str:
    """Return the mean, and with two values or more half of its 95 % interval (Student's t)."""
    mean = f"{values.mean():.{digits}f}"
    if len(values) < 2:
        return mean
    low, high = paired_t_interval(values)
    return f"{mean} ± {(high - low) / 2.0:.{digits}f}"


def markdown(rows: Sequence[Row]) -> str:
    """Return rows of equal keys as a Markdown table."""
    keys = list(rows[0])
    lines = [keys, ["---"] * len(keys), *([str(entry[key]) for key in keys] for entry in rows)]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def finished_or_compared(case: Case, unfinished: Path, *, by_window: bool) -> list[list[Row]]:
    """Return a case's rows as ``compared`` does; a run that was cut off has left them behind."""
    digest = setting_digest(case.config, ignored=("output",), measuring=Path(__file__))
    finished = FinishedRows(unfinished / "cases.jsonl", digest)
    found = finished.get(case.labels)
    if found is None:
        episodes, windows = compared(case, by_window=by_window)
        found = {EPISODES: episodes, WINDOWS: windows}
        finished.add(case.labels, found)
    return [found[EPISODES], found[WINDOWS]]


def run_study(study: Study, overrides: Sequence[str]) -> Path:
    """Run a study's cases and write its tables; returns their folder, which appears whole.

    Cases that have ended lie in ``FOLDER.unfinished`` until all have: started again with the same
    configuration and code, the study goes on where it was.

    Raises:
        MarkoptError: a setting is wrong, a load cannot be served, or the folder exists.
    """
    found = cases(study, overrides)
    episodes: list[Row] = []
    windows: list[Row] = []
    with whole_folder(output_folder(study, found)) as folder:
        unfinished = folder.final.with_name(f"{folder.final.name}.unfinished")
        for number, case in enumerate(found, start=1):
            print(f"{study.name} {number}/{len(found)}: {case.labels}", file=sys.stderr)
            of_case = finished_or_compared(case, unfinished, by_window=study.by_window)
            episodes += of_case[0]
            windows += of_case[1]
        table = markdown(summary(episodes, study.columns))
        replace_text(folder.path / EPISODES, csv_text(episodes))
        if study.by_window:
            replace_text(folder.path / WINDOWS, csv_text(windows))
        replace_text(folder.path / "table.md", table)
    shutil.rmtree(unfinished, ignore_errors=True)
    print(table)
    print(folder.final)
    return folder.final


def main(run: Callable[[Sequence[str]], object], arguments: Sequence[str]) -> int:
    """Run a study from the command line; a mistake of the user is one line and its exit code."""
    try:
        run(arguments)
    except MarkoptError as error:
        print(f"markopt: {' '.join(str(error).split())}", file=sys.stderr)
        return error.exit_code
    return 0
