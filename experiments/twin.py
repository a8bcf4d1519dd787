"""Does the simulation predict what real servers do?

A stand-in and a real model server are profiled over HTTP, fleets of them are simulated and run live
on the same arrivals (``conf/experiment/twin.yaml``); writes ``results/twin``, from which
``paper_figs/twin.py`` draws the figure. It measures this machine: run it while nothing else runs.

    python experiments/twin.py [KEY=VALUE ...]
"""

from __future__ import annotations

import dataclasses
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import numpy as np
from study_tables import main

from markopt import capacity, catalog
from markopt.cloud.local.settings import LocalCloud
from markopt.composition import compose, instantiate
from markopt.core import Batching, Offer, Service, Slo
from markopt.errors import ConfigError
from markopt.evaluation.folder import csv_text, replace_text, whole_folder
from markopt.evaluation.progress import late_bar
from markopt.evaluation.twin import (
    TwinCase,
    TwinResult,
    batched,
    check,
    measured_offer,
    profile_case,
)
from markopt.workload.protocol import Workload

if TYPE_CHECKING:
    from omegaconf import DictConfig

COMPARISON, QUANTILES, PROFILES = "comparison.csv", "quantiles.csv", "profiles.csv"
SERVERS = ("stand_in", "model")


def run(overrides: Sequence[str]) -> Path:
    """Run the check; ``overrides`` change its configuration."""
    config = compose(["experiment=twin", *overrides]).config
    target = Path("results/twin") if config.output is None else Path(str(config.output))
    results = [result_of(config, str(name)) for name in config.twin.cases]
    with whole_folder(target) as folder:
        for name, rows in (
            (COMPARISON, [row for result in results for row in result.rows()]),
            (QUANTILES, [row for result in results for row in result.quantile_rows()]),
            (PROFILES, [row for result in results for row in result.profile_rows()]),
        ):
            replace_text(folder.path / name, csv_text(rows))
    show([row for result in results for row in result.rows()])
    return target


def result_of(config: DictConfig, name: str) -> TwinResult:
    """Profile, predict and run one case.

    Raises:
        ConfigError: there is no such case.
    """
    if name not in SERVERS:
        raise ConfigError(f"twin.cases: expected any of {', '.join(SERVERS)}, got '{name}'")
    case = case_of(config, name)
    with TemporaryDirectory(prefix="twin-") as folder:  # beside other checks
        cloud = dataclasses.replace(instantiate(config.cloud, "cloud"), folder=folder)
        return _result_of(config, name, case, cloud)


def _result_of(config: DictConfig, name: str, case: TwinCase, cloud: LocalCloud) -> TwinResult:
    workload = workload_of(config, scale=1.0)
    with late_bar(f"{name}: profiling", len(case.profile_settings.batch_sizes) + 1) as bar:
        profile = profile_case(case, cloud, workload, bar.step)
    capacity_rps = case.instances * measured_offer(case, profile).saturation_rps
    wanted_rps = float(config.twin[name].utilization) * capacity_rps
    scaled = workload_of(config, scale=wanted_rps / mean_rps(workload, case.seed))
    with late_bar(f"{name}: live", round(scaled.end_s - scaled.start_s)) as bar:
        return check(case, cloud, profile, scaled, bar.step)


def case_of(config: DictConfig, name: str) -> TwinCase:
    """Return a case as configured."""
    given = config.twin[name]
    instances = os.cpu_count() if given.instances is None else given.instances
    slo = Slo(float(given.rt_max_s), float(config.service.slo.sl_min))
    return TwinCase(
        name=name,
        server=name,
        offer=offer_of(config, Batching(int(given.largest_batch), float(given.wait_s))),
        instances=int(instances or 1),
        service=Service(str(config.service.name), slo),
        repeats=int(given.repeats),
        seed=int(config.seed),
    )


def offer_of(config: DictConfig, batching: Batching) -> Offer:
    """Return the catalogue's only offer, with profiled times up to the largest batch."""
    selection = instantiate(config.catalog, "catalog")
    prices = catalog.load_catalog(selection.catalog)
    name = str(config.service.name)
    profiles = catalog.with_scaled(catalog.load_profiles(selection.profiles).of(name), prices)
    # Offers are built for a service that any batch meets, so that batching alone is what is given.
    patient = Service(name, Slo(3600.0, float(config.service.slo.sl_min)))
    (offer,) = capacity.build_offers(patient, prices, profiles, selection)
    profile = profiles[offer.instance_type]
    times_s = tuple(profile.service_time_s(b) for b in range(1, profile.largest_batch + 1))
    return batched(
        dataclasses.replace(offer, batching=Batching(len(times_s)), service_times_s=times_s),
        batching,
    )


def workload_of(config: DictConfig, scale: float) -> Workload:
    """Return the workload at ``scale`` times the load that it has."""
    from omegaconf import OmegaConf

    section = OmegaConf.merge(config.workload, {"scale": scale})
    workload: Workload = instantiate(section, "workload").build()
    return workload


def mean_rps(workload: Workload, seed: int) -> float:
    """Return the mean rate of the arrivals of the span."""
    span_s = workload.end_s - workload.start_s
    rng = np.random.default_rng(seed)
    return len(workload.new_arrivals().arrivals(workload.start_s, workload.end_s, rng)) / span_s


def show(rows: Sequence[dict[str, Any]]) -> None:
    """Print predicted and measured quantities."""
    from rich.console import Console
    from rich.table import Table

    table = Table(title="Twin check: simulated and live", title_justify="left")
    for name in ("case", "requests", "quantity", "predicted", "measured", "difference"):
        table.add_column(name, justify="right" if name != "case" else "left")
    for row in rows:
        digits = 4 if row["quantity"] == "attainment" else 1
        table.add_row(
            row["case"],
            str(row["requests"]),
            row["quantity"],
            f"{row['predicted']:.{digits}f}",
            f"{row['measured']:.{digits}f}",
            f"{row['difference_percent']:+.1f} %",
        )
    Console(width=100).print(table)
    for row in rows[::4]:
        print(
            f"{row['case']}: the generator was late by {row['lateness_p50_ms']:.2f} ms (median), "
            f"{row['lateness_p99_ms']:.2f} ms (p99), {row['lateness_max_ms']:.1f} ms at most; load "
            f"average before: {row['load_average']:.1f} on {os.cpu_count()} cores"
        )


if __name__ == "__main__":
    sys.exit(main(run, sys.argv[1:]))
