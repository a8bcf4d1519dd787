"""Does the saving hold from one request per second to a hundred thousand?

The same trace at mean rates that lie five powers of ten apart. Policies are tuned to one attainment
on the same hours of the day before, as ``conf/experiment/scale.yaml`` has it; writes
``results/scale``, from which ``paper_figs/scale.py`` draws the figure.

    python experiments/scale.py [KEY=VALUE ...]
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from study_tables import Study, main, run_study

STUDY = Study(
    "scale",
    {
        "scale": lambda config: config.workload.scale,
    },
    by_window=False,
)


def run(overrides: Sequence[str]) -> Path:
    """Run the study; ``overrides`` change its configuration, and its sweep where they name it."""
    return run_study(STUDY, overrides)


if __name__ == "__main__":
    sys.exit(main(run, sys.argv[1:]))
