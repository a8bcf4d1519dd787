"""The load of the past days as a trace: ``python -m markopt.cloud.aws.history NAME DAYS FILE``."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from markopt.cloud.aws.balancer import find_balancer
from markopt.cloud.aws.load import LoadMetrics
from markopt.cloud.aws.opening import load_names, new_calls
from markopt.cloud.aws.settings import AwsCloud
from markopt.errors import ConfigError, DataError, MarkoptError

_LONGEST_DAYS = 15.0
_DAY_S = 86400.0


def write_history(cloud: AwsCloud, name: str, path: Path, *, days: float, now_s: float) -> int:
    """Write the requests by period of a deployment's load balancer; return how many periods.

    The file is a trace: ``second,requests``, seconds since the epoch. Periods without data are left
    out, which ``workload.gaps`` deals with.

    Raises:
        ConfigError: there is no such load balancer, or CloudWatch does not reach back so far.
        DataError: it has no data, or the file cannot be written.
        BackendError: AWS refuses or does not answer.
    """
    if not 0.0 < days <= _LONGEST_DAYS:
        raise ConfigError(
            f"days: CloudWatch keeps minutes for {_LONGEST_DAYS:g} days, expected up to that many, "
            f"got {days:g}"
        )
    calls = new_calls(cloud, np.random.default_rng(0))
    names = load_names(find_balancer(calls, name, with_functions=False))
    load = LoadMetrics(calls, names, cloud.load, rt_max_s=1.0, start_s=now_s)
    period_s = cloud.load.period_s
    last = int((now_s - cloud.load.delay_s) // period_s)
    rows = []
    for first in range(last - int(days * _DAY_S // period_s), last, 1440):
        counts = load.read(first, min(first + 1440, last))
        rows += [
            f"{(first + place) * period_s},{found['arrivals']}"
            for place, found in enumerate(counts)
            if found is not None
        ]
    if not rows:
        raise DataError(f"'{name}': CloudWatch has no load of the last {days:g} days")
    partial = path.with_name(f".{path.name}.partial")
    try:
        partial.write_text("\n".join(["second,requests", *rows, ""]), encoding="utf-8")
        partial.replace(path)
    except OSError as error:
        raise DataError(f"Trace '{path}': must be writable, got {error.strerror}") from None
    return len(rows)


def _region() -> str:
    """Return the region that boto3 is configured for."""
    import boto3

    return str(boto3.Session().region_name or AwsCloud().region)


def main(arguments: Sequence[str]) -> str:
    """Carry out the command line; return what to say, or raise ``SystemExit`` with the reason."""
    try:
        name, days, path = arguments
        periods = write_history(
            AwsCloud(region=_region()), name, Path(path), days=float(days), now_s=time.time()
        )
    except ValueError:
        raise SystemExit("expected NAME DAYS FILE, DAYS a number") from None
    except MarkoptError as error:
        raise SystemExit(str(error)) from None
    return f"{path}: {periods} periods"


if __name__ == "__main__":
    sys.stdout.write(f"{main(sys.argv[1:])}\n")
