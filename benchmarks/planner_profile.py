"""Where a decision's time goes: building, relaxations, cuts, prices, rounding, tree search.

Run from the repository root: ``.venv/bin/python benchmarks/planner_profile.py [SIZE ...]``. CPU
milliseconds of one search after a first one, on the statements of ``benchmarks/planner.py``.
Prints its table and writes it to ``benchmarks/results/planner_profile.md``.
"""

from __future__ import annotations

import sys
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "benchmarks")]

from planner import GAP, SEEDS, SIZES, statement_of  # noqa: E402

from markopt.planning.program import search as searching  # noqa: E402
from markopt.planning.program.branching import Branching  # noqa: E402
from markopt.planning.program.relaxation import Relaxation  # noqa: E402
from markopt.planning.program.solver import Session, SolverOptions  # noqa: E402

RESULT = ROOT / "benchmarks" / "results" / "planner_profile.md"
PARTS = (
    "build",
    "into HiGHS",
    "first LP",
    "further LPs",
    "cuts",
    "prices",
    "rounded",
    "branches",
    "tree",
)


class Stopwatch:
    """Adds up CPU time by part, with what a part calls taken off."""

    def __init__(self) -> None:
        self.spent_s: dict[str, float] = defaultdict(float)
        self.calls: dict[str, int] = defaultdict(int)
        self._inside: list[float] = []

    def around(self, name: Callable[..., str], action: Callable[..., Any]) -> Callable[..., Any]:
        """Return the action, timed as the part that ``name`` says of its arguments."""

        def timed(*arguments: Any, **settings: Any) -> Any:
            part, begin_s = name(*arguments), time.process_time()
            self._inside.append(0.0)
            try:
                return action(*arguments, **settings)
            finally:
                took_s = time.process_time() - begin_s
                self.spent_s[part] += took_s - self._inside.pop()
                self.calls[part] += 1
                if self._inside:
                    self._inside[-1] += took_s

        return timed


def watched(watch: Stopwatch) -> None:
    """Let the parts of a search be timed, for the rest of this process."""
    seen: set[int] = set()
    branching: list[None] = []

    def relaxation(session: Session) -> str:
        if branching:
            return "branches"
        first = id(session) not in seen
        seen.add(id(session))
        return "first LP" if first else "further LPs"

    def fixed(name: str) -> Callable[..., str]:
        return lambda *_: name

    search_branches = Branching.run

    def branches(*arguments: Any) -> None:
        branching.append(None)
        search_branches(*arguments)
        branching.pop()

    Branching.run = watch.around(fixed("branches"), branches)  # type: ignore[method-assign]
    rounded = watch.around(fixed("rounded"), Session.fixed)
    plain = Session.relaxed
    Session.fixed = rounded  # type: ignore[method-assign]
    Session.relaxed = watch.around(relaxation, plain)  # type: ignore[method-assign]
    Session.__init__ = watch.around(fixed("into HiGHS"), Session.__init__)  # type: ignore[method-assign]
    Session.whole = watch.around(fixed("tree"), Session.whole)  # type: ignore[method-assign]
    Relaxation.tighten = watch.around(fixed("cuts"), Relaxation.tighten)  # type: ignore[method-assign]
    searching.build_program = watch.around(fixed("build"), searching.build_program)
    searching.advantage_usd = watch.around(fixed("prices"), searching.advantage_usd)


def main(sizes: list[str]) -> int:
    watch = Stopwatch()
    watched(watch)
    lines = [
        f"| offers x intervals x scenarios | seed | {' | '.join(PARTS)} | in all | LPs |",
        "|---|---|" + "---|" * (len(PARTS) + 2),
    ]
    for size in sizes or SIZES:
        for seed in SEEDS:
            statement = statement_of(size, seed)
            options = SolverOptions(GAP, max_nodes=2000)
            searching.search(statement, options, price_offers=True)
            watch.spent_s.clear()
            watch.calls.clear()
            begin_s = time.process_time()
            searching.search(statement, options, price_offers=True)
            total_ms = 1e3 * (time.process_time() - begin_s)
            # A rounded plan is an LP too: its own relaxation is timed as a further one.
            cells = [f"{1e3 * watch.spent_s[part]:.0f}" for part in PARTS]
            count = watch.calls["first LP"] + watch.calls["further LPs"]
            row = [size.replace("x", " x "), str(seed), *cells, f"{total_ms:.0f}", str(count)]
            lines.append("| " + " | ".join(row) + " |")
            print(lines[-1], file=sys.stderr, flush=True)
    text = (
        "# Where a decision's time goes\n\n"
        "`.venv/bin/python benchmarks/planner_profile.py`: CPU milliseconds of one search, on the\n"
        "statements of [the planner benchmark](planner.md). LPs after the first start from its\n"
        "basis; those of rounded plans are among them, those of branches are not.\n\n"
        + "\n".join(lines)
        + "\n"
    )
    print(text)
    if not sizes:
        RESULT.write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
