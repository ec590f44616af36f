"""The catalog routes of the official contract."""

from collections.abc import Callable, Mapping
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from bot.sandbox.sms_catalog import Product
from bot.sandbox.sms_errors import ErrorCode, SmsApiError
from bot.sandbox.sms_shelves import Row, Shelves
from bot.sandbox.sms_wire import clamped, enter_bare, id_in, success
from bot.sandbox.sms_world import SmsWorld

RUPIAH_PER_DOLLAR: Final = 16_250
_PAGE_SIZES: Final = (1, 10_000)
_DEFAULT_PAGE_SIZE: Final = 1_000
_PAGES: Final = (1, 10**9)
_CHEAPEST_FIRST: Final = "price_asc"

_SORTS: Final[Mapping[str, tuple[Callable[[Product], Any], bool]]] = {
    "price_asc": (lambda product: product.price, False),
    "price_desc": (lambda product: product.price, True),
    "available_asc": (lambda product: product.available, False),
    "available_desc": (lambda product: product.available, True),
    "name_asc": (lambda product: product.name, False),
    "name_desc": (lambda product: product.name, True),
}


class CatalogFace:
    """What can be had of one world. Every endpoint refuses with UNAUTHORIZED, RATE_LIMITED or VALIDATION_ERROR."""

    def __init__(self, world: SmsWorld) -> None:
        self._world = world
        self._shelves = Shelves(world)

    def routes(self) -> list[Route]:
        """Return the routes."""
        return [
            Route("/v1/catalog/countries", self.countries, methods=["GET"]),
            Route("/v1/catalog/services", self.services, methods=["GET"]),
            Route("/v1/catalog/operators", self.operators, methods=["GET"]),
            Route("/v1/catalog/products", self.products, methods=["GET"]),
            Route("/v1/catalog/exchange-rate", self.exchange_rate, methods=["GET"]),
        ]

    async def countries(self, request: Request) -> Response:
        """Answer with every country."""
        await enter_bare(self._world, request)
        return _page(self._shelves.countries(), 1, _DEFAULT_PAGE_SIZE)

    async def services(self, request: Request) -> Response:
        """Answer with every service, or with those in stock in the query's `country_id`."""
        query = await enter_bare(self._world, request, "country_id")
        return _page(self._shelves.services(id_in(query, "country_id")), 1, _DEFAULT_PAGE_SIZE)

    async def operators(self, request: Request) -> Response:
        """Answer with the operators in stock for the query's `country_id` and `platform_id`, which both must be there.

        Raises:
            SmsApiError: VALIDATION_ERROR, one is missing.
        """
        query = await enter_bare(self._world, request, "country_id", "platform_id")
        country_id, platform_id = id_in(query, "country_id"), id_in(query, "platform_id")
        if country_id is None or platform_id is None:
            raise SmsApiError(ErrorCode.VALIDATION_ERROR, "Both country_id and platform_id must be given.")
        return success(self._shelves.operators(country_id, platform_id))

    async def products(self, request: Request) -> Response:
        """Answer with a page of the products in stock. Limits out of range are clamped; an unknown sort is no error."""
        query = await enter_bare(
            self._world, request, "country_id", "platform_id", "operator_id", "limit", "page", "sort"
        )
        limit = clamped(query, "limit", _DEFAULT_PAGE_SIZE, _PAGE_SIZES)
        page = clamped(query, "page", 1, _PAGES)
        asked = (id_in(query, name) for name in ("country_id", "platform_id", "operator_id"))
        key, backwards = _SORTS.get(query.get("sort", _CHEAPEST_FIRST), _SORTS[_CHEAPEST_FIRST])
        found = sorted(self._shelves.in_stock(*asked), key=key, reverse=backwards)
        return _page([self._shelves.product_row(product) for product in found], page, limit)

    async def exchange_rate(self, request: Request) -> Response:
        """Answer with what a dollar costs, the only pair there is.

        Raises:
            SmsApiError: NOT_FOUND, another pair.
        """
        query = await enter_bare(self._world, request, "pair")
        if query.get("pair", "USD/IDR") != "USD/IDR":
            raise SmsApiError(ErrorCode.NOT_FOUND, "There is no rate for this pair.")
        rate = {"pair": "USD/IDR", "base_currency": "USD", "quote_currency": "IDR", "rate": RUPIAH_PER_DOLLAR}
        return success(rate)


def _page(rows: list[Row], page: int, limit: int) -> Response:
    shown = rows[(page - 1) * limit : page * limit]
    return success(shown, {"page": page, "limit": limit, "count": len(shown)})
