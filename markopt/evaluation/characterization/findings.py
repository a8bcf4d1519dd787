"""MArk's findings as statements that the measured rows decide: holds, fails, not decided.

Every finding is a list of comparisons between two sides. A side is the best of some rows, by cost
or by time to scale. Figures that are not assumed go first; a side that has assumed ones alone
decides nothing, whatever it indicates.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from markopt.evaluation.characterization.options import CPU
from markopt.evaluation.characterization.study import Row

Verdict = Literal["holds", "fails", "not decided"]
NO_DATA = "no such platform, or none that meets the SLO"
ASSUMED = "rests on assumed figures alone"


@dataclass(frozen=True)
class Side:
    """One side of a comparison: the best row there is, and the value that it has."""

    label: str
    value: float
    confidence: str
    platform: str
    purchase: str
    batch_size: int
    load: str

    @property
    def known(self) -> bool:
        """True where the value does not rest on an assumption."""
        return self.confidence != "assumed"


@dataclass(frozen=True)
class Claim:
    """The claim that ``less`` has the smaller value of the two; None where there is no row for it.

    ``indicated`` tells what the values say, assumed ones included.
    """

    text: str
    unit: str
    less: Side | None
    more: Side | None

    @property
    def indicated(self) -> bool | None:
        """Whether the values agree with the claim; None without values."""
        if self.less is None or self.more is None:
            return None
        return self.less.value < self.more.value

    @property
    def verdict(self) -> Verdict:
        """Whether the claim holds, if both sides are known."""
        if self.less is None or self.more is None or not (self.less.known and self.more.known):
            return "not decided"
        return "holds" if self.indicated else "fails"

    @property
    def reason(self) -> str:
        """Return why nothing is decided, or an empty text."""
        if self.less is None or self.more is None:
            return NO_DATA
        return "" if self.less.known and self.more.known else ASSUMED


@dataclass(frozen=True)
class Finding:
    """A finding of MArk's on one catalogue: it fails with any claim, and holds with all."""

    key: str
    catalog: str
    statement: str
    rule: str
    claims: tuple[Claim, ...]
    figures: dict[str, float | None]

    @property
    def verdict(self) -> Verdict:
        """The verdict over all claims."""
        verdicts = {claim.verdict for claim in self.claims}
        if "fails" in verdicts:
            return "fails"
        return "not decided" if "not decided" in verdicts or not verdicts else "holds"

    @property
    def reason(self) -> str:
        """Return why nothing is decided, or an empty text."""
        if self.verdict != "not decided":
            return ""
        return ", ".join(dict.fromkeys(c.reason for c in self.claims if c.reason)) or NO_DATA

    @property
    def rests_on(self) -> tuple[str, ...]:
        """Platforms whose rows were compared."""
        sides = [s for c in self.claims for s in (c.less, c.more) if s is not None]
        return tuple(dict.fromkeys(side.platform for side in sides))


def judge(rows: Sequence[Row]) -> tuple[Finding, ...]:
    """Return MArk's five findings for every catalogue among the rows, in order."""
    findings: list[Finding] = []
    for catalog in dict.fromkeys(row.catalog for row in rows):
        some = [row for row in rows if row.catalog == catalog]
        findings += [rule(catalog, some) for rule in _RULES]
    return tuple(findings)


def _cost(row: Row) -> tuple[float | None, str]:
    return row.usd_per_million, row.confidence


def _ready(row: Row) -> tuple[float | None, str]:
    return row.ready_s, row.ready_confidence


def _best(
    label: str, rows: Sequence[Row], value_of: Callable[[Row], tuple[float | None, str]] = _cost
) -> Side | None:
    """Return the least value among rows that are known, or else among the assumed ones."""
    sides = [
        Side(label, value, known, row.platform, row.purchase, row.batch_size, row.load)
        for row in rows
        for value, known in (value_of(row),)
        if value is not None
    ]
    return min(sides, key=lambda side: (not side.known, side.value), default=None)


def _pick(
    rows: Sequence[Row], load: str, *, models: Sequence[str] = ("IaaS", "CaaS", "FaaS")
) -> list[Row]:
    """Return rows at a load that meet the SLO and are bought without spot or burstable discount."""
    return [
        row
        for row in rows
        if row.load == load
        and row.meets_slo
        and row.model in models
        and row.purchase not in ("spot", "burstable")
    ]


