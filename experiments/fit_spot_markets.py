"""How do spot markets behave? Fit processes to recorded capacity and recorded prices.

Reads spot/spot_availability_traces.csv.gz (with its index), spot/spot_price_us-east-1_2015.csv.gz
and …_2021.csv.gz in $MARKOPT_DATA or ../shared/data. Writes the fitted parameters to data/spot/,
what the figure draws to results/spot_fits/fits.json, and prints a table of goodness: fitted on the
first half of each record, judged on the second.

    .venv/bin/python experiments/fit_spot_markets.py
    .venv/bin/python paper_figs/spot_fits.py results/spot_fits/fits.json docs/images/spot_fits.svg
"""

from __future__ import annotations

import json
import math
import os
import sys
from collections.abc import Mapping, Sequence
from itertools import permutations
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import yaml
from numpy.typing import NDArray
from scipy import stats
from scipy.optimize import minimize_scalar

from markopt.catalog import load_catalog
from markopt.cloud.simulated.markets import PricePath, read_availability, read_prices
from markopt.cloud.simulated.markets.durations import FAMILIES, Durations, Family
from markopt.cloud.simulated.markets.price_model import (
    BaseProcess,
    PriceProcess,
    SpikeProcess,
    draw_path,
)

Array = NDArray[np.float64]
REPOSITORY = Path(__file__).resolve().parent.parent
TARGET = REPOSITORY / "data" / "spot"
RESULTS = Path("results") / "spot_fits"
MAXIMA = (0.25, 0.5, 1.0, 2.0, 5.0)
"""Maximum prices, as shares of on demand, at which interruption rates are compared."""
HEIGHTS = 11
SPIKE_FACTOR = 3.0
"""A price above so many times the 10 % quantile (by time) is a spike."""
TOGETHER_S = 600.0
"""Events of two pools that are no further apart happen together."""
STEP_2015_S, STEP_2021_S = 600.0, 21_600.0
WORST_MISS = 0.25
"""A pool whose fit misses the share of time above the on-demand price by more is left out."""
SHAPES = {"weibull": (0.4, 5.0), "lognormal": (0.05, 2.0)}
"""Bounds of shapes: beyond them a mean is that of spells longer than any record."""
GENERATED_S = 4000 * 86_400.0
MACHINES = {"intel_64": "r5"}
"""Names of instance families where the traces' own say less."""


# --- durations ---


def fit_durations(sample: Array, family: Family, mean_s: float | None = None) -> Durations:
    """Return a family's fit: its mean is given or the sample's, its shape the most likely then.

    (Free maximum likelihood lets a heavy tail's mean, and so the rate of events, miss the sample's
    by multiples.)
    """
    mean_s = float(sample.mean()) if mean_s is None else mean_s
    if family == "exponential":
        return Durations("exponential", mean_s)

    def cost(log_shape: float) -> float:
        return -log_likelihood(Durations(family, mean_s, float(np.exp(log_shape))), sample)

    low, high = SHAPES[family]
    found = minimize_scalar(cost, bounds=(np.log(low), np.log(high)), method="bounded")
    return Durations(family, mean_s, float(np.exp(found.x)))


def _weibull_mean(k: float, scale: float) -> float:
    return scale * math.gamma(1.0 + 1.0 / k)


def log_likelihood(fitted: Durations, sample: Array) -> float:
    """Return the log-likelihood of durations under a fit."""
    if fitted.family == "weibull":
        k = fitted.shape or 1.0
        scale = fitted.mean_s / _weibull_mean(k, 1.0)
        return float(stats.weibull_min.logpdf(sample, k, scale=scale).sum())
    if fitted.family == "lognormal":
        sigma = fitted.shape or 1.0
        scale = fitted.mean_s * np.exp(-0.5 * sigma**2)
        return float(stats.lognorm.logpdf(sample, sigma, scale=scale).sum())
    return float(stats.expon.logpdf(sample, scale=fitted.mean_s).sum())


def distance(fitted: Durations, sample: Array) -> float:
    """Return the Kolmogorov-Smirnov distance of a sample from a fit."""
    return float(stats.kstest(sample, lambda x: 1.0 - fitted.survival(np.asarray(x))).statistic)


