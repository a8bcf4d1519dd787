"""How do we get a small trace with the shape of a real one? Fit a model to it, and draw from it.

Reads the Twitter stream trace (twitter_2021-08_14d_per_second.csv.gz in $MARKOPT_DATA/traces or
../shared/data/traces), writes data/traces/sample.yaml (the model) and data/traces/sample.csv.gz
(four generated days) and prints one table: the real trace beside the generated one.

    .venv/bin/python experiments/fit_sample_trace.py
    .venv/bin/python experiments/fit_sample_trace.py --from-model   # draw again, without the trace
"""

from __future__ import annotations

import argparse
import gzip
import os
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np
import yaml
from numpy.typing import NDArray
from scipy.linalg import solve_toeplitz
from scipy.ndimage import generic_filter
from scipy.stats import chi2

from markopt.workload import BurstClock, ModulatedTraceModel, Trace, read_model, read_trace

REPOSITORY = Path(__file__).resolve().parent.parent
TARGET = REPOSITORY / "data" / "traces"
TRACE = "twitter_2021-08_14d_per_second.csv.gz"
# The first seed from 20210801 on whose last six hours, the span that the demonstration serves, hold
# the two bursts that they hold on average.
DAYS, BIN_S, SEED = 4, 10.0, 20210802
HARMONICS, ORDER = 4, 5
# A minute counts as part of a burst where its rate exceeds its surroundings by so much.
BURST_FACTOR = 1.6
# Where bursts may start: the first and the second half of each hour.
HALVES = ((0, 30), (30, 60))


