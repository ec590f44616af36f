"""Placing an order, at most once.

The way of a create: one transaction reserves the money and keeps the exact request, one marks it as sent, then the
request leaves, then one transaction settles it and puts the number into the outbox. Whatever breaks in between leaves
a state that says what can have happened.
"""

import logging
import sqlite3
from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace
from typing import Final

from bot.clock import set_within
from bot.domain.access import Role
from bot.domain.errors import (
    AccountBusy,
    ApiError,
    BalanceTooLow,
    NothingOnOffer,
    NotPermitted,
    NotSent,
    OrderingPaused,
    ProductGone,
    Refusal,
    SmsError,
    Unclear,
    UnknownName,
    WrongUsage,
)
from bot.domain.notices import NoticeKind
from bot.domain.orders import Offer, OrderState, RemoteOrder
from bot.services import evidence, tracking
from bot.services.catalog import fold
from bot.services.desk import Desk
from bot.sms.port import CreateRequest
from storage import audit, ledger, members, orders, outbox, settings
from storage.orders import Order

log = logging.getLogger(__name__)

_MOST_ATTEMPTS: Final = 8
"""Offers tried for one command; past that the catalog is too stale to go on guessing."""

_START_PATIENCE: Final = 20.0
"""Seconds a command waits for the look at the orders that lived when the desk started."""


@dataclass(frozen=True, slots=True)
class OrderCommand:
    """What a person asked for. `key` names the command for good: the same key never places a second order."""

    key: str
    member_id: int
    chat_id: int
    thread_id: int | None
    platform: str
    countries: tuple[str, ...] = ()
    max_price: int | None = None
    note: str = ""


@dataclass(slots=True)
class _Search:
    """The walk through the offers for one command, and what it met on its way."""

    command: OrderCommand
    platform: str
    countries: tuple[str, ...]
    sold_out: int = 0
    cheapest: int | None = None
    order_id: int | None = None
    attempt: int = 0
    tried: set[int | str] = field(default_factory=set)


async def place(desk: Desk, command: OrderCommand) -> Order:
    """Place the order that `command` asks for, once, and return it: `waiting`, or `unknown`.

    The cheapest offer in stock is tried first, then the next of the same catalog answer, then the next country.

    Raises:
        Refusal: a rule of the desk. SmsError: SMSCode said no, or could not be reached. Nothing was charged.
    """
    desk.placing.add(command.key)
    try:
        return await _place(desk, command)
    finally:
        desk.placing.discard(command.key)


async def _place(desk: Desk, command: OrderCommand) -> Order:
    earlier = await desk.database.read(lambda connection: orders.by_command(connection, command.key))
    if earlier is not None and (earlier.state is not OrderState.REFUSED or earlier.error == evidence.NOT_PLACED):
        return earlier
    await _reconciled(desk)
    search = await _begin(desk, command)
    if earlier is not None:
        search.order_id, search.attempt = earlier.id, earlier.attempt
    placed = await _try_offers(desk, search)
    if placed is None and search.sold_out:
        # All of a kept answer is gone: it may simply be old, and a fresh one may name other products.
        placed = await _try_offers(desk, search)
    if placed is not None:
        return placed
    raise NothingOnOffer(search.platform, search.countries, command.max_price, search.cheapest)


async def _try_offers(desk: Desk, search: _Search) -> Order | None:
    """Try what the catalog names, each product once in the whole search; None when all of it is sold out."""
    async for offer in _candidates(desk, search):
        order = await _reserve(desk, search, offer)
        try:
            return await _create(desk, search, order)
        except ProductGone:
            search.sold_out += 1
            desk.catalog.forget(offer.country, search.platform)
    return None


async def _reconciled(desk: Desk) -> None:
    """Wait until the orders that lived at the start were looked at: what they brought may decide about new ones."""
    if not await set_within(desk.reconciled, desk.clock, _START_PATIENCE):
        raise OrderingPaused("I have just started and am still looking at the orders that were live")


async def _begin(desk: Desk, command: OrderCommand) -> _Search:
    """Check what can be checked before any offer is known."""
    rules = desk.settings.ordering
    await desk.database.read(lambda connection: _check_may_order(connection, command.member_id))
    if rules.note_required and not command.note:
        raise WrongUsage("every order needs a note that says what it is for: add note=…")
    platform = await desk.catalog.platform(command.platform)
    if rules.platforms_allowed and fold(platform) not in map(fold, rules.platforms_allowed):
        raise WrongUsage(f"{platform} is not on this team's list: {', '.join(rules.platforms_allowed)}")
    countries = [await desk.catalog.country(name) for name in command.countries] + await _fallbacks(desk)
    if not countries:
        raise WrongUsage("name a country, for example: /order whatsapp indonesia")
    return _Search(command, platform, tuple(dict.fromkeys(countries)))


