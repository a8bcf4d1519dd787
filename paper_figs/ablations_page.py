"""The tables of docs/ablations.md, between their marks, from the ablations' committed tables.

Reads result files only; the pictures are drawn by ``make figures``:

    python paper_figs/ablations_page.py experiments/results docs/ablations.md
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from figure_style import Row, distinct, read_rows, values
from first_result import with_table
from macro import LIST_PRICE, REFERENCE, savings
from studies_page import Cells, by_policy, cost, markdown, on_functions, service_level

FILE = "episodes.csv"


def swept(folder: Path) -> list[Cells]:
    """Return an ablation's table: a block of policies per case, its head first."""
    rows = read_rows(folder / FILE)
    first = rows[0]["policy"]
    labels = list(rows[0])[: list(rows[0]).index("policy")]
    cases: dict[str, Row] = {}
    for row in rows:
        case = {key: row[key] for key in labels}
        cases[", ".join(case.values())] = case
    head = [", ".join(labels).replace("_", " "), "policy", "cost USD", f"against {first}"]
    table = [[*head, "attainment", "worst minute", "on Lambda", "launches"]]
    for title, policy, found, reference in by_policy(rows, cases):
        launches = f"{values(found, 'launches').mean():.0f}"
        cells = [*cost(found, reference), *service_level(found), on_functions(found), launches]
        table.append([title, policy, *cells])
    return table


def macro(folder: Path) -> list[Cells]:
    """Return the table of the macro-benchmark: by policy, the reference's bill over its own."""
    rows = read_rows(folder / FILE)
    found = savings(rows)
    loads, services = distinct(rows, "variant"), distinct(rows, "service")
    head = ["policy", "all", *(f"{load}: median" for load in loads)]
    table = [[*head, "least", "most", "most, SageMaker's list", "SLO met"]]
    for policy in distinct(rows, "policy"):
        factors = {case: factor for case, factor in found.items() if case[2] == policy}
        by_load = [[f for (at, _, _), f in factors.items() if at == load] for load in loads]
        every = list(factors.values())
        met = f"{len(every)} of {len(loads) * len(services)}"
        if not every:
            table.append([policy, *[""] * (len(loads) + 4), met])
            continue
        most = "" if policy == REFERENCE else f"{LIST_PRICE * max(every):.1f}"
        medians = [f"{np.median(some):.2f}" if some else "" for some in by_load]
        ends = [f"{min(every):.2f}", f"{max(every):.2f}", most]
        table.append([policy, f"{np.median(every):.2f}", *medians, *ends, met])
    return table


ABLATIONS = (
    "launch_delay",
    "price_ratio",
    "scale",
    "batching",
    "forecast_error",
    "horizon",
    "spot",
    "functions",
)
TABLES: dict[str, Callable[[Path], list[Cells]]] = {"macro": macro} | dict.fromkeys(
    ABLATIONS, swept
)


def updated(page: str, results: Path) -> str:
    """Return the page with the table of every ablation that has one in its place.

    Raises:
        ValueError: an ablation's marks are not there.
    """
    for name, tabulate in TABLES.items():
        if not (results / name / FILE).exists():
            continue
        marks = (f"<!-- {name}: begin -->", f"<!-- {name}: end -->")
        page = with_table(page, markdown(tabulate(results / name)), marks)
    return page


def write(arguments: Sequence[str]) -> int:
    """Write the page."""
    if len(arguments) != 2:
        print("usage: ablations_page.py RESULTS PAGE.md", file=sys.stderr)
        return 2
    results, path = map(Path, arguments)
    path.write_text(updated(path.read_text(encoding="utf-8"), results), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(write(sys.argv[1:]))
