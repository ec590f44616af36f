"""Buying what somebody has approved: at most once, at most at the approved price, within every limit of that moment."""

import logging

from bot.domain.errors import AlreadyAnswered, ApprovalNeeded, PriceNotAgreed, PriceRose
from bot.services import approvals, ordering, tracking
from bot.services.desk import Desk
from bot.services.ordering import OrderCommand
from storage import orders
from storage.approvals import Approval, ApprovalState
from storage.orders import Order

log = logging.getLogger(__name__)


async def carry_out(desk: Desk, approval: Approval) -> Order | None:
    """Place the order that was approved, under its own key: however often it is begun anew, there is one.

    None when it was dealt with before.

    Raises:
        AwaitsApproval: it costs more by now, so it is asked for anew. AlreadyAnswered: it was taken up too late, and
            has run out. Refusal, SmsError: it was not placed. Nothing was charged.
    """
    if approval.state is not ApprovalState.APPROVED:
        log.info("approval %s is %s already", approval.id, approval.state)
        return None
    try:
        placed = await (_place if approval.reactivates is None else _reactivate)(desk, approval)
    except (PriceRose, PriceNotAgreed) as dearer:
        needed = ApprovalNeeded(desk.settings.limits.approve_above or 0, dearer.price)
        request = approvals.request_of(approval)
        raise await approvals.ask(desk, request, approval.country, needed, approval.product) from dearer
    except AlreadyAnswered:
        await approvals.expire(desk)
        raise
    await approvals.mark_placed(desk, approval, placed.id)
    return placed


def command_of(approval: Approval) -> OrderCommand:
    """The order as it was asked for: these countries and no others, at that price or below."""
    return OrderCommand(
        key=approval.order_key,
        member_id=approval.member_id,
        chat_id=approval.chat_id,
        thread_id=approval.thread_id,
        platform=approval.platform,
        countries=orders.countries_of(approval.countries),
        max_price=approval.max_price,
        note=approval.note,
        operator=approval.operator,
        policy=approval.policy,
        product=approval.product,
        seen=approval.price,
        agreed=approval.price,
        approval_id=approval.id,
    )


async def _place(desk: Desk, approval: Approval) -> Order:
    # The price that was approved is compared with one of now, not with one that was kept from then.
    for country in orders.countries_of(approval.countries):
        desk.catalog.forget(country, approval.platform)
    return await ordering.place(desk, command_of(approval))


async def _reactivate(desk: Desk, approval: Approval) -> Order:
    wanted = approval.reactivates or 0
    order = await desk.database.read(lambda connection: tracking.known(connection, wanted))
    return await ordering.reactivate(desk, order, command_of(approval), approval.price)
