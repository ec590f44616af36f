"""What the desk needs of SMSCode, whichever contract is spoken."""

from dataclasses import dataclass
from enum import IntEnum
from typing import Protocol

from bot.domain.orders import CatalogName, Offer, Policy, RemoteOrder


class Priority(IntEnum):
    """Who goes first when the request budget is short."""

    COMMAND = 0
    WATCH = 1


@dataclass(frozen=True, slots=True)
class Terms:
    """How an offer is to be bought, as far as the contract lets us say so.

    `most` is the highest price (IDR) that may be charged. `any_operator` leaves the mobile network to SMSCode.
    """

    most: int
    policy: Policy = Policy.CHEAPEST
    any_operator: bool = True


@dataclass(frozen=True, slots=True)
class CreateRequest:
    """One attempt to rent a number: the exact body, and a key where the contract can tell a repeat by it.

    `reactivates` says that the body asks for the number of an earlier order again.
    """

    body: str
    key: str
    reactivates: bool = False


@dataclass(frozen=True, slots=True)
class WebhookState:
    """Where SMSCode sends its events. `disabled` is its word for why it stopped sending, empty while it sends."""

    url: str
    disabled: str = ""
    failures: int = 0


class SmsPort(Protocol):
    """The SMSCode account.

    Every method may raise any leaf of `bot.domain.errors.SmsError`. What a contract has no words for raises
    `bot.domain.errors.NotOffered`.
    """

    @property
    def contract(self) -> str:
        """The name of the contract spoken: `guide` or `official`; empty until it is known."""
        ...

    @property
    def creates_are_repeatable(self) -> bool:
        """Whether a create sent again with the same key and body can never charge twice."""
        ...

    @property
    def tells_money(self) -> bool:
        """Whether an order tells what it cost, and a cancel what came back; else the balance alone does."""
        ...

    @property
    def shows_all_live(self) -> bool:
        """Whether `live` can be asked, so that one request watches every order."""
        ...

    @property
    def lists_names(self) -> bool:
        """Whether platforms and countries are listed apart; else they are known from what is on offer."""
        ...

    @property
    def chooses_numbers(self) -> bool:
        """Whether SMSCode picks among the numbers behind an offer, by a policy and by mobile network."""
        ...

    async def settle_contract(self) -> None:
        """Find out which contract is spoken, if that is not known yet; nothing is charged by it."""
        ...

    async def balance(self) -> int:
        """What the account has left, in IDR."""
        ...

    async def platforms(self) -> list[CatalogName]:
        """Every platform of the catalog."""
        ...

    async def countries(self) -> list[CatalogName]:
        """Every country of the catalog."""
        ...

    async def operators(self, country: str, platform: str) -> list[CatalogName]:
        """Every mobile network that a country's numbers for a platform can be had of."""
        ...

    async def offers(self, country: str | None, platform: str | None, operator: str | None = None) -> list[Offer]:
        """The catalog, narrowed by any of the names (as the lists of them spell it), with what is out of stock.

        An operator narrows a country's numbers for a platform. With no name at all the guide lists everything; the
        official contract lists nothing, its catalog is too long.
        """
        ...

    def create_body(self, offer: Offer, terms: Terms) -> str:
        """The exact request body that orders this offer, to be kept before it is sent."""
        ...

    async def create(self, request: CreateRequest) -> RemoteOrder:
        """Rent a number. This spends money: `Unclear` means that nobody knows whether it did."""
        ...

    async def read(self, remote_id: str, priority: Priority = Priority.WATCH) -> RemoteOrder:
        """Look at one order."""
        ...

    async def live(self) -> list[RemoteOrder]:
        """Every order of the account that has not ended, in one request; without number and charge."""
        ...

    async def cancel(self, remote_id: str) -> RemoteOrder | None:
        """End an order. Returns how it ended where the answer says so; else a look at it tells."""
        ...

    async def finish(self, remote_id: str) -> None:
        """Say that the code was all that was needed; nothing comes back."""
        ...

    async def resend(self, remote_id: str) -> None:
        """Wait for one more SMS on the same number."""
        ...

    async def reactivation_cost(self, remote_id: str) -> int:
        """What renting the number of an ended order again would cost now, in IDR."""
        ...

    def reactivate_body(self, remote_id: str, most: int) -> str:
        """The exact request body that rents the number of an ended order again for at most that much (IDR)."""
        ...

    async def webhook(self) -> WebhookState:
        """Where SMSCode sends its events now."""
        ...

    async def send_webhooks_to(self, url: str, secret: str) -> WebhookState:
        """Have SMSCode send its events to `url`, signed with `secret`; this also switches a stopped delivery on."""
        ...
