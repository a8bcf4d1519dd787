"""What each risk measure promises, and what it keeps under the distribution that paths came from.

    python benchmarks/promises.py [FILE]

Draws problems whose paths come from a known distribution, takes the fleet that just meets each
measure's level in the first interval that a launch of now can reach, and computes how likely that
is too little under the true distribution. Writes a table to FILE (benchmarks/results/promises.md).
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
from scipy import stats

from markopt.core import (
    Batching,
    FleetState,
    Forecast,
    Offer,
    Problem,
    PurchaseOption,
    RequiredThroughput,
    Service,
    Slo,
    ThroughputCurve,
)
from markopt.planning.statement import Formulation, Risk

FAMILIES = {
    "normal": stats.norm(200.0, 30.0),
    "lognormal": stats.lognorm(0.4, scale=200.0),
    "uniform": stats.uniform(100.0, 200.0),
}
REACHED = 2  # launches take two intervals
OFFER = Offer(
    name="small",
    instance_type="small",
    purchase=PurchaseOption.ON_DEMAND,
    pool="small/a",
    vcpus=2.0,
    price_usd_per_s=2e-5,
    saturation_rps=30.0,
    batching=Batching(),
    service_times_s=(0.03,),
    launch_delay_s=100.0,
)
# Q(D) = D + 2 sqrt(D) between knots: rises with D, so that quantiles of one are those of the other.
KNOTS = np.concatenate([[0.0], np.geomspace(1.0, 5000.0, 60)])
CURVE = ThroughputCurve(KNOTS, KNOTS + 2.0 * np.sqrt(KNOTS))


def drawn_problem(family: str, samples: int, rng: np.random.Generator) -> Problem:
    """Return a problem whose paths are drawn from the family, each interval anew."""
    paths = np.maximum(FAMILIES[family].rvs((samples, REACHED + 1), random_state=rng), 0.0)
    return Problem(
        time_s=0.0,
        interval_s=60.0,
        service=Service("drawn", Slo(rt_max_s=0.2, sl_min=0.98)),
        offers=(OFFER,),
        function=None,
        fleet=FleetState(),
        forecast=Forecast.equally_likely(0.0, 60.0, paths),
        required_throughput=RequiredThroughput({"small": CURVE}),
    )


def realised(
    risk: Risk, family: str, problems: int, samples: int, *, whole: bool = False, seed: int = 0
) -> np.ndarray:
    """Return, per problem, the true probability that less serves than is required.

    What serves is the level itself, or with ``whole`` the least whole number of instances above.
    """
    rng = np.random.default_rng(seed)
    formulation = Formulation(window=None, risk=risk)
    found = np.zeros(problems)
    for number in range(problems):
        problem = drawn_problem(family, samples, rng)
        statement = formulation.state(problem, problem.offers, {"small": 1.0})
        throughput = float(statement.levels_rps[0, REACHED])
        if whole:
            throughput = OFFER.saturation_rps * np.ceil(throughput / OFFER.saturation_rps - 1e-9)
        found[number] = FAMILIES[family].sf(CURVE.carried(throughput))
    return found


MEASURES = (
    ("quantile", Risk(measure="quantile", violation_share=0.05), "the sample"),
    ("saa, confidence 0", Risk(measure="saa", violation_share=0.05, confidence=0.0), "the sample"),
    ("saa, confidence 0.95", Risk(measure="saa", violation_share=0.05), "any, in 95 % of samples"),
    ("cvar", Risk(measure="cvar", violation_share=0.05), "the sample"),
    ("gaussian", Risk(measure="gaussian", violation_share=0.05), "normal ones, about"),
    (
        "wasserstein, radius 1 %",
        Risk(measure="wasserstein", violation_share=0.05),
        "any within the radius",
    ),
    (
        "wasserstein, radius 2 %",
        Risk(measure="wasserstein", violation_share=0.05, radius_share=0.02),
        "any within the radius",
    ),
)


def main(path: Path, problems: int = 1000, samples: int = 100) -> None:
    """Write the table."""
    lines = [
        "# What risk measures promise and keep",
        "",
        f"`python benchmarks/promises.py`: {problems} problems of {samples} paths each; the promise"
        " is P(requirement > what serves) <= 5 % in the first interval a launch of now reaches. "
        "Mean: of the true probability over problems, for the level itself and for the least whole "
        "number of instances (30 requests/s each) above it. Broken: share of problems in which the "
        "level's true probability exceeds 5 %, with its 95 % Clopper-Pearson interval.",
        "",
        "| demand | measure | promise holds for | mean | mean, whole | broken | interval |",
        "|---|---|---|---|---|---|---|",
    ]
    for family in FAMILIES:
        for name, risk, promise in MEASURES:
            violation = realised(risk, family, problems, samples)
            whole = realised(risk, family, problems, samples, whole=True)
            broken = int((violation > 0.05 + 1e-12).sum())
            low, high = stats.binomtest(broken, problems).proportion_ci()
            lines.append(
                f"| {family} | {name} | {promise} | {violation.mean():.2%} | {whole.mean():.2%} | "
                f"{broken / problems:.1%} | {low:.1%} to {high:.1%} |"
            )
    path.parent.mkdir(exist_ok=True)
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    print("\n".join(lines))


if __name__ == "__main__":
    here = Path(__file__).parent / "results" / "promises.md"
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else here)
