"""Profile files: service times by batch size and platform, and the book that they make up."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace
from itertools import accumulate, pairwise
from pathlib import Path
from typing import Annotated, Literal, Self, final

from pydantic import Field, model_validator

from markopt.catalog.document import (
    Count,
    Positive,
    Section,
    Sourced,
    Text,
    read_document,
)
from markopt.catalog.lookup import unknown_name
from markopt.catalog.terms import Confidence
from markopt.core import Profile
from markopt.errors import CatalogError, DataError
from markopt.resources import resolve_data_path

Dispersion = Annotated[float, Field(ge=0.0, lt=1.0, allow_inf_nan=False, strict=True)]
Curve = Annotated[tuple[Positive, ...], Field(min_length=1)]


class _Dispersion(Sourced):
    service_time_cv: Dispersion


class _Entry(Sourced):
    batch_sizes: Annotated[tuple[Count, ...], Field(min_length=1)] | None = None
    service_times_ms: Curve | None = None
    capacity_per_min: Curve | None = None
    scaled_from: Text | None = None
    time_factor: Positive | None = None
    servers: Count | None = None
    service_time_cv: Dispersion | None = None

    @model_validator(mode="after")
    def _one_form(self) -> Self:
        if self.scaled_from is not None:
            self._check_scaling()
        else:
            self._check_curve()
        return self

    def _check_scaling(self) -> None:
        if self.time_factor is None:
            raise ValueError(
                f"time_factor: required where scaled_from is given, got scaled_from "
                f"'{self.scaled_from}' alone"
            )
        for key in ("batch_sizes", "service_times_ms", "capacity_per_min"):
            if getattr(self, key) is not None:
                raise ValueError(
                    f"{key}: must be absent where scaled_from is given, "
                    f"got {list(getattr(self, key))}"
                )

    def _check_curve(self) -> None:
        if self.time_factor is not None:
            raise ValueError(
                f"time_factor: must be absent without scaled_from, got {self.time_factor}"
            )
        present = sorted(self.model_fields_set)
        if self.batch_sizes is None:
            raise ValueError(f"batch_sizes: required key is missing, got {present}")
        if (self.service_times_ms is None) == (self.capacity_per_min is None):
            raise ValueError(
                f"service_times_ms: either this or capacity_per_min must be given, got {present}"
            )
        sizes = list(self.batch_sizes)
        if any(small >= large for small, large in pairwise(sizes)):
            raise ValueError(f"batch_sizes: must rise, got {sizes}")
        curve = self.service_times_ms or self.capacity_per_min or ()
        if len(curve) != len(sizes):
            raise ValueError(
                f"batch_sizes: needs one figure for each, got {len(curve)} figures for {sizes}"
            )

    def service_times_s(self) -> tuple[float, ...]:
        """Return the time of a batch at each of ``batch_sizes``."""
        if self.service_times_ms is not None:
            return tuple(time / 1000.0 for time in self.service_times_ms)
        servers = self.servers or 1
        return tuple(
            60.0 * batch * servers / capacity
            for batch, capacity in zip(
                self.batch_sizes or (), self.capacity_per_min or (), strict=True
            )
        )


class _ProfileFile(Section):
    service: Text
    framework: Text
    description: Text | None = None
    sources: dict[Text, Text] | None = None
    dispersion: _Dispersion | None = None
    entries: Annotated[dict[Text, _Entry], Field(min_length=1)]

    @model_validator(mode="after")
    def _complete(self) -> Self:
        for platform, entry in self.entries.items():
            base = self.entries.get(entry.scaled_from) if entry.scaled_from else None
            if entry.scaled_from and (base is None or base.scaled_from):
                raise ValueError(
                    f"entries.{platform}.scaled_from: must name an entry that has a curve, "
                    f"got '{entry.scaled_from}'"
                )
            inherited = base.service_time_cv if base else None
            if entry.service_time_cv is None and inherited is None and self.dispersion is None:
                raise ValueError(
                    f"entries.{platform}.service_time_cv: required where the file has no "
                    f"dispersion, got {sorted(entry.model_fields_set)}"
                )
        return self


@final
@dataclass(frozen=True)
class ProfileBook:
    """Profiles by service and platform."""

    profiles: dict[str, dict[str, Profile]]

    def services(self) -> list[str]:
        """Return the names of all services, sorted."""
        return sorted(self.profiles)

    def of(
        self, service: str, *, confidences: Collection[Confidence] | None = None
    ) -> dict[str, Profile]:
        """Return the profiles of a service, by platform.

        ``confidences`` keeps only profiles that are known in one of these ways, for claims that
        must not rest on assumptions; None keeps all.

        Raises:
            CatalogError: the service does not exist; the text lists those that do.
        """
        if service not in self.profiles:
            raise CatalogError(unknown_name("Service", service, self.profiles))
        return {
            platform: profile
            for platform, profile in self.profiles[service].items()
            if confidences is None or profile.confidence in confidences
        }


def load_profiles(path_or_folder: str | Path) -> ProfileBook:
    """Return the profiles in a YAML file, or in all ``*.yaml`` files of a folder.

    The name of a file or folder that ships with markopt will do (``profiles``).

    Raises:
        DataError: there is no such file, a key is unknown, missing or given twice, or a value is
            out of range; the text names file, key and value.
    """
    given = resolve_data_path(path_or_folder)
    paths = sorted(given.glob("*.yaml")) if given.is_dir() else [given]
    if not paths:
        raise DataError(f"{given}: must hold at least one *.yaml file, got none")
    profiles: dict[str, dict[str, Profile]] = {}
    origin: dict[str, Path] = {}
    for path in paths:
        document = read_document(path, _ProfileFile, DataError)
        if document.service in origin:
            raise DataError(
                f"{path}: service: must be given by one file alone, got '{document.service}', "
                f"which {origin[document.service]} has too"
            )
        origin[document.service] = path
        profiles[document.service] = _profiles(document)
    return ProfileBook(profiles)


def _profiles(document: _ProfileFile) -> dict[str, Profile]:
    measured = {
        platform: _profile(document, platform, entry)
        for platform, entry in document.entries.items()
        if entry.scaled_from is None
    }
    return {
        platform: measured[platform]
        if entry.scaled_from is None
        else _scaled(document, platform, entry, measured[entry.scaled_from])
        for platform, entry in document.entries.items()
    }


def _profile(document: _ProfileFile, platform: str, entry: _Entry) -> Profile:
    evidence = entry.evidence(document.sources)
    cv, cv_source = _dispersion(document, entry)
    return Profile(
        service=document.service,
        platform=platform,
        batch_sizes=entry.batch_sizes or (),
        service_times_s=entry.service_times_s(),
        servers=entry.servers or 1,
        service_time_cv=cv,
        source=evidence.source + cv_source,
        confidence=evidence.confidence,
    )


def _dispersion(document: _ProfileFile, entry: _Entry) -> tuple[float, str]:
    """Return the coefficient of variation, and its source where that is not the entry's own."""
    if entry.service_time_cv is not None or document.dispersion is None:
        return entry.service_time_cv or 0.0, ""
    evidence = document.dispersion.evidence(document.sources)
    cv = document.dispersion.service_time_cv
    return cv, f"; service_time_cv {cv} {evidence.confidence}: {evidence.source}"


