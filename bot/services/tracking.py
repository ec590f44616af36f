"""Orders after they were placed: what SMSCode shows of them, and ending them."""

import logging
import sqlite3
from collections.abc import Callable, Mapping
from typing import Final

from bot.domain.access import Member, Role
from bot.domain.errors import (
    AbuseGuard,
    ApiError,
    CancelTooEarly,
    LimitReached,
    NoSuchOrder,
    NotCanceled,
    NotNow,
    NotSent,
    SmsError,
)
from bot.domain.limits import LimitName
from bot.domain.notices import Notice, NoticeKind, Urgency
from bot.domain.orders import Observed, OrderState, RemoteOrder, observe
from bot.services import guard
from bot.services.desk import Desk
from bot.sms.port import Priority
from storage import audit, ledger, members, orders, outbox, settings
from storage.orders import Order

log = logging.getLogger(__name__)

_CANCEL_REFUSED: Final = "order.cancel_refused"
"""The audit's word for a cancel that did not happen: it uses none of its member's cancels up."""

_TRY_CANCEL_AGAIN: Final = 10_000
"""Milliseconds until a cancel that came too early is tried again, where SMSCode does not say from when it may be."""

Note = Callable[[sqlite3.Connection], None]
"""What else is written down in the transaction that decides about an order, if it does decide."""


def no_note(_: sqlite3.Connection) -> None:
    """Nothing else."""


async def record(desk: Desk, order_id: int, remote: RemoteOrder, asked_at: int | None = None) -> Order:
    """Take in what SMSCode shows of an order: its state, a new SMS, a refund, and the messages about them.

    `asked_at` (unix ms) is when it was asked: an answer that was overtaken by another may show an older code again.
    """

    def look(connection: sqlite3.Connection) -> tuple[Order, Observed]:
        order = known(connection, order_id)
        told = frozenset() if asked_at is None else orders.overtaken(connection, order_id, asked_at)
        return order, observe(order.state, orders.latest_sms(connection, order_id), remote, told)

    order, observed = await desk.database.read(look)
    if observed == Observed(order.state) and not _differs(order, remote):
        return order  # the usual poll: nothing new, so nothing is written

    def body(connection: sqlite3.Connection) -> Order:
        order, observed = look(connection)
        _apply(desk, connection, order, remote, observed)
        return known(connection, order_id)

    recorded = await desk.transact(body)
    if observed.sms is not None and observed.sms.revision == 1 and order.placed_at is not None:
        desk.metrics.time_to_code.observe(max(0, desk.now - order.placed_at) / 1000)
    return recorded


def _differs(order: Order, remote: RemoteOrder) -> bool:
    """Whether there is something to keep, or to show on the card, beside the state and the SMS."""
    return (
        order.needs_admin
        or order.remote_status != remote.raw_status
        or _number_came(order, remote)
        or _allowed_changed(order, remote)
    )


def _number_came(order: Order, remote: RemoteOrder) -> bool:
    return order.phone_number is None and remote.phone_number is not None


def _allowed_changed(order: Order, remote: RemoteOrder) -> bool:
    return remote.allowed is not None and remote.allowed != order.allowed


def _apply(desk: Desk, connection: sqlite3.Connection, order: Order, remote: RemoteOrder, observed: Observed) -> None:
    now = desk.now
    if observed.sms is not None:
        orders.add_sms(connection, order.id, observed.sms, now)
        repeated = _may_have_been_told(desk, connection, order)
        outbox.put(connection, _code_notice(desk, order, observed.sms.revision), now, repeated=repeated)
        audit.write(connection, now, audit.DESK, "order.code", order_id=order.id, revision=observed.sms.revision)
    if remote.status is None and remote.raw_status != order.remote_status:
        facts: dict[str, str | int | None] = {"status": remote.raw_status[:64]}
        outbox.put(connection, notice(order, NoticeKind.STRANGE, f"strange:{remote.raw_status}", facts), now)
        audit.write(connection, now, audit.DESK, "order.strange", order_id=order.id, status=remote.raw_status[:64])
    if order.state.ended:
        return
    orders.mark_observed(connection, order.id, observed.state, remote, now)
    if _number_came(order, remote) and not observed.state.ended:
        outbox.put(connection, notice(order, NoticeKind.NUMBER, "number"), now)
    if observed.state is not order.state:
        back = _book_refund(desk, connection, order, observed, remote)
        _tell_change(connection, order, observed, back, now)
    elif _allowed_changed(order, remote):
        outbox.put(connection, notice(order, NoticeKind.CARD, f"card:{_buttons(remote)}"), now)


