"""What SMSCode does against wasted numbers: a cap on cancels, and a ban after too many orders without an SMS."""

import math
from collections import deque

from bot.sandbox.sms_errors import ErrorCode, SmsApiError
from bot.sandbox.sms_time import iso_text

HOUR = 3_600.0
DAY = 86_400.0
TIER = "HARD"


def forget_before(moments: deque[float], moment: float) -> None:
    """Drop the moments, oldest first, that lie no later than `moment`."""
    while moments and moments[0] <= moment:
        moments.popleft()


class CancelCap:
    """At most `per_day` cancels within 24 hours; None: any number."""

    def __init__(self, per_day: int | None) -> None:
        self.per_day = per_day
        self._cancels: deque[float] = deque()

    def check(self, now: float) -> None:
        """Make sure that one more cancel fits.

        Raises:
            SmsApiError: RATE_LIMITED, with the seconds until one does.
        """
        forget_before(self._cancels, now - DAY)
        if self.per_day is not None and len(self._cancels) >= self.per_day:
            first = self._cancels[-self.per_day] if self.per_day else now
            wait = max(1, math.ceil(first + DAY - now))
            raise SmsApiError(ErrorCode.RATE_LIMITED, "No more cancels today.", retry_after=wait)

    def note(self, now: float) -> None:
        """Count a cancel."""
        self._cancels.append(now)


class AbuseGuard:
    """Takes no new order for `seconds` once `after` orders within an hour have ended without an SMS.

    With `after` None it only does so when told to by `trip`.
    """

    def __init__(self, after: int | None, seconds: float) -> None:
        self.after = after
        self.seconds = seconds
        self.until = -math.inf
        self._failures: deque[float] = deque()

    def note_failure(self, at: float) -> None:
        """Count an order that ended without an SMS; the one that is too much trips the guard."""
        forget_before(self._failures, at - HOUR)
        self._failures.append(at)
        if self.after is not None and len(self._failures) >= self.after:
            self._failures.clear()
            self.trip(at, self.seconds)

    def trip(self, now: float, seconds: float) -> None:
        """Take no new order before `now` + `seconds`."""
        self.until = now + seconds

    def check(self, now: float) -> None:
        """Make sure that a new order is taken.

        Raises:
            SmsApiError: TEMP_BANNED_ABUSE_GUARD, with until when.
        """
        if now >= self.until:
            return
        wait = math.ceil(self.until - now)
        details = {"until": iso_text(math.ceil(self.until)), "tier": TIER, "retry_after_seconds": wait}
        message = "No new orders for a while: too many have ended without an SMS."
        raise SmsApiError(ErrorCode.TEMP_BANNED_ABUSE_GUARD, message, retry_after=wait, details=details)
