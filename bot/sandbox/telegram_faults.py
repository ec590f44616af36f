"""Things that go wrong between a bot and Telegram, queued by a test or drawn from a seeded dice."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from random import Random


class FaultKind(StrEnum):
    """What goes wrong. A kind that ends in `after`, and a damaged body, happens once the call has had its effect."""

    LATE = "late"
    """The call is carried out and answered, `seconds` late."""
    RESET_BEFORE = "reset_before"
    """The connection is reset and nothing happened."""
    RESET_AFTER = "reset_after"
    """The call had its effect, and the connection is reset instead of an answer."""
    DELIVER_THEN_DROP = "deliver_then_drop"
    """Another name of `reset_after`."""
    SILENCE = "silence"
    """Nothing happens and no answer comes until the client gives up."""
    SILENCE_AFTER = "silence_after"
    """The call had its effect, and no answer comes until the client gives up."""
    ERROR = "error"
    """502 with a page of HTML, as a gateway answers; nothing happened."""
    ERROR_AFTER = "error_after"
    """502 with a page of HTML although the call had its effect."""
    RATE_LIMITED = "rate_limited"
    """429 with `retry_after`."""
    FORBIDDEN = "forbidden"
    """403, the bot was blocked by the user."""
    CONFLICT = "conflict"
    """409, another getUpdates runs."""
    UNAUTHORIZED = "unauthorized"
    """401, as after a revoked token."""
    BROKEN_JSON = "broken_json"
    """The call had its effect; the answer is 200 and no JSON."""
    TRUNCATED = "truncated"
    """The call had its effect; the answer breaks off in the middle."""


@dataclass(slots=True, kw_only=True)
class Fault:
    """One scripted fault: the next `times` calls that fit it fail this way.

    `method` is a Bot API method or `*`; `chat_id` narrows it to one chat; `times` of None means always.
    """

    kind: FaultKind | str
    method: str = "*"
    times: int | None = 1
    seconds: float = 1.0
    retry_after: int = 1
    chat_id: int | None = None

    def __post_init__(self) -> None:
        self.kind = FaultKind(self.kind)

    def fits(self, method: str, chat_id: int | None) -> bool:
        """Whether this fault is for this call."""
        asked = self.method == "*" or self.method.lower() == method.lower()
        return asked and self.times != 0 and self.chat_id in {None, chat_id}


@dataclass(frozen=True, slots=True, kw_only=True)
class RandomFaults:
    """Faults by chance: each call fails with `probability`, in one of `kinds`, drawn from the world's seed."""

    probability: float
    kinds: Sequence[FaultKind | str] = (
        FaultKind.RESET_BEFORE,
        FaultKind.RESET_AFTER,
        FaultKind.ERROR,
        FaultKind.ERROR_AFTER,
        FaultKind.RATE_LIMITED,
        FaultKind.BROKEN_JSON,
    )
    methods: Sequence[str] = ("*",)
    seconds: float = 0.2
    retry_after: int = 1


@dataclass(frozen=True, slots=True)
class FiredFault:
    """A fault that happened to a call."""

    kind: FaultKind
    method: str
    chat_id: int | None
    at: float


@dataclass(slots=True)
class FaultPlan:
    """The queue of scripted faults, the dice of the random ones, and the log of those that fired."""

    dice: Random
    scripted: list[Fault] = field(default_factory=list)
    by_chance: RandomFaults | None = None
    fired: list[FiredFault] = field(default_factory=list)

    def draw(self, method: str, chat_id: int | None, at: float) -> Fault | None:
        """The fault this call meets, if any, noted as fired."""
        fault = self._scripted(method, chat_id) or self._random(method)
        if fault is not None:
            self.fired.append(FiredFault(FaultKind(fault.kind), method, chat_id, at))
        return fault

    def _scripted(self, method: str, chat_id: int | None) -> Fault | None:
        for fault in self.scripted:
            if fault.fits(method, chat_id):
                if fault.times is not None:
                    fault.times -= 1
                return fault
        return None

    def _random(self, method: str) -> Fault | None:
        chance = self.by_chance
        if chance is None or not {"*", method.lower()} & {name.lower() for name in chance.methods}:
            return None
        if self.dice.random() >= chance.probability:
            return None
        kind = self.dice.choice(list(chance.kinds))
        return Fault(kind=kind, method=method, seconds=chance.seconds, retry_after=chance.retry_after)
