"""Commands that only look: `/start` `/whoami` `/balance` `/catalog` `/orders`."""

from bot.chat import keyboards, parsing, texts
from bot.chat.keyboards import Press, Row
from bot.chat.visit import Visit
from bot.chat.wording import format_amount
from bot.domain.access import Role
from bot.domain.errors import UnknownName
from bot.domain.limits import LimitName
from bot.domain.orders import Offer
from bot.services import spending
from storage import members, orders


async def start(visit: Visit) -> None:
    """`/start`: say who they are here and what to do first."""
    state = await spending.statement(visit.desk, visit.member.user_id)
    limits = texts.your_limits(visit.member, state, visit.desk.settings.limits.approve_above)
    await visit.answer(texts.welcome(visit.member) + limits)


async def whoami(visit: Visit) -> None:
    """`/whoami`: role, id, and limits with what is used of them."""
    state = await spending.statement(visit.desk, visit.member.user_id)
    await visit.answer(texts.statement(visit.member, state, visit.desk.settings.limits.zone))


async def balance(visit: Visit) -> None:
    """`/balance`: what the account has, and what is left of the member's day."""
    await visit.typing()
    amount = await visit.desk.sms.balance()
    state = await spending.statement(visit.desk, visit.member.user_id)
    daily = next(budget for budget in state.budgets if budget.name is LimitName.DAILY)
    await visit.answer(texts.balance(amount, daily))


async def catalog(visit: Visit) -> None:
    """`/catalog [platform] [country…]`: what there is, cheapest first."""
    await visit.typing()
    platform, countries = await _asked_for(visit)
    if platform is None and not countries:
        await visit.answer(await _platforms(visit) + texts.catalog_hint())
    elif platform is None:
        for country in countries:
            rows = await visit.desk.catalog.offers(country, None)
            await visit.answer(texts.overview(country, _grouped(rows, "platform")))
    elif not countries:
        rows = await visit.desk.catalog.offers(None, platform)
        await visit.answer(texts.overview(platform, _grouped(rows, "country")))
    else:
        for country in countries:
            rows = await visit.desk.catalog.offers(country, platform)
            await visit.answer(texts.offers(platform, country, rows), _order_button(visit, platform, country, rows))


async def list_orders(visit: Visit) -> None:
    """`/orders`: the live ones with their buttons; an admin sees everybody's."""
    everybody = visit.member.may(Role.ADMIN)
    owner = None if everybody else visit.member.user_id
    live = await visit.desk.database.read(lambda connection: orders.open_of(connection, owner))
    people = await visit.desk.database.read(members.everybody)
    names = {person.user_id: person.name for person in people}
    rows: list[Row] = [
        [Press(f"Cancel #{order.id}", "cancel", {"order": order.id})]
        for order in live[:8]
        if order.state.watched and visit.member.may(Role.OPERATOR)
    ]
    zone = visit.desk.settings.limits.zone
    await visit.answer(texts.orders_list(live, names, visit.member.user_id, zone), rows)


async def _platforms(visit: Visit) -> str:
    """Every platform, with its lowest price where the contract lists all offers at once."""
    rows = await visit.desk.catalog.offers()
    if rows:
        return texts.overview("Platforms", _grouped(rows, "platform"))
    return texts.names("Platforms", await visit.desk.catalog.platforms())


async def _asked_for(visit: Visit) -> tuple[str | None, tuple[str, ...]]:
    """The platform and the countries that were typed; countries may stand alone."""
    typed, countries = parsing.parse_catalog(visit.text)
    shelf = visit.desk.catalog
    if typed is None:
        return None, ()
    try:
        platform = await shelf.platform(typed)
    except UnknownName as no_platform:
        return None, await _as_countries(visit, no_platform)
    return platform, tuple([await shelf.country(name) for name in countries])


async def _as_countries(visit: Visit, no_platform: UnknownName) -> tuple[str, ...]:
    """What was typed, read as countries alone; raises whichever error has something to suggest."""
    names = [name.strip() for name in parsing.clean(visit.text).split(",") if name.strip()]
    try:
        return tuple([await visit.desk.catalog.country(name) for name in names])
    except UnknownName as no_country:
        raise (no_country if no_country.suggestions and not no_platform.suggestions else no_platform) from None


def _grouped(offers: list[Offer], field: str) -> list[tuple[str, int, int]]:
    """Each name with its lowest price in stock and the number of its offers in stock, cheapest name first."""
    found: dict[str, list[int]] = {}
    for offer in offers:
        name = getattr(offer, field) or offer.name
        if offer.in_stock and name:
            found.setdefault(name, []).append(offer.price)
    return sorted(((name, min(prices), len(prices)) for name, prices in found.items()), key=lambda row: row[1])


def _order_button(visit: Visit, platform: str, country: str, offers: list[Offer]) -> list[Row]:
    cheapest = next((offer for offer in offers if offer.in_stock), None)
    if cheapest is None or not visit.member.may(Role.OPERATOR):
        return []
    label = f"Order the cheapest, now {format_amount(cheapest.price)}"
    return [[keyboards.command(label, "order", f"{platform} {country}", keyboards.PRIMARY)]]
