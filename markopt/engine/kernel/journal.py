"""Answers that were decided but not yet given, and may still be lost with their server.

A batch's answers are known when it is closed. Where a server may be taken at a time that is decided
later (``EngineSettings.revocable``), they are entered here and counted only once they are given.
"""

from __future__ import annotations

from markopt.engine.kernel.compiled import inlined
from markopt.engine.kernel.counts import count_answer, count_loss
from markopt.engine.state import Counter, Path

_JOURNAL = int(Counter.JOURNAL)
_INSTANCES = int(Path.INSTANCES)


@inlined
def enter_answer(s, slot, arrival_s, completion_s, index):
    """Enter an answer that ``slot`` is to give."""
    at = s.counters[_JOURNAL]
    s.counters[_JOURNAL] = at + 1
    s.journal_arrival_s[at] = arrival_s
    s.journal_answer_s[at] = completion_s
    s.journal_taken_s[at] = s.taken_s[slot]
    s.journal_index[at] = index
    s.journal_slot[at] = slot
    s.journal_life[at] = s.life[slot]


@inlined
def take_entries(s, slot, life, taken_s):
    """Let the server that had ``slot`` in its life ``life`` be taken by ``taken_s``."""
    for at in range(s.counters[_JOURNAL]):
        if s.journal_slot[at] == slot and s.journal_life[at] == life:
            s.journal_taken_s[at] = min(s.journal_taken_s[at], taken_s)


@inlined
def settle_journal(s, until_s):
    """Count what was answered or lost before ``until_s``; the rest moves up."""
    kept = 0
    for at in range(s.counters[_JOURNAL]):
        arrival_s = s.journal_arrival_s[at]
        answer_s = s.journal_answer_s[at]
        taken_s = s.journal_taken_s[at]
        if min(answer_s, taken_s) < until_s:
            if answer_s > taken_s:
                count_loss(s, arrival_s, taken_s, s.journal_index[at])
            else:
                count_answer(s, arrival_s, answer_s, _INSTANCES, s.journal_index[at])
        else:
            s.journal_arrival_s[kept] = arrival_s
            s.journal_answer_s[kept] = answer_s
            s.journal_taken_s[kept] = taken_s
            s.journal_index[kept] = s.journal_index[at]
            s.journal_slot[kept] = s.journal_slot[at]
            s.journal_life[kept] = s.journal_life[at]
            kept += 1
    s.counters[_JOURNAL] = kept
