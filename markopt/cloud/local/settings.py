"""Settings of the local cloud, and what its host is told."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import math
import os
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, final

from markopt.cloud.clock import WallClock
from markopt.cloud.live import Deployment
from markopt.errors import ConfigError

if TYPE_CHECKING:
    from markopt.cloud.local.backend import LocalBackend
    from markopt.core import FunctionOffer, Offer

_LONGEST_SOCKET_PATH = 90
"""Unix sockets have paths of at most 107 bytes; their names need some of it."""


@final
@dataclass(frozen=True)
class LocalCloud:
    """The live back end on this machine: real processes, HAProxy, requests over HTTP.

    Args:
        server: what an instance is: ``stand_in`` holds each batch for its profiled time, so that
            dozens fit on two cores; ``model`` is a real model server (mosec) with a real model, at
            most one per core.
        data_plane: ``bouncer``: what finds every server full goes to functions; ``weighted``:
            functions get a fixed share, and what finds every server full is refused.
        bouncer: ``queue_length``: servers may hold so many unanswered requests; ``none``: any
            number.
        bouncer_queue_length: how many ``queue_length`` allows per server; None: as many full
            batches as take ``RT_max``.
        bin_s: width of the bins that an observer sees.
        launch_cv: coefficient of variation of launch delays, around the offer's.
        spot_notice_s: time between the notice of an interruption and the interruption.
        drain_deadline_s: a draining instance ends after this time at the latest; None: when it has
            answered all.
        replay: send the workload's requests; without, whoever wants to sends some to ``url``.
        keep: leave everything running when the controller ends, for the next one to take over.
        lease_s: real seconds after which what is left running ends by itself.
        folder: for sockets, logs and requests; None: one below the system's temporary folder, by
            user and deployment.

    Raises:
        ConfigError: a value is out of range.
    """

    server: str = "stand_in"
    data_plane: str = "bouncer"
    bouncer: str = "queue_length"
    bouncer_queue_length: int | None = None
    bin_s: float = 5.0
    launch_cv: float = 0.1
    spot_notice_s: float = 120.0
    drain_deadline_s: float | None = 30.0
    replay: bool = True
    keep: bool = False
    lease_s: float = 600.0
    folder: str | None = None

    def __post_init__(self) -> None:
        for key, known in (
            ("server", ("stand_in", "model")),
            ("data_plane", ("bouncer", "weighted")),
            ("bouncer", ("queue_length", "none")),
        ):
            if getattr(self, key) not in known:
                raise ConfigError(
                    f"cloud.{key}: expected one of {list(known)}, got '{getattr(self, key)}'"
                )
        if self.bouncer_queue_length is not None and self.bouncer_queue_length < 1:
            raise ConfigError(
                f"cloud.bouncer_queue_length: must be at least 1, got {self.bouncer_queue_length}"
            )
        for key in ("bin_s", "lease_s"):
            if not (math.isfinite(getattr(self, key)) and getattr(self, key) > 0.0):
                raise ConfigError(f"cloud.{key}: must be positive, got {getattr(self, key)}")
        for key in ("launch_cv", "spot_notice_s", "drain_deadline_s"):
            value = getattr(self, key)
            if value is not None and not (math.isfinite(value) and value >= 0.0):
                raise ConfigError(f"cloud.{key}: must not be negative, got {value}")

    @property
    def REPLAYS_WORKLOAD(self) -> bool:  # noqa: N802 - see cloud.live.LiveCloud
        """True where the workload's requests are sent; see ``LiveCloud``."""
        return self.replay

    def open(self, deployment: Deployment) -> LocalBackend:
        """Return the back end; a host that runs under the deployment's name is taken over.

        The deployment's clock is then set to the host's, whose time went on.

        Raises:
            BackendError: HAProxy is missing, or a process does not start.
            ConfigError: the clock is not the wall's, or a host of that name sells something else.
        """
        from markopt.cloud.local.backend import open_backend

        return open_backend(self, deployment)

    def folder_of(self, name: str) -> Path:
        """Return the folder of a deployment of this name, which only its user may enter.

        Raises:
            ConfigError: its path is too long for the sockets in it.
        """
        if not name or any(not (c.isalnum() or c in "-_.") for c in name) or name[0] == ".":
            raise ConfigError(
                f"deployment name: letters, digits, '-', '_' and '.' are allowed, got {name!r}"
            )
        base = Path(tempfile.gettempdir()) / f"markopt-local-{os.getuid()}"
        folder = (Path(self.folder) if self.folder is not None else base / name).absolute()
        if len(os.fsencode(folder)) > _LONGEST_SOCKET_PATH:
            raise ConfigError(
                f"cloud.folder: at most {_LONGEST_SOCKET_PATH} bytes, for the sockets in it, got "
                f"{folder}"
            )
        return folder


