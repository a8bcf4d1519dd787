"""The tables of docs/studies.md, between their marks, and its pictures, from the studies' tables.

Reads result files only:

    python paper_figs/studies_page.py experiments/results docs/studies.md docs/images
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
from figure_style import Row, chosen, distinct, main, read_rows, values
from first_result import with_table
from scipy import stats

Cells = list[str]


def with_half_width(found: np.ndarray, digits: int) -> str:
    """Return a mean and half of its 95 % interval (Student's t)."""
    if len(found) < 2 or not found.std():
        return f"{found.mean():.{digits}f}"
    half = stats.t.ppf(0.975, len(found) - 1) * found.std(ddof=1) / np.sqrt(len(found))
    return f"{found.mean():.{digits}f} ± {half:.{digits}f}"


def cost(rows: Sequence[Row], reference: Sequence[Row]) -> Cells:
    """Return the mean cost, and its change against the reference's, paired over the seeds."""
    usd, base = values(rows, "cost_usd"), values(reference, "cost_usd")
    shown = f"{usd.mean():#.4g}" if usd.mean() >= 1.0 else f"{usd.mean():.3f}"
    change = "" if rows == reference else f"{with_half_width(100.0 * (usd / base - 1.0), 1)} %"
    return [shown, change]


def service_level(rows: Sequence[Row]) -> Cells:
    """Return the mean attainment and the worst minute of any seed."""
    worst = values(rows, "worst_minute_attainment", 100.0).min()
    return [f"{values(rows, 'attainment', 100.0).mean():.2f} %", f"{worst:.2f} %"]


def on_functions(rows: Sequence[Row]) -> str:
    """Return the mean share of functions."""
    return f"{values(rows, 'lambda_share', 100.0).mean():.2f} %"


def by_policy(
    rows: Sequence[Row], cases: Mapping[str, Mapping[str, str]]
) -> Iterator[tuple[str, str, list[Row], list[Row]]]:
    """Yield case, policy, its rows and those of the case's first policy.

    The case's title is named beside its first policy only.
    """
    for title, case in cases.items():
        of_case = chosen(rows, **case)
        policies = distinct(of_case, "policy")
        for policy in policies:
            reference = chosen(of_case, policy=policies[0])
            shown = title if policy == policies[0] else ""
            yield shown, policy, chosen(of_case, policy=policy), reference


def steady_load(folder: Path) -> list[Cells]:
    """Return the table of steady load, its head first."""
    rows = read_rows(folder / "episodes.csv")
    cases = {service: {"service": service} for service in distinct(rows, "service")}
    head = ["service", "policy", "cost USD", "against program", "attainment", "worst minute"]
    table = [[*head, "p98 ms", "launches"]]
    for title, policy, found, reference in by_policy(rows, cases):
        p98 = f"{values(found, 'p98_ms').mean():.0f}"
        launches = f"{values(found, 'launches').mean():.0f}"
        cells = [*cost(found, reference), *service_level(found), p98, launches]
        table.append([title, policy, *cells])
    return table


def with_and_without(rows: Sequence[Row], name: str, cases: Mapping[str, Row]) -> list[Cells]:
    """Return a table of cases with functions, and what attains the same without any."""
    head = [name, "policy", "cost USD", "against program", "attainment", "worst minute"]
    table = [[*head, "on Lambda", "without functions: attainment", "worst minute"]]
    with_functions = {title: {**case, "functions": "True"} for title, case in cases.items()}
    title = ""
    for shown, policy, found, reference in by_policy(rows, with_functions):
        title = shown or title
        without = chosen(rows, **cases[title], functions="False", policy=policy)
        cells = [*cost(found, reference), *service_level(found), on_functions(found)]
        table.append([shown, policy, *cells, *service_level(without)])
    return table


def surge(folder: Path) -> list[Cells]:
    """Return the table of surges, its head first."""
    rows = read_rows(folder / "episodes.csv")
    cases = {f"{float(surge):g} times": {"surge": surge} for surge in distinct(rows, "surge")}
    return with_and_without(rows, "load", cases)


def interruption(folder: Path) -> list[Cells]:
    """Return the table of interruptions, its head first."""
    rows = read_rows(folder / "episodes.csv")
    cases = {}
    for row in rows:
        title = row["taken"] + (", dry" if row["outage"] == "True" else "")
        cases[title] = {"taken": row["taken"], "outage": row["outage"]}
    return with_and_without(rows, "taken", cases)


def dispatch_rules(folder: Path) -> list[Cells]:
    """Return the table of cost ratios, its head first."""
    rows = read_rows(folder / "worth.csv")
    fleets = distinct(rows, "fleet")
    table = [["bouncer", "dispatcher", *fleets]]
    for bouncer in distinct(rows, "bouncer"):
        for at, dispatcher in enumerate(distinct(rows, "dispatcher")):
            found = chosen(rows, bouncer=bouncer, dispatcher=dispatcher)
            cells = [ratio(chosen(found, fleet=fleet)[0]) for fleet in fleets]
            table.append(["" if at else bouncer, dispatcher, *cells])
    return table


def forecast_worth(folder: Path) -> list[Cells]:
    """Return the table of what forecasts are worth, its head first."""
    rows = read_rows(folder / "worth.csv")
    head = ["policy", "forecaster", "pinball", "seeds", "head-room", "attainment", "cost USD"]
    table = [[*head, "saved USD", "of the gap"]]
    for functions, policy in dict.fromkeys((row["functions"], row["policy"]) for row in rows):
        title = policy if functions == "True" else f"{policy}, no functions"
        for at, row in enumerate(chosen(rows, functions=functions, policy=policy)):
            table.append(
                [
                    "" if at else title,
                    row["forecaster"],
                    f"{float(row['pinball']):.4f}" if row["pinball"] else f"({row['target']})",
                    row["seeds"],
                    f"{float(row['headroom']):g}",
                    f"{100.0 * float(row['attainment']):.2f} %",
                    f"{float(row['cost_usd']):.2f}",
                    saving(row),
                    f"{100.0 * float(row['gap_share']):.0f} %" if row["gap_share"] else "",
                ]
            )
    return table


PERFECT = {
    "forecast": "the minutes' mean rates are known",
    "interruptions": "spot is never taken, at equal prices",
    "launch_delay": "launches are ready at once, boots that the bound pays for set off",
    "capacity_profile": "Q(D) times its best factor in hindsight",
    "within_interval": "requests come evenly, so Q(D) = D",
    "solver_gap": "plans are proven optimal",
    "rest": "minute by minute the cheapest fleet in whole instances",
    "integrality": "fractions of instances",
    "bound_slack": "2 % of requests may be missed, work is carried over, best batches",
}
"""Parts of an attribution in the order of the series, and what becomes of each."""


def attribution(folder: Path) -> list[Cells]:
    """Return the table of losses, a column per case and policy, its head first."""
    losses, runs = read_rows(folder / "losses.csv"), read_rows(folder / "runs.csv")
    keys = ("trace", "spot", "policy")
    columns = [
        dict(zip(keys, found, strict=True))
        for found in dict.fromkeys(tuple(row[key] for key in keys) for row in losses)
    ]
    sold = {"True": "with spot", "False": "on demand"}
    heads = [f"{c['trace']}, {sold[c['spot']]}: {c['policy']}" for c in columns]
    table = [["part, USD", "perfect version", *heads]]
    for name, order, perfect in (("bill", "forward", "nothing"), ("bound", "end", "bound")):
        cells = [
            with_half_width(
                values(chosen(runs, **column, order=order, perfect=perfect), "cost_usd"), 2
            )
            for column in columns
        ]
        table.append([name, "", *cells])
    for part, perfect in PERFECT.items():
        found = [chosen(losses, **column, part=part) for column in columns]
        table.append([part, perfect, *(both_orders(rows) for rows in found)])
    return table


def both_orders(rows: Sequence[Row]) -> str:
    """Return a part's mean loss with half of its interval, and in brackets in reverse order."""
    forward, reverse = values(rows, "usd"), values(rows, "reverse_usd")
    shown = with_half_width(forward, 2)
    if not np.isfinite(reverse).all() or abs(reverse.mean() - forward.mean()) < 0.005:
        return shown
    return f"{shown} ({reverse.mean():.2f})"


def planners(folder: Path) -> list[Cells]:
    """Return the table of planners, its head first."""
    rows = read_rows(folder / "runs.csv")
    differences = read_rows(folder / "differences.csv")
    head = ["service", "policy", "tuned to", "cost USD", "over bound", "against greedy"]
    head += ["by hours", "against mark"]
    table = [[*head, "attainment", "worst window", "promised", "violated", "short", "on Lambda"]]
    for service, purchase in dict.fromkeys((row["service"], row["purchase"]) for row in rows):
        of_case = chosen(rows, service=service, purchase=purchase)
        reference, mark = (chosen(of_case, policy=name) for name in ("greedy", "mark"))
        pairs = chosen(differences, service=service, purchase=purchase, reference="greedy")
        for at, policy in enumerate(distinct(of_case, "policy")):
            found = chosen(of_case, policy=policy)
            promised = found[0]["promised"]
            over = values(found, "cost_usd") / values(found, "clairvoyant_bound_usd")
            worst = values(found, "worst_window_attainment", 100.0).min()
            table.append(
                [
                    "" if at else f"{service}, {purchase}",
                    policy,
                    found[0]["values"].replace("risk.violation_share", "share"),
                    cost(found, reference)[0],
                    f"{over.mean():.3f}",
                    cost(found, reference)[1],
                    "".join(by_hours(pair) for pair in chosen(pairs, policy=policy)),
                    cost(found, mark)[1],
                    f"{values(found, 'attainment', 100.0).mean():.2f} %",
                    f"{worst:.2f} %",
                    f"{100.0 * float(promised):.0f} %" if promised else "",
                    f"{values(found, 'violated', 100.0).mean():.1f} %",
                    f"{values(found, 'short', 100.0).mean():.1f} %",
                    on_functions(found),
                ]
            )
    return table


def by_hours(difference: Row) -> str:
    """Return the 95 % interval of a paired difference, the day's hours drawn again."""
    low, high = (float(difference[f"hours_{end}"]) for end in ("low", "high"))
    return f"{low:.1f} to {high:.1f} %"


def saving(row: Row) -> str:
    """Return what a forecaster saves, with half of its interval where there is one."""
    if not row["saved_usd"]:
        return ""
    shown = f"{float(row['saved_usd']):.2f}"
    if not row["ci95_low"]:
        return shown
    return f"{shown} ± {(float(row['ci95_high']) - float(row['ci95_low'])) / 2.0:.2f}"


def ratio(row: Row) -> str:
    """Return a cost ratio with its interval, where it has a width."""
    if not row["cost_ratio"]:
        return "SLO not held"
    shown = f"{float(row['cost_ratio']):.3f}"
    if row["ci95_low"] in ("", row["ci95_high"]):
        return shown
    return f"{shown} ({float(row['ci95_low']):.3f} to {float(row['ci95_high']):.3f})"


def markdown(table: Sequence[Cells]) -> str:
    """Return a table as Markdown, numbers to the right: all but the first two columns."""
    head, *body = table
    rule = ["---", "---", *["---:"] * (len(head) - 2)]
    return "".join(f"| {' | '.join(cells)} |\n" for cells in (head, rule, *body))


TABLES: dict[str, Callable[[Path], list[Cells]]] = {
    "steady_load": steady_load,
    "surge": surge,
    "interruption": interruption,
    "dispatch_rules": dispatch_rules,
    "forecast_worth": forecast_worth,
    "planners": planners,
    "attribution": attribution,
}


def updated(page: str, results: Path) -> str:
    """Return the page with every study's table in its place.

    Raises:
        ValueError: a study's marks are not there.
        FileNotFoundError: a study's table is not there.
    """
    for name, tabulate in TABLES.items():
        marks = (f"<!-- {name}: begin -->", f"<!-- {name}: end -->")
        page = with_table(page, markdown(tabulate(results / name)), marks)
    return page


def write(arguments: Sequence[str]) -> int:
    """Write the page and draw the pictures."""
    if len(arguments) != 3:
        print("usage: studies_page.py RESULTS PAGE.md PICTURES", file=sys.stderr)
        return 2
    results, path, pictures = map(Path, arguments)
    path.write_text(updated(path.read_text(encoding="utf-8"), results), encoding="utf-8")
    codes = [
        main(
            importlib.import_module(name).draw, [str(results / name), str(pictures / f"{name}.svg")]
        )
        for name in TABLES
    ]
    return max(codes)


if __name__ == "__main__":
    sys.exit(write(sys.argv[1:]))