def minute_rates(trace: Trace) -> NDArray[np.float64]:
    """Return mean rates per minute; NaN where more than half of the minute is missing."""
    minutes = int(trace.duration_s // 60)
    missing = trace.gap_shares(0.0, 60.0, minutes)
    with np.errstate(divide="ignore", invalid="ignore"):
        rates = trace.mean_rates(0.0, 60.0, minutes) / (1.0 - missing)
    return np.where(missing > 0.5, np.nan, rates)


def surroundings(rates: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the running median over an hour: the level that bursts stand on."""
    return generic_filter(rates, np.nanmedian, size=61, mode="nearest")


@dataclass(frozen=True)
class Burst:
    """One burst: minute of its start, log height, minutes at height, minutes of decay."""

    minute: int
    log_height: float
    plateau_min: float
    decay_min: float


def find_bursts(rates: NDArray[np.float64]) -> list[Burst]:
    """Find the bursts of at least three minutes, by their rate over the running median."""
    lift = np.log(rates / surroundings(rates))
    inside = np.nan_to_num(lift, nan=0.0) > np.log(BURST_FACTOR)
    edges = np.flatnonzero(np.diff(np.concatenate([[0], inside.astype(int), [0]])))
    bursts = []
    for first, last in zip(edges[::2], edges[1::2], strict=True):
        if last - first < 3:
            continue
        window = np.nan_to_num(lift[first : min(last + 10, len(lift))], nan=0.0)
        height = float(np.sort(window)[-2])
        plateau = int(np.sum(window > 0.8 * height))
        area = float(np.clip(window, 0.0, height).sum())
        bursts.append(Burst(int(first), height, plateau, max(area / height - plateau, 0.5)))
    return bursts


def fit_clock(bursts: list[Burst], half: tuple[int, int], hours: NDArray[np.float64]) -> BurstClock:
    """Fit one burst clock to the bursts that start within one half of the hour.

    ``hours``, shape (24,), is how often each hour of the day was seen. Its probabilities are shrunk
    towards their mean by two hours' worth, since two weeks show each hour only 14 times.
    """
    chosen = [b for b in bursts if half[0] <= b.minute % 60 < half[1]]
    starts = np.array([b.minute % 60 for b in chosen])
    low, high = np.quantile(starts, [0.05, 0.9])
    heights = np.array([b.log_height for b in chosen])
    plateaus_min = np.array([b.plateau_min for b in chosen])
    seen = np.bincount([b.minute // 60 % 24 for b in chosen], minlength=24)
    overall = len(chosen) / hours.sum()
    probability = (seen + 2.0 * overall) / (hours + 2.0)
    return BurstClock(
        probability=np.round(np.minimum(probability, 1.0), 3),
        offset_s=float(round(60.0 * low)),
        spread_s=float(round(60.0 * (high - low + 1.0))),
        log_height=round(float(heights.mean()), 4),
        log_height_sd=round(float(heights.std()), 4),
        log_height_max=round(float(heights.max()), 4),
        plateau_s=round(60.0 * float(plateaus_min.mean()), 1),
        plateau_sd_s=round(60.0 * float(plateaus_min.std()), 1),
        decay_s=round(60.0 * float(np.mean([b.decay_min for b in chosen])), 1),
    )


def autocovariance(values: NDArray[np.float64], lags: int) -> NDArray[np.float64]:
    """Return autocovariances at lags 0..lags over the pairs that are both known."""
    centred = values - np.nanmean(values)
    return np.array(
        [np.nanmean(centred[: len(centred) - k] * centred[k:]) for k in range(lags + 1)]
    )


def noise_shape(trace: Trace, quiet: NDArray[np.bool_]) -> float:
    """Return the gamma shape that explains the spread of 10 s counts within quiet minutes."""
    counts = trace.mean_rates(0.0, BIN_S, len(quiet) * 6).reshape(-1, 6) * BIN_S
    whole = trace.gap_shares(0.0, 60.0, len(quiet)) == 0.0
    counts = counts[quiet & whole]
    mean, variance = counts.mean(axis=1), counts.var(axis=1, ddof=1)
    # The median, since a few minutes hold a jump; a sample variance of six has median 0.87 times.
    typical = float(np.median(variance / mean)) / (chi2.median(5) / 5.0)
    return float(mean.mean() / max(typical - 1.0, 1e-3))


def fit(trace: Trace) -> ModulatedTraceModel:
    """Fit the model; the level is set so that the long-run mean is the trace's."""
    rates = minute_rates(trace)
    minutes = len(rates)
    bursts = find_bursts(rates)
    known = np.isfinite(rates)
    in_burst = np.nan_to_num(rates / surroundings(rates), nan=0.0) > 1.15
    quiet = known & ~in_burst
    angle = 2.0 * np.pi * np.outer(np.arange(minutes) + 0.5, np.arange(1, HARMONICS + 1)) / 1440.0
    design = np.hstack([np.ones((minutes, 1)), np.cos(angle), np.sin(angle)])
    weights = np.linalg.lstsq(design[quiet], np.log(rates[quiet]), rcond=None)[0]
    residual = np.where(quiet, np.log(np.where(known, rates, 1.0)) - design @ weights, np.nan)
    covariance = autocovariance(residual, ORDER)
    coefficients = solve_toeplitz(covariance[:-1], covariance[1:])
    innovation = covariance[0] - coefficients @ covariance[1:]
    hours = np.bincount(np.arange(minutes) // 60 % 24, known, minlength=24) / 60.0
    return ModulatedTraceModel(
        level_rps=round(float(np.exp(weights[0])), 4),
        cosine=np.round(weights[1 : 1 + HARMONICS], 5),
        sine=np.round(weights[1 + HARMONICS :], 5),
        autoregression=np.round(coefficients, 5),
        innovation_sd=round(float(np.sqrt(innovation)), 5),
        noise_shape=round(noise_shape(trace, quiet), 2),
        bursts=tuple(fit_clock(bursts, half, hours) for half in HALVES),
    )


def figures(trace: Trace) -> dict[str, float]:
    """Return what the two traces are compared by."""
    rates = minute_rates(trace)
    known = rates[np.isfinite(rates)]
    covariance = autocovariance(rates, 1440)
    counts = trace.mean_rates(0.0, BIN_S, len(rates) * 6).reshape(-1, 6) * BIN_S
    counts = counts[trace.gap_shares(0.0, 60.0, len(rates)) == 0.0]
    bursts = find_bursts(rates)
    days = len(known) / 1440.0
    within = float(np.median(counts.var(axis=1, ddof=1) / counts.mean(axis=1)))
    return {
        "mean, requests/s": float(known.mean()),
        "median, requests/s": float(np.median(known)),
        "peak minute / mean": float(known.max() / known.mean()),
        "99 % minute / mean": float(np.quantile(known, 0.99) / known.mean()),
        "5 % minute / mean": float(np.quantile(known, 0.05) / known.mean()),
        "dispersion of 10 s counts within a minute": within,
        "autocorrelation, 1 min": float(covariance[1] / covariance[0]),
        "autocorrelation, 10 min": float(covariance[10] / covariance[0]),
        "autocorrelation, 1 h": float(covariance[60] / covariance[0]),
        "autocorrelation, 1 day": float(covariance[1440] / covariance[0]),
        "bursts a day, start at :00-:29": sum(b.minute % 60 < 30 for b in bursts) / days,
        "bursts a day, start at :30-:59": sum(b.minute % 60 >= 30 for b in bursts) / days,
        "burst height, times": float(np.exp(np.mean([b.log_height for b in bursts]))),
        "burst length, min": float(np.mean([b.plateau_min + b.decay_min for b in bursts])),
    }


def named(item: ModulatedTraceModel | BurstClock) -> dict[str, object]:
    """Return the fields as plain values."""
    values = {f.name: getattr(item, f.name) for f in fields(item)}
    return {k: v.tolist() if isinstance(v, np.ndarray) else v for k, v in values.items()}


def write_model(model: ModulatedTraceModel, path: Path) -> None:
    """Write the fitted model with its provenance."""
    values = named(model)
    values["bursts"] = [named(clock) for clock in model.bursts]
    document = {
        "provenance": {
            "made_by": "experiments/fit_sample_trace.py",
            "fitted_to": (
                "Twitter stream sample, 14 days of August 2021, requests per second: data set "
                "web-service-datasets, twitter_trace (used by IPA and InfAdapter), from archive.org"
            ),
            "contains": "fitted parameters only; sample.csv.gz is drawn from them",
            "sample": {"days": DAYS, "bin_s": BIN_S, "seed": SEED},
        },
        "model": values,
    }
    temporary = path.with_suffix(".yaml.tmp")
    temporary.write_text(
        yaml.safe_dump(document, sort_keys=False, default_flow_style=None, width=96),
        encoding="utf-8",
    )
    temporary.replace(path)


def write_sample(trace: Trace, path: Path) -> None:
    """Write counts per bin as ``second,requests``, gzipped, the same bytes every time."""
    counts = np.rint(trace.rate_rps * trace.bin_s).astype(int)
    seconds = np.rint(trace.edges_s[:-1]).astype(int)
    rows = "".join(f"{s},{c}\n" for s, c in zip(seconds, counts, strict=True))
    temporary = path.with_suffix(".gz.tmp")
    temporary.write_bytes(gzip.compress(f"second,requests\n{rows}".encode(), 9, mtime=0))
    temporary.replace(path)


def main() -> None:
    """Fit, draw, write and compare."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--from-model", action="store_true", help="draw from the written model")
    arguments = parser.parse_args()
    TARGET.mkdir(parents=True, exist_ok=True)
    real = None
    if not arguments.from_model:
        folder = os.environ.get("MARKOPT_DATA", str(REPOSITORY.parent / "shared" / "data"))
        real = read_trace(Path(folder) / "traces" / TRACE)
        write_model(fit(real), TARGET / "sample.yaml")
    model = read_model(TARGET / "sample.yaml")
    sample = model.draw("sample", DAYS * 86400.0, BIN_S, np.random.default_rng(SEED))
    write_sample(sample, TARGET / "sample.csv.gz")
    generated = figures(sample)
    long_run = figures(model.draw("long", 28 * 86400.0, BIN_S, np.random.default_rng(SEED + 1)))
    compared = figures(real) if real is not None else dict.fromkeys(generated, float("nan"))
    print(f"{'':44}{'real, 14 d':>12}{'sample, 4 d':>12}{'model, 28 d':>12}")
    for name, value in generated.items():
        print(f"{name:44}{compared[name]:12.3f}{value:12.3f}{long_run[name]:12.3f}")


if __name__ == "__main__":
    main()
