"""How the figures look: colors, lines and sizes, panels over time, vector files.

Colors are Okabe and Ito's, which color-blind readers tell apart; lines differ in their dashes too.
A script of one figure or more has ``ENTRIES`` (what each is drawn from, for the gallery),
``draw(source)`` and ``caption(source)``, the finding with its numbers taken from the same tables.
"""

from __future__ import annotations

import csv
import hashlib
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

BLUE, ORANGE, GREEN, PINK = "#0072b2", "#e69f00", "#009e73", "#cc79a7"
SKY, RED, BLACK, YELLOW = "#56b4e9", "#d55e00", "#3b3f46", "#f0e442"
PALETTE = (BLUE, ORANGE, GREEN, PINK, SKY, RED, BLACK, YELLOW)
GRAY, MUTED, GRID = "#9aa5b1", "#5f6b7a", "#e4e8ee"
"""Of bars that are no finding, of words beside the axes, and of the grid."""
MARKERS = ("o", "s", "D", "^", "P", "X", "v", "*")
DASHES = ("-", (0, (5, 1.5)), (0, (1, 1)), (0, (5, 1, 1, 1)), (0, (3, 1, 1, 1, 1, 1)))
LIMIT = {"color": RED, "linewidth": 0.9, "linestyle": (0, (1, 1.5)), "zorder": 1}
STYLE = {
    "font.size": 8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": GRID,
    "axes.axisbelow": True,
    "pdf.fonttype": 42,
    "svg.hashsalt": "markopt",
    "legend.frameon": False,
}
SMALL = {**STYLE, "font.size": 7, "axes.titlesize": 8, "lines.linewidth": 1.2}
"""For figures of many panels."""

Row = dict[str, str]


@dataclass(frozen=True)
class Entry:
    """A figure of the gallery: what it shows, what it is drawn from, and what makes that again.

    ``source`` is a folder or file of committed tables, ``page`` a page of the documentation with
    what was asked and found; both from the repository's root and from ``docs`` respectively.
    """

    title: str
    source: str
    page: str
    command: str


def read_rows(path: Path) -> list[Row]:
    """Return a result table's rows, as text.

    Raises:
        FileNotFoundError: there is no such table.
    """
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def read_markdown(path: Path) -> list[list[Row]]:
    """Return the tables of a Markdown page, each as rows.

    Raises:
        FileNotFoundError: there is no such page.
    """
    tables: list[list[list[str]]] = [[]]
    for line in path.read_text(encoding="utf-8").splitlines():
        if line.startswith("|"):
            tables[-1].append(
                [cell.strip().strip("`") for cell in line.strip().strip("|").split("|")]
            )
        elif tables[-1]:
            tables.append([])
    return [
        [dict(zip(head, cells, strict=True)) for cells in body]
        for head, _, *body in filter(None, tables)
    ]


def values(rows: Sequence[Row], key: str, factor: float = 1.0) -> np.ndarray:
    """Return a column as numbers times ``factor``; an empty field is not a number."""
    return np.array([factor * float(row[key]) if row[key] else np.nan for row in rows])


def mean(rows: Sequence[Row], key: str, factor: float = 1.0) -> float:
    """Return the mean of a column's numbers times ``factor``.

    Raises:
        ValueError: there are no rows.
    """
    if not rows:
        raise ValueError(f"expected rows with '{key}', got none")
    return float(np.nanmean(values(rows, key, factor)))


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


def use_log_scale(
    axes: Any, subs: Sequence[float] = (1.0, 2.0, 5.0), *, across: bool = False
) -> None:
    """Make the vertical axis, or that ``across``, logarithmic: plain numbers at ``subs``."""
    if across:
        axes.set_xscale("log")
    else:
        axes.set_yscale("log")
    axis = axes.xaxis if across else axes.yaxis
    axis.set_major_locator(LogLocator(subs=subs))
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axis.set_minor_locator(NullLocator())


def name_lines(axes: Any, names: Sequence[str]) -> None:
    """Put a name beside every line of a panel of horizontal lines, the first on top."""
    axes.set_yticks(np.arange(len(names)), names)
    axes.invert_yaxis()


def legend_below(figure: Any, axes: Any, columns: int = 6) -> None:
    """Put one legend of a panel's lines under all panels."""
    handles, labels = axes.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=columns)


def digest(source: Path) -> str:
    """Return what tells a source's content: the SHA-256 of its tables, in the order of their names.

    Raises:
        FileNotFoundError: there is nothing.
    """
    paths = sorted(filter(Path.is_file, source.iterdir())) if source.is_dir() else [source]
    found = hashlib.sha256()
    for path in paths:
        found.update(path.name.encode() + b"\0" + path.read_bytes())
    return f"sha256:{found.hexdigest()}"


def save(figure: Any, path: Path, source: Path | None = None) -> None:
    """Write a figure as vectors (.pdf or .svg), the same bytes every time.

    A vector picture (.svg) also says what the tables were that it shows, where ``source`` is given.
    """
    stamp: dict[str, Any] = {"CreationDate": None} if path.suffix == ".pdf" else {"Date": None}
    if source is not None and path.suffix == ".svg":
        stamp["Source"] = digest(source)
    temporary = path.with_name(f".{path.stem}.partial{path.suffix}")
    figure.savefig(temporary, metadata=stamp)
    temporary.replace(path)
    plt.close(figure)


def main(draw: Callable[[Path], Any], arguments: Sequence[str], *, style: Mapping = SMALL) -> int:
    """Draw from a result folder or file into a file; ``draw`` returns the figure."""
    if len(arguments) != 2 or Path(arguments[1]).suffix not in (".pdf", ".svg"):
        script = Path(sys.argv[0]).name
        print(f"usage: {script} RESULT_FOLDER FIGURE.(pdf|svg)", file=sys.stderr)
        return 2
    try:
        with mpl.rc_context(dict(style)):
            source = Path(arguments[0])
            save(draw(source), Path(arguments[1]), source)
    except FileNotFoundError as error:
        print(f"{error.filename}: expected a study's table; run the study first", file=sys.stderr)
        return 2
    print(arguments[1])
    return 0
