"""Prices from AWS: on demand page by page from the Pricing API, spot from the price history."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import boto3
import numpy as np
import pytest
from botocore.stub import ANY, Stubber

from markopt.cloud.aws import RetrySettings
from markopt.cloud.aws.calls import Calls
from markopt.cloud.aws.prices import SpotPrices, at_list_prices, on_demand_usd_per_s
from tests.cloud.aws.worlds import ON_DEMAND, REGION, SPOT, client, open_backend

ZONES = ("us-east-1a", "us-east-1b")


def entry(usd: str, unit: str = "Hrs") -> str:
    """Return one entry of the price list, as the Pricing API gives it: JSON in a string."""
    dimension = {"unit": unit, "pricePerUnit": {"USD": usd}}
    term = {"priceDimensions": {"X.Y.Z": dimension}}
    return json.dumps({"product": {}, "terms": {"OnDemand": {"X.Y": term}}})


@pytest.fixture
def pricing() -> Iterator[tuple[Calls, Stubber]]:
    """Yield calls on the Pricing API's service model: moto does not have that API."""
    api = boto3.client("pricing", region_name=REGION)
    with Stubber(api) as stub:
        calls = Calls(lambda _: api, RetrySettings(attempts=1), np.random.default_rng(1))
        yield calls, stub
        stub.assert_no_pending_responses()


def asked(instance_type: str, **more: Any) -> dict[str, Any]:
    wanted = {
        "instanceType": instance_type,
        "regionCode": REGION,
        "operatingSystem": "Linux",
        "tenancy": "Shared",
        "preInstalledSw": "NA",
        "capacitystatus": "Used",
    }
    filters = [{"Type": "TERM_MATCH", "Field": k, "Value": v} for k, v in wanted.items()]
    return {"ServiceCode": "AmazonEC2", "FormatVersion": "aws_v1", "Filters": filters, **more}


def test_the_on_demand_price_is_found_on_whatever_page(pricing: tuple[Calls, Stubber]) -> None:
    calls, stub = pricing
    stub.add_response(
        "get_products", {"PriceList": [entry("0.0")], "NextToken": "n"}, asked("c5.large")
    )
    stub.add_response(
        "get_products", {"PriceList": [entry("0.085")]}, asked("c5.large", NextToken="n")
    )
    assert on_demand_usd_per_s(calls, "c5.large", REGION) == pytest.approx(0.085 / 3600)


@pytest.mark.parametrize("text", ["no JSON", "{}", entry("much"), entry("1.0", "Quantity")])
def test_an_entry_that_is_no_hourly_price_is_passed_over(
    pricing: tuple[Calls, Stubber], text: str
) -> None:
    calls, stub = pricing
    stub.add_response("get_products", {"PriceList": [text]}, asked("c5.large"))
    assert on_demand_usd_per_s(calls, "c5.large", REGION) is None


def test_offers_take_the_list_price_once_per_type(pricing: tuple[Calls, Stubber]) -> None:
    calls, stub = pricing
    stub.add_response("get_products", {"PriceList": [entry("7.2")]}, asked("c5.large"))
    stub.add_response("get_products", {"PriceList": [entry("14.4")]}, asked("c5.xlarge"))
    first, again, spot = at_list_prices(calls, (ON_DEMAND, ON_DEMAND, SPOT), REGION)
    assert first.price_usd_per_s == again.price_usd_per_s == pytest.approx(0.002)
    assert spot.price_usd_per_s == SPOT.price_usd_per_s
    assert spot.on_demand_usd_per_s == pytest.approx(0.004)
    assert spot.maximum_usd_per_s == SPOT.maximum_usd_per_s


def test_a_type_without_a_price_keeps_the_catalogues(pricing: tuple[Calls, Stubber]) -> None:
    calls, stub = pricing
    stub.add_response("get_products", {"PriceList": []}, asked("c5.large"))
    assert at_list_prices(calls, (ON_DEMAND,), REGION) == (ON_DEMAND,)


def price(zone: str, usd: str, hour: int) -> dict[str, Any]:
    return {
        "AvailabilityZone": zone,
        "InstanceType": SPOT.instance_type,
        "ProductDescription": "Linux/UNIX",
        "SpotPrice": usd,
        "Timestamp": datetime(2026, 1, 1, hour, tzinfo=UTC),
    }


def test_the_newest_spot_price_of_each_zone_counts() -> None:
    api = boto3.client("ec2", region_name=REGION)
    request = {"InstanceTypes": ["c5.xlarge"], "ProductDescriptions": ANY, "StartTime": ANY}
    pages = (
        {"SpotPriceHistory": [price("us-east-1a", "0.72", 1)], "NextToken": "n"},
        {
            "SpotPriceHistory": [
                price("us-east-1a", "1.44", 2),
                price("us-east-1b", "2.88", 1),
                price("us-east-1f", "9.99", 3),
            ]
        },
    )
    with Stubber(api) as stub:
        stub.add_response("describe_spot_price_history", pages[0], request)
        stub.add_response("describe_spot_price_history", pages[1], {**request, "NextToken": "n"})
        stub.add_client_error("describe_spot_price_history", "UnauthorizedOperation")
        calls = Calls(lambda _: api, RetrySettings(attempts=1), np.random.default_rng(1))
        prices = SpotPrices(calls, (ON_DEMAND, SPOT), ZONES, period_s=300.0)
        expected = {SPOT.name: pytest.approx((1.44 + 2.88) / 2 / 3600)}
        assert prices.now(0.0) == expected
        assert prices.now(299.0) == expected, "asked again too early"
        assert prices.now(300.0) == expected, "a refusal leaves prices as they were"
        stub.assert_no_pending_responses()


def test_the_market_price_of_moto_reaches_observation_and_bill(moto_url: str, name: str) -> None:
    history = client(moto_url, "ec2").describe_spot_price_history(InstanceTypes=["c5.xlarge"])
    usd_per_s = float(history["SpotPriceHistory"][0]["SpotPrice"]) / 3600.0
    backend = open_backend(moto_url, name, market_prices=True)
    assert backend.observe().spot_price_usd_per_s == {SPOT.name: pytest.approx(usd_per_s)}
