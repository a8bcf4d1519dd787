"""How the figures look: colors, lines and sizes, panels over time, vector files.

Colors are Okabe and Ito's, which color-blind readers tell apart; lines differ in their dashes too.
"""

from __future__ import annotations

import csv
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np

mpl.use("Agg")
from matplotlib import pyplot as plt
from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

PALETTE = ("#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#d55e00", "#3b3f46", "#f0e442")
MARKERS = ("o", "s", "D", "^", "P", "X", "v", "*")
DASHES = ("-", (0, (5, 1.5)), (0, (1, 1)), (0, (5, 1, 1, 1)), (0, (3, 1, 1, 1, 1, 1)))
LIMIT = {"color": "#d55e00", "linewidth": 0.8, "linestyle": (0, (1, 2)), "zorder": 0}
STYLE = {
    "font.size": 8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": "#e4e8ee",
    "axes.axisbelow": True,
    "pdf.fonttype": 42,
    "svg.hashsalt": "markopt",
    "legend.frameon": False,
}
SMALL = {**STYLE, "font.size": 7, "axes.titlesize": 8, "lines.linewidth": 1.2}
"""For figures of many panels."""

Row = dict[str, str]


def read_rows(path: Path) -> list[Row]:
    """Return a result table's rows, as text.

    Raises:
        FileNotFoundError: there is no such table.
    """
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def values(rows: Sequence[Row], key: str, factor: float = 1.0) -> np.ndarray:
    """Return a column as numbers times ``factor``; an empty field is not a number."""
    return np.array([factor * float(row[key]) if row[key] else np.nan for row in rows])


def distinct(rows: Sequence[Row], key: str) -> list[str]:
    """Return a column's different values, in the order in which they come."""
    return list(dict.fromkeys(row[key] for row in rows))


def chosen(rows: Sequence[Row], **wanted: str) -> list[Row]:
    """Return the rows that have the wanted values."""
    return [row for row in rows if all(row[key] == value for key, value in wanted.items())]


def look(names: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Return a color and a dash by name."""
    return {
        name: {"color": PALETTE[at % len(PALETTE)], "linestyle": DASHES[at % len(DASHES)]}
        for at, name in enumerate(names)
    }


def draw_over_time(
    axes: Any, rows: Sequence[Row], key: str, looks: Mapping[str, Any], *, factor: float = 1.0
) -> None:
    """Draw a column over the minutes since the start, a line per policy."""
    for policy, style in looks.items():
        of_policy = chosen(rows, policy=policy)
        minutes = values(of_policy, "time_s", 1.0 / 60.0) + 0.5
        axes.plot(minutes, values(of_policy, key, factor), label=policy, **style)


@dataclass(frozen=True)
class Panel:
    """A quantity over time: its column times ``factor``, of the rows that have the values wanted.

    ``label`` goes beside it; ``log`` makes its axis logarithmic.
    """

    key: str
    label: str
    factor: float = 1.0
    wanted: Mapping[str, str] = field(default_factory=dict)
    log: bool = False


def grid_over_time(
    rows: Sequence[Row],
    cases: Mapping[str, Mapping[str, str]],
    panels: Sequence[Panel],
    *,
    column_width: float = 1.75,
) -> Any:
    """Return a figure with a column per case (by title), a row per panel and a line per policy.

    A panel without rows is left out. Shares in percent have the SLO's 98 % drawn.
    """
    shown = [panel for panel in panels if chosen(rows, **panel.wanted)]
    looks = look(distinct(rows, "policy"))
    figure, grid = plt.subplots(
        len(shown),
        len(cases),
        figsize=(column_width * len(cases) + 0.4, 1.25 * len(shown) + 0.6),
        layout="constrained",
        sharex=True,
        sharey="row",
        squeeze=False,
    )
    for column, (title, case) in enumerate(cases.items()):
        for line, panel in enumerate(shown):
            found = chosen(rows, **case, **panel.wanted)
            draw_over_time(grid[line, column], found, panel.key, looks, factor=panel.factor)
            if panel.key == "attainment":
                grid[line, column].axhline(98.0, **LIMIT)
        grid[0, column].set_title(title)
        grid[-1, column].set_xlabel("Minute")
    for line, panel in enumerate(shown):
        # Limits are those of the whole row, so they are set once all is drawn.
        grid[line, 0].set_ylabel(panel.label)
        if panel.log:
            for axes in grid[line]:
                use_log_scale(axes)
        elif panel.key != "attainment":
            grid[line, 0].set_ylim(bottom=0.0)
    legend_below(figure, grid[0, 0])
    return figure


def use_log_scale(axes: Any) -> None:
    """Make the vertical axis logarithmic, with a few plain numbers beside it."""
    axes.set_yscale("log")
    axes.yaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.yaxis.set_minor_locator(NullLocator())


def legend_below(figure: Any, axes: Any, columns: int = 6) -> None:
    """Put one legend of a panel's lines under all panels."""
    handles, labels = axes.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=columns)


def save(figure: Any, path: Path) -> None:
    """Write a figure as vectors (.pdf or .svg), the same bytes every time."""
    stamp = {"CreationDate": None} if path.suffix == ".pdf" else {"Date": None}
    figure.savefig(path, metadata=stamp)
    plt.close(figure)


def main(draw: Callable[[Path], Any], arguments: Sequence[str], *, style: Mapping = SMALL) -> int:
    """Draw from a result folder into a file; ``draw`` returns the figure."""
    if len(arguments) != 2 or Path(arguments[1]).suffix not in (".pdf", ".svg"):
        script = Path(sys.argv[0]).name
        print(f"usage: {script} RESULT_FOLDER FIGURE.(pdf|svg)", file=sys.stderr)
        return 2
    try:
        with mpl.rc_context(dict(style)):
            save(draw(Path(arguments[0])), Path(arguments[1]))
    except FileNotFoundError as error:
        print(f"{error.filename}: expected a study's table; run the study first", file=sys.stderr)
        return 2
    print(arguments[1])
    return 0
