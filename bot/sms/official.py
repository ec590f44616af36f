"""The `official` contract: the API as the vendor's OpenAPI description and Python SDK have it.

The vendor's client knows the paths and decodes the small answers; every request of it leaves through our `Wire`, so
that it has timeouts, a budget and a defined outcome. Orders and products are decoded here: the SDK refuses an order
that lacks one flag, and an order that was paid must never be lost to a missing flag.
"""

import json
import re
from collections import Counter
from collections.abc import Awaitable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final, TypeVar

from cachetools import LRUCache
from smscode import AsyncSmscodeClient
from smscode.errors import SmscodeError
from smscode.models import WebhookConfig
from smscode.types import ApiResult, HttpMethod, QueryValue

from bot.domain.errors import ProductGone, RemoteOrderMissing, Unclear
from bot.domain.orders import Allowed, CatalogName, Offer, RemoteOrder, RemoteStatus
from bot.sms import fields
from bot.sms.port import CreateRequest, Priority, Terms, WebhookState
from bot.sms.wire import Answer, Call, Wire

T = TypeVar("T")

_STATUSES: Final[Mapping[str, RemoteStatus]] = {
    "ACTIVE": RemoteStatus.WAITING,
    "OTP_RECEIVED": RemoteStatus.OTP_RECEIVED,
    "COMPLETED": RemoteStatus.COMPLETED,
    "CANCELED": RemoteStatus.CANCELED,
    "EXPIRED": RemoteStatus.EXPIRED,
}
_FLAGS: Final = ("can_cancel", "can_finish", "can_resend", "can_reactivate")
_ORDER_ID: Final = re.compile(r"[0-9]{1,18}", re.ASCII)
_CANCEL: Final = "/v1/orders/cancel"
_MOST_PAGES: Final = 10
"""Pages of products that are read; they come cheapest first, and nobody looks at more."""

_MOST_PAIRS: Final = 512

_NOT_USED: Final = "carried by the wire"
"""The wire's own client presents the token; the SDK only insists on being given one."""

_Shelf = dict[str, int]
"""The ids of what goes by those names."""


@dataclass(frozen=True, slots=True)
class Shown:
    """A row of the list of live orders, and what it says."""

    row: Mapping[str, Any] = field(repr=False)
    order: RemoteOrder


def decode_order(row: Mapping[str, Any], request_id: str | None) -> RemoteOrder:
    """One order, from whichever answer: the list of live ones has no number and no charge.

    Raises:
        Unclear: it has no id, and nothing could be done with it.
    """
    remote_id = fields.text(row.get("id"))
    if remote_id is None or not _ORDER_ID.fullmatch(remote_id):
        raise Unclear("SMSCode sent an order without its id", request_id=request_id)
    raw_status = fields.text(row.get("status")) or "?"
    # A counter that starts at nothing counts nothing yet; then the digits tell what is new.
    revision = fields.whole(row.get("sms_revision")) or None
    return RemoteOrder(
        remote_id=remote_id,
        raw_status=raw_status,
        status=_STATUSES.get(raw_status),
        phone_number=fields.text(row.get("phone_number")),
        expires_at=fields.moment(row.get("expires_at")),
        code=fields.text(row.get("otp_code")),
        text=fields.text(row.get("otp_message")),
        revision=revision,
        amount=fields.whole(row.get("amount")),
        refunded=fields.whole(row.get("refund_amount")),
        allowed=_allowed(row),
        request_id=request_id,
    )


def decode_created(answer: Answer) -> RemoteOrder:
    """The order in the answer to a create or a reactivation.

    Raises:
        ProductGone: SMSCode says that none came of it. Unclear: the answer does not tell; a replay may.
    """
    data = fields.mapping(answer)
    orders = data.get("orders")
    if not isinstance(orders, list):
        raise Unclear("SMSCode sent a create without its orders", request_id=answer.request_id)
    if not orders and fields.whole(data.get("failed_count")):
        raise ProductGone("PROVIDER_ERROR", "no number came", status=200, request_id=answer.request_id)
    if not orders or not isinstance(orders[0], dict):
        raise Unclear("SMSCode sent a create without its order", request_id=answer.request_id)
    return decode_order(orders[0], answer.request_id)


