"""Watching the stock: a member hears once when something is back, or as cheap as they want it.

A watch buys nothing. Its button orders the way `/order` does, with every limit, for at most what its member named.
"""

import logging
import sqlite3
from collections.abc import Callable, Iterable
from typing import Final

from bot.domain.access import Member
from bot.domain.errors import SmsError, UnknownName, WrongUsage
from bot.domain.notices import Notice, NoticeKind, Urgency
from bot.domain.orders import Offer
from bot.services.catalog import fold
from bot.services.desk import Desk
from storage import audit, outbox, watches
from storage.watches import Watch

log = logging.getLogger(__name__)

MOST: Final = 10
"""Watches of one member at a time."""

DAYS: Final = 7
"""Days after which a watch expires by itself."""

_DAY: Final = 24 * 3600 * 1000
_PAIRS_A_ROUND: Final = 5
"""Platforms and countries asked for in one round of a minute: a twentieth of a usual budget at the most."""


async def watch(
    desk: Desk,
    member: Member,
    place: tuple[int, int | None],
    wanted: tuple[str, str],
    below: int | None,
) -> tuple[Watch, Offer | None]:
    """Keep a watch for a platform in a country, to be told at `place` (chat and topic); with the offer there is now.

    An offer that fits already is returned and nothing is kept: there is nothing to wait for.

    Raises:
        WrongUsage: there are too many, or the platform is not on the team's list. UnknownName: no such name.
        SmsError: the catalog could not be read.
    """
    platform, country = await desk.catalog.platform(wanted[0]), await desk.catalog.country(wanted[1])
    allowed = desk.settings.ordering.platforms_allowed
    if allowed and fold(platform) not in map(fold, allowed):
        raise WrongUsage(f"{platform} is not on this team's list: {', '.join(allowed)}")
    kept = Watch(0, member.user_id, *place, platform, country, below, desk.now + DAYS * _DAY)
    offer = fitting(await desk.catalog.offers(country, platform), below)
    if offer is None:
        await desk.transact(lambda connection: _keep(desk, connection, kept))
    return kept, offer


def _keep(desk: Desk, connection: sqlite3.Connection, kept: Watch) -> None:
    mine = watches.of_member(connection, kept.member_id, desk.now)
    again = any((other.platform, other.country) == (kept.platform, kept.country) for other in mine)
    if len(mine) >= MOST and not again:
        raise WrongUsage(f"you watch {MOST} things already, which is the most; /watch lists them, each with its end")
    watches.put(connection, kept, desk.now)
    audit.write(
        connection,
        desk.now,
        kept.member_id,
        "stock.watch",
        platform=kept.platform,
        country=kept.country,
        below=kept.below,
    )


async def mine(desk: Desk, member: Member) -> list[Watch]:
    """What a member waits for."""
    return await desk.database.read(lambda connection: watches.of_member(connection, member.user_id, desk.now))


async def end(desk: Desk, member: Member, watch_id: int) -> Watch | None:
    """End one of a member's own watches and return it; None for one that is over or somebody else's."""

    def body(connection: sqlite3.Connection) -> Watch | None:
        kept = watches.get(connection, watch_id)
        if kept is None or not watches.remove(connection, member.user_id, watch_id):
            return None
        audit.write(connection, desk.now, member.user_id, "stock.unwatch", platform=kept.platform, country=kept.country)
        return kept

    return await desk.transact(body)


async def told(desk: Desk, member: Member, watch_id: int) -> Watch:
    """The watch behind an order button.

    Raises:
        WrongUsage: it is over, or somebody else's.
    """
    kept = await desk.database.read(lambda connection: watches.get(connection, watch_id))
    if kept is None or kept.member_id != member.user_id:
        raise WrongUsage("this watch is over; order as usual: /order whatsapp indonesia")
    return kept


def fitting(offers: Iterable[Offer], below: int | None) -> Offer | None:
    """The cheapest offer in stock, if it is as cheap as wanted (IDR)."""
    cheapest = min((offer for offer in offers if offer.in_stock), key=lambda offer: offer.price, default=None)
    return cheapest if cheapest is not None and (below is None or cheapest.price <= below) else None


class Rounds:
    """Goes round what is watched for, a few names at a time, while requests are plenty."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._after = 0

    async def look(self) -> None:
        """One round: ask for the next few pairs and tell whoever waits for what is there."""
        desk = self._desk
        waiting = await desk.database.read(lambda connection: watches.waiting(connection, desk.now))
        pairs = list(dict.fromkeys((kept.platform, kept.country) for kept in waiting))
        self._after %= max(len(pairs), 1)
        turn = [*pairs[self._after :], *pairs[: self._after]][:_PAIRS_A_ROUND]
        for platform, country in turn:
            if not desk.requests.has_room:
                return
            self._after += 1
            try:
                offers = await desk.catalog.offers(country, platform)
            except (SmsError, UnknownName) as error:
                log.info("the stock of %s in %s could not be looked at: %s", platform, country, error)
                continue
            for kept in waiting:
                offer = fitting(offers, kept.below)
                if (kept.platform, kept.country) == (platform, country) and offer is not None:
                    await desk.transact(_news(desk, kept, offer))


def _news(desk: Desk, kept: Watch, offer: Offer) -> Callable[[sqlite3.Connection], None]:
    """Tell it and mark it as told in one transaction: once, whatever breaks."""

    def body(connection: sqlite3.Connection) -> None:
        if watches.mark_told(connection, kept.id, desk.now, desk.now + _DAY):
            notice = Notice(
                NoticeKind.STOCK,
                kept.chat_id,
                f"stock:{kept.id}",
                thread_id=kept.thread_id,
                urgency=Urgency.TALK,
                facts={"watch": kept.id, "price": offer.price, "stock": offer.stock},
            )
            outbox.put(connection, notice, desk.now)

    return body