def compare_families(sample: Array, mean_s: float | None = None) -> dict[str, dict[str, float]]:
    """Return AIC, KS distance and parameters of every family."""
    table = {}
    for family in FAMILIES:
        fitted = fit_durations(sample, family, mean_s)
        parameters = 1 if family == "exponential" else 2
        table[family] = {
            "mean_s": round(fitted.mean_s, 1),
            "aic": round(2 * parameters - 2 * log_likelihood(fitted, sample), 1),
            "ks": round(distance(fitted, sample), 4),
        } | ({} if fitted.shape is None else {"shape": round(fitted.shape, 4)})
    return table


def best(sample: Array, mean_s: float | None = None) -> Durations:
    """Return the fit with the least AIC."""
    table = compare_families(sample, mean_s)
    return fit_durations(sample, min(FAMILIES, key=lambda name: table[name]["aic"]), mean_s)


def entry(fitted: Durations) -> dict[str, Any]:
    """Return a fit as an entry of a parameter file."""
    shape = {} if fitted.shape is None else {"shape": round(fitted.shape, 4)}
    return {"family": fitted.family, "mean_s": round(fitted.mean_s, 1), **shape}


# --- capacity ---


def runs_of(trace: Any, *, up: bool) -> tuple[Array, Array]:
    """Return begins and lengths of whole spells with (without) capacity; the cut ends left out."""
    state = trace.counts > 0
    changes = np.flatnonzero(np.append(True, np.diff(state)))
    starts_s = trace.starts_s[changes]
    lengths_s = np.diff(np.append(starts_s, trace.end_s))
    chosen = state[changes] == up
    chosen[[0, -1]] = False
    return starts_s[chosen], lengths_s[chosen]


def falls_of(trace: Any) -> tuple[Array, Array]:
    """Return times of the falls of capacity, and the share of what was up that each takes."""
    before, after = trace.counts[:-1], trace.counts[1:]
    fell = after < before
    return trace.starts_s[1:][fell], (before[fell] - after[fell]) / before[fell]


def excess(one_s: Array, other_s: Array, span_s: float) -> float:
    """Return the share of one series' events that happen together with another's, beyond chance."""
    if not len(one_s) or not len(other_s):
        return float("nan")
    at = other_s.searchsorted(one_s)
    later = other_s[np.minimum(at, len(other_s) - 1)]
    earlier = other_s[np.maximum(at - 1, 0)]
    near = np.minimum(np.abs(later - one_s), np.abs(one_s - earlier)) <= TOGETHER_S
    chance = 1.0 - np.exp(-2.0 * TOGETHER_S * len(other_s) / span_s)
    return float((near.mean() - chance) / (1.0 - chance))


def fit_capacity(folder: Path) -> tuple[dict[str, Any], dict[str, Any], list[str]]:
    """Fit interruptions and outages to the availability traces, by trace and by family."""
    traces = read_availability(folder / "spot_availability_traces.csv.gz")
    index = pd.read_csv(folder / "spot_availability_traces_index.csv.gz").set_index("trace_id")
    by_trace: dict[str, Any] = {}
    samples: dict[str, dict[str, list[Array]]] = {}
    halves: dict[str, dict[str, list[list[Array]]]] = {}
    for name, trace in traces.items():
        machine = str(index.loc[name, "accelerator"])
        family = MACHINES.get(machine, machine)
        times_s, shares = falls_of(trace)
        up_s = float(np.diff(np.append(trace.starts_s, trace.end_s))[trace.counts > 0].sum())
        by_trace[name] = {
            "family": family,
            "nodes": int(index.loc[name, "nodes"]),
            "falls_per_up_h": round(3600.0 * len(times_s) / up_s, 4) if up_s else None,
            "up_share": round(up_s / trace.end_s, 4),
        }
        if len(shares):
            by_trace[name]["share_taken"] = round(float(shares.mean()), 3)
        pooled = samples.setdefault(family, {"up": [], "down": [], "shares": []})
        split = halves.setdefault(family, {"up": [[], []], "down": [[], []]})
        if index.loc[name, "nodes"] > 1:
            pooled["shares"].append(shares)
        for state in ("up", "down"):
            starts_s, lengths_s = runs_of(trace, up=state == "up")
            if len(lengths_s) >= 20:
                by_trace[name][f"{state}_durations"] = entry(best(lengths_s))
            pooled[state].append(lengths_s)
            late = starts_s > 0.5 * trace.end_s
            split[state][0].append(lengths_s[~late])
            split[state][1].append(lengths_s[late])
    families: dict[str, Any] = {}
    drawn: dict[str, Any] = {}
    goodness: list[str] = []
    for family, pooled in sorted(samples.items()):
        families[family] = {}
        for state in ("down", "up"):
            sample = np.concatenate(pooled[state])
            if len(sample) < 50:
                continue
            families[family][f"{state}_durations"] = entry(best(sample))
            families[family][f"{state}_comparison"] = compare_families(sample)
            grid = np.geomspace(sample.min(), sample.max(), 60)
            drawn[f"{family} {state}"] = {
                "times_s": grid.tolist(),
                "observed": [float((sample > t).mean()) for t in grid],
                **{f: fit_durations(sample, f).survival(grid).tolist() for f in FAMILIES},
            }
            goodness.append(_held_out(family, state, halves[family][state]))
        shares = [s for s in pooled["shares"] if len(s)]
        if shares:
            families[family]["share_taken_of_many"] = round(float(np.concatenate(shares).mean()), 3)
        mine = [t for t in by_trace.values() if t["family"] == family and t["falls_per_up_h"]]
        if mine:
            rates = [t["falls_per_up_h"] for t in mine]
            families[family]["falls_per_up_h_median"] = round(float(np.median(rates)), 3)
    levels = together(traces, index)
    document = {"levels": levels, "families": families, "traces": by_trace}
    return document, drawn, goodness


