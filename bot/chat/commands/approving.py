"""Commands for approvers: `/approvals` `/approve` `/decline`, and what their buttons do."""

from typing import Final

from bot.chat import keyboards, parsing, texts
from bot.chat.keyboards import Row
from bot.chat.visit import Visit
from bot.domain.errors import AlreadyAnswered, AwaitsApproval, Refusal, SmsError, TokenRejected, WrongUsage
from bot.domain.orders import OrderState
from bot.services import access, approvals, purchasing

_MOST_SHOWN: Final = 15


async def list_open(visit: Visit) -> None:
    """`/approvals`: every request that waits for an answer, with its buttons; one's own without."""
    waiting = await approvals.waiting(visit.desk)
    rows: list[Row] = [
        row
        for approval in waiting[:_MOST_SHOWN]
        if approval.member_id != visit.member.user_id
        for row in keyboards.for_approval(approval.id, numbered=True)
    ]
    zone = visit.desk.settings.limits.zone
    await visit.answer(texts.approvals(waiting[:_MOST_SHOWN], await _names(visit), visit.member.user_id, zone), rows)


async def approve(visit: Visit) -> None:
    """`/approve REQUEST`: say yes, and buy it."""
    await say_yes(visit, _number(visit, "approve"))


async def decline(visit: Visit) -> None:
    """`/decline REQUEST`: say no."""
    await say_no(visit, _number(visit, "decline"))


async def say_yes(visit: Visit, approval_id: int) -> None:
    """Approve a request and carry it out at once; tell the approver how it went."""
    approval = await approvals.approve(visit.desk, approval_id, visit.member.user_id, visit.key)
    name, zone = (await _names(visit)).get(approval.member_id, str(approval.member_id)), visit.desk.settings.limits.zone
    visit.show_typing()
    try:
        placed = await purchasing.carry_out(visit.desk, approval)
    except AwaitsApproval as again:
        await visit.answer(texts.approved_but_dearer(name, approval.price, again.price))
    except AlreadyAnswered as late:
        await visit.answer(texts.failure(late, zone))
    except (Refusal, SmsError) as error:
        reason = texts.plain(texts.failure(error, zone))
        await approvals.fail(visit.desk, approval, reason)
        await visit.answer(texts.approved_in_vain(name, reason))
        if isinstance(error, TokenRejected):
            await visit.desk.alert_token()
    else:
        if placed is not None and placed.state is OrderState.REFUSED:
            await visit.answer(texts.approved_in_vain(name, texts.plain(texts.not_placed(placed))))
        elif placed is not None:
            await visit.answer(texts.approved(name, placed))


async def say_no(visit: Visit, approval_id: int) -> None:
    """Decline a request."""
    approval = await approvals.decline(visit.desk, approval_id, visit.member.user_id, visit.key)
    name = (await _names(visit)).get(approval.member_id, str(approval.member_id))
    await visit.answer(texts.declined(name))


async def take_back(visit: Visit, approval_id: int) -> None:
    """Withdraw one's own request."""
    await approvals.withdraw(visit.desk, approval_id, visit.member.user_id, visit.key)
    await visit.answer(texts.withdrawn())


async def _names(visit: Visit) -> dict[int, str]:
    return {person.user_id: person.name for person in await access.everybody(visit.desk)}


def _number(visit: Visit, command: str) -> int:
    """Which request is meant."""
    number = parsing.number_in(parsing.clean(visit.text))
    if number is None:
        raise WrongUsage(f"say which request: /{command} 3; /approvals lists them")
    return number
