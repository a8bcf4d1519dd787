"""What are spot instances worth, and which maximum price?

On demand alone, spot by type and by zone, prices that move against maximum prices. Policies are
tuned to one attainment on the same hours of the day before, as ``conf/experiment/spot.yaml`` has
it; writes ``results/spot``, from which ``paper_figs/spot.py`` draws the figure.

    python experiments/spot.py [KEY=VALUE ...]
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from study_tables import Study, main, run_study

STUDY = Study(
    "spot",
    {},
    {
        "on demand": ("catalog.purchase=[on_demand]",),
        "spot": (),
        "spot by zone": ("catalog.spot_per_zone=true",),
        "moving prices, max 1.0": (
            "cloud/market=generated_prices",
            "catalog.spot_max_price=1.0",
        ),
        "moving prices, max 0.5": (
            "cloud/market=generated_prices",
            "catalog.spot_max_price=0.5",
        ),
        "moving prices, max 0.35": (
            "cloud/market=generated_prices",
            "catalog.spot_max_price=0.35",
        ),
        "moving prices, choice": (
            "cloud/market=generated_prices",
            "catalog.spot_max_price=[0.35,0.5,1.0]",
        ),
    },
    by_window=False,
)


def run(overrides: Sequence[str]) -> Path:
    """Run the study; ``overrides`` change its configuration, and its sweep where they name it."""
    return run_study(STUDY, overrides)


if __name__ == "__main__":
    sys.exit(main(run, sys.argv[1:]))
