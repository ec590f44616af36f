"""Commands that only look: `/start` `/whoami` `/balance` `/catalog` `/orders`."""

import sqlite3
from typing import Final

from bot.chat import keyboards, texts
from bot.chat.commands import browsing
from bot.chat.commands.browsing import Place
from bot.chat.keyboards import Row
from bot.chat.visit import Visit
from bot.domain.access import Role
from bot.domain.limits import LimitName
from bot.services import spending
from storage import members, orders, outbox
from storage.orders import Order

_MOST_WITH_BUTTONS: Final = 8


async def start(visit: Visit) -> None:
    """`/start`: say who they are here and what to do first; what could not be written to them comes now."""
    if visit.private:
        await visit.desk.transact(lambda connection: outbox.hurry_to(connection, visit.chat_id, visit.desk.now))
    state = await spending.statement(visit.desk, visit.member.user_id)
    limits = texts.your_limits(visit.member, state, visit.desk.settings.limits.approve_above)
    await visit.answer(texts.welcome(visit.member) + limits)


async def whoami(visit: Visit) -> None:
    """`/whoami`: role, id, and limits with what is used of them."""
    state = await spending.statement(visit.desk, visit.member.user_id)
    await visit.answer(texts.statement(visit.member, state, visit.desk.settings.limits.zone))


async def balance(visit: Visit) -> None:
    """`/balance`: what the account has, and what is left of the member's day."""
    visit.show_typing()
    amount = await visit.desk.sms.balance()
    state = await spending.statement(visit.desk, visit.member.user_id)
    daily = next(budget for budget in state.budgets if budget.name is LimitName.DAILY)
    await visit.answer(texts.balance(amount, daily))


async def catalog(visit: Visit) -> None:
    """`/catalog [platform] [country…]`: what there is, by pages, the most used first, offers by price."""
    platform, countries = await browsing.asked_for(visit, visit.text)
    for country in countries or ("",):
        await browsing.show(visit, Place(platform, country))


async def list_orders(visit: Visit) -> None:
    """`/orders`: the live ones with their buttons; an admin sees everybody's, and a group only its own."""
    everybody = visit.member.may(Role.ADMIN)
    owner = None if everybody else visit.member.user_id

    def look(connection: sqlite3.Connection) -> tuple[list[Order], dict[int, str]]:
        known = orders.open_of(connection, owner)
        return known, members.names_of(connection, {order.member_id for order in known})

    known, names = await visit.desk.database.read(look)
    live = known if visit.private else [order for order in known if order.chat_id == visit.chat_id]
    rows: list[Row] = []
    if visit.member.may(Role.OPERATOR):
        rows = [row for order in live[:_MOST_WITH_BUTTONS] for row in keyboards.for_listed(order)]
    zone = visit.desk.settings.limits.zone
    elsewhere = len(known) - len(live)
    await visit.answer(texts.orders_list(live, names, visit.member, zone, elsewhere=elsewhere), rows)
