"""What is each dispatch rule and each bouncer worth?

Holds fleets of several sizes fixed under a constant load and counts, for every pair of rules, which
attainment and spill they have, and the least cost per hour, functions included, at which they hold
the SLO. Configured by ``conf/experiment/dispatch_rules.yaml``; writes ``results/dispatch_rules``,
from which ``paper_figs/dispatch_rules.py`` draws the figure.

    python experiments/dispatch_rules.py [KEY=VALUE ...]
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from study_tables import Case, Row, Study, cases, main, markdown, output_folder

from markopt.assembly import ConfigParts, compare_settings
from markopt.core import Actions, Offer
from markopt.core.latency import quantiles_s
from markopt.errors import ConfigError
from markopt.evaluation.differences import paired_t_interval
from markopt.evaluation.episode import Scene
from markopt.evaluation.folder import csv_text, replace_text, whole_folder
from markopt.evaluation.seeds import seed_sequence

STUDY = Study(
    "dispatch_rules",
    {
        "dispatcher": lambda config: config.cloud.dispatcher,
        "bouncer": lambda config: config.cloud.bouncer,
    },
)
REFERENCE = ("weighted_round_robin", "none")
"""MArk's dispatcher, and no bouncer: what a rule's worth is measured against."""

RUNS, WORTH = "fleets.csv", "worth.csv"
SETTLING_S = 60.0
WARM_FUNCTIONS = 200


@dataclass(frozen=True)
class FixedFleet:
    """A fleet that varies in one offer: what else is in it, the load, and the counts tried.

    ``service_time_cv`` takes the place of the profiles' own dispersion.
    """

    name: str
    varied: str
    rate_rps: float
    counts: tuple[int, ...]
    others: Mapping[str, int] = field(default_factory=dict)
    service_time_cv: float | None = None


CPU, GPU = "c5.large/on_demand", "p2.xlarge/on_demand"
FLEETS = (
    FixedFleet("CPU", CPU, 120.0, (*range(23, 36), 38, 41, 45, 50)),
    # The profile's dispersion is 0.02; 0.3 is assumed, to see what rests on service times that
    # hardly vary.
    FixedFleet("CPU, varying", CPU, 120.0, tuple(range(23, 52, 2)), service_time_cv=0.3),
    FixedFleet("GPU, batches of 8", GPU, 450.0, tuple(range(7, 17))),
    FixedFleet("CPU and GPU", CPU, 200.0, tuple(range(15, 63, 2)), {GPU: 2}),
)


def measured(scene: Scene, fleet: Mapping[str, int]) -> dict[str, float]:
    """Serve a scene's load with a fleet that nobody changes; judge what follows the settling time.

    Functions are kept warm. Quantiles are of answered requests, from whole windows.

    Raises:
        ConfigError: the evaluated span is not longer than the settling time.
    """
    start_s, end_s = scene.workload.start_s, scene.workload.end_s
    if not end_s - start_s > SETTLING_S:
        raise ConfigError(
            f"workload.evaluate_s: must exceed the settling time of {SETTLING_S:g} s, got "
            f"{end_s - start_s:g}"
        )
    cloud = scene.cloud(
        service=scene.service,
        offers=scene.offers,
        function=scene.function,
        workload=scene.workload,
        seed=seed_sequence(scene.seed, "cloud"),
        initial_fleet=fleet,
    )
    cloud.apply(Actions("warm", warm_functions=WARM_FUNCTIONS))
    cloud.advance(start_s + SETTLING_S)
    settled_usd = cloud.observe().bill_usd
    cloud.advance(end_s)
    judged_usd = cloud.observe().bill_usd - settled_usd
    cloud.close()
    statistics = cloud.statistics()
    first = round(SETTLING_S / statistics.bin_s)
    arrivals = int(statistics.arrivals[first:].sum())
    missed = int(statistics.late[first:].sum() + statistics.refused[first:].sum())
    windows = statistics.latency_windows
    if windows is None or windows.window_s > SETTLING_S:
        raise ConfigError(f"cloud.latency_window_s: must be at most {SETTLING_S:g} here")
    judged = slice(round(SETTLING_S / windows.window_s), None)
    counts = np.sum([np.asarray(c)[judged].sum(axis=0) for c in windows.counts.values()], axis=0)
    return {
        "attainment": 1.0 - missed / arrivals,
        "spill_share": float(statistics.spilled[first:].sum()) / arrivals,
        "p98_ms": 1000.0 * float(quantiles_s(counts, windows.edges_s, [0.98])[0]),
        "usd_per_h": 3600.0 * judged_usd / (end_s - start_s - SETTLING_S),
    }


def utilisation(fleet: FixedFleet, count: int, offers: Sequence[Offer]) -> float:
    """Return the load as a share of a fleet's saturation throughput."""
    rps = {offer.name: offer.saturation_rps for offer in offers}
    others_rps = sum(rps[name] * number for name, number in fleet.others.items())
    return fleet.rate_rps / (others_rps + rps[fleet.varied] * count)


