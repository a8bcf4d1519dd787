"""What is batching worth?

The best batch sizes, MArk's rule and none, on five services. Policies are tuned to one attainment
on the same hours of the day before, as ``conf/experiment/batching.yaml`` has it; writes
``results/batching``, from which ``paper_figs/batching.py`` draws the figure.

    python experiments/batching.py [KEY=VALUE ...]
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from study_tables import Study, main, run_study

STUDY = Study(
    "batching",
    {
        "service": lambda config: config.service.name,
        "batching": lambda config: config.catalog.batching,
    },
    by_window=False,
)


def run(overrides: Sequence[str]) -> Path:
    """Run the study; ``overrides`` change its configuration, and its sweep where they name it."""
    return run_study(STUDY, overrides)


if __name__ == "__main__":
    sys.exit(main(run, sys.argv[1:]))
