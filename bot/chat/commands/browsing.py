"""Choosing by buttons: platform, country, offer. A page is edited in place; what is typed in reply to it narrows it."""

from dataclasses import dataclass, replace
from typing import Final, Self

from bot.chat import keyboards, parsing, texts
from bot.chat.keyboards import Press, Row
from bot.chat.visit import Visit
from bot.chat.wording import country_title, format_amount
from bot.domain.access import Role
from bot.domain.errors import UnknownName
from bot.services import browsing
from bot.services.browsing import Entry, Kind
from bot.services.catalog import fold
from storage.buttons import Facts

_PER_PAGE: Final = 10
_PER_ROW: Final = 2


@dataclass(frozen=True, slots=True)
class Place:
    """Where in the catalog somebody stands, and the note that goes with what they will order."""

    platform: str = ""
    country: str = ""
    note: str = ""
    page: int = 0

    @classmethod
    def of(cls, facts: Facts) -> Self:
        """The place that a button leads to."""
        names = {name: str(facts.get(name) or "") for name in ("platform", "country", "note")}
        return cls(**names, page=int(facts.get("page") or 0))

    @property
    def around(self) -> Facts:
        """Where a name typed in reply to this place is looked for: a platform's countries, or a country's platforms."""
        return {"in_platform": self.platform, "in_country": "" if self.platform else self.country}

    def to(self, there: "Place", label: str) -> Press:
        """A button that leads from here to there."""
        where = {"platform": there.platform, "country": there.country, "note": there.note}
        return Press(label, keyboards.BROWSE, {**where, "page": there.page, **self.around})


@dataclass(frozen=True, slots=True)
class _Page:
    """What one message shows: its text and its buttons."""

    html: str
    rows: list[Row]


async def browse(visit: Visit) -> None:
    """A press that leads to another place: its message becomes that page."""
    page = await _page(visit, Place.of(visit.facts))
    await visit.replace(page.html, page.rows)


async def show(visit: Visit, place: Place) -> None:
    """Open a place in a message of its own."""
    visit.show_typing()
    page = await _page(visit, place)
    await visit.answer(page.html, page.rows)


async def search(visit: Visit) -> None:
    """What was typed in reply to a page, or by itself: a platform, a country, or both.

    Raises:
        UnknownName: with the nearest names.
    """
    facts, shelf = visit.facts, visit.desk.catalog
    typed, note = parsing.clean(visit.text), str(facts.get("note") or "")
    platform, country = str(facts.get("in_platform") or ""), str(facts.get("in_country") or "")
    nearest: UnknownName | None = None
    try:
        if platform:
            await show(visit, Place(platform, await shelf.country(typed), note))
            return
        if country:
            await show(visit, Place(await shelf.platform(typed), country, note))
            return
    except UnknownName as error:
        nearest = error
    try:
        platform, countries = await asked_for(visit, typed)
    except UnknownName as error:
        raise nearest if nearest is not None and nearest.suggestions else error from None
    for country in countries or ("",):
        await show(visit, Place(platform, country, note))


async def asked_for(visit: Visit, text: str) -> tuple[str, tuple[str, ...]]:
    """The platform and the countries that a text names; either may be missing.

    Raises:
        UnknownName: with the nearest names.
    """
    typed, countries = parsing.parse_catalog(text)
    shelf = visit.desk.catalog
    if not typed:
        return "", ()
    try:
        platform = await shelf.platform(typed)
    except UnknownName as no_platform:
        return "", await _as_countries(visit, text, no_platform)
    return platform, tuple([await shelf.country(name) for name in countries])


async def _as_countries(visit: Visit, text: str, no_platform: UnknownName) -> tuple[str, ...]:
    """What was typed, read as countries alone; raises whichever error has something to suggest."""
    names = [name.strip() for name in parsing.clean(text).split(",") if name.strip()]
    try:
        return tuple([await visit.desk.catalog.country(name) for name in names])
    except UnknownName as no_country:
        raise (no_country if no_country.suggestions and not no_platform.suggestions else no_platform) from None


