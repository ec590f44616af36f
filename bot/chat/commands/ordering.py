"""Commands that spend or end: `/order` `/cancel` `/again` `/done` `/resend` `/reactivate`."""

from collections.abc import Awaitable, Callable
from dataclasses import replace

from bot.chat import keyboards, parsing, texts
from bot.chat.commands import browsing
from bot.chat.commands.browsing import Place
from bot.chat.keyboards import Press
from bot.chat.parsing import OrderArguments
from bot.chat.visit import AskedFirst, Visit
from bot.chat.wording import format_amount
from bot.domain.errors import NoSuchOrder, NotNow, PriceNotAgreed, PriceRose, UnknownName, WrongUsage
from bot.domain.orders import OrderState, Policy
from bot.services import ordering, tracking
from bot.services.ordering import OrderCommand
from bot.sms.port import Priority
from storage import orders
from storage.orders import Order


async def order(visit: Visit) -> None:
    """`/order platform [country,country…] [max=PRICE] [note=TEXT]`: the number comes through the outbox.

    What is not said is chosen by buttons.
    """
    arguments = parsing.parse_order(visit.text)
    rules = visit.desk.settings.ordering
    if not arguments.platform:
        if rules.note_required and not arguments.note:
            raise WrongUsage("every order needs a note that says what it is for; begin with: /order note=login test")
        await browsing.show(visit, Place(note=arguments.note))
        return
    try:
        if arguments == OrderArguments(arguments.platform, (), None, arguments.note) and not rules.countries:
            platform = await visit.desk.catalog.platform(arguments.platform)
            await browsing.show(visit, Place(platform, note=arguments.note))
            return
        await _place(visit, _command(visit, arguments))
    except UnknownName as error:
        if not await _meant_country(visit, arguments, error):
            raise


def _command(visit: Visit, arguments: OrderArguments) -> OrderCommand:
    return OrderCommand(
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
        agreed=arguments.max_price,
    )


async def _meant_country(visit: Visit, arguments: OrderArguments, error: UnknownName) -> bool:
    """Whether a country was named without a platform, which leads to what it has.

    Raises:
        WrongUsage: with the words put right, where it is plain what was meant.
    """
    if error.kind == "platform" and error.typed == arguments.platform:
        country = await _known(visit.desk.catalog.country, arguments.platform)
        if country and not arguments.countries:
            await browsing.show(visit, Place(country=country, note=arguments.note))
            return True
        platform = await _known(visit.desk.catalog.platform, " ".join(arguments.countries))
        if country and platform:
            swapped = visit.text.replace(error.typed, "\0", 1).replace(arguments.countries[0], error.typed, 1)
            raise WrongUsage("the platform comes first", swapped.replace("\0", arguments.countries[0], 1))
    if error.kind == "country":
        await _check_countries(visit, error.typed)
    return False


async def _check_countries(visit: Visit, typed: str) -> None:
    """What was typed as one country may be several, or one with a price behind it."""
    words = typed.split()
    country = await _known(visit.desk.catalog.country, " ".join(words[:-1]))
    if country and words[-1].replace(".", "").isdecimal():
        instead = f"{' '.join(words[:-1])} max={words[-1]}"
        raise WrongUsage("the highest price is written max=5000", visit.text.replace(typed, instead, 1))
    if len(words) > 1 and all([await _known(visit.desk.catalog.country, word) for word in words]):
        raise WrongUsage("put commas between countries", visit.text.replace(typed, ",".join(words), 1))


async def _known(find: Callable[[str], Awaitable[str]], typed: str) -> str | None:
    try:
        return await find(typed) if typed else None
    except UnknownName:
        return None


async def buy(visit: Visit) -> None:
    """A press on an offer: order it for no more than its button showed."""
    facts = visit.facts
    command = replace(_command_of(visit), seen=int(facts.get("seen") or 0), policy=Policy.CHEAPEST)
    if visit.desk.settings.ordering.note_required and not command.note:
        raise WrongUsage("every order needs a note that says what it is for; begin with: /order note=login test")
    await _place(visit, command)
    await visit.sender.strip(visit.chat_id, visit.message_id)


