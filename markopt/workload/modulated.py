"""A model of a public request stream: daily profile, slow drift, clocked bursts, rough minutes."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, final

import numpy as np
from numpy.typing import NDArray

from markopt.core.arrays import Floats, frozen_floats
from markopt.errors import DataError
from markopt.resources import resolve_data_path
from markopt.workload.trace import Trace

_DAY_S = 86400.0
_HOUR_S = 3600.0
_MINUTE_S = 60.0


@final
@dataclass(frozen=True, eq=False)
class BurstClock:
    """Bursts that come at most once an hour, always at about the same minute.

    In hour h of the day one comes with ``probability[h]``, shape (24,). It starts ``offset_s`` to
    ``offset_s + spread_s`` after the full hour (uniform), lifts the log rate by a normal height
    (``log_height``, ``log_height_sd``, clipped to 0..``log_height_max``), holds it for a gamma time
    (mean ``plateau_s``, deviation ``plateau_sd_s``) and then decays with time constant ``decay_s``.

    Raises:
        DataError: a value is out of range.
    """

    probability: Floats
    offset_s: float
    spread_s: float
    log_height: float
    log_height_sd: float
    log_height_max: float
    plateau_s: float
    plateau_sd_s: float
    decay_s: float

    def __post_init__(self) -> None:
        object.__setattr__(self, "probability", frozen_floats(self.probability))
        probability = self.probability
        if probability.shape != (24,) or not np.all((probability >= 0.0) & (probability <= 1.0)):
            raise DataError(
                f"BurstClock: probability must be 24 numbers within 0..1, got "
                f"{probability.tolist()}"
            )
        for field in fields(self)[1:]:
            value = getattr(self, field.name)
            if not (math.isfinite(value) and value >= 0.0):
                raise DataError(f"BurstClock: {field.name} must be at least 0, got {value}")
        for name in ("plateau_s", "plateau_sd_s", "decay_s"):
            if getattr(self, name) == 0.0:
                raise DataError(f"BurstClock: {name} must be positive, got 0")

    def draw(
        self, times_s: NDArray[np.float64], hours: int, rng: np.random.Generator
    ) -> NDArray[np.float64]:
        """Return what the bursts of ``hours`` hours add to the log rate at ``times_s``."""
        comes = rng.random(hours) < np.resize(self.probability, hours)
        delay_s = self.offset_s + self.spread_s * rng.random(hours)
        height = np.clip(
            rng.normal(self.log_height, self.log_height_sd, hours), 0.0, self.log_height_max
        )
        shape = (self.plateau_s / self.plateau_sd_s) ** 2
        plateau_s = rng.gamma(shape, self.plateau_s / shape, hours)
        lift = np.zeros(len(times_s))
        for hour in np.flatnonzero(comes):
            start_s = hour * _HOUR_S + delay_s[hour]
            first = int(np.searchsorted(times_s, start_s))
            falling_s = np.maximum(times_s[first:] - start_s - plateau_s[hour], 0.0)
            one = height[hour] * np.exp(-falling_s / self.decay_s)
            lift[first:] = np.maximum(lift[first:], one)
        return lift


@final
@dataclass(frozen=True, eq=False)
class ModulatedTraceModel:
    """Counts whose log rate is daily profile + autoregression on minutes + clocked bursts.

    The rate at t is ``level_rps · exp(Σ_h cosine[h]·cos 2π(h+1)t/day + sine[h]·sin … + x + b)``
    with x an autoregression (``autoregression``, ``innovation_sd``) on minutes, joined by lines,
    and b the bursts. Within a bin it is multiplied by gamma noise of mean 1 and shape
    ``noise_shape``, independent from bin to bin; counts are Poisson given the rate.

    Raises:
        DataError: a value is out of range, or the autoregression is not stationary.
    """

    level_rps: float
    cosine: Floats
    sine: Floats
    autoregression: Floats
    innovation_sd: float
    noise_shape: float
    bursts: tuple[BurstClock, ...] = ()

    def __post_init__(self) -> None:
        for name in ("cosine", "sine", "autoregression"):
            object.__setattr__(self, name, frozen_floats(getattr(self, name)))
            if not np.all(np.isfinite(getattr(self, name))):
                raise DataError(f"ModulatedTraceModel: {name} must be finite")
        if self.cosine.shape != self.sine.shape:
            raise DataError(
                f"ModulatedTraceModel: needs as many cosines as sines, got {len(self.cosine)} and "
                f"{len(self.sine)}"
            )
        for name in ("level_rps", "noise_shape"):
            if not 0.0 < getattr(self, name) < math.inf:
                raise DataError(
                    f"ModulatedTraceModel: {name} must be positive, got {getattr(self, name)}"
                )
        if not 0.0 <= self.innovation_sd < math.inf:
            raise DataError(
                f"ModulatedTraceModel: innovation_sd must be at least 0, got {self.innovation_sd}"
            )
        roots = np.roots(np.concatenate([[1.0], -self.autoregression]))
        if np.any(np.abs(roots) >= 1.0):
            raise DataError(
                f"ModulatedTraceModel: autoregression must be stationary, got a root of modulus "
                f"{np.abs(roots).max():.6g}"
            )

    def rates(
        self, duration_s: float, bin_s: float, rng: np.random.Generator
    ) -> NDArray[np.float64]:
        """Draw the rate at the middle of each bin, requests/s, without the noise within bins."""
        times_s = np.asarray(bin_s * (np.arange(round(duration_s / bin_s)) + 0.5))
        log_rate = self.profile(times_s)
        minutes = math.ceil(duration_s / _MINUTE_S) + 1
        log_rate += np.interp(times_s, _MINUTE_S * np.arange(minutes), self._drift(minutes, rng))
        hours = math.ceil(duration_s / _HOUR_S)
        lifts = [clock.draw(times_s, hours, rng) for clock in self.bursts]
        # Bursts do not pile up: the highest that is going on counts.
        log_rate += np.max([np.zeros(len(times_s)), *lifts], axis=0)
        return np.asarray(self.level_rps * np.exp(log_rate), dtype=np.float64)

    def draw(self, name: str, duration_s: float, bin_s: float, rng: np.random.Generator) -> Trace:
        """Draw a trace of counts from midnight on.

        Raises:
            DataError: the duration is no whole number of bins.
        """
        bins = round(duration_s / bin_s)
        if bins < 1 or abs(bins * bin_s - duration_s) > 1e-6 * bin_s:
            raise DataError(
                f"ModulatedTraceModel: duration_s must be a whole number of bins of {bin_s:g} s, "
                f"got {duration_s:g}"
            )
        noise = rng.gamma(self.noise_shape, 1.0 / self.noise_shape, bins)
        mean = self.rates(duration_s, bin_s, rng) * noise * bin_s
        counts = rng.poisson(mean).astype(np.float64)
        return Trace(name, 0.0, bin_s, bin_s * np.arange(bins + 1.0), counts / bin_s)

    def profile(self, times_s: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the daily profile of the log rate, relative to ``level_rps``."""
        order = np.arange(1, len(self.cosine) + 1)
        angle = 2.0 * np.pi * np.outer(times_s, order) / _DAY_S
        return np.asarray(np.cos(angle) @ self.cosine + np.sin(angle) @ self.sine)

    def _drift(self, minutes: int, rng: np.random.Generator) -> NDArray[np.float64]:
        from scipy.signal import lfilter

        warm_up = 2880
        noise = rng.normal(0.0, self.innovation_sd, warm_up + minutes)
        drift = lfilter([1.0], np.concatenate([[1.0], -self.autoregression]), noise)
        return np.asarray(drift[warm_up:], dtype=np.float64)


