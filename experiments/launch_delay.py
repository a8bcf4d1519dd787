"""What is a quicker launch worth, from containers (10 s) to virtual machines (300 s)?

Every offer launches after the delay. Policies are tuned to one attainment on the same hours of the
day before, as ``conf/experiment/launch_delay.yaml`` has it; writes ``results/launch_delay``, from
which ``paper_figs/launch_delay.py`` draws the figure.

    python experiments/launch_delay.py [KEY=VALUE ...]
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from study_tables import Study, main, run_study

STUDY = Study(
    "launch_delay",
    {
        "launch_delay_s": lambda config: config.catalog.launch_delay_s,
    },
    by_window=False,
)


def run(overrides: Sequence[str]) -> Path:
    """Run the study; ``overrides`` change its configuration, and its sweep where they name it."""
    return run_study(STUDY, overrides)


if __name__ == "__main__":
    sys.exit(main(run, sys.argv[1:]))
