"""The documentation site, built once for all workers of a test session."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from filelock import FileLock

from tests.docs.blocks import ROOT


def built(shared: Path) -> Path:
    """Return the site's folder below ``shared``, built strictly where it is not there yet."""
    folder = shared / "site"
    with FileLock(f"{folder}.lock"):
        if not (folder / "index.html").is_file():
            command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet"]
            done = subprocess.run(
                [*command, "--site-dir", str(folder)],
                cwd=ROOT,
                env={**os.environ, "NO_MKDOCS_2_WARNING": "1"},
                capture_output=True,
                text=True,
                check=False,
            )
            assert done.returncode == 0, done.stdout + done.stderr
    return folder
