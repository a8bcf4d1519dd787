"""Give memory that is free back to the operating system, where the C library would keep it."""

from __future__ import annotations

import ctypes


def release_free_memory() -> None:
    """Return what the C library holds as free: after a large solve more than an episode needs.

    Only glibc has a call for it; elsewhere nothing happens.
    """
    try:
        trim = ctypes.CDLL(None).malloc_trim
    except (AttributeError, OSError, TypeError):
        return
    trim(0)
