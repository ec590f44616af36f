"""A simulated SMSCode: one world in memory, its HTTP API, and a control plane to script it.

`SmsWorld` is the account, `sms_app` the API over it, `sms_control_app` the strings to pull. A contract is one face:
a list of routes over the same world. The world, the faults and the gateway know nothing of contracts.
"""

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware

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
from bot.sandbox.sms_gateway import Gateway
from bot.sandbox.sms_guide import GuideFace, refusal_answer, routing_answer
from bot.sandbox.sms_world import DEFAULT_BEARER, SmsWorld

__all__ = [
    "COUNTRIES",
    "DEFAULT_BEARER",
    "PLATFORMS",
    "Adjustment",
    "Books",
    "Charge",
    "ErrorCode",
    "Fault",
    "FaultEvent",
    "FaultKind",
    "Faults",
    "Order",
    "OrderStatus",
    "Product",
    "RandomFaults",
    "Refund",
    "RefundReason",
    "Sms",
    "SmsApiError",
    "SmsWorld",
    "sms_app",
    "sms_control_app",
]


def sms_app(world: SmsWorld) -> Starlette:
    """Serve `world` as the getting-started guide describes it.

    Faults that cut a connection need the app behind `LoopbackServer`; everything else works on any ASGI server.
    """
    routes = GuideFace(world).routes()
    app = Starlette(
        routes=routes,
        middleware=[Middleware(Gateway, world=world, routes=routes)],
        exception_handlers={SmsApiError: refusal_answer, HTTPException: routing_answer},
    )
    # A redirect to a path without its last slash would be an answer without an envelope.
    app.router.redirect_slashes = False
    return app
