"""What ``markopt profile URL`` does: measures a model server and writes its profile."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from urllib.parse import urlsplit

import typer

from markopt.errors import ConfigError, DataError


def launch_profile(
    url: str,
    *,
    service: str,
    platform: str,
    batch_sizes: str,
    wait_ms: float,
    repeats: int,
    load_requests: int,
    body: Sequence[Path],
    output: Path | None,
    seed: int,
) -> None:
    """Measure, print two tables, write the profile and say how to use it.

    Raises:
        ConfigError: a setting is out of range, or the URL is none.
        DataError: a body cannot be read.
        BackendError: the server does not answer.
    """
    from rich.console import Console

    from markopt.evaluation.profiling import ProfileSettings, measure
    from markopt.evaluation.profiling.files import batch_table, load_table, write_profile
    from markopt.evaluation.profiling.measurement import steps_of
    from markopt.evaluation.progress import late_bar

    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ConfigError(f"URL: expected http://HOST:PORT/PATH, got '{url}'")
    settings = ProfileSettings(
        batch_sizes=_sizes(batch_sizes),
        wait_s=wait_ms / 1000.0,
        repeats=repeats,
        load_requests=load_requests,
        seed=seed,
    )
    bodies = [_read(path) for path in body] or [b""]
    with late_bar("Measuring", steps_of(settings)) as bar:
        measured = measure(url, settings, bodies, bar.step)
    path = output if output is not None else Path(f"{service}.profile.yaml")
    write_profile(measured, service, platform, path)
    console = Console()
    console.print(batch_table(measured, f"{service} on {platform}: {url}"))
    console.print(load_table(measured))
    typer.echo(
        f"Profile: {path}\n"
        f"Use it: markopt run service.name={service} catalog.profiles={path} "
        f"catalog.instance_types=[{platform}]"
    )


def _sizes(text: str) -> tuple[int, ...]:
    try:
        return tuple(int(word) for word in text.split(","))
    except ValueError:
        raise ConfigError(f"--batch-sizes: expected numbers like 1,2,4, got '{text}'") from None


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise DataError(f"--body {path}: cannot be read: {error.strerror}") from None
