"""`/watch`: hear once when something is back in stock, or cheap enough."""

import re
from typing import Final

from bot.chat import keyboards, parsing, report_texts
from bot.chat.commands import ordering
from bot.chat.keyboards import Press, Row
from bot.chat.visit import Visit
from bot.domain.errors import WrongUsage
from bot.domain.money import parse_amount
from bot.services import stock
from bot.services.catalog import fold
from storage.watches import Watch

_BELOW: Final = re.compile(r"(?:^|\s)(?:below|max)=(?P<amount>\S*)$", re.ASCII | re.IGNORECASE)
_OFF: Final = re.compile(r"off #?(?P<id>[0-9]{1,15})", re.ASCII | re.IGNORECASE)


async def watch(visit: Visit) -> None:
    """`/watch platform country [below=PRICE]`; alone it lists the member's watches, `off NUMBER` ends one."""
    typed = parsing.clean(visit.text)
    off = _OFF.fullmatch(typed)
    if off is not None:
        ended = await stock.end(visit.desk, visit.member, int(off["id"]))
        await visit.answer(report_texts.watch_ended(ended))
        return
    if not typed:
        await _list(visit)
        return
    platform, country, below = _parsed(typed)
    visit.show_typing()
    place = visit.chat_id, visit.thread_id
    kept, offer = await stock.watch(visit.desk, visit.member, place, (platform, country), below)
    if offer is None:
        await visit.answer(report_texts.watching(kept, stock.DAYS))
        return
    order = keyboards.command("Order it", "order", _names(kept), keyboards.PRIMARY)
    await visit.answer(report_texts.there_already(kept, offer.price), [[order]])


async def order_watched(visit: Visit) -> None:
    """The button of the news: orders as `/order` does, for at most what the watch was for."""
    kept = await stock.told(visit.desk, visit.member, int(visit.facts.get("watch") or 0))
    most = "" if kept.below is None else f" max={kept.below}"
    await ordering.order(visit.with_text(f"{_names(kept)}{most}"))


async def _list(visit: Visit) -> None:
    kept = await stock.mine(visit.desk, visit.member)
    rows: list[Row] = [
        [Press(f"End: {one.platform}, {one.country}"[:60], "unwatch", {"watch": one.id})] for one in kept
    ]
    await visit.answer(report_texts.watch_list(kept, visit.desk.settings.limits.zone), rows)


async def unwatch(visit: Visit) -> None:
    """The button that ends a watch."""
    ended = await stock.end(visit.desk, visit.member, int(visit.facts.get("watch") or 0))
    await visit.answer(report_texts.watch_ended(ended))


def _names(kept: Watch) -> str:
    """A watch's names as `/order` takes them: a platform of several words is one word there."""
    return f"{fold(kept.platform)} {kept.country}"


def _parsed(typed: str) -> tuple[str, str, int | None]:
    option = _BELOW.search(typed)
    names = typed[: option.start()] if option else typed
    if "=" in names:
        raise WrongUsage("only below= may follow the names: /watch whatsapp indonesia below=4000")
    platform, _, country = names.strip().partition(" ")
    if not country or "," in country:
        raise WrongUsage("say one platform and one country: /watch whatsapp indonesia below=4000")
    if max(len(platform), len(country)) > parsing.LONGEST_NAME:
        raise WrongUsage(f"a name has at most {parsing.LONGEST_NAME} characters")
    below = parse_amount(option["amount"]) if option else None
    if below == 0:
        raise WrongUsage("nothing is below Rp 0; say what you would pay: below=4000")
    return platform, country, below
