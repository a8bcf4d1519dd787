"""Hydra: compose configurations from groups and overrides, with every mistake in one line."""

from __future__ import annotations

import difflib
import inspect
import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_type_hints

from markopt.annotations import fits, kind_of
from markopt.config_file import composable
from markopt.errors import ConfigError, MarkoptError
from markopt.resources import shipped_folder

if TYPE_CHECKING:
    from hydra.core.override_parser.types import Override
    from omegaconf import DictConfig

HYDRA_VERSION = "1.3"
SECTIONS = (
    "service",
    "workload",
    "catalog",
    "forecaster",
    "planner",
    "cloud",
    "controller",
    "seed",
)
"""What makes an episode what it is: two episodes with equal sections have equal results."""

OTHER_KEYS = (
    "output",
    "save_problems_every",
    "regret_every",
    "attribute_loss",
    "record_requests",
    "compare",
    "characterize",
    "backtest",
    "sweep",
    "deploy",
    "twin",
)
"""What else a configuration may say: where results go, how things are compared."""


PLUGINS = {
    "hydra/launcher": "basic, joblib, and with pip install 'markopt[cluster]' ray, slurm, "
    "submitit_local, submitit_slurm",
    "hydra/sweeper": "basic, and with pip install 'markopt[tuning]' optuna",
}
"""What there is of groups that Hydra's plug-ins fill."""


@dataclass(frozen=True, eq=False)
class Composed:
    """A configuration, and the option that was chosen of the group ``planner`` (None: no group).

    ``sweep`` holds what the configuration itself sweeps (``hydra.sweeper.params``): values by key,
    separated by commas, as an override states them. ``sweeper`` is the class that lays out a
    sweep's jobs, ``launcher`` what starts them, ``trials`` how many there are where the sweeper
    chooses the values itself (None: all combinations).
    """

    config: DictConfig
    planner_option: str | None
    sweep: Mapping[str, str] = field(default_factory=dict)
    launcher: str = "basic"
    sweeper: str = ""
    trials: int | None = None


def compose(overrides: Sequence[str], config_file: Path | None = None) -> Composed:
    """Return the configuration that the overrides give on top of ``conf/config.yaml``.

    ``config_file`` takes that file's place: a complete configuration, as ``compare`` exports one,
    or the ``summary.json`` of an earlier run.

    Raises:
        ConfigError: a group, an option or a key does not exist, or an override cannot be read.
    """
    from hydra import compose as hydra_compose
    from hydra import initialize_config_dir
    from hydra.core.global_hydra import GlobalHydra
    from hydra.errors import HydraException
    from omegaconf.errors import OmegaConfBaseException

    _check_options(overrides)
    running = GlobalHydra.instance().hydra  # the sweep that this is a job of, if any
    GlobalHydra.instance().clear()
    try:
        with (
            composable(config_file, SECTIONS, OTHER_KEYS) as (folder, name),
            initialize_config_dir(str(folder.resolve()), version_base=HYDRA_VERSION),
        ):
            config = hydra_compose(name, list(overrides), return_hydra_config=True)
    except (HydraException, OmegaConfBaseException) as error:
        raise ConfigError(_explain(error, overrides, config_file)) from None
    finally:
        GlobalHydra.instance().hydra = running
    return checked(config, config.hydra, overrides)


