"""Limits that people understand: shown as bars, warned of once, raised for a time, set by a form of buttons."""

from bot.domain.access import Role
from bot.sandbox.bot_api import ADA, OMAR, SAM, TEAM_CHAT
from bot.sandbox.sms_api import Fault, FaultKind
from tests.scene import Scene

BOB = 2003
HOUR = 3600


def _sell(scene: Scene, **prices: int) -> None:
    scene.sms.clear_catalog()
    for country, price in prices.items():
        scene.sms.set_product(country, "whatsapp", price, 500)


def _warnings(scene: Scene, chat_id: int) -> list[str]:
    return [text for text in scene.said_by_bot(chat_id) if "is used" in text]


async def test_a_limit_warns_at_80_and_at_100_once_a_window(scene: Scene) -> None:
    _sell(scene, indonesia=7_900, vietnam=100, india=2_000)
    await scene.ask(ADA, f"/limit {OMAR} active_orders 9", "at most 9")
    await scene.ask(ADA, f"/limit {OMAR} daily 10000", "at most Rp 10.000")
    await scene.ask(ADA, "/limit team_daily 10000", "at most Rp 10.000")
    await scene.order("whatsapp indonesia")
    await scene.settle()
    assert _warnings(scene, OMAR) == _warnings(scene, ADA) == []

    await scene.order("whatsapp vietnam")
    await scene.hears("your limit per day is used to 80 %: Rp 8.000 of Rp 10.000. It starts anew 15 Mar 00:00", OMAR)
    await scene.hears("The team's limit per day is used to 80 %", ADA, anew=False)
    await scene.ask(OMAR, "/cancel 2", "#2 is canceled")
    await scene.order("whatsapp vietnam")
    await scene.order("whatsapp india")
    await scene.hears("your limit per day is used up: Rp 10.000 of Rp 10.000", OMAR)
    await scene.hears("The team's limit per day is used up", ADA, anew=False)
    refusal = await scene.ask(OMAR, "/order whatsapp vietnam", "limit per day (Rp 10.000) has only Rp 0 left")
    assert "It starts anew 15 Mar 00:00. Nothing was charged. Ada can raise it with /limit." in refusal.text
    await scene.settle()
    assert (len(_warnings(scene, OMAR)), len(_warnings(scene, ADA))) == (2, 2)

    scene.clock.jump(24 * HOUR)
    await scene.hears("#1 expired", OMAR)
    await scene.order("whatsapp indonesia")
    await scene.order("whatsapp vietnam")
    await scene.until(lambda: len(_warnings(scene, OMAR)) == 3)
    await scene.reconcile()


async def test_a_warning_comes_where_it_was_ordered_and_names_whose_it_is(scene: Scene) -> None:
    _sell(scene, indonesia=9_000)
    await scene.ask(ADA, f"/limit {OMAR} monthly 10000", "per month at most")
    scene.say(OMAR, "/order whatsapp indonesia", TEAM_CHAT)
    await scene.hears("Omar, your limit per month is used to 80 %", TEAM_CHAT)
    assert _warnings(scene, OMAR) == []


async def test_a_hold_that_goes_back_warns_of_nothing_and_an_overcharge_does(scene: Scene) -> None:
    scene.sms.clear_catalog()
    dear = scene.sms.set_product("indonesia", "whatsapp", 9_000, 1)
    cheap = scene.sms.set_product("vietnam", "whatsapp", 5_000, 9)
    await scene.ask(ADA, f"/limit {OMAR} daily 10000", "at most Rp 10.000")
    await scene.ask(OMAR, "/catalog whatsapp indonesia", "9.000")
    scene.sms.set_product("indonesia", "whatsapp", 9_000, 0, product_id=dear)
    await scene.ask(OMAR, "/order whatsapp indonesia", "sold out")
    await scene.settle()
    assert _warnings(scene, OMAR) == []

    await scene.ask(OMAR, "/catalog whatsapp vietnam", "5.000")
    scene.sms.set_product("vietnam", "whatsapp", 8_500, 9, product_id=cheap)
    await scene.order("whatsapp vietnam")
    await scene.hears("your limit per day is used to 80 %: Rp 8.500 of Rp 10.000", OMAR)
    await scene.reconcile()