def _may_have_been_told(desk: Desk, connection: sqlite3.Connection, order: Order) -> bool:
    """Whether a code may have reached its chat after the backup that these books came from.

    Only one that is there at the first look at an order of before: what comes later nobody has seen.
    """
    if desk.reconciled.is_set():
        return False
    restored = settings.get(connection, settings.RESTORED)
    return restored is not None and (order.placed_at or 0) < int(restored)


def _buttons(remote: RemoteOrder) -> str:
    """What may be done now, as a word: a card is edited when its buttons change, not at each look."""
    allowed = remote.allowed
    if allowed is None:
        return ""
    steps = {"cancel": allowed.cancel, "finish": allowed.finish, "resend": allowed.resend}
    return "+".join(step for step, may in steps.items() if may) or "none"


def _book_refund(
    desk: Desk, connection: sqlite3.Connection, order: Order, observed: Observed, remote: RemoteOrder
) -> int:
    """Book what came back as far as there is evidence; return it (IDR).

    Where the contract names refunds, an expiry alone is none: the order's own word or the balance must show it.
    """
    if not observed.refund or remote.refunded == 0:
        return 0
    if observed.assumed and desk.sms.tells_money and remote.refunded is None:
        orders.mark_refund_open(connection, order.id, is_open=True)
        return 0
    assumed = observed.assumed and remote.refunded is None
    return ledger.refund(connection, order.id, observed.state, desk.now, most=remote.refunded, assumed=assumed)


def _tell_change(connection: sqlite3.Connection, order: Order, observed: Observed, back: int, now: int) -> None:
    outbox.put(connection, notice(order, NoticeKind.CARD, f"card:{observed.state}"), now)
    if observed.state.ended:
        audit.write(connection, now, audit.DESK, f"order.{observed.state}", order_id=order.id, refunded=back)
    had_code = orders.latest_sms(connection, order.id) is not None
    # An order that is completed after its code has nothing left to tell; any other end is about money.
    if observed.state.ended and not (had_code and observed.state is OrderState.COMPLETED):
        current = known(connection, order.id)
        facts: dict[str, str | int | None] = {
            "refunded": back,
            "assumed": int(current.refund_assumed),
            "code": int(had_code),
            "open": int(current.refund_open),
        }
        outbox.put(connection, notice(order, NoticeKind.ENDED, "ended", facts), now)


async def cancel(desk: Desk, order: Order, actor_id: int) -> Order:
    """End an order at SMSCode, then look at it: only that look says whether money comes back.

    The order returned may still live if SMSCode took the cancel but the look failed; the watcher then looks again.

    Raises:
        NotNow: it has ended, or is not placed yet. LimitReached: too many cancels today. NotCanceled: the cancel
            did not go through.
    """
    if not order.state.watched or order.remote_id is None:
        raise NotNow(order.id, order.state)
    await desk.transact(lambda connection: _note_cancel(desk, connection, order, actor_id))
    failure: SmsError | None = None
    try:
        ended = await desk.sms.cancel(order.remote_id)
    except SmsError as error:
        failure = error  # it is safe to be unsure of a cancel: the look below tells
    else:
        if ended is not None:
            return await record(desk, order.id, ended)
    try:
        order = await refresh(desk, order, Priority.COMMAND)
    except SmsError:
        desk.signals.watch.set()
    if failure is not None and not order.state.ended:
        await _note_refusal(desk, order, actor_id, failure)
        raise NotCanceled(order.id, failure, order.allowed.cancel_from if order.allowed else None) from failure
    return order


