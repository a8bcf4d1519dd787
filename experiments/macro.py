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

SCALE = {
    "inception_v3": 20,
    "inception_bn": 15,
    "nasnet": 1.5,
    "opennmt": 1,
    "lstm_ptb": 4,
    "resnet200": 15,
    "vgg16": 15,
    "caffenet": 15,
    "squeezenet": 15,
}
"""Times the loads' mean of about 64 requests/s: one to ten of a service's cheapest instances.

At MArk's own scales (1.8, 0.5, 3) a single instance carries most services all day, and every policy
holds exactly that one.
"""

STUDY = Study(
    "macro",
    {"service": lambda config: config.service.name},
    {
        "twitter": ("workload=twitter", "workload.start_s=1202400", "workload.history_s=1202400"),
        "mmpp": ("workload=mmpp", "workload.history_s=259200"),
        "poisson": ("workload=poisson",),
    },
    completed=lambda config: (f"workload.scale={SCALE[config.service.name]}",),
    by_window=False,
)


def run(overrides: Sequence[str]) -> Path:
    """Run the study; ``overrides`` change its configuration, and its sweep where they name it."""
    return run_study(STUDY, overrides)


if __name__ == "__main__":
    sys.exit(main(run, sys.argv[1:]))
