"""What the API and the control plane of the simulated SMSCode share on the wire: envelopes, and strict reading."""

import re
from collections.abc import Mapping
from typing import TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError
from starlette.requests import Request
from starlette.responses import JSONResponse

from bot.sandbox.sms_books import Sms
from bot.sandbox.sms_errors import ErrorCode, SmsApiError
from bot.sandbox.sms_world import SmsWorld

# Where an answer notes the messages whose codes it carries, for the gateway to record once it has left whole.
SHOWN = "sandbox.shown"
# Where an answer finds the earlier requests that a fault still holds back, as their ASGI scopes.
HELD = "sandbox.held"

_WHOLE = re.compile(r"-?[0-9]{1,18}", re.ASCII)
_Body = TypeVar("_Body", bound="Body")


class Body(BaseModel):
    """A JSON body with exactly its own fields, each of exactly its own type."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


def success(data: object, meta: Mapping[str, object] | None = None) -> JSONResponse:
    """Make the answer of a request that did its work: status 200, with `data` and `meta` in the usual envelope."""
    envelope: dict[str, object] = {"success": True, "data": data}
    return JSONResponse(envelope if meta is None else {**envelope, "meta": dict(meta)})


def failure(
    status: int,
    code: str,
    message: str,
    headers: Mapping[str, str] | None = None,
    details: Mapping[str, object] | None = None,
) -> JSONResponse:
    """Make the answer of a request that was refused: HTTP `status`, with `code` and `message` in the usual envelope."""
    error: dict[str, object] = {"code": code, "message": message}
    if details is not None:
        error["details"] = dict(details)
    return JSONResponse({"success": False, "error": error}, status, headers=headers)


def show(request: Request, sms: Sms) -> None:
    """Note that the answer to this request carries the code of `sms`."""
    request.scope[SHOWN].append(sms)


def enter(world: SmsWorld, request: Request) -> None:
    """Let a request into the account.

    Raises:
        SmsApiError: UNAUTHORIZED or RATE_LIMITED.
    """
    headers = request.headers.getlist("authorization")
    if len(headers) != 1 or not world.knows_token(_bearer(headers[0])):
        raise SmsApiError(ErrorCode.UNAUTHORIZED, "The API token is missing or wrong.")
    world.admit()


def _bearer(header: str) -> bytes:
    scheme, _, token = header.partition(" ")
    # Header text is Latin-1 on the wire, so this gives back the very bytes that came.
    return token.encode("latin-1") if scheme.lower() == "bearer" else b""


def query_of(request: Request, *allowed: str) -> dict[str, str]:
    """Return the query with its allowed names.

    Raises:
        SmsApiError: VALIDATION_ERROR, a name is unknown or comes twice.
    """
    pairs = request.query_params.multi_items()
    query = dict(pairs)
    if len(query) != len(pairs):
        raise SmsApiError(ErrorCode.VALIDATION_ERROR, "A query parameter comes twice.")
    unknown = sorted(query.keys() - set(allowed))
    if unknown:
        raise SmsApiError(ErrorCode.VALIDATION_ERROR, f"Unknown query parameter: {unknown[0]}.")
    return query


async def enter_bare(world: SmsWorld, request: Request, *allowed: str) -> dict[str, str]:
    """Let in a request that has no body, and return its query with its allowed names.

    Raises:
        SmsApiError: UNAUTHORIZED, RATE_LIMITED or VALIDATION_ERROR.
    """
    enter(world, request)
    query = query_of(request, *allowed)
    await refuse_body(request)
    return query


def id_in(query: Mapping[str, str], name: str) -> int | None:
    """Return the id that a query names, or None where it does not.

    Raises:
        SmsApiError: VALIDATION_ERROR, it is not a whole number.
    """
    return None if name not in query else _whole(query, name)


def clamped(query: Mapping[str, str], name: str, default: int, bounds: tuple[int, int]) -> int:
    """Return a number of a query, moved into its bounds.

    Raises:
        SmsApiError: VALIDATION_ERROR, it is not a whole number.
    """
    least, most = bounds
    return min(max(_whole(query, name), least), most) if name in query else default


def _whole(query: Mapping[str, str], name: str) -> int:
    text = query[name]
    if not _WHOLE.fullmatch(text):
        raise SmsApiError(ErrorCode.VALIDATION_ERROR, f"{name}: not a whole number.")
    return int(text)


async def refuse_body(request: Request) -> None:
    """Make sure that a request without a body has none.

    Raises:
        SmsApiError: VALIDATION_ERROR.
    """
    if await request.body():
        raise SmsApiError(ErrorCode.VALIDATION_ERROR, "This route takes no body.")


async def body_of(request: Request, kind: type[_Body]) -> _Body:
    """Read a JSON body as `kind`.

    Raises:
        SmsApiError: VALIDATION_ERROR, the body is labelled otherwise, no JSON, or does not fit.
    """
    require_json(request)
    try:
        return kind.model_validate_json(await request.body())
    except ValidationError as error:
        raise misfit(error) from None


def require_json(request: Request) -> None:
    """Make sure that the body is labelled as JSON, once.

    Raises:
        SmsApiError: VALIDATION_ERROR.
    """
    labels = request.headers.getlist("content-type")
    if len(labels) != 1 or labels[0].partition(";")[0].strip().lower() != "application/json":
        raise SmsApiError(ErrorCode.VALIDATION_ERROR, "Content-Type must be application/json.")


def misfit(error: ValidationError) -> SmsApiError:
    """Put the first complaint about a body into words."""
    first = error.errors(include_url=False, include_input=False)[0]
    place = ".".join(str(part) for part in first["loc"]) or "body"
    return SmsApiError(ErrorCode.VALIDATION_ERROR, f"{place}: {first['msg']}")
