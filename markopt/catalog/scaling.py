"""Profiles for platforms on which nobody measured: another platform's, by a named factor."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace

from markopt.catalog.terms import Catalog, ScalingRule, worst_confidence
from markopt.core import Profile


def with_scaled(profiles: Mapping[str, Profile], catalog: Catalog) -> dict[str, Profile]:
    """Return a service's profiles, with those that the catalogue's scaling rules add.

    A platform that has a profile keeps it. Of several rules the first one holds whose base has a
    profile that is not itself made by a rule. The new profile's source names base, factor and
    reason; it is known no better than its base or the rule, whichever is worse.
    """
    result = dict(profiles)
    for platform, rules in _rules(catalog):
        rule = next((rule for rule in rules if rule.scaled_from in profiles), None)
        if platform not in profiles and rule is not None:
            result[platform] = _scaled(profiles[rule.scaled_from], platform, rule)
    return result


def _rules(catalog: Catalog) -> Iterator[tuple[str, tuple[ScalingRule, ...]]]:
    for entry in catalog.instance_types:
        yield entry.name, entry.scaling
    for size in catalog.functions.sizes if catalog.functions else ():
        yield size.name, size.scaling


def _scaled(base: Profile, platform: str, rule: ScalingRule) -> Profile:
    return replace(
        base,
        platform=platform,
        service_times_s=tuple(rule.time_factor * time_s for time_s in base.service_times_s),
        source=f"{base.platform} x {rule.time_factor}: {rule.evidence.source} ({base.source})",
        confidence=worst_confidence(base.confidence, rule.evidence.confidence),
    )
