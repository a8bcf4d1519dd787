"""Whatever is done to a cloud, no request and no second is lost or counted twice.

``make fuzz`` runs the same properties for long.
"""

from __future__ import annotations

import numpy as np
from hypothesis import HealthCheck, given, settings

from tests.cloud.checks import CHECKS
from tests.cloud.stories import Story, play, stories
from tests.fuzzing import examples


@settings(max_examples=examples(80), deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(stories)
def test_nothing_is_lost_or_counted_twice(story: Story) -> None:
    played = play(story)
    for check in CHECKS:
        check(played)


@settings(max_examples=examples(20), deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(stories)
def test_the_same_story_ends_the_same_however_often_one_looks(story: Story) -> None:
    once, often = play(story), play(story, looks=3)
    np.testing.assert_array_equal(once.path, often.path)
    np.testing.assert_array_equal(once.response_s, often.response_s)
    assert once.lives == often.lives
    assert once.ledger == often.ledger
    assert once.reports == often.reports
    for check in CHECKS:
        check(often)
