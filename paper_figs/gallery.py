"""Every figure from the committed tables, and the gallery page that shows them with their findings.

A figure is a script of this folder with ``ENTRIES``, ``draw`` and ``caption``. Writes vectors into
``figures`` (.pdf) and ``docs/images`` (.svg), and ``docs/gallery.md`` (``make figures``):

    python paper_figs/gallery.py [NAME ...]
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

import matplotlib as mpl
from figure_style import SMALL, STYLE, Entry, save

ROOT = Path(__file__).resolve().parent.parent
HERE = Path(__file__).resolve().parent
ORDER = (
    "first_result",
    "steady_load",
    "surge",
    "interruption",
    "dispatch_rules",
    "forecast_worth",
    "planners",
    "attribution",
    "backtest",
    "characterization_inception_bn",
    "characterization_inception_v3",
    "spot_fits",
    "twin",
    "live",
    "promises",
    "planner_speed",
    "engine_speed",
)
"""In which order figures are shown; those that are not named come after, by name."""

LARGE = ("first_result", "characterization", "spot_fits")
"""Scripts of few, large panels: the words of the others are smaller."""

HEAD = (
    "# Gallery\n\n"
    "Every figure of this documentation, drawn by `make figures` from tables that are committed "
    "beside the code: nothing is simulated for it, and the numbers of the captions are read from "
    "the same tables. `figures/` then holds each as PDF. Colors are Okabe and Ito's, which "
    "color-blind readers tell apart.\n\n"
    "<!-- Written by paper_figs/gallery.py; edit the captions in the scripts. -->\n"
)


@dataclass(frozen=True)
class Figure:
    """A figure's name, the script that draws it and what the gallery says of it."""

    name: str
    script: ModuleType
    entry: Entry

    @property
    def source(self) -> Path:
        """The committed tables that it is drawn from."""
        return ROOT / self.entry.source

    def write(self, path: Path) -> None:
        """Draw into a file (.pdf or .svg)."""
        style = STYLE if self.script.__name__ in LARGE else SMALL
        with mpl.rc_context(dict(style)):
            save(self.script.draw(self.source), path, self.source)

    def section(self) -> str:
        """Return the gallery's section."""
        entry, script = self.entry, f"paper_figs/{self.script.__name__}.py"
        return (
            f"## {entry.title}\n\n"
            f"![{entry.title}](images/{self.name}.svg)\n\n"
            f"*{self.script.caption(self.source)}*\n\n"
            f"[What was asked and found]({entry.page}). Drawn by `{script}` from `{entry.source}`; "
            f"the tables come from `{entry.command}`.\n"
        )


def figures() -> list[Figure]:
    """Return every figure of the folder that has committed tables, in the gallery's order."""
    found = []
    for path in sorted(HERE.glob("*.py")):
        text = path.read_text(encoding="utf-8")
        if "\nENTRIES = {" not in text:
            continue
        script = importlib.import_module(path.stem)
        made = [Figure(name, script, entry) for name, entry in script.ENTRIES.items()]
        found += [figure for figure in made if figure.source.exists()]
    places = {name: at for at, name in enumerate(ORDER)}
    return sorted(found, key=lambda figure: (places.get(figure.name, len(ORDER)), figure.name))


def page(shown: Sequence[Figure]) -> str:
    """Return the gallery as Markdown."""
    return "\n".join([HEAD, *(figure.section() for figure in shown)])


def main(names: Sequence[str]) -> int:
    """Draw the named figures, or all and the page."""
    found = {figure.name: figure for figure in figures()}
    if unknown := sorted(set(names) - set(found)):
        there = ", ".join(found)
        print(f"gallery.py: there is no figure '{unknown[0]}'; there are: {there}", file=sys.stderr)
        return 2
    vectors, pictures = ROOT / "figures", ROOT / "docs" / "images"
    vectors.mkdir(exist_ok=True)
    for figure in [found[name] for name in names] or found.values():
        figure.write(vectors / f"{figure.name}.pdf")
        figure.write(pictures / f"{figure.name}.svg")
        print(f"figures/{figure.name}.pdf, docs/images/{figure.name}.svg")
    if not names:
        (ROOT / "docs" / "gallery.md").write_text(page([*found.values()]), encoding="utf-8")
        print("docs/gallery.md")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
