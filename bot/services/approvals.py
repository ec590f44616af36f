"""Somebody else's yes to an order above `limits.approve_above`: asked for, given once, over in time.

A yes is to one command of one member up to one price. It is looked at in the transaction that holds the money
(`check`), so that no way around it exists, and it leads to one order at most (`bot.services.purchasing`).
"""

import sqlite3
from typing import Final

from bot.clock import from_milliseconds
from bot.domain.access import Member, Role
from bot.domain.errors import (
    AlreadyAnswered,
    ApprovalNeeded,
    AwaitsApproval,
    NobodyToApprove,
    NoSuchApproval,
    NotAMember,
    NotPermitted,
    Protected,
)
from bot.domain.notices import Notice, NoticeKind, Urgency
from bot.domain.orders import OrderState
from bot.services import creating
from bot.services.desk import Desk
from storage import approvals, audit, members, orders, outbox
from storage.approvals import Approval, ApprovalState, Ask
from storage.orders import Request

_LONGEST_REASON: Final = 300


def check(desk: Desk, connection: sqlite3.Connection, request: Request, price: int) -> None:
    """Whether an order at that price (IDR) may be placed: cheap enough for anybody, or approved and still in time.

    Raises:
        ApprovalNeeded: the caller's transaction must not be committed.
    """
    threshold = desk.settings.limits.approve_above
    if threshold is None or price <= threshold:
        return
    found = approvals.get(connection, request.approval_id) if request.approval_id is not None else None
    if found is None or not found.covers(request.member_id, price, desk.now):
        raise ApprovalNeeded(threshold, price)


async def ask(desk: Desk, request: Request, country: str, needed: ApprovalNeeded, product: str = "") -> AwaitsApproval:
    """Ask everybody who may approve, once for a command and a price; return what to tell whoever wants the order.

    `country` is that of the offer, `product` the name of the only offers that are wanted, if any will not do.

    An approval that the price has outgrown is closed and asked for anew.

    Raises:
        NobodyToApprove: nobody but the member themselves could. NotPermitted, OrderingPaused, OrderingBanned.
        AlreadyAnswered: it was approved at that price and has run out since.
    """

    def body(connection: sqlite3.Connection) -> AwaitsApproval:
        creating.check_may_order(desk, connection, request.member_id)
        approvers = _approvers(connection, request.member_id)
        if not approvers:
            raise NobodyToApprove(needed.threshold, needed.price)
        earlier = approvals.get(connection, request.approval_id) if request.approval_id is not None else None
        if earlier is not None and needed.price <= earlier.price:
            raise AlreadyAnswered(earlier.id, ApprovalState.EXPIRED)
        root, number = (earlier.command_key, earlier.round + 1) if earlier else (request.command_key, 1)
        approval = approvals.by_command(connection, root, number)
        if approval is None:
            asked = Ask(request, root, number, country, needed.price, product)
            approval = _open(desk, connection, asked, approvers, earlier)
        names = tuple(person.name for person in approvers)
        until = from_milliseconds(approval.expires_at)
        return AwaitsApproval(approval.id, needed.threshold, approval.price, names, until)

    return await desk.transact(body)


def _open(
    desk: Desk, connection: sqlite3.Connection, asked: Ask, approvers: list[Member], earlier: Approval | None
) -> Approval:
    now, member_id = desk.now, asked.request.member_id
    number = approvals.insert(connection, asked, now, now + desk.settings.limits.approve_within * 1000)
    audit.write(
        connection,
        now,
        member_id,
        "approval.ask",
        approval=number,
        price=asked.price,
        platform=asked.request.platform,
        country=asked.country,
        note=asked.request.note,
    )
    for chat_id in _chats(desk, approvers):
        notice = Notice(NoticeKind.APPROVAL, chat_id, f"approval:{number}:{chat_id}", facts={"approval": number})
        outbox.put(connection, notice, now)
    approval = _known(connection, number)
    if earlier is not None and approvals.close(
        connection, earlier.id, ApprovalState.APPROVED, ApprovalState.DEARER, now
    ):
        audit.write(connection, now, audit.DESK, "approval.dearer", approval=earlier.id, price=asked.price)
        outbox.put(connection, _news(earlier, ApprovalState.DEARER, price=asked.price, anew=number), now)
    return approval


def _chats(desk: Desk, approvers: list[Member]) -> list[int]:
    """Where a request is read: the admins' common chat if there is one, and the private chat of everybody else."""
    common = desk.settings.access.admin_chat
    alone = [person.user_id for person in approvers if common is None or person.role is not Role.ADMIN]
    return alone if common is None else [common, *alone]


