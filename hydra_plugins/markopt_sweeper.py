"""Hydra's basic sweeper without its check, which composes every job before the first one starts.

Hydra takes plug-ins from packages of this name alone, so this is no part of ``markopt``.
"""

from __future__ import annotations

from collections.abc import Sequence

from hydra._internal.core_plugins.basic_sweeper import BasicSweeper


class CheckedBeforeSweeper(BasicSweeper):
    """Lays out the jobs as Hydra's does; takes the same settings.

    ``markopt.launch.sweep`` composes a job of every kind before it hands a sweep to Hydra. Jobs
    that differ in plain values alone cannot fail where one of them has not.
    """

    def validate_batch_is_legal(self, batch: Sequence[Sequence[str]]) -> None:
        """Check nothing."""
