"""Which contract the server speaks, found out by one look at the start.

`GET /v1/orders/active` is a list where the official contract is spoken. The guide has no such path: there it names an
order that does not exist. A wrong token is said at once; anything else is no answer, and is asked again with growing
pauses. Until then nothing is ordered.
"""

import asyncio
import logging
from collections.abc import Callable
from http import HTTPStatus
from typing import Final

from bot.clock import Clock
from bot.domain.errors import ApiError, NotSent, SmsError, TokenRejected, Unclear
from bot.domain.orders import CatalogName, Offer, RemoteOrder
from bot.sms.guide import GuideAdapter
from bot.sms.official import OfficialAdapter
from bot.sms.port import CreateRequest, Priority, SmsPort, Terms, WebhookState
from bot.sms.wire import Call, Wire

log = logging.getLogger(__name__)

_PAUSES: Final = (1.0, 2.0, 5.0, 10.0, 30.0)
"""Seconds between two looks; the last one repeats."""

_ADAPTERS: Final[dict[str, Callable[[Wire], SmsPort]]] = {"guide": GuideAdapter, "official": OfficialAdapter}


def make_port(contract: str, wire: Wire, clock: Clock) -> SmsPort:
    """The port for the configured `contract`: `guide`, `official`, or `auto` to find out."""
    adapter = _ADAPTERS.get(contract)
    return adapter(wire) if adapter is not None else DetectingAdapter(wire, clock)


async def detect(wire: Wire) -> str:
    """Ask the server once which contract it speaks: `official` or `guide`.

    Raises:
        TokenRejected: the token is wrong. SmsError: no answer that tells.
    """
    try:
        answer = await wire.send(Call("GET", "/v1/orders/active", priority=Priority.WATCH))
    except ApiError as error:
        if error.status == HTTPStatus.NOT_FOUND:
            return GuideAdapter.contract
        raise
    if not isinstance(answer.data, list):
        raise Unclear("SMSCode sent a list of live orders that is no list", request_id=answer.request_id)
    return OfficialAdapter.contract


class DetectingAdapter:
    """`SmsPort` that becomes one of the contracts as soon as the server shows which one it speaks."""

    def __init__(self, wire: Wire, clock: Clock) -> None:
        self._wire = wire
        self._clock = clock
        self._chosen: SmsPort | None = None
        self._asking = asyncio.Lock()
        self._looks = 0
        self._next_look = 0.0
        self._why_unknown: SmsError = NotSent("which contract SMSCode speaks is not known yet")

    @property
    def contract(self) -> str:
        return self._chosen.contract if self._chosen else ""

    @property
    def creates_are_repeatable(self) -> bool:
        return self._chosen is not None and self._chosen.creates_are_repeatable

    @property
    def tells_money(self) -> bool:
        return self._chosen is not None and self._chosen.tells_money

    @property
    def shows_all_live(self) -> bool:
        return self._chosen is not None and self._chosen.shows_all_live

    @property
    def lists_names(self) -> bool:
        return self._chosen is not None and self._chosen.lists_names

    @property
    def chooses_numbers(self) -> bool:
        return self._chosen is not None and self._chosen.chooses_numbers

    async def settle_contract(self) -> None:
        """Look once the pause since the last look is over; else say again what that one has met."""
        await self._settled()

    async def _settled(self) -> SmsPort:
        async with self._asking:
            if self._chosen is None:
                self._chosen = _ADAPTERS[await self._look()](self._wire)
                log.info("SMSCode speaks the %s contract", self._chosen.contract)
            return self._chosen

    async def _look(self) -> str:
        if self._clock.monotonic() < self._next_look:
            raise self._why_unknown
        try:
            return await detect(self._wire)
        except SmsError as error:
            # Said again until the next look, but as something that has not left: it did nothing.
            self._why_unknown = error if isinstance(error, TokenRejected) else NotSent(str(error))
            self._next_look = self._clock.monotonic() + _PAUSES[min(self._looks, len(_PAUSES) - 1)]
            self._looks += 1
            raise self._why_unknown from error

    async def balance(self) -> int:
        return await (await self._settled()).balance()

    async def platforms(self) -> list[CatalogName]:
        return await (await self._settled()).platforms()

    async def countries(self) -> list[CatalogName]:
        return await (await self._settled()).countries()

    async def operators(self, country: str, platform: str) -> list[CatalogName]:
        return await (await self._settled()).operators(country, platform)

    async def offers(self, country: str | None, platform: str | None, operator: str | None = None) -> list[Offer]:
        return await (await self._settled()).offers(country, platform, operator)

    def create_body(self, offer: Offer, terms: Terms) -> str:
        return self._known.create_body(offer, terms)

    async def create(self, request: CreateRequest) -> RemoteOrder:
        return await self._known.create(request)

    async def read(self, remote_id: str, priority: Priority = Priority.WATCH) -> RemoteOrder:
        return await (await self._settled()).read(remote_id, priority)

    async def live(self) -> list[RemoteOrder]:
        return await (await self._settled()).live()

    async def cancel(self, remote_id: str) -> RemoteOrder | None:
        return await (await self._settled()).cancel(remote_id)

    async def finish(self, remote_id: str) -> None:
        await (await self._settled()).finish(remote_id)

    async def resend(self, remote_id: str) -> None:
        await (await self._settled()).resend(remote_id)

    async def reactivation_cost(self, remote_id: str) -> int:
        return await (await self._settled()).reactivation_cost(remote_id)

    def reactivate_body(self, remote_id: str, most: int) -> str:
        return self._known.reactivate_body(remote_id, most)

    async def webhook(self) -> WebhookState:
        return await (await self._settled()).webhook()

    async def send_webhooks_to(self, url: str, secret: str) -> WebhookState:
        return await (await self._settled()).send_webhooks_to(url, secret)

    @property
    def _known(self) -> SmsPort:
        """The contract, for what must not guess it: a body is made for the one that its offer came from.

        Raises:
            NotSent: it is not known yet.
        """
        if self._chosen is None:
            raise self._why_unknown
        return self._chosen
