"""Requests with a key: the same key and body have one effect and one answer, however often they are sent."""

import re
from collections.abc import Awaitable, Callable, Iterable
from typing import Final

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Scope

from bot.sandbox.sms_books import KeyedRequest
from bot.sandbox.sms_errors import ErrorCode, SmsApiError
from bot.sandbox.sms_wire import HELD, Body
from bot.sandbox.sms_world import SmsWorld

HEADER: Final = "idempotency-key"
_KEY: Final = re.compile(r"[A-Za-z0-9_-]{1,128}", re.ASCII)


async def once(world: SmsWorld, request: Request, asked: Body, act: Callable[[], Awaitable[Response]]) -> Response:
    """Answer with what `act` gives, or byte for byte with what it gave to the same request before.

    What `act` refuses had no effect and is not kept: the same request may be tried again. Its key stays bound to its
    body all the same.

    Raises:
        SmsApiError: VALIDATION_ERROR, IDEMPOTENCY_KEY_REUSED or REQUEST_IN_PROGRESS, or what `act` refuses.
    """
    path, key = request.url.path, _key_of(request)
    kept = world.books.keyed.setdefault((path, key), KeyedRequest(asked))
    if kept.asked != asked:
        raise SmsApiError(ErrorCode.IDEMPOTENCY_KEY_REUSED, "The key was already used with a different request.")
    if kept.running or _is_held(request.scope[HELD], path, key):
        raise SmsApiError(ErrorCode.REQUEST_IN_PROGRESS, "A request with this key is in progress.")
    if kept.answer is None:
        kept.running = True
        try:
            kept.answer = bytes((await act()).body)
        finally:
            kept.running = False
    return Response(kept.answer, media_type="application/json")


def _key_of(request: Request) -> str:
    given = request.headers.getlist(HEADER)
    if len(given) != 1 or not _KEY.fullmatch(given[0]):
        raise SmsApiError(ErrorCode.VALIDATION_ERROR, f"{HEADER}: 1 to 128 letters, digits, - or _.")
    return given[0]


def _is_held(held: Iterable[Scope], path: str, key: str) -> bool:
    wanted = (HEADER.encode(), key.encode())
    return any(scope["path"] == path and wanted in scope["headers"] for scope in held)
