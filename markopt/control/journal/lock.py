"""One process per journal: a lock that the operating system takes back when its holder dies."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path
from typing import IO, final

from markopt.errors import ConfigError


@final
class ProcessLock:
    """An exclusive lock on a file beside the journal.

    It is the open file that is locked, so a killed holder leaves nothing to clean up. (On network
    file systems that do not know ``flock`` two hosts can both hold it.)

    Raises:
        ConfigError: another process holds it; the text names it.
    """

    def __init__(self, path: Path, what: str) -> None:
        try:
            self._file: IO[str] = path.open("a+", encoding="utf-8")
        except OSError as error:
            raise ConfigError(f"{what}: '{path}' must be writable, {error.strerror}") from None
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            self._file.seek(0)
            holder = self._file.read(32).strip()
            self._file.close()
            by = f" {holder}" if holder.isdigit() else ""
            raise ConfigError(f"{what}: is driven by process{by} already; stop it first") from None
        self._file.truncate(0)
        self._file.write(f"{os.getpid()}\n")
        self._file.flush()

    def release(self) -> None:
        """Let others have it."""
        self._file.close()
