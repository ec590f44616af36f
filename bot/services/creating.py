"""Sending a create and writing down what became of it: confirmed, refused, or unknown.

`sent` is durable before the bytes leave. Afterwards the answer decides, and where there is none it depends on the
contract: where a create can be repeated under its key it is repeated until it tells, across restarts; where it could
charge twice it is never sent again, and evidence decides (`bot.services.evidence`).
"""

import logging
import sqlite3
from typing import Final

from bot.domain.access import Role
from bot.domain.errors import (
    AbuseGuard,
    ApiError,
    BalanceTooLow,
    Invalid,
    KeyReused,
    NotPermitted,
    NotSent,
    OrderingPaused,
    ProductGone,
    Refusal,
    SmsError,
    StillRunning,
    Unclear,
)
from bot.domain.notices import NoticeKind
from bot.domain.orders import OrderState, RemoteOrder
from bot.services import guard, spending, tracking
from bot.services.desk import Desk
from bot.sms.port import CreateRequest
from storage import audit, ledger, members, orders, outbox, settings
from storage.buttons import Facts
from storage.orders import Order

log = logging.getLogger(__name__)

NOT_PLACED: Final = "NOT_PLACED"
"""Why an order was refused that had been unclear: its member was told, so its command is over."""

_REPEATS: Final = (0.5, 1.0, 2.0, 4.0, 6.0)
"""Seconds before each repeat of an unanswered create, while its member waits for the number."""

_ANSWERS_FOR_THE_FIRST: Final = (ProductGone, BalanceTooLow, Invalid)
"""What SMSCode says only after it has looked at the order itself. Any other no to a repeat (a rate limit, a token
that was withdrawn) was said at the door and tells nothing about the first try."""


def check_may_order(desk: Desk, connection: sqlite3.Connection, member_id: int) -> None:
    """Whether this member may order now; looked at again in each transaction, for all of it may change meanwhile.

    Raises:
        NotPermitted, OrderingPaused, OrderingBanned: and nothing has changed.
    """
    member = members.get(connection, member_id)
    if member is None or not member.may(Role.OPERATOR):
        raise NotPermitted(Role.OPERATOR)
    check_open(desk, connection)


def check_open(desk: Desk, connection: sqlite3.Connection) -> None:
    """Whether anybody may order now.

    Raises:
        OrderingPaused, OrderingBanned.
    """
    reason = settings.get(connection, settings.PAUSED)
    if reason is not None:
        raise OrderingPaused(reason)
    guard.check(connection, desk.now)


async def send(desk: Desk, order: Order, why: Facts, *, balance_before: int | None = None) -> Order:
    """Send the create of a `reserved` order; return it `waiting` or `unknown`.

    `why` says for its card how it became this offer. The balance (IDR) before is evidence where nothing else is.

    Raises:
        ApiError, NotSent, Refusal: it was not placed.
    """

    def leave(connection: sqlite3.Connection) -> None:
        check_may_order(desk, connection, order.member_id)  # it may have waited long for its turn
        orders.mark_sent(connection, order.id, balance_before, desk.now)

    await desk.transact(leave)
    try:
        remote = await _until_answered(desk, order)
    except (ApiError, NotSent):
        raise
    except Unclear as error:
        return await leave_unclear(desk, order, str(error))
    except Exception as error:
        # A mistake of ours between the request and its record: it may have been paid, so it counts as unclear.
        log.exception("order %s: the create broke off", order.id)
        return await leave_unclear(desk, order, type(error).__name__)
    return await confirm(desk, order, remote, why)


async def _until_answered(desk: Desk, order: Order) -> RemoteOrder:
    """Send once; where a repeat cannot charge twice, repeat for as long as a person waits.

    Raises:
        ApiError, NotSent: certainly not placed. Unclear: still unknown.
    """
    try:
        return await _request(desk, order)
    except StillRunning as error:
        unanswered: SmsError = error
    except Unclear as error:
        if not desk.sms.creates_are_repeatable:
            raise
        unanswered = error
    for pause in _REPEATS:
        await desk.clock.sleep(pause)
        try:
            return await repeat(desk, order)
        except Unclear as error:
            unanswered = error
    raise Unclear(str(unanswered)) from unanswered


