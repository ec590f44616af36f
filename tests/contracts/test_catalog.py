"""The catalog over a real account: asked for seldom, sorted, and found by what people type."""

import asyncio
import gc
from collections.abc import Mapping
from typing import Final

import pytest

from bot.clock import Clock
from bot.domain.errors import SmsError, Unclear, UnknownName
from bot.sandbox.sms_api import COUNTRIES, PLATFORMS, Contract, Fault, FaultKind
from bot.services.catalog import KEEP_SECONDS, Catalog, fold
from tests.clocks import ManualClock
from tests.contracts.bench import Bench

pytestmark = pytest.mark.asyncio(loop_scope="module")

ALIASES: Final[Mapping[str, str]] = {
    "WA": "whatsapp",
    "uk": "United Kingdom",
    "ivory coast": "Côte d'Ivoire",
    "gone": "atlantis",
    "🇮🇩": "indonesia",
}


@pytest.fixture
def contract() -> Contract:
    """The contract whose catalog is one list; that of the other is tried in `test_official_catalog`."""
    return "guide"


@pytest.fixture
def hands() -> ManualClock:
    return ManualClock()


@pytest.fixture
def clock(hands: ManualClock) -> Clock:
    return hands


@pytest.fixture
def catalog(bench: Bench, clock: Clock) -> Catalog:
    return Catalog(bench.sms, clock, ALIASES)


class TestKeeping:
    async def test_an_answer_is_kept_for_a_minute_and_no_longer(
        self, bench: Bench, catalog: Catalog, hands: ManualClock
    ) -> None:
        assert KEEP_SECONDS >= 60
        first = await catalog.offers("indonesia", "whatsapp")
        await hands.advance(KEEP_SECONDS - 0.01)
        assert await catalog.offers("indonesia", "whatsapp") == first
        assert bench.arrived == 1
        await hands.advance(0.02)
        await catalog.offers("indonesia", "whatsapp")
        assert bench.arrived == 2

    async def test_a_minute_is_counted_from_the_answer_and_not_from_the_last_look(
        self, bench: Bench, catalog: Catalog, hands: ManualClock
    ) -> None:
        for _ in range(7):
            await catalog.offers("indonesia", "whatsapp")
            await hands.advance(10.0)
        assert bench.arrived == 2

    async def test_each_pair_is_kept_by_itself(self, bench: Bench, catalog: Catalog) -> None:
        pairs = [(None, None), ("indonesia", None), (None, "whatsapp"), ("indonesia", "whatsapp")]
        everything, here, there, both = [await catalog.offers(*pair) for pair in pairs]
        assert [await catalog.offers(*pair) for pair in pairs] == [everything, here, there, both]
        assert bench.arrived == 4
        assert len(everything) > len(here) > len(both) > 0
        assert {offer.platform for offer in there} == {"whatsapp"}

    async def test_nothing_on_offer_is_an_answer_too(self, bench: Bench, catalog: Catalog) -> None:
        for _ in range(2):
            assert await catalog.offers("atlantis", "whatsapp") == []
        assert bench.arrived == 1

    async def test_what_turned_out_stale_is_asked_anew(self, bench: Bench, catalog: Catalog) -> None:
        (cheapest, *_) = await catalog.offers("indonesia", "whatsapp")
        await catalog.offers("vietnam", "whatsapp")
        bench.world.sold_out(int(cheapest.product_id))
        catalog.forget("indonesia", "whatsapp")
        catalog.forget("indonesia", "nothing such")
        (again, *_) = await catalog.offers("indonesia", "whatsapp")
        await catalog.offers("vietnam", "whatsapp")
        assert (again.product_id, again.stock) == (cheapest.product_id, 0)
        assert bench.arrived == 3

    async def test_a_failure_is_not_kept(self, bench: Bench, catalog: Catalog) -> None:
        bench.world.faults.add(Fault(kind=FaultKind.ERROR_BEFORE))
        with pytest.raises(Unclear):
            await catalog.offers("indonesia", "whatsapp")
        assert await catalog.offers("indonesia", "whatsapp")
        assert bench.arrived == 2


