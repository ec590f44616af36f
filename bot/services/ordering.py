"""Placing an order, at most once.

The way of an order: names become offers, one transaction reserves the money and keeps the exact request, then the
create is sent and its outcome written down (`bot.services.creating`). Whatever breaks in between leaves a state that
says what can have happened.
"""

import asyncio
import logging
import sqlite3
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Final

from bot.clock import set_within
from bot.domain.errors import (
    AccountBusy,
    ApprovalNeeded,
    BalanceTooLow,
    LimitReached,
    NothingOnOffer,
    NotNow,
    NotOffered,
    OrderingPaused,
    PriceNotAgreed,
    PriceRose,
    ProductGone,
    Refusal,
    SmsError,
    UnknownName,
    WrongUsage,
)
from bot.domain.limits import LimitName
from bot.domain.orders import Offer, OrderState, Policy
from bot.services import approvals, creating, evidence, spending, tracking
from bot.services.catalog import fold
from bot.services.desk import Desk
from bot.sms.port import Terms
from storage import audit, ledger, members, orders
from storage.buttons import Facts
from storage.orders import Order

log = logging.getLogger(__name__)

_MOST_ATTEMPTS: Final = 8
"""Offers tried for one command; past that the catalog is too stale to go on guessing."""

_START_PATIENCE: Final = 20.0
"""Seconds a command waits for the look at the orders that lived when the desk started."""


@dataclass(frozen=True, slots=True)
class OrderCommand:
    """What a person asked for. `key` names the command for good: the same key never places a second order.

    `product` narrows it to offers of that name; with `wish` it and `operator` are tried first, and others stand in.
    `seen` is the price (IDR) on the button that was pressed: then no other country stands in. `agreed` is the price
    that the person has said yes to; anything dearer than they could expect is asked about first.
    """

    key: str
    member_id: int
    chat_id: int
    thread_id: int | None
    platform: str
    countries: tuple[str, ...] = ()
    max_price: int | None = None
    note: str = ""
    operator: str = ""
    policy: Policy | None = None
    product: str = ""
    seen: int | None = None
    agreed: int | None = None
    approval_id: int | None = None
    wish: bool = False

    @property
    def chosen(self) -> str:
        """What was chosen among the offers by its button, now or once before; what was typed is no such choice."""
        by_button = self.seen is not None and self.approval_id is None
        return self.product or (self.operator if by_button or self.wish else "")


@dataclass(slots=True)
class _Search:
    """The walk through the offers for one command, and what it met on its way.

    `tried` are the bodies sent: what would be asked for in the same words needs no second asking.
    """

    command: OrderCommand
    platform: str
    countries: tuple[str, ...]
    policy: Policy
    sold_out: int = 0
    cheapest: int | None = None
    order_id: int | None = None
    attempt: int = 0
    tried: set[str] = field(default_factory=set)


@dataclass(frozen=True, slots=True)
class _Bid:
    """One thing to ask SMSCode for: where the number is from, what it may cost (IDR), and the exact body.

    `instead` is what was wished for, where this one stands in for it.
    """

    country: str
    product: str
    price: int
    body: str
    instead: str = ""


async def place(desk: Desk, command: OrderCommand) -> Order:
    """Place the order that `command` asks for, once, and return it: `waiting`, or `unknown`.

    The cheapest offer in stock is tried first, then the next of the same catalog answer, then the next country.

    Raises:
        Refusal: a rule of the desk. SmsError: SMSCode said no, or could not be reached. Nothing was charged.
    """
    with _under_way(desk, command):
        return await _place(desk, command)


@contextmanager
def _under_way(desk: Desk, command: OrderCommand) -> Iterator[None]:
    """While a command places its order nobody may take that order for left over."""
    desk.placing.add(command.key)
    try:
        yield
    finally:
        desk.placing.discard(command.key)


async def _place(desk: Desk, command: OrderCommand) -> Order:
    earlier = await desk.database.read(lambda connection: orders.by_command(connection, command.key))
    if earlier is not None and _is_over(earlier):
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


def _is_over(earlier: Order) -> bool:
    """Whether a command that has led to this order is done with; one that only broke off may go on."""
    return earlier.state is not OrderState.REFUSED or earlier.error == creating.NOT_PLACED


async def _try_offers(desk: Desk, search: _Search) -> Order | None:
    """Try what the catalog names, each bid once in the whole search; None when all of it is sold out."""
    async for bid in _bids(desk, search):
        _check_agreed(desk, search, bid)
        order = await _reserve(desk, search, bid)
        try:
            return await _create(desk, order, {"sold_out": search.sold_out, "instead": bid.instead})
        except ProductGone:
            search.sold_out += 1
            desk.catalog.forget(bid.country, search.platform)
    return None


