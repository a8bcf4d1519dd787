"""Files and folders that the workload tests share."""

import gzip
import os
from collections.abc import Callable
from pathlib import Path

import pytest


@pytest.fixture
def write_trace(tmp_path: Path) -> Callable[..., str]:
    """Return a function that writes text (gzipped for a name in .gz) and gives its path."""

    def write(text: str, name: str = "trace.csv") -> str:
        path = tmp_path / name
        raw = text.encode()
        path.write_bytes(gzip.compress(raw) if name.endswith(".gz") else raw)
        return str(path)

    return write


@pytest.fixture(scope="session")
def real_traces() -> Path:
    """Return the folder of real traces, or skip."""
    root = Path(__file__).resolve().parents[2]
    folder = Path(os.environ.get("MARKOPT_DATA", str(root.parent / "shared" / "data"))) / "traces"
    if not folder.is_dir():
        pytest.skip("needs the real traces: set MARKOPT_DATA, or keep them in ../shared/data")
    return folder