class TestSingleFlight:
    async def test_fifty_callers_are_one_request(self, bench: Bench, catalog: Catalog) -> None:
        bench.world.faults.add(Fault(kind=FaultKind.LATE, seconds=0.05))
        answers = await asyncio.gather(*(catalog.offers("indonesia", "whatsapp") for _ in range(50)))
        assert bench.arrived == 1
        assert all(answer == answers[0] for answer in answers)

    @pytest.mark.parametrize("impatient", [0, 1, 49])
    async def test_one_who_leaves_takes_nothing_from_the_others(
        self, bench: Bench, catalog: Catalog, impatient: int
    ) -> None:
        bench.world.faults.add(Fault(kind=FaultKind.LATE, seconds=0.1))
        callers = [asyncio.create_task(catalog.offers("indonesia", "whatsapp")) for _ in range(50)]
        await asyncio.sleep(0.03)
        callers[impatient].cancel()
        outcomes = await asyncio.gather(*callers, return_exceptions=True)
        assert isinstance(outcomes.pop(impatient), asyncio.CancelledError)
        assert all(isinstance(outcome, list) and outcome for outcome in outcomes)
        assert bench.arrived == 1

    async def test_what_everybody_left_is_there_for_the_next(self, bench: Bench, catalog: Catalog) -> None:
        bench.world.faults.add(Fault(kind=FaultKind.LATE, seconds=0.05))
        caller = asyncio.create_task(catalog.offers("indonesia", "whatsapp"))
        await asyncio.sleep(0.02)
        caller.cancel()
        assert await catalog.offers("indonesia", "whatsapp")
        assert bench.arrived == 1

    async def test_a_failure_reaches_all_who_wait_and_only_them(self, bench: Bench, catalog: Catalog) -> None:
        bench.world.faults.add(Fault(kind=FaultKind.RESET_BEFORE))
        waiting = (catalog.offers("indonesia", "whatsapp") for _ in range(50))
        outcomes = await asyncio.gather(*waiting, return_exceptions=True)
        assert all(isinstance(outcome, SmsError) for outcome in outcomes)
        assert bench.arrived == 1
        assert await catalog.offers("indonesia", "whatsapp")

    async def test_a_failure_that_everybody_left_is_nobodys_surprise(self, bench: Bench, catalog: Catalog) -> None:
        surprises: list[str] = []
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda _, context: surprises.append(context["message"]))
        bench.world.faults.add(Fault(kind=FaultKind.RESET_BEFORE))
        caller = asyncio.create_task(catalog.offers("indonesia", "whatsapp"))
        await asyncio.sleep(0)
        caller.cancel()
        while bench.arrived == 0 or any(task.get_name().startswith("catalog") for task in asyncio.all_tasks()):
            await asyncio.sleep(0.005)
        await asyncio.sleep(0)
        del caller  # and with it what it was waiting for
        gc.collect()
        loop.set_exception_handler(None)
        assert surprises == []

    async def test_two_pairs_do_not_wait_for_each_other(self, bench: Bench, catalog: Catalog) -> None:
        bench.world.faults.add(Fault(kind=FaultKind.LATE, seconds=0.5))
        slow = asyncio.create_task(catalog.offers("indonesia", "whatsapp"))
        await asyncio.sleep(0.03)
        assert await catalog.offers("vietnam", "whatsapp")
        assert not slow.done()
        assert await slow


class TestSorting:
    async def test_cheapest_first_then_fullest(self, bench: Bench, catalog: Catalog) -> None:
        bench.world.clear_catalog()
        for product_id, price, stock in [(1, 900, 1), (2, 500, 3), (3, 900, 0), (4, 500, 30), (5, 700, 2)]:
            bench.world.set_product("x", "y", price, stock, product_id=product_id)
        assert [offer.product_id for offer in await catalog.offers("x", "y")] == [4, 2, 5, 1, 3]

    async def test_the_same_each_time(self, bench: Bench, catalog: Catalog) -> None:
        bench.world.clear_catalog()
        for product_id in (30, 10, 20):
            bench.world.set_product("x", "y", 500, 5, product_id=product_id)
        assert [offer.product_id for offer in await catalog.offers("x", "y")] == [10, 20, 30]


