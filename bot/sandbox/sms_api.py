"""A simulated SMSCode: one world in memory, its HTTP API, and a control plane to script it.

`SmsWorld` is the account, `sms_app` the API over it, `sms_control_app` the strings to pull. A contract is one face:
a list of routes over the same world. The world, the faults and the gateway know nothing of contracts.
"""

from typing import Literal

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
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
from bot.sandbox.sms_deliveries import Mischief, WebhookConfig
from bot.sandbox.sms_dialect import Dialect
from bot.sandbox.sms_errors import ErrorCode, SmsApiError
from bot.sandbox.sms_faults import Fault, FaultEvent, FaultKind, Faults, RandomFaults
from bot.sandbox.sms_gateway import Gateway
from bot.sandbox.sms_guide import GUIDE, GuideFace
from bot.sandbox.sms_official import OFFICIAL, OfficialFace
from bot.sandbox.sms_webhooks import WebhookSender
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
    "WebhookConfig",
    "WebhookSender",
    "sms_app",
    "sms_control_app",
]

Contract = Literal["guide", "official"]
"""Which description of the API is served."""


def sms_app(world: SmsWorld, contract: Contract = "guide", webhooks: WebhookSender | None = None) -> Starlette:
    """Serve `world` over one of the contracts; `webhooks` sends its events, for as long as it is entered.

    Faults that cut a connection need the app behind `LoopbackServer`; everything else works on any ASGI server.
    """
    if contract == "official":
        return _serve(world, OFFICIAL, OfficialFace(world, webhooks or WebhookSender(world)).routes())
    return _serve(world, GUIDE, GuideFace(world).routes())


def _serve(world: SmsWorld, dialect: Dialect, routes: list[Route]) -> Starlette:
    app = Starlette(
        routes=routes,
        middleware=[Middleware(Gateway, world=world, routes=routes, dialect=dialect)],
        exception_handlers={SmsApiError: dialect.refusal_answer, HTTPException: dialect.routing_answer},
    )
    # A redirect to a path without its last slash would be an answer without an envelope.
    app.router.redirect_slashes = False
    return app
