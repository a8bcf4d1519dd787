"""Where the published measurements lie, and small documents that are right."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

Write = Callable[[dict[str, Any]], Path]


@pytest.fixture(scope="session")
def shared_data() -> Path:
    beside = Path(__file__).resolve().parents[2].parent / "shared" / "data"
    folder = Path(os.environ.get("MARKOPT_DATA") or beside)
    if not (folder / "profiles").is_dir():
        pytest.skip("the published measurements are absent: MARKOPT_DATA does not name them")
    return folder


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def _write(document: dict[str, Any]) -> Path:
        path = tmp_path / "written.yaml"
        path.write_text(yaml.safe_dump(document, sort_keys=False), encoding="utf-8")
        return path

    return _write


@pytest.fixture
def catalog_document() -> dict[str, Any]:
    sourced = {"source": "made up", "confidence": "assumed"}
    return {
        "name": "small",
        "region": "nowhere-1",
        "as_of": "2019",
        "billing": {"minimum_billed_s": 60, "spot_notice_s": 120, **sourced},
        "launch": {"delay_s": 100, **sourced},
        "stopped_start": {"delay_s": 40, **sourced},
        "instance_types": {
            "c5.large": {
                "vcpus": 2,
                "memory_gb": 4,
                "on_demand_usd_per_h": 0.085,
                "spot": {"usd_per_h": 0.04, "interruption_share_per_month": 0.5, **sourced},
                **sourced,
            },
            "t2.medium": {
                "vcpus": 2,
                "memory_gb": 4,
                "on_demand_usd_per_h": 0.0464,
                "burst": {"baseline_vcpus": 0.4, **sourced},
                **sourced,
            },
        },
        "functions": {
            "price": {
                "usd_per_gb_s": 1.6e-5,
                "usd_per_invocation": 2e-7,
                "billing_step_s": 0.1,
                **sourced,
            },
            "warm": {"usd_per_gb_s": 4e-6, "use_usd_per_gb_s": 1e-5, **sourced},
            "concurrency": {"limit": 1000, **sourced},
            "memory": {"max_mb": 3008, **sourced},
            "idle": {"timeout_s": 600, **sourced},
            "sizes": [
                {"memory_mb": 1024, "cold_start_s": 4.0, **sourced},
                {"memory_mb": 3008, "cold_start_s": 2.5, **sourced},
            ],
        },
    }


@pytest.fixture
def profile_document() -> dict[str, Any]:
    sourced = {"source": "bench", "confidence": "measured"}
    return {
        "service": "tiny",
        "framework": "none",
        "sources": {"bench": "A bench.", "guess": "A guess."},
        "dispersion": {"service_time_cv": 0.02, "source": "guess", "confidence": "assumed"},
        "entries": {
            "c5.large": {"batch_sizes": [1, 2, 4], "service_times_ms": [10, 30, 20], **sourced},
            "p2.xlarge": {
                "batch_sizes": [8],
                "capacity_per_min": [960],
                "service_time_cv": 0.1,
                **sourced,
            },
            "t2.medium": {
                "scaled_from": "c5.large",
                "time_factor": 1.5,
                "source": "guess",
                "confidence": "assumed",
            },
        },
    }