def _held_out(family: str, state: str, halves: Sequence[Sequence[Array]]) -> str:
    first, second = (np.concatenate(half) for half in halves)
    cells = []
    for name in FAMILIES:
        fitted = fit_durations(first, name)
        per_spell = log_likelihood(fitted, second) / len(second)
        cells.append(f"{per_spell:.2f} / {distance(fitted, second):.2f}")
    return f"| {family} {state} | {len(first)} / {len(second)} | " + " | ".join(cells) + " |"


def together(traces: Mapping[str, Any], index: pd.DataFrame) -> dict[str, float]:
    """Return how much of the falls two types of a zone, zones of a region, and regions share."""
    found: dict[str, list[float]] = {
        "other_type_same_zone": [],
        "other_type_same_region": [],
        "same_type_same_region": [],
        "same_type_other_region": [],
    }
    keys = {}
    for name in traces:
        date = "-".join(name.split("-")[3:6])
        zone, machine = str(index.loc[name, "zone"]), str(index.loc[name, "accelerator"])
        keys[name] = (date, zone, machine)
    for one, other in permutations(traces, 2):
        (date, zone, machine), (date_2, zone_2, machine_2) = keys[one], keys[other]
        if date != date_2 or index.loc[one, "cloud"] != "aws":
            continue
        whose = "same_type" if machine == machine_2 else "other_type"
        where = "other_region" if zone[:-1] != zone_2[:-1] else "same_region"
        kind = f"{whose}_{'same_zone' if zone == zone_2 else where}"
        if kind not in found:
            continue
        span_s = min(traces[one].end_s, traces[other].end_s)
        share = excess(falls_of(traces[one])[0], falls_of(traces[other])[0], span_s)
        if np.isfinite(share):
            found[kind].append(share)
    return {
        **{kind: round(float(np.mean(values)), 3) for kind, values in found.items()},
        **{f"{kind}_pairs": len(values) for kind, values in found.items()},
    }


# --- prices ---


def time_quantile(path: PricePath, share: float) -> float:
    """Return the price that the path does not exceed in a share of its time."""
    order = np.argsort(path.usd_per_s)
    held = np.cumsum(path.durations_s()[order])
    return float(path.usd_per_s[order][held.searchsorted(share * held[-1])])


def spikes_of(path: PricePath, threshold: float) -> tuple[Array, Array, Array]:
    """Return begins, lengths and highest prices of the whole spells above a threshold."""
    above = path.usd_per_s > threshold
    edges = np.flatnonzero(np.diff(above)) + 1
    first = edges[above[edges]]
    last = edges[~above[edges]]
    last = last[last > (first[0] if len(first) else 0)]
    first = first[: len(last)]
    ends_s = path.starts_s[last]
    tops = [path.usd_per_s[a:b].max() for a, b in zip(first, last, strict=True)]
    return path.starts_s[first], ends_s - path.starts_s[first], np.array(tops)


