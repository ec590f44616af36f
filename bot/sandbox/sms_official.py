"""The face of the simulated SMSCode that the vendor's OpenAPI description has, and that its SDK speaks to."""

import asyncio
from typing import Annotated, Final, Literal

from pydantic import Field, PositiveInt
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from bot.sandbox.sms_books import Order
from bot.sandbox.sms_catalog import Product
from bot.sandbox.sms_dialect import Dialect
from bot.sandbox.sms_errors import ErrorCode, SmsApiError
from bot.sandbox.sms_idempotency import once
from bot.sandbox.sms_official_catalog import CatalogFace
from bot.sandbox.sms_orders import ALL_STATUSES, LIVE, OrderRows
from bot.sandbox.sms_shelves import Row, Shelves
from bot.sandbox.sms_webhooks import WebhookFace, WebhookSender
from bot.sandbox.sms_wire import Body, body_of, clamped, enter, enter_bare, query_of, show, success
from bot.sandbox.sms_world import SmsWorld

OFFICIAL: Final = Dialect(
    statuses={
        ErrorCode.UNAUTHORIZED: 401,
        ErrorCode.NOT_FOUND: 404,
        ErrorCode.METHOD_NOT_ALLOWED: 405,
        ErrorCode.INSUFFICIENT_BALANCE: 409,
        ErrorCode.CONFLICT: 409,
        ErrorCode.CANCEL_TOO_EARLY: 409,
        ErrorCode.REQUEST_IN_PROGRESS: 409,
        ErrorCode.PAYLOAD_TOO_LARGE: 413,
        ErrorCode.VALIDATION_ERROR: 422,
        ErrorCode.NO_OFFER_AVAILABLE: 422,
        ErrorCode.PROVIDER_ERROR: 422,
        ErrorCode.IDEMPOTENCY_KEY_REUSED: 422,
        ErrorCode.RATE_LIMIT_EXCEEDED: 429,
        ErrorCode.TEMP_BANNED_ABUSE_GUARD: 429,
        ErrorCode.INTERNAL_ERROR: 500,
        ErrorCode.SERVICE_UNAVAILABLE: 503,
    },
    spelling={
        ErrorCode.PRODUCT_UNAVAILABLE: ErrorCode.NO_OFFER_AVAILABLE,
        ErrorCode.ORDER_NOT_FOUND: ErrorCode.NOT_FOUND,
        ErrorCode.RATE_LIMITED: ErrorCode.RATE_LIMIT_EXCEEDED,
    },
    bare=frozenset({ErrorCode.PAYLOAD_TOO_LARGE}),
)

_LIST_SIZES: Final = (1, 100)
_DEFAULT_LIST_SIZE: Final = 20
_OFFSETS: Final = (0, 10**9)
_ROUTING: Final = frozenset({"max_price", "min_price", "policy", "operator_id", "prefer_provider"})

NotNegative = Annotated[int, Field(ge=0)]


class CreateOrder(Body):
    """The body of an order: one product, or what several share and which of them it may be. Prices are whole IDR."""

    product_id: PositiveInt | None = None
    catalog_product_id: PositiveInt | None = None
    max_price: NotNegative | None = None
    min_price: NotNegative | None = None
    policy: Literal["cheapest", "best_success"] = "cheapest"
    operator_id: PositiveInt | None = None
    prefer_provider: str | None = None
    quantity: Annotated[int, Field(ge=1, le=100)] = 1

    def check(self) -> None:
        """Make sure that the fields belong together.

        Raises:
            SmsApiError: VALIDATION_ERROR.
        """
        if (self.product_id is None) == (self.catalog_product_id is None):
            message = "Give exactly one of product_id and catalog_product_id."
            raise SmsApiError(ErrorCode.VALIDATION_ERROR, message)
        routing = [name for name in sorted(self.model_fields_set & _ROUTING) if getattr(self, name) is not None]
        if self.product_id is not None and routing:
            raise SmsApiError(ErrorCode.VALIDATION_ERROR, f"{routing[0]}: only with catalog_product_id.")


class OneOrder(Body):
    """The body of what is done to an order: its number."""

    id: PositiveInt


class Reactivate(OneOrder):
    """The body of a reactivation: the order whose number it is, and what it may cost at most, in whole IDR."""

    max_price: NotNegative | None = None


