"""Launches on EC2: once per decision, with the offer's terms, and as much as capacity allows."""

from __future__ import annotations

import base64
from dataclasses import replace

import pytest

from markopt.core import Actions, InstanceState
from markopt.errors import ConfigError
from tests.cloud.aws.proxy import Faults, proxied
from tests.cloud.aws.worlds import (
    ON_DEMAND,
    SPOT,
    alive,
    client,
    instances,
    open_backend,
    tags_of,
)
from tests.cloud.worlds import offer

BURSTABLE = offer("t2.medium/burstable", baseline_share=0.4, credit_launch_s=60.0)
ZONAL = replace(ON_DEMAND, name="c5.large/on_demand/us-east-1c", pool="c5.large/us-east-1c")


def test_an_instance_carries_deployment_offer_and_decision(moto_url: str, name: str) -> None:
    backend = open_backend(moto_url, name)
    backend.apply(Actions("plan-1.000", launch={ON_DEMAND.name: 1}))
    (entry,) = alive(moto_url, name)
    tags = {k: v for k, v in tags_of(entry).items() if not k.startswith("aws:")}
    assert tags == {
        "markopt:deployment": name,
        "markopt:offer": ON_DEMAND.name,
        "markopt:decision": "plan-1.000",
        "markopt:launched-s": "3600.000",
        "Name": f"{name} {ON_DEMAND.name}",
    }
    assert entry["InstanceType"] == "c5.large"


def test_user_data_of_an_instance_has_the_offers_batch(moto_url: str, name: str) -> None:
    batched = offer("c5.large/on_demand", service_times_s=(0.01, 0.02, 0.03, 0.04))
    backend = open_backend(moto_url, name, offers=(batched,))
    (instance_id,) = backend.apply(Actions("d", launch={batched.name: 1})).launched[batched.name]
    ec2 = client(moto_url, "ec2")
    answer = ec2.describe_instance_attribute(InstanceId=instance_id, Attribute="userData")
    script = base64.b64decode(answer["UserData"]["Value"]).decode()
    assert "MARKOPT_BATCH_SIZE=4\n" in script


def test_spot_is_asked_for_with_its_maximum_price(moto_url: str, name: str) -> None:
    with proxied(moto_url) as proxy:
        backend = open_backend(proxy.url, name)
        backend.apply(Actions("d", launch={SPOT.name: 2}))
        (form,) = [call.form for call in proxy.calls if call.operation == "RunInstances"]
        options = "InstanceMarketOptions.SpotOptions"
        assert form["InstanceMarketOptions.MarketType"] == "spot"
        assert float(form[f"{options}.MaxPrice"]) == pytest.approx(0.0006 * 3600)
        assert form[f"{options}.SpotInstanceType"] == "one-time"
        assert form[f"{options}.InstanceInterruptionBehavior"] == "terminate"
        assert [entry["InstanceLifecycle"] for entry in alive(moto_url, name)] == ["spot"] * 2


def test_a_burstable_instance_does_not_borrow_credits(moto_url: str, name: str) -> None:
    with proxied(moto_url) as proxy:
        backend = open_backend(proxy.url, name, offers=(BURSTABLE,))
        backend.apply(Actions("d", launch={BURSTABLE.name: 1}))
        (form,) = [call.form for call in proxy.calls if call.operation == "RunInstances"]
        assert form["CreditSpecification.CpuCredits"] == "standard"
        assert "InstanceMarketOptions.MarketType" not in form


def test_an_offer_of_a_zone_starts_there_and_a_regional_one_in_several(
    moto_url: str, name: str
) -> None:
    backend = open_backend(moto_url, name, offers=(ON_DEMAND, ZONAL))
    for number in range(8):
        launch = {ZONAL.name: 1, ON_DEMAND.name: 1}
        assert backend.apply(Actions(f"d{number}", launch=launch)).refused == ()
    zones: dict[str, set[str]] = {}
    for entry in alive(moto_url, name):
        zone = entry["Placement"]["AvailabilityZone"]
        zones.setdefault(tags_of(entry)["markopt:offer"], set()).add(zone)
    assert zones[ZONAL.name] == {"us-east-1c"}
    assert len(zones[ON_DEMAND.name]) > 1


def test_a_zone_without_a_subnet_has_no_capacity(moto_url: str, name: str) -> None:
    nowhere = replace(ZONAL, name="c5.large/on_demand/us-east-1z", pool="c5.large/us-east-1z")
    backend = open_backend(moto_url, name, offers=(nowhere,))
    report = backend.apply(Actions("d", launch={nowhere.name: 1}))
    assert report.insufficient == (nowhere.name,)
    assert "us-east-1z" in report.refused[0]


def test_a_lost_answer_launches_once(moto_url: str, name: str) -> None:
    with proxied(moto_url) as proxy:
        backend = open_backend(proxy.url, name)
        lose = iter([True, True])

        def lose_twice(call: object) -> None:
            launching = getattr(call, "operation", "") == "RunInstances"
            proxy.faults.lost = float(launching and next(lose, False))

        proxy.before = lose_twice
        report = backend.apply(Actions("d", launch={ON_DEMAND.name: 3}))
        assert proxy.count("RunInstances") == 3
        assert len(report.launched[ON_DEMAND.name]) == 3
        assert report.refused == ()
        assert {e["InstanceId"] for e in alive(moto_url, name)} == {
            *report.launched[ON_DEMAND.name]
        }