def read_model(path: str | Path) -> ModulatedTraceModel:
    """Read a model from the ``model`` entry of a YAML file, such as ``traces/sample.yaml``.

    Raises:
        DataError: the file is missing or no YAML, or a key is missing, unknown or no number.
    """
    import yaml

    resolved = resolve_data_path(path)
    if not resolved.is_file():
        raise DataError(f"{path}: no such file; expected a model in YAML")
    try:
        document = yaml.safe_load(resolved.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise DataError(f"{path}: cannot be read as YAML: {str(error).splitlines()[0]}") from None
    if not isinstance(document, Mapping) or not isinstance(document.get("model"), Mapping):
        raise DataError(f"{path}: expected an entry 'model' with named values")
    try:
        return _from_document(dict(document["model"]))
    except DataError as error:
        raise DataError(f"{path}: model: {error}") from None


def _from_document(document: dict[str, Any]) -> ModulatedTraceModel:
    bursts = document.pop("bursts", [])
    values = _checked(document, [f.name for f in fields(ModulatedTraceModel) if f.name != "bursts"])
    if not isinstance(bursts, list):
        raise DataError(f"bursts must be a list, got {bursts!r}")
    names = [f.name for f in fields(BurstClock)]
    clocks = tuple(BurstClock(**_checked(entry, names)) for entry in bursts)
    return ModulatedTraceModel(**values, bursts=clocks)


def _checked(document: Any, names: list[str]) -> dict[str, Any]:
    if not isinstance(document, Mapping) or set(document) != set(names):
        got = sorted(map(str, document)) if isinstance(document, Mapping) else document
        raise DataError(f"expected the keys {', '.join(names)}, got {got}")
    lists = {"cosine", "sine", "autoregression", "probability"}
    for name in names:
        value = document[name]
        parts = value if name in lists and isinstance(value, list) else [value]
        if (name in lists) != isinstance(value, list) or not all(
            isinstance(part, int | float) for part in parts
        ):
            wanted = "a list of numbers" if name in lists else "a number"
            raise DataError(f"{name} must be {wanted}, got {value!r}")
    return dict(document)
