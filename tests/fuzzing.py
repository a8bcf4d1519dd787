"""How long the properties of the simulated cloud are tried: briefly in the suite, long in a fuzz.

``make fuzz`` sets ``HYPOTHESIS_PROFILE=fuzz``, and ``FUZZ_EXAMPLES`` says how many examples each
property gets then.
"""

from __future__ import annotations

import os

FUZZING = os.environ.get("HYPOTHESIS_PROFILE") == "fuzz"
FUZZ_EXAMPLES = int(os.environ.get("FUZZ_EXAMPLES", "2000"))


def examples(few: int) -> int:
    """How many examples a property runs: ``few``, or as many as the fuzz says."""
    return FUZZ_EXAMPLES if FUZZING else few