def decode_live(answer: Answer, before: Mapping[str, Shown]) -> dict[str, Shown]:
    """The live orders by their ids; one without an id is passed over, and its order is read by itself as having left.

    A row in which nothing is new since the list `before` is not decoded again: that would be nearly all of the work.
    The orders do not name the answer they came from, so that one in which nothing is new equals what was shown before.
    """
    found = {}
    for row in fields.rows(answer, "a list of live orders"):
        known = before.get(fields.text(row.get("id")) or "")
        if known is None or known.row != row:
            try:
                known = Shown(row, decode_order(row, None))
            except Unclear:
                continue
        found[known.order.remote_id] = known
    return found


def decode_offer(row: Mapping[str, Any], countries: Mapping[int, str], platforms: Mapping[int, str]) -> Offer | None:
    """One product; None without a usable id and price, for it cannot be ordered."""
    product_id = fields.whole(row.get("id"))
    # The API's description calls it `price`, the SDK's recorded answer `amount`.
    price = fields.whole(row.get("amount") if row.get("price") is None else row.get("price"))
    if product_id is None or price is None:
        return None
    return Offer(
        product_id=product_id,
        price=price,
        name=fields.text(row.get("name")) or "",
        country=_named(countries, row.get("country_id")),
        platform=_named(platforms, row.get("platform_id")),
        stock=0 if row.get("active") is False else fields.whole(row.get("available")),
        catalog_id=fields.whole(row.get("catalog_product_id")),
        operator=fields.text(row.get("operator_name")) or "",
        operator_id=fields.whole(row.get("operator_id")),
    )


