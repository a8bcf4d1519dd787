"""From a composed configuration to the parts of a deployment."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from markopt.assembly import check_seed
from markopt.cloud.live import ExpectsPrices, LiveCloud
from markopt.composition import SECTIONS, compose, instantiate
from markopt.control import ControllerSettings
from markopt.core import FunctionOffer, Offer, RequiredThroughput, Service
from markopt.deployment.policy_file import compose_policy
from markopt.deployment.settings import DeploySettings, deploy_settings
from markopt.errors import ConfigError
from markopt.evaluation.progress import late_bar
from markopt.forecasting.protocol import Forecaster
from markopt.planning.protocol import Planner
from markopt.workload.protocol import Workload

if TYPE_CHECKING:
    from omegaconf import DictConfig


@dataclass(frozen=True, eq=False)
class Parts:
    """What a deployment consists of; the forecaster has not been fitted.

    ``time_limit_s`` is the planner's, None where it has none. ``config`` is complete.
    """

    deploy: DeploySettings
    controller: ControllerSettings
    cloud: LiveCloud
    service: Service
    offers: tuple[Offer, ...]
    function: FunctionOffer | None
    required_throughput: RequiredThroughput
    workload: Workload
    forecaster: Forecaster
    planner: Planner
    time_limit_s: float | None
    seed: int
    config: Mapping[str, Any]

    @property
    def replays_workload(self) -> bool:
        """True where the cloud plays the workload's requests itself."""
        return bool(getattr(self.cloud, "REPLAYS_WORKLOAD", False))

    @property
    def lives_here(self) -> bool:
        """True where the cloud ends with this process."""
        return bool(getattr(self.cloud, "LIVES_HERE", False))

    def config_text(self) -> str:
        """Return the configuration as JSON, equal for equal configurations."""
        return json.dumps(self.config, sort_keys=True, allow_nan=False)

    def loop_text(self) -> str:
        """Return what of the configuration the loop's course depends on: all but guard rails."""
        return loop_of(self.config_text())


def loop_of(config_text: str) -> str:
    """Return what of a configuration, as JSON, the loop's course depends on."""
    document = json.loads(config_text)
    document.get("controller", {}).pop("guards", None)
    return json.dumps(document, sort_keys=True)


def parts_of(overrides: Sequence[str] = (), config_file: Path | None = None) -> Parts:
    """Return the parts that overrides give, on top of a policy file where one is given.

    Raises:
        ConfigError: a key, an option or a value is wrong.
        MarkoptError: a file that the configuration names cannot be used.
    """
    if config_file is None:
        config = compose(overrides).config
    else:
        config = compose_policy(overrides, config_file).config
    return parts_from(config)


def parts_from(config: DictConfig) -> Parts:
    """Return the parts of a composed configuration.

    Raises:
        ConfigError: a value is wrong.
        MarkoptError: a file that the configuration names cannot be used.
    """
    from markopt import capacity, catalog
    from markopt.forecasting import Oracle

    deploy = deploy_settings(config.get("deploy"))
    controller = instantiate(config.controller, "controller")
    cloud = instantiate(config.cloud, "cloud")
    if not hasattr(cloud, "open"):
        raise ConfigError(f"cloud: {type(cloud).__name__} cannot be deployed to")
    service = instantiate(config.service, "service")
    workload = instantiate(config.workload, "workload").build()
    forecaster = instantiate(config.forecaster, "forecaster")
    if isinstance(forecaster, Oracle):
        raise ConfigError("forecaster: an oracle knows the future, which no deployment does")
    planner = instantiate(config.planner, "planner")
    selection = instantiate(config.catalog, "catalog")
    prices = catalog.load_catalog(selection.catalog)
    profiles = catalog.with_scaled(
        catalog.load_profiles(selection.profiles).of(service.name), prices
    )
    offers = capacity.build_offers(service, prices, profiles, selection)
    if isinstance(cloud, ExpectsPrices):
        offers = cloud.expected_offers(offers, start_s=workload.start_s)
    with late_bar("Calibrating capacities", len({o.instance_type for o in offers})) as bar:
        required = capacity.calibrate(offers, service.slo, progress=bar.over)
    return Parts(
        deploy=deploy,
        controller=controller,
        cloud=cloud,
        service=service,
        offers=offers,
        function=capacity.build_function(service, prices, profiles, selection),
        required_throughput=required,
        workload=workload,
        forecaster=forecaster,
        planner=planner,
        time_limit_s=_time_limit_s(config.planner),
        seed=check_seed(config.seed),
        config=_sections(config),
    )


def _sections(config: DictConfig) -> dict[str, Any]:
    from omegaconf import OmegaConf
    from omegaconf.errors import OmegaConfBaseException

    try:
        whole: Any = OmegaConf.to_container(config, resolve=True)
    except OmegaConfBaseException as error:
        raise ConfigError(f"configuration: {str(error).splitlines()[0]}") from None
    return {key: whole[key] for key in SECTIONS}


def _time_limit_s(planner: Any) -> float | None:
    """Return the shortest time limit of a planner's configuration and of the planners in it."""
    from omegaconf import DictConfig as Node

    found: list[float] = []
    node = planner
    while isinstance(node, Node):
        if node.get("time_limit_s") is not None:
            found.append(float(node.time_limit_s))
        node = node.get("planner")
    return min(found, default=None)
