"""The first result: a comparison's table in README.md, between its marks, and its figure.

Reads result files only (``make readme`` does both):

    make demo
    python paper_figs/first_result.py results/demo README.md TABLES docs/images/first_result.svg

TABLES, experiments/results/first_result in the repository, keeps what the figure draws.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import policies_on_one_day
from figure_style import STYLE, Entry
from figure_style import main as draw_to_file
from policies_on_one_day import rows_by_policy

BEGIN, END = "<!-- first result: begin -->", "<!-- first result: end -->"
ENTRIES = {
    "first_result": Entry(
        "A first result: five policies on two hours with a burst",
        "experiments/results/first_result",
        "index.md",
        "make demo",
    )
}


def with_table(text: str, table: str, marks: tuple[str, str] = (BEGIN, END)) -> str:
    """Return the text with the table in the place of what stands between the two marks.

    Raises:
        ValueError: the marks are not there, each once and in order.
    """
    begin, end = marks
    if text.count(begin) != 1 or text.count(end) != 1 or text.index(begin) > text.index(end):
        raise ValueError(f"expected '{begin}' and '{end}' once each, in this order")
    head, rest = text.split(begin)
    _, tail = rest.split(end)
    return f"{head}{begin}\n\n{table.strip()}\n\n{end}{tail}"


def draw(folder: Path) -> Any:
    """Return the figure: cost against attainment, and what the money goes to."""
    return policies_on_one_day.draw(folder)


def caption(folder: Path) -> str:
    """Return what the figure finds."""
    groups = rows_by_policy(folder)
    over = {policy: rows[0]["cost_over_bound"] for policy, rows in groups.items()}
    share = min(row["attainment"] for rows in groups.values() for row in rows)
    told = ", ".join(f"{policy} {ratio:.2f}" for policy, ratio in over.items())
    return (
        f"Every policy answers at least {100.0 * share:.2f} % in time; what they pay differs. As "
        f"multiples of what perfect foresight would: {told}. One seed and two hours: enough to "
        "see what comes out, not to rank policies."
    )


def keep(folder: Path, target: Path) -> None:
    """Write of a comparison what the figure draws: its policies and its rows."""
    document = json.loads((folder / "comparison.json").read_text(encoding="utf-8"))
    kept = {key: document[key] for key in ("policies", "rows")}
    target.mkdir(parents=True, exist_ok=True)
    text = json.dumps(kept, indent=1) + "\n"
    (target / "comparison.json").write_text(text, encoding="utf-8")


def main(arguments: list[str]) -> int:
    """Take over the table and draw the picture of a result folder."""
    if len(arguments) != 4:
        usage = "first_result.py RESULT_FOLDER README.md TABLES PICTURE.svg"
        print(f"usage: {usage}", file=sys.stderr)
        return 2
    folder, page, tables, picture = map(Path, arguments)
    table = folder / "table.md"
    if not table.is_file():
        print(f"{table}: expected the table of a comparison; run make demo", file=sys.stderr)
        return 2
    text = with_table(page.read_text(encoding="utf-8"), table.read_text(encoding="utf-8"))
    keep(folder, tables)
    temporary = page.with_name(f".{page.name}.partial")
    temporary.write_text(text, encoding="utf-8")
    temporary.replace(page)
    print(page)
    return draw_to_file(draw, [str(tables), str(picture)], style=STYLE)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
