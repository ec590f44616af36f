"""Limits: set from the chat, in force at once, exact to the rupiah, and never exceeded by a crowd."""

import asyncio

import pytest

from bot.chat.wording import format_amount
from bot.domain.limits import LimitName
from bot.sandbox.bot_api import ADA, OMAR, Message
from tests.scene import Scene

PRICE = 5000


@pytest.fixture
def one_price(scene: Scene) -> Scene:
    """A desk whose account sells one product only."""
    scene.sms.clear_catalog()
    scene.sms.set_product("indonesia", "whatsapp", PRICE, 500)
    return scene


@pytest.mark.parametrize("name", [LimitName.DAILY, LimitName.MONTHLY, LimitName.TEAM_DAILY, LimitName.TEAM_MONTHLY])
async def test_a_budget_is_exact_and_changes_at_once(one_price: Scene, name: LimitName) -> None:
    scene, whose = one_price, "" if name.startswith("team") else f"{OMAR} "
    words = {"daily": "per day", "monthly": "per month"}[name.removeprefix("team_")]

    await scene.ask(ADA, f"/limit {OMAR} active_orders 9", "orders without a code at most 9")
    await scene.ask(ADA, f"/limit {whose}{name} {2 * PRICE}", f"{words} at most Rp 10.000")
    await scene.order()
    await scene.order()
    refusal = await scene.ask(OMAR, "/order whatsapp indonesia", f"This costs {format_amount(PRICE)}")
    assert f"{words} (Rp 10.000) has only Rp 0 left. It starts anew" in refusal.text
    assert ("for the team" in refusal.text) is name.startswith("team")

    await scene.ask(ADA, f"/limit {whose}{name.upper().replace('_', '-')} 14.999", "at most Rp 14.999")
    refusal = await scene.ask(OMAR, "/order whatsapp indonesia", "has only Rp 4.999 left")
    await scene.ask(ADA, f"/limit {whose}{name} 15_000", "at most Rp 15.000")
    await scene.order()
    await scene.ask(ADA, f"/limit {whose}{name} 0", "at most Rp 0")
    await scene.ask(OMAR, "/order whatsapp indonesia", "(Rp 0) has only Rp 0 left")
    await scene.ask(ADA, f"/limit {whose}{name} default", "is the standard one again")
    await scene.order()
    assert len(scene.sms.books.charges) == 4
    await scene.reconcile()


async def test_limits_of_single_orders_and_of_counts(one_price: Scene) -> None:
    scene = one_price
    await scene.ask(ADA, f"/limit {OMAR} per_order {PRICE - 1}", "per order at most Rp 4.999")
    await scene.ask(OMAR, "/order whatsapp indonesia", "costs Rp 5.000; your limit per order is Rp 4.999")
    await scene.ask(ADA, f"/limit omar per-order {PRICE}", "per order at most Rp 5.000")
    first = await scene.order()

    await scene.ask(ADA, f"/limit {OMAR} active_orders 1", "orders without a code at most 1")
    await scene.ask(OMAR, "/order whatsapp indonesia", "your limit of orders without a code (1)")
    scene.sms.arrive(first.id, code="424242")
    await scene.hears("424242", OMAR)
    second = await scene.order()

    await scene.ask(ADA, f"/limit {OMAR} cancels_per_day 0", "cancels per day at most 0")
    await scene.ask(OMAR, "/cancel 2", "your limit of cancels per day (0)")
    assert second.live
    await scene.ask(ADA, "/cancel 2", "#2 is canceled")
    assert not scene.sms.order(second.id).live
    await scene.ask(ADA, f"/limit {OMAR} active_orders 0", "orders without a code at most 0")
    await scene.ask(OMAR, "/order whatsapp indonesia", "your limit of orders without a code (0)")
    await scene.reconcile()


