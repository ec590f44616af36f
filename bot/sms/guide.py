"""The `guide` contract: the API as the vendor's getting-started guide describes it.

Encoding and decoding are functions without I/O; each names the step of the guide it follows. Fields that the guide
does not name are read if they are there and missed by nobody if they are not. A created order is never lost to
strictness: only an answer without its id cannot be kept.
"""

import json
import re
from collections.abc import Iterable, Mapping
from typing import Any, Final
from urllib.parse import quote

from bot.domain.errors import NotOffered, Unclear
from bot.domain.orders import CatalogName, Offer, RemoteOrder, RemoteStatus
from bot.sms.fields import mapping, moment, rows, text, whole
from bot.sms.port import CreateRequest, Priority, Terms, WebhookState
from bot.sms.wire import Answer, Call, Wire

_STATUSES: Final[Mapping[str, RemoteStatus]] = {
    "WAITING": RemoteStatus.WAITING,
    "OTP_RECEIVED": RemoteStatus.OTP_RECEIVED,
    "COMPLETED": RemoteStatus.COMPLETED,
    "CANCELLED": RemoteStatus.CANCELED,
    "EXPIRED": RemoteStatus.EXPIRED,
}
_STOCK_FIELDS: Final = ("available", "stock", "stock_count")
_ORDER_ID: Final = re.compile(r"[^\s/?#\x00-\x1f]{1,128}")


def decode_balance(answer: Answer) -> int:
    """Step 1: `{"currency": "IDR", "balance": 150000}`."""
    balance = whole(mapping(answer).get("balance"))
    if balance is None:
        raise Unclear("SMSCode sent a balance that is no whole number", request_id=answer.request_id)
    return balance


def decode_offers(answer: Answer) -> list[Offer]:
    """Step 2: the products. A row without a usable id and price is passed over; it cannot be ordered."""
    offers = map(_decode_offer, rows(answer, "a catalog"))
    return [offer for offer in offers if offer is not None]


def decode_order(answer: Answer) -> RemoteOrder:
    """Steps 3 and 4: an order, new or read again."""
    data = mapping(answer)
    remote_id = text(data.get("order_id"))
    if remote_id is None or not _ORDER_ID.fullmatch(remote_id):
        raise Unclear("SMSCode sent an order without its id", request_id=answer.request_id)
    raw_status = text(data.get("status")) or "?"
    return RemoteOrder(
        remote_id=remote_id,
        raw_status=raw_status,
        status=_STATUSES.get(raw_status),
        phone_number=text(data.get("phone_number")),
        expires_at=moment(data.get("expires_at")),
        code=text(data.get("otp_code")),
        request_id=answer.request_id,
    )


class GuideAdapter:
    """`SmsPort` over the guide's endpoints."""

    contract = "guide"
    creates_are_repeatable = False
    tells_money = False
    shows_all_live = False
    lists_names = False
    chooses_numbers = False

    def __init__(self, wire: Wire) -> None:
        self._wire = wire

    async def settle_contract(self) -> None:
        """The configuration has said it."""

    async def balance(self) -> int:
        return decode_balance(await self._wire.send(Call("GET", "/v1/balance")))

    async def operators(self, country: str, platform: str) -> list[CatalogName]:
        raise NotOffered("choose a mobile network", self.contract)

    async def offers(self, country: str | None, platform: str | None, operator: str | None = None) -> list[Offer]:
        if operator is not None:
            raise NotOffered("choose a mobile network", self.contract)
        asked = {"country": country, "platform": platform}
        params = {name: value for name, value in asked.items() if value is not None}
        return decode_offers(await self._wire.send(Call("GET", "/v1/catalog/products", params=params)))

    async def platforms(self) -> list[CatalogName]:
        return _names(offer.platform for offer in await self.offers(None, None))

    async def countries(self) -> list[CatalogName]:
        return _names(offer.country for offer in await self.offers(None, None))

    def create_body(self, offer: Offer, terms: Terms) -> str:
        del terms  # the guide knows no ceiling and no choice: a product is one number at its price
        return json.dumps({"product_id": offer.product_id})

    async def create(self, request: CreateRequest) -> RemoteOrder:
        return decode_order(await self._wire.send(Call("POST", "/v1/orders", body=request.body)))

    async def read(self, remote_id: str, priority: Priority = Priority.WATCH) -> RemoteOrder:
        path = f"/v1/orders/{quote(remote_id, safe='')}"
        order = decode_order(await self._wire.send(Call("GET", path, priority=priority)))
        if order.remote_id != remote_id:
            # A proxy that mixes answers up must not put one person's code into another one's chat.
            raise Unclear("SMSCode answered about another order", request_id=order.request_id)
        return order

    async def cancel(self, remote_id: str) -> RemoteOrder | None:
        await self._wire.send(Call("POST", f"/v1/orders/{quote(remote_id, safe='')}/cancel"))
        return None  # the guide does not say what the answer holds

    async def live(self) -> list[RemoteOrder]:
        raise NotOffered("list all live orders", self.contract)

    async def finish(self, remote_id: str) -> None:
        raise NotOffered("finish an order; it completes by itself", self.contract)

    async def resend(self, remote_id: str) -> None:
        raise NotOffered("ask for another SMS; one that comes is shown by itself", self.contract)

    async def reactivation_cost(self, remote_id: str) -> int:
        raise NotOffered("rent the same number again", self.contract)

    def reactivate_body(self, remote_id: str, most: int) -> str:
        raise NotOffered("rent the same number again", self.contract)

    async def webhook(self) -> WebhookState:
        raise NotOffered("send webhooks", self.contract)

    async def send_webhooks_to(self, url: str, secret: str) -> WebhookState:
        raise NotOffered("send webhooks", self.contract)


def _names(found: Iterable[str]) -> list[CatalogName]:
    return [CatalogName(name) for name in dict.fromkeys(found) if name]


def _decode_offer(row: Mapping[str, Any]) -> Offer | None:
    product_id, price = row.get("id"), whole(row.get("price"))
    if isinstance(product_id, bool) or not isinstance(product_id, int | str) or price is None:
        return None
    stocks = (whole(row.get(field)) for field in _STOCK_FIELDS)
    return Offer(
        product_id=product_id,
        price=price,
        name=_name(row.get("name")),
        country=_name(row.get("country")),
        platform=_name(row.get("platform")),
        stock=next((stock for stock in stocks if stock is not None), None),
    )


def _name(value: object) -> str:
    """A name given as itself, or as an object that holds it."""
    if isinstance(value, dict):
        value = value.get("slug") or value.get("code") or value.get("name")
    return text(value) or ""
