"""The catalog: cached, asked for once at a time, and found by what people type."""

import asyncio
import functools
import re
import unicodedata
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Final

from cachetools import TTLCache
from rapidfuzz import fuzz, process

from bot.clock import Clock
from bot.domain.errors import UnknownName
from bot.domain.orders import CatalogName, Offer
from bot.sms.port import SmsPort

KEEP_SECONDS: Final = 60.0
"""The guide asks to keep a catalog answer for at least a minute."""

_MOST_PAIRS: Final = 512
_MOST_FOLDED: Final = 4096
_NEAR: Final = 60.0
_SUGGESTIONS: Final = 3
_FEW: Final = 5
"""As many names are all suggested where none is near."""

_SHORTEST_PREFIX: Final = 3
_SLUG: Final = re.compile(r"[a-z0-9][a-z0-9_-]{0,39}")

_NAMES_SECONDS: Final = 86_400.0
"""Names change rarely; one that is not known is looked for anew before that."""

_Key = tuple[str | None, str | None, str | None]
_FIRST_FLAG_LETTER: Final = 0x1F1E6


class Catalog:
    """Offers by country, platform and operator, each answer kept for `KEEP_SECONDS`, and the names for a day."""

    def __init__(self, sms: SmsPort, clock: Clock, aliases: Mapping[str, str]) -> None:
        self._sms = sms
        self._cache: TTLCache[_Key, list[Offer]] = TTLCache(_MOST_PAIRS, KEEP_SECONDS, timer=clock.monotonic)
        self._names: TTLCache[str, list[CatalogName]] = TTLCache(_MOST_PAIRS, _NAMES_SECONDS, timer=clock.monotonic)
        self._fresh_names: TTLCache[str, None] = TTLCache(_MOST_PAIRS, KEEP_SECONDS, timer=clock.monotonic)
        self._in_flight: dict[_Key, asyncio.Task[list[Offer]]] = {}
        self._aliases = {folded: target for name, target in aliases.items() if (folded := fold(name))}

    async def offers(
        self, country: str | None = None, platform: str | None = None, operator: str | None = None
    ) -> list[Offer]:
        """Every offer that fits, cheapest first and, at one price, the fullest stock first.

        Raises:
            SmsError: SMSCode could not be asked; a failure is not kept.
        """
        key = (country, platform, operator)
        kept = self._cache.get(key)
        if kept is not None:
            return kept
        task = self._in_flight.get(key)
        if task is None:
            task = asyncio.create_task(self._fetch(key), name=f"catalog {key}")
            self._in_flight[key] = task
            task.add_done_callback(functools.partial(self._landed, key))
        # Shielded: one impatient caller must not take the answer from the others.
        return await asyncio.shield(task)

    def forget(self, country: str, platform: str) -> None:
        """Ask anew next time: an answer has turned out to be stale."""
        for key in [key for key in self._cache if key[:2] == (country, platform)]:
            self._cache.pop(key, None)

    async def platforms(self) -> list[str]:
        """The names of all platforms.

        Raises:
            SmsError: they could not be asked for.
        """
        return [found.name for found in await self._platforms()]

    async def platform(self, typed: str) -> str:
        """The platform that `typed` names.

        Raises:
            UnknownName: with the nearest names. SmsError: the catalog could not be read.
        """
        return await self._find("platform", "platform", typed, self._platforms)

    async def country(self, typed: str) -> str:
        """The country that `typed` names: its name, ISO code, flag or dial code.

        Raises:
            UnknownName: with the nearest names. SmsError: the catalog could not be read.
        """
        return await self._find("country", "country", typed, self._countries)

    async def operator(self, typed: str, country: str, platform: str) -> str | None:
        """The mobile network that `typed` names there; None where nothing, or "any", was typed.

        Raises:
            UnknownName: there is no such network; with those there are. NotOffered: nobody can choose one.
        """
        if not typed or fold(typed) == "any":
            return None

        async def listed() -> list[CatalogName]:
            return await self._kept(f"operator:{country}:{platform}", lambda: self._sms.operators(country, platform))

        return await self._find("operator", f"operator:{country}:{platform}", typed, listed)

    async def _platforms(self) -> list[CatalogName]:
        await self._sms.settle_contract()
        if self._sms.lists_names:
            return await self._kept("platform", self._sms.platforms)
        return [CatalogName(offer.platform) for offer in await self.offers()]

    async def _countries(self) -> list[CatalogName]:
        await self._sms.settle_contract()
        if self._sms.lists_names:
            return await self._kept("country", self._sms.countries)
        return [CatalogName(offer.country) for offer in await self.offers()]

    async def _kept(self, key: str, ask: Callable[[], Awaitable[list[CatalogName]]]) -> list[CatalogName]:
        kept = self._names.get(key)
        if kept is None:
            kept = self._names[key] = await ask()
            self._fresh_names[key] = None
        return kept

    async def _find(self, kind: str, key: str, typed: str, listed: Callable[[], Awaitable[list[CatalogName]]]) -> str:
        """Resolve by the names that are kept, and once more by fresh ones where those are not enough."""
        try:
            return self._resolve(kind, typed, await listed())
        except UnknownName:
            if key in self._fresh_names or self._names.pop(key, None) is None:
                raise
        return self._resolve(kind, typed, await listed())

    def _landed(self, key: _Key, task: asyncio.Task[list[Offer]]) -> None:
        self._in_flight.pop(key, None)
        if not task.cancelled():
            task.exception()  # looked at even when everybody who asked has gone; the log has it from the wire

    async def _fetch(self, key: _Key) -> list[Offer]:
        found = await self._sms.offers(*key)
        offers = sorted(found, key=lambda offer: (offer.price, -(offer.stock or 0), str(offer.product_id)))
        self._cache[key] = offers
        return offers

    def _resolve(self, kind: str, typed: str, names: Iterable[CatalogName]) -> str:
        names = list(names)
        by_fold = {folded: found.name for found in names if (folded := fold(found.name))}
        meant = self._aliases.get(fold(typed), typed)
        wanted = fold(meant)
        if wanted in by_fold:
            return by_fold[wanted]
        called = list(dict.fromkeys(found.name for found in names if wanted in map(fold, found.aliases)))
        if wanted and len(called) == 1:
            return called[0]
        slug = meant.strip().casefold()
        if not by_fold and _SLUG.fullmatch(slug):
            return slug  # a catalog without names can only be asked with what was typed
        starting = [name for folded, name in by_fold.items() if folded.startswith(wanted)]
        if len(starting) == 1 and len(wanted) >= _SHORTEST_PREFIX:
            return starting[0]
        near = process.extract(wanted, list(by_fold), scorer=fuzz.WRatio, score_cutoff=_NEAR, limit=_SUGGESTIONS)
        suggestions = (called or starting)[:_SUGGESTIONS] or [by_fold[folded] for folded, _, _ in near]
        if not suggestions and len(by_fold) <= _FEW:
            suggestions = list(by_fold.values())
        raise UnknownName(kind, typed, tuple(suggestions) if wanted else ())


def fold(typed: str) -> str:
    """What is compared of a name: letters and digits, without accents, case, spaces or invisible marks.

    A flag is the two letters of its country, which is how Unicode spells it.
    """
    return _folded(typed[:200])  # cut first, so that nothing long is remembered


@functools.lru_cache(maxsize=_MOST_FOLDED)
def _folded(name: str) -> str:
    """Remembered, because each order compares what was typed with the same few hundred names."""
    plain = unicodedata.normalize("NFKD", name).casefold()
    return "".join(letter for character in plain if (letter := _letter(character)).isalnum())


def _letter(character: str) -> str:
    place = ord(character) - _FIRST_FLAG_LETTER
    return chr(ord("a") + place) if 0 <= place < 26 else character
