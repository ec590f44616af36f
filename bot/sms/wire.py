"""HTTP to SMSCode: what leaves, what comes back, and what each failure says about what happened.

The decoding half is plain functions without I/O. Both contracts share the envelope
`{"success": true, "data": …}` or `{"success": false, "error": {"code", "message"}}`.
"""

import asyncio
import email.utils
import json
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC
from http import HTTPStatus
from typing import Any, Final

import httpx

from bot import logs
from bot.clock import Clock
from bot.domain.errors import API_ERRORS, AbuseGuard, ApiError, NotSent, RateLimited, SmsError, Unclear
from bot.sms.budget import RequestBudget
from bot.sms.port import Priority

log = logging.getLogger(__name__)

TIMEOUT: Final = httpx.Timeout(connect=5.0, read=20.0, write=10.0, pool=5.0)
"""Seconds for each phase of a call: a hang becomes a defined outcome within half a minute."""

_WHOLE_CALL: Final = 45.0
"""Seconds for all phases together: a server that sends a byte now and then never breaks the timeout of a phase."""

LIMITS: Final = httpx.Limits(max_connections=32, max_keepalive_connections=16, keepalive_expiry=20.0)

_NEVER_LEFT: Final = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.UnsupportedProtocol)
"""Failures before the first byte: the request had no effect."""

_DEFAULT_PAUSE: Final = 5.0
_LONGEST_PAUSE: Final = 600.0
_LARGEST_ANSWER: Final = 8 * 1024 * 1024
_LONGEST_NUMBER: Final = 40
"""Digits; Python refuses to read an integer of thousands of them, and with it the order in the same answer."""

_CONFIDENTIAL: Final = ("phone_number", "otp_code", "otp_message")

_PAUSING: Final = (HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE)

COMMAND_PATIENCE: Final = 15.0
"""Seconds a person's command waits out a pause before it says so instead."""

WATCH_PATIENCE: Final = float("inf")


@dataclass(frozen=True, slots=True)
class Call:
    """One request, ready to leave. `pauses_all`: a 429 to it asks everybody for patience, not only its caller."""

    method: str
    path: str
    params: Mapping[str, str] | None = None
    body: str | None = None
    headers: Mapping[str, str] | None = None
    priority: Priority = Priority.COMMAND
    pauses_all: bool = True


@dataclass(frozen=True, slots=True)
class Answer:
    """The `data` and the `meta` of a success, with the id that SMSCode's support can find the request by."""

    data: Any = field(repr=False)
    request_id: str | None
    meta: Mapping[str, Any] = field(default_factory=dict)


Note = Callable[[Call, int | None, float], None]
"""What is told of each call: the HTTP status of its answer, None where none came, and the seconds it took."""


def _unnoted(call: Call, status: int | None, seconds: float) -> None:
    del call, status, seconds


class Wire:
    """Sends calls through one HTTP client and one request budget."""

    def __init__(self, client: httpx.AsyncClient, budget: RequestBudget, clock: Clock, note: Note = _unnoted) -> None:
        self._client = client
        self._budget = budget
        self._clock = clock
        self._note = note

    @property
    def client(self) -> httpx.AsyncClient:
        """The HTTP client that everything leaves through."""
        return self._client

    async def send(self, call: Call) -> Answer:
        """Send once, never again by itself.

        Raises:
            NotSent: it never left. Unclear: it may have had its effect. ApiError: SMSCode said no.
        """
        patience = COMMAND_PATIENCE if call.priority is Priority.COMMAND else WATCH_PATIENCE
        await self._budget.admit(call.priority, patience)
        started = self._clock.monotonic()
        try:
            response, content = await self._request(call)
            answer = self._decode(call, response, content)
        except SmsError as error:
            log.warning("%s %s failed: %s", call.method, call.path, error)
            raise
        logs.conceal(*_confidential(answer.data))
        elapsed = self._clock.monotonic() - started
        log.info("%s %s took %.3f s, request %s", call.method, call.path, elapsed, answer.request_id)
        return answer

    async def _request(self, call: Call) -> tuple[httpx.Response, bytes]:
        started, status = self._clock.monotonic(), None
        headers = {"Accept": "application/json", **(call.headers or {})}
        if call.body is not None:
            headers["Content-Type"] = "application/json"
        try:
            async with (
                asyncio.timeout(_WHOLE_CALL),
                self._client.stream(
                    call.method, call.path, params=call.params, content=call.body, headers=headers
                ) as response,
            ):
                content = await _read(response)
                status = response.status_code
                return response, content
        except _NEVER_LEFT as error:
            raise NotSent(f"no connection to SMSCode ({type(error).__name__})") from error
        except (httpx.HTTPError, httpx.InvalidURL, TimeoutError) as error:
            raise Unclear(f"no whole answer from SMSCode ({type(error).__name__})") from error
        finally:
            self._note(call, status, self._clock.monotonic() - started)

    def _decode(self, call: Call, response: httpx.Response, content: bytes) -> Answer:
        try:
            return decode(response.status_code, content, response.headers, self._clock.now())
        except AbuseGuard:
            raise  # it stops new orders, for hours perhaps; looking on for codes is still allowed
        except SmsError:
            if call.pauses_all:
                self._heed(response)
            raise

    def _heed(self, response: httpx.Response) -> None:
        if response.status_code in _PAUSING:
            asked = retry_after(response.headers.get("retry-after"), self._clock.now())
            self._budget.pause(asked if asked is not None else _DEFAULT_PAUSE)