def checked(config: DictConfig, hydra: Any, overrides: Sequence[str]) -> Composed:
    """Return what Hydra composed of the overrides, with what it says of itself apart.

    ``hydra`` is what it says. ``config`` is changed: what no episode follows from is dropped.

    Raises:
        ConfigError: a key is missing or unknown.
    """
    from omegaconf import open_dict

    choices, trials = hydra.runtime.choices, hydra.sweeper.get("n_trials")
    option, launcher = choices.get("planner"), str(choices.get("hydra/launcher"))
    sweep = {str(key): str(values) for key, values in (hydra.sweeper.params or {}).items()}
    sweeper = str(hydra.sweeper.get("_target_"))
    with open_dict(config):
        config.pop("hydra", None)
        _drop_settings_of_replaced_classes(config, overrides)
    missing = [key for key in SECTIONS if key not in config or config[key] is None]
    if missing:
        raise ConfigError(f"{missing[0]}: every configuration needs this key, it is missing")
    known = [*SECTIONS, *OTHER_KEYS]
    strange = [str(key) for key in config if key not in known]
    if strange:
        raise ConfigError(f"{strange[0]}: no such key or group{_close(strange[0], known)}")
    return Composed(config, option, sweep, launcher, sweeper, trials)


def _drop_settings_of_replaced_classes(config: DictConfig, overrides: Sequence[str]) -> None:
    """Drop what an override of ``_target_`` leaves over: its option's settings, of another class.

    Settings that are given themselves stay, so that a wrong one is still refused.
    """
    from hydra.errors import HydraException
    from hydra.utils import get_object
    from omegaconf import OmegaConf

    parsed = parse(overrides)
    given = {override.key_or_group for override in parsed}
    for override in parsed:
        section, _, key = override.key_or_group.rpartition(".")
        if key != "_target_" or not section or override.is_delete() or override.is_hydra_override():
            continue
        node = OmegaConf.select(config, section)
        try:
            parameters = inspect.signature(get_object(str(override.value()))).parameters
        except (HydraException, ImportError, TypeError, ValueError):
            continue  # building it will tell what is wrong
        if any(p.kind is inspect.Parameter.VAR_KEYWORD for p in parameters.values()):
            continue
        for name in [str(name) for name in node if not str(name).startswith("_")]:
            path = f"{section}.{name}"
            if name not in parameters and not any(f"{g}.".startswith(f"{path}.") for g in given):
                del node[name]


def _check_options(overrides: Sequence[str]) -> None:
    """Refuse a choice of a group that is no name, on which Hydra ends with a traceback."""
    groups = config_groups()
    for text, override in zip(overrides, parse(overrides), strict=True):
        group = override.key_or_group
        if group not in groups or override.is_delete() or override.is_sweep_override():
            continue
        value = override.value()
        if not isinstance(value, str) and not (value is None and group == "experiment"):
            raise ConfigError(f"{text}: expected an option of the group: {_list(options(group))}")


def parse(overrides: Sequence[str]) -> list[Override]:
    """Return the overrides, parsed.

    Raises:
        ConfigError: one is not ``key=value``.
    """
    from hydra.core.override_parser.overrides_parser import OverridesParser
    from hydra.errors import HydraException

    parser = OverridesParser.create()
    parsed = []
    for text in overrides:
        try:
            parsed.append(parser.parse_override(text))
        except HydraException:
            raise ConfigError(f"{text}: expected an override key=value") from None
    return parsed


def combinations(overrides: Sequence[str]) -> Iterator[tuple[str, ...]]:
    """Yield the overrides of every job of a sweep, in Hydra's order.

    Raises:
        ConfigError: an override cannot be read, or an interval is given, which has no list.
    """
    pairs = zip(overrides, parse(overrides), strict=True)
    yield from itertools.product(*(_values(text, override) for text, override in pairs))


def _values(text: str, override: Override) -> list[str]:
    """Return an override once for every value that it sweeps; as it is where it sweeps none."""
    from hydra.core.override_parser.types import Glob
    from hydra.errors import HydraException

    if not override.is_sweep_override():
        return [text]
    value: Any = override.value()
    key = override.get_key_element()
    if isinstance(value, Glob):
        known = options(override.key_or_group)
        chosen = value.filter(known)
        if not chosen:
            raise ConfigError(f"{text}: no option matches; options: {_list(known)}")
        return [f"{key}={option}" for option in chosen]
    try:
        return [f"{key}={element}" for element in override.sweep_string_iterator()]
    except HydraException:
        raise ConfigError(f"{text}: an interval needs a sweeper that chooses values") from None