class TestNames:
    @pytest.mark.parametrize("name", [platform.slug for platform in PLATFORMS])
    async def test_every_platform_goes_by_its_name(self, catalog: Catalog, name: str) -> None:
        assert await catalog.platform(name) == name

    @pytest.mark.parametrize("name", [country.slug for country in COUNTRIES])
    async def test_every_country_goes_by_its_name(self, catalog: Catalog, name: str) -> None:
        assert await catalog.country(name) == name

    @pytest.mark.parametrize(
        "typed",
        [
            "whatsapp",
            "WhatsApp",
            "WHATSAPP",
            " whats app ",
            "whats-app",
            "wh\u200bats\u2060app",
            "\u200ewhatsapp\u200f",
            "\u202awhatsapp\u202c",
            "whatsápp",
            "ｗｈａｔｓａｐｐ",
            "whatsapp!",
            "wa",
            "W.A.",
            "whatsap",
            "wha",
        ],
    )
    async def test_loosely_typed_platforms(self, catalog: Catalog, typed: str) -> None:
        assert await catalog.platform(typed) == "whatsapp"

    @pytest.mark.parametrize(
        ("typed", "country"),
        [
            ("United Kingdom", "united-kingdom"),
            ("united_kingdom", "united-kingdom"),
            ("UK", "united-kingdom"),
            ("IndonÉsia", "indonesia"),
            ("İndonesia", "indonesia"),
            ("vie", "vietnam"),
            ("germ", "germany"),
        ],
    )
    async def test_loosely_typed_countries(self, catalog: Catalog, typed: str, country: str) -> None:
        assert await catalog.country(typed) == country

    @pytest.mark.parametrize(
        "typed", ["Côte d'Ivoire", "cote divoire", "COTE D\u2019IVOIRE", "Co\u0302te d'Ivoire", "ivory coast"]
    )
    async def test_the_name_is_given_back_as_the_catalog_spells_it(
        self, bench: Bench, catalog: Catalog, typed: str
    ) -> None:
        bench.world.set_product("Côte d'Ivoire", "whatsapp", 900, 1)
        assert await catalog.country(typed) == "côte d'ivoire"

    async def test_an_exact_name_wins_over_a_longer_one(self, bench: Bench, catalog: Catalog) -> None:
        bench.world.set_product("indonesia", "whatsapp-business", 900, 1)
        assert await catalog.platform("WhatsApp") == "whatsapp"

    @pytest.mark.parametrize("name", ["<b>bank</b>", "a & b", "x'\"y", "ไทย", "Ελλάδα", "中国"])
    async def test_names_of_any_kind(self, bench: Bench, catalog: Catalog, name: str) -> None:
        bench.world.set_product(name, name, 900, 1)
        assert await catalog.platform(name) == name.lower()
        assert await catalog.country(name.upper()) == name.lower()

    async def test_names_cost_one_request_in_all(self, bench: Bench, catalog: Catalog) -> None:
        await catalog.platform("whatsapp")
        await catalog.country("indonesia")
        with pytest.raises(UnknownName):
            await catalog.country("nowhere land")
        assert bench.arrived == 1


