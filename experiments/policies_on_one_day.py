"""Which policy serves one day at what cost and service level?

Runs the comparison of ``conf/experiment/policies_on_one_day.yaml``, prints its table and writes
``results/policies_on_one_day``, from which ``paper_figs/policies_on_one_day.py`` draws the figure.

    python experiments/policies_on_one_day.py [KEY=VALUE ...]
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

from markopt.cli import main

NAME = "policies_on_one_day"


def run(overrides: Sequence[str]) -> int:
    """Run the study; ``overrides`` change it, as on the command line of ``markopt compare``."""
    defaults = [f"experiment={NAME}", f"output=results/{NAME}"]
    given = {override.split("=", 1)[0] for override in overrides}
    kept = [default for default in defaults if default.split("=", 1)[0] not in given]
    return main(["compare", *kept, *overrides])


if __name__ == "__main__":
    sys.exit(run(sys.argv[1:]))
