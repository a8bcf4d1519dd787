"""Split what follows a command into Hydra's flags and overrides."""

from __future__ import annotations

import difflib
from collections.abc import Sequence

from markopt.errors import ConfigError

SWEEP_FLAGS = ("-m", "--multirun")
HELP_FLAGS = ("-h", "--help", "--hydra-help")
HYDRA_FLAGS = (
    *SWEEP_FLAGS,
    *HELP_FLAGS,
    "-c",
    "--cfg",
    "-r",
    "--resolve",
    "-p",
    "--package",
    "-i",
    "--info",
    "-sc",
    "--shell-completion",
)
VALUE_FLAGS = ("-c", "--cfg", "-p", "--package", "-i", "--info")
SHOW_FLAGS = ("-c", "--cfg", "-i", "--info", "-sc", "--shell-completion")
CHOICES = {"-c": ("job", "hydra", "all"), "--cfg": ("job", "hydra", "all")}


def split_flags(arguments: Sequence[str]) -> tuple[list[str], list[str]]:
    """Return Hydra's flags, with their values, and the overrides.

    Raises:
        ConfigError: a flag is unknown, lacks its value or contradicts another.
    """
    flags: list[str] = []
    overrides: list[str] = []
    rest = iter(arguments)
    for argument in rest:
        if not argument.startswith("-"):
            overrides.append(argument)
            continue
        name = argument.split("=", 1)[0]
        if name not in HYDRA_FLAGS:
            near = difflib.get_close_matches(name, [*HYDRA_FLAGS, "--at-equal-slo"], n=1)
            hint = f"; did you mean '{near[0]}'?" if near else ""
            raise ConfigError(f"{name}: no such option{hint}")
        flags.append(argument)
        if name in VALUE_FLAGS:
            value = argument.partition("=")[2] or next(rest, None)
            choices = CHOICES.get(name)
            if value is None or (choices and value not in choices):
                wanted = f"one of {', '.join(choices)}" if choices else "a value"
                raise ConfigError(f"{name}: expected {wanted}, got {value or 'none'}")
            if "=" not in argument:
                flags.append(value)
    shown = [f for f in flags if f in SHOW_FLAGS]
    if shown and set(flags) & set(SWEEP_FLAGS):
        raise ConfigError(f"{shown[0]}: shows one job's configuration, not a sweep's: leave out -m")
    return flags, overrides
