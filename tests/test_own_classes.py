"""Classes of one's own, selected by their name."""

import pytest

from markopt.assembly import ConfigParts
from markopt.composition import compose, instantiate
from markopt.errors import ConfigError


class Mine:
    """A planner with an argument of the program's name, and one that the program has not."""

    def __init__(self, headroom=1.0, courage=0.5):
        self.headroom, self.courage = headroom, courage

    def plan(self, problem):
        raise NotImplementedError


class Open:
    def __init__(self, **settings):
        self.settings = settings


MINE = f"planner._target_={__name__}.Mine"


def test_settings_of_the_class_that_is_replaced_are_dropped():
    config = compose([MINE]).config.planner
    assert set(config) <= {"_target_", "headroom"}
    assert isinstance(instantiate(config, "planner"), Mine)


def test_settings_that_both_classes_have_and_those_that_are_given_stay():
    built = instantiate(
        compose([MINE, "planner.headroom=1.5", "+planner.courage=0.9"]).config.planner, "planner"
    )
    assert (built.headroom, built.courage) == (1.5, 0.9)


def test_a_given_setting_that_the_class_has_not_is_refused():
    config = compose([MINE, "planner.window=8"]).config.planner
    with pytest.raises(ConfigError, match=r"planner\.window: no such setting"):
        instantiate(config, "planner")
    config = compose([MINE, "planner.risk.measure=saa"]).config.planner
    with pytest.raises(ConfigError, match=r"planner\.risk: no such setting"):
        instantiate(config, "planner")


def test_a_class_that_takes_any_setting_gets_all():
    config = compose([f"planner._target_={__name__}.Open"]).config.planner
    assert set(config) == set(compose([]).config.planner)


def test_a_class_that_there_is_not_is_told_when_it_is_built():
    config = compose(["planner._target_=nowhere.Nothing"]).config.planner
    with pytest.raises(ConfigError, match=r"nowhere\.Nothing"):
        instantiate(config, "planner")


def test_a_forecaster_of_ones_own_needs_no_more_than_its_name():
    target = "markopt.forecasting.drift.Drift"
    parts = ConfigParts([f"forecaster._target_={target}"], planners=["greedy"])
    assert type(parts.forecaster()).__name__ == "Drift"
