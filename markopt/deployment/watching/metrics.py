"""Prometheus metrics of a deployment, served at ``/metrics``."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Any, final

from markopt.control.journal import Carried
from markopt.control.record import IntervalRecord
from markopt.core import InstanceState, Observation
from markopt.errors import ConfigError

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry

PREFIX = "markopt_"
PLAN_BUCKETS_S = (0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0)


@final
class Metrics:
    """Metrics of one deployment, in a registry of their own; every one has the label ``name``.

    Raises:
        ConfigError: prometheus-client is not installed.
    """

    def __init__(self, name: str, mode: str) -> None:
        client = _client()
        self.registry: CollectorRegistry = client.CollectorRegistry()
        self._name = name

        def gauge(key: str, text: str, *labels: str) -> Any:
            return client.Gauge(PREFIX + key, text, ["name", *labels], registry=self.registry)

        def counter(key: str, text: str, *labels: str) -> Any:
            return client.Counter(PREFIX + key, text, ["name", *labels], registry=self.registry)

        self._load = gauge("load_rps", "Requests per second in the last interval")
        self._forecast = gauge("forecast_rps", "Forecast of the interval that ended", "level")
        self._requests = counter("requests", "Requests seen, by what became of them", "outcome")
        self._instances = gauge("instances", "Instances by offer and state", "offer", "state")
        self._warm = gauge("warm_functions", "Functions kept warm")
        self._bill = gauge("bill_usd", "Billed so far")
        self._attainment = gauge("attainment_share", "In time, of the last interval's requests")
        self._spill = gauge("spill_share", "Sent to functions, of the last interval's requests")
        self._decisions = counter("decisions", "Decisions by what made them", "kind")
        self._launches = counter("launches", "Instances launched", "offer")
        self._ends = counter("terminations", "Instances told to end")
        self._refusals = counter("refusals", "What cloud or guard rails refused")
        self._cuts = counter("guard_cuts", "Refusals of guard rails", "rule")
        self._frozen = gauge("scale_in_frozen", "1 while missing data forbids terminations")
        self._gap = gauge("plan_gap_share", "Proven gap of the last plan")
        self._plan = client.Histogram(
            PREFIX + "plan_seconds",
            "Time that planning took",
            ["name"],
            registry=self.registry,
            buckets=PLAN_BUCKETS_S,
        )
        self._seen_at = gauge("observed_timestamp_seconds", "When the cloud was last seen")
        self._decided_at = gauge("decided_timestamp_seconds", "When the last decision was made")
        self._troubles = counter("troubles", "Times that the cloud did not answer")
        gauge("mode", "1 for the mode that runs", "mode").labels(name, mode).set(1)
        self._troubles.labels(name)
        self._ends.labels(name)
        self._refusals.labels(name)

    def observed(self, seen: Observation) -> None:
        """Take in what the cloud showed."""
        name = self._name
        for outcome in ("arrivals", "spilled", "late", "refused"):
            self._requests.labels(name, outcome).inc(int(getattr(seen, outcome).sum()))
        counts: dict[tuple[str, str], int] = {}
        for instance in seen.instances:
            state = "noticed" if instance.notice else instance.state.value
            counts[instance.offer, state] = counts.get((instance.offer, state), 0) + 1
        self._instances.clear()
        for (offer, state), count in counts.items():
            self._instances.labels(name, offer, state).set(count)
        if not counts:
            self._instances.labels(name, "", InstanceState.READY.value).set(0)
        self._warm.labels(name).set(seen.warm_functions)
        self._bill.labels(name).set(seen.bill_usd)
        self._seen_at.labels(name).set(time.time())

    def carried(self, carried: Carried) -> None:
        """Take in a decision and what became of it."""
        name = self._name
        self._decisions.labels(name, carried.kind).inc()
        for offer, ids in carried.report.launched.items():
            self._launches.labels(name, offer).inc(len(ids))
        self._ends.labels(name).inc(len(carried.report.terminated))
        self._refusals.labels(name).inc(len(carried.report.refused))
        for cut in carried.cuts:
            self._cuts.labels(name, cut.rule).inc()
        self._decided_at.labels(name).set(time.time())

    def interval(self, record: IntervalRecord) -> None:
        """Take in what came of an interval."""
        name, arrivals = self._name, record.arrivals
        self._load.labels(name).set(arrivals / (record.end_s - record.start_s))
        for level in ("mean", "p05", "p50", "p95"):
            self._forecast.labels(name, level).set(getattr(record, f"forecast_{level}_rps"))
        missed = record.late + record.refused
        share = 1.0 - missed / arrivals if arrivals else 1.0
        self._attainment.labels(name).set(max(share, 0.0))
        self._spill.labels(name).set(record.spilled / arrivals if arrivals else 0.0)
        self._frozen.labels(name).set(int(record.scale_in_frozen))
        if record.plan.gap is not None:
            self._gap.labels(name).set(record.plan.gap)
        self._plan.labels(name).observe(record.plan_wall_s)

    def trouble(self, _: str) -> None:
        """Take in that the cloud did not answer."""
        self._troubles.labels(self._name).inc()


@final
class MetricsServer:
    """Serves metrics over HTTP; by default to this machine alone.

    Raises:
        ConfigError: the address cannot be bound to.
    """

    def __init__(self, metrics: Metrics, port: int, host: str) -> None:
        client = _client()
        try:
            self._server, self._thread = client.start_http_server(
                port, addr=host, registry=metrics.registry
            )
        except OSError as error:
            raise ConfigError(
                f"deploy.metrics_port: {host}:{port} cannot be served, {error.strerror or error}"
            ) from None
        self.port = int(self._server.server_port)

    def close(self) -> None:
        """Serve no more."""
        self._server.shutdown()
        self._server.server_close()
        thread: threading.Thread = self._thread
        thread.join()


def _client() -> Any:
    try:
        import prometheus_client
    except ImportError:
        raise ConfigError(
            "deploy.metrics_port: needs prometheus-client; pip install 'markopt[watch]'"
        ) from None
    return prometheus_client