async def test_an_order_of_which_nobody_knows_whether_it_was_paid_warns_as_if_it_were(scene: Scene) -> None:
    await scene.ask(ADA, f"/limit {OMAR} daily 5000", "at most Rp 5.000")
    scene.sms.faults.add(Fault(kind=FaultKind.RESET_BEFORE, route="POST /v1/orders"))
    scene.say(OMAR, "/order whatsapp indonesia")
    await scene.hears("your limit per day is used to 80 %: Rp 4.200 of Rp 5.000", OMAR)


async def test_usage_shows_spent_held_left_and_when_it_starts_anew(scene: Scene) -> None:
    _sell(scene, indonesia=5_000)
    empty = await scene.ask(OMAR, "/usage", "Today · Rp 0 of Rp 100.000")
    assert "░░░░░░░░░░ 0 %" in empty.text
    await scene.order()
    page = await scene.ask(OMAR, "/usage", "Today · Rp 5.000 of Rp 100.000")
    assert page.entity_texts("code")[0] == "█░░░░░░░░░ 5 %"
    assert "spent Rp 5.000 · left Rp 95.000, starts anew 15 Mar 00:00" in page.text
    assert "The team this month · Rp 5.000 of Rp 5.000.000" in page.text
    assert "spent Rp 5.000 · left Rp 995.000, starts anew 01 Apr 00:00" in page.text

    for named in (str(OMAR), "omar", "@Omar"):
        await scene.ask(ADA, f"/usage {named}", "Omar · operator")
    await scene.ask(OMAR, f"/usage {ADA}", "needs the role admin")
    await scene.ask(ADA, "/usage 4711", "4711 is not on the list")
    omars = scene.telegram.say(OMAR, "/hello", TEAM_CHAT)
    scene.say(ADA, "/usage", TEAM_CHAT, reply_to=omars.message_id)
    await scene.hears("Omar · operator", TEAM_CHAT)
    scene.say(ADA, "/limit daily 70000 for 1d", TEAM_CHAT, reply_to=omars.message_id)
    await scene.hears("Omar: per day at most Rp 70.000 until 15 Mar", TEAM_CHAT)
    viewer = await scene.hire(BOB, "Bob", Role.VIEWER)
    await scene.ask(viewer, "/usage", "Bob · viewer")


async def test_a_raise_for_a_time_falls_back_by_itself(scene: Scene) -> None:
    _sell(scene, indonesia=5_000)
    await scene.ask(ADA, f"/limit {OMAR} daily 5000", "at most Rp 5.000")
    raised = await scene.ask(ADA, f"/limit {OMAR} daily 15000 for 2 hours", "at most Rp 15.000 until 14 Mar 14:")
    assert "then Rp 5.000 again by itself" in raised.text
    for code in ("111111", "222222"):
        scene.sms.arrive((await scene.order()).id, code=code)  # with a code, what they cost stays spent
        await scene.hears(code, OMAR)
    await scene.ask(OMAR, "/usage", "For a time: per day Rp 15.000 until 14 Mar 14:")

    scene.clock.jump(2 * HOUR)
    await scene.ask(OMAR, "/order whatsapp indonesia", "limit per day (Rp 5.000) has only Rp 0 left")
    page = await scene.ask(OMAR, "/usage", "Today · Rp 10.000 of Rp 5.000")
    assert "██████████ 200 %" in page.text
    assert "For a time" not in page.text
    (until,) = [line.detail["until"] for line in await scene.audited("limit.set") if "until" in line.detail]
    assert isinstance(until, int)

    # The newest word counts: what is set for good ends what was set for a time.
    await scene.ask(ADA, "/limit team_daily 90000 for 1w", "then Rp 500.000 again")
    await scene.ask(ADA, f"/limit {OMAR} daily 20000 for 3d", "at most Rp 20.000 until 17 Mar")
    await scene.ask(ADA, f"/limit {OMAR} daily 1", "at most Rp 1.")
    await scene.ask(OMAR, "/order whatsapp indonesia", "limit per day (Rp 1) has only")
    await scene.reconcile()