def fit_base(paths: Sequence[PricePath], step_s: float, thresholds: Sequence[float]) -> BaseProcess:
    """Fit the base by Yule-Walker to the calm prices on a grid; pools share all but their level."""
    products, levels, lows = [], [], []
    for path, threshold in zip(paths, thresholds, strict=True):
        grid_s = np.arange(path.starts_s[0], path.end_s, step_s)
        price = path.usd_per_s[path.starts_s.searchsorted(grid_s, side="right") - 1]
        x = np.where(price <= threshold, np.log(price), np.nan)
        levels.append(float(np.nanmean(x)))
        lows.append(float(np.exp(np.nanmin(x))))
        x -= levels[-1]
        products.append([np.nanmean(x[k:] * x[: len(x) - k]) for k in range(3)])
    variance, first, second = np.nanmean(np.array(products), axis=0)
    if variance < 1e-12:
        lag_1 = lag_2 = sd = 0.0
    else:
        r1, r2 = min(first / variance, 0.9999), second / variance
        lag_1, lag_2 = r1 * (1.0 - r2) / (1.0 - r1 * r1), (r2 - r1 * r1) / (1.0 - r1 * r1)
        if not (abs(lag_2) < 1.0 and lag_2 + lag_1 < 1.0 and lag_2 - lag_1 < 1.0):
            lag_1, lag_2 = r1, 0.0
            r2 = r1 * r1
        sd = float(np.sqrt(max(variance * (1.0 - lag_1 * r1 - lag_2 * r2), 0.0)))
    return BaseProcess(
        step_s=step_s,
        level=float(np.exp(np.mean(levels))),
        lag_1=float(lag_1),
        lag_2=float(lag_2),
        sd=sd,
        floor=min(lows),
        ceiling=float(np.max(thresholds)),
    )


def normal_score_correlation(one: Array, other: Array) -> float:
    """Return the correlation of the normal scores of two samples' ranks."""
    scores = [stats.norm.ppf((stats.rankdata(x) - 0.5) / len(x)) for x in (one, other)]
    if min(float(x.std()) for x in scores) == 0.0:
        return 0.0
    return float(np.clip(np.corrcoef(*scores)[0, 1], -0.99, 0.99))


def fit_pool(path: PricePath, common_share: float) -> PriceProcess:
    """Fit base and spikes of one pool; prices are in units of the on-demand price."""
    threshold = SPIKE_FACTOR * time_quantile(path, 0.1)
    base = fit_base([path], STEP_2015_S, [threshold])
    starts_s, lengths_s, heights = spikes_of(path, threshold)
    if len(starts_s) < 10:
        return PriceProcess(base)
    calm_s = np.diff(starts_s) - lengths_s[:-1]
    # The quiet before the first and after the last spike counts too: spikes come in clusters.
    quiet_s = path.end_s - float(path.starts_s[0]) - float(lengths_s.sum())
    quantiles = np.quantile(heights, np.linspace(0.0, 1.0, HEIGHTS))
    spikes = SpikeProcess(
        best(calm_s[calm_s > 0.0], quiet_s / len(starts_s)),
        best(lengths_s),
        tuple(float(q) for q in np.maximum.accumulate(quantiles)),
        normal_score_correlation(lengths_s, heights),
        common_share,
    )
    return PriceProcess(base, spikes)


def document_of(process: PriceProcess) -> dict[str, Any]:
    """Return a process as an entry of a parameter file."""
    base = process.base
    digits = {key: float(f"{getattr(base, key):.5g}") for key in base.__dataclass_fields__}
    if process.spikes is None:
        return {"base": digits, "spikes": None}
    spikes = process.spikes
    return {
        "base": digits,
        "spikes": {
            "calm": entry(spikes.calm),
            "duration": entry(spikes.duration),
            "height_quantiles": [float(f"{q:.4g}") for q in spikes.height_quantiles],
            "correlation": round(spikes.correlation, 3),
            "common_share": round(spikes.common_share, 3),
        },
    }