async def test_limits_bind_admins_and_owners_too(one_price: Scene) -> None:
    await one_price.ask(ADA, f"/limit {ADA} per_order 1", "per order at most Rp 1")
    await one_price.ask(ADA, "/order whatsapp indonesia", "your limit per order is Rp 1")
    assert not one_price.sms.books.charges


async def test_what_is_no_limit_is_refused_and_what_is_leaves_its_line(scene: Scene) -> None:
    refused = {
        f"{OMAR} weekly 5": "is no limit; choose one of per_order",
        f"{OMAR} <b> 5": "“<b>” is no limit",
        f"{OMAR} daily 5 6": "Say which limit and how much",
        f"{OMAR} daily 5 for": "for how long",
        f"{OMAR} daily 5 for ever": "“ever” is no length of time",
        f"{OMAR} daily 5 for 0d": "from one minute to 366 days",
        f"{OMAR} daily 5 for 367d": "from one minute to 366 days",
        f"{OMAR} daily 5 for -3d": "is no length of time",
        f"{OMAR} daily default for 3d": "Say which limit and how much",
        f"{OMAR} daily 3d": "is not an amount",
        f"{OMAR} team_daily 5": "“team_daily” is a limit of the team: set it without a person, /limit team_daily 90000",
        "daily 5": "Say who",
        "4711 daily 5": "4711 is not on the list",
        "4711": "4711 is not on the list",
        f"{OMAR} active_orders 1001": "“active_orders” is a number of orders without a code; at most 1000",
        f"{OMAR} cancels_per_day 2000000": "“cancels_per_day” is a number of cancels per day; at most 1000",
        f"{OMAR} daily 1.000.000.001": "is more than the desk handles",
    }
    amounts = ("-1", "1e9", "１０", "NaN", "0x10", "1.5", "5,00", "4" * 40, "Rp5000", "five", "+5", "<i>")
    refused |= {f"{OMAR} daily {amount}": "is not an amount" for amount in amounts}
    for text, answer in refused.items():
        await scene.ask(ADA, f"/limit {text}", answer)
    assert await scene.count("SELECT count(*) FROM limits") == 0
    assert await scene.audited("limit.set") == []

    shown = await scene.ask(ADA, f"/limit {OMAR}", "One order: up to Rp 20.000")
    assert f"Telegram id {OMAR}" in shown.text
    await scene.ask(ADA, "/limit team_daily 1.000.000", "The team: per day at most Rp 1.000.000")
    await scene.ask(ADA, f"/limit {OMAR} daily 250000", "Omar: per day at most Rp 250.000")
    await scene.ask(ADA, f"/limit {OMAR} daily default", "Omar: the limit per day is the standard one again")
    lines = [(line.actor_id, line.subject, dict(line.detail)) for line in await scene.audited("limit.set")]
    assert lines == [
        (ADA, OMAR, {"limit": "daily", "amount": None}),
        (ADA, OMAR, {"limit": "daily", "amount": 250_000}),
        (ADA, None, {"limit": "team_daily", "amount": 1_000_000}),
    ]


async def test_a_crowd_at_a_team_limit_gets_exactly_what_it_allows(one_price: Scene) -> None:
    scene, allowed = one_price, 12
    crowd = [await scene.hire(6000 + number, f"Member {number}") for number in range(20)]
    await scene.ask(ADA, f"/limit team_daily {allowed * PRICE + PRICE - 1}", "The team: per day")
    for user_id in crowd:
        scene.say(user_id, "/order whatsapp indonesia")
    answers = await asyncio.gather(*(scene.hears(_answered, user_id, patience=20) for user_id in crowd))
    numbers = [answer for answer in answers if "📱" in answer.text]
    refusals = [answer for answer in answers if "for the team per day (Rp 64.999) has only" in answer.text]
    assert (len(numbers), len(refusals)) == (allowed, len(crowd) - allowed)
    assert len(scene.sms.books.charges) == len({order.phone_number for order in scene.sms.live_orders()}) == allowed
    await scene.reconcile()


def _answered(said: Message) -> bool:
    return "📱" in said.text or "limit" in said.text
