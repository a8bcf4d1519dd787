"""A cursor over what an epoch's journal holds, for a loop that goes through it again."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeVar, final

from markopt.control.journal.entries import Entry
from markopt.errors import DataError

E = TypeVar("E", bound=Entry)


class JournalDiverged(DataError):
    """The loop does not do again what the journal says that it did."""


@final
class Past:
    """Hands the entries out in their order; where they end, the present begins.

    The loop is a function of what it is told: observations, reports of actions, plans. Told the
    same again, it comes into the same state, whatever instruction it died at.
    """

    def __init__(self, entries: Iterable[Entry] = ()) -> None:
        self._entries = iter(entries)
        self._next: Entry | None = next(self._entries, None)
        self.count = 0

    @property
    def over(self) -> bool:
        """True where nothing more is recorded: what comes now happens."""
        return self._next is None

    def take(self, kind: type[E], time_s: float | None = None) -> E | None:
        """Return the next entry, None where the past is over.

        Raises:
            JournalDiverged: the next entry is of another kind, or (where one is given) another
                time.
        """
        found = self._next
        if found is None:
            return None
        if not isinstance(found, kind) or (
            time_s is not None and abs(found.time_s - time_s) > 1e-3
        ):
            raise JournalDiverged(
                f"Journal: entry {found.entry} is a {type(found).__name__} at {found.time_s} s, "
                f"the loop came to a {kind.__name__} at {time_s} s"
            )
        self._next = next(self._entries, None)
        self.count += 1
        return found