class OfficialAdapter:
    """`SmsPort` over the vendor's SDK."""

    contract = "official"
    creates_are_repeatable = True
    tells_money = True
    shows_all_live = True
    lists_names = True
    chooses_numbers = True

    def __init__(self, wire: Wire) -> None:
        self._wire = wire
        self._vendor = _VendorClient(wire).v1
        self._shown: Mapping[str, Shown] = {}
        self._countries: _Shelf = {}
        self._platforms: _Shelf = {}
        self._operators: LRUCache[tuple[str, str], _Shelf] = LRUCache(_MOST_PAIRS)

    async def settle_contract(self) -> None:
        """The configuration, or a look, has said it."""

    async def balance(self) -> int:
        answer = await self._wire.send(Call("GET", "/v1/balance"))
        balance = fields.whole(fields.mapping(answer).get("balance"))
        if balance is None:
            raise Unclear("SMSCode sent a balance that is no whole number", request_id=answer.request_id)
        return balance

    async def platforms(self) -> list[CatalogName]:
        rows = [row for row in await _decoded(self._vendor.catalog.services()) if row.active]
        names = _distinct([(row.name, row.code) for row in rows])
        self._platforms = dict(zip(names, (row.id for row in rows), strict=True))
        return [CatalogName(name, (row.code,)) for name, row in zip(names, rows, strict=True)]

    async def countries(self) -> list[CatalogName]:
        rows = [row for row in await _decoded(self._vendor.catalog.countries()) if row.active]
        names = _distinct([(row.name, row.code or "") for row in rows])
        self._countries = dict(zip(names, (row.id for row in rows), strict=True))
        return [
            CatalogName(name, tuple(filter(None, (row.code, row.emoji, row.dial_code))))
            for name, row in zip(names, rows, strict=True)
        ]

    async def operators(self, country: str, platform: str) -> list[CatalogName]:
        country_id, platform_id = await self._country_id(country), await self._platform_id(platform)
        if country_id is None or platform_id is None:
            return []
        asked = self._vendor.catalog.operators(country_id=country_id, platform_id=platform_id)
        rows = [row for row in await _decoded(asked) if row.operator_id is not None]
        names = _distinct([(row.name or row.code, row.code) for row in rows])
        self._operators[country, platform] = {
            name: row.operator_id for name, row in zip(names, rows, strict=True) if row.operator_id is not None
        }
        return [
            CatalogName(name, tuple(filter(None, (row.code, row.local_name))))
            for name, row in zip(names, rows, strict=True)
        ]

    async def offers(self, country: str | None, platform: str | None, operator: str | None = None) -> list[Offer]:
        asked: dict[str, int | None] = {}
        if country is not None:
            asked["country_id"] = await self._country_id(country)
        if platform is not None:
            asked["platform_id"] = await self._platform_id(platform)
        if country is not None and platform is not None and operator is not None:
            asked["operator_id"] = await self._operator_id(country, platform, operator)
        if not asked or None in asked.values():
            return []
        params = {name: str(value) for name, value in asked.items()}
        rows = await self._products(params)
        # The rows name countries and platforms by their ids alone.
        countries, platforms = await self._names(rows, country, platform)
        offers = (decode_offer(row, countries, platforms) for row in rows)
        return [offer for offer in offers if offer is not None]

    def create_body(self, offer: Offer, terms: Terms) -> str:
        if offer.catalog_id is None:
            return json.dumps({"product_id": offer.product_id})
        body: dict[str, object] = {
            "catalog_product_id": offer.catalog_id,
            "max_price": terms.most,
            "policy": terms.policy.value,
        }
        if not terms.any_operator and offer.operator_id is not None:
            body["operator_id"] = offer.operator_id
        return json.dumps(body)

    async def create(self, request: CreateRequest) -> RemoteOrder:
        path = "/v1/orders/reactivate" if request.reactivates else "/v1/orders/create"
        call = Call("POST", path, body=request.body, headers={"idempotency-key": request.key})
        try:
            answer = await self._wire.send(call)
        except RemoteOrderMissing as error:
            if request.reactivates:
                raise
            # The product has left the catalog since it was listed.
            raise ProductGone(error.code, error.message, status=error.status, request_id=error.request_id) from error
        return decode_created(answer)

    async def read(self, remote_id: str, priority: Priority = Priority.WATCH) -> RemoteOrder:
        answer = await self._wire.send(Call("GET", f"/v1/orders/{_number(remote_id)}", priority=priority))
        order = decode_order(fields.mapping(answer), answer.request_id)
        if order.remote_id != remote_id:
            # A proxy that mixes answers up must not put one person's code into another one's chat.
            raise Unclear("SMSCode answered about another order", request_id=order.request_id)
        return order

    async def live(self) -> list[RemoteOrder]:
        answer = await self._wire.send(Call("GET", "/v1/orders/active", priority=Priority.WATCH))
        self._shown = decode_live(answer, self._shown)
        return [shown.order for shown in self._shown.values()]

    async def cancel(self, remote_id: str) -> RemoteOrder | None:
        result = await _decoded(self._vendor.orders.cancel(_number(remote_id)))
        if str(result.order_id) != remote_id:
            raise Unclear("SMSCode answered about another order")
        status = _STATUSES.get(result.status)
        return RemoteOrder(remote_id, result.status, status, refunded=fields.whole(result.refund_amount))

    async def finish(self, remote_id: str) -> None:
        await _decoded(self._vendor.orders.finish(_number(remote_id)))

    async def resend(self, remote_id: str) -> None:
        await _decoded(self._vendor.orders.resend(_number(remote_id)))

    async def reactivation_cost(self, remote_id: str) -> int:
        cost = fields.whole((await _decoded(self._vendor.orders.reactivate_options(_number(remote_id)))).cost)
        if cost is None:
            raise Unclear("SMSCode sent a price that is no whole number")
        return cost

    def reactivate_body(self, remote_id: str, most: int) -> str:
        return json.dumps({"id": _number(remote_id), "max_price": most})

    async def webhook(self) -> WebhookState:
        return _webhook(await _decoded(self._vendor.webhook.get()))

    async def send_webhooks_to(self, url: str, secret: str) -> WebhookState:
        return _webhook(await _decoded(self._vendor.webhook.update(webhook_url=url, webhook_secret=secret)))

    async def _country_id(self, name: str) -> int | None:
        if name not in self._countries:
            await self.countries()
        return self._countries.get(name)

    async def _platform_id(self, name: str) -> int | None:
        if name not in self._platforms:
            await self.platforms()
        return self._platforms.get(name)

    async def _operator_id(self, country: str, platform: str, name: str) -> int | None:
        if name not in self._operators.get((country, platform), {}):
            await self.operators(country, platform)
        return self._operators.get((country, platform), {}).get(name)

    async def _products(self, params: Mapping[str, str]) -> list[Mapping[str, Any]]:
        """Every page of the products, cheapest first."""
        found: list[Mapping[str, Any]] = []
        for page in range(1, _MOST_PAGES + 1):
            asked = {**params, "sort": "price_asc", "page": str(page)}
            answer = await self._wire.send(Call("GET", "/v1/catalog/products", params=asked))
            rows = fields.rows(answer, "a catalog")
            found.extend(rows)
            limit = fields.whole(answer.meta.get("limit"))
            if not limit or len(rows) < limit:
                break
        return found

    async def _names(
        self, rows: Iterable[Mapping[str, Any]], country: str | None, platform: str | None
    ) -> tuple[Mapping[int, str], Mapping[int, str]]:
        """What the countries and the platforms of these products are called, by their ids."""
        if country is None and not self._countries and rows:
            await self.countries()
        if platform is None and not self._platforms and rows:
            await self.platforms()
        return _turned(self._countries), _turned(self._platforms)


