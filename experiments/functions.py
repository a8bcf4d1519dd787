"""What are functions worth, and does it matter how they are kept warm?

No functions, functions kept warm by calls, and provisioned concurrency. Policies are tuned to one
attainment on the same hours of the day before, as ``conf/experiment/functions.yaml`` has it; writes
``results/functions``, from which ``paper_figs/functions.py`` draws the figure.

    python experiments/functions.py [KEY=VALUE ...]
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from study_tables import Study, main, run_study

STUDY = Study(
    "functions",
    {"service": lambda config: config.service.name},
    {
        "none": ("catalog.function_memory_mb=null",),
        "kept warm by calls": (),
        "provisioned": ("catalog.warm_up=provisioned",),
    },
    by_window=False,
)


def run(overrides: Sequence[str]) -> Path:
    """Run the study; ``overrides`` change its configuration, and its sweep where they name it."""
    return run_study(STUDY, overrides)


if __name__ == "__main__":
    sys.exit(main(run, sys.argv[1:]))
