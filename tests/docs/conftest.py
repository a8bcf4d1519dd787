"""The documentation site."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.docs.site import built


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Path:
    """Return the folder of the built site."""
    root = tmp_path_factory.getbasetemp()
    return built(root if worker_id == "master" else root.parent)
