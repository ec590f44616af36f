"""Whether an order that expired without a code got its money back.

The official contract documents a refund for a cancel only. An expiry that the order itself does not explain counts as
spent until the balance tells: between two moments at which the books were at rest, the balance may have changed only
by what was booked and by these refunds. Where it shows neither all of them nor none, an admin decides.
"""

import json
import logging
import sqlite3
from dataclasses import asdict, dataclass
from enum import Enum, auto
from typing import Final

from bot.domain.errors import SmsError
from bot.domain.notices import NoticeKind
from bot.services import tracking
from bot.services.desk import Desk
from storage import audit, ledger, orders, outbox, settings
from storage.orders import Order

log = logging.getLogger(__name__)

GRACE_SECONDS: Final = 120
"""How long a refund may take to show in the balance before its absence counts as evidence."""

_PATIENCE_SECONDS: Final = 5 * GRACE_SECONDS
"""How long an order that SMSCode lists no longer may keep others from a verdict, until it is seen what became of it."""

_NEAR_ITS_END: Final = 5_000
"""Milliseconds before an order's expiry from which on a balance may already hold its refund."""


@dataclass(frozen=True, slots=True)
class Rest:
    """The account at a moment when nothing was under way: its balance and all that was booked as spent (IDR).

    `entry` is the newest entry of the books at that moment.
    """

    balance: int
    spent: int
    entry: int


class Verdict(Enum):
    """What the balance says about all refunds that are open, together."""

    CAME_BACK = auto()
    DID_NOT = auto()
    TOO_EARLY = auto()
    AMBIGUOUS = auto()


def judge(before: Rest, now: Rest, owed: int, age_seconds: float) -> Verdict:
    """Compare what came in unexplained between two moments at rest with what may have come back (IDR)."""
    unexplained = (now.balance - before.balance) + (now.spent - before.spent)
    if owed > 0 and unexplained == owed:
        return Verdict.CAME_BACK
    if age_seconds < GRACE_SECONDS:
        return Verdict.TOO_EARLY
    return Verdict.DID_NOT if unexplained == 0 else Verdict.AMBIGUOUS


async def look_into(desk: Desk) -> None:
    """Take the account's measure while nothing is open; once something is, let the difference decide."""
    unsettled = await desk.database.read(orders.with_open_refund)
    open_orders = [order for order in unsettled if not order.needs_admin]
    if not open_orders and await desk.database.read(lambda connection: _may_be_refunded_already(desk, connection)):
        return
    try:
        rest = await _at_rest(desk)
    except SmsError as error:
        log.warning("the balance cannot tell about refunds: %s", error)
        return
    if rest is None:
        return
    is_clear = await _none_had_ended(desk, rest)
    if await desk.database.read(orders.with_open_refund) != unsettled:
        return  # Another has ended since, whose refund may be in the balance: the next look asks about both.
    if open_orders:
        alone = len(open_orders) == len(unsettled)
        await _decide(desk, open_orders, rest, alone=alone, is_clear=is_clear)
    elif is_clear:
        await desk.transact(lambda connection: _keep(connection, rest))


async def close(desk: Desk, order: Order, *, came_back: bool, note: tracking.Note = tracking.no_note) -> None:
    """Book the answer to an open refund and tell the member; whoever has decided it leaves a `note`."""

    def body(connection: sqlite3.Connection) -> None:
        if not tracking.known(connection, order.id).refund_open:
            return
        now = desk.now
        back = ledger.refund(connection, order.id, "expired", now) if came_back else 0
        orders.mark_refund_open(connection, order.id, is_open=False)
        facts = {"refunded": back, "late": 1, "decided": int(note is not tracking.no_note)}
        outbox.put(connection, tracking.notice(order, NoticeKind.ENDED, "refund", facts), now)
        audit.write(connection, now, audit.DESK, "order.refund", order_id=order.id, refunded=back)
        note(connection)

    await desk.transact(body)


async def _at_rest(desk: Desk) -> Rest | None:
    """The account now, unless an order is under way whose outcome would blur it.

    Raises:
        SmsError: the balance cannot be read.
    """
    entry, spent = await desk.database.read(ledger.booked)
    if await desk.database.read(orders.undecided):
        return None
    balance = await desk.sms.balance()
    if await desk.database.read(orders.undecided) or (entry, spent) != await desk.database.read(ledger.booked):
        return None
    return Rest(balance, spent, entry)


def _may_be_refunded_already(desk: Desk, connection: sqlite3.Connection) -> bool:
    """Whether a live order is at its end: a balance read now may hold its refund before the order shows it."""
    return any(
        order.expires_at is not None and order.expires_at < desk.now + _NEAR_ITS_END
        for order in orders.watched(connection)
    )


def _keep(connection: sqlite3.Connection, rest: Rest) -> None:
    """Remember the measure, unless an order has ended meanwhile whose refund may be in it."""
    if not orders.with_open_refund(connection):
        settings.put(connection, settings.ACCOUNT, json.dumps(asdict(rest)))


async def _none_had_ended(desk: Desk, rest: Rest) -> bool:
    """Whether SMSCode still lists every live order: then the balance, read before, held no refund of any of them.

    One that ended unnoticed, however early, might have given its money back already: measured then, the account would
    later prove that nothing came back; judged then, that another's money did.
    """

    def look(connection: sqlite3.Connection) -> tuple[bool, list[Order]]:
        return ledger.booked(connection) == (rest.entry, rest.spent), orders.watched(connection)

    nothing_booked, watched = await desk.database.read(look)
    if not nothing_booked or not watched:
        return nothing_booked
    try:
        live = {remote.remote_id for remote in await desk.sms.live()}
    except SmsError as error:
        log.warning("the list of live orders cannot tell about refunds: %s", error)
        return False
    return all(order.remote_id in live for order in watched)


async def _decide(desk: Desk, open_orders: list[Order], rest: Rest, *, alone: bool, is_clear: bool) -> None:
    """Book what the balance proves; hand over to an admin what it cannot prove.

    It proves nothing unless it `is_clear` that no order has ended unnoticed, nor while an admin has to say what came
    back for another: then these are not `alone`.
    """
    kept = await desk.database.read(lambda connection: settings.get(connection, settings.ACCOUNT))
    owed = sum(order.charged - order.refunded for order in open_orders)
    age = (desk.now - max(order.ended_at or 0 for order in open_orders)) / 1000
    if kept is None or not alone or not is_clear:
        patience = GRACE_SECONDS if is_clear else _PATIENCE_SECONDS
        verdict = Verdict.AMBIGUOUS if age >= patience else Verdict.TOO_EARLY
    else:
        verdict = judge(Rest(**json.loads(kept)), rest, owed, age)
    if verdict is Verdict.AMBIGUOUS:
        await _ask_admin(desk, open_orders)
    elif verdict is not Verdict.TOO_EARLY:
        for order in open_orders:
            await close(desk, order, came_back=verdict is Verdict.CAME_BACK)


async def _ask_admin(desk: Desk, open_orders: list[Order]) -> None:
    def body(connection: sqlite3.Connection) -> None:
        for order in open_orders:
            if orders.mark_needs_admin(connection, order.id):
                desk.alert(connection, f"{order.id}:refund", what="refund", order=order.id, price=order.charged)

    await desk.transact(body)
