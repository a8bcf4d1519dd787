"""Structured logs: one JSON object per line, without secrets."""

from __future__ import annotations

import json
import logging
import re
import sys
import time
from pathlib import Path
from typing import Any, TextIO, final

from markopt.control.journal import Carried
from markopt.control.record import IntervalRecord
from markopt.core import Observation
from markopt.deployment.session import Outcome, Start
from markopt.errors import ConfigError

_SECRETS = re.compile(
    r"\b(?:AKIA|ASIA)[0-9A-Z]{12,}\b"
    r"|(?i:(?<=signature=)|(?<=security-token=)|(?<=credential=))[^&\s\"']+"
    r"|(?i:(?<=secret_access_key[=:])|(?<=session_token[=:])|(?<=password[=:]))\s*[^&\s\"']+"
    r"|(?<=://)[^/@\s]+(?=@)"
)


def redacted(text: str) -> str:
    """Return a text without what looks like a credential."""
    return _SECRETS.sub("[redacted]", text)


@final
class JsonLog(logging.Handler):
    """Writes events, and what markopt's loggers say, as JSON lines to a file or standard error.

    ``target``: a file's path, to which is appended; ``-``: standard error.

    Raises:
        ConfigError: the file cannot be written.
    """

    def __init__(self, target: str, name: str) -> None:
        super().__init__(logging.INFO)
        self._name = name
        self._stream: TextIO = sys.stderr
        self._own = target != "-"
        if self._own:
            try:
                self._stream = Path(target).open("a", encoding="utf-8")  # noqa: SIM115 - closed by close()
            except OSError as error:
                raise ConfigError(f"deploy.log: '{target}' must be writable, {error}") from None
        self._logger = logging.getLogger("markopt")
        self._logger.addHandler(self)

    def write(self, event: str, time_s: float | None, **fields: Any) -> None:
        """Write one event; ``time_s`` is the deployment's time."""
        line = {"unix_s": round(time.time(), 3), "deployment": self._name, "event": event}
        if time_s is not None:
            line["time_s"] = time_s
        text = json.dumps({**line, **fields}, default=str, ensure_ascii=False)
        self._stream.write(redacted(text) + "\n")
        self._stream.flush()

    def emit(self, record: logging.LogRecord) -> None:
        """Write what a logger says."""
        self.write(
            "log", None, level=record.levelname, logger=record.name, text=record.getMessage()
        )

    def close(self) -> None:
        """Write no more."""
        self._logger.removeHandler(self)
        if self._own and not self._stream.closed:
            self._stream.close()
        super().close()

    # --- what a deployment tells ---

    def started(self, start: Start) -> None:
        """Say how the process begins."""
        self.write("start", start.now_s, epoch=start.epoch, resumed=start.resumed, why=start.why)

    def observed(self, seen: Observation) -> None:
        """Say what the cloud showed."""
        states: dict[str, int] = {}
        for instance in seen.instances:
            states[instance.state.value] = states.get(instance.state.value, 0) + 1
        self.write(
            "observation",
            seen.time_s,
            instances=states,
            arrivals=int(seen.arrivals.sum()),
            late=int(seen.late.sum()),
            refused=int(seen.refused.sum()),
            spilled=int(seen.spilled.sum()),
            bill_usd=seen.bill_usd,
        )

    def carried(self, carried: Carried) -> None:
        """Say what was decided, why, and what became of it."""
        wanted, report = carried.wanted, carried.report
        self.write(
            "decision",
            carried.time_s,
            kind=carried.kind,
            mode=carried.mode,
            decision_id=wanted.decision_id,
            reason=wanted.reason,
            launch=wanted.launch,
            terminate=list(wanted.terminate),
            warm_functions=wanted.warm_functions,
            function_share=wanted.function_share,
            cuts=[{"rule": cut.rule, "text": cut.text} for cut in carried.cuts],
            launched={offer: list(ids) for offer, ids in report.launched.items()},
            terminated=list(report.terminated),
            refused=list(report.refused),
        )

    def interval(self, record: IntervalRecord) -> None:
        """Say what came of an interval."""
        self.write(
            "interval",
            record.end_s,
            start_s=record.start_s,
            arrivals=record.arrivals,
            late=record.late,
            refused=record.refused,
            spilled=record.spilled,
            forecast_mean_rps=record.forecast_mean_rps,
            ready=record.ready,
            bill_usd=record.bill_usd,
            plan_wall_s=record.plan_wall_s,
        )

    def trouble(self, text: str) -> None:
        """Say that the cloud did not answer."""
        self.write("trouble", None, text=text)

    def ended(self, outcome: Outcome) -> None:
        """Say how the process ends."""
        self.write("end", None, ending=outcome.ending, intervals=outcome.intervals)
