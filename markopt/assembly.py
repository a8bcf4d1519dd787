"""From a composed configuration to the parts of an episode or a comparison."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, final, get_type_hints

from markopt.annotations import fits, kind_of
from markopt.composition import SECTIONS, Composed, compose, instantiate, parse
from markopt.core import Service
from markopt.errors import ConfigError
from markopt.evaluation.characterization import CharacterizeSettings, Option
from markopt.evaluation.compare import CompareSettings, Span
from markopt.evaluation.episode import Scene
from markopt.evaluation.folder import replace_text
from markopt.evaluation.progress import late_bar
from markopt.evaluation.simulation import SimulatedClouds
from markopt.evaluation.tuning import Knob, Values
from markopt.forecasting.protocol import Forecaster
from markopt.planning.protocol import Planner
from markopt.resources import shipped_folder

if TYPE_CHECKING:
    from omegaconf import DictConfig

    from markopt.cloud.simulated import SimulationSettings
    from markopt.workload.protocol import Workload


def compare_settings(config: DictConfig) -> CompareSettings:
    """Return the ``compare`` section, checked.

    Raises:
        ConfigError: a value is out of range or of the wrong kind.
    """
    from omegaconf import ListConfig

    section = config.compare
    for key in ("planners", "seeds"):
        if not isinstance(section[key], ListConfig) and (key, section[key]) != ("seeds", None):
            raise ConfigError(f"compare.{key}: must be a list, got {section[key]!r}")
    seeds = [config.seed] if section.seeds is None else list(section.seeds)
    for seed in seeds:
        check_seed(seed)
    return CompareSettings(
        planners=tuple(str(name) for name in section.planners),
        seeds=tuple(seeds),
        jobs=_whole(section, "jobs"),
        at_equal_slo=_share(section.at_equal_slo),
        tune_search=section.tune_search,
        tune_seeds=_tune_seeds(section),
        tune_refine=_whole(section, "tune_refine"),
    )


DRAW_OF_TUNING = 10_007
"""What is added to the seed of a drawn load that policies are tuned on."""


def _tune_seeds(section: DictConfig) -> tuple[int, ...] | None:
    from omegaconf import ListConfig

    seeds = section.get("tune_seeds")
    if seeds is None:
        return None
    if not isinstance(seeds, ListConfig):
        raise ConfigError(f"compare.tune_seeds: must be a list or null, got {seeds!r}")
    return tuple(check_seed(seed) for seed in seeds)


def _whole(section: DictConfig, key: str) -> int:
    value = section.get(key, 0)
    if isinstance(value, bool) or not isinstance(value, int):
        raise ConfigError(f"compare.{key}: must be a whole number, got {value!r}")
    return value


CHARACTERIZE_KEYS = (
    "service",
    "seed",
    "output",
    "sweep",
    "characterize",
    "catalog.catalog",
    "catalog.profiles",
    "catalog.instance_types",
    "catalog.function_memory_mb",
    "catalog.launch_delay_s",
)
"""What a characterisation depends on, besides the catalogues."""


def characterize_settings(config: DictConfig) -> CharacterizeSettings:
    """Return the ``characterize`` section, checked.

    Raises:
        ConfigError: a value is out of range or of the wrong kind.
    """
    from omegaconf import OmegaConf

    section: Any = OmegaConf.to_container(config.characterize, resolve=True)
    hints = get_type_hints(CharacterizeSettings)
    for key, value in section.items():
        if key not in hints:
            raise ConfigError(f"characterize.{key}: no such setting; there are: {', '.join(hints)}")
        if not fits(value, hints[key]):
            raise ConfigError(f"characterize.{key}: must be {kind_of(hints[key])}, got {value!r}")
    for key in ("catalogs", "batch_sizes"):
        section[key] = None if section[key] is None else tuple(section[key])
    return CharacterizeSettings(**section)


def characterization_options(
    overrides: Sequence[str], settings: CharacterizeSettings
) -> tuple[Service, tuple[Option, ...]]:
    """Return the service, and every option of every catalogue that is to be characterised.

    Raises:
        ConfigError: an override has no effect here, or a catalogue is no option of its group.
        CatalogError: nothing on sale has a profile of the service.
    """
    from markopt import catalog
    from markopt.evaluation.characterization import options_of, require_some

    for override in parse(overrides):
        key = override.key_or_group
        if not any(key == known or key.startswith(f"{known}.") for known in CHARACTERIZE_KEYS):
            raise ConfigError(
                f"{key}: markopt characterize does not depend on it; it takes "
                f"{', '.join(('catalog', *CHARACTERIZE_KEYS))}"
            )
    service: Service = instantiate(compose(overrides).config.service, "service")
    options: tuple[Option, ...] = ()
    for name in settings.catalogs:
        config = compose([*overrides, f"catalog={name}"]).config
        selection = instantiate(config.catalog, "catalog")
        prices = catalog.load_catalog(selection.catalog)
        book = catalog.load_profiles(selection.profiles)
        profiles = catalog.with_scaled(book.of(service.name), prices)
        options += options_of(name, prices, profiles, selection)
    require_some(options, service.name, settings.catalogs)
    return service, options


def _share(value: Any) -> float | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ConfigError(f"compare.at_equal_slo: must be a share, got {value!r}")
    return float(value)


def check_seed(seed: Any) -> int:
    """Return the seed.

    Raises:
        ConfigError: it is not a whole number from 0 on.
    """
    if isinstance(seed, bool) or not isinstance(seed, int) or seed < 0:
        raise ConfigError(f"seed: must be a whole number from 0 on, got {seed!r}")
    return seed


@final
class ConfigParts:
    """Makes the parts of episodes from overrides: one configuration per policy, all else equal.

    What costs time (reading the trace, calibrating capacities) is done once and kept. Overrides
    that are ``composed`` already are not composed again for the one policy that they name.

    Raises:
        ConfigError: a policy is no option of the group ``planner``, or a key does not exist.
    """

    def __init__(
        self,
        overrides: Sequence[str],
        planners: Sequence[str] | None = None,
        config_file: Path | None = None,
        composed: Composed | None = None,
    ) -> None:
        self.policies: dict[str, DictConfig] = {}
        if planners is None:
            known = compose(overrides, config_file) if composed is None else composed
            self.policies[policy_name(known.config, known.planner_option)] = known.config
        else:
            for name in planners:
                try:
                    self.policies[name] = compose([*overrides, f"planner={name}"]).config
                except ConfigError as error:
                    raise ConfigError(f"{error} (of policy '{name}')") from None
        self.base = next(iter(self.policies.values()))
        self._scenes: dict[Span, Scene] = {}

    def scene(self, seed: int, span: Span = "judged") -> Scene:
        """Return the scene of a seed on the judged span, or on that of the history for tuning.

        A load that is drawn and has no place in time is tuned on a draw that no judging sees.
        """
        if span not in self._scenes:
            self._scenes[span] = self._make_scene(span)
        check_seed(seed)
        if span != "judged" and "start_s" not in self.base.workload:
            seed += DRAW_OF_TUNING
        return dataclasses.replace(self._scenes[span], seed=seed)

    def _make_scene(self, span: Span) -> Scene:
        from markopt import capacity, catalog

        config = self.base
        settings = instantiate(config.controller, "controller")
        service = instantiate(config.service, "service")
        clouds = SimulatedClouds(_simulated(instantiate(config.cloud, "cloud")))
        workload = self._workload(span)
        if span != "judged":
            clouds = clouds.earlier(self._tuning_span_s()[0])
        selection = instantiate(config.catalog, "catalog")
        prices = catalog.load_catalog(selection.catalog)
        book = catalog.load_profiles(selection.profiles)
        profiles = catalog.with_scaled(book.of(service.name), prices)
        offers = capacity.build_offers(service, prices, profiles, selection)
        offers = clouds.expected_offers(offers, workload)
        function = capacity.build_function(service, prices, profiles, selection)
        ratio = selection.function_price_ratio
        if function is not None and ratio is not None:
            function = capacity.at_price_ratio(function, offers, ratio)
        with late_bar("Calibrating capacities", len({o.instance_type for o in offers})) as bar:
            required = capacity.calibrate(offers, service.slo, progress=bar.over)
        return Scene(
            service=service,
            workload=workload,
            offers=offers,
            function=function,
            required_throughput=required,
            best_saturation_rps=capacity.best_saturation_rps(offers, profiles, service.slo),
            cloud=clouds,
            settings=settings,
            seed=0,
        )

    def _workload(self, span: Span) -> Workload:
        from omegaconf import OmegaConf

        section = self.base.workload
        judged: Workload = instantiate(section, "workload").build()
        if span == "judged":
            return judged
        earlier_s, tune_s = self._tuning_span_s()
        history_s = judged.start_s - judged.history.start_s
        if not 0.0 < tune_s <= earlier_s < history_s:
            raise ConfigError(
                f"compare.tune_s: must be positive, at most compare.tune_earlier_s, and both "
                f"shorter than the history ({history_s:g} s), so that the rest can be learnt from, "
                f"got {tune_s:g} and {earlier_s:g}"
            )
        if "evaluate_s" not in section:
            raise ConfigError(
                f"--at-equal-slo: needs a workload with 'evaluate_s', such as a trace; "
                f"{section['_target_']} has none"
            )
        shifted = {"evaluate_s": tune_s, "history_s": history_s - earlier_s}
        if "start_s" in section:
            shifted["start_s"] = judged.start_s - earlier_s
        earlier: Workload = instantiate(OmegaConf.merge(section, shifted), "workload").build()
        return earlier

    def _tuning_span_s(self) -> tuple[float, float]:
        """Return how much before the judged span tuning begins, and how long it lasts."""
        compare = self.base.compare
        tune_s = float(compare.tune_s)
        earlier_s = compare.tune_earlier_s
        return tune_s if earlier_s is None else float(earlier_s), tune_s

    def forecaster(self) -> Forecaster:
        """Return a forecaster that has not been fitted."""
        forecaster: Forecaster = instantiate(self.base.forecaster, "forecaster")
        return forecaster

    def knob(self, policy: str) -> tuple[str | None, tuple[float, ...]]:
        """Return the constructor argument that may be tuned, and its values, cheap to safe.

        A planner around another one, which has no knob of its own, has that one's, named by its
        path below ``planner`` (``planner.headroom``).
        """
        from hydra.utils import get_class

        for depth, node in enumerate(_nested(self.policies[policy].planner)):
            planner = get_class(node["_target_"])
            name = getattr(planner, "KNOB", None)
            if name:
                return "planner." * depth + name, tuple(getattr(planner, "KNOB_GRID", ()))
        return None, ()

    def knobs(self, policy: str) -> tuple[Knob, ...]:
        """Return what is tuned of a policy: as ``compare.knobs`` says, else its class's one knob.

        Raises:
            ConfigError: ``compare.knobs`` names a setting that the planner lacks, or no values.
        """
        from omegaconf import OmegaConf

        given: Any = OmegaConf.to_container(self.base.compare, resolve=True)
        chosen = (given.get("knobs") or {}).get(policy)
        if chosen is None:
            name, grid = self.knob(policy)
            return () if name is None else (Knob(name, grid),)
        if not isinstance(chosen, Mapping):
            raise ConfigError(f"compare.knobs.{policy}: must be keys and lists, got {chosen!r}")
        for name, grid in chosen.items():
            if not isinstance(grid, list):
                raise ConfigError(f"compare.knobs.{policy}.{name}: must be a list, got {grid!r}")
            known = OmegaConf.select(self.policies[policy].planner, str(name), default=self)
            if known is self:  # a setting may be null
                raise ConfigError(f"compare.knobs.{policy}.{name}: the planner has no such setting")
        return tuple(Knob(str(name), tuple(grid)) for name, grid in chosen.items())

    def planner(self, policy: str, value: float | Values | None = None) -> Planner:
        """Return a policy's planner, with its knobs (a number: its class's one) as given."""
        planner: Planner = instantiate(self._planner_config(policy, value), "planner")
        return planner

    def _planner_config(self, policy: str, value: float | Values | None) -> DictConfig:
        from omegaconf import OmegaConf

        section: DictConfig = self.policies[policy].planner
        if value is None:
            return section
        values = value if isinstance(value, Mapping) else {str(self.knob(policy)[0]): value}
        section = section.copy()
        for name, chosen in values.items():
            OmegaConf.update(section, name, chosen, force_add=True)
        return section

    def config(self, policy: str, seed: int, value: float | Values | None = None) -> dict[str, Any]:
        """Return the complete configuration of one episode, all interpolations resolved."""
        from omegaconf import OmegaConf
        from omegaconf.errors import OmegaConfBaseException

        try:
            whole = OmegaConf.to_container(self.policies[policy], resolve=True)
        except OmegaConfBaseException as error:
            reason = str(error).splitlines()[0]
            raise ConfigError(f"configuration: {reason}") from None
        if not isinstance(whole, Mapping):
            raise ConfigError("configuration: expected keys and values")
        document = {str(key): whole[key] for key in SECTIONS}
        document["seed"] = seed
        if value is not None:
            tuned = self._planner_config(policy, value)
            document["planner"] = OmegaConf.to_container(tuned, resolve=True)
        return document

    def export(self, policy: str, seed: int, value: float | Values | None, path: Path) -> None:
        """Write a policy's configuration as a file for ``markopt run --config-file``."""
        import yaml
        from omegaconf import OmegaConf

        compare = OmegaConf.to_container(self.base.compare, resolve=True)
        rest = {
            "output": None,
            "save_problems_every": None,
            "regret_every": None,
            "attribute_loss": False,
            "record_requests": False,
            "compare": compare,
        }
        document = {**self.config(policy, seed, value), **rest}
        text = yaml.safe_dump(document, sort_keys=False)
        head = (
            f"# The policy '{policy}' as compared. Run it: markopt run --config-file {path.name}\n"
            f"# Deploy it: markopt deploy --config-file {path.name} cloud=NAME\n"
        )
        replace_text(path, head + text)