class OfficialFace:
    """The routes of the official contract over one world, whose events `webhooks` sends.

    Every endpoint refuses with `SmsApiError`, for the dialect to put on the wire. UNAUTHORIZED, RATE_LIMITED and
    VALIDATION_ERROR can come from each of them.
    """

    def __init__(self, world: SmsWorld, webhooks: WebhookSender) -> None:
        self._world = world
        self._shelves = Shelves(world)
        self._rows = OrderRows(world)
        self._catalog = CatalogFace(world)
        self._webhook = WebhookFace(world, webhooks)

    def routes(self) -> list[Route]:
        """Return the routes; the one with an id is the last of its length, for it fits the names of the others too."""
        return [
            Route("/v1/balance", self.balance, methods=["GET"]),
            *self._catalog.routes(),
            Route("/v1/orders", self.orders, methods=["GET"]),
            Route("/v1/orders/active", self.active, methods=["GET"]),
            Route("/v1/orders/create", self.create, methods=["POST"]),
            Route("/v1/orders/cancel", self.cancel, methods=["POST"]),
            Route("/v1/orders/finish", self.finish, methods=["POST"]),
            Route("/v1/orders/resend", self.resend, methods=["POST"]),
            Route("/v1/orders/reactivate", self.reactivate, methods=["POST"]),
            Route("/v1/orders/{id}", self.read, methods=["GET"]),
            Route("/v1/orders/{id}/reactivate-options", self.reactivate_options, methods=["GET"]),
            *self._webhook.routes(),
        ]

    async def balance(self, request: Request) -> Response:
        """Answer with the balance in whole IDR."""
        await enter_bare(self._world, request)
        return success({"currency": "IDR", "balance": self._world.balance})

    async def orders(self, request: Request) -> Response:
        """Answer with a stretch of all orders, newest first. Limits out of range are clamped.

        Raises:
            SmsApiError: VALIDATION_ERROR, the query's `status` is none that there is.
        """
        query = await enter_bare(self._world, request, "limit", "offset", "status")
        status = query.get("status", "").upper()
        if "status" in query and status not in ALL_STATUSES:
            raise SmsApiError(ErrorCode.VALIDATION_ERROR, "status: not one of an order.")
        limit = clamped(query, "limit", _DEFAULT_LIST_SIZE, _LIST_SIZES)
        offset = clamped(query, "offset", 0, _OFFSETS)
        newest_first = reversed(self._world.books.orders.values())
        found = [order for order in newest_first if status in {"", self._rows.status(order)}]
        rows = [self._read(request, order) for order in found[offset : offset + limit]]
        return success(rows, {"limit": limit, "offset": offset, "count": len(rows)})

    async def active(self, request: Request) -> Response:
        """Answer with every live order, newest first, without its number and its charge."""
        await enter_bare(self._world, request)
        newest_first = reversed(self._world.books.orders.values())
        live = [order for order in newest_first if self._rows.status(order) in LIVE]
        if "list" not in self._world.hides_sms:
            for order in live:
                _note_shown(request, order)
        return success([self._rows.live(order) for order in live])

    async def read(self, request: Request) -> Response:
        """Answer with an order as it is now.

        Raises:
            SmsApiError: ORDER_NOT_FOUND.
        """
        await enter_bare(self._world, request)
        return success(self._read(request, self._order_in_path(request)))

    async def create(self, request: Request) -> Response:
        """Rent numbers once for their key, charge their prices, and answer with the new orders.

        Raises:
            SmsApiError: IDEMPOTENCY_KEY_REUSED, REQUEST_IN_PROGRESS, TEMP_BANNED_ABUSE_GUARD, NO_OFFER_AVAILABLE,
                PRODUCT_UNAVAILABLE, PROVIDER_ERROR or INSUFFICIENT_BALANCE; nothing is charged then.
        """
        enter(self._world, request)
        query_of(request)
        wanted = await body_of(request, CreateOrder)
        wanted.check()

        async def act() -> Response:
            await self._take_time()
            self._world.guard.check(self._world.now())
            return self._created(self._rent_all(wanted), wanted.quantity)

        return await once(self._world, request, wanted, act)

    async def reactivate(self, request: Request) -> Response:
        """Rent the number of a completed order once more, once for its key, and answer as to a create.

        Raises:
            SmsApiError: what a create does, ORDER_NOT_FOUND, CONFLICT, or VALIDATION_ERROR where it costs too much.
        """
        enter(self._world, request)
        query_of(request)
        wanted = await body_of(request, Reactivate)

        async def act() -> Response:
            await self._take_time()
            self._world.guard.check(self._world.now())
            order = self._world.order_by_number(wanted.id)
            cost = self._world.reactivation_cost(order)
            if wanted.max_price is not None and cost > wanted.max_price:
                raise SmsApiError(ErrorCode.VALIDATION_ERROR, f"max_price: it costs {cost} now.")
            return self._created([self._world.reactivate_order(order)], 1)

        return await once(self._world, request, wanted, act)

    async def reactivate_options(self, request: Request) -> Response:
        """Answer with what a reactivation costs now, in whole IDR.

        Raises:
            SmsApiError: ORDER_NOT_FOUND or CONFLICT.
        """
        await enter_bare(self._world, request)
        return success({"cost": self._world.reactivation_cost(self._order_in_path(request))})

    async def cancel(self, request: Request) -> Response:
        """End an order that still waits for its first SMS, and answer with what came back.

        Raises:
            SmsApiError: ORDER_NOT_FOUND, CONFLICT, CANCEL_TOO_EARLY or PROVIDER_ERROR; nothing has changed then.
        """
        order = await self._order_in_body(request)
        self._world.give_back(order)
        back = sum(refund.amount for refund in self._world.books.refunds_of(order.id))
        return success({**self._result(order), "refund_amount": back, "new_balance": self._world.balance})

    async def finish(self, request: Request) -> Response:
        """Complete a live order that has an SMS.

        Raises:
            SmsApiError: ORDER_NOT_FOUND or CONFLICT.
        """
        order = await self._order_in_body(request)
        self._world.finish_order(order)
        return success(self._result(order))

    async def resend(self, request: Request) -> Response:
        """Let a live order that has an SMS wait for one more.

        Raises:
            SmsApiError: ORDER_NOT_FOUND, CONFLICT or PROVIDER_ERROR.
        """
        order = await self._order_in_body(request)
        self._world.resend_order(order)
        return success({**self._result(order), "resent": True})

    async def _take_time(self) -> None:
        # Without time to take, not even a turn of the event loop may pass, or requests would get in each other's way.
        if self._world.create_takes:
            await asyncio.sleep(self._world.create_takes)

    def _rent_all(self, wanted: CreateOrder) -> list[Order]:
        """Rent as many as can be had of what is wanted, at least one."""
        rented: list[Order] = []
        try:
            for _ in range(wanted.quantity):
                rented.append(self._rent(wanted))  # noqa: PERF401 - what was rented before a refusal stays rented
        except SmsApiError:
            if not rented:
                raise
        return rented

    def _rent(self, wanted: CreateOrder) -> Order:
        product = self._world.product(wanted.product_id) if wanted.product_id is not None else self._route(wanted)
        self._world.ask_provider()
        return self._world.create_order(product.id)

    def _route(self, wanted: CreateOrder) -> Product:
        """Choose the cheapest product that fits; where success counts, the dearest, which is the best here."""
        fits = [
            product
            for product in self._shelves.of_kind(wanted.catalog_product_id or 0)
            if (wanted.max_price is None or product.price <= wanted.max_price)
            and (wanted.min_price is None or product.price >= wanted.min_price)
            and wanted.operator_id in {None, self._shelves.operator_id(product.operator)}
        ]
        if not fits:
            raise SmsApiError(ErrorCode.NO_OFFER_AVAILABLE, "No offer matches the product and the policy.")
        choose = min if wanted.policy == "cheapest" else max
        return choose(fits, key=lambda product: product.price)

    def _created(self, orders: list[Order], asked: int) -> Response:
        rows = [self._rows.created(order) for order in orders]
        return success({"orders": rows, "failed_count": asked - len(rows)})

    def _result(self, order: Order) -> Row:
        return {"order_id": order.number, "status": self._rows.status(order)}

    def _read(self, request: Request, order: Order) -> Row:
        if "read" not in self._world.hides_sms:
            _note_shown(request, order)
        return self._rows.read(order)

    def _order_in_path(self, request: Request) -> Order:
        number: str = request.path_params["id"]
        if not (number.isascii() and number.isdigit()):
            raise SmsApiError(ErrorCode.ORDER_NOT_FOUND, "The account has no such order.")
        return self._world.named(number)

    async def _order_in_body(self, request: Request) -> Order:
        enter(self._world, request)
        query_of(request)
        return self._world.order_by_number((await body_of(request, OneOrder)).id)


def _note_shown(request: Request, order: Order) -> None:
    if order.coded_sms is not None:
        show(request, order.coded_sms)