def representatives(overrides: Sequence[str]) -> Iterator[tuple[str, ...]]:
    """Yield the overrides of as many jobs as it takes to meet every mistake in names.

    Which keys there are depends on the options of the groups and on values that have keys
    themselves, so every combination of those is taken, with one value of each other key.
    """
    from hydra.core.override_parser.types import IntervalSweep

    groups = config_groups()
    taken: list[list[str]] = []
    for text, override in zip(overrides, parse(overrides), strict=True):
        if isinstance(interval := override.value(), IntervalSweep):
            taken.append([f"{override.get_key_element()}={interval.start}"])
            continue
        values = _values(text, override)
        if override.key_or_group not in groups:
            plain = [value for value in values if "{" not in value]
            values = [*plain[:1], *(value for value in values if "{" in value)]
        taken.append(values)
    yield from itertools.product(*taken)


def split_lists(overrides: Sequence[str]) -> tuple[list[str], list[str] | None, list[str] | None]:
    """Take ``planner=a,b`` and ``seed=0,1`` out of a comparison's overrides.

    Returns the other overrides, the planners and the seeds (None where they are not given).
    """
    rest, lists = take_lists(overrides, ("planner", "seed"))
    return rest, lists["planner"], lists["seed"]


def take_lists(
    overrides: Sequence[str], keys: Sequence[str]
) -> tuple[list[str], dict[str, list[str] | None]]:
    """Take ``key=a,b`` out of the overrides, for each of the keys.

    Returns the other overrides, and the values by key (None where it is not given).
    """
    rest: list[str] = []
    lists: dict[str, list[str] | None] = dict.fromkeys(keys)
    for text, override in zip(overrides, parse(overrides), strict=True):
        key = override.key_or_group
        if key not in lists or override.package is not None or override.is_delete():
            rest.append(text)
        elif override.is_sweep_override():
            lists[key] = [value.partition("=")[2] for value in _values(text, override)]
        else:
            lists[key] = [str(override.value())]
    return rest, lists


def options(group: str) -> list[str]:
    """Return the options of a config group."""
    return sorted(path.stem for path in (shipped_folder("conf") / group).glob("*.yaml"))


def one_line(error: BaseException | str) -> str:
    """Return an error's text with its line breaks turned into spaces."""
    return " ".join(str(error).split())


def instantiate(config: Any, where: str, **arguments: Any) -> Any:
    """Build the object that ``config`` describes by its ``_target_``.

    Raises:
        ConfigError: the target does not exist or refuses its arguments; the text says ``where``.
        MarkoptError: what the constructor raised on purpose.
    """
    from hydra.errors import HydraException
    from hydra.utils import instantiate as hydra_instantiate
    from omegaconf.errors import MissingMandatoryValue, OmegaConfBaseException

    if "_target_" not in config:
        raise ConfigError(f"{where}._target_: expected the class to build, it is missing")
    _check_arguments(config, where)
    try:
        return hydra_instantiate(config, _convert_="all", **arguments)
    except (HydraException, OmegaConfBaseException) as error:
        cause: BaseException | None = error
        while cause is not None:
            if isinstance(cause, MarkoptError):
                raise cause from None
            if isinstance(cause, MissingMandatoryValue):
                key = getattr(cause, "full_key", None) or where
                raise ConfigError(f"{key}: a value is required, none is given") from None
            cause = cause.__cause__
        reason = one_line(error.__cause__ or error)
        raise ConfigError(f"{where}: {config['_target_']} cannot be built: {reason}") from None


