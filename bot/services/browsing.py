"""Walking through the catalog: platforms, countries, offers; what the team orders most comes first.

Everything is read from the catalog's cache at the moment it is shown: neither a price nor an id outlives its page.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from bot.domain.orders import Offer
from bot.services.catalog import fold
from bot.services.desk import Desk
from storage import orders


@dataclass(frozen=True, slots=True)
class Entry:
    """Something to choose: its name, what it costs at least (IDR), and how many offers there are in stock.

    `price` is None where the catalog lists names alone.
    """

    name: str
    price: int | None = None
    count: int = 0


@dataclass(frozen=True, slots=True)
class Kind:
    """Offers that differ in nothing a person could ask for, by the cheapest one of them in stock.

    `product` and `operator` are how to ask for it; both are empty where only the price tells offers apart.
    """

    offer: Offer
    product: str = ""
    operator: str = ""


async def platforms(desk: Desk, country: str | None = None) -> list[Entry]:
    """What the team may order numbers for, in one country or anywhere.

    Raises:
        SmsError: the catalog could not be read.
    """
    rows = await desk.catalog.offers(country, None)
    found = _grouped((offer.platform or offer.name, offer) for offer in rows)
    if not rows and country is None:
        found = [Entry(name) for name in await desk.catalog.platforms()]
    allowed = {fold(name) for name in desk.settings.ordering.platforms_allowed}
    shown = [entry for entry in found if not allowed or fold(entry.name) in allowed]
    return _most_used_first(shown, await desk.database.read(orders.popularity))


async def countries(desk: Desk, platform: str) -> list[Entry]:
    """Where numbers for a platform are in stock.

    Raises:
        SmsError: the catalog could not be read.
    """
    rows = await desk.catalog.offers(None, platform)
    found = _grouped((offer.country or offer.name, offer) for offer in rows)
    times = await desk.database.read(lambda connection: orders.popularity(connection, platform))
    return _most_used_first(found, times)


def kinds(desk: Desk, rows: Iterable[Offer]) -> list[Kind]:
    """What can be asked for by itself among offers that are sorted by price, cheapest first.

    Where SMSCode picks among the numbers behind an offer, only the mobile network can be chosen; else the product.
    """
    by_network = desk.sms.chooses_numbers
    found: dict[str, Kind] = {}
    for offer in rows:
        asked = offer.operator if by_network else offer.name
        kind = Kind(offer, operator=asked) if by_network else Kind(offer, product=asked)
        if offer.in_stock:
            found.setdefault(asked, kind)
    return list(found.values())


def _grouped(named: Iterable[tuple[str, Offer]]) -> list[Entry]:
    """Each name with its lowest price in stock and the number of its offers in stock."""
    found: dict[str, list[int]] = {}
    for name, offer in named:
        if offer.in_stock and name:
            found.setdefault(name, []).append(offer.price)
    return [Entry(name, min(prices), len(prices)) for name, prices in found.items()]


def _most_used_first(entries: list[Entry], times: Mapping[str, int]) -> list[Entry]:
    def place(entry: Entry) -> tuple[int, int, str]:
        return -times.get(entry.name, 0), entry.price or 0, entry.name.casefold()

    return sorted(entries, key=place)
