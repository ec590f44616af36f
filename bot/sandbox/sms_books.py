"""The truth of the simulated SMSCode: what was ordered, charged, refunded, sent and shown.

Times are unix seconds of the world's own clock, money is whole IDR.
"""

from collections import Counter
from dataclasses import dataclass, field
from enum import StrEnum

FIRST_NUMBER = 100_001
"""The number of the first order, where a contract numbers them."""


class OrderStatus(StrEnum):
    """The life of an order, in the spelling of the guide.

    WAITING ──SMS──▶ OTP_RECEIVED ──time or asked──▶ COMPLETED
       │ ▲                │  ▲ └─SMS─┘
       │ └─one more asked─┤
       └──────────────────┴──▶ CANCELLED (asked) or EXPIRED (window closed)
    """

    WAITING = "WAITING"
    OTP_RECEIVED = "OTP_RECEIVED"
    COMPLETED = "COMPLETED"
    CANCELLED = "CANCELLED"
    EXPIRED = "EXPIRED"


ENDED = frozenset({OrderStatus.COMPLETED, OrderStatus.CANCELLED, OrderStatus.EXPIRED})


class RefundReason(StrEnum):
    """Why an order's price came back: it was cancelled, or its window closed, before any SMS arrived."""

    CANCELLED = "cancelled"
    EXPIRED = "expired"


@dataclass(slots=True)
class Sms:
    """A message that reached a number. `revision` counts from 1 within its order.

    `shown_at` is when an API answer first carried `code` to a client, whole and well-formed; None means never.
    """

    order_id: str
    revision: int
    code: str | None
    text: str
    at: float
    shown_at: float | None = None


@dataclass(slots=True)
class Order:
    """One rented number. `status` is text, because a script may set one that nobody has seen before.

    `operator` is the mobile network that was ordered, None for any; `linked` tells whether the product could be ordered
    by the id it shares with others. `reactivates` is the order whose number is rented once more.
    """

    id: str
    sequence: int
    product_id: int
    country: str
    platform: str
    phone_number: str
    price: int
    created_at: float
    expires_at: float
    arrives_at: float | None
    status: str = OrderStatus.WAITING
    completes_at: float | None = None
    ended_at: float | None = None
    messages: list[Sms] = field(default_factory=list)
    operator: str | None = None
    linked: bool = True
    resent_at: float | None = None
    reactivates: str | None = None

    @property
    def number(self) -> int:
        """The order's id in whole numbers."""
        return FIRST_NUMBER + self.sequence

    @property
    def received(self) -> bool:
        """Whether any SMS has arrived."""
        return bool(self.messages)

    @property
    def live(self) -> bool:
        """Whether the order can still change."""
        return self.status not in ENDED

    @property
    def coded_sms(self) -> Sms | None:
        """The latest message that carried a code."""
        return next((sms for sms in reversed(self.messages) if sms.code is not None), None)

    def due_at(self) -> float | None:
        """Return when time itself changes this order next.

        An ended order stays as it is, and so does one in a scripted status that nobody knows.
        """
        if self.status not in {OrderStatus.WAITING, OrderStatus.OTP_RECEIVED}:
            return None
        moments = (self.arrives_at, self.completes_at, self.expires_at)
        return min(moment for moment in moments if moment is not None)


@dataclass(frozen=True, slots=True)
class Charge:
    """The price of an order, taken from the balance: `amount` in whole IDR, above zero unless the number was free."""

    order_id: str
    amount: int
    at: float


@dataclass(frozen=True, slots=True)
class Refund:
    """The price of an order, given back to the balance: `amount` in whole IDR, the same as was charged."""

    order_id: str
    amount: int
    at: float
    reason: RefundReason


@dataclass(frozen=True, slots=True)
class Adjustment:
    """A change of the balance that no order explains, as a deposit or another client would cause it."""

    amount: int
    at: float


@dataclass(slots=True)
class KeyedRequest:
    """What was asked under a key, and the body of the answer once something came of it."""

    asked: object
    running: bool = False
    answer: bytes | None = None


@dataclass(slots=True)
class Books:
    """Everything that ever happened. `requests` counts by (method, route template), `answers` by HTTP status.

    `keyed` has every key that was ever used, by (path, key): one key on two routes is two keys.

    Always holds: balance = opening + adjustments - charged + refunded.
    """

    opening: int
    charges: list[Charge] = field(default_factory=list)
    refunds: list[Refund] = field(default_factory=list)
    adjustments: list[Adjustment] = field(default_factory=list)
    orders: dict[str, Order] = field(default_factory=dict)
    messages: list[Sms] = field(default_factory=list)
    requests: Counter[tuple[str, str]] = field(default_factory=Counter)
    answers: Counter[int] = field(default_factory=Counter)
    keyed: dict[tuple[str, str], KeyedRequest] = field(default_factory=dict)

    @property
    def charged(self) -> int:
        """The prices of all orders in whole IDR, those that were refunded included."""
        return sum(charge.amount for charge in self.charges)

    @property
    def refunded(self) -> int:
        """What has come back of `charged`, in whole IDR."""
        return sum(refund.amount for refund in self.refunds)

    @property
    def spent(self) -> int:
        """What the orders cost after refunds, in whole IDR."""
        return self.charged - self.refunded

    @property
    def balance(self) -> int:
        """What is left on the account in whole IDR; below zero only where an adjustment has put it there."""
        return self.opening + sum(change.amount for change in self.adjustments) - self.spent

    @property
    def answers_429(self) -> int:
        """How many requests were answered "too many requests", by the account's limit or by a fault."""
        return self.answers[429]

    def charges_of(self, order_id: str) -> list[Charge]:
        """Return the charges of one order, oldest first; an unknown order has none."""
        return [charge for charge in self.charges if charge.order_id == order_id]

    def refunds_of(self, order_id: str) -> list[Refund]:
        """Return the refunds of one order, oldest first; an unknown order has none."""
        return [refund for refund in self.refunds if refund.order_id == order_id]

    def messages_of(self, order_id: str) -> list[Sms]:
        """Return the messages to one order's number, oldest first; an unknown order has none."""
        return [sms for sms in self.messages if sms.order_id == order_id]

    def shown_codes(self) -> list[Sms]:
        """Return every message whose code some client has been shown."""
        return [sms for sms in self.messages if sms.shown_at is not None]