async def _page(visit: Visit, place: Place) -> _Page:
    if place.platform and place.country:
        return await _offers(visit, place)
    if place.platform:
        found = await browsing.countries(visit.desk, place.platform)
        to = [place.to(replace(place, country=one.name, page=0), country_title(one.name)) for one in found]
        return _shelf(place, texts.escape(place.platform), [_titled(entry) for entry in found], to)
    found = await browsing.platforms(visit.desk, place.country or None)
    to = [place.to(replace(place, platform=one.name, page=0), one.name) for one in found]
    title = texts.escape(country_title(place.country)) if place.country else "Platforms"
    return _shelf(place, title, found, to)


def _titled(entry: Entry) -> Entry:
    return replace(entry, name=country_title(entry.name))


def _shelf(place: Place, title: str, entries: list[Entry], buttons: list[Press]) -> _Page:
    """One page of names: each with a line and a button."""
    page, pages = _bounded(place.page, len(entries))
    here = slice(page * _PER_PAGE, (page + 1) * _PER_PAGE)
    rows = [(entry.name, entry.price, entry.count) for entry in entries[here]]
    html = texts.shelf(title, rows, page + 1, pages)
    return _Page(html, [*_in_rows(buttons[here]), *_turning(replace(place, page=page), pages)])


async def _offers(visit: Visit, place: Place) -> _Page:
    found = await visit.desk.catalog.offers(place.country, place.platform)
    page, pages = _bounded(place.page, len(found))
    here = found[page * _PER_PAGE : (page + 1) * _PER_PAGE]
    html = texts.offers(place.platform, place.country, here, page + 1, pages)
    rows = _turning(replace(place, page=page), pages)
    if visit.member.may(Role.OPERATOR):
        kinds = browsing.kinds(visit.desk, found)
        shown = [kind for kind in kinds[1:] if kind.offer in here]
        rows = [*_cheapest(place, kinds[:1]), *_in_rows([_buy(place, kind) for kind in shown]), *rows]
    return _Page(html, rows)


def _cheapest(place: Place, kinds: list[Kind]) -> list[Row]:
    """The way to a number that is tried first; it asks for no product by name, so that the next one may stand in."""
    return [
        [_order(place, f"Order the cheapest, now {format_amount(kind.offer.price)}", Kind(kind.offer))]
        for kind in kinds
    ]


def _buy(place: Place, kind: Kind) -> Press:
    name = _without(kind.product, place.platform, place.country) or kind.product or kind.operator
    return _order(place, f"{name} · {format_amount(kind.offer.price)}", kind)


def _without(product: str, *said: str) -> str:
    """A product's name without the words that the page says already: “WhatsApp Indonesia Premium” is “Premium” here."""
    known = {fold(word) for name in said for word in name.replace("-", " ").split()}
    return " ".join(word for word in product.split() if fold(word) not in known)


def _order(place: Place, label: str, kind: Kind) -> Press:
    facts: Facts = {
        "platform": place.platform,
        "country": place.country,
        "note": place.note,
        "product": kind.product,
        "operator": kind.operator,
        "seen": kind.offer.price,
        **place.around,
    }
    return Press(label, keyboards.BUY, facts, keyboards.PRIMARY if not (kind.product or kind.operator) else None)


def _bounded(page: int, total: int) -> tuple[int, int]:
    """The page that exists, and how many do: a list may have become shorter since its buttons were made."""
    pages = max(1, -(-total // _PER_PAGE))
    return min(max(page, 0), pages - 1), pages


def _in_rows(buttons: list[Press]) -> list[Row]:
    return [buttons[first : first + _PER_ROW] for first in range(0, len(buttons), _PER_ROW)]


def _turning(place: Place, pages: int) -> list[Row]:
    """Back to where this was chosen from, and to the pages beside this one."""
    row: list[Press] = []
    if place.platform:
        up = replace(place, country="", page=0) if place.country else Place(note=place.note)
        row.append(place.to(up, "‹ Countries" if place.country else "‹ Platforms"))
    elif place.country:
        row.append(place.to(Place(note=place.note), "‹ Platforms"))
    if place.page > 0:
        row.append(place.to(replace(place, page=place.page - 1), f"◂ Page {place.page}"))
    if place.page + 1 < pages:
        row.append(place.to(replace(place, page=place.page + 1), f"Page {place.page + 2} ▸"))
    return [row] if row else []