async def repeat(desk: Desk, order: Order) -> RemoteOrder:
    """Ask again, under the same key and with the same body, what became of a create.

    Raises:
        ApiError: SMSCode looked at the order and said no: it is not placed. Unclear: nothing new is known.
    """
    try:
        return await _request(desk, order)
    except _ANSWERS_FOR_THE_FIRST:
        raise
    except (ApiError, NotSent) as error:
        raise Unclear(str(error)) from error


async def _request(desk: Desk, order: Order) -> RemoteOrder:
    reactivates = order.reactivates is not None
    return await desk.sms.create(CreateRequest(order.request_body, order.request_key, reactivates))


async def confirm(desk: Desk, order: Order, remote: RemoteOrder, why: Facts | None = None) -> Order:
    """Settle a placed order and hand its number to the courier, in one transaction."""

    def body(connection: sqlite3.Connection) -> Order:
        current, now = tracking.known(connection, order.id), desk.now
        if current.state not in (OrderState.SENT, OrderState.UNKNOWN):
            return current  # an earlier try was written down after all
        price = remote.amount if remote.amount is not None else order.price
        ledger.settle(connection, order.id, price, now)
        orders.mark_placed(connection, order.id, remote, now)
        if price > order.price:
            _tell_overcharge(desk, connection, order, price)
        outbox.put(connection, tracking.notice(order, NoticeKind.NUMBER, "placed", why), now)
        spending.warn(desk, connection, order)
        audit.write(
            connection, now, order.member_id, "order.place", order_id=order.id, remote_id=remote.remote_id, price=price
        )
        return tracking.known(connection, order.id)

    try:
        placed = await desk.insist(body)
    except sqlite3.IntegrityError as error:
        log.exception("order %s: what SMSCode answered contradicts the books", order.id)
        return await leave_unclear(desk, order, str(error))
    desk.signals.placed.set()
    desk.signals.watch.set()
    return placed


def _tell_overcharge(desk: Desk, connection: sqlite3.Connection, order: Order, charged: int) -> None:
    key = f"{order.id}:dearer"
    desk.alert(connection, key, what="dearer", order=order.id, fell=charged, price=order.price)


async def refuse(desk: Desk, order: Order, error: SmsError | Refusal) -> None:
    """Release the hold of an order that was certainly not placed."""
    code = error.code if isinstance(error, ApiError) else type(error).__name__

    def body(connection: sqlite3.Connection) -> None:
        ledger.release(connection, order.id, f"refused: {code}", desk.now)
        orders.mark_refused(connection, order.id, code, desk.now)
        audit.write(connection, desk.now, order.member_id, "order.refuse", order_id=order.id, code=code)
        if isinstance(error, AbuseGuard):
            guard.begin(desk, connection, error)
        if isinstance(error, KeyReused):
            desk.alert(connection, f"{order.id}:key", what="key_reused", order=order.id)

    await desk.insist(body)


async def leave_unclear(desk: Desk, order: Order, reason: str) -> Order:
    """Keep the hold of an order that may have been placed, tell its member to wait, and tell the admins."""

    def body(connection: sqlite3.Connection) -> Order:
        if tracking.known(connection, order.id).state is not OrderState.SENT:
            return tracking.known(connection, order.id)
        orders.mark_unknown(connection, order.id, reason)
        key = f"unclear:{order.attempt}"
        outbox.put(connection, tracking.notice(order, NoticeKind.UNCLEAR, key), desk.now)
        spending.warn(desk, connection, order)
        desk.alert(connection, f"{order.id}:{key}", what="unclear", order=order.id, reason=reason)
        audit.write(connection, desk.now, audit.DESK, "order.unclear", order_id=order.id, reason=reason)
        return tracking.known(connection, order.id)

    return await desk.insist(body)


async def release(desk: Desk, order: Order, why: str, *, tell: bool, note: tracking.Note = tracking.no_note) -> None:
    """An order that broke off or was unclear was not placed after all: its hold goes back.

    Whoever has decided that leaves a `note` with it.
    """

    def body(connection: sqlite3.Connection) -> None:
        if tracking.known(connection, order.id).state is not order.state:
            return  # an admin, or the evidence, was faster
        now = desk.now
        ledger.release(connection, order.id, why, now)
        orders.mark_refused(connection, order.id, why, now)
        if tell:
            outbox.put(connection, tracking.notice(order, NoticeKind.CLEARED, f"cleared:{order.attempt}"), now)
        audit.write(connection, now, audit.DESK, "order.release", order_id=order.id, why=why)
        note(connection)

    await desk.transact(body)
