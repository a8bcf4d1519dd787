"""Maximum likelihood of ARIMA models by statsmodels, and the search for their order."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from markopt.errors import DataError
from markopt.forecasting.state_space import Filter, StateSpace

Array = NDArray[np.float64]
Order = tuple[int, int, int]
Seasonal = tuple[int, int, int, int]

_LARGEST = 3  # of p and of q in the search
_FIRST = ((2, 2), (0, 0), (1, 0), (0, 1))  # where Hyndman and Khandakar's search begins
_SEARCHED = 1440  # newest intervals that the search looks at


@dataclass(frozen=True, eq=False)
class FittedArima:
    """Parameters in the order of statsmodels' SARIMAX, and a filter behind the last value."""

    parameters: Array
    filter: Filter
    converged: bool
    aicc: float


def estimated(
    values: Array,
    order: Order,
    seasonal_order: Seasonal,
    start: Array | None,
    max_iterations: int,
) -> FittedArima:
    """Fit to values (n,), NaN where there is no data.

    Raises:
        DataError: no finite parameters were found.
    """
    from statsmodels.tsa.statespace.sarimax import SARIMAX
    from threadpoolctl import threadpool_limits

    # A stationary model needs a level: the window's mean is steadier than a fitted intercept.
    stationary = order[1] + seasonal_order[1] == 0
    level = float(np.nanmean(values)) if stationary else 0.0
    model = SARIMAX(values - level, order=order, seasonal_order=seasonal_order)
    # Its matrices are a few numbers wide: more threads of BLAS only wait for each other, for long.
    with warnings.catch_warnings(), threadpool_limits(limits=1, user_api="blas"):
        # Poor starting values and an early end are routine; ``converged`` tells the latter.
        warnings.simplefilter("ignore")
        result = model.fit(start_params=start, disp=False, maxiter=max_iterations)
    if not np.all(np.isfinite(result.params)):
        raise DataError(
            f"Arima: no finite parameters of order {list(order)} fit {len(values)} intervals; use "
            "a lower order"
        )
    return FittedArima(
        np.asarray(result.params, dtype=np.float64),
        _filter_at_end(result, level),
        bool(result.mle_retvals.get("converged", False)),
        float(result.aicc),
    )


def order_of_least_aicc(values: Array, seasonal_order: Seasonal, max_iterations: int) -> Order:
    """Return (p, d, q): d by repeated KPSS tests, p and q by a stepwise search for the least AICc.

    Hyndman and Khandakar (Journal of Statistical Software 27(3), 2008, section 3.2) with p and q of
    at most three and without their seasonal steps, on the newest 1440 values.
    """
    recent = values[-_SEARCHED:]
    difference = differences_needed(recent)
    criteria: dict[tuple[int, int], float] = {}

    def criterion(p: int, q: int) -> float:
        if (p, q) not in criteria:
            order = (p, difference, q)
            try:
                found = estimated(recent, order, seasonal_order, None, max_iterations)
                criteria[p, q] = found.aicc if np.isfinite(found.aicc) else np.inf
            except (DataError, np.linalg.LinAlgError, ValueError):
                criteria[p, q] = np.inf  # this order cannot be fitted here: another one can
        return criteria[p, q]

    best = min(_FIRST, key=lambda pair: criterion(*pair))
    while True:
        p, q = best
        near = [(p + i, q + j) for i, j in ((1, 0), (-1, 0), (0, 1), (0, -1), (1, 1), (-1, -1))]
        inside = [pair for pair in near if min(pair) >= 0 and max(pair) <= _LARGEST]
        better = min(inside, key=lambda pair: criterion(*pair))
        if criterion(*better) >= criterion(*best):
            return p, difference, q
        best = better


def differences_needed(values: Array, largest: int = 1) -> int:
    """Return how often to difference until the KPSS test no longer rejects a level at 5 %."""
    from statsmodels.tsa.stattools import kpss

    left = values
    for count in range(largest + 1):
        known = left[np.isfinite(left)]
        if count == largest or len(known) < 10 or np.ptp(known) < 1e-12:
            return count
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # p values beyond the table are routine
            if kpss(known, regression="c", nlags="auto")[1] >= 0.05:
                return count
        left = np.diff(left)
    return largest


def require_enough(name: str, values: Array, order: Order, seasonal_order: Seasonal) -> None:
    """Check that there are ten intervals with data per parameter, and two seasons.

    Raises:
        DataError: there are fewer.
    """
    known = int(np.isfinite(values).sum())
    p, d, q = order
    seasonal_p, seasonal_d, seasonal_q, season = seasonal_order
    needed = 10 * (p + q + seasonal_p + seasonal_q + 2)
    needed += d + season * (seasonal_d + 2 if season else 0)
    if known < needed:
        raise DataError(
            f"{name}: order {list(order)} with season {list(seasonal_order)} needs a history of at "
            f"least {needed} intervals with data in its window, got {known}"
        )


def _filter_at_end(result: Any, level: float) -> Filter:
    """Return our filter, standing behind the last interval of a statsmodels fit."""
    matrices = result.model.ssm
    selection = matrices["selection"]
    model = StateSpace(
        design=np.array(matrices["design"][0]),
        transition=np.array(matrices["transition"]),
        noise=np.array(selection @ matrices["state_cov"] @ selection.T),
        state_intercept=np.reshape(matrices["state_intercept"], (len(selection), -1))[:, 0].copy(),
        observation_intercept=level + float(np.ravel(matrices["obs_intercept"])[0]),
        observation_variance=float(np.ravel(matrices["obs_cov"])[0]),
    )
    return Filter(
        model,
        np.array(result.filter_results.predicted_state[:, -1]),
        np.array(result.filter_results.predicted_state_cov[:, :, -1]),
    )
