"""The calls that actions would make, in words: what a dry run prints."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from markopt.cloud.aws.balancer import Balancer
from markopt.cloud.aws.functions import WarmUp
from markopt.cloud.aws.instances import InstanceCalls
from markopt.core import Actions, Offer


def describe(
    actions: Actions,
    *,
    offers: Mapping[str, Offer],
    instances: InstanceCalls,
    balancer: Balancer,
    warm_up: WarmUp,
    weighted: bool,
) -> Sequence[str]:
    """Return one line per call, in the order in which they would be made."""
    lines = []
    for name, count in actions.launch.items():
        if count > 0:
            lines.append(_launch(offers[name], count, actions.decision_id, instances))
    if actions.terminate:
        ids = ", ".join(actions.terminate)
        lines += [
            f"ec2:CreateTags markopt:leaving-s of {ids}",
            f"elasticloadbalancing:DeregisterTargets {ids}",
            f"ec2:TerminateInstances {ids}, once drained",
        ]
    if actions.warm_functions is not None:
        lines += warm_up.describe(actions.warm_functions)
    if actions.function_share is not None and weighted:
        weights = "/".join(str(g["Weight"]) for g in balancer.weights(actions.function_share))
        lines.append(f"elasticloadbalancing:ModifyListener weights {weights} (instances/functions)")
    return lines


def _launch(offer: Offer, count: int, decision_id: str, instances: InstanceCalls) -> str:
    request = instances.launch_request(offer, count, decision_id)
    if request is None:
        return f"no call for {count} x {offer.name}: no subnet in zone of {offer.pool}"
    spot = request.get("InstanceMarketOptions", {}).get("SpotOptions")
    price = "on demand"
    if spot is not None:
        price = f"spot at most {spot.get('MaxPrice', 'on-demand price')} USD/h"
    return (
        f"ec2:RunInstances {request['MinCount']}..{request['MaxCount']} x "
        f"{request['InstanceType']} {price} in {request['SubnetId']}, batch "
        f"{offer.batching.batch_size}, wait {offer.batching.wait_s:g} s, token "
        f"{request['ClientToken'][:12]}…"
    )
