"""What does each policy do when the load jumps within a minute?

MArk's stress test with several surges, with functions and without, as
``conf/experiment/surge.yaml`` has it; writes ``results/surge``, from which ``paper_figs/surge.py``
draws the figure.

    python experiments/surge.py [KEY=VALUE ...]
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from study_tables import Study, main, run_study

STUDY = Study(
    "surge",
    {
        "surge": lambda config: 1.0 + config.workload.burst,
        "functions": lambda config: config.catalog.function_memory_mb is not None,
    },
)


def run(overrides: Sequence[str]) -> Path:
    """Run the study; ``overrides`` change its configuration, and its sweep where they name it."""
    return run_study(STUDY, overrides)


if __name__ == "__main__":
    sys.exit(main(run, sys.argv[1:]))
