"""The words for a name that does not exist: what was asked for, what is close, what there is."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches


def close_match(name: str, known: Iterable[str]) -> str:
    """Return `` (did you mean 'x'?)``, or nothing where no known name is close."""
    lowered = {candidate.lower(): candidate for candidate in known}
    matches = get_close_matches(name.lower(), sorted(lowered), n=1, cutoff=0.6)
    return f" (did you mean '{lowered[matches[0]]}'?)" if matches else ""


def unknown_name(what: str, name: str, known: Iterable[str]) -> str:
    """Return the one-line message for an unknown name."""
    names = list(known)
    listed = ", ".join(sorted(names)) or "none"
    return f"{what} '{name}' does not exist{close_match(name, names)}; there are: {listed}"
