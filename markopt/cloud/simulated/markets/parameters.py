"""Fitted parameters of spot markets: the files of ``data/spot``."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import Any

import yaml

from markopt.errors import DataError
from markopt.resources import resolve_data_path


@lru_cache(maxsize=16)
def read_parameters(path: str | Path) -> dict[str, Any]:
    """Return a YAML file of parameters, found as given or below the shipped ``data/``.

    Raises:
        DataError: it cannot be read or holds no keys.
    """
    try:
        document = yaml.safe_load(resolve_data_path(path).read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        reason = " ".join(str(error).split())
        raise DataError(f"{path}: cannot be read as spot parameters: {reason}") from None
    if not isinstance(document, dict):
        raise DataError(f"{path}: expected keys and values, got {type(document).__name__}")
    return document
