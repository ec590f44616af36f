"""What the desk has to tell people, without a word of how it is written.

A notice names an order and an SMS by number and never carries a code, so that codes live in one table only and
their deletion there is real.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntEnum, StrEnum


class NoticeKind(StrEnum):
    """Every message that must arrive because it cost money, carries a code, or alerts."""

    NUMBER = "number"
    """The order's card: the number, its price, its countdown."""
    CARD = "card"
    """The order's card again, edited in place after a change."""
    CODE = "code"
    """An SMS of an order: always a new message, because it must ring."""
    HELD = "held"
    """A code cannot be written to its orderer in private; told where it was ordered."""
    ENDED = "ended"
    """An order ended without another code: refunded, expired, completed."""
    STRANGE = "strange"
    """SMSCode reports a status that nobody has seen before."""
    MISSING = "missing"
    """SMSCode no longer knows a live order; an admin decides about its money."""
    UNCLEAR = "unclear"
    """Nobody knows yet whether an order was placed; its hold stays."""
    CLEARED = "cleared"
    """An unclear order turned out not to have been placed; its hold is released."""
    CHARGED = "charged"
    """An unclear order turned out to be paid, without its number ever having been learned."""
    NOT_CANCELED = "not_canceled"
    """A cancel that was to happen by itself did not go through."""
    GUARD = "guard"
    """SMSCode takes no new order for a while; everyone is told until when."""
    LIMIT = "limit"
    """A money limit is nearly, or wholly, used up; told once a window for each."""
    APPROVAL = "approval"
    """An order waits for the yes of somebody who may give it."""
    DECIDED = "decided"
    """A request for approval again, edited in place: it is answered, and by whom."""
    ANSWERED = "answered"
    """What became of a request for approval, for whoever wanted the order."""
    DIGEST = "digest"
    """What last week cost, for the admins."""
    STOCK = "stock"
    """What somebody watched for is in stock; told once."""
    ALERT = "alert"
    """Something that admins must know or decide."""
    TEXT = "text"
    """A plain answer that could not be sent directly."""


class Urgency(IntEnum):
    """What the courier sends first: codes before cards, cards before talk."""

    CODE = 0
    CARD = 1
    TALK = 2


@dataclass(frozen=True, slots=True)
class Notice:
    """One message to be delivered at least once.

    `dedupe_key` makes it at most one row; `order_id` and `revision` say what it is about; `facts` are small
    values for the text, never a code. `command` is the command that it answers; of a notice about an order that is the
    order's own, whatever stands here.
    """

    kind: NoticeKind
    chat_id: int
    dedupe_key: str
    thread_id: int | None = None
    order_id: int | None = None
    revision: int | None = None
    urgency: Urgency = Urgency.CARD
    facts: Mapping[str, str | int | None] = field(default_factory=dict)
    command: str | None = None


@dataclass(frozen=True, slots=True)
class Delivered:
    """The message is in the chat."""

    message_id: int | None


@dataclass(frozen=True, slots=True)
class TryLater:
    """Not now: again after `seconds`. `may_have_arrived` when the answer was lost rather than the message.

    `whole_chat` when nothing else may leave for that chat before then either.
    """

    seconds: float
    reason: str
    may_have_arrived: bool = False
    whole_chat: bool = False


@dataclass(frozen=True, slots=True)
class Unreachable:
    """The person or group cannot be written to: it has blocked the bot, or never spoke to it."""

    reason: str


@dataclass(frozen=True, slots=True)
class Moved:
    """The group lives under another id now."""

    chat_id: int


@dataclass(frozen=True, slots=True)
class Rejected:
    """Telegram will never take this message as it is."""

    reason: str


Delivery = Delivered | TryLater | Unreachable | Moved | Rejected
"""What became of one try to deliver a message."""
