"""How fast a bot may send: https://core.telegram.org/bots/faq#my-bot-is-hitting-limits-how-do-i-avoid-this."""

import math
from dataclasses import dataclass, field

from bot.sandbox.telegram_errors import too_many_requests

_LIMITED = (
    "sendmessage",
    "senddocument",
    "sendphoto",
    "editmessagetext",
    "editmessagereplymarkup",
)


@dataclass(slots=True)
class _Bucket:
    """So many at once, refilled at a steady rate a second."""

    capacity: float
    rate: float
    level: float
    at: float

    def wait(self, now: float) -> float:
        """Seconds until one more fits; zero when it fits now."""
        self.level = min(self.capacity, self.level + (now - self.at) * self.rate)
        self.at = now
        return max(0.0, (1 - self.level) / self.rate)


@dataclass(slots=True)
class FloodGate:
    """30 messages a second in all, one a second in a private chat after a short burst, 20 a minute in a group."""

    private_burst: int = 3
    _buckets: dict[int | None, _Bucket] = field(default_factory=dict)
    _banned_until: dict[int | None, float] = field(default_factory=dict)

    def check(self, method: str, chat_id: int | None, now: float) -> None:
        """Count one call.

        Raises:
            ApiError: 429 with `retry_after` in whole seconds; asking again before that is refused as well.
        """
        if method.lower() not in _LIMITED:
            return
        keys = [None] if chat_id is None else [None, chat_id]
        for key in keys:
            self._refuse_while_banned(key, now)
        for key in keys:
            wait = self._bucket(key, now).wait(now)
            if wait > 0:
                self._banned_until[key] = now + math.ceil(wait)
                self._refuse_while_banned(key, now)
        for key in keys:
            self._buckets[key].level -= 1

    def _refuse_while_banned(self, key: int | None, now: float) -> None:
        left = self._banned_until.get(key, now) - now
        if left > 0:
            raise too_many_requests(math.ceil(left))

    def _bucket(self, key: int | None, now: float) -> _Bucket:
        if key not in self._buckets:
            if key is None:
                capacity, rate = 30.0, 30.0
            elif key > 0:
                capacity, rate = float(self.private_burst), 1.0
            else:
                capacity, rate = 20.0, 20 / 60
            self._buckets[key] = _Bucket(capacity, rate, capacity, now)
        return self._buckets[key]
