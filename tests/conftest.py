"""Hypothesis profiles: ``make fuzz`` tries the properties of the simulated cloud for long."""

from __future__ import annotations

from hypothesis import HealthCheck, settings

from tests.fuzzing import FUZZ_EXAMPLES, FUZZING

settings.register_profile(
    "fuzz",
    max_examples=FUZZ_EXAMPLES,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
    print_blob=True,
)
settings.register_profile("suite", deadline=None)  # a busy machine is no fault
settings.load_profile("fuzz" if FUZZING else "suite")
