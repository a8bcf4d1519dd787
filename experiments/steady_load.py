"""What latency and attainment does each policy hold under constant load?

Compares the policies of ``conf/experiment/steady_load.yaml`` for each of its services and writes
``results/steady_load``, from which ``paper_figs/steady_load.py`` draws the figure.

    python experiments/steady_load.py [KEY=VALUE ...]
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from study_tables import Study, main, run_study

STUDY = Study("steady_load", {"service": lambda config: config.service.name})


def run(overrides: Sequence[str]) -> Path:
    """Run the study; ``overrides`` change its configuration, and its sweep where they name it."""
    return run_study(STUDY, overrides)


if __name__ == "__main__":
    sys.exit(main(run, sys.argv[1:]))
