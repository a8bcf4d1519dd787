"""An explanation as text: headings with sentences below them."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from typing import TYPE_CHECKING

from markopt.planning.explanation.explain import Explanation
from markopt.planning.explanation.words import usd

if TYPE_CHECKING:
    from rich.text import Text

Section = tuple[str, tuple[str, ...]]


def sections(explanation: Explanation) -> list[Section]:
    """Return headings with their sentences; those without any are left out."""
    named: list[tuple[str, Sequence[str]]] = [
        ("Why the SLO cannot be kept", _conflict(explanation)),
        ("What limits it, and what one unit more is worth", _limits(explanation)),
        ("The next best decisions, cheapest first", _alternatives(explanation)),
        ("If a spot pool vanishes", [f.sentence for f in explanation.of("pool")]),
        ("If the load or the SLO were another", _what_ifs(explanation)),
    ]
    lead: Section = (f"Now: {explanation.decision}", explanation.lead)
    return [lead, *((title, tuple(texts)) for title, texts in named if texts)]


def footnote(explanation: Explanation) -> str:
    """Return what the amounts are and how they were found."""
    gap = explanation.relative_gap
    how = "" if gap is None else f", to a gap of {100.0 * gap:g} %"
    text = (
        f"Amounts are per hour, requests in all, over the next "
        f"{explanation.look_ahead_s / 60.0:.3g} min; from {explanation.solves} re-solves with the "
        f"same planner{how}."
    )
    noise = explanation.noise_usd_per_h
    if noise > 0.0:
        text += (
            f" Differences up to {usd(noise)}/h cannot be told: the throughput that a fleet needs "
            "depends on its mix, and re-solves settle on different mixes."
        )
    return text


def explanation_text(explanation: Explanation, width: int = 100) -> Text:
    """Return the explanation for a Rich console of ``width`` columns."""
    from rich.text import Text

    text = Text()
    for title, sentences in sections(explanation):
        text.append(textwrap.fill(title, width) + "\n", style="bold")
        for sentence in sentences:
            lines = textwrap.fill(
                sentence, width, initial_indent="  - ", subsequent_indent="    ",
                break_long_words=False, break_on_hyphens=False,
            )  # fmt: skip
            text.append(lines + "\n")
        text.append("\n")
    text.append(textwrap.fill(footnote(explanation), width), style="dim")
    return text


def _conflict(explanation: Explanation) -> list[str]:
    if not explanation.conflict:
        return []
    if len(explanation.conflict) == 1:
        return [f"This alone is in the way: {explanation.conflict[0]}"]
    joined = "; ".join(explanation.conflict)
    return [f"These limits cannot all hold; without any one of them the rest could: {joined}"]


def _limits(explanation: Explanation) -> list[str]:
    texts = [finding.sentence for finding in explanation.of("limit")] or ["No limit binds"]
    if explanation.loose:
        texts.append(f"Not used up: {'; '.join(explanation.loose)}")
    return texts


def _alternatives(explanation: Explanation) -> list[str]:
    texts = [finding.sentence for finding in explanation.of("alternative")]
    if any("at most $" in text for text in texts):
        texts.append("At most: what is given up here stays so until the end of the look-ahead")
    return texts


def _what_ifs(explanation: Explanation) -> list[str]:
    slo = [finding.sentence for finding in explanation.of("slo")]
    if slo:
        slo.append(
            "Another SLO is here another budget of misses; the throughput that a rate needs stays "
            "as calibrated"
        )
    return [*(finding.sentence for finding in explanation.of("load")), *slo]
