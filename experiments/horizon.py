"""How far ahead should a plan look, and how often should it be made?

Horizons of 3 to 30 minutes, decisions every 30 to 300 s. Policies are tuned to one attainment on
the same hours of the day before, as ``conf/experiment/horizon.yaml`` has it; writes
``results/horizon``, from which ``paper_figs/horizon.py`` draws the figure.

    python experiments/horizon.py [KEY=VALUE ...]
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from study_tables import Study, main, run_study

STUDY = Study(
    "horizon",
    {},
    {
        "3 min ahead": ("controller.horizon=3",),
        "5 min ahead": ("controller.horizon=5",),
        "15 min ahead": ("controller.horizon=15",),
        "30 min ahead": ("controller.horizon=30",),
        "every 30 s": (
            "controller.interval_s=30",
            "workload.interval_s=30",
            "controller.horizon=30",
            "cloud.latency_window_s=30",
            "cloud.arrival_block_s=30",
        ),
        "every 120 s": (
            "controller.interval_s=120",
            "workload.interval_s=120",
            "controller.horizon=7",
            "cloud.latency_window_s=120",
        ),
        "every 300 s": (
            "controller.interval_s=300",
            "workload.interval_s=300",
            "controller.horizon=3",
            "cloud.latency_window_s=300",
        ),
    },
    by_window=False,
)


def run(overrides: Sequence[str]) -> Path:
    """Run the study; ``overrides`` change its configuration, and its sweep where they name it."""
    return run_study(STUDY, overrides)


if __name__ == "__main__":
    sys.exit(main(run, sys.argv[1:]))
