"""The face of the simulated SMSCode that the getting-started guide describes."""

from typing import Final

from pydantic import PositiveInt
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from bot.sandbox.sms_books import Order
from bot.sandbox.sms_dialect import Dialect
from bot.sandbox.sms_errors import ErrorCode
from bot.sandbox.sms_time import utc_text
from bot.sandbox.sms_wire import Body, body_of, enter, enter_bare, query_of, show, success
from bot.sandbox.sms_world import SmsWorld

GUIDE: Final = Dialect(
    {
        ErrorCode.UNAUTHORIZED: 401,
        ErrorCode.INSUFFICIENT_BALANCE: 402,
        ErrorCode.PRODUCT_UNAVAILABLE: 409,
        ErrorCode.ORDER_NOT_FOUND: 404,
        ErrorCode.ORDER_NOT_CANCELLABLE: 409,
        ErrorCode.ORDER_ENDED: 409,
        ErrorCode.RATE_LIMITED: 429,
        ErrorCode.VALIDATION_ERROR: 422,
        ErrorCode.NOT_FOUND: 404,
        ErrorCode.METHOD_NOT_ALLOWED: 405,
        ErrorCode.PAYLOAD_TOO_LARGE: 413,
        ErrorCode.INTERNAL_ERROR: 500,
        ErrorCode.SERVICE_UNAVAILABLE: 503,
    }
)


class CreateOrder(Body):
    """The body of an order: the catalog's id of the product to rent a number of."""

    product_id: PositiveInt


class GuideFace:
    """The five routes of the guide over one world."""

    def __init__(self, world: SmsWorld) -> None:
        self._world = world

    def routes(self) -> list[Route]:
        """Return the routes; every endpoint refuses with `SmsApiError`, for the dialect to put on the wire."""
        return [
            Route("/v1/balance", self.balance, methods=["GET"]),
            Route("/v1/catalog/products", self.products, methods=["GET"]),
            Route("/v1/orders", self.create, methods=["POST"]),
            Route("/v1/orders/{id}", self.read, methods=["GET"]),
            Route("/v1/orders/{id}/cancel", self.cancel, methods=["POST"]),
        ]

    async def balance(self, request: Request) -> Response:
        """Answer with the balance in whole IDR.

        Raises:
            SmsApiError: UNAUTHORIZED, RATE_LIMITED or VALIDATION_ERROR.
        """
        await enter_bare(self._world, request)
        return success({"currency": "IDR", "balance": self._world.balance})

    async def products(self, request: Request) -> Response:
        """Answer with the catalog, narrowed by the query's `country` and `platform`; sold-out products are listed too.

        Raises:
            SmsApiError: UNAUTHORIZED, RATE_LIMITED or VALIDATION_ERROR.
        """
        query = await enter_bare(self._world, request, "country", "platform")
        products = self._world.products(query.get("country"), query.get("platform"))
        rows = [
            {
                "id": product.id,
                "name": product.name,
                "country": product.country,
                "platform": product.platform,
                "price": product.price,
                "available": product.available,
            }
            for product in products
        ]
        return success(rows)

    async def create(self, request: Request) -> Response:
        """Rent a number, charge its price, and answer with the new order; asked twice, it rents twice.

        Raises:
            SmsApiError: UNAUTHORIZED, RATE_LIMITED, VALIDATION_ERROR, PRODUCT_UNAVAILABLE or INSUFFICIENT_BALANCE;
                nothing is charged then.
        """
        enter(self._world, request)
        query_of(request)
        wanted = await body_of(request, CreateOrder)
        order = self._world.create_order(wanted.product_id)
        created = {
            "order_id": order.id,
            "phone_number": order.phone_number,
            "status": order.status,
            "expires_at": utc_text(order.expires_at),
        }
        return success(created)

    async def read(self, request: Request) -> Response:
        """Answer with an order as it is now, and with its latest code once there is one.

        Raises:
            SmsApiError: UNAUTHORIZED, RATE_LIMITED, VALIDATION_ERROR or ORDER_NOT_FOUND.
        """
        await enter_bare(self._world, request)
        return self._answer_with(request, self._world.order(request.path_params["id"]))

    async def cancel(self, request: Request) -> Response:
        """End a live order and answer with it; its price comes back only if no SMS has arrived.

        Raises:
            SmsApiError: UNAUTHORIZED, RATE_LIMITED, VALIDATION_ERROR, ORDER_NOT_FOUND or ORDER_NOT_CANCELLABLE.
        """
        await enter_bare(self._world, request)
        return self._answer_with(request, self._world.cancel_order(request.path_params["id"]))

    def _answer_with(self, request: Request, order: Order) -> Response:
        row = {
            "order_id": order.id,
            "status": order.status,
            "phone_number": order.phone_number,
            "expires_at": utc_text(order.expires_at),
        }
        sms = order.coded_sms
        if sms is not None and sms.code is not None:
            row["otp_code"] = sms.code
            show(request, sms)
        return success(row)
