"""A simulated SMSCode: one world in memory, its HTTP API, and a control plane to script it.

`SmsWorld` is the account, `sms_app` the API over it, `sms_control_app` the strings to pull. A contract is one face:
a list of routes over the same world. The world, the faults and the gateway know nothing of contracts.
"""

from collections.abc import Awaitable, Callable, Mapping
from typing import Literal

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from bot.sandbox.sms_books import (
    Adjustment,
    Books,
    Charge,
    Order,
    OrderStatus,
    Refund,
    RefundReason,
    Sms,
)
from bot.sandbox.sms_catalog import COUNTRIES, PLATFORMS, Product
from bot.sandbox.sms_control import sms_control_app
from bot.sandbox.sms_errors import ErrorCode, SmsApiError
from bot.sandbox.sms_faults import Fault, FaultEvent, FaultKind, Faults, RandomFaults
from bot.sandbox.sms_gateway import MAX_BODY_BYTES, Gateway, Spelling
from bot.sandbox.sms_guide import GuideFace, refusal_answer, routing_answer
from bot.sandbox.sms_official import SPELLING, TOO_LARGE, OfficialFace, official_refusal, official_routing
from bot.sandbox.sms_webhooks import Mischief, WebhookSender
from bot.sandbox.sms_wire import failure
from bot.sandbox.sms_world import DEFAULT_BEARER, SmsWorld

__all__ = [
    "COUNTRIES",
    "DEFAULT_BEARER",
    "PLATFORMS",
    "Adjustment",
    "Books",
    "Charge",
    "Contract",
    "ErrorCode",
    "Fault",
    "FaultEvent",
    "FaultKind",
    "Faults",
    "Mischief",
    "Order",
    "OrderStatus",
    "Product",
    "RandomFaults",
    "Refund",
    "RefundReason",
    "Sms",
    "SmsApiError",
    "SmsWorld",
    "WebhookSender",
    "sms_app",
    "sms_control_app",
]

Contract = Literal["guide", "official"]
"""Which description of the API is served."""


def sms_app(world: SmsWorld, contract: Contract = "guide", webhooks: WebhookSender | None = None) -> Starlette:
    """Serve `world` over one of the contracts; `webhooks` send its events where `official` is told to send them.

    Faults that cut a connection need the app behind `LoopbackServer`; everything else works on any ASGI server.
    """
    if contract == "official":
        return _app(
            world,
            OfficialFace(world, webhooks or WebhookSender(world)).routes(),
            {SmsApiError: official_refusal, HTTPException: official_routing},
            SPELLING,
            TOO_LARGE,
        )
    too_large = failure(413, ErrorCode.PAYLOAD_TOO_LARGE, f"A body has at most {MAX_BODY_BYTES} bytes.")
    handlers = {SmsApiError: refusal_answer, HTTPException: routing_answer}
    return _app(world, GuideFace(world).routes(), handlers, {}, too_large)


def _app(
    world: SmsWorld,
    routes: list[Route],
    handlers: Mapping[type[Exception], Callable[[Request, Exception], Awaitable[Response]]],
    spelling: Spelling,
    too_large: Response,
) -> Starlette:
    gateway = Middleware(Gateway, world=world, routes=routes, spelling=spelling, too_large=too_large)
    app = Starlette(routes=routes, middleware=[gateway], exception_handlers=dict(handlers))
    # A redirect to a path without its last slash would be an answer without an envelope.
    app.router.redirect_slashes = False
    return app
