"""The first result: a comparison's table in README.md, between its marks, and its picture.

Reads result files only (``make readme`` does both):

    make demo
    python paper_figs/first_result.py results/demo README.md docs/images/first_result.svg
"""

from __future__ import annotations

import sys
from pathlib import Path

from policies_on_one_day import draw

BEGIN, END = "<!-- first result: begin -->", "<!-- first result: end -->"


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


def main(arguments: list[str]) -> int:
    """Take over the table and draw the picture of a result folder."""
    if len(arguments) != 3:
        print("usage: first_result.py RESULT_FOLDER README.md PICTURE.svg", file=sys.stderr)
        return 2
    folder, page, picture = map(Path, arguments)
    table = folder / "table.md"
    if not table.is_file():
        print(f"{table}: expected the table of a comparison; run make demo", file=sys.stderr)
        return 2
    text = with_table(page.read_text(encoding="utf-8"), table.read_text(encoding="utf-8"))
    draw(folder, picture)
    temporary = page.with_name(f".{page.name}.partial")
    temporary.write_text(text, encoding="utf-8")
    temporary.replace(page)
    print(f"{page}, {picture}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