def _small_cpu(catalog: str, rows: Sequence[Row]) -> Finding:
    pooled = [row for row in _pick(rows, "pool", models=("IaaS",)) if row.processor == CPU]
    known = _size_claims([row for row in pooled if row.confidence != "assumed"])
    return Finding(
        key="small_cpu",
        catalog=catalog,
        statement="Small CPU instances are cheaper per request than large ones.",
        rule="In each family the smallest size that meets the SLO costs less per request than any "
        "larger one, on demand, in a pool at high load, each with its best batch. Assumed sizes "
        "count where there are no others.",
        claims=known or _size_claims(pooled),
        figures=_alone(rows),
    )


def _size_claims(pooled: Sequence[Row]) -> tuple[Claim, ...]:
    """Return the claim that the smallest size is the cheapest, against each larger size."""
    claims: list[Claim] = []
    for family in dict.fromkeys(row.family for row in pooled):
        sizes: dict[float, list[Row]] = {}
        for row in pooled:
            if row.family == family and row.vcpus is not None:
                sizes.setdefault(row.vcpus, []).append(row)
        vcpus = sorted(sizes)
        for larger in vcpus[1:]:
            small, large = _best("small", sizes[vcpus[0]]), _best("large", sizes[larger])
            text = (
                f"{small and small.platform} costs less per request than {large and large.platform}"
            )
            claims.append(Claim(text, "USD per million", small, large))
    return tuple(claims)


def _alone(rows: Sequence[Row]) -> dict[str, float | None]:
    """Return what a CPU instance that serves alone costs per million, at its best batch."""
    alone = [row for row in _pick(rows, "one", models=("IaaS",)) if row.processor == CPU]
    found: dict[str, float | None] = {}
    for platform in dict.fromkeys(row.platform for row in alone):
        side = _best(platform, [row for row in alone if row.platform == platform])
        found[f"{platform}_alone_usd_per_million"] = side.value if side else None
    return found


def _gpu(catalog: str, rows: Sequence[Row]) -> Finding:
    def sides(load: str) -> tuple[list[Row], list[Row]]:
        instances = _pick(rows, load, models=("IaaS",))
        return (
            [row for row in instances if row.processor == CPU],
            [row for row in instances if row.processor != CPU],
        )

    (cpu_low, gpu_low), (cpu, gpu) = sides("low"), sides("pool")
    unbatched = _best("GPU, unbatched", [row for row in gpu if row.batch_size == 1])
    batched = _best("GPU, batched", [row for row in gpu if row.batch_size > 1])
    best_cpu = _best("CPU", cpu)
    unit = "USD per million"
    break_even_rps = None
    if best_cpu is not None and batched is not None:
        row = _row_of(gpu, batched)
        rent_usd_per_s = batched.value / 1e6 * row.rate_rps / row.instances
        enough_rps = rent_usd_per_s / (best_cpu.value / 1e6)
        # One GPU instance must be able to serve it.
        break_even_rps = enough_rps if enough_rps <= row.rate_rps / row.instances else None
    return Finding(
        key="gpu",
        catalog=catalog,
        statement="A GPU pays off only with batching and enough load.",
        rule="The cheapest GPU instance costs more per request than the cheapest CPU instance at "
        "low load, and in a pool at high load without batching; with batching it costs less there. "
        "On demand; accelerators of all kinds count as GPU.",
        claims=(
            Claim(
                "at low load the CPU is cheaper",
                unit,
                _best("CPU", cpu_low),
                _best("GPU", gpu_low),
            ),
            Claim("at high load the CPU beats the unbatched GPU", unit, best_cpu, unbatched),
            Claim("at high load the batched GPU beats the CPU", unit, batched, best_cpu),
        ),
        figures={"gpu_break_even_rps": break_even_rps},
    )


def _row_of(rows: Sequence[Row], side: Side) -> Row:
    return next(
        row for row in rows if (row.platform, row.batch_size) == (side.platform, side.batch_size)
    )


def _models(rows: Sequence[Row], load: str) -> dict[str, Side | None]:
    return {m: _best(m, _pick(rows, load, models=(m,))) for m in ("IaaS", "CaaS", "FaaS")}


