"""What does every policy cost on real loads, at the same service level?

All policies on three hours of three real traces (which need their files): Twitter's stream with its
surges by the clock, the World Cup's site around an evening's match, a function of Azure's in the
morning's rise. Each policy is tuned to one attainment on the same hours of the day before, as
``conf/experiment/all_planners.yaml`` has it. A trace is also one command: ``markopt compare
--at-equal-slo 0.98 experiment=all_planners`` and the trace's overrides below. Writes
``results/all_planners``, from which ``paper_figs/all_planners.py`` draws the figure and fills the
table of README.md.

    python experiments/all_planners.py [KEY=VALUE ...]
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from study_tables import Study, main, run_study


def _hours(workload: str, start_s: int, scale: float) -> tuple[str, ...]:
    """Return the overrides of a span of a trace, all before it to learn from."""
    return (
        f"workload={workload}",
        f"workload.scale={scale:g}",
        f"workload.start_s={start_s}",
        f"workload.history_s={start_s}",
    )


STUDY = Study(
    "all_planners",
    {},
    {
        "twitter": _hours("twitter", 1144800, 8.0),  # 06:00 to 09:00 of the 14th day
        "worldcup": _hours("worldcup", 3603600, 0.5),  # 17:00 to 20:00 of the 42nd day
        "azure_functions": _hours("azure_functions", 874800, 10.0),  # 03:00 to 06:00, 11th day
    },
    by_window=False,
)


def run(overrides: Sequence[str]) -> Path:
    """Run the study; ``overrides`` change its configuration, and its sweep where they name it."""
    return run_study(STUDY, overrides)


if __name__ == "__main__":
    sys.exit(main(run, sys.argv[1:]))