def _scaled(document: _ProfileFile, platform: str, entry: _Entry, base: Profile) -> Profile:
    evidence = entry.evidence(document.sources)
    factor = entry.time_factor or 1.0
    cv = entry.service_time_cv
    return replace(
        base,
        platform=platform,
        service_times_s=tuple(factor * time for time in base.service_times_s),
        servers=base.servers if entry.servers is None else entry.servers,
        service_time_cv=base.service_time_cv if cv is None else cv,
        source=f"{base.platform} x {factor}: {evidence.source}",
        confidence=evidence.confidence,
    )


def monotone_envelope(profile: Profile, side: Literal["upper", "lower"] = "upper") -> Profile:
    """Return the profile with service times that never fall as the batch grows.

    Measured curves need not be monotone. ``upper`` raises a time to the largest at any smaller
    batch (never optimistic); ``lower`` cuts it to the least at any larger batch, which a server
    reaches by padding the batch.
    """
    times = profile.service_times_s
    if side == "upper":
        envelope = tuple(accumulate(times, max))
    elif side == "lower":
        envelope = tuple(accumulate(reversed(times), min))[::-1]
    else:
        raise DataError(f"monotone_envelope: side must be 'upper' or 'lower', got {side!r}")
    return replace(profile, service_times_s=envelope)