class _VendorClient(AsyncSmscodeClient):
    """The vendor's client with our wire in the place of its transport: nothing is sent twice by itself."""

    def __init__(self, wire: Wire) -> None:
        super().__init__(token=_NOT_USED, client=wire.client)
        self._wire = wire

    async def request(
        self,
        method: HttpMethod,
        path: str,
        *,
        params: Mapping[str, QueryValue] | None = None,
        json: Any | None = None,
        headers: Mapping[str, str] | None = None,
        retry: int | None = None,
    ) -> ApiResult[Any]:
        del retry
        call = Call(
            method,
            path,
            params={name: str(value) for name, value in (params or {}).items() if value is not None},
            body=None if json is None else _dumps(json),
            headers=headers,
            # A day's cap on cancels is a 429 as well, and nobody else has to wait for tomorrow.
            pauses_all=path != _CANCEL,
        )
        answer = await self._wire.send(call)
        return ApiResult(data=answer.data, meta=dict(answer.meta), request_id=answer.request_id, status=200)


_dumps = json.dumps
"""By a name of its own: the SDK calls the body of a request `json`."""


async def _decoded(asking: Awaitable[T]) -> T:
    """What the SDK makes of an answer.

    Raises:
        Unclear: it could make nothing of it.
    """
    try:
        return await asking
    except (SmscodeError, LookupError, TypeError, ValueError, AttributeError) as error:
        raise Unclear(f"SMSCode sent an answer that cannot be read ({type(error).__name__})") from error


def _named(names: Mapping[int, str], number: object) -> str:
    return names.get(number, "") if isinstance(number, int) else ""


def _turned(shelf: _Shelf) -> dict[int, str]:
    return {number: name for name, number in shelf.items()}


def _distinct(named: list[tuple[str, str]]) -> list[str]:
    """A name for each that no other has: the code tells apart what is called alike."""
    times = Counter(name for name, _ in named)
    return [name if times[name] == 1 else f"{name} ({code})" for name, code in named]


def _allowed(row: Mapping[str, Any]) -> Allowed | None:
    if not any(isinstance(row.get(flag), bool) for flag in _FLAGS):
        return None
    may = {flag: row.get(flag) is True for flag in _FLAGS}
    return Allowed(
        cancel=may["can_cancel"],
        finish=may["can_finish"],
        resend=may["can_resend"],
        reactivate=may["can_reactivate"],
        cancel_from=_moment(row, "cancel_available_at"),
        resend_from=_moment(row, "resend_available_at"),
    )


def _moment(row: Mapping[str, Any], field: str) -> datetime | None:
    return fields.moment(row.get(field))


def _webhook(config: WebhookConfig) -> WebhookState:
    disabled = config.webhook_disabled_at is not None
    return WebhookState(
        url=config.webhook_url or "",
        disabled=(config.webhook_disabled_reason or "after too many failures") if disabled else "",
        failures=config.webhook_consecutive_failures,
    )


def _number(remote_id: str) -> int:
    """SMSCode's id as the integer that it is here.

    Raises:
        RemoteOrderMissing: it is the id of an order that was placed over another contract.
    """
    if not _ORDER_ID.fullmatch(remote_id):
        raise RemoteOrderMissing("NOT_FOUND", "this order was placed over another contract")
    return int(remote_id)