def common_shares(paths: Mapping[tuple[str, str], PricePath]) -> dict[str, float]:
    """Return by type the share of spikes that begin together in its zones, beyond chance."""
    starts = {}
    for key, path in paths.items():
        starts[key] = spikes_of(path, SPIKE_FACTOR * time_quantile(path, 0.1))[0]
    shares = {}
    for kind in sorted({kind for kind, _ in paths}):
        mine = [key for key in paths if key[0] == kind]
        found = [
            excess(starts[a], starts[b], paths[b].end_s - paths[b].starts_s[0])
            for a, b in permutations(mine, 2)
        ]
        known = [share for share in found if np.isfinite(share)]
        shares[kind] = min(max(float(np.mean(known)), 0.0), 0.95) if known else 0.0
    return shares


def behaviour(path: PricePath) -> dict[str, list[float]]:
    """Return, by maximum, interruptions per hour below it, and the share of time above it."""
    held_s = path.durations_s()
    above = [float(held_s[path.usd_per_s > m].sum() / held_s.sum()) for m in MAXIMA]
    rates = [path.expected(m)[1] for m in MAXIMA]
    return {"per_h": [r if np.isfinite(r) else 60.0 for r in rates], "above": above}


def quantiles_of(path: PricePath) -> list[float]:
    """Return the price's quantiles by time, from 1 to 99 %."""
    return [time_quantile(path, share) for share in (0.01, *np.arange(0.05, 0.96, 0.05), 0.99)]


def autocorrelation(path: PricePath, lags_s: Sequence[float]) -> list[float]:
    """Return the autocorrelation of the log price."""
    step_s = 600.0
    grid_s = np.arange(path.starts_s[0], path.end_s, step_s)
    x = np.log(path.usd_per_s[path.starts_s.searchsorted(grid_s, side="right") - 1])
    x -= x.mean()
    variance = float((x * x).mean()) or 1.0
    lags = [max(round(lag_s / step_s), 1) for lag_s in lags_s]
    return [float((x[k:] * x[:-k]).mean() / variance) for k in lags]


def generated(process: PriceProcess, seed: int) -> PricePath:
    """Return a long path drawn from a process; common spikes count as the pool's own."""
    alone = process
    if process.spikes is not None:
        s = process.spikes
        alone = PriceProcess(
            process.base, SpikeProcess(s.calm, s.duration, s.height_quantiles, s.correlation)
        )
    rng = np.random.default_rng(seed)
    return draw_path(alone, start_s=0.0, end_s=GENERATED_S, rng=rng)


def fit_prices_2015(folder: Path) -> tuple[dict[str, Any], dict[str, Any], list[str]]:
    """Fit a process to every pool of the bidding era."""
    on_demand = yaml.safe_load((TARGET / "on_demand.yaml").read_text())["usd_per_h"]
    history = read_prices(folder / "spot_price_us-east-1_2015.csv.gz", list(on_demand))
    paths = {k: p.scaled(3600.0 / on_demand[k[0]], 0.0) for k, p in history.paths.items()}
    shares = common_shares(paths)
    processes, drawn, goodness, left_out = {}, {}, [], {}
    lags_s = [600.0, 1800.0, 3600.0, 3 * 3600.0, 6 * 3600.0, 12 * 3600.0, 86400.0, 3 * 86400.0]
    for at, (key, path) in enumerate(sorted(paths.items())):
        name = "/".join(key)
        process = fit_pool(path, shares[key[0]])
        processes[name] = document_of(process)
        middle_s = 0.5 * (path.starts_s[0] + path.end_s)
        first = path.within(float(path.starts_s[0]), float(middle_s))
        second = path.within(float(middle_s), path.end_s)
        whole, early = generated(process, at), generated(fit_pool(first, shares[key[0]]), at)
        drawn[name] = {
            "observed": behaviour(path) | {"quantiles": quantiles_of(path)},
            "fitted": behaviour(whole) | {"quantiles": quantiles_of(whole)},
            "second_half": behaviour(second),
            "from_first_half": behaviour(early),
            "lags_s": lags_s,
            "autocorrelation": autocorrelation(path, lags_s),
            "autocorrelation_fitted": autocorrelation(whole, lags_s),
        }
        row = drawn[name]
        missed = row["observed"]["above"][2] - row["fitted"]["above"][2]
        if abs(missed) > WORST_MISS:
            del processes[name]
            left_out[name] = (
                f"{100 * row['observed']['above'][2]:.0f} % of the time above the on-demand price, "
                f"{100 * row['fitted']['above'][2]:.0f} % by the fit: one spell lasts for months"
            )
        cells = [
            f"{row['second_half']['per_h'][j]:.3f} / {row['from_first_half']['per_h'][j]:.3f} / "
            f"{behaviour(first)['per_h'][j]:.3f}"
            for j in (1, 2)
        ] + [
            f"{100 * row['second_half']['above'][j]:.1f} / "
            f"{100 * row['from_first_half']['above'][j]:.1f} / "
            f"{100 * behaviour(first)['above'][j]:.1f}"
            for j in (2,)
        ]
        goodness.append(f"| {name} | " + " | ".join(cells) + " |")
    return {"left_out": left_out, "processes": processes}, drawn, goodness


