"""What is counted while the desk works, for /metrics. No member, number, code or order is ever a label.

What the database knows (orders, holds, what waits) is not counted here but read when somebody asks, by
`bot.services.figures`; so those figures outlive a restart, and these begin at nought.
"""

from collections.abc import Mapping
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST

CONTENT_TYPE: Final = CONTENT_TYPE_LATEST

_UNTIL_CODE: Final = (5, 10, 20, 30, 60, 120, 300, 600, 1200)
_UNTIL_PUSHED: Final = (0.05, 0.1, 0.25, 0.5, 1, 2, 5, 10, 30, 60, 300)
_CALL: Final = (0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 20, 45)
_WORDS: Final = frozenset(
    {"", "v1", "balance", "catalog", "countries", "exchange-rate", "operators", "products", "services"}
    | {"orders", "active", "cancel", "create", "finish", "reactivate", "reactivate-options", "resend"}
    | {"webhook", "test"}
)
"""The parts of a path that are the same for everybody; whatever else stands there is somebody's."""


class Metrics:
    """The counters of one desk, in a registry of its own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        self.commands = self._counter("commands", "Commands and buttons, by how they ended", "command", "outcome")
        self.restarts = self._counter("worker_restarts", "Workers that crashed and were started again", "worker")
        self._calls = self._histogram("smscode_call_seconds", "Calls to SMSCode", _CALL, "route", "code")
        self._messages = self._histogram("telegram_call_seconds", "Calls to Telegram", _CALL, "method", "code")
        self.time_to_code = self._histogram("time_to_code_seconds", "From a number to its first code", _UNTIL_CODE)
        self.push_delay = self._histogram("push_delay_seconds", "From seeing a code to its delivery", _UNTIL_PUSHED)
        self._gauges: dict[str, Gauge] = {}

    def called_smscode(self, method: str, path: str, code: str, seconds: float) -> None:
        """Note a call. `code` is the HTTP status, or a word where none came."""
        self._calls.labels(f"{method} {route_of(path)}", code).observe(seconds)

    def called_telegram(self, method: str, code: str, seconds: float) -> None:
        """Note a call of a method of the Bot API."""
        self._messages.labels(method, code).observe(seconds)

    def show(self, name: str, meaning: str, value: float, **labels: str) -> None:
        """Set a gauge; what it is called is the same with every value."""
        gauge = self._gauges.get(name)
        if gauge is None:
            gauge = self._gauges[name] = Gauge(f"otpdesk_{name}", meaning, list(labels), registry=self.registry)
        (gauge.labels(**labels) if labels else gauge).set(value)

    def show_each(self, name: str, meaning: str, label: str, values: Mapping[str, float]) -> None:
        """Set a gauge that has one value a `label`; those that are not there any more vanish."""
        if name in self._gauges:
            self._gauges[name].clear()
        for key, value in values.items():
            self.show(name, meaning, value, **{label: key})

    def page(self) -> bytes:
        """All of it in Prometheus' own words."""
        return generate_latest(self.registry)

    def _counter(self, name: str, meaning: str, *labels: str) -> Counter:
        return Counter(f"otpdesk_{name}", meaning, labels, registry=self.registry)

    def _histogram(self, name: str, meaning: str, buckets: tuple[float, ...], *labels: str) -> Histogram:
        return Histogram(f"otpdesk_{name}", meaning, labels, buckets=buckets, registry=self.registry)


def route_of(path: str) -> str:
    """A path without whatever in it belongs to one order or person."""
    return "/".join(part if part in _WORDS else "{id}" for part in path.split("/"))
