"""What a member and the team have spent, hold and have left."""

import sqlite3
from dataclasses import dataclass
from datetime import datetime

from bot.domain.limits import TEAM_LIMITS, LimitName, Usage
from bot.domain.orders import UNDER_WAY
from bot.services.desk import Desk
from storage import ledger, members, orders
from storage.members import TEAM


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
class Statement:
    """Everything that limits one member at this moment. `active` counts orders under way."""

    per_order: int
    active: int
    active_orders: int
    budgets: tuple[Budget, ...]


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
        caps = members.limits_of(connection, user_id, desk.settings.limits.defaults)
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
        return Statement(caps[LimitName.PER_ORDER], active, caps[LimitName.ACTIVE_ORDERS], budgets)

    return await desk.database.read(look)
