"""How much less than SageMaker-style scaling does each policy cost, for every service?

MArk's macro-benchmark with all peers on three loads: the Twitter stream (a busy hour of its last
day; needs its file), Markov-modulated and plain Poisson arrivals. Policies are tuned to one
attainment on the same hour of the day before, or on another draw of it, as
``conf/experiment/macro.yaml`` has it; writes ``results/macro``, from which ``paper_figs/macro.py``
draws the figure.

    python experiments/macro.py [KEY=VALUE ...]
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from study_tables import Study, main, run_study

STUDY = Study(
    "macro",
    {"service": lambda config: config.service.name},
    {
        "twitter": ("workload=twitter", "workload.start_s=1202400", "workload.history_s=1202400"),
        "mmpp": ("workload=mmpp", "workload.history_s=259200"),
        "poisson": ("workload=poisson",),
    },
    by_window=False,
)


def run(overrides: Sequence[str]) -> Path:
    """Run the study; ``overrides`` change its configuration, and its sweep where they name it."""
    return run_study(STUDY, overrides)


if __name__ == "__main__":
    sys.exit(main(run, sys.argv[1:]))
