"""Prices as AWS publishes them: on demand from the Pricing API, spot from its price history."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, final

from markopt.cloud.aws.calls import CallFailed, Calls
from markopt.core import Offer, PurchaseOption

_log = logging.getLogger(__name__)
_LINUX = ("Linux/UNIX", "Linux/UNIX (Amazon VPC)")


def on_demand_usd_per_s(calls: Calls, instance_type: str, region: str) -> float | None:
    """Return the on-demand price of a type for Linux, shared tenancy; None: it has none here.

    Raises:
        CallFailed: the Pricing API refuses or does not answer.
    """
    wanted = {
        "instanceType": instance_type,
        "regionCode": region,
        "operatingSystem": "Linux",
        "tenancy": "Shared",
        "preInstalledSw": "NA",
        "capacitystatus": "Used",
    }
    products = calls.pages(
        "pricing",
        "get_products",
        "PriceList",
        ServiceCode="AmazonEC2",
        FormatVersion="aws_v1",
        Filters=[
            {"Type": "TERM_MATCH", "Field": field, "Value": value}
            for field, value in wanted.items()
        ],
    )
    found = [usd for product in products if (usd := _hourly_usd(str(product))) is not None]
    return min(found) / 3600.0 if found else None


def _hourly_usd(product: str) -> float | None:
    """Return the hourly price in one entry of the price list."""
    try:
        terms: dict[str, Any] = json.loads(product)["terms"]["OnDemand"]
        for term in terms.values():
            for dimension in term["priceDimensions"].values():
                usd = float(dimension["pricePerUnit"]["USD"])
                if dimension["unit"] == "Hrs" and usd > 0.0:
                    return usd
    except (ValueError, KeyError, TypeError, AttributeError):
        _log.warning("an entry of the price list could not be read")
    return None


def at_list_prices(calls: Calls, offers: Iterable[Offer], region: str) -> tuple[Offer, ...]:
    """Return the offers at AWS's on-demand prices of today; those without one as they are.

    A spot offer keeps its price; what it may cost at most, where that follows from the on-demand
    price, moves with it.

    Raises:
        CallFailed: the Pricing API refuses or does not answer.
    """
    known: dict[str, float | None] = {}
    priced = []
    for offer in offers:
        name = offer.instance_type
        if name not in known:
            known[name] = on_demand_usd_per_s(calls, name, region)
        usd_per_s = known[name]
        if usd_per_s is None:
            _log.warning("%s: the Pricing API has no on-demand price, the catalogue's stays", name)
            priced.append(offer)
        elif offer.purchase is PurchaseOption.SPOT:
            priced.append(replace(offer, on_demand_usd_per_s=usd_per_s))
        else:
            priced.append(replace(offer, price_usd_per_s=usd_per_s, on_demand_usd_per_s=usd_per_s))
    return tuple(priced)


@final
class SpotPrices:
    """The spot price of the moment by offer, asked for at most every ``period_s``.

    A regional offer has the mean over the zones in which instances may start. A market that cannot
    be asked leaves the prices as they were.
    """

    def __init__(
        self, calls: Calls, offers: Iterable[Offer], zones: Sequence[str], *, period_s: float
    ) -> None:
        self._calls = calls
        self._offers = [o for o in offers if o.purchase is PurchaseOption.SPOT]
        self._zones = tuple(zones)
        self._period_s = period_s
        self._asked_s: float | None = None
        self._usd_per_s: dict[str, float] = {}

    def now(self, now_s: float) -> dict[str, float]:
        """Return the prices by offer, USD/s; offers without one are left out."""
        due = self._asked_s is None or now_s - self._asked_s >= self._period_s
        if self._offers and due:
            try:
                self._usd_per_s = self._ask()
                self._asked_s = now_s
            except CallFailed as error:
                _log.warning("spot prices stay as they were: %s", error)
        return dict(self._usd_per_s)

    def _ask(self) -> dict[str, float]:
        pages = self._calls.pages(
            "ec2",
            "describe_spot_price_history",
            "SpotPriceHistory",
            InstanceTypes=sorted({offer.instance_type for offer in self._offers}),
            ProductDescriptions=list(_LINUX),
            StartTime=datetime.now(UTC),  # from now on: the price that holds
        )
        newest: dict[tuple[str, str], tuple[datetime, float]] = {}
        for entry in pages:
            pool = (entry["InstanceType"], entry["AvailabilityZone"])
            moment, usd = entry["Timestamp"], float(entry["SpotPrice"]) / 3600.0
            if usd > 0.0 and (pool not in newest or newest[pool][0] < moment):
                newest[pool] = (moment, usd)
        prices = {}
        for offer in self._offers:
            own = offer.pool.rpartition("/")[2]
            zones = [own] if own in self._zones else self._zones
            pools = [(offer.instance_type, zone) for zone in zones]
            found = [newest[pool][1] for pool in pools if pool in newest]
            if found:
                prices[offer.name] = sum(found) / len(found)
        return prices