def _check_agreed(desk: Desk, search: _Search, bid: _Bid) -> None:
    """Nobody pays more than they saw, or more than `limits.confirm_above`, without having said yes to it.

    What somebody else has approved was asked for by its member; its price is looked at where the money is held.

    Raises:
        PriceNotAgreed: and nothing has changed.
    """
    command, limit = search.command, desk.settings.limits.confirm_above
    if command.approval_id is not None:
        return
    expected = limit if command.seen is None else min(limit, command.seen)
    if bid.price > max(expected, command.agreed or expected):
        raise PriceNotAgreed(search.platform, bid.country, bid.price, limit, command.seen)


async def _reconciled(desk: Desk) -> None:
    """Wait until the books agree and the orders that lived at the start were looked at: both may decide about new ones.

    Raises:
        OrderingPaused: that takes too long. SmsError: it has not even begun, for SMSCode does not answer.
    """
    await desk.sms.settle_contract()
    if not await set_within(desk.compared, desk.clock, _START_PATIENCE):
        raise OrderingPaused("I have just started and go through my books first")
    if not await set_within(desk.reconciled, desk.clock, _START_PATIENCE):
        raise OrderingPaused("I have just started and look at the live orders first")


async def _begin(desk: Desk, command: OrderCommand) -> _Search:
    """Check what can be checked before any offer is known."""
    rules = desk.settings.ordering
    await desk.database.read(lambda connection: creating.check_may_order(desk, connection, command.member_id))
    if rules.note_required and not command.note:
        raise WrongUsage("every order needs a note that says what it is for: add note=…")
    # At once: where the names are not known yet, each is a round trip.
    platform, countries = await asyncio.gather(
        desk.catalog.platform(command.platform), _countries(desk, command.countries)
    )
    if rules.platforms_allowed and fold(platform) not in map(fold, rules.platforms_allowed):
        raise WrongUsage(f"{platform} is not on this team's list: {', '.join(rules.platforms_allowed)}")
    if command.seen is None:
        countries += await _fallbacks(desk)
    if not countries:
        raise WrongUsage("name a country, for example: /order whatsapp indonesia")
    if command.policy is Policy.BEST_SUCCESS and not desk.sms.chooses_numbers:
        raise NotOffered("choose a number by its success", desk.sms.contract)
    policy = command.policy or Policy(rules.policy)
    return _Search(command, platform, tuple(dict.fromkeys(countries)), policy)


async def _countries(desk: Desk, typed: Sequence[str]) -> list[str]:
    return [await desk.catalog.country(name) for name in typed]


async def _fallbacks(desk: Desk) -> list[str]:
    """The countries that the configuration adds behind those asked for; one that is not on sale is passed over."""
    found: list[str] = []
    for name in desk.settings.ordering.countries:
        try:
            found.append(await desk.catalog.country(name))
        except UnknownName:
            log.warning("ordering.countries names %r, which SMSCode does not sell at the moment", name)
    return found


async def _bids(desk: Desk, search: _Search) -> AsyncIterator[_Bid]:
    """What is worth asking for: a wish first, then whatever else will do."""
    command = search.command
    product, operator = command.product, command.operator
    if command.wish:
        async for bid in _bids_in(desk, search, await _wished(desk, search), product):
            yield bid
        product = operator = ""
    async for bid in _bids_in(desk, search, await _places(desk, search, operator), product):
        yield replace(bid, instead=command.chosen) if command.wish else bid


async def _wished(desk: Desk, search: _Search) -> list[tuple[str, str | None]]:
    """The one country in which something was chosen by its button; nothing if its network is not there any more."""
    try:
        places = await _places(desk, search, search.command.operator)
    except UnknownName:
        return []
    return [place for place in places if place[0] == search.countries[0]]


async def _bids_in(
    desk: Desk, search: _Search, places: list[tuple[str, str | None]], product: str
) -> AsyncIterator[_Bid]:
    """Country by country, each country's cheapest first."""
    for country, operator in places:
        rows = await desk.catalog.offers(country, search.platform, operator)
        for offer in _of_product(rows, product):
            terms = _terms(search, offer, rows, operator)
            body = desk.sms.create_body(offer, terms)
            bid = _Bid(offer.country or country, offer.name or search.platform, terms.most, body)
            if not offer.in_stock or bid.body in search.tried:
                continue
            too_dear = search.command.max_price is not None and offer.price > search.command.max_price
            if too_dear or len(search.tried) >= _MOST_ATTEMPTS:
                # Whatever was cheaper has been tried and is gone, so this is the cheapest one left here.
                search.cheapest = min(offer.price, search.cheapest if search.cheapest is not None else offer.price)
                break
            search.tried.add(bid.body)
            yield bid