def of_case(case: Case, fleet: FixedFleet, scenes: Sequence[Scene]) -> tuple[list[Row], list[Row]]:
    """Return a pair of rules' rows by fleet size, over the seeds, and its least cost by seed."""
    by_count: list[Row] = []
    least: dict[int, Row] = {}
    for count in fleet.counts:
        found = []
        for scene in scenes:
            values = measured(scene, {**fleet.others, fleet.varied: count})
            found.append(values)
            holds = values["attainment"] >= scene.service.slo.sl_min
            known = least.get(scene.seed)
            if holds and (known is None or values["usd_per_h"] < known["usd_per_h"]):
                least[scene.seed] = {"seed": scene.seed, "count": count, **values}
        by_count.append(
            {
                "fleet": fleet.name,
                **case.labels,
                "count": count,
                "utilisation": round(utilisation(fleet, count, scenes[0].offers), 4),
                **{
                    key: round(float(np.mean([entry[key] for entry in found])), digits)
                    for key, digits in DIGITS.items()
                },
            }
        )
    return by_count, list(least.values())


DIGITS = {"attainment": 5, "spill_share": 5, "p98_ms": 1, "usd_per_h": 4}


def worth(least: Mapping[tuple[str, str, str], Sequence[Row]], seeds: int) -> list[Row]:
    """Return each pair's least cost as a ratio to the reference's, paired over the seeds.

    ``least`` has the seeds' rows by (fleet, dispatcher, bouncer). A pair that does not hold the SLO
    with every seed at any of the sizes has no cost; the ends of the 95 % interval are Student's.
    """
    rows: list[Row] = []
    for (fleet, dispatcher, bouncer), found in least.items():
        reference = least.get((fleet, *REFERENCE), ())
        entry: Row = {"fleet": fleet, "dispatcher": dispatcher, "bouncer": bouncer}
        entry |= dict.fromkeys(("count", "spill_share", "attainment", "usd_per_h"))
        entry |= dict.fromkeys(("cost_ratio", "ci95_low", "ci95_high"))
        rows.append(entry)
        if len(found) < seeds:
            continue
        for key, digits in (("count", 1), *DIGITS.items()):
            if key in entry:
                entry[key] = round(float(np.mean([row[key] for row in found])), digits)
        if len(reference) < seeds:
            continue
        base = {row["seed"]: row["usd_per_h"] for row in reference}
        ratios = np.array([row["usd_per_h"] / base[row["seed"]] for row in found])
        entry["cost_ratio"] = round(float(ratios.mean()), 4)
        if seeds > 1:
            low, high = paired_t_interval(ratios)
            entry |= {"ci95_low": round(low, 4), "ci95_high": round(high, 4)}
    return rows


def scenes_of(case: Case, fleet: FixedFleet) -> list[Scene]:
    """Return the fleet's load under the case's rules, one scene per seed."""
    overrides = [*case.overrides, f"workload.rates_rps=[{fleet.rate_rps}]"]
    parts = ConfigParts(overrides)
    found = [parts.scene(seed) for seed in compare_settings(parts.base).seeds]
    if fleet.service_time_cv is None:
        return found
    cv = fleet.service_time_cv
    varying = tuple(replace(offer, service_time_cv=cv) for offer in found[0].offers)
    return [replace(scene, offers=varying) for scene in found]


def shown(rows: Sequence[Row]) -> list[dict[str, Any]]:
    """Return the worth rows for people."""

    def ratio(row: Row) -> str:
        if row["cost_ratio"] is None:
            return "SLO not held" if row["usd_per_h"] is None else "-"
        if row["ci95_low"] is None:
            return f"{row['cost_ratio']:.3f}"
        return f"{row['cost_ratio']:.3f} ({row['ci95_low']:.3f} to {row['ci95_high']:.3f})"

    return [
        {
            **{key: row[key] for key in ("fleet", "dispatcher", "bouncer")},
            "instances": "-" if row["count"] is None else f"{row['count']:g}",
            "Lambda %": "-" if row["count"] is None else f"{100.0 * row['spill_share']:.2f}",
            "USD/h": "-" if row["count"] is None else f"{row['usd_per_h']:.3f}",
            "cost ratio (95 %)": ratio(row),
        }
        for row in rows
    ]


def run(overrides: Sequence[str], fleets: Sequence[FixedFleet] = FLEETS) -> Path:
    """Run the study; ``overrides`` change its configuration, and its sweep where they name it.

    Raises:
        MarkoptError: a setting is wrong, or the result folder exists.
    """
    found = cases(STUDY, overrides)
    seeds = len(compare_settings(found[0].config).seeds)
    runs: list[Row] = []
    least: dict[tuple[str, str, str], Sequence[Row]] = {}
    with whole_folder(output_folder(STUDY, found)) as folder:
        for fleet in fleets:
            for case in found:
                print(f"{STUDY.name}: {fleet.name}, {case.labels}", file=sys.stderr)
                by_count, by_seed = of_case(case, fleet, scenes_of(case, fleet))
                runs += by_count
                least[fleet.name, case.labels["dispatcher"], case.labels["bouncer"]] = by_seed
        rows = worth(least, seeds)
        replace_text(folder.path / RUNS, csv_text(runs))
        replace_text(folder.path / WORTH, csv_text(rows))
        replace_text(folder.path / "table.md", markdown(shown(rows)))
    print(markdown(shown(rows)))
    print(folder.final)
    return folder.final


if __name__ == "__main__":
    sys.exit(main(run, sys.argv[1:]))
