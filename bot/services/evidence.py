"""Orders of which nobody knows whether they were placed: what can be proven, and what an admin must decide.

Where a create can be repeated under its key, repeating it is the proof. The guide offers no way to ask for an order by
anything but its id, and the id was in the answer that never came. What is left there is the balance: one create is in
flight at a time, the balance was read just before, and so what it shows afterwards tells what the create did, as long
as nothing else moved it.
"""

import logging
import sqlite3
from enum import Enum, auto
from typing import Final

from bot.domain.errors import ApiError, KeyReused, NotNow, SmsError, Unclear
from bot.domain.notices import NoticeKind
from bot.domain.orders import OrderState
from bot.services import creating, refunds, tracking
from bot.services.desk import Desk
from bot.sms.port import Priority
from storage import audit, ledger, orders, outbox
from storage.orders import Order

log = logging.getLogger(__name__)

GRACE_SECONDS: Final = 120
"""How long a charge may take to show in the balance before its absence counts as evidence."""

_PATIENCE_SECONDS: Final = 5 * GRACE_SECONDS
"""How long an order that cannot be read may keep an unclear one, and with it the whole team, from a decision."""

_LONGEST_LIFE: Final = 24 * 3600 * 1000
"""Milliseconds after which no rented number is expected to give its money back any more."""

INTERRUPTED: Final = "INTERRUPTED"
"""Why an order was refused that broke off before anything was sent: its command may still run."""

_KEY_LIVES: Final = 12 * 3600 * 1000
"""Milliseconds for which a create is repeated under its key: SMSCode does not say for how long it remembers one, and
a repeat that it takes for new would be a second order."""


class Verdict(Enum):
    """What the balance says about an unclear order."""

    CHARGED = auto()
    NOT_CHARGED = auto()
    TOO_EARLY = auto()
    AMBIGUOUS = auto()


def judge(*, before: int | None, now: int, price: int, age_seconds: float, moved: bool, blurred: bool) -> Verdict:
    """Weigh the balance (IDR) `before` the create against `now`.

    `moved` says that a refund was booked meanwhile: then nothing can be told apart any more. `blurred` says that one
    may have come unseen: then an unchanged balance may be a charge and a refund. An unchanged balance is evidence only
    after the grace time; a balance lower by exactly the price is evidence at once.
    """
    if before is None or moved:
        return Verdict.AMBIGUOUS if age_seconds >= GRACE_SECONDS else Verdict.TOO_EARLY
    if price > 0 and now == before - price:
        return Verdict.CHARGED
    if age_seconds < GRACE_SECONDS:
        return Verdict.TOO_EARLY
    return Verdict.NOT_CHARGED if now == before and price > 0 and not blurred else Verdict.AMBIGUOUS


def age_seconds(desk: Desk, order: Order) -> float:
    """For how long this process has known the order as unclear.

    By the clock that only grows: a date that is set forward must not pass for the grace time, and one that is set
    back must not keep the whole team waiting. A restart counts anew.
    """
    now = desk.clock.monotonic()
    return now - desk.unclear_since.setdefault(order.id, now)


async def recover(desk: Desk) -> int:
    """Give every order that broke off on its way a defined state; return how many there were.

    `reserved` ones never left: their hold is released, and their command may run again. `sent` ones may have left:
    they become `unknown`.
    """
    count = 0
    for order in await desk.database.read(orders.interrupted):
        if order.command_key in desk.placing:
            continue
        count += 1
        if order.state is OrderState.RESERVED:
            await creating.release(desk, order, INTERRUPTED, tell=False)
        else:
            await creating.leave_unclear(desk, order, "the desk stopped before SMSCode's answer")
    return count


async def look_into(desk: Desk) -> None:
    """Settle or release unclear orders on evidence, or hand them to an admin.

    Raises:
        SmsError: the contract is not known yet, and with it not what counts as evidence.
    """
    await desk.sms.settle_contract()
    unclear = await desk.database.read(orders.unclear)
    for gone in desk.unclear_since.keys() - {order.id for order in unclear}:
        del desk.unclear_since[gone]
    for order in unclear:
        if order.needs_admin or order.command_key in desk.placing:
            continue
        try:
            await (_repeat if _is_repeatable(desk, order) else _weigh)(desk, order)
        except SmsError as error:
            log.warning("order %s stays unclear: %s", order.id, error)
            return