def fit_prices_2021(folder: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """Fit a base process to every type of our catalogue in the smooth era; it has no spikes."""
    catalog = load_catalog("catalog/aws-us-east-1-2019.yaml")
    prices = {e.name: e.on_demand_usd_per_h for e in catalog.instance_types if e.spot is not None}
    history = read_prices(folder / "spot_price_us-east-1_2021.csv.gz", list(prices))
    processes, drawn = {}, {}
    for at, kind in enumerate(sorted({kind for kind, _ in history.paths})):
        paths = [
            p.scaled(3600.0 / prices[kind], 0.0) for k, p in history.paths.items() if k[0] == kind
        ]
        highest = [float(p.usd_per_s.max()) for p in paths]
        process = PriceProcess(fit_base(paths, STEP_2021_S, highest))
        processes[kind] = document_of(process)
        one = generated(process, at)
        drawn[kind] = {
            "observed": [quantiles_of(p) for p in paths],
            "fitted": quantiles_of(one),
        }
    return {"processes": processes}, drawn


def write(name: str, head: Mapping[str, Any], document: Mapping[str, Any]) -> None:
    """Write a parameter file."""
    text = yaml.safe_dump({**head, **document}, sort_keys=False, width=100, allow_unicode=True)
    note = "# Written by experiments/fit_spot_markets.py; docs/markets.md tells how well it fits.\n"
    (TARGET / f"{name}.yaml").write_text(note + text, encoding="utf-8")


def main() -> int:
    """Fit everything, write it, and print the tables."""
    folder = Path(os.environ.get("MARKOPT_DATA", REPOSITORY.parent / "shared" / "data")) / "spot"
    if not folder.is_dir():
        print(f"The spot records are not at {folder}; MARKOPT_DATA may name their folder.")
        return 2
    capacity, capacity_drawn, capacity_rows = fit_capacity(folder)
    source = (
        "34 availability traces of SkyPilot, 'Can't Be Late' (Wu et al., NSDI 2024), 2022 to 2023; "
        "spells cut by a trace's ends are left out"
    )
    write("availability", {"source": source, "confidence": "measured"}, capacity)
    of_2015, drawn_2015, rows_2015 = fit_prices_2015(folder)
    source = "AWS spot price history, us-east-1, 2015-03-11 to 2015-08-31, 5 types in 3 zones"
    unit = {"unit": "share of the on-demand price"}
    write("prices_2015", {"source": source, "confidence": "measured", **unit}, of_2015)
    of_2021, drawn_2021 = fit_prices_2021(folder)
    source = "AWS spot price history, us-east-1, 2021-03-02 to 2021-05-31, zones pooled by type"
    write("prices_2021", {"source": source, "confidence": "measured", **unit}, of_2021)
    RESULTS.mkdir(parents=True, exist_ok=True)
    document = {
        "maxima": MAXIMA,
        "durations": capacity_drawn,
        "prices_2015": drawn_2015,
        "prices_2021": drawn_2021,
        "levels": capacity["levels"],
    }
    (RESULTS / "fits.json").write_text(json.dumps(document), encoding="utf-8")
    print("Spells of capacity: log-likelihood per spell / KS distance on the second half")
    print("| family | spells, first / second half | " + " | ".join(FAMILIES) + " |")
    print("|---|---|---|---|---|", *capacity_rows, sep="\n")
    print("\nPrices of 2015: second half / generated by the fit of the first / first half")
    print("| pool | interruptions per h at 0.5 | at 1.0 | % of time above 1.0 |")
    print("|---|---|---|---|", *rows_2015, sep="\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