def _cost_order(catalog: str, rows: Sequence[Row]) -> Finding:
    high, low = _models(rows, "pool"), _models(rows, "low")
    unit = "USD per million"
    return Finding(
        key="cost_order",
        catalog=catalog,
        statement="Cost per request: IaaS < CaaS < FaaS.",
        rule="In a pool at high load the cheapest on-demand instance costs less per request than "
        "the cheapest container, and that less than the cheapest function, each with its best "
        "batch.",
        claims=(
            Claim("IaaS costs less than CaaS", unit, high["IaaS"], high["CaaS"]),
            Claim("CaaS costs less than FaaS", unit, high["CaaS"], high["FaaS"]),
            Claim("IaaS costs less than FaaS", unit, high["IaaS"], high["FaaS"]),
        ),
        figures={
            f"low_load_{model.lower()}_usd_per_million": side.value if side else None
            for model, side in low.items()
        },
    )


def _ready_sides(rows: Sequence[Row]) -> dict[str, Side | None]:
    return {
        model: _best(model, _pick(rows, "low", models=(model,)), _ready)
        for model in ("IaaS", "CaaS", "FaaS")
    }


def _fastest(catalog: str, rows: Sequence[Row]) -> Finding:
    ready = _ready_sides(rows)
    others = [side.value for side in (ready["IaaS"], ready["CaaS"]) if side is not None]
    return Finding(
        key="fastest_to_scale",
        catalog=catalog,
        statement="Functions scale fastest.",
        rule="The shortest cold start of a function that meets the SLO once warm is shorter than "
        "the shortest launch of a container and of an instance.",
        claims=(
            Claim("FaaS is ready before CaaS", "s", ready["FaaS"], ready["CaaS"]),
            Claim("FaaS is ready before IaaS", "s", ready["FaaS"], ready["IaaS"]),
        ),
        figures={"holds_for_cold_starts_below_s": min(others, default=None)},
    )


def _best_ratio(catalog: str, rows: Sequence[Row]) -> Finding:
    high, ready = _models(rows, "pool"), _ready_sides(rows)
    unit = "USD per million"
    return Finding(
        key="iaas_ratio",
        catalog=catalog,
        statement="IaaS has the best performance-cost ratio but is slow to launch.",
        rule="In a pool at high load instances serve the most requests within the SLO per USD, and "
        "a container and a function are ready sooner.",
        claims=(
            Claim("IaaS serves more per USD than CaaS", unit, high["IaaS"], high["CaaS"]),
            Claim("IaaS serves more per USD than FaaS", unit, high["IaaS"], high["FaaS"]),
            Claim("CaaS is ready before IaaS", "s", ready["CaaS"], ready["IaaS"]),
            Claim("FaaS is ready before IaaS", "s", ready["FaaS"], ready["IaaS"]),
        ),
        figures={
            f"{model.lower()}_requests_per_usd": 1e6 / side.value if side else None
            for model, side in high.items()
        },
    )


_RULES: tuple[Callable[[str, Sequence[Row]], Finding], ...] = (
    _small_cpu,
    _gpu,
    _cost_order,
    _fastest,
    _best_ratio,
)


def as_document(finding: Finding) -> dict[str, Any]:
    """Return a finding as plain data, verdicts included."""

    def side(entry: Side | None) -> dict[str, Any] | None:
        if entry is None:
            return None
        return {
            "label": entry.label,
            "value": entry.value,
            "confidence": entry.confidence,
            "platform": entry.platform,
            "purchase": entry.purchase,
            "batch_size": entry.batch_size,
            "load": entry.load,
        }

    return {
        "key": finding.key,
        "catalog": finding.catalog,
        "statement": finding.statement,
        "rule": finding.rule,
        "verdict": finding.verdict,
        "reason": finding.reason,
        "rests_on": list(finding.rests_on),
        "claims": [
            {
                "text": claim.text,
                "unit": claim.unit,
                "less": side(claim.less),
                "more": side(claim.more),
                "indicated": claim.indicated,
                "verdict": claim.verdict,
                "reason": claim.reason,
            }
            for claim in finding.claims
        ],
        "figures": finding.figures,
    }
