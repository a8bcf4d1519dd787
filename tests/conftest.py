"""Hypothesis profiles, for ``make fuzz`` too, and logs as a process has that has just begun."""

from __future__ import annotations

import logging

import pytest
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


@pytest.fixture(autouse=True)
def _logs_are_heard() -> None:
    """Undo what libraries do that configure logging for a process of their own.

    Hydra and mkdocs run within the tests' process, and switch off loggers that they do not know.
    """
    logging.disable(logging.NOTSET)
    for name, logger in logging.root.manager.loggerDict.items():
        if name.split(".")[0] == "markopt" and isinstance(logger, logging.Logger):
            logger.disabled, logger.propagate = False, True
