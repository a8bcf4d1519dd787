"""How good is each forecaster on real traces, and do its bands hold what they claim?

Every trace of ``TRACES`` that is there, ten days to learn from and the next four to judge on
(``conf/experiment/backtest.yaml``), one ``markopt backtest`` each, in a folder of its own below
``results/backtest``. A trace whose folder is there already is not run again, so an interrupted
study goes on where it stopped. Then the tables over all traces, from which
``paper_figs/backtest.py`` draws the figure.

    python experiments/backtest.py [traces=twitter,worldcup] [forecaster=a,b] [KEY=VALUE ...]

Clock readings are of a machine with one thread for linear algebra (``OMP_NUM_THREADS=1``): several
threads only wait for each other on matrices of this size.
"""

from __future__ import annotations

import csv
import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from study_tables import main
from study_tables import markdown as table_of

from markopt.assembly import check_seed
from markopt.backtest_assembly import BacktestParts
from markopt.composition import take_lists
from markopt.errors import ConfigError, DataError
from markopt.evaluation.backtest import BacktestFiles, backtest, read_backtest, write_backtest
from markopt.evaluation.backtest.tables import markdown, warnings
from markopt.evaluation.folder import csv_text, replace_text, whole_folder

Row = dict[str, Any]
OVERALL, STEPS, PIT, TIMING, TABLE = "traces.csv", "steps.csv", "pit.csv", "timing.csv", "table.md"
SOME_STEPS = 15
"""The first steps, over which a prototype's losses are known."""


@dataclass(frozen=True)
class RealTrace:
    """A trace of ``MARKOPT_DATA`` with the settings that its bins ask for."""

    file: str
    overrides: tuple[str, ...] = ()


_EVERY_SECOND = ("backtest.stride=2",)
TRACES = {
    "twitter": RealTrace(
        "twitter_2021-08_14d_per_second.csv.gz",
        ("workload.history_s=864000", "backtest.test_s=null"),  # it ends in a hole: from its start
    ),
    "worldcup": RealTrace("worldcup98_first50d_per_minute.csv.gz", _EVERY_SECOND),
    "load_balancer": RealTrace(
        "nab_elb_2014_5min.csv.gz", ("workload.interval_s=300", "backtest.horizon=6")
    ),
    "azure_f00": RealTrace("azure_functions_2019_f00_per_minute.csv.gz", _EVERY_SECOND),
    "azure_f06": RealTrace("azure_functions_2019_f06_per_minute.csv.gz", _EVERY_SECOND),
    "azure_f02": RealTrace("azure_functions_2019_f02_per_minute.csv.gz", _EVERY_SECOND),
    "azure_f04": RealTrace("azure_functions_2019_f04_per_minute.csv.gz", _EVERY_SECOND),
    "azure_f08": RealTrace("azure_functions_2019_f08_per_minute.csv.gz", _EVERY_SECOND),
}


def run(arguments: Sequence[str]) -> Path:
    """Run the study, or what is left of it; returns the folder of its tables.

    Raises:
        MarkoptError: a setting is wrong, or no trace is there.
    """
    overrides, lists = take_lists(arguments, ("traces", "forecaster", "output"))
    if lists["forecaster"]:
        overrides.append(f"backtest.forecasters=[{','.join(lists['forecaster'])}]")
    target = Path("results/backtest" if lists["output"] is None else lists["output"][0])
    wanted = lists["traces"] or list(TRACES)
    found: dict[str, BacktestFiles] = {}
    missing = []
    for number, label in enumerate(wanted, start=1):
        if label not in TRACES:
            raise ConfigError(f"traces={label}: no such trace; there are: {', '.join(TRACES)}")
        path = _data() / "traces" / TRACES[label].file
        if not path.is_file():
            print(f"backtest: no trace '{label}' at {path}: left out", file=sys.stderr)
            missing.append(label)
            continue
        print(f"backtest {number}/{len(wanted)}: {label}", file=sys.stderr)
        found[label] = _one(label, path, overrides, target / label)
        write_tables(found, missing, target)
    if not found:
        raise DataError(f"{_data()}: expected traces in it (MARKOPT_DATA), found none of them")
    print((target / TABLE).read_text(encoding="utf-8"))
    print(target)
    return target


def _data() -> Path:
    return Path(os.environ.get("MARKOPT_DATA") or "../shared/data")


