"""Orders after they were placed: what SMSCode shows of them, and ending them."""

import sqlite3
from collections.abc import Mapping

from bot.domain.access import Member, Role
from bot.domain.errors import LimitReached, NoSuchOrder, NotCanceled, NotNow, SmsError
from bot.domain.limits import LimitName
from bot.domain.notices import Notice, NoticeKind, Urgency
from bot.domain.orders import Observed, OrderState, RemoteOrder, observe
from bot.services.desk import Desk
from bot.sms.port import Priority
from storage import audit, ledger, members, orders, outbox
from storage.orders import Order


async def record(desk: Desk, order_id: int, remote: RemoteOrder) -> Order:
    """Take in what SMSCode shows of an order: its state, a new SMS, a refund, and the messages about them."""

    def look(connection: sqlite3.Connection) -> tuple[Order, Observed]:
        order = known(connection, order_id)
        return order, observe(order.state, orders.latest_sms(connection, order_id), remote)

    order, observed = await desk.database.read(look)
    if observed == Observed(order.state) and order.remote_status == remote.raw_status and not order.needs_admin:
        return order  # the usual poll: nothing new, so nothing is written

    def body(connection: sqlite3.Connection) -> Order:
        order, observed = look(connection)
        _apply(desk, connection, order, remote, observed)
        return known(connection, order_id)

    return await desk.transact(body)


def _apply(desk: Desk, connection: sqlite3.Connection, order: Order, remote: RemoteOrder, observed: Observed) -> None:
    now = desk.now
    if observed.sms is not None:
        orders.add_sms(connection, order.id, observed.sms, now)
        outbox.put(connection, _code_notice(order, observed.sms.revision), now)
        audit.write(connection, now, audit.DESK, "order.code", order_id=order.id, revision=observed.sms.revision)
    if remote.status is None and remote.raw_status != order.remote_status:
        facts: dict[str, str | int | None] = {"status": remote.raw_status[:64]}
        outbox.put(connection, notice(order, NoticeKind.STRANGE, f"strange:{remote.raw_status}", facts), now)
        audit.write(connection, now, audit.DESK, "order.strange", order_id=order.id, status=remote.raw_status[:64])
    if order.state.ended:
        return
    orders.mark_observed(connection, order.id, observed.state, remote, now)
    back = ledger.refund(connection, order.id, observed.state, now, assumed=observed.assumed) if observed.refund else 0
    if observed.state is not order.state:
        _tell_change(connection, order, observed, back, now)


def _tell_change(connection: sqlite3.Connection, order: Order, observed: Observed, back: int, now: int) -> None:
    outbox.put(connection, notice(order, NoticeKind.CARD, f"card:{observed.state}"), now)
    if observed.state.ended:
        audit.write(connection, now, audit.DESK, f"order.{observed.state}", order_id=order.id, refunded=back)
    had_code = orders.latest_sms(connection, order.id) is not None
    # An order that is completed after its code has nothing left to tell; any other end is about money.
    if observed.state.ended and not (had_code and observed.state is OrderState.COMPLETED):
        facts = {"refunded": back, "assumed": int(observed.assumed), "code": int(had_code)}
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
        await desk.sms.cancel(order.remote_id)
    except SmsError as error:
        failure = error  # it is safe to be unsure of a cancel: the look below tells
    try:
        order = await refresh(desk, order, Priority.COMMAND)
    except SmsError:
        desk.signals.watch.set()
    if failure is not None and not order.state.ended:
        raise NotCanceled(order.id, failure) from failure
    return order


def _note_cancel(desk: Desk, connection: sqlite3.Connection, order: Order, actor_id: int) -> None:
    """Write the cancel into the audit, if the member's cancels of today leave room for it."""
    if actor_id == order.member_id:
        calendar = desk.calendar
        most = members.limits_of(connection, actor_id, desk.settings.limits.defaults)[LimitName.CANCELS_PER_DAY]
        begins = round(calendar.day_begins.timestamp() * 1000)
        if audit.count(connection, actor_id, "order.cancel", begins) >= most:
            raise LimitReached(LimitName.CANCELS_PER_DAY, most, 0, 1, calendar.day_ends)
    audit.write(connection, desk.now, actor_id, "order.cancel", order_id=order.id)


async def refresh(desk: Desk, order: Order, priority: Priority) -> Order:
    """Look at a placed order now and record what it shows.

    Raises:
        SmsError: the look failed; nothing has changed.
    """
    if order.remote_id is None or not order.state.watched:
        return order
    return await record(desk, order.id, await desk.sms.read(order.remote_id, priority))


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


def _code_notice(order: Order, revision: int) -> Notice:
    return Notice(
        kind=NoticeKind.CODE,
        chat_id=order.chat_id,
        thread_id=order.thread_id,
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
