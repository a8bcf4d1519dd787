"""Values that repeat as no process repeats them: silences, stuck values, copied stretches."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from markopt.workload.quality.finding import Bins, Finding

_RARE = 1e-6  # chance per trace that a clean process shows such a stretch
_BESIDE = 30
_AROUND = 60
_LONGEST = 10  # other silences that tell how long silences get
_SIMILAR = 3  # so many other silences half as long make one believable
_COPIED_BINS = 20
_LEAST_BITS = 60.0
_LARGEST_COPIED_SHARE = 0.4  # more than this is a periodic series, not a copy


def silences(bins: Bins) -> list[Finding]:
    """Return runs of zeros that the process around them would not bring forth.

    Two explanations must both fail, each at one in a million per trace. A Poisson process with the
    least of the mean rates on both sides stays silent for L seconds with exp(-rate L). And a
    service that idles: a zero follows a zero with the share that holds in the other runs, the
    longest of which tell the tail, and three other runs of half the length or more make any silence
    believable.
    """
    runs = bins.runs(bins.counts == 0.0)
    if not len(runs):
        return []
    lengths = runs[:, 1] - runs[:, 0]
    rising = np.sort(lengths)
    zeros = int(lengths.sum())
    found = []
    for first, last in runs.tolist():
        length = last - first
        similar = len(rising) - int(np.searchsorted(rising, 0.5 * length)) - 1
        if similar >= _SIMILAR:
            continue
        expected = _usual(bins, first, last) * float(bins.widths_s[first:last].sum())
        by_poisson = len(bins) * np.exp(-min(expected, 700.0))
        others, followed = zeros - length, zeros - length - (len(runs) - 1)
        stay = (followed + 1.0) / (others + 2.0)
        by_idling = max(len(runs) * stay ** (length - 1), _tail_chance(rising, length))
        if max(by_poisson, by_idling) < _RARE:
            found.append(
                bins.finding(
                    "silence",
                    first,
                    last,
                    f"{length} bins of 0 where {expected:.0f} requests "
                    "were expected: likely no data",
                )
            )
    return found


def stuck_values(bins: Bins) -> list[Finding]:
    """Return runs of one value, not 0, that are far longer than chance repeats values.

    Chance is the largest of: the value's share of the trace, the share of repeats in the trace and
    in the 60 bins on each side; a Poisson process must fail as well. Three other runs of half the
    length or more make any run believable (some callers are timers), as does half of the trace.
    """
    same = np.concatenate([[False], bins.counts[1:] == bins.counts[:-1]]) & bins.joined
    same &= bins.counts > 0.0
    runs = bins.runs(same)
    if not len(runs):
        return []
    poisson = 1.0 / (2.0 * np.sqrt(np.pi * np.maximum(bins.counts[runs[:, 0]], 1.0)))
    possible = len(bins) * poisson ** (runs[:, 1] - runs[:, 0]) < _RARE
    values, frequency = np.unique(bins.counts, return_counts=True)
    repeats, steps = int(same.sum()), max(int(bins.joined.sum()), 1)
    rising = np.sort(runs[:, 1] - runs[:, 0])
    before = np.concatenate([[0], np.cumsum(same)])
    found = []
    for first, last in runs[possible].tolist():
        length = last - first  # the run's first value is the bin before
        similar = len(rising) - int(np.searchsorted(rising, 0.5 * length)) - 1
        if similar >= _SIMILAR or 2 * length >= len(bins):
            continue
        share = float(frequency[np.searchsorted(values, bins.counts[first])] - length) / len(bins)
        repeated = (repeats - length + 1.0) / (steps - length + 2.0)
        from_bin, to_bin = max(first - _AROUND, 0), min(last + _AROUND, len(bins))
        near = float(before[to_bin] - before[from_bin] - length)
        regular = (near + 1.0) / (to_bin - from_bin - length + 2.0)
        chance = max(share, repeated, regular)
        if chance < 1.0 and len(bins) * chance**length < _RARE:
            found.append(
                bins.finding(
                    "stuck",
                    first - 1,
                    last,
                    f"{length + 1} bins of {bins.counts[first]:g} in a row",
                )
            )
    return found


def copies(bins: Bins) -> list[Finding]:
    """Return stretches that repeat an earlier one bin by bin.

    Twenty bins or more whose values hold 60 bits or more, by their frequency in the trace or after
    the value before them, whichever tells more: two clean stretches do not agree so. A series of
    which 40 % repeats is taken for a periodic one.
    """
    width = _COPIED_BINS
    if len(bins) < 2 * width:
        return []
    index, frequency = _ranked(bins.counts)
    share = np.maximum(frequency[index] / len(bins), _share_after(index, frequency))
    bits = np.concatenate([[0.0], np.cumsum(-np.log2(share))])
    rich = bits[width:] - bits[:-width] >= _LEAST_BITS
    order, first_at = _earlier(index.astype(np.uint64), rich, width)
    if not len(order) or len(order) > _LARGEST_COPIED_SHARE * max(int(rich.sum()), 1):
        return []
    found = []
    breaks = np.flatnonzero((np.diff(order) > 1) | (np.diff(order - first_at) != 0)) + 1
    for part in np.split(np.arange(len(order)), breaks):
        first, last = int(order[part[0]]), int(order[part[-1]]) + width
        source_s = float(bins.starts_s[first_at[part[0]]])
        found.append(
            bins.finding(
                "copy", first, last, f"{last - first} bins equal to those from {source_s:g} s"
            )
        )
    return found


def _tail_chance(rising: NDArray[np.int64], length: int) -> float:
    """Return how many silences so long the other ones promise, by an exponential tail."""
    others = rising[:-1] if length == rising[-1] else rising
    longest = others[-_LONGEST:]
    if len(longest) < _SIMILAR:
        return 0.0
    least = float(longest[0])
    excess = float(longest.mean()) - least + 1.0
    return len(longest) * float(np.exp(-max(length - least, 0.0) / excess))


def _share_after(index: NDArray[np.int64], frequency: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return how often each value follows the one before it, a copied pair not counted."""
    at, count = _ranked(index[:-1] * np.int64(len(frequency)) + index[1:])
    share = np.maximum(count[at] - 2.0, 0.0) / frequency[index[:-1]]
    return np.concatenate([[0.0], share])