async def agree(visit: Visit) -> None:
    """A yes to the price that was asked about."""
    await visit.sender.strip(visit.chat_id, visit.message_id)
    await _place(visit, _command_of(visit))


def _command_of(visit: Visit) -> OrderCommand:
    """The order that a button stands for, as the command of whoever presses it."""
    facts = visit.facts
    text = {name: str(facts.get(name) or "") for name in ("platform", "country", "note", "operator", "product")}
    amounts = {name: _whole(facts.get(name)) for name in ("max_price", "seen", "agreed")}
    policy = facts.get("policy")
    return OrderCommand(
        key=visit.key,
        member_id=visit.member.user_id,
        chat_id=visit.chat_id,
        thread_id=visit.thread_id,
        platform=text["platform"],
        countries=orders.countries_of(text["country"]),
        note=text["note"],
        operator=text["operator"],
        product=text["product"],
        policy=Policy(str(policy)) if policy else None,
        wish=bool(facts.get("wish")),
        **amounts,
    )


def _facts_of(command: OrderCommand) -> dict[str, str | int | None]:
    return {
        "platform": command.platform,
        "country": orders.listed(command.countries),
        "note": command.note,
        "operator": command.operator,
        "product": command.product,
        "policy": command.policy,
        "max_price": command.max_price,
        "seen": command.seen,
        "wish": int(command.wish),
    }


def _whole(fact: str | int | None) -> int | None:
    return fact if isinstance(fact, int) else None


async def _place(visit: Visit, command: OrderCommand) -> None:
    await _unless_too_dear(visit, command, lambda: ordering.place(visit.desk, command))


async def _unless_too_dear(visit: Visit, command: OrderCommand, attempt: Callable[[], Awaitable[Order]]) -> None:
    """Have an order placed by `attempt`.

    Raises:
        AskedFirst: it costs more than its person could expect, so they are asked.
    """
    visit.show_typing()
    try:
        await _tell_if_over(visit, await attempt())
    except PriceNotAgreed as error:
        facts = _facts_of(command) | {"agreed": error.price}
        yes = Press(f"Order it for {format_amount(error.price)}", "agree", facts, keyboards.PRIMARY)
        html = texts.failure(error, visit.desk.settings.limits.zone)
        await visit.answer(html, [[yes, Press("No", "leave_it")]])
        raise AskedFirst from error


async def cancel(visit: Visit) -> None:
    """`/cancel [order]`: end it; asks first where nothing would come back."""
    meant = await _meant(visit)
    visit.show_typing()
    await end(visit, meant, confirmed=False)


async def again(visit: Visit) -> None:
    """`/again [order]`: end it and order a fresh number like it; without a number, the newest order."""
    await repeat(visit, await _meant_again(visit))


async def done(visit: Visit) -> None:
    """`/done [order]`: say that the code was all that was needed."""
    meant = await _meant(visit)
    visit.show_typing()
    await visit.answer(texts.finished(await tracking.finish(visit.desk, meant, visit.member.user_id)))


async def resend(visit: Visit) -> None:
    """`/resend [order]`: wait for one more SMS on the same number."""
    meant = await _meant(visit)
    visit.show_typing()
    await visit.answer(texts.resending(await tracking.resend(visit.desk, meant, visit.member.user_id)))


async def reactivate(visit: Visit) -> None:
    """`/reactivate [order]`: say what the same number would cost again, and ask."""
    meant = await _meant_again(visit)
    visit.show_typing()
    await _ask_price(visit, meant, await ordering.reactivation_cost(visit.desk, meant))


async def rent_again(visit: Visit, meant: Order, agreed: int) -> None:
    """Rent the number of `meant` again for at most what its member has agreed to (IDR)."""
    visit.show_typing()
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
    visit.show_typing()
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
    await _unless_too_dear(visit, command, lambda: ordering.again(visit.desk, current, command))


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