async def _fallbacks(desk: Desk) -> list[str]:
    """The countries that the configuration adds behind those asked for; one that is not on sale is passed over."""
    found: list[str] = []
    for name in desk.settings.ordering.countries:
        try:
            found.append(await desk.catalog.country(name))
        except UnknownName:
            log.warning("ordering.countries names %r, which SMSCode does not sell at the moment", name)
    return found


async def _candidates(desk: Desk, search: _Search) -> AsyncIterator[Offer]:
    """Offers worth trying, country by country, each country's cheapest first."""
    for country in search.countries:
        for offer in await desk.catalog.offers(country, search.platform):
            if not offer.in_stock or offer.product_id in search.tried:
                continue
            too_dear = search.command.max_price is not None and offer.price > search.command.max_price
            if too_dear or len(search.tried) >= _MOST_ATTEMPTS:
                # Whatever was cheaper has been tried and is gone, so this is the cheapest one left here.
                search.cheapest = min(offer.price, search.cheapest if search.cheapest is not None else offer.price)
                break
            search.tried.add(offer.product_id)
            yield replace(offer, country=offer.country or country)


async def _reserve(desk: Desk, search: _Search, offer: Offer) -> Order:
    """Keep the intent and hold its price, all limits in one transaction.

    Raises:
        LimitReached, OrderingPaused, NotPermitted: and nothing has changed.
    """
    command = search.command
    search.attempt += 1
    calendar, now = desk.calendar, desk.now
    intent = orders.Intent(
        attempt=search.attempt,
        country=offer.country,
        product=offer.name or search.platform,
        price=offer.price,
        request_key=f"{command.key}-{search.attempt}",
        request_body=desk.sms.create_body(offer),
    )
    request = orders.Request(
        command_key=command.key,
        member_id=command.member_id,
        chat_id=command.chat_id,
        thread_id=command.thread_id,
        platform=search.platform,
        countries=",".join(search.countries),
        max_price=command.max_price,
        note=command.note,
    )

    def body(connection: sqlite3.Connection) -> Order:
        _check_may_order(connection, command.member_id)
        if search.order_id is None:
            order_id = orders.insert(connection, request, calendar.window, intent, now)
        else:
            order_id = search.order_id
            orders.retry(connection, order_id, calendar.window, intent)
        caps = members.limits_of(connection, command.member_id, desk.settings.limits.defaults)
        ledger.hold(connection, order_id, offer.price, caps, calendar, now)
        audit.write(
            connection,
            now,
            command.member_id,
            "order.reserve",
            order_id=order_id,
            platform=search.platform,
            country=offer.country,
            price=offer.price,
            note=command.note,
        )
        return tracking.known(connection, order_id)

    order = await desk.transact(body)
    search.order_id = order.id
    return order


def _check_may_order(connection: sqlite3.Connection, member_id: int) -> None:
    """Whether this member may order now; looked at again in each transaction, for both may change meanwhile."""
    member = members.get(connection, member_id)
    if member is None or not member.may(Role.OPERATOR):
        raise NotPermitted(Role.OPERATOR)
    reason = settings.get(connection, settings.PAUSED)
    if reason is not None:
        raise OrderingPaused(reason)


async def _create(desk: Desk, search: _Search, order: Order) -> Order:
    """Send the create and write down what became of it.

    Raises:
        ApiError, NotSent, Refusal: it was not placed; its hold is released.
    """
    try:
        if desk.sms.creates_are_repeatable:
            return await _send(desk, search, order, balance_before=None)
        async with desk.creating:
            await _check_nothing_unclear(desk)
            balance = await _affordable(desk, order)
            placed = await _send(desk, search, order, balance)
            await _compare_charge(desk, placed, balance)
            return placed
    except (SmsError, Refusal) as error:
        await _refuse(desk, order, error)
        raise


async def _check_nothing_unclear(desk: Desk) -> None:
    """While one create is unclear, another would blur the only evidence there is: the balance."""
    for other in await desk.database.read(orders.undecided):
        if not other.needs_admin:
            raise AccountBusy(other.id, max(5, round(evidence.GRACE_SECONDS - evidence.age_seconds(desk, other))))