def _earlier(
    values: NDArray[np.uint64], rich: NDArray[np.bool_], width: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return windows that equal an earlier one that they do not overlap, and where that starts."""
    digest = _digests(values, width)
    rising = np.sort(digest)
    twice = np.unique(rising[1:][rising[1:] == rising[:-1]])
    place = np.minimum(np.searchsorted(twice, digest), max(len(twice) - 1, 0))
    at = np.flatnonzero(twice[place] == digest) if len(twice) else np.zeros(0, dtype=np.int64)
    _, first, inverse = np.unique(digest[at], return_index=True, return_inverse=True)
    earlier = np.arange(len(digest))
    earlier[at] = at[first[inverse]]
    repeated = np.flatnonzero((np.arange(len(digest)) - earlier >= width) & rich)
    equal = [
        bool(np.array_equal(values[a : a + width], values[b : b + width]))
        for a, b in zip(repeated, earlier[repeated], strict=True)
    ]
    repeated = repeated[np.array(equal, dtype=np.bool_)] if len(repeated) else repeated
    return repeated, earlier[repeated]


def _digests(values: NDArray[np.uint64], width: int) -> NDArray[np.uint64]:
    """Return a digest of each window of ``width`` values, joined from ones half as long."""
    if width == 1:
        return values
    half = width // 2
    shorter = _digests(values, half)
    digest = _joined(shorter[: len(shorter) - half], shorter[half:])
    return digest if width % 2 == 0 else _joined(digest[:-1], values[width - 1 :])


def _joined(left: NDArray[np.uint64], right: NDArray[np.uint64]) -> NDArray[np.uint64]:
    digest = left * np.uint64(0x9E3779B97F4A7C15)
    digest ^= right + np.uint64(1)
    digest ^= digest >> np.uint64(29)
    digest *= np.uint64(0xBF58476D1CE4E5B9)
    digest ^= digest >> np.uint64(32)
    return digest


def _ranked(values: NDArray[Any]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return each value's rank among the distinct ones, and how often each of these occurs."""
    whole = values.astype(np.int64)
    top = int(whole.max(initial=0))
    if top < 4 * len(values) and np.array_equal(whole, values) and whole.min(initial=0) >= 0:
        count = np.bincount(whole, minlength=top + 1)  # without sorting them all
        rank = np.cumsum(count > 0) - 1
        return rank[whole], count[count > 0]
    _, index, frequency = np.unique(values, return_inverse=True, return_counts=True)
    return index, frequency


def _usual(bins: Bins, first: int, last: int) -> float:
    """Return the least of the mean rates beside a run; one side alone where there is no other."""
    beside = (
        bins.rates_rps[max(first - _BESIDE, 0) : first],
        bins.rates_rps[last : last + _BESIDE],
    )
    means = [float(side.mean()) for side in beside if len(side)]
    return min(means, default=0.0)