@pytest.mark.parametrize("hidden_looks", [0, 4])
def test_a_decision_repeated_after_a_restart_launches_once(
    moto_url: str, name: str, hidden_looks: int
) -> None:
    """By the tags where they are listed, by the token where they are not yet."""
    with proxied(moto_url, Faults(hidden_looks=hidden_looks)) as proxy:
        actions = Actions("d", launch={ON_DEMAND.name: 2, SPOT.name: 1})
        first = open_backend(proxy.url, name).apply(actions)
        again = open_backend(proxy.url, name).apply(actions)
        assert {k: set(v) for k, v in again.launched.items()} == {
            k: set(v) for k, v in first.launched.items()
        }
        assert len(alive(moto_url, name)) == 3


def test_another_decision_of_the_same_size_launches_again(moto_url: str, name: str) -> None:
    with proxied(moto_url) as proxy:
        backend = open_backend(proxy.url, name)
        for decision in ("d1", "d2"):
            backend.apply(Actions(decision, launch={ON_DEMAND.name: 2}))
        assert len(alive(moto_url, name)) == 4


def test_a_decision_that_comes_back_with_other_counts_launches_nothing_more(
    moto_url: str, name: str
) -> None:
    """EC2 refuses a token with other arguments: one decision is one launch, whatever is asked."""
    with proxied(moto_url, Faults(hidden_looks=9)) as proxy:
        open_backend(proxy.url, name).apply(Actions("d", launch={ON_DEMAND.name: 2}))
        report = open_backend(proxy.url, name).apply(Actions("d", launch={ON_DEMAND.name: 3}))
        assert "IdempotentParameterMismatch" in report.refused[0]
        assert len(alive(moto_url, name)) == 2


def test_short_capacity_gives_what_there_is_and_names_the_offer(moto_url: str, name: str) -> None:
    with proxied(moto_url, Faults(capacity={"c5.large": 3, "c5.xlarge": 0})) as proxy:
        backend = open_backend(proxy.url, name, whole_launches=False)
        report = backend.apply(Actions("d", launch={ON_DEMAND.name: 5, SPOT.name: 2}))
        assert len(report.launched[ON_DEMAND.name]) == 3
        assert report.launched[SPOT.name] == ()
        assert report.insufficient == (ON_DEMAND.name, SPOT.name)
        assert "capacity for 3 of 5" in report.refused[0]
        assert "InsufficientInstanceCapacity" in report.refused[1]


def test_a_refusal_of_one_offer_leaves_the_others(moto_url: str, name: str) -> None:
    with proxied(moto_url, Faults(capacity={"c5.large": 0})) as proxy:
        backend = open_backend(proxy.url, name)
        report = backend.apply(Actions("d", launch={ON_DEMAND.name: 1, SPOT.name: 2}))
        assert len(report.launched[SPOT.name]) == 2
        assert report.insufficient == (ON_DEMAND.name,)


def test_what_another_deployment_runs_is_neither_seen_nor_ended(moto_url: str, name: str) -> None:
    other = open_backend(moto_url, f"{name}-other")
    theirs = other.apply(Actions("d", launch={ON_DEMAND.name: 1})).launched[ON_DEMAND.name]
    backend = open_backend(moto_url, name)
    assert backend.observe().instances == ()
    report = backend.apply(Actions("d", terminate=theirs))
    assert report.terminated == ()
    assert theirs[0] in report.refused[0]
    backend.close()
    assert [e["InstanceId"] for e in alive(moto_url, f"{name}-other")] == list(theirs)


def test_many_instances_are_listed_page_by_page(moto_url: str, name: str) -> None:
    open_backend(moto_url, name)
    for number in range(11):
        client(moto_url, "ec2").run_instances(
            ImageId="ami-00000000",
            InstanceType="c5.large",
            MinCount=1,
            MaxCount=1,
            TagSpecifications=[
                {
                    "ResourceType": "instance",
                    "Tags": [
                        {"Key": "markopt:deployment", "Value": name},
                        {"Key": "markopt:offer", "Value": ON_DEMAND.name},
                        {"Key": "markopt:launched-s", "Value": f"{number}.0"},
                    ],
                }
            ],
        )
    with proxied(moto_url, Faults(page=5)) as proxy:
        seen = open_backend(proxy.url, name).observe().instances
        assert proxy.count("DescribeInstances") == 2 * 3
    assert [one.age_s for one in seen] == [3600.0 - number for number in range(11)]


def test_an_instance_launched_by_hand_is_taken_over(moto_url: str, name: str) -> None:
    backend = open_backend(moto_url, name)
    tags = [
        {"Key": "markopt:deployment", "Value": name},
        {"Key": "markopt:offer", "Value": ON_DEMAND.name},
    ]
    client(moto_url, "ec2").run_instances(
        ImageId="ami-00000000",
        InstanceType="c5.large",
        MinCount=1,
        MaxCount=1,
        TagSpecifications=[{"ResourceType": "instance", "Tags": tags}],
    )
    backend.advance(3610.0)
    backend.advance(3620.0)
    (seen,) = backend.observe().instances
    assert (seen.offer, seen.state, seen.age_s) == (ON_DEMAND.name, InstanceState.READY, 10.0)
    (entry,) = instances(moto_url, name)
    assert tags_of(entry)["markopt:launched-s"] == "3610.000"


def test_a_decision_that_cannot_be_a_tag_is_refused_before_anything_happens(
    moto_url: str, name: str
) -> None:
    backend = open_backend(moto_url, name)
    with pytest.raises(ConfigError, match="decision_id"):
        backend.apply(Actions("d\n1", launch={ON_DEMAND.name: 1}))
    assert instances(moto_url, name) == []
