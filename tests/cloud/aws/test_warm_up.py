"""Warm functions: provisioned by the service model, and MArk's calls over HTTP."""

from __future__ import annotations

from collections.abc import Iterator

import boto3
import numpy as np
import pytest
from botocore.stub import Stubber

from markopt.cloud.aws import RetrySettings, WarmUpSettings
from markopt.cloud.aws.calls import CallFailed, Calls
from markopt.cloud.aws.functions import Provisioned
from markopt.core import Actions
from markopt.errors import ConfigError
from tests.cloud.aws.proxy import Faults, Proxy, proxied
from tests.cloud.aws.worlds import REGION, client, open_backend

TARGET = {"FunctionName": "demo", "Qualifier": "live"}


@pytest.fixture
def provisioned() -> Iterator[tuple[Provisioned, Stubber]]:
    """Yield one on Lambda's service model: moto has no provisioned concurrency."""
    api = boto3.client("lambda", region_name=REGION)
    with Stubber(api) as stub:
        calls = Calls(lambda _: api, RetrySettings(attempts=1), np.random.default_rng(1))
        yield Provisioned(calls, function="demo", alias="live"), stub
        stub.assert_no_pending_responses()


def test_concurrency_is_provisioned_read_and_taken_away(
    provisioned: tuple[Provisioned, Stubber],
) -> None:
    warm_up, stub = provisioned
    stub.add_client_error(
        "get_provisioned_concurrency_config",
        "ProvisionedConcurrencyConfigNotFoundException",
        expected_params=TARGET,
    )
    stub.add_response(
        "put_provisioned_concurrency_config",
        {"RequestedProvisionedConcurrentExecutions": 7, "Status": "IN_PROGRESS"},
        {**TARGET, "ProvisionedConcurrentExecutions": 7},
    )
    stub.add_response(
        "get_provisioned_concurrency_config",
        {
            "RequestedProvisionedConcurrentExecutions": 7,
            "AvailableProvisionedConcurrentExecutions": 2,
            "Status": "IN_PROGRESS",
        },
        TARGET,
    )
    stub.add_response("delete_provisioned_concurrency_config", {}, TARGET)
    assert warm_up.count() == 0
    warm_up.keep(7)
    warm_up.tend(0.0)
    assert warm_up.count() == 7
    warm_up.keep(0)


def test_a_missing_function_is_an_error_and_not_zero(
    provisioned: tuple[Provisioned, Stubber],
) -> None:
    warm_up, stub = provisioned
    stub.add_client_error("get_provisioned_concurrency_config", "ResourceNotFoundException")
    with pytest.raises(CallFailed, match="GetProvisionedConcurrencyConfig"):
        warm_up.count()


def invocations(proxy: Proxy) -> int:
    return sum(call.operation.endswith("invocations") for call in proxy.calls)


def test_calls_warm_as_many_as_are_wanted_and_again_before_they_cool(
    moto_url: str, name: str
) -> None:
    with proxied(moto_url) as proxy:
        warm_up = WarmUpSettings(period_s=120.0)
        backend = open_backend(proxy.url, name, warm_up=warm_up, look_period_s=60.0)
        begin_s = backend.observe().time_s
        backend.apply(Actions("d1", warm_functions=5))
        assert backend.observe().warm_functions == 5
        backend.advance(begin_s + 60.0)
        assert invocations(proxy) == 5
        backend.advance(begin_s + 120.0)
        assert invocations(proxy) == 5
        backend.advance(begin_s + 180.0)
        assert invocations(proxy) == 10
        backend.apply(Actions("d2", warm_functions=6))
        backend.advance(begin_s + 240.0)
        assert invocations(proxy) == 16
        backend.apply(Actions("d3", warm_functions=0))
        backend.advance(begin_s + 600.0)
        assert invocations(proxy) == 16


def test_a_restart_knows_how_many_are_kept_warm(moto_url: str, name: str) -> None:
    open_backend(moto_url, name).apply(Actions("d1", warm_functions=4))
    again = open_backend(moto_url, name)
    assert again.observe().warm_functions == 4
    arn = client(moto_url, "lambda").get_function(FunctionName=name)["Configuration"]["FunctionArn"]
    assert client(moto_url, "lambda").list_tags(Resource=arn)["Tags"]["markopt:warm"] == "4"


def test_a_refused_warm_up_is_reported_and_asked_for_again(moto_url: str, name: str) -> None:
    with proxied(moto_url) as proxy:
        backend = open_backend(proxy.url, name)
        proxy.faults = Faults(failed=1.0)
        report = backend.apply(Actions("d1", warm_functions=3))
        assert len(report.refused) == 2, report.refused
        assert "warm functions 3" in report.refused[-1]
        assert backend.observe().warm_functions == 0
        proxy.faults = Faults()
        assert backend.apply(Actions("d2", warm_functions=3)).refused == ()
        assert backend.observe().warm_functions == 3


@pytest.mark.parametrize(
    "changes", [{"way": "hope"}, {"way": "provisioned", "alias": None}, {"period_s": 0.0}], ids=str
)
def test_settings_that_warm_nothing_are_refused(changes: dict[str, object]) -> None:
    with pytest.raises(ConfigError, match=r"cloud\.warm_up"):
        WarmUpSettings(**changes)  # type: ignore[arg-type]
