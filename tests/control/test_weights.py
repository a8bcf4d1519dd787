"""With fixed shares, functions get what the ready instances do not carry."""

import numpy as np
import pytest

from markopt.control.weights import FunctionShare
from markopt.core import (
    ActionReport,
    Actions,
    Forecast,
    InstanceState,
    InstanceStatus,
    Observation,
    RequiredThroughput,
    ThroughputCurve,
)
from tests.cloud.worlds import offer

OFFER = offer(service_times_s=(0.1,))  # saturates at 10 requests/s
CURVES = RequiredThroughput(
    {"c5.large": ThroughputCurve(np.array([0.0, 10.0]), np.array([0.0, 20.0]))}
)


def seen(ready: int, booting: int = 0) -> Observation:
    states = [InstanceState.READY] * ready + [InstanceState.BOOTING] * booting
    none = np.zeros(0, dtype=np.int64)
    return Observation(
        0.0,
        tuple(InstanceStatus(f"i-{at}", OFFER.name, s, 0.0) for at, s in enumerate(states)),
        5.0,
        none,
        none,
        none,
        none,
    )


def share_of(rates_rps: list[float], quantile: float = 0.5) -> FunctionShare:
    share = FunctionShare([OFFER], CURVES, quantile=quantile)
    paths = np.array(rates_rps)[:, None]
    share.expect(Forecast(0.0, 60.0, paths, np.full(len(rates_rps), 1.0 / len(rates_rps)), "mean"))
    return share


@pytest.mark.parametrize(("ready", "wanted"), [(0, 1.0), (2, 0.5), (3, 0.25), (4, 0.0), (9, 0.0)])
def test_the_share_is_what_ready_instances_do_not_carry(ready: int, wanted: float) -> None:
    # Q(D) = 2 D: two instances' 20 requests/s carry 10 of the 20 that are expected.
    assert share_of([20.0]).wanted(seen(ready)) == pytest.approx(wanted, abs=1e-3)


def test_booting_instances_carry_nothing() -> None:
    assert share_of([20.0]).wanted(seen(0, booting=9)) == 1.0


def test_the_rate_is_the_quantile_of_the_paths() -> None:
    rates = [10.0, 20.0, 40.0, 80.0]
    assert share_of(rates, 0.25).wanted(seen(2)) == pytest.approx(0.0, abs=1e-3)
    assert share_of(rates, 0.5).wanted(seen(2)) == pytest.approx(0.5, abs=1e-3)
    assert share_of(rates, 0.95).wanted(seen(2)) == pytest.approx(0.875, abs=1e-3)


def test_an_unchanged_share_is_not_set_again() -> None:
    share = share_of([20.0])
    assert share.change(seen(2)) == pytest.approx(0.5, abs=1e-3)
    assert share.change(seen(2)) is None
    assert share.change(seen(4)) == 0.0


def test_nothing_expected_goes_to_whoever_is_there() -> None:
    assert share_of([0.0]).wanted(seen(1)) == 0.0
    assert share_of([0.0]).wanted(seen(0)) == 1.0


def test_a_share_that_was_refused_is_set_again() -> None:
    share = share_of([20.0])
    wanted = share.change(seen(2))
    assert wanted is not None
    share.applied(Actions("a", function_share=wanted), ActionReport("a"))
    assert share.change(seen(2)) is None
    share.applied(Actions("b"), ActionReport("b", refused=("launch: no capacity",)))
    assert share.change(seen(2)) is None
    refused = ActionReport("c", refused=("guard kill_switch: nothing is changed",))
    share.applied(Actions("c", function_share=wanted), refused)
    assert share.change(seen(2)) == wanted