def _check_arguments(config: Any, where: str) -> None:
    """Refuse arguments that the constructor does not have, and values of another kind than its.

    What annotations cannot tell (a range, the names that are allowed) is left to the constructor.
    """
    from hydra.errors import HydraException
    from hydra.utils import get_object
    from omegaconf import OmegaConf
    from omegaconf.errors import OmegaConfBaseException

    try:
        given = OmegaConf.to_container(config, resolve=True)
        target = get_object(config["_target_"])
        parameters = inspect.signature(target).parameters
        hints = get_type_hints(target.__init__ if inspect.isclass(target) else target)
    except (HydraException, OmegaConfBaseException, ImportError, NameError, TypeError, ValueError):
        return  # building it will tell what is wrong, if anything is
    open_ended = any(p.kind is inspect.Parameter.VAR_KEYWORD for p in parameters.values())
    settings = (
        {str(name): value for name, value in given.items()} if isinstance(given, dict) else {}
    )
    for name, value in settings.items():
        key = f"{where}.{name}"
        if name.startswith("_") or value == "???":
            continue
        if name not in parameters:
            if not open_ended:
                raise ConfigError(f"{key}: no such setting{_close(name, [*parameters])}")
        elif not fits(value, hints.get(name, Any)):
            raise ConfigError(f"{key}: must be {kind_of(hints[name])}, got {value!r}")
        if isinstance(value, dict) and "_target_" in value:
            _check_arguments(config[name], key)


def _explain(error: Exception, overrides: Sequence[str], config_file: Path | None) -> str:
    from hydra.errors import MissingConfigException, OverrideParseException

    if isinstance(error, OverrideParseException):
        return f"{error.override}: expected an override key=value"
    missing = getattr(error, "missing_cfg_file", None)
    if isinstance(error, MissingConfigException) and missing:
        group, _, option = missing.rpartition("/")
        if group in PLUGINS:
            return f"{group}={option}: no such option; options: {PLUGINS[group]}"
        known = options(group) if group else []
        return f"{group}={option}: no such option{_close(option, known)}; options: {_list(known)}"
    for text in overrides:
        override = parse([text])[0]
        key = override.key_or_group
        if override.is_sweep_override():
            if f"{key}=" in str(error) or "sweep" in str(error).lower():
                return f"{text}: a list of values needs -m (or, in compare, planner= and seed=)"
        elif f"'{key}'" in str(error).splitlines()[0]:
            groups = [text for text in overrides if text.split("=", 1)[0] in config_groups()]
            known = _keys(groups, config_file)
            if key in known:
                break
            return f"{key}: no such key or group{_close(key, known)}"
    reason = one_line(str(error).split("\n")[0])
    cause = f": {one_line(error.__cause__)}" if error.__cause__ is not None else ""
    return f"configuration: {reason}{cause}"


def config_groups() -> list[str]:
    """Return every config group, nested ones by their path (``cloud/market``)."""
    base = shipped_folder("conf")
    return [path.relative_to(base).as_posix() for path in base.rglob("*") if path.is_dir()]


def _keys(choices: Sequence[str], config_file: Path | None) -> list[str]:
    """Return every key of the configuration of these choices of options, and every group."""
    from omegaconf import DictConfig

    def walk(node: DictConfig, prefix: str) -> Iterator[str]:
        for key in node:
            name = f"{prefix}{key!s}"
            yield name
            child = node._get_node(key)
            if isinstance(child, DictConfig) and not (child._is_none() or child._is_missing()):
                yield from walk(child, f"{name}.")

    return sorted({*walk(compose(choices, config_file).config, ""), *config_groups()})


def _close(name: str, known: Sequence[str]) -> str:
    matches = difflib.get_close_matches(name, known, n=3, cutoff=0.6)
    if not matches:
        leaf = name.rpartition(".")[2]
        leaves = [key for key in known if key.rpartition(".")[2] == leaf]
        matches = leaves[:3]
    return f"; did you mean {' or '.join(repr(m) for m in matches)}?" if matches else ""


def _list(names: Sequence[str]) -> str:
    return ", ".join(names) if names else "none"
