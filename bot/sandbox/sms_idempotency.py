"""Requests that are told apart by a key: the same key and body have one effect and one answer, however often sent."""

import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import Response

from bot.sandbox.sms_errors import ErrorCode, SmsApiError

HEADER = "idempotency-key"
_KEY = re.compile(r"[A-Za-z0-9_-]{1,128}", re.ASCII)


@dataclass(slots=True)
class Kept:
    """What was asked under a key, and the answer once there is one."""

    asked: tuple[str, bytes]
    answer: Response | None = None


class KeyedRequests:
    """Every answer given under a key, for good; `kept` holds them, so that they outlive the server."""

    def __init__(self, kept: dict[str, Kept]) -> None:
        self._kept = kept

    async def once(self, request: Request, act: Callable[[], Awaitable[Response]]) -> Response:
        """Answer with what `act` gives, or with what it gave to the same request before.

        A refusal that `act` raises is kept by nobody: it had no effect, and the next try may have one.

        Raises:
            SmsApiError: VALIDATION_ERROR, IDEMPOTENCY_KEY_REUSED or REQUEST_IN_PROGRESS.
        """
        key = _key_of(request)
        asked = (request.url.path, await request.body())
        kept = self._kept.get(key)
        if kept is not None:
            return _replay(kept, asked)
        running = self._kept[key] = Kept(asked)
        try:
            running.answer = await act()
        except BaseException:
            del self._kept[key]
            raise
        return running.answer


def _replay(kept: Kept, asked: tuple[str, bytes]) -> Response:
    if kept.asked != asked:
        raise SmsApiError(ErrorCode.IDEMPOTENCY_KEY_REUSED, "The key was used for another request.")
    if kept.answer is None:
        raise SmsApiError(ErrorCode.REQUEST_IN_PROGRESS, "The first request with this key still runs.")
    return kept.answer


def _key_of(request: Request) -> str:
    given = request.headers.getlist(HEADER)
    if len(given) != 1 or not _KEY.fullmatch(given[0]):
        raise SmsApiError(ErrorCode.VALIDATION_ERROR, f"{HEADER}: 1 to 128 letters, digits, - or _.")
    return given[0]
