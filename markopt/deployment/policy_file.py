"""A policy that ``compare`` exported, on the cloud and with the settings that overrides choose."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from markopt.composition import SECTIONS, Composed, compose, config_groups, parse
from markopt.errors import ConfigError

MERGED = ("controller",)
"""Sections whose missing keys are filled up, since policies of older versions lack them."""


def compose_policy(overrides: Sequence[str], path: Path) -> Composed:
    """Return the policy's configuration with overrides on top, choices of groups among them.

    What is chosen of a group (``cloud=aws``) takes the place of the policy's section; every other
    section is the policy's, and the loop's data plane follows the cloud's.

    Raises:
        ConfigError: the file is no configuration, or an override does not fit.
    """
    import yaml
    from omegaconf import OmegaConf

    compose([], path)  # what is wrong with the file comes first
    parsed = list(zip(overrides, parse(overrides), strict=True))
    groups = config_groups()
    chosen = {o.key_or_group: text for text, o in parsed if o.key_or_group in groups}
    single = [text for text, o in parsed if o.key_or_group not in groups]
    base = compose(list(chosen.values())).config
    document: dict[str, Any] = _plain(base)
    policy: dict[str, Any] = _plain(OmegaConf.load(path))
    for section in SECTIONS:
        if any(name.split("/", 1)[0] == section for name in chosen):
            continue
        filled = section in MERGED
        document[section] = {**document[section], **policy[section]} if filled else policy[section]
    if "cloud" in chosen:
        document["controller"]["data_plane"] = "${cloud.data_plane}"
    with tempfile.TemporaryDirectory() as folder:
        merged = Path(folder) / "policy.yaml"
        merged.write_text(yaml.safe_dump(document, sort_keys=False), encoding="utf-8")
        try:
            return compose(single, merged)
        except ConfigError as error:
            raise ConfigError(str(error).replace(str(merged), str(path))) from None


def _plain(config: Any) -> Any:
    from omegaconf import OmegaConf

    return OmegaConf.to_container(config, resolve=False)
