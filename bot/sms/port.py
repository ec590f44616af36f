"""What the desk needs of SMSCode, whichever contract is spoken."""

from dataclasses import dataclass
from enum import IntEnum
from typing import Protocol

from bot.domain.orders import Offer, RemoteOrder


class Priority(IntEnum):
    """Who goes first when the request budget is short."""

    COMMAND = 0
    WATCH = 1


@dataclass(frozen=True, slots=True)
class CreateRequest:
    """One attempt to rent a number: the exact body, and a key where the contract can tell a repeat by it."""

    body: str
    key: str


class SmsPort(Protocol):
    """The SMSCode account. Every method may raise any leaf of `bot.domain.errors.SmsError`."""

    @property
    def contract(self) -> str:
        """The name of the contract spoken: `guide` or `official`."""
        ...

    @property
    def creates_are_repeatable(self) -> bool:
        """Whether a create sent again with the same key and body can never charge twice."""
        ...

    async def balance(self) -> int:
        """What the account has left, in IDR."""
        ...

    async def offers(self, country: str | None, platform: str | None) -> list[Offer]:
        """The catalog, narrowed by either name; as SMSCode orders it, with what is out of stock."""
        ...

    def create_body(self, offer: Offer) -> str:
        """The exact request body that orders this offer, to be kept before it is sent."""
        ...

    async def create(self, request: CreateRequest) -> RemoteOrder:
        """Rent a number. This spends money: `Unclear` means that nobody knows whether it did."""
        ...

    async def read(self, remote_id: str, priority: Priority = Priority.WATCH) -> RemoteOrder:
        """Look at one order."""
        ...

    async def cancel(self, remote_id: str) -> None:
        """End an order; whether money comes back is to be seen from a look at it afterwards."""
        ...
