"""Where a result comes from: configuration, data and code by hash, and the machine."""

from __future__ import annotations

import hashlib
import importlib.util
import json
import math
import os
import platform
from collections.abc import Iterator, Mapping
from functools import cache, lru_cache
from importlib import metadata
from pathlib import Path
from typing import Any

from markopt import __version__
from markopt.resources import resolve_data_path

FILE_KEYS = ("path", "catalog", "profiles", "model")
"""The settings that name a data file or a folder of them."""

UNNAMED_FILES = ("spot/on_demand.yaml",)
"""Shipped data that a component may read without a setting that names it."""

FINGERPRINT = "fingerprint"
LIBRARIES = ("highspy", "numba", "numpy", "scipy", "torch")
_NOT_FINITE = {".inf": math.inf, "-.inf": -math.inf, ".nan": math.nan}
_PACKAGE = Path(__file__).resolve().parent.parent
_BLOCK_BYTES = 1 << 20


def provenance(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return version and hashes of what a result follows from; equal ones have equal results.

    ``files`` has the content's SHA-256 of every data file that the configuration names (a folder
    counts as all its files), ``code_sha256`` that of the package's sources and of the modules that
    a ``_target_`` outside the package comes from. ``fingerprint`` is of all the others together.
    """
    files = {name: _content_sha256(path) for name, path in sorted(data_files(config).items())}
    found = {
        "version": __version__,
        "code_sha256": _joined([code_sha256(), *_foreign_code(config)]),
        "config_sha256": _text_sha256(_canonical(config)),
        "data_sha256": _joined([f"{name}={digest}" for name, digest in files.items()]),
    }
    return {FINGERPRINT: _joined([*found.values()]), **found, "files": files}


def changes(earlier: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """Return one line per way in which two results come from different code or data."""
    lines = []
    if earlier.get("version") != now["version"]:
        lines.append(f"version {earlier.get('version')} then, {now['version']} now")
    elif earlier.get("code_sha256") != now["code_sha256"]:
        lines.append(f"version {now['version']} both times, but its code differs")
    then, today = dict(earlier.get("files") or {}), dict(now["files"])
    differing = [name for name in sorted({*then, *today}) if then.get(name) != today.get(name)]
    return [*lines, *(f"data {name}: the content differs" for name in differing)]


def machine() -> dict[str, Any]:
    """Return the machine and the libraries that numbers may hang on; no name, no address."""
    return {
        "system": f"{platform.system()} {platform.machine()}",
        "processor": _processor(),
        "cores": os.cpu_count(),
        "memory_gb": _memory_gb(),
        "python": platform.python_version(),
        "libraries": {name: _library(name) for name in LIBRARIES},
    }


def data_files(config: Mapping[str, Any]) -> dict[str, Path]:
    """Return the data files and folders that a configuration names, by the name it has there."""
    found = {}
    for key, value in _strings(config):
        if key in FILE_KEYS and (path := resolve_data_path(value)).exists():
            found[value] = path
    unnamed = {name: resolve_data_path(name) for name in UNNAMED_FILES}
    return {**found, **{name: path for name, path in unnamed.items() if path.exists()}}


def plain(value: Any) -> Any:
    """Return a configuration as JSON can hold it: no infinite numbers, tuples as lists."""
    if isinstance(value, Mapping):
        return {str(key): plain(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [plain(inner) for inner in value]
    if isinstance(value, float) and not math.isfinite(value):
        return ".nan" if math.isnan(value) else (".inf" if value > 0 else "-.inf")
    return value


def from_plain(value: Any) -> Any:
    """Return the configuration that ``plain`` was given."""
    if isinstance(value, Mapping):
        return {key: from_plain(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [from_plain(inner) for inner in value]
    return _NOT_FINITE.get(value, value) if isinstance(value, str) else value


@cache
def code_sha256() -> str:
    """Return the hash of the package's Python sources, names included."""
    digest = hashlib.sha256()
    for path in sorted(_PACKAGE.rglob("*.py")):
        digest.update(f"{path.relative_to(_PACKAGE).as_posix()}\0".encode())
        digest.update(path.read_bytes())
    return digest.hexdigest()


def _strings(node: Any, key: str = "") -> Iterator[tuple[str, str]]:
    """Yield every string in a configuration with the key that it stands under."""
    if isinstance(node, Mapping):
        for name, inner in node.items():
            yield from _strings(inner, str(name))
    elif isinstance(node, list | tuple):
        for inner in node:
            yield from _strings(inner, key)
    elif isinstance(node, str):
        yield key, node


def _foreign_code(config: Mapping[str, Any]) -> list[str]:
    """Return name and hash of each module outside the package that a ``_target_`` names."""
    targets = {text for key, text in _strings(config) if key == "_target_"}
    modules = {text.rpartition(".")[0] for text in targets}
    found = []
    for name in sorted(modules - {""}):
        if name.partition(".")[0] == "markopt":
            continue
        try:
            spec = importlib.util.find_spec(name)
        except (ImportError, ValueError):
            continue  # building it will tell what is wrong
        if spec is not None and spec.origin is not None and Path(spec.origin).is_file():
            found.append(f"{name}={_content_sha256(Path(spec.origin))}")
    return found


def _content_sha256(path: Path) -> str:
    if path.is_dir():
        inner = sorted(child for child in path.rglob("*") if child.is_file())
        return _joined(
            [f"{child.relative_to(path).as_posix()}={_content_sha256(child)}" for child in inner]
        )
    status = path.stat()
    return _file_sha256(path.resolve(), status.st_mtime_ns, status.st_size)


@lru_cache(maxsize=256)
def _file_sha256(path: Path, mtime_ns: int, size: int) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(_BLOCK_BYTES):
            digest.update(block)
    return digest.hexdigest()


def _canonical(config: Mapping[str, Any]) -> str:
    return json.dumps(plain(config), sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def _text_sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _joined(parts: list[str]) -> str:
    return _text_sha256("\n".join(parts))


def _processor() -> str:
    """Return the processor's name; ``platform`` has none on Linux."""
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def _memory_gb() -> float | None:
    try:
        return round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9, 1)
    except (AttributeError, OSError, ValueError):
        return None


def _library(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None