def _approvers(connection: sqlite3.Connection, member_id: int) -> list[Member]:
    """Everybody who may answer a request of that member: nobody approves their own."""
    return [
        person for person in members.everybody(connection) if person.may(Role.APPROVER) and person.user_id != member_id
    ]


async def approve(desk: Desk, approval_id: int, approver_id: int, key: str) -> Approval:
    """Say yes under the key of the update that says it; the same update may say it again after a crash.

    Raises:
        NotPermitted, Protected (their own), NoSuchApproval, AlreadyAnswered: nothing has changed.
        OrderingPaused, OrderingBanned, NotAMember: it could not be bought now; the request stays open.
    """
    return await _answer(desk, approval_id, approver_id, key, ApprovalState.APPROVED)


async def decline(desk: Desk, approval_id: int, approver_id: int, key: str) -> Approval:
    """Say no.

    Raises:
        NotPermitted, Protected (their own), NoSuchApproval, AlreadyAnswered: nothing has changed.
    """
    return await _answer(desk, approval_id, approver_id, key, ApprovalState.DECLINED)


async def _answer(desk: Desk, approval_id: int, approver_id: int, key: str, state: ApprovalState) -> Approval:
    def body(connection: sqlite3.Connection) -> Approval:
        approver = members.get(connection, approver_id)
        if approver is None or not approver.may(Role.APPROVER):
            raise NotPermitted(Role.APPROVER)
        approval = _known(connection, approval_id)
        if approval.member_id == approver_id:
            raise Protected("nobody approves their own order; somebody else has to answer")
        if approval.answered_by == approver_id and approval.answer_key == key:
            return approval
        if state is ApprovalState.APPROVED:
            _check_could_be_bought(desk, connection, approval)
        if not approvals.answer(connection, approval_id, state, approver_id, key, desk.now):
            raise _too_late(connection, approval)
        audit.write(
            connection, desk.now, approver_id, _ACTIONS[state], subject=approval.member_id, approval=approval_id
        )
        outbox.put(connection, _news(approval, state, by=approver_id), desk.now)
        _close_requests(desk, connection, approval_id, state, approver_id)
        return _known(connection, approval_id)

    return await desk.transact(body)


_ACTIONS: Final = {ApprovalState.APPROVED: "approval.approve", ApprovalState.DECLINED: "approval.decline"}


def _check_could_be_bought(desk: Desk, connection: sqlite3.Connection, approval: Approval) -> None:
    """A yes that could not be acted on now would only run out: the request stays open for when it can be."""
    creating.check_open(desk, connection)
    asker = members.get(connection, approval.member_id)
    if asker is None or not asker.may(Role.OPERATOR):
        raise NotAMember(approval.member_id)


def _too_late(connection: sqlite3.Connection, approval: Approval) -> AlreadyAnswered:
    state = ApprovalState.EXPIRED if approval.state is ApprovalState.OPEN else approval.state
    by = members.name_of(connection, approval.answered_by) if approval.answered_by is not None else None
    return AlreadyAnswered(approval.id, state, by)


async def withdraw(desk: Desk, approval_id: int, member_id: int, key: str) -> Approval:
    """Whoever asked takes it back.

    Raises:
        NoSuchApproval: it is not theirs. AlreadyAnswered: somebody was faster.
    """

    def body(connection: sqlite3.Connection) -> Approval:
        approval = _known(connection, approval_id)
        if approval.member_id != member_id:
            raise NoSuchApproval(approval_id)
        if not approvals.answer(connection, approval_id, ApprovalState.WITHDRAWN, member_id, key, desk.now):
            raise _too_late(connection, approval)
        audit.write(connection, desk.now, member_id, "approval.withdraw", approval=approval_id)
        _close_requests(desk, connection, approval_id, ApprovalState.WITHDRAWN, member_id)
        return _known(connection, approval_id)

    return await desk.transact(body)


async def mark_placed(desk: Desk, approval: Approval, order_id: int) -> None:
    """What was approved is bought, or may have been: the order tells the rest by itself."""

    def body(connection: sqlite3.Connection) -> None:
        if approvals.close(connection, approval.id, ApprovalState.APPROVED, ApprovalState.PLACED, desk.now):
            audit.write(connection, desk.now, audit.DESK, "approval.placed", order_id=order_id, approval=approval.id)

    await desk.insist(body)


