"""What a member and the team have spent, hold and have left."""

import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from bot.domain.limits import TEAM_LIMITS, LimitName, Usage
from bot.domain.notices import Notice, NoticeKind
from bot.domain.orders import UNDER_WAY
from bot.services.desk import Desk
from storage import ledger, members, orders, outbox
from storage.ledger import Crossing
from storage.members import TEAM
from storage.orders import Order


@dataclass(frozen=True, slots=True)
class Budget:
    """One money limit and how much of it is used (IDR)."""

    name: LimitName
    cap: int
    usage: Usage
    resets_at: datetime | None

    @property
    def left(self) -> int:
        """What may still be used."""
        return self.usage.left(self.cap)


@dataclass(frozen=True, slots=True)
class ForNow:
    """A limit that is set until a moment (unix milliseconds), and the `lasting` one that it falls back to."""

    name: LimitName
    amount: int
    until: int
    lasting: int


@dataclass(frozen=True, slots=True)
class Statement:
    """Everything that limits one member at this moment. `active` counts orders under way."""

    per_order: int
    active: int
    active_orders: int
    budgets: tuple[Budget, ...]
    for_now: tuple[ForNow, ...] = ()
    caps: Mapping[LimitName, int] = field(default_factory=dict)


async def statement(desk: Desk, user_id: int) -> Statement:
    """What limits a member, and how far they are into it."""
    calendar = desk.calendar
    periods = {
        LimitName.DAILY: calendar.window.day,
        LimitName.MONTHLY: calendar.window.month,
        LimitName.TEAM_DAILY: calendar.window.day,
        LimitName.TEAM_MONTHLY: calendar.window.month,
    }

    def look(connection: sqlite3.Connection) -> Statement:
        defaults = desk.settings.limits.defaults
        caps = members.limits_of(connection, user_id, defaults, desk.now)
        lasting = members.lasting_limits_of(connection, user_id, defaults)
        temporary = tuple(
            ForNow(name, limit.amount, limit.until, lasting[name])
            for name, limit in members.temporary_limits_of(connection, user_id, desk.now).items()
        )
        budgets = tuple(
            Budget(
                name,
                caps[name],
                ledger.usage(connection, TEAM if name in TEAM_LIMITS else user_id, period),
                calendar.resets_at(name),
            )
            for name, period in periods.items()
        )
        active = sum(order.state in UNDER_WAY for order in orders.open_of(connection, user_id))
        return Statement(caps[LimitName.PER_ORDER], active, caps[LimitName.ACTIVE_ORDERS], budgets, temporary, caps)

    return await desk.database.read(look)


def warn(desk: Desk, connection: sqlite3.Connection, order: Order) -> None:
    """Tell of each limit that an order's money has brought to a warning level, in the transaction that moved it.

    Not at the hold: one that goes back because the offer was sold out would have used the window's one warning up.
    A member's own limits are told where they ordered, for there they can be reached; the team's to the admins.
    """
    for crossing in ledger.crossings(connection, order.id):
        if crossing.owner == TEAM:
            for chat_id in desk.admin_chats(connection):
                outbox.put(connection, _warning(desk, order, crossing, chat_id, None), desk.now)
        else:
            outbox.put(connection, _warning(desk, order, crossing, order.chat_id, order.thread_id), desk.now)


def _warning(desk: Desk, order: Order, crossing: Crossing, chat_id: int, thread_id: int | None) -> Notice:
    calendar = desk.calendar
    resets_at = calendar.resets_at(crossing.name) if order.window == calendar.window else None
    return Notice(
        kind=NoticeKind.LIMIT,
        chat_id=chat_id,
        thread_id=thread_id,
        dedupe_key=f"limit:{crossing.owner}:{crossing.period}:{crossing.level}:{crossing.cap}:{chat_id}",
        facts={
            "owner": crossing.owner,
            "limit": crossing.name,
            "level": crossing.level,
            "used": crossing.used,
            "cap": crossing.cap,
            "resets_at": round(resets_at.timestamp()) if resets_at else None,
        },
    )