def require_wall_clock(clock: object) -> WallClock:
    """Return the clock.

    Raises:
        ConfigError: it is not the wall's: processes do not wait.
    """
    if not isinstance(clock, WallClock):
        raise ConfigError(
            f"cloud=local: runs by the wall's clock, at any speed, got {type(clock).__name__}"
        )
    return clock


def host_config(cloud: LocalCloud, deployment: Deployment, arrivals: Path | None) -> dict[str, Any]:
    """Return what the host is told, as plain data.

    Raises:
        ConfigError: the real model is to be served at another speed than the wall's.
    """
    clock = require_wall_clock(deployment.clock)
    if cloud.server == "model" and clock.speed != 1.0:
        raise ConfigError(
            f"cloud.server=model: a model takes the time that it takes: needs a clock of speed 1, "
            f"got {clock.speed}"
        )
    rt_max_s = deployment.service.slo.rt_max_s
    seeds = [int(word) for word in deployment.seed.generate_state(2)]
    model: dict[str, Any] | None = None
    bodies = [""]
    if cloud.server == "model":
        from markopt.cloud.local.model_server import example_bodies

        bodies = example_bodies(seeds[1])
        model = {"seed": seeds[1], "body": bodies[0]}
    config: dict[str, Any] = {
        "time": {"start_s": clock.start_s, "began_s": clock.began_s, "speed": clock.speed},
        "first_bin_s": deployment.workload.start_s,
        "bin_s": cloud.bin_s,
        "rt_max_s": rt_max_s,
        "data_plane": cloud.data_plane,
        "bouncer": cloud.bouncer,
        "keep": cloud.keep,
        "lease_s": cloud.lease_s,
        "model": model,
        "fleet": {
            "seed": seeds[0],
            "launch_cv": cloud.launch_cv,
            "spot_notice_s": cloud.spot_notice_s,
            "drain_deadline_s": cloud.drain_deadline_s,
            "leave_before_s": 2.0 * rt_max_s,
            "most_instances": os.cpu_count() if cloud.server == "model" else None,
        },
        "offers": [_offer(cloud, offer, rt_max_s, clock.speed) for offer in deployment.offers],
        "function": _function(deployment.function, clock.speed, seeds[1]),
        "initial_fleet": dict(deployment.initial_fleet),
        "load": None if arrivals is None else {"arrivals": str(arrivals), "bodies": bodies},
    }
    config["sold"] = _digest(
        [dataclasses.asdict(offer) for offer in deployment.offers],
        deployment.function and dataclasses.asdict(deployment.function),
        dataclasses.asdict(cloud),
        rt_max_s,
    )
    return config


def _offer(cloud: LocalCloud, offer: Offer, rt_max_s: float, speed: float) -> dict[str, Any]:
    server = {
        "service_times_s": [time_s / speed for time_s in offer.service_times_s],
        "wait_s": offer.batching.wait_s / speed,
        "service_time_cv": offer.service_time_cv,
    }
    return {
        "name": offer.name,
        "purchase": offer.purchase.value,
        "price_usd_per_s": offer.price_usd_per_s,
        "minimum_billed_s": offer.minimum_billed_s,
        "launch_delay_s": offer.launch_delay_s,
        "interruption_per_h": offer.interruption_per_h,
        "servers": offer.servers if cloud.server == "stand_in" else 1,
        "stock": offer.stock,
        "queue_limit": _queue_limit(cloud, offer, rt_max_s),
        "server": server,
    }


def _queue_limit(cloud: LocalCloud, offer: Offer, rt_max_s: float) -> int | None:
    """Return how many unanswered requests a server may hold; the engine's rule."""
    from markopt.capacity import server_kind
    from markopt.engine.settings import EngineSettings, queue_limit

    if cloud.bouncer == "none":
        return None
    settings = EngineSettings(rt_max_s=rt_max_s, bouncer_queue_length=cloud.bouncer_queue_length)
    return queue_limit(server_kind(offer), settings)


def _function(offer: FunctionOffer | None, speed: float, seed: int) -> dict[str, Any] | None:
    if offer is None:
        return None
    burst = {} if offer.burst is None else {"burst": offer.burst, "burst_per_s": offer.burst_per_s}
    return {
        "settings": {
            "cold_start_s": offer.cold_start_s,
            "idle_timeout_s": offer.idle_timeout_s,
            "concurrency_limit": offer.concurrency_limit,
            "billing_step_s": offer.billing_step_s,
            "memory_gb": offer.memory_gb,
            "price_usd_per_gb_s": offer.price_usd_per_gb_s,
            "warm_use_price_usd_per_gb_s": offer.provisioned_price_usd_per_gb_s,
            "price_usd_per_invocation": offer.price_usd_per_invocation,
            "warm_price_usd_per_s": offer.warm_price_usd_per_s,
            **burst,
        },
        "server": {
            "service_times_s": [offer.service_time_s / speed],
            "wait_s": 0.0,
            "service_time_cv": offer.service_time_cv,
            "seed": seed,
        },
    }


def _digest(*parts: object) -> str:
    text = json.dumps(parts, sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()