def _one(label: str, path: Path, overrides: Sequence[str], target: Path) -> BacktestFiles:
    """Return a trace's backtest, made now unless its folder is there."""
    common = ["experiment=backtest", "workload=trace", f"workload.name={label}"]
    own = [f"workload.path={path}", "workload.gaps=hold", *TRACES[label].overrides]
    parts = BacktestParts([*common, *own, *overrides])
    if target.exists():
        files = read_backtest(target)
        now, then = parts.settings, files.document["settings"]
        if list(now.forecasters) != then["forecasters"] or now.horizon != then["horizon"]:
            raise ConfigError(f"{target}: holds a backtest with other settings; move it away")
        return files
    seed = check_seed(parts.base.seed)
    result = backtest(parts.makers(), parts.load(seed), parts.settings, seed)
    with whole_folder(target) as folder:
        write_backtest(result, parts.config(), folder.path)
    for text in warnings(read_backtest(target).document):
        print(f"backtest: {label}: {text}", file=sys.stderr)
    return read_backtest(target)


def write_tables(found: Mapping[str, BacktestFiles], missing: Sequence[str], target: Path) -> None:
    """Write the tables over all traces so far."""
    each = [(label, files, name) for label, files in found.items() for name in _names(files)]
    replace_text(target / OVERALL, csv_text([overall(*entry) for entry in each]))
    replace_text(target / STEPS, csv_text([row for entry in each for row in steps(*entry)]))
    replace_text(target / PIT, csv_text([row for entry in each for row in pit(*entry)]))
    replace_text(target / TIMING, csv_text([timing(*entry) for entry in each]))
    parts = [f"## {label}\n\n{markdown(files.document)}" for label, files in found.items()]
    parts += [f"## {label}\n\nMissing: no such file.\n" for label in missing]
    replace_text(target / TABLE, "\n".join(parts))


def _names(files: BacktestFiles) -> list[str]:
    return list(files.document["forecasters"])


def overall(label: str, files: BacktestFiles, name: str) -> Row:
    """Return a forecaster's scores on a trace, over all steps and over the first of them."""
    document, entry = files.document, files.document["forecasters"][name]
    early = [
        row["pinball_log"]
        for row in files.steps
        if row["forecaster"] == name and row["step"] <= SOME_STEPS
    ]
    keys = ("pinball_log", "crps_log", "crps_rps", "mae_log", "mae_rps", "energy_log")
    return {
        "trace": label,
        "forecaster": name,
        "interval_s": document["interval_s"],
        "horizon": document["settings"]["horizon"],
        "origins": document["origins"],
        "without_data": document["test"]["without_data"],
        "mean_rps": document["test"]["mean_rps"],
        **{key: entry[key] for key in keys},
        f"pinball_log_{SOME_STEPS}": float(f"{sum(early) / len(early):.6g}"),
        "peak_error": entry["peak_error"],
        "peak_bias": entry["peak_bias"],
        **{f"coverage_{share}": value for share, value in entry["coverage"].items()},
        **{f"fair_coverage_{share}": value for share, value in entry["fair_coverage"].items()},
    }


def steps(label: str, files: BacktestFiles, name: str) -> list[Row]:
    """Return a forecaster's loss and coverage on a trace by step."""
    keys = ("pinball_log", "coverage_90", "fair_coverage_90")
    return [
        {
            "trace": label,
            "forecaster": name,
            "step": int(row["step"]),
            "lead_s": row["lead_s"],
            **{key: row[key] for key in keys},
        }
        for row in files.steps
        if row["forecaster"] == name
    ]


def pit(label: str, files: BacktestFiles, name: str) -> list[Row]:
    """Return a forecaster's PIT histogram on a trace."""
    shares = files.document["forecasters"][name]["pit"]
    return [
        {"trace": label, "forecaster": name, "from": at / len(shares), "share": share}
        for at, share in enumerate(shares)
    ]


