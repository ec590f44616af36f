"""The ways in which the simulated SMSCode can misbehave: scripted one by one, or drawn from a seed."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import ClassVar

from pydantic import ConfigDict

from bot.sandbox.sms_dice import Dice

EVERY_ROUTE = "*"


class FaultKind(StrEnum):
    """What goes wrong. "Effect" means that the request did its work: a create has charged."""

    LATE = "late"
    """Effect at once, the answer after `seconds`."""
    SLOW = "slow"
    """Effect and answer after `seconds`, even when the client has gone by then."""
    RESET_BEFORE = "reset_before"
    """No effect, connection reset."""
    RESET_AFTER = "reset_after"
    """Effect, connection reset before any byte of an answer."""
    TRUNCATED = "truncated"
    """Effect, then an answer cut short of its Content-Length and a closed connection."""
    SILENCE = "silence"
    """No effect and never an answer."""
    SILENCE_AFTER = "silence_after"
    """Effect and never an answer."""
    ERROR_BEFORE = "error_before"
    """No effect, an error of the server (`status`, by default 500) in the usual envelope."""
    ERROR_AFTER = "error_after"
    """Effect, then the same error."""
    RATE_LIMITED = "rate_limited"
    """No effect, 429, with `retry_after` where given."""
    UNAVAILABLE = "unavailable"
    """No effect, 503, with `retry_after` where given."""
    HTML = "html"
    """A proxy's 502 page; with an effect only where `effect` says so."""
    WRONG_TYPE = "wrong_type"
    """Effect, and its answer labelled as HTML."""
    BROKEN_JSON = "broken_json"
    """Effect, and status 200 with a body that is not JSON."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """One kind of trouble for the next `times` calls of a route, after `after_calls` good ones.

    `route` is a method and a path template, such as "GET /v1/orders/{id}", or "*" for every route. `seconds` are
    real ones, whatever clock the world runs on. `retry_after` is sent as it is: seconds, or text for an HTTP date.

    Raises:
        ValueError: a number out of its range, or a status that is no error.
    """

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid", strict=True)

    kind: FaultKind
    route: str = EVERY_ROUTE
    times: int = 1
    after_calls: int = 0
    seconds: float = 0.0
    retry_after: int | str | None = None
    status: int | None = None
    effect: bool = False

    def __post_init__(self) -> None:
        if self.times < 1 or self.after_calls < 0:
            raise ValueError("times starts at 1 and after_calls at 0")
        if not 0 <= self.seconds < math.inf:
            raise ValueError("seconds must be finite and not below zero")
        if self.status is not None and not 400 <= self.status <= 599:
            raise ValueError("status must be one of an error, 400 to 599")

    def fits(self, route: str) -> bool:
        """Whether this fault is meant for calls of `route`, a method and a path template."""
        return self.route in {EVERY_ROUTE, route}


@dataclass(slots=True)
class FaultEvent:
    """A fault that struck. `call` counts all requests from 1; `effect_status` is None where nothing took effect."""

    call: int
    at: float
    route: str
    fault: Fault
    effect_status: int | None = None


class RandomFaults:
    """Strike each call of `route` with the given probability a kind; the same seed strikes the same calls.

    Raises:
        ValueError: a probability below zero, or more than 1 in all.
    """

    def __init__(
        self,
        probabilities: Mapping[FaultKind, float],
        seed: int,
        *,
        route: str = EVERY_ROUTE,
        seconds: float = 0.05,
        retry_after: int | None = 1,
    ) -> None:
        if min(probabilities.values(), default=0) < 0 or sum(probabilities.values()) > 1:
            raise ValueError("probabilities must lie between 0 and 1, also in all")
        self._dice = Dice(seed, "faults")
        self._thresholds = dict(probabilities)
        self._route = route
        self._seconds = seconds
        self._retry_after = retry_after

    def draw(self, route: str) -> Fault | None:
        """Return the fault that the next call of `route` meets, or None; only a call it could strike uses up a draw."""
        if self._route not in {EVERY_ROUTE, route}:
            return None
        left = self._dice.random()
        for kind, probability in self._thresholds.items():
            if left < probability:
                return Fault(kind=kind, route=route, seconds=self._seconds, retry_after=self._retry_after)
            left -= probability
        return None


@dataclass(slots=True)
class _Queued:
    fault: Fault
    calls_to_spare: int
    times_left: int


class Faults:
    """The queue of scripted faults, then the random ones, and the log of what struck.

    A call goes to the first queued fault that wants it; the ones behind do not see that call.
    """

    def __init__(self) -> None:
        self.random: RandomFaults | None = None
        self.log: list[FaultEvent] = []
        self._queue: list[_Queued] = []
        self._calls = 0

    @property
    def queued(self) -> list[Fault]:
        """The scripted faults that have not struck as often as they should."""
        return [entry.fault for entry in self._queue]

    def add(self, *faults: Fault) -> None:
        """Queue faults behind those that wait already."""
        self._queue += [_Queued(fault, fault.after_calls, fault.times) for fault in faults]

    def withdraw(self, fault: Fault) -> None:
        """Take a scripted fault back, wherever it stands in the queue; one that has struck often enough is gone."""
        self._queue = [entry for entry in self._queue if entry.fault is not fault]

    def clear(self) -> None:
        """Forget the queue and the random faults; the log stays."""
        self._queue.clear()
        self.random = None

    def strike(self, route: str, at: float) -> FaultEvent | None:
        """Count a call, and return and log the fault that it meets."""
        self._calls += 1
        fault = self._scripted(route)
        if fault is None and self.random is not None:
            fault = self.random.draw(route)
        if fault is None:
            return None
        event = FaultEvent(self._calls, at, route, fault)
        self.log.append(event)
        return event

    def _scripted(self, route: str) -> Fault | None:
        for entry in self._queue:
            if not entry.fault.fits(route):
                continue
            if entry.calls_to_spare:
                entry.calls_to_spare -= 1
                continue
            entry.times_left -= 1
            if not entry.times_left:
                self._queue.remove(entry)
            return entry.fault
        return None
