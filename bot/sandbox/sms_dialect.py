"""How a contract puts a refusal on the wire: its spelling, its HTTP status, and with which words around it."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

from bot.sandbox.sms_errors import ErrorCode, SmsApiError
from bot.sandbox.sms_wire import failure


@dataclass(frozen=True, slots=True)
class Dialect:
    """The refusals of one contract.

    `statuses` has every code that can be said. `spelling` turns a code of the world into the one that this contract
    has for it. The codes in `bare` are answered as plain text, without an envelope.
    """

    statuses: Mapping[ErrorCode, int]
    spelling: Mapping[ErrorCode, ErrorCode] = field(default_factory=dict)
    bare: frozenset[ErrorCode] = frozenset()

    def refuse(
        self,
        code: ErrorCode,
        message: str,
        *,
        status: int | None = None,
        retry_after: int | str | None = None,
        details: Mapping[str, object] | None = None,
    ) -> Response:
        """Make the answer to a refused request; `status` overrules the one that belongs to the code."""
        spelled = self.spelling.get(code, code)
        headers = {} if retry_after is None else {"retry-after": str(retry_after)}
        if spelled in self.bare:
            return PlainTextResponse(message, self.statuses[spelled], headers)
        return failure(status or self.statuses[spelled], spelled, message, headers, details)

    async def refusal_answer(self, _request: Request, error: Exception) -> Response:
        """Answer what the world refuses."""
        if not isinstance(error, SmsApiError):
            raise error
        return self.refuse(error.code, error.message, retry_after=error.retry_after, details=error.details)

    async def routing_answer(self, _request: Request, error: Exception) -> Response:
        """Answer an unknown route or a wrong method in the usual envelope."""
        if not isinstance(error, HTTPException):
            raise error
        known = error.status_code == 405
        code = ErrorCode.METHOD_NOT_ALLOWED if known else ErrorCode.NOT_FOUND
        return failure(error.status_code, code, error.detail, error.headers)