def _is_repeatable(desk: Desk, order: Order) -> bool:
    """Whether its key was sent with it. Where the balance was kept instead, it was not: another contract was spoken."""
    return desk.sms.creates_are_repeatable and order.balance_before is None


async def _repeat(desk: Desk, order: Order) -> None:
    """Ask under the same key what became of the create.

    Raises:
        Unclear: nothing new is known.
    """
    if desk.now - (order.sent_at or 0) > _KEY_LIVES:
        await _ask_admin(desk, order, await desk.sms.balance())
        return
    try:
        remote = await creating.repeat(desk, order)
    except ApiError:
        await _release_cleared(desk, order)
    except Unclear as error:
        if not isinstance(error.__cause__, KeyReused):
            raise
        # Somebody else has used our key: what it answers is not about this order.
        await _ask_admin(desk, order, await desk.sms.balance())
    else:
        await creating.confirm(desk, order, remote)


async def _weigh(desk: Desk, order: Order) -> None:
    """Let the balance speak.

    Raises:
        SmsError: it could not be asked.
    """
    age = age_seconds(desk, order)
    balance = await desk.sms.balance()
    # Only then: what has come back before the balance was read is shown by these looks, and booked.
    all_seen = await _refresh_others(desk)
    if not all_seen and age < _PATIENCE_SECONDS:
        raise Unclear("other orders hide what they may have given back")
    await _act(desk, order, balance, age, all_seen=all_seen)


async def resolve(desk: Desk, order_id: int, *, charged: bool, admin_id: int) -> Order:
    """An admin's word on an order that evidence could not decide: it was charged, or it was not.

    Raises:
        NotNow: the order is not one of those.
    """
    order = await desk.database.read(lambda connection: tracking.known(connection, order_id))

    def note(connection: sqlite3.Connection) -> None:
        audit.write(connection, desk.now, admin_id, "order.resolve", order_id=order_id, charged=charged)

    if order.state is OrderState.UNKNOWN and is_for_an_admin(desk, order):
        await (_settle if charged else _release_cleared)(desk, order, note)
    elif order.state.watched and order.needs_admin:
        await _end_missing(desk, order, note, refund=not charged)
    elif order.refund_open:
        await refunds.close(desk, order, came_back=not charged, note=note)
    elif order.state is OrderState.CHARGED and order.refunded < order.charged and not charged:
        await _book_back(desk, order, note)
    else:
        raise NotNow(order.id, order.state)
    return await desk.database.read(lambda connection: tracking.known(connection, order_id))


def is_for_an_admin(desk: Desk, order: Order) -> bool:
    """Whether an admin may decide about an order; one that is asked for again under its key will tell by itself.

    To decide while such an answer is on its way could give a number up that was paid.
    """
    return order.needs_admin or (order.state is OrderState.UNKNOWN and not _is_repeatable(desk, order))


async def miss(desk: Desk, order: Order) -> None:
    """SMSCode knows a live order no longer: nothing is booked, an admin decides."""

    def body(connection: sqlite3.Connection) -> None:
        if orders.mark_needs_admin(connection, order.id):
            outbox.put(connection, tracking.notice(order, NoticeKind.MISSING, "missing"), desk.now)
            desk.alert(connection, f"{order.id}:missing", what="missing", order=order.id)
            audit.write(connection, desk.now, audit.DESK, "order.missing", order_id=order.id)

    await desk.transact(body)


async def _refresh_others(desk: Desk) -> bool:
    """Book whatever the other orders have to say first, so that a refund is not mistaken for evidence.

    Say whether each of them could be seen.
    """
    all_seen = True
    for other in await desk.database.read(orders.watched):
        if other.remote_id is None or other.needs_admin:
            continue
        try:
            await tracking.refresh(desk, other, Priority.WATCH)
        except SmsError as error:
            log.warning("order %s hides what it may have given back: %s", other.id, error)
            all_seen = False
    return all_seen