async def _affordable(desk: Desk, order: Order) -> int:
    """The balance (IDR) just before the order, known to pay it."""
    balance = await desk.sms.balance()
    if balance < order.price:
        error = BalanceTooLow("INSUFFICIENT_BALANCE", "The account cannot pay this order.")
        error.balance, error.price = balance, order.price
        raise error
    return balance


async def _send(desk: Desk, search: _Search, order: Order, balance_before: int | None) -> Order:
    def leave(connection: sqlite3.Connection) -> None:
        _check_may_order(connection, order.member_id)  # it may have waited long for its turn
        orders.mark_sent(connection, order.id, balance_before, desk.now)

    await desk.transact(leave)
    try:
        remote = await desk.sms.create(CreateRequest(order.request_body, order.request_key))
    except (ApiError, NotSent):
        raise
    except Unclear as error:
        return await evidence.leave_unclear(desk, order, str(error))
    except Exception as error:
        # A mistake of ours between the request and its record: it may have been paid, so it counts as unclear.
        log.exception("order %s: the create broke off", order.id)
        return await evidence.leave_unclear(desk, order, type(error).__name__)
    return await _confirm(desk, search, order, remote)


async def _compare_charge(desk: Desk, order: Order, before: int) -> None:
    """Where SMSCode does not say what an order cost, the balance does: it may be dearer now than the catalog said.

    A refund of another order hides a part of it; nothing but spending shows more of it than there is.
    """
    if order.remote_id is None:
        return
    try:
        fell = before - await desk.sms.balance()
    except SmsError as error:
        log.warning("order %s: its charge could not be compared: %s", order.id, error)
        return
    extra = fell - order.charged
    if extra <= 0:
        return

    def body(connection: sqlite3.Connection) -> None:
        ledger.overcharge(connection, order.id, extra, desk.now)
        key = f"{order.id}:overcharge"
        desk.alert(connection, key, what="overcharge", order=order.id, fell=fell, price=order.charged)
        audit.write(connection, desk.now, audit.DESK, "order.overcharge", order_id=order.id, extra=extra)

    await desk.insist(body)


async def _confirm(desk: Desk, search: _Search, order: Order, remote: RemoteOrder) -> Order:
    """Settle a placed order and hand its number to the courier, in one transaction."""

    def body(connection: sqlite3.Connection) -> Order:
        current, now = tracking.known(connection, order.id), desk.now
        if current.state is not OrderState.SENT:
            return current  # an earlier try was written down after all
        price = remote.amount if remote.amount is not None else order.price
        ledger.settle(connection, order.id, price, now)
        orders.mark_placed(connection, order.id, remote, now)
        facts: dict[str, str | int | None] = {"sold_out": search.sold_out}
        outbox.put(connection, tracking.notice(order, NoticeKind.NUMBER, "placed", facts), now)
        audit.write(
            connection, now, order.member_id, "order.place", order_id=order.id, remote_id=remote.remote_id, price=price
        )
        return tracking.known(connection, order.id)

    try:
        placed = await desk.insist(body)
    except sqlite3.IntegrityError as error:
        log.exception("order %s: what SMSCode answered contradicts the books", order.id)
        return await evidence.leave_unclear(desk, order, str(error))
    desk.signals.placed.set()
    desk.signals.watch.set()
    return placed


async def _refuse(desk: Desk, order: Order, error: Exception) -> None:
    """Release the hold of an order that was certainly not placed."""
    code = error.code if isinstance(error, ApiError) else type(error).__name__

    def body(connection: sqlite3.Connection) -> None:
        ledger.release(connection, order.id, f"refused: {code}", desk.now)
        orders.mark_refused(connection, order.id, code, desk.now)
        audit.write(connection, desk.now, order.member_id, "order.refuse", order_id=order.id, code=code)

    await desk.insist(body)


async def again(desk: Desk, order: Order, command: OrderCommand) -> Order:
    """End `order` if it lives, then place a fresh one like it under the key of `command`.

    Raises:
        NotCanceled: it could not be ended. Refusal, SmsError: as `cancel` and `place` do. Nothing new was placed.
    """
    placed = await desk.database.read(lambda connection: orders.by_command(connection, command.key))
    if placed is None and not order.state.ended:
        await tracking.cancel(desk, order, command.member_id)
    return await place(desk, command)


def like(order: Order, key: str, member_id: int, chat_id: int, thread_id: int | None) -> OrderCommand:
    """The command that would ask for the same as `order` did."""
    return OrderCommand(
        key=key,
        member_id=member_id,
        chat_id=chat_id,
        thread_id=thread_id,
        platform=order.platform,
        countries=tuple(order.countries.split(",")),
        max_price=order.max_price,
        note=order.note,
    )
