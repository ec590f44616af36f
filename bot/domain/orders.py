"""An order's life: its states, what SMSCode shows of it, and what a fresh look at it means."""

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum


class OrderState(StrEnum):
    """Where an order stands.

        reserved ──► sent ──► waiting ──► received ──► completed
           │          │ │        │            │
           │          │ │        └────────────┴──────► canceled · expired
           │          │ └──► unknown ──► waiting · refused · charged
           └──────────┴──► refused

    `reserved`: the money is held, nothing has left. `sent`: the request may have left. `unknown`: it may have
    arrived; only evidence decides. `waiting`: a number is rented. `received`: it has a code. `charged`: paid, but
    the number was never learned. The rest are ends.
    """

    RESERVED = "reserved"
    SENT = "sent"
    UNKNOWN = "unknown"
    REFUSED = "refused"
    WAITING = "waiting"
    RECEIVED = "received"
    COMPLETED = "completed"
    CANCELED = "canceled"
    EXPIRED = "expired"
    CHARGED = "charged"

    @property
    def watched(self) -> bool:
        """A number is rented and SMSCode may still change it."""
        return self in _WATCHED

    @property
    def ended(self) -> bool:
        """Nothing more will happen to it."""
        return self in _ENDED


_WATCHED = frozenset({OrderState.WAITING, OrderState.RECEIVED})
_ENDED = frozenset(
    {
        OrderState.REFUSED,
        OrderState.COMPLETED,
        OrderState.CANCELED,
        OrderState.EXPIRED,
        OrderState.CHARGED,
    }
)

UNDER_WAY = (OrderState.RESERVED, OrderState.SENT, OrderState.UNKNOWN, OrderState.WAITING)
"""What `active_orders` counts: an order that holds money or a number and has no code yet."""


class RemoteStatus(StrEnum):
    """SMSCode's word for an order, spelled alike whichever contract is spoken."""

    WAITING = "WAITING"
    OTP_RECEIVED = "OTP_RECEIVED"
    COMPLETED = "COMPLETED"
    CANCELED = "CANCELED"
    EXPIRED = "EXPIRED"


@dataclass(frozen=True, slots=True)
class CatalogName:
    """A platform, a country or an operator as the catalog calls it, and what else it goes by.

    `aliases` are what people may type instead: an ISO code, a flag, a dial code, a platform's short code.
    """

    name: str
    aliases: tuple[str, ...] = ()


class Policy(StrEnum):
    """Which of the numbers behind one offer SMSCode picks, where it lets us choose."""

    CHEAPEST = "cheapest"
    BEST_SUCCESS = "best_success"


@dataclass(frozen=True, slots=True)
class Offer:
    """One product of the catalog. `price` is IDR; `stock` is None where SMSCode does not say.

    `catalog_id` names the kind of number behind which SMSCode picks a product by itself, where there is one;
    `operator` is the mobile network, empty where any will do or none is named.
    """

    product_id: int | str
    price: int
    name: str = ""
    country: str = ""
    platform: str = ""
    stock: int | None = None
    catalog_id: int | None = None
    operator: str = ""
    operator_id: int | None = None

    @property
    def in_stock(self) -> bool:
        """Whether it can be ordered; silence about stock counts as yes."""
        return self.stock is None or self.stock > 0


@dataclass(frozen=True, slots=True)
class Allowed:
    """What SMSCode says may be done with an order now, and from when what may not be done yet."""

    cancel: bool = False
    finish: bool = False
    resend: bool = False
    reactivate: bool = False
    cancel_from: datetime | None = None
    resend_from: datetime | None = None


@dataclass(frozen=True, slots=True)
class RemoteOrder:
    """An order as one answer of SMSCode shows it.

    `status` is None for a status nobody has seen before; `raw_status` keeps the word itself. `revision` is None
    where the contract does not count SMS. `amount` is the charge and `refunded` what came back (IDR), where the
    contract tells it. `allowed` is None where it does not say what may be done.
    """

    remote_id: str
    raw_status: str
    status: RemoteStatus | None
    phone_number: str | None = field(default=None, repr=False)
    expires_at: datetime | None = None
    code: str | None = field(default=None, repr=False)
    text: str | None = field(default=None, repr=False)
    revision: int | None = None
    amount: int | None = None
    refunded: int | None = None
    allowed: Allowed | None = None
    request_id: str | None = None


@dataclass(frozen=True, slots=True)
class Sms:
    """One SMS of an order: its number within the order, the code and, where known, the whole text."""

    revision: int
    code: str | None = field(repr=False)
    text: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class Observed:
    """What a fresh look at an order means for it.

    `refund`: the money comes back. `assumed`: it is taken to come back without SMSCode having said so.
    """

    state: OrderState
    sms: Sms | None = None
    refund: bool = False
    assumed: bool = False


def observe(state: OrderState, latest: Sms | None, remote: RemoteOrder, told: frozenset[str] = frozenset()) -> Observed:
    """Decide what `remote` changes about an order in `state` whose newest SMS is `latest`.

    `told` are the codes that are no news in it, because a newer answer has overtaken it.

    An ended order stays as it ended, but a code that shows up late is still a code. A refund needs evidence: a
    cancel or an expiry, and no code before or with it (SMSCode refunds a cancel only before the code).
    """
    sms = _fresh_sms(latest, remote, told)
    if state.ended:
        return Observed(state, sms)
    has_code = sms is not None or latest is not None
    if remote.status is RemoteStatus.CANCELED:
        return Observed(OrderState.CANCELED, sms, refund=not has_code)
    if remote.status is RemoteStatus.EXPIRED:
        return Observed(OrderState.EXPIRED, sms, refund=not has_code, assumed=not has_code)
    if remote.status is RemoteStatus.COMPLETED:
        return Observed(OrderState.COMPLETED, sms)
    return Observed(OrderState.RECEIVED if has_code else OrderState.WAITING, sms)


def _fresh_sms(latest: Sms | None, remote: RemoteOrder, told: frozenset[str]) -> Sms | None:
    """The SMS that `remote` shows and that was not known before, if any.

    Where the contract counts, a higher count is new even with the same digits, and a lower one is old news. Where
    it does not, another code than the latest is a new SMS, unless it was told before and the answer was overtaken.
    """
    if remote.code is None and remote.text is None:
        return None
    known = latest.revision if latest else 0
    if remote.revision is not None:
        return Sms(remote.revision, remote.code, remote.text) if remote.revision > known else None
    if (latest is not None and _same_sms(latest, remote)) or remote.code in told:
        return None
    return Sms(known + 1, remote.code, remote.text)


def _same_sms(latest: Sms, remote: RemoteOrder) -> bool:
    """A look that shows only the code of an SMS shows the same one as a look that shows its text as well."""
    one_is_without = remote.code is not None and (latest.text is None or remote.text is None)
    return latest.code == remote.code and (one_is_without or latest.text == remote.text)
