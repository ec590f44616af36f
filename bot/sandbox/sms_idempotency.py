"""Requests with a key: the same key and body have one effect and one answer, however often they are sent."""

import re
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Scope

from bot.sandbox.sms_errors import ErrorCode, SmsApiError
from bot.sandbox.sms_wire import HELD, Body

HEADER = "idempotency-key"
_KEY = re.compile(r"[A-Za-z0-9_-]{1,128}", re.ASCII)


@dataclass(slots=True)
class _Kept:
    """What a key stands for, and the answer once something came of it."""

    asked: Body
    running: bool = False
    answer: Response | None = None


class KeyedRequests:
    """Every key that was ever used. One key on two routes is two keys: their effects can never be mixed up."""

    def __init__(self) -> None:
        self._kept: dict[tuple[str, str], _Kept] = {}

    async def once(self, request: Request, asked: Body, act: Callable[[], Awaitable[Response]]) -> Response:
        """Answer with what `act` gives, or byte for byte with what it gave to the same request before.

        What `act` refuses had no effect and is not kept: the same request may be tried again. Its key stays bound to
        its body all the same.

        Raises:
            SmsApiError: VALIDATION_ERROR, IDEMPOTENCY_KEY_REUSED or REQUEST_IN_PROGRESS, or what `act` refuses.
        """
        key = _key_of(request)
        kept = self._kept.setdefault((request.url.path, key), _Kept(asked))
        if kept.asked != asked:
            raise SmsApiError(ErrorCode.IDEMPOTENCY_KEY_REUSED, "The key was already used with a different request.")
        if kept.running or _is_held(request.scope[HELD], request.url.path, key):
            raise SmsApiError(ErrorCode.REQUEST_IN_PROGRESS, "A request with this key is in progress.")
        if kept.answer is None:
            kept.running = True
            try:
                kept.answer = await act()
            finally:
                kept.running = False
        return kept.answer


def _key_of(request: Request) -> str:
    given = request.headers.getlist(HEADER)
    if len(given) != 1 or not _KEY.fullmatch(given[0]):
        raise SmsApiError(ErrorCode.VALIDATION_ERROR, f"{HEADER}: 1 to 128 letters, digits, - or _.")
    return given[0]


def _is_held(held: Iterable[Scope], path: str, key: str) -> bool:
    wanted = (HEADER.encode(), key.encode())
    return any(scope["path"] == path and wanted in scope["headers"] for scope in held)