def _of_product(rows: list[Offer], product: str) -> list[Offer]:
    return [offer for offer in rows if product in ("", offer.name)]


async def _places(desk: Desk, search: _Search, operator: str) -> list[tuple[str, str | None]]:
    """Each country with the mobile network that is asked for; those that do not have it are passed over.

    Raises:
        UnknownName: none has it.
    """
    found: list[tuple[str, str | None]] = []
    unknown: UnknownName | None = None
    for country in search.countries:
        try:
            found.append((country, await desk.catalog.operator(operator, country, search.platform)))
        except UnknownName as error:
            unknown = unknown or error
    if not found and unknown is not None:
        raise unknown
    return found


def _terms(search: _Search, offer: Offer, rows: list[Offer], operator: str | None) -> Terms:
    most = offer.price if search.policy is Policy.CHEAPEST else _dearest_alike(search, offer, rows)
    return Terms(most, search.policy, any_operator=operator is None)


def _dearest_alike(search: _Search, offer: Offer, rows: list[Offer]) -> int:
    """What the best number behind an offer may cost: SMSCode chooses among all that share its catalog id."""
    alike = [row.price for row in rows if offer.catalog_id is not None and row.catalog_id == offer.catalog_id]
    within = [price for price in alike if search.command.max_price is None or price <= search.command.max_price]
    return max(within, default=offer.price)


async def _reserve(desk: Desk, search: _Search, bid: _Bid) -> Order:
    """Keep the intent of one bid of a search and hold its price.

    Raises:
        Refusal: a limit or a rule of the desk; nothing has changed. AwaitsApproval: somebody else was asked for their
            yes; nothing is held.
    """
    command = search.command
    search.attempt += 1
    request = orders.Request(
        command_key=command.key,
        member_id=command.member_id,
        chat_id=command.chat_id,
        thread_id=command.thread_id,
        platform=search.platform,
        countries=orders.listed(search.countries),
        max_price=command.max_price,
        note=command.note,
        policy=search.policy,
        operator=command.operator,
        approval_id=command.approval_id,
        chosen=command.chosen,
    )
    try:
        order = await _hold(desk, request, bid, search.attempt, search.order_id)
    except ApprovalNeeded as needed:
        # A yes is to what it was asked for: to the product that was chosen, or to whatever stands in for it.
        product = "" if bid.instead else command.product
        raise await approvals.ask(desk, request, bid.country, needed, product) from needed
    search.order_id = order.id
    return order


async def _hold(desk: Desk, request: orders.Request, bid: _Bid, attempt: int, order_id: int | None) -> Order:
    """Keep the intent and hold its price, all limits in one transaction; `order_id` names a refused earlier attempt.

    Raises:
        LimitReached, OrderingPaused, OrderingBanned, NotPermitted, ApprovalNeeded: and nothing has changed.
    """
    calendar, now = desk.calendar, desk.now
    intent = orders.Intent(
        attempt=attempt,
        country=bid.country,
        product=bid.product,
        price=bid.price,
        request_key=f"{request.command_key}-{attempt}",
        request_body=bid.body,
    )

    def body(connection: sqlite3.Connection) -> Order:
        creating.check_may_order(desk, connection, request.member_id)
        if order_id is None:
            number = orders.insert(connection, request, calendar.window, intent, now)
        else:
            number = order_id
            orders.retry(connection, number, calendar.window, intent)
        caps = members.limits_of(connection, request.member_id, desk.settings.limits.defaults, now)
        ledger.hold(connection, number, bid.price, caps, calendar, now)
        approvals.check(desk, connection, request, bid.price)
        audit.write(
            connection,
            now,
            request.member_id,
            "order.reserve",
            order_id=number,
            platform=request.platform,
            country=bid.country,
            price=bid.price,
            note=request.note,
        )
        return tracking.known(connection, number)

    return await desk.transact(body)


async def _create(desk: Desk, order: Order, why: Facts) -> Order:
    """Have the create of a reserved order sent, in the way that the contract demands; `why` it became this offer.

    Raises:
        ApiError, NotSent, Refusal: it was not placed; its hold is released.
    """
    try:
        if desk.sms.creates_are_repeatable:
            return await creating.send(desk, order, why)
        async with desk.creating:
            await _check_nothing_unclear(desk)
            balance = await _affordable(desk, order)
            placed = await creating.send(desk, order, why, balance_before=balance)
            await _compare_charge(desk, placed, balance)
            return placed
    except (SmsError, Refusal) as error:
        await creating.refuse(desk, order, error)
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
        spending.warn(desk, connection, order)
        key = f"{order.id}:overcharge"
        desk.alert(connection, key, what="overcharge", order=order.id, fell=fell, price=order.charged)
        audit.write(connection, desk.now, audit.DESK, "order.overcharge", order_id=order.id, extra=extra)

    await desk.insist(body)


