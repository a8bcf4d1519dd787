"""How much the engine's short search for a server costs against a search of all servers."""

from __future__ import annotations

from math import inf

import numpy as np
import pytest

from markopt.engine import EngineSettings, Path, ServerKind
from tests.engine.driver import run_engine
from tests.engine.reference import Change, RequestPath, Script, Server

STEEP = ServerKind(tuple(0.03 + 0.01 * b for b in range(1, 17)), wait_s=0.1, service_time_cv=0.1)
FLAT = ServerKind(tuple(0.04 + 0.004 * b for b in range(1, 9)), wait_s=0.04, service_time_cv=0.1)
SINGLE = ServerKind((0.05,), service_time_cv=0.1)


class FullSearch(RequestPath):
    """Offers each request to every server."""

    def _least_expected_delay(self) -> Server | None:
        best, best_s = None, inf
        for server in sorted(self.servers, key=lambda s: (s.next_start_s(), s.number)):
            answer_s = server.expected_answer_s()
            if answer_s < best_s and server.admits():
                best, best_s = server, answer_s
        return best


@pytest.mark.parametrize("load", [0.8, 0.95, 1.1])
@pytest.mark.parametrize(
    ("kinds", "counts", "rt_max_s"),
    [
        ((STEEP,), (10,), 0.3),
        # RT_max is too short for full batches here: the bouncer limits them.
        ((STEEP,), (10,), 0.22),
        ((SINGLE, FLAT), (20, 10), 0.2),
    ],
    ids=["steep", "steep and tight", "two kinds"],
)
def test_short_search_refuses_hardly_more_than_a_search_of_all_servers(
    kinds: tuple[ServerKind, ...], counts: tuple[int, ...], rt_max_s: float, load: float
) -> None:
    saturation_rps = sum(
        count * kind.batch_size / kind.service_times_s[-1]
        for kind, count in zip(kinds, counts, strict=True)
    )
    gaps_s = np.random.default_rng(1).standard_exponential(5000)
    starts = [Change(0.0, "add", kind) for kind, count in enumerate(counts) for _ in range(count)]
    script = Script(
        EngineSettings(rt_max_s, record_requests=True),
        kinds,
        None,
        1,
        tuple(starts),
        tuple((np.cumsum(gaps_s) / (load * saturation_rps)).tolist()),
    )
    _, short = run_engine(script)
    full = FullSearch(script).run()
    refused_share = np.mean(np.array(short.path) == Path.REFUSED)
    assert refused_share <= np.mean(np.array(full.path) == Path.REFUSED) + 0.015
    assert np.nanmean(short.response_s) <= 1.05 * np.nanmean(full.response_s)
