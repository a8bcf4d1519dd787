"""From which price on are functions no longer worth their quickness?

Functions cost 1 to 20 times the cheapest instance's price per request. Policies are tuned to one
attainment on the same hours of the day before, as ``conf/experiment/price_ratio.yaml`` has it;
writes ``results/price_ratio``, from which ``paper_figs/price_ratio.py`` draws the figure.

    python experiments/price_ratio.py [KEY=VALUE ...]
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from study_tables import Study, main, run_study

STUDY = Study(
    "price_ratio",
    {
        "price_ratio": lambda config: config.catalog.function_price_ratio,
    },
    by_window=False,
)


def run(overrides: Sequence[str]) -> Path:
    """Run the study; ``overrides`` change its configuration, and its sweep where they name it."""
    return run_study(STUDY, overrides)


if __name__ == "__main__":
    sys.exit(main(run, sys.argv[1:]))