async def _note_refusal(desk: Desk, order: Order, actor_id: int, failure: SmsError) -> None:
    """Write down that a cancel did not happen; of one without a clear answer nobody knows that."""

    def body(connection: sqlite3.Connection) -> None:
        if isinstance(failure, AbuseGuard):
            guard.begin(desk, connection, failure)
        if isinstance(failure, ApiError | NotSent):
            reason = str(failure)[:200]
            audit.write(connection, desk.now, actor_id, _CANCEL_REFUSED, order_id=order.id, reason=reason)

    await desk.transact(body)


async def cancel_later(desk: Desk, order: Order, actor_id: int, *, not_before: int = 0) -> Order:
    """Have the desk cancel an order by itself as soon as SMSCode allows it, unless an SMS comes first.

    `not_before` (unix milliseconds) is for a try that SMSCode, by its own clock, has called too early.

    Raises:
        NotNow: it is not waiting for an SMS any more.
    """

    def body(connection: sqlite3.Connection) -> Order:
        current = known(connection, order.id)
        if current.state is not OrderState.WAITING:
            raise NotNow(current.id, current.state)
        orders.cancel_later(connection, current.id, max(not_before, _cancel_from(current, desk.now)))
        audit.write(connection, desk.now, actor_id, "order.cancel_later", order_id=current.id)
        outbox.put(connection, notice(current, NoticeKind.CARD, f"card:later:{desk.now}"), desk.now)
        return known(connection, current.id)

    planned = await desk.transact(body)
    desk.signals.watch.set()
    return planned


def _cancel_from(order: Order, now: int) -> int:
    said = order.allowed.cancel_from if order.allowed else None
    return max(now, round(said.timestamp() * 1000)) if said else now + _TRY_CANCEL_AGAIN


async def cancel_as_planned(desk: Desk, order: Order) -> Order:
    """Carry out a cancel that was planned; it counts as its member's. One that fails for good is told and dropped."""
    try:
        return await cancel(desk, order, order.member_id)
    except NotCanceled as error:
        if isinstance(error.reason, CancelTooEarly):
            return await cancel_later(desk, order, audit.DESK, not_before=desk.now + _TRY_CANCEL_AGAIN)
        facts: dict[str, str | int | None] = {"reason": str(error.reason)[:200]}
    except LimitReached as error:
        facts = {"most": error.cap}

    def body(connection: sqlite3.Connection) -> Order:
        orders.cancel_later(connection, order.id, None)
        outbox.put(connection, notice(order, NoticeKind.NOT_CANCELED, f"not_canceled:{desk.now}", facts), desk.now)
        return known(connection, order.id)

    log.info("order %s: the planned cancel did not go through: %s", order.id, facts)
    return await desk.transact(body)


async def finish(desk: Desk, order: Order, actor_id: int) -> Order:
    """Say that the code was all that was needed, then look at the order.

    Raises:
        NotNow: it has no code, or has ended. NotOffered, SmsError: it did not go through, or may not have.
    """
    await desk.sms.finish(await _with_code(desk, order, actor_id, "order.finish"))
    return await _look_after(desk, order)


async def resend(desk: Desk, order: Order, actor_id: int) -> Order:
    """Wait for one more SMS on the same number, then look at the order.

    Raises:
        NotNow: it has no code yet, or has ended. NotOffered, SmsError: it did not go through, or may not have.
    """
    await desk.sms.resend(await _with_code(desk, order, actor_id, "order.resend"))
    return await _look_after(desk, order)


async def _with_code(desk: Desk, order: Order, actor_id: int, action: str) -> str:
    """SMSCode's id of an order that has a code, after the audit has kept what is to be done to it."""
    if order.state is not OrderState.RECEIVED or order.remote_id is None:
        raise NotNow(order.id, order.state)
    await desk.transact(lambda connection: audit.write(connection, desk.now, actor_id, action, order_id=order.id))
    return order.remote_id


