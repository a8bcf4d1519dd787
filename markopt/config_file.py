"""A complete configuration in a file: as ``compare`` exports one, or an earlier run's summary."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml

from markopt.errors import ConfigError
from markopt.resources import shipped_folder

CONFIG_NAME = "config"
SUFFIXES = (".yaml", ".yml", ".json")
CONFIG, PROVENANCE = "config", "provenance"
"""The keys of a ``summary.json`` that hold what the run was."""


def read_config_file(path: Path, required: Sequence[str]) -> dict[str, Any]:
    """Return the configuration in a YAML file, or under ``config`` in a ``summary.json``.

    Raises:
        ConfigError: the file cannot be read, or lacks one of the ``required`` keys.
    """
    document = _read(path)
    if path.suffix == ".json":
        from markopt.evaluation.provenance import from_plain

        if not isinstance(document.get(CONFIG), dict):
            raise ConfigError(
                f"--config-file {path}: expected the summary.json of a run, with the key "
                f"'{CONFIG}', it is missing"
            )
        document = from_plain(document[CONFIG])
    missing = [key for key in required if key not in document]
    if missing:
        raise ConfigError(f"--config-file {path}: expected the key '{missing[0]}', it is missing")
    return document


def read_provenance(path: Path) -> dict[str, Any] | None:
    """Return what an earlier run's ``summary.json`` says it followed from, None for other files."""
    if path.suffix != ".json":
        return None
    found = _read(path).get(PROVENANCE)
    return found if isinstance(found, dict) else None


@contextmanager
def composable(
    path: Path | None, required: Sequence[str], optional: Sequence[str]
) -> Iterator[tuple[Path, str]]:
    """Yield folder and name of a configuration that Hydra can compose; None is the shipped one.

    ``optional`` keys that the file lacks have their shipped values.

    Raises:
        ConfigError: as ``read_config_file``.
    """
    if path is None:
        yield shipped_folder("conf"), CONFIG_NAME
        return
    document = read_config_file(path, required)
    text = (shipped_folder("conf") / f"{CONFIG_NAME}.yaml").read_text(encoding="utf-8")
    shipped = yaml.safe_load(text)
    rest = {key: shipped[key] for key in optional if key not in document and key in shipped}
    with tempfile.TemporaryDirectory() as folder:
        whole = yaml.safe_dump({**document, **rest}, sort_keys=False)
        (Path(folder) / f"{CONFIG_NAME}.yaml").write_text(whole, encoding="utf-8")
        yield Path(folder), CONFIG_NAME


def _read(path: Path) -> dict[str, Any]:
    if path.suffix not in SUFFIXES:
        raise ConfigError(
            f"--config-file {path}: expected a .yaml file or the summary.json of a run"
        )
    try:
        text = path.read_text(encoding="utf-8")
        document = json.loads(text) if path.suffix == ".json" else yaml.safe_load(text)
    except OSError as error:
        raise ConfigError(f"--config-file {path}: cannot be read, {error.strerror}") from None
    except (ValueError, yaml.YAMLError) as error:
        kind = "JSON" if path.suffix == ".json" else "YAML"
        reason = " ".join(str(error).split())
        raise ConfigError(f"--config-file {path}: expected {kind}, {reason}") from None
    return document if isinstance(document, dict) else {}
