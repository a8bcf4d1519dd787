"""HiGHS announces itself on standard output once per process, whatever its options say."""

from __future__ import annotations

import os
import sys
from functools import cache


@cache
def swallow_highs_banner() -> None:
    """Let HiGHS announce itself now, to nobody: standard output belongs to the command line.

    Its text comes from compiled code, so the file descriptor is put aside for that moment.
    """
    import highspy

    sys.stdout.flush()
    kept = os.dup(1)
    try:
        with open(os.devnull, "wb") as nowhere:  # noqa: PTH123 (a descriptor is needed)
            os.dup2(nowhere.fileno(), 1)
            highspy.Highs()
    finally:
        os.dup2(kept, 1)
        os.close(kept)
