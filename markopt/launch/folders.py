"""Where the results of a command go."""

from __future__ import annotations

from pathlib import Path
from typing import Any

RESULTS = Path("results")


def result_folder(output: Any, parent: Path | None, stem: str) -> tuple[Path, bool]:
    """Return where results go, and whether a number may be appended to the name."""
    from markopt.evaluation.folder import require_free

    if parent is None and output is not None:
        target = Path(str(output))
        require_free(target)
        return target, False
    target = (RESULTS if parent is None else parent) / stem
    require_free(target.parent / f"{stem}.new")
    return target, True