async def test_the_form_sets_a_limit_with_four_taps(scene: Scene) -> None:
    who = await scene.ask(ADA, "/limit", "Whose limits?")
    assert who.button_texts == ["Ada", "Omar", "The team"]
    scene.press(ADA, who, "Omar")
    which = await scene.hears("One order: up to Rp 20.000", ADA)
    assert "Per day: Rp 100.000" in which.button_texts
    scene.press(ADA, which, "Per day: Rp 100.000")
    how_much = await scene.hears("per day at most Rp 100.000 now", ADA)
    assert f"/limit {OMAR} daily 200000 for 3d" in how_much.text
    assert how_much.button_texts == [
        "Rp 50.000",
        "Rp 200.000",
        "Rp 500.000",
        "Rp 200.000 for 1 day",
        "Rp 200.000 for 1 week",
        "The standard",
    ]
    scene.press(ADA, how_much, "Rp 200.000 for 1 day")
    await scene.hears("Omar: per day at most Rp 200.000 until 15 Mar 12:", ADA)
    await scene.hears("Ada has changed a limit of yours: per day, Rp 200.000 now until 15 Mar 12:", OMAR, anew=False)
    scene.press(ADA, who, "The team")
    which = await scene.hears("Which limit shall change?", ADA)
    assert which.button_texts == ["For the team per day: Rp 500.000", "For the team per month: Rp 5.000.000"]
    await scene.ask(ADA, f"/limit {OMAR} team_daily", "“team_daily” is a limit of the team")

    # A demoted admin's old keyboard changes nothing any more.
    bob = await scene.hire(BOB, "Bob", Role.ADMIN)
    form = await scene.ask(bob, f"/limit {OMAR} active_orders", "orders without a code at most 3 now")
    await scene.ask(ADA, f"/role {bob} operator", "is an operator now")
    query = scene.telegram.press(bob, bob, form.message_id, "15")
    await scene.until(lambda: any(answer.query_id == query.id for answer in scene.telegram.callback_answers))
    assert "needs the role admin" in scene.telegram.callback_answers[-1].text
    assert len(await scene.audited("limit.set")) == 1


async def test_swapped_and_misspelt_words_lead_to_a_button_that_is_right(scene: Scene) -> None:
    right = f"/limit {OMAR} daily 200000"
    typed = (f"{OMAR} dayly 200000", f"{OMAR} 200000 daily", f"daily {OMAR} 200000", f"daily 200000 {OMAR}")
    answers = [await scene.ask(ADA, f"/limit {words}", "") for words in typed]
    assert [answer.button_texts[0] for answer in answers] == [right] * 4
    assert await scene.audited("limit.set") == []
    scene.press(ADA, answers[-1], right)
    await scene.hears("Omar: per day at most Rp 200.000", ADA)
    wrong = await scene.ask(ADA, f"/allow {SAM} opreator", "I know no role “opreator”")
    scene.press(ADA, wrong, f"/allow {SAM} operator")
    await scene.hears("is an operator now", ADA)


async def test_a_refusal_tells_an_admin_what_to_do_and_a_member_whom_to_ask(scene: Scene) -> None:
    _sell(scene, indonesia=5_000)
    bob = await scene.hire(BOB, "Bob", Role.ADMIN)
    for owner in (ADA, OMAR):
        await scene.ask(ADA, f"/limit {owner} per_order 1", "per order at most Rp 1")
    await scene.ask(ADA, "/order whatsapp indonesia", "You are an admin: /limit raises it")
    await scene.ask(OMAR, "/order whatsapp indonesia", "Ada or Bob can raise it with /limit")
    await scene.ask(bob, f"/limit {OMAR} active_orders 0", "orders without a code at most 0")
    await scene.ask(bob, f"/limit {OMAR} per_order default", "standard")
    await scene.ask(OMAR, "/order whatsapp indonesia", "You can order again once a code has come or one has ended")
