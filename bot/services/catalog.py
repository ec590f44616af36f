"""The catalog: cached, asked for once at a time, and found by what people type."""

import asyncio
import re
import unicodedata
from collections.abc import Iterable, Mapping
from typing import Final

from cachetools import TTLCache
from rapidfuzz import fuzz, process

from bot.clock import Clock
from bot.domain.errors import UnknownName
from bot.domain.orders import Offer
from bot.sms.port import SmsPort

KEEP_SECONDS: Final = 60.0
"""The guide asks to keep a catalog answer for at least a minute."""

_MOST_PAIRS: Final = 512
_NEAR: Final = 60.0
_SUGGESTIONS: Final = 3
_SHORTEST_PREFIX: Final = 3
_SLUG: Final = re.compile(r"[a-z0-9][a-z0-9_-]{0,39}")

_Key = tuple[str | None, str | None]


class Catalog:
    """Offers by country and platform, each answer kept for `KEEP_SECONDS`."""

    def __init__(self, sms: SmsPort, clock: Clock, aliases: Mapping[str, str]) -> None:
        self._sms = sms
        self._cache: TTLCache[_Key, list[Offer]] = TTLCache(_MOST_PAIRS, KEEP_SECONDS, timer=clock.monotonic)
        self._in_flight: dict[_Key, asyncio.Task[list[Offer]]] = {}
        self._aliases = {folded: target for name, target in aliases.items() if (folded := fold(name))}

    async def offers(self, country: str | None = None, platform: str | None = None) -> list[Offer]:
        """Every offer that fits, cheapest first and, at one price, the fullest stock first.

        Raises:
            SmsError: SMSCode could not be asked; a failure is not kept.
        """
        key = (country, platform)
        kept = self._cache.get(key)
        if kept is not None:
            return kept
        task = self._in_flight.get(key)
        if task is None:
            task = asyncio.create_task(self._fetch(key), name=f"catalog {key}")
            self._in_flight[key] = task
            task.add_done_callback(lambda _: self._in_flight.pop(key, None))
        # Shielded: one impatient caller must not take the answer from the others.
        return await asyncio.shield(task)

    def forget(self, country: str, platform: str) -> None:
        """Ask anew next time: an answer has turned out to be stale."""
        self._cache.pop((country, platform), None)

    async def platform(self, typed: str) -> str:
        """The platform that `typed` names.

        Raises:
            UnknownName: with the nearest names. SmsError: the catalog could not be read.
        """
        return self._resolve("platform", typed, [offer.platform for offer in await self.offers()])

    async def country(self, typed: str) -> str:
        """The country that `typed` names.

        Raises:
            UnknownName: with the nearest names. SmsError: the catalog could not be read.
        """
        return self._resolve("country", typed, [offer.country for offer in await self.offers()])

    async def of_operator(self, offers: list[Offer], typed: str) -> list[Offer]:
        """The offers of the mobile network that `typed` names; all of them where nothing, or "any", was typed.

        Raises:
            UnknownName: none of them is of such a network; with the networks there are.
        """
        if not typed or fold(typed) == "any":
            return offers
        name = self._resolve("operator", typed, [offer.operator for offer in offers])
        return [offer for offer in offers if offer.operator == name]

    async def _fetch(self, key: _Key) -> list[Offer]:
        country, platform = key
        found = await self._sms.offers(country, platform)
        offers = sorted(found, key=lambda offer: (offer.price, -(offer.stock or 0), str(offer.product_id)))
        self._cache[key] = offers
        return offers

    def _resolve(self, kind: str, typed: str, names: Iterable[str]) -> str:
        by_fold = {folded: name for name in names if (folded := fold(name))}
        meant = self._aliases.get(fold(typed), typed)
        wanted = fold(meant)
        if wanted in by_fold:
            return by_fold[wanted]
        slug = meant.strip().casefold()
        if not by_fold and _SLUG.fullmatch(slug):
            return slug  # a catalog without names can only be asked with what was typed
        starting = [name for folded, name in by_fold.items() if folded.startswith(wanted)]
        if len(starting) == 1 and len(wanted) >= _SHORTEST_PREFIX:
            return starting[0]
        near = process.extract(wanted, list(by_fold), scorer=fuzz.WRatio, score_cutoff=_NEAR, limit=_SUGGESTIONS)
        suggestions = starting[:_SUGGESTIONS] or [by_fold[folded] for folded, _, _ in near]
        raise UnknownName(kind, typed, tuple(suggestions) if wanted else ())


def fold(typed: str) -> str:
    """What is compared of a name: letters and digits, without accents, case, spaces or invisible marks."""
    plain = unicodedata.normalize("NFKD", typed[:200]).casefold()
    return "".join(character for character in plain if character.isalnum())
