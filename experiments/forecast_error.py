"""What does a forecast error of known size cost, and what admitting it saves?

Foresight but for a multiplicative error, whose spread the paths admit or hide. Policies are tuned
to one attainment on the same hours of the day before, as ``conf/experiment/forecast_error.yaml``
has it; writes ``results/forecast_error``, from which ``paper_figs/forecast_error.py`` draws the
figure.

    python experiments/forecast_error.py [KEY=VALUE ...]
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from study_tables import Study, main, run_study

STUDY = Study(
    "forecast_error",
    {
        "error": lambda config: config.forecaster.error,
        "admitted": lambda config: config.forecaster.admitted,
    },
    by_window=False,
)


def run(overrides: Sequence[str]) -> Path:
    """Run the study; ``overrides`` change its configuration, and its sweep where they name it."""
    return run_study(STUDY, overrides)


if __name__ == "__main__":
    sys.exit(main(run, sys.argv[1:]))
