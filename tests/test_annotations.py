"""Whether values of a configuration are of the kind that constructors ask for."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from markopt.annotations import fits, kind_of
from markopt.core import Slo


@pytest.mark.parametrize(
    ("value", "hint"),
    [
        (1, int),
        (1, float),
        (0.5, float),
        (True, bool),
        ("a", str),
        (7, str),
        (None, int | None),
        (3, int | None),
        ([1, 2.5], Sequence[float]),
        ([1, 2], tuple[int, ...]),
        ([1, "a"], tuple[int, str]),
        ([], Sequence[str]),
        ({"a": 1}, Mapping[str, int]),
        ({"_target_": "x"}, Slo),
        ("best", Literal["best", "mark"]),
        (object(), Any),
    ],
)
def test_values_of_the_right_kind_fit(value, hint):
    assert fits(value, hint)


@pytest.mark.parametrize(
    ("value", "hint", "words"),
    [
        (1.5, int, "a whole number"),
        (True, int, "a whole number"),
        (False, float, "a number"),
        ("abc", float, "a number"),
        (1, bool, "true or false"),
        (None, str, "a name"),
        ("x", int | None, "a whole number or null"),
        ("c5.large", Sequence[str], "a list of names"),
        ([1, "x"], Sequence[float], "a list of numbers"),
        ([1], Mapping[str, int], "keys and values"),
        (None, Slo, "a Slo"),
    ],
)
def test_values_of_another_kind_do_not_and_words_say_what_does(value, hint, words):
    assert not fits(value, hint)
    assert kind_of(hint) == words


@given(st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text()))
def test_a_union_fits_what_one_of_its_members_fits(value):
    members = (int, float, bool, None)
    assert fits(value, int | float | bool | None) == any(
        fits(value, type(None) if member is None else member) for member in members
    )
