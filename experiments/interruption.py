"""What becomes of the SLO when spot instances are taken away, with and without standbys?

One to all spot instances of a steady fleet are given notice at once, two minutes ahead, with
replacements to be had or none, as ``conf/experiment/interruption.yaml`` has it; writes
``results/interruption``, from which ``paper_figs/interruption.py`` draws the figure.

    python experiments/interruption.py [KEY=VALUE ...]
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from study_tables import Study, main, run_study

if TYPE_CHECKING:
    from omegaconf import DictConfig


def taken(config: DictConfig) -> str:
    """Return what a case interrupts: shares and counts of each spot pool's instances."""
    parts = [
        f"{100.0 * one.share:g} %" if "share" in one else str(one.count)
        for one in config.cloud.market.interruptions
    ]
    return " + ".join(parts) or "none"


def outage(config: DictConfig) -> bool:
    """Return whether the pools give nothing after an interruption."""
    return any(one.get("outage_s") for one in config.cloud.market.interruptions)


STUDY = Study(
    "interruption",
    {
        "taken": taken,
        "outage": outage,
        "functions": lambda config: config.catalog.function_memory_mb is not None,
    },
)


def run(overrides: Sequence[str]) -> Path:
    """Run the study; ``overrides`` change its configuration, and its sweep where they name it."""
    return run_study(STUDY, overrides)


if __name__ == "__main__":
    sys.exit(main(run, sys.argv[1:]))
