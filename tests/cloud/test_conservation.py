"""Whatever is done to a cloud, no request and no second is lost or counted twice.

``HYPOTHESIS_PROFILE=fuzz`` (and ``FUZZ_EXAMPLES``) runs the same property for long.
"""

from __future__ import annotations

from hypothesis import HealthCheck, given, settings

from tests.cloud.fuzz import CHECKS, Story, examples, play, stories


@settings(max_examples=examples(80), deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(stories)
def test_nothing_is_lost_or_counted_twice(story: Story) -> None:
    played = play(story)
    for check in CHECKS:
        check(played)