async def _act(desk: Desk, order: Order, balance: int, age: float, *, all_seen: bool) -> None:
    since = desk.now - _LONGEST_LIFE
    late = (order.sent_at or 0) - GRACE_SECONDS * 1000

    def look(connection: sqlite3.Connection) -> tuple[bool, bool]:
        out_of_sight = orders.any_out_of_sight(connection, order.id, since)
        return ledger.refunded_after(connection, order.id), out_of_sight or ledger.refunded_since(connection, late)

    moved, hidden = await desk.database.read(look)
    verdict = judge(
        before=order.balance_before,
        now=balance,
        price=order.price,
        age_seconds=age,
        moved=moved,
        blurred=hidden or not all_seen,
    )
    if verdict is Verdict.CHARGED:
        await _settle(desk, order)
    elif verdict is Verdict.NOT_CHARGED:
        await _release_cleared(desk, order)
    elif verdict is Verdict.AMBIGUOUS:
        await _ask_admin(desk, order, balance)


async def _settle(desk: Desk, order: Order, note: tracking.Note = tracking.no_note) -> None:
    """It was paid: the money is spent, and its number can only be found in SMSCode's dashboard."""

    def body(connection: sqlite3.Connection) -> None:
        if not _unchanged(connection, order, OrderState.UNKNOWN):
            return
        now = desk.now
        ledger.settle(connection, order.id, order.price, now)
        orders.mark_charged(connection, order.id, now)
        outbox.put(connection, tracking.notice(order, NoticeKind.CHARGED, "charged"), now)
        desk.alert(connection, f"{order.id}:charged", what="charged", order=order.id)
        audit.write(connection, now, audit.DESK, "order.charged", order_id=order.id, price=order.price)
        note(connection)

    await desk.transact(body)


async def _release_cleared(desk: Desk, order: Order, note: tracking.Note = tracking.no_note) -> None:
    await creating.release(desk, order, creating.NOT_PLACED, tell=True, note=note)


async def _ask_admin(desk: Desk, order: Order, balance: int) -> None:
    def body(connection: sqlite3.Connection) -> None:
        if orders.mark_needs_admin(connection, order.id):
            before = order.balance_before
            desk.alert(connection, f"{order.id}:decide", what="decide", order=order.id, before=before, balance=balance)

    await desk.transact(body)


async def _book_back(desk: Desk, order: Order, note: tracking.Note) -> None:
    """The money of an order whose number was never learned came back: somebody has canceled it in the dashboard."""

    def body(connection: sqlite3.Connection) -> None:
        current = tracking.known(connection, order.id)
        if current.state is not OrderState.CHARGED or current.refunded == current.charged:
            return
        back = ledger.refund(connection, order.id, "resolved by an admin", desk.now)
        facts = {"refunded": back, "assumed": 0, "code": 0}
        outbox.put(connection, tracking.notice(order, NoticeKind.ENDED, "ended", facts), desk.now)
        note(connection)

    await desk.transact(body)


async def _end_missing(desk: Desk, order: Order, note: tracking.Note, *, refund: bool) -> None:
    def body(connection: sqlite3.Connection) -> None:
        if not (_unchanged(connection, order, order.state) and tracking.known(connection, order.id).needs_admin):
            return  # SMSCode shows it again, and knows better
        now = desk.now
        state = OrderState.CANCELED if refund else OrderState.COMPLETED
        back = ledger.refund(connection, order.id, "resolved by an admin", now) if refund else 0
        orders.mark_ended(connection, order.id, state, now)
        facts = {"refunded": back, "assumed": 0, "code": int(orders.latest_sms(connection, order.id) is not None)}
        outbox.put(connection, tracking.notice(order, NoticeKind.ENDED, "ended", facts), now)
        note(connection)

    await desk.transact(body)


def _unchanged(connection: sqlite3.Connection, order: Order, state: OrderState) -> bool:
    """Whether the order is still where it was looked at: an admin, or the evidence, may have been faster."""
    return tracking.known(connection, order.id).state is state
