"""What a command has to do once its configuration is known, and what comes of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from omegaconf import DictConfig
    from rich.table import Table

    from markopt.composition import Composed


@dataclass(frozen=True, eq=False)
class Done:
    """A result: its folder, the tables to print, the same in one line, and warnings."""

    folder: Path
    tables: tuple[Table, ...]
    line: str
    warnings: tuple[str, ...] = ()


class Work(Protocol):
    """One result to make.

    ``base`` is the configuration as composed, ``config`` all of it that the figures follow from,
    ``options`` what else was asked for; ``stem`` is the name of its folder.
    """

    @property
    def base(self) -> DictConfig:
        """Return the configuration as composed."""
        ...

    @property
    def config(self) -> Mapping[str, Any]:
        """Return what the figures follow from."""
        ...

    @property
    def options(self) -> Mapping[str, Any]:
        """Return what changes no figure."""
        ...

    @property
    def stem(self) -> str:
        """Return the folder's name."""
        ...

    def do(self, parent: Path | None, suffix: str = "") -> Done:
        """Make the result, below ``parent`` or where ``output`` says.

        Raises:
            MarkoptError: a part is configured wrongly, or the load cannot be served.
        """
        ...


class Make(Protocol):
    """Turns overrides into work; composes them unless that is done."""

    def __call__(self, overrides: Sequence[str], composed: Composed | None = None, /) -> Work:
        """Return the work.

        Raises:
            MarkoptError: a key or an option does not exist, or a value is out of range.
        """
        ...
