"""The loss of an episode, split into the parts that cause it."""

from markopt.evaluation.attribution.rows import loss_rows, run_rows
from markopt.evaluation.attribution.series import (
    PARTS,
    Attribution,
    AttributionSettings,
    Loss,
    Rerun,
    attribute,
    recorded,
    with_attribution,
)
from markopt.evaluation.attribution.worlds import (
    PerfectibleClouds,
    Swap,
    World,
    changes,
    swapped,
    with_even_requests,
    with_required_factor,
    without_gap,
    without_interruptions,
    without_launch_delay,
)

__all__ = [
    "PARTS",
    "Attribution",
    "AttributionSettings",
    "Loss",
    "PerfectibleClouds",
    "Rerun",
    "Swap",
    "World",
    "attribute",
    "changes",
    "loss_rows",
    "recorded",
    "run_rows",
    "swapped",
    "with_attribution",
    "with_even_requests",
    "with_required_factor",
    "without_gap",
    "without_interruptions",
    "without_launch_delay",
]
