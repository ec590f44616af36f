"""Commands that spend or end: `/order` `/cancel` `/again` `/done` `/resend` `/reactivate`."""

from bot.chat import keyboards, parsing, texts
from bot.chat.keyboards import Press
from bot.chat.visit import Visit
from bot.chat.wording import format_amount
from bot.domain.errors import NoSuchOrder, NotNow, PriceRose
from bot.domain.orders import OrderState
from bot.services import ordering, tracking
from bot.services.ordering import OrderCommand
from bot.sms.port import Priority
from storage import orders
from storage.orders import Order


async def order(visit: Visit) -> None:
    """`/order platform [country,country…] [max=PRICE] [note=TEXT]`: the number comes through the outbox."""
    arguments = parsing.parse_order(visit.text)
    await visit.typing()
    placed = await ordering.place(
        visit.desk,
        OrderCommand(
            key=visit.key,
            member_id=visit.member.user_id,
            chat_id=visit.chat_id,
            thread_id=visit.thread_id,
            platform=arguments.platform,
            countries=arguments.countries,
            max_price=arguments.max_price,
            note=arguments.note,
            operator=arguments.operator,
            policy=arguments.policy,
        ),
    )
    await _tell_if_over(visit, placed)


async def cancel(visit: Visit) -> None:
    """`/cancel [order]`: end it; asks first where nothing would come back."""
    meant = await _meant(visit)
    await visit.typing()
    await end(visit, meant, confirmed=False)


async def again(visit: Visit) -> None:
    """`/again [order]`: end it and order a fresh number like it; without a number, the newest order."""
    await repeat(visit, await _meant_again(visit))


async def done(visit: Visit) -> None:
    """`/done [order]`: say that the code was all that was needed."""
    meant = await _meant(visit)
    await visit.typing()
    await visit.answer(texts.finished(await tracking.finish(visit.desk, meant, visit.member.user_id)))


async def resend(visit: Visit) -> None:
    """`/resend [order]`: wait for one more SMS on the same number."""
    meant = await _meant(visit)
    await visit.typing()
    await visit.answer(texts.resending(await tracking.resend(visit.desk, meant, visit.member.user_id)))


async def reactivate(visit: Visit) -> None:
    """`/reactivate [order]`: say what the same number would cost again, and ask."""
    meant = await _meant_again(visit)
    await visit.typing()
    await _ask_price(visit, meant, await ordering.reactivation_cost(visit.desk, meant))


async def rent_again(visit: Visit, meant: Order, agreed: int) -> None:
    """Rent the number of `meant` again for at most what its member has agreed to (IDR)."""
    await visit.typing()
    command = ordering.like(meant, visit.key, visit.member.user_id, visit.chat_id, visit.thread_id)
    try:
        await _tell_if_over(visit, await ordering.reactivate(visit.desk, meant, command, agreed))
    except PriceRose as error:
        await _ask_price(visit, meant, error.price)


async def _ask_price(visit: Visit, meant: Order, cost: int) -> None:
    agree = Press(
        f"Rent it for {format_amount(cost)}", "rent_again", {"order": meant.id, "most": cost}, keyboards.PRIMARY
    )
    await visit.answer(texts.reactivation(meant, cost), [[agree, Press("No", "keep", {"order": meant.id})]])


async def repeat(visit: Visit, meant: Order) -> None:
    """End `meant` if it lives, then order the like of it."""
    await visit.typing()
    if meant.state in (OrderState.RESERVED, OrderState.SENT, OrderState.UNKNOWN):
        raise NotNow(meant.id, meant.state)
    current = meant
    if meant.state is OrderState.WAITING:
        # Ending it would waste a code that has come since the last poll, and pay for another one.
        current = await tracking.refresh(visit.desk, meant, Priority.COMMAND)
        if current.state is OrderState.RECEIVED:
            await visit.answer(texts.code_just_came(current))
            return
    command = ordering.like(current, visit.key, visit.member.user_id, visit.chat_id, visit.thread_id)
    await _tell_if_over(visit, await ordering.again(visit.desk, current, command))


async def end(visit: Visit, meant: Order, *, confirmed: bool) -> None:
    """Cancel an order; what it brings back is told by the order's own message."""
    if not meant.state.watched:
        raise NotNow(meant.id, meant.state)
    # A code may have come since the last poll, and cancelling would waste it unasked.
    current = meant if confirmed else await tracking.refresh(visit.desk, meant, Priority.COMMAND)
    if current.state is OrderState.RECEIVED and visit.desk.sms.tells_money:
        # Here SMSCode takes no cancel after an SMS.
        await visit.answer(texts.finish_instead(current), [[keyboards.command("Done", "done", str(current.id))]])
        return
    if current.state is OrderState.RECEIVED and not confirmed:
        rows = [
            [
                Press("End it, nothing comes back", "cancel_late", {"order": current.id}, keyboards.DANGER),
                Press("Keep it", "keep", {"order": current.id}),
            ]
        ]
        await visit.answer(texts.confirm_late_cancel(current), rows)
        return
    ended = await tracking.cancel(visit.desk, current, visit.member.user_id)
    if not ended.state.ended:
        await visit.answer(texts.cancel_taken(ended))
    elif visit.chat_id != ended.chat_id:
        facts = {"refunded": ended.refunded, "assumed": int(ended.refund_assumed), "code": int(not ended.refunded)}
        await visit.answer(texts.ended(ended, facts))


async def _tell_if_over(visit: Visit, placed: Order) -> None:
    """A number and an unclear outcome come through the outbox; an order that is over already is told here."""
    if placed.state is OrderState.REFUSED:
        await visit.answer(texts.not_placed(placed))


async def _meant(visit: Visit) -> Order:
    number = parsing.parse_order_number(visit.text)
    if number is None and visit.replied is not None:
        shown = await tracking.by_message(visit.desk, visit.member, visit.chat_id, visit.replied.message_id)
        if shown is not None:
            return shown
    return await tracking.find(visit.desk, visit.member, number)


async def _meant_again(visit: Visit) -> Order:
    if parsing.parse_order_number(visit.text) is not None or visit.replied is not None:
        return await _meant(visit)
    newest = await visit.desk.database.read(lambda connection: orders.newest_of(connection, visit.member.user_id, 1))
    if not newest:
        raise NoSuchOrder("")
    return newest[0]