async def _look_after(desk: Desk, order: Order) -> Order:
    """Look at an order after something was done to it; if that fails, the watcher soon looks again."""
    try:
        return await refresh(desk, order, Priority.COMMAND)
    except SmsError:
        desk.signals.watch.set()
        return order


def _note_cancel(desk: Desk, connection: sqlite3.Connection, order: Order, actor_id: int) -> None:
    """Write the cancel into the audit, if the member's cancels of today leave room for it."""
    if actor_id == order.member_id:
        calendar = desk.calendar
        most = members.limits_of(connection, actor_id, desk.settings.limits.defaults, desk.now)[
            LimitName.CANCELS_PER_DAY
        ]
        begins = round(calendar.day_begins.timestamp() * 1000)
        refused = audit.count(connection, actor_id, _CANCEL_REFUSED, begins)
        if audit.count(connection, actor_id, "order.cancel", begins) - refused >= most:
            raise LimitReached(LimitName.CANCELS_PER_DAY, most, 0, 1, calendar.day_ends)
    audit.write(connection, desk.now, actor_id, "order.cancel", order_id=order.id)


async def refresh(desk: Desk, order: Order, priority: Priority) -> Order:
    """Look at a placed order now and record what it shows.

    Raises:
        SmsError: the look failed; nothing has changed.
    """
    if order.remote_id is None or not order.state.watched:
        return order
    asked_at = desk.now
    return await record(desk, order.id, await desk.sms.read(order.remote_id, priority), asked_at)


async def find(desk: Desk, member: Member, order_id: int | None) -> Order:
    """The order that a member means: by its number, or the only one of theirs that lives.

    An admin may name anybody's; others see only their own.

    Raises:
        NoSuchOrder: none, several, or not theirs (which is not told apart from none).
    """

    def look(connection: sqlite3.Connection) -> Order:
        mine = orders.open_of(connection, member.user_id)
        if order_id is None:
            if len(mine) == 1:
                return mine[0]
            raise NoSuchOrder("", tuple(order.id for order in mine))
        order = orders.get(connection, order_id)
        if order is None or not (order.member_id == member.user_id or member.may(Role.ADMIN)):
            raise NoSuchOrder(f"#{order_id}", tuple(order.id for order in mine))
        return order

    return await desk.database.read(look)


def known(connection: sqlite3.Connection, order_id: int) -> Order:
    """The order by its number, which must exist."""
    order = orders.get(connection, order_id)
    if order is None:
        raise NoSuchOrder(f"#{order_id}")
    return order


def notice(order: Order, kind: NoticeKind, key: str, facts: Mapping[str, str | int | None] | None = None) -> Notice:
    """A message about an order, to where it was ordered; `key` tells it from the order's other messages."""
    return Notice(
        kind=kind,
        chat_id=order.chat_id,
        thread_id=order.thread_id,
        dedupe_key=f"order:{order.id}:{key}",
        order_id=order.id,
        facts=dict(facts or {}),
    )


def goes_private(desk: Desk, order: Order) -> bool:
    """Whether an order's codes go to its orderer in private, although it was ordered in a group."""
    return order.chat_id < 0 and desk.settings.ordering.code_delivery == "dm"


def _code_notice(desk: Desk, order: Order, revision: int) -> Notice:
    private = goes_private(desk, order)
    return Notice(
        kind=NoticeKind.CODE,
        chat_id=order.member_id if private else order.chat_id,
        thread_id=None if private else order.thread_id,
        dedupe_key=f"otp:{order.id}:{revision}",
        order_id=order.id,
        revision=revision,
        urgency=Urgency.CODE,
    )


async def by_message(desk: Desk, member: Member, chat_id: int, message_id: int) -> Order | None:
    """The order that one of the bot's messages speaks of, if the member may see it."""
    order = await desk.database.read(lambda connection: orders.by_card(connection, chat_id, message_id))
    if order is None or not (order.member_id == member.user_id or member.may(Role.ADMIN)):
        return None
    return order