class TestUnknownNames:
    @pytest.mark.parametrize(
        ("typed", "suggestions"),
        [
            ("ind", {"india", "indonesia"}),
            ("unit", {"united-kingdom", "united-states"}),
            ("t", {"thailand"}),
            ("vi", {"vietnam"}),
            ("indonsia", {"indonesia"}),
            ("idnonesia", {"indonesia"}),
            ("philipines", {"philippines"}),
            ("vietnma", {"vietnam"}),
        ],
    )
    async def test_suggest_what_is_near(self, catalog: Catalog, typed: str, suggestions: set[str]) -> None:
        with pytest.raises(UnknownName) as caught:
            await catalog.country(typed)
        assert suggestions <= set(caught.value.suggestions)
        assert caught.value.suggestions[0] in suggestions
        assert len(caught.value.suggestions) <= 3
        assert (caught.value.kind, caught.value.typed) == ("country", typed)

    @pytest.mark.parametrize("typed", ["watsapp", "whatsappp", "whtsap", "hwatsapp"])
    async def test_suggest_the_platform_that_was_meant(self, catalog: Catalog, typed: str) -> None:
        with pytest.raises(UnknownName) as caught:
            await catalog.platform(typed)
        assert caught.value.suggestions[0] == "whatsapp"
        assert caught.value.kind == "platform"

    @pytest.mark.parametrize(
        "typed", ["", " ", "!!!", "🎉", "\u200e\u200f", "zzzzqqqq", "0000", "<b></b>" * 30, "ж" * 10, "x" * 4000]
    )
    async def test_suggest_nothing_for_nonsense(self, bench: Bench, catalog: Catalog, typed: str) -> None:
        bench.world.set_product("🎉", "🎉", 900, 1)
        for resolve in (catalog.platform, catalog.country):
            with pytest.raises(UnknownName) as caught:
                await resolve(typed)
            assert caught.value.suggestions == ()

    async def test_an_alias_of_nothing_is_unknown(self, catalog: Catalog) -> None:
        with pytest.raises(UnknownName) as caught:
            await catalog.country("gone")
        assert caught.value.typed == "gone"

    @pytest.mark.parametrize("typed", ["a" * 4000, "indonesia" * 444, "\ufdfa" * 4000, "i\u0301" * 2000, "ß" * 4000])
    async def test_endless_ones_are_handled_soon(self, catalog: Catalog, typed: str) -> None:
        async with asyncio.timeout(1):
            with pytest.raises(UnknownName):
                await catalog.country(typed)

    async def test_a_failing_catalog_is_no_unknown_name(self, bench: Bench, catalog: Catalog) -> None:
        bench.world.faults.add(Fault(kind=FaultKind.ERROR_BEFORE))
        with pytest.raises(Unclear):
            await catalog.platform("whatsapp")


class TestCatalogWithoutNames:
    @pytest.fixture(autouse=True)
    def _nameless(self, bench: Bench) -> None:
        bench.world.clear_catalog()
        bench.world.set_product("", "", 900, 1)

    @pytest.mark.parametrize(
        ("typed", "asked"),
        [
            ("whatsapp", "whatsapp"),
            ("WhatsApp", "whatsapp"),
            (" united-kingdom ", "united-kingdom"),
            ("south_korea", "south_korea"),
            ("wa", "whatsapp"),
        ],
    )
    async def test_is_asked_with_what_was_typed(self, catalog: Catalog, typed: str, asked: str) -> None:
        assert await catalog.platform(typed) == asked
        assert await catalog.country(typed) == asked

    @pytest.mark.parametrize("typed", ["", "-", "<b>", "a b", "../v1", "ü", "x" * 41, "a?b=c"])
    async def test_is_not_asked_with_anything_else(self, catalog: Catalog, typed: str) -> None:
        with pytest.raises(UnknownName) as caught:
            await catalog.platform(typed)
        assert caught.value.suggestions == ()

    async def test_an_empty_one_is_the_same(self, bench: Bench, catalog: Catalog) -> None:
        bench.world.clear_catalog()
        assert await catalog.country("Indonesia") == "indonesia"


@pytest.mark.parametrize(
    ("typed", "folded"),
    [("Côte d'Ivoire", "cotedivoire"), ("STRASSE", "strasse"), ("Straße", "strasse"), ("\u200e 1-2 ", "12"), ("", "")],
)
async def test_folding(typed: str, folded: str) -> None:
    assert fold(typed) == folded