def timing(label: str, files: BacktestFiles, name: str) -> Row:
    """Return a forecaster's clock readings on a trace, milliseconds and seconds."""
    entry = files.timing[name]

    def ms(part: str, key: str) -> float | None:
        value = entry[part][key]
        return None if value is None else round(1000.0 * value, 3)

    return {
        "trace": label,
        "forecaster": name,
        "fit_s": round(entry["fit_s"], 2),
        "fit_cpu_s": round(entry["fit_cpu_s"], 2),
        "update_median_ms": ms("update_s", "median"),
        "update_p98_ms": ms("update_s", "p98"),
        "forecast_median_ms": ms("forecast_s", "median"),
        "forecast_p98_ms": ms("forecast_s", "p98"),
        "interval_mean_ms": round(1000.0 * entry["interval_s"], 3),
        "interval_cpu_ms": round(1000.0 * entry["interval_cpu_s"], 3),
    }


def page_table(folder: Path) -> str:
    """Return the table of ``docs/forecasting.md`` from a study's ``traces.csv``.

    Losses are of log(1 + rate); a change is against the trace's first forecaster.
    """
    rows = []
    first: dict[str, float] = {}
    for row in _read(folder / OVERALL):
        loss = float(row["pinball_log"])
        base = first.setdefault(row["trace"], loss)
        rows.append(
            {
                "trace": row["trace"],
                "forecaster": row["forecaster"],
                "pinball": f"{loss:.4f}",
                "change": "" if loss == base else f"{100.0 * (loss / base - 1.0):+.0f} %",
                f"{SOME_STEPS} steps": f"{float(row[f'pinball_log_{SOME_STEPS}']):.4f}",
                "CRPS": f"{float(row['crps_log']):.4f}",
                "MAE, 1/s": f"{float(row['mae_rps']):.3g}",
                "energy": f"{float(row['energy_log']):.3f}",
                "peak error": f"{100.0 * float(row['peak_error']):.0f} %",
                "90 % band": f"{100.0 * float(row['coverage_90']):.1f} %",
                "fair 90 % band": f"{100.0 * float(row['fair_coverage_90']):.1f} %",
            }
        )
    return table_of(rows)


def page_baselines(folder: Path) -> str:
    """Return the table of outside baselines of ``docs/forecasting.md`` from a run's tables."""
    return table_of(
        [
            {
                "forecaster": row["forecaster"],
                "pinball": f"{float(row['pinball_log']):.4f}",
                f"{SOME_STEPS} steps": f"{float(row[f'pinball_log_{SOME_STEPS}']):.4f}",
                "CRPS": f"{float(row['crps_log']):.4f}",
                "peak error": f"{100.0 * float(row['peak_error']):.0f} %",
                "fair 90 % band": f"{100.0 * float(row['fair_coverage_90']):.1f} %",
            }
            for row in _read(folder / OVERALL)
        ]
    )


WRAPPED = {"calibrated": "last_value", "lstm_calibrated": "lstm"}
"""Calibrated forecasters, and what each wraps."""


def page_calibration(folder: Path) -> str:
    """Return the table of calibration of ``docs/forecasting.md`` from a study's tables.

    Shares are counted fairly; from and to are the least and the largest share by step.
    """
    found = {(row["trace"], row["forecaster"]): row for row in _read(folder / OVERALL)}
    by_step: dict[tuple[str, str], list[float]] = {}
    for row in _read(folder / STEPS):
        shares = by_step.setdefault((row["trace"], row["forecaster"]), [])
        shares.append(100.0 * float(row["fair_coverage_90"]))
    rows = []
    for (trace, name), row in found.items():
        raw, steps = found.get((trace, WRAPPED.get(name, ""))), by_step[trace, name]
        if raw is None:
            continue
        others = (100.0 * float(row[f"fair_coverage_{share}"]) for share in (50, 80, 95))
        rows.append(
            {
                "trace": trace,
                "of": WRAPPED[name],
                "raw": f"{100.0 * float(raw['fair_coverage_90']):.1f} %",
                "calibrated": f"**{100.0 * float(row['fair_coverage_90']):.1f} %**",
                "steps, from–to": f"{min(steps):.1f}–{max(steps):.1f} %",  # noqa: RUF001
                "closed band": f"{100.0 * float(row['coverage_90']):.1f} %",
                "50, 80, 95 % bands": ", ".join(f"{share:.1f}" for share in others),
                "pinball: raw": f"{float(raw['pinball_log']):.4f}",
                "pinball: calibrated": f"{float(row['pinball_log']):.4f}",
            }
        )
    return table_of(rows)


def _read(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


if __name__ == "__main__":
    sys.exit(main(run, sys.argv[1:]))