async def fail(desk: Desk, approval: Approval, reason: str) -> None:
    """What was approved could not be bought; whoever wanted it hears the `reason`, in words."""

    def body(connection: sqlite3.Connection) -> None:
        if approvals.close(connection, approval.id, ApprovalState.APPROVED, ApprovalState.FAILED, desk.now):
            outbox.put(connection, _news(approval, ApprovalState.FAILED, reason=reason[:_LONGEST_REASON]), desk.now)
            audit.write(connection, desk.now, audit.DESK, "approval.fail", approval=approval.id, reason=reason[:200])

    await desk.insist(body)


async def expire(desk: Desk) -> int:
    """Close every request whose time is over and tell whoever asked; return how many.

    The time itself is looked at when somebody answers and when the money is held: this only brings the news.
    """
    if not await desk.database.read(lambda connection: approvals.overdue(connection, desk.now)):
        return 0

    def body(connection: sqlite3.Connection) -> int:
        return sum(_expire(desk, connection, approval) for approval in approvals.overdue(connection, desk.now))

    return await desk.transact(body)


def _expire(desk: Desk, connection: sqlite3.Connection, approval: Approval) -> bool:
    if approval.order_key in desk.placing:
        return False
    order = orders.by_command(connection, approval.order_key)
    if order is not None and order.state is not OrderState.REFUSED:
        # The desk stopped between the purchase and this mark.
        approvals.close(connection, approval.id, approval.state, ApprovalState.PLACED, desk.now)
        audit.write(connection, desk.now, audit.DESK, "approval.placed", order_id=order.id, approval=approval.id)
        return True
    approvals.close(connection, approval.id, approval.state, ApprovalState.EXPIRED, desk.now)
    audit.write(connection, desk.now, audit.DESK, "approval.expire", subject=approval.member_id, approval=approval.id)
    _close_requests(desk, connection, approval.id, ApprovalState.EXPIRED, None)
    if members.get(connection, approval.member_id) is not None:
        outbox.put(connection, _news(approval, ApprovalState.EXPIRED), desk.now)
    return True


def _close_requests(
    desk: Desk, connection: sqlite3.Connection, approval_id: int, outcome: ApprovalState, by: int | None
) -> None:
    """Have every message that asks for an answer say that there is one; the first answer is the one that stays."""
    for letter_id, chat_id in outbox.begun_with(connection, NoticeKind.APPROVAL, f"approval:{approval_id}:"):
        notice = Notice(
            NoticeKind.DECIDED,
            chat_id,
            f"decided:{letter_id}",
            urgency=Urgency.TALK,
            facts={"approval": approval_id, "outcome": outcome, "by": by, "letter": letter_id},
        )
        outbox.put(connection, notice, desk.now)


async def waiting(desk: Desk) -> list[Approval]:
    """Every request that can be answered now, the oldest first."""
    return await desk.database.read(lambda connection: approvals.waiting(connection, desk.now))


async def find(desk: Desk, approval_id: int) -> Approval:
    """The request by its number.

    Raises:
        NoSuchApproval: there is none.
    """
    return await desk.database.read(lambda connection: _known(connection, approval_id))


def request_of(approval: Approval) -> Request:
    """The order that it asks for, as it will be placed: under its own key, and naming its approval."""
    return Request(
        command_key=approval.order_key,
        member_id=approval.member_id,
        chat_id=approval.chat_id,
        thread_id=approval.thread_id,
        platform=approval.platform,
        countries=approval.countries,
        max_price=approval.max_price,
        note=approval.note,
        policy=approval.policy,
        operator=approval.operator,
        reactivates=approval.reactivates,
        approval_id=approval.id,
    )


def _known(connection: sqlite3.Connection, approval_id: int) -> Approval:
    found = approvals.get(connection, approval_id)
    if found is None:
        raise NoSuchApproval(approval_id)
    return found


def _news(
    approval: Approval,
    outcome: ApprovalState,
    *,
    by: int | None = None,
    price: int | None = None,
    anew: int | None = None,
    reason: str | None = None,
) -> Notice:
    """What became of a request, to where the order was wanted; `anew` is the number of the one that follows it."""
    return Notice(
        kind=NoticeKind.ANSWERED,
        chat_id=approval.chat_id,
        thread_id=approval.thread_id,
        dedupe_key=f"approval:{approval.id}:{outcome}",
        facts={"approval": approval.id, "outcome": outcome, "by": by, "price": price, "anew": anew, "reason": reason},
    )