async def again(desk: Desk, order: Order, command: OrderCommand) -> Order:
    """End `order` if it lives, then place a fresh one like it under the key of `command`.

    Raises:
        NotCanceled: it could not be ended. Refusal, SmsError: as `cancel` and `place` do. Nothing new was placed.
    """
    placed = await desk.database.read(lambda connection: orders.by_command(connection, command.key))
    if placed is None and not order.state.ended:
        await _check_room(desk, order, command.member_id)
        await _make_way(desk, order, command.member_id)
    return await place(desk, command)


async def _check_room(desk: Desk, order: Order, member_id: int) -> None:
    """Whether another order at the price of this one would be let through, before this one is given up for it.

    Raises:
        LimitReached, OrderingPaused, OrderingBanned, NotPermitted: and nothing has changed.
    """
    await desk.database.read(lambda connection: creating.check_may_order(desk, connection, member_id))
    state = await spending.statement(desk, member_id)
    if order.price > state.per_order:
        raise LimitReached(LimitName.PER_ORDER, state.per_order, state.per_order, order.price)
    comes_back = order.state is OrderState.WAITING and order.window == desk.calendar.window
    back = order.charged - order.refunded if comes_back else 0
    for budget in state.budgets:
        if budget.left + back < order.price:
            raise LimitReached(budget.name, budget.cap, budget.left, order.price, budget.resets_at)


async def _make_way(desk: Desk, order: Order, member_id: int) -> None:
    """End an order before the next one; one with a code is paid for anyway, so failing to finish it is no hindrance."""
    if order.state is OrderState.WAITING or not desk.sms.tells_money:
        await tracking.cancel(desk, order, member_id)
        return
    try:
        await tracking.finish(desk, order, member_id)
    except SmsError as error:
        log.info("order %s is not finished: %s", order.id, error)


def like(order: Order, key: str, member_id: int, chat_id: int, thread_id: int | None) -> OrderCommand:
    """The command that would ask for the same as `order` did; what was chosen there by its button is a wish here."""
    return OrderCommand(
        key=key,
        member_id=member_id,
        chat_id=chat_id,
        thread_id=thread_id,
        platform=order.platform,
        countries=orders.countries_of(order.countries),
        max_price=order.max_price,
        note=order.note,
        operator=order.operator,
        policy=order.policy,
        product="" if order.chosen == order.operator else order.chosen,
        agreed=order.price,
        wish=bool(order.chosen),
    )


async def reactivation_cost(desk: Desk, order: Order) -> int:
    """What the number of an ended order would cost again now, in IDR; nothing is ordered.

    Raises:
        NotNow: SMSCode does not offer that number again. NotOffered, SmsError: it cannot be asked.
    """
    if not order.state.ended or order.remote_id is None:
        raise NotNow(order.id, order.state)
    return await desk.sms.reactivation_cost(order.remote_id)


async def reactivate(desk: Desk, order: Order, command: OrderCommand, agreed: int) -> Order:
    """Rent the number of an ended order again, once for the key of `command`, for at most `agreed` IDR.

    Raises:
        PriceRose: it costs more by now. Refusal, SmsError: as `place` does. Nothing was charged.
    """
    with _under_way(desk, command):
        return await _reactivate(desk, order, command, agreed)


async def _reactivate(desk: Desk, order: Order, command: OrderCommand, agreed: int) -> Order:
    earlier = await desk.database.read(lambda connection: orders.by_command(connection, command.key))
    if earlier is not None and _is_over(earlier):
        return earlier
    await _reconciled(desk)
    cost = await reactivation_cost(desk, order)
    if cost > agreed:
        raise PriceRose(agreed, cost)
    request = orders.Request(
        command_key=command.key,
        member_id=command.member_id,
        chat_id=command.chat_id,
        thread_id=command.thread_id,
        platform=order.platform,
        countries=order.country,
        max_price=agreed,
        note=command.note,
        reactivates=order.id,
        approval_id=command.approval_id,
    )
    bid = _Bid(order.country, order.product, cost, desk.sms.reactivate_body(order.remote_id or "", cost))
    attempt = earlier.attempt + 1 if earlier else 1
    try:
        reserved = await _hold(desk, request, bid, attempt, earlier.id if earlier else None)
    except ApprovalNeeded as needed:
        raise await approvals.ask(desk, request, bid.country, needed) from needed
    return await _create(desk, reserved, {})