def _simulated(cloud: Any) -> SimulationSettings:
    from markopt.cloud.simulated import SimulationSettings

    if not isinstance(cloud, SimulationSettings):
        raise ConfigError(
            f"cloud: must be a simulated one here, got {type(cloud).__name__}; use markopt deploy"
        )
    return cloud


def policy_name(config: DictConfig, option: str | None) -> str:
    """Return what to call the planner of a configuration: its option, else its class.

    ``option`` is what was chosen of the group; where a ``_target_`` has been overridden, the class
    gives the name (of a planner around another one the classes of both, the inner one first).
    """
    import yaml

    targets = [str(node["_target_"]) for node in _nested(config.planner)]
    if option is not None:
        text = (shipped_folder("conf") / "planner" / f"{option}.yaml").read_text(encoding="utf-8")
        meant = [yaml.safe_load(text).get("_target_")]
        if len(targets) > 1:
            shipped = compose([f"planner={option}"]).config.planner
            meant = [str(node["_target_"]) for node in _nested(shipped)]
        if meant == targets:
            return option
    return "_".join(_snake_case(target.rpartition(".")[2]) for target in reversed(targets))


def _snake_case(name: str) -> str:
    return "".join(f"_{c.lower()}" if c.isupper() else c for c in name).lstrip("_")


def _nested(planner: DictConfig) -> list[DictConfig]:
    """Return a planner's configuration and those of the planners in it, outermost first."""
    from omegaconf import DictConfig as Node

    nodes = [planner]
    while isinstance(inner := nodes[-1].get("planner"), Node) and "_target_" in inner:
        nodes.append(inner)
    return nodes