def _confidential(data: object) -> list[str]:
    """What in an answer must never be in a log: numbers, codes and texts of orders."""
    rows = data if isinstance(data, list) else [data]
    found = (row.get(key) for row in rows if isinstance(row, dict) for key in _CONFIDENTIAL)
    return [value if isinstance(value, str) else str(value) for value in found if value is not None]


async def _read(response: httpx.Response) -> bytes:
    """The whole body, which is not taken in beyond any sensible size."""
    content = bytearray()
    async for part in response.aiter_bytes():
        content += part
        if len(content) > _LARGEST_ANSWER:
            raise Unclear("SMSCode sent an endless answer", status=response.status_code)
    return bytes(content)


def decode(status: int, content: bytes, headers: Mapping[str, str], now: float) -> Answer:
    """Turn an answer into its data, or into the error it stands for.

    A 5xx, or a success that cannot be read, is `Unclear`: the request may have had its effect. A 4xx is a no even
    without a readable body, except 408, which a proxy says of requests that it may have passed on.
    """
    request_id = headers.get("x-request-id")
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR or status == HTTPStatus.REQUEST_TIMEOUT:
        raise Unclear(f"SMSCode answered {status}", status=status, request_id=request_id)
    envelope = _envelope(content)
    success = envelope.get("success")
    if success is False or (success is not True and status >= HTTPStatus.BAD_REQUEST):
        raise _refusal(status, envelope, request_id, retry_after(headers.get("retry-after"), now))
    if success is not True or not HTTPStatus.OK <= status < HTTPStatus.MULTIPLE_CHOICES:
        raise Unclear("SMSCode sent an answer that cannot be read", status=status, request_id=request_id)
    meta = envelope.get("meta")
    return Answer(envelope.get("data"), request_id, meta if isinstance(meta, dict) else {})


def retry_after(value: str | None, now: float) -> float | None:
    """Seconds to wait, from a `Retry-After` header in either of its forms (RFC 9110 §10.2.3), or None.

    Held between one second and ten minutes: a pause of nothing is no pause, and a clock gone wrong on the other side
    must not silence the desk for a day.
    """
    if value is None:
        return None
    text = value.strip()
    if text.isascii() and text.isdigit():
        seconds = float(text[:9])
    else:
        try:
            date = email.utils.parsedate_to_datetime(text)
            # HTTP dates are always UTC; the oldest of their spellings names no zone.
            seconds = (date if date.tzinfo else date.replace(tzinfo=UTC)).timestamp() - now
        except (ValueError, TypeError, OverflowError, IndexError):
            return None
    return min(max(seconds, 1.0), _LONGEST_PAUSE)


def _envelope(content: bytes) -> dict[str, Any]:
    """The answer's JSON object, empty if it is none."""
    try:
        value = json.loads(content.decode("utf-8-sig", "replace"), parse_int=_number)
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


def _number(digits: str) -> int | float:
    return int(digits) if len(digits) <= _LONGEST_NUMBER else float(digits)


def sound(text: str) -> str:
    """The text without halves of surrogate pairs: JSON can spell them, nothing can store or send them."""
    return text.encode("utf-8", "replace").decode("utf-8")


def _refusal(status: int, envelope: Mapping[str, Any], request_id: str | None, pause: float | None) -> ApiError:
    error = envelope.get("error")
    fields: Mapping[str, Any] = error if isinstance(error, dict) else {}
    code = fields.get("code")
    if isinstance(code, str) and code:
        kind = API_ERRORS.get(code, ApiError)
    else:
        # A proxy's answer has no code, but this status says enough by itself.
        code = f"HTTP_{status}"
        kind = RateLimited if status == HTTPStatus.TOO_MANY_REQUESTS else ApiError
    message = fields.get("message")
    details = fields.get("details")
    return kind(
        sound(code[:64]),
        sound(message[:300]) if isinstance(message, str) else "",
        status=status,
        request_id=request_id,
        retry_after=pause,
        details=details if isinstance(details, dict) else {},
    )
