"""What the chat page can do beyond a conversation: topics, people to pick, files, switches, and any text anywhere."""

import asyncio
import struct
import zlib
from collections.abc import AsyncIterator, Callable
from functools import partial

import httpx
import pytest
import pytest_asyncio
from playwright.async_api import Browser, Page, expect
from telegram import (
    Bot,
    InlineKeyboardButton,
    InlineKeyboardMarkup,
    KeyboardButton,
    KeyboardButtonRequestUsers,
    ReplyKeyboardMarkup,
    ReplyKeyboardRemove,
)
from telegram.error import NetworkError

from bot.sandbox.bot_api import ADA, OMAR, SAM, TEAM_CHAT, TelegramWorld, demo_cast
from bot.sandbox.server import LoopbackServer
from bot.sandbox.sms_api import SmsWorld
from bot.sandbox.stage import sandbox_app
from tests.sandbox.clients import http_client, real_bot
from tests.sandbox.pages import clipboard, flaws_in_any_light, is_as_wide_as_its_window, opened

in_the_session_loop = pytest_asyncio.fixture(loop_scope="session")
in_a_browser = pytest.mark.asyncio(loop_scope="session")

ADAS_CHAT = f'[data-chat="{ADA}"]'
TEAM = f'[data-chat="{TEAM_CHAT}"]'
AWKWARD = {
    "markup": '<img src=x onerror="window.run=1"><script>window.run=1</script>&lt;b&gt;\'"`${1}',
    "long": "W" * 4096,
    "emoji": "👩🏽‍🚀🏳️‍🌈🇮🇩" * 11,
    "right to left": "مرحبا بالعالم \u200f(قائمة) 12345 שלום עולם " * 20,
}


@pytest.fixture
def world() -> TelegramWorld:
    return demo_cast(TelegramWorld())


@pytest.fixture
def sms() -> SmsWorld:
    return SmsWorld(arrival=None)


@in_the_session_loop
async def server(world: TelegramWorld, sms: SmsWorld) -> AsyncIterator[LoopbackServer]:
    async with LoopbackServer(sandbox_app(world, sms)) as running:
        yield running


@in_the_session_loop
async def bot(world: TelegramWorld, server: LoopbackServer) -> AsyncIterator[Bot]:
    world.say(ADA, "/start")
    async with real_bot(world.token, server.url) as made:
        yield made


@in_the_session_loop
async def client(server: LoopbackServer) -> AsyncIterator[httpx.AsyncClient]:
    async with http_client(server.url) as made:
        yield made


def png(width: int, height: int) -> bytes:
    """A picture of one colour."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    rows = (b"\0" + b"\x33\x77\xbb" * width) * height
    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


async def write(page: Page, text: str) -> None:
    await page.fill("#text", text)
    await page.press("#text", "Enter")


@in_a_browser
class TestChats:
    async def test_in_a_group_anybody_speaks_and_each_topic_is_a_place(
        self, world: TelegramWorld, server: LoopbackServer, browser: Browser, bot: Bot
    ) -> None:
        world.open_forum(TEAM_CHAT, ("Sign-up tests", "Regions"), by=ADA)
        topic = next(number for number, name in world.chat(TEAM_CHAT).topics.items() if name == "Regions")
        async with opened(browser, server.url) as tab:
            page = tab.page
            await page.click(TEAM)
            await page.get_by_role("button", name="Speak as Sam").click()
            await page.get_by_role("button", name="Regions", exact=True).click()
            await write(page, "Is Vietnam open?")
            await expect(page.locator(".mine .words")).to_have_text("Is Vietnam open?")
            said = world.chat(TEAM_CHAT).visible()[-1]
            assert (said.sender_id, said.thread_id) == (SAM, topic)
            await bot.send_message(TEAM_CHAT, "It is.", message_thread_id=topic)
            await expect(page.locator(".message")).to_have_count(2)
            await page.get_by_role("button", name="General", exact=True).click()
            await expect(page.locator(".message")).to_have_count(0)
            await write(page, "In the open")
            await expect(page.locator(".message")).to_have_count(1)
            assert world.chat(TEAM_CHAT).visible()[-1].thread_id is None
            await page.get_by_role("button", name="All", exact=True).click()
            await expect(page.locator(".topic").first).to_have_text("# Regions")
            await page.reload()
            await expect(page.get_by_role("button", name="Speak as Sam")).to_have_attribute("aria-pressed", "true")
            assert tab.complaints == []

    async def test_two_tabs_agree(
        self, world: TelegramWorld, server: LoopbackServer, browser: Browser, bot: Bot
    ) -> None:
        keyboard = InlineKeyboardMarkup([[InlineKeyboardButton("Go", callback_data="go")]])
        card = await bot.send_message(ADA, "Shall I?", reply_markup=keyboard)
        async with opened(browser, server.url) as one, opened(browser, server.url, viewport="phone") as other:
            for tab in (one, other):
                await tab.page.click(ADAS_CHAT)
            await write(one.page, "From the first tab")
            await expect(other.page.locator(".mine", has_text="From the first tab")).to_be_visible()
            await other.page.get_by_role("button", name="Go", exact=True).click()
            await bot.edit_message_text("Done.", ADA, card.message_id)
            for tab in (one, other):
                await expect(tab.page.locator(".message", has_text="Done.")).to_contain_text("edited")
            await bot.delete_message(ADA, card.message_id)
            for tab in (one, other):
                await expect(tab.page.locator(".message", has_text="Done.")).to_have_count(0)
            words = [await tab.page.locator(".words").all_inner_texts() for tab in (one, other)]
            assert words[0] == words[1] == ["/start", "From the first tab"]
            assert one.complaints == other.complaints == []

    async def test_people_are_picked_for_the_bot(
        self, world: TelegramWorld, server: LoopbackServer, browser: Browser, bot: Bot
    ) -> None:
        request = KeyboardButtonRequestUsers(7, user_is_bot=False, max_quantity=1, request_name=True)
        rows = [[KeyboardButton("Choose a person", request_users=request)], [KeyboardButton("Never mind")]]
        keyboard = ReplyKeyboardMarkup(rows, one_time_keyboard=True, input_field_placeholder="Choose or type an id")
        await bot.send_message(ADA, "Who shall come in?", reply_markup=keyboard)
        async with opened(browser, server.url, viewport="phone") as tab:
            page = tab.page
            await page.click(ADAS_CHAT)
            await expect(page.locator("#text")).to_have_attribute("placeholder", "Choose or type an id")
            await page.get_by_role("button", name="Choose a person").click()
            await expect(page.locator("#dialog-ok")).to_be_disabled()
            await page.locator("#dialog label", has_text="Omar").click()
            await page.locator("#dialog label", has_text="Sam").click()
            await page.get_by_role("button", name="OK").click()
            await expect(page.locator(".service", has_text="shared Sam")).to_be_visible()
            shared = world.chat(ADA).visible()[-1].body["users_shared"]
            assert shared == {"request_id": 7, "users": [{"user_id": SAM, "first_name": "Sam"}]}
            await expect(page.locator("#keyboard")).to_be_hidden()
            await page.get_by_role("button", name="Buttons of the bot").click()
            await page.get_by_role("button", name="Never mind").click()
            await expect(page.locator(".mine", has_text="Never mind")).to_be_visible()
            await bot.send_message(ADA, "All right.", reply_markup=ReplyKeyboardRemove())
            await expect(page.locator("#keyboard-toggle")).to_be_hidden()
            assert tab.complaints == []

    async def test_photos_and_documents_open(
        self, world: TelegramWorld, server: LoopbackServer, browser: Browser, bot: Bot
    ) -> None:
        await bot.send_photo(ADA, png(640, 360), caption="Spend by day")
        await bot.send_document(ADA, b'\xef\xbb\xbfwho,note\nOmar,"one, ""two"""\n', filename="orders.csv")
        await bot.send_document(ADA, b"<script>window.run = 1</script>", filename="page.txt")
        await bot.send_document(ADA, b"\x00\x01", filename="data.bin")
        async with opened(browser, server.url) as tab:
            page = tab.page
            await page.click(ADAS_CHAT)
            await page.get_by_role("button", name="Open the photo: Spend by day").click()
            size = await page.locator("#viewer-body img").evaluate("(one) => [one.naturalWidth, one.naturalHeight]")
            assert size == [640, 360]
            await page.keyboard.press("Escape")
            await page.get_by_role("button", name="Open orders.csv").click()
            await expect(page.locator("#viewer-body th")).to_have_text(["who", "note"])
            await expect(page.locator("#viewer-body td")).to_have_text(["Omar", 'one, "two"'])
            async with page.expect_download() as started:
                await page.get_by_role("link", name="Save").click()
            assert (await started.value).suggested_filename == "orders.csv"
            await page.get_by_role("button", name="Close", exact=True).click()
            await page.get_by_role("button", name="Open page.txt").click()
            await expect(page.locator("#viewer-body pre")).to_have_text("<script>window.run = 1</script>")
            await page.keyboard.press("Escape")
            await page.get_by_role("button", name="Open data.bin").click()
            await expect(page.locator("#viewer-body")).to_contain_text("cannot be shown")
            assert await page.evaluate("window.run") is None
            assert tab.complaints == []

    async def test_it_is_quiet_until_asked_and_keeps_its_colours(
        self, world: TelegramWorld, server: LoopbackServer, browser: Browser, bot: Bot
    ) -> None:
        async with opened(browser, server.url) as tab:
            page = tab.page
            await page.add_init_script(
                "window.rung = 0; const own = OscillatorNode.prototype.start;"
                "OscillatorNode.prototype.start = function (...when) { window.rung += 1; own.apply(this, when); }"
            )
            await page.reload()
            await page.click(ADAS_CHAT)
            await bot.send_message(ADA, "quiet")
            await expect(page.locator(".message", has_text="quiet")).to_be_visible()
            assert await page.evaluate("window.rung") == 0
            await page.get_by_role("button", name="Sound").click()
            heard = await page.evaluate("window.rung")
            assert heard > 0
            await bot.send_message(ADA, "loud")
            await expect(page.locator(".message", has_text="loud")).to_be_visible()
            assert await page.evaluate("window.rung") > heard
            ground = await page.evaluate("getComputedStyle(document.body).backgroundColor")
            for _ in ("light", "dark"):
                await page.locator("#theme").click()
            assert await page.evaluate("getComputedStyle(document.body).backgroundColor") != ground
            await page.reload()
            await expect(page.get_by_role("button", name="Always dark")).to_be_visible()
            await expect(page.get_by_role("button", name="Sound")).to_have_attribute("aria-pressed", "true")
            assert tab.complaints == []

    async def test_nothing_moves_for_whoever_asks_for_less_motion(
        self, server: LoopbackServer, browser: Browser, bot: Bot
    ) -> None:
        keyboard = InlineKeyboardMarkup([[InlineKeyboardButton("Go", callback_data="go")]])
        await bot.send_message(ADA, "Shall I?", reply_markup=keyboard)
        async with opened(browser, server.url) as tab:
            await tab.page.click(ADAS_CHAT)
            key = tab.page.get_by_role("button", name="Go", exact=True)
            await key.click()  # nobody answers, so it goes on waiting
            await expect(key).to_have_attribute("aria-busy", "true")
            moving = "document.getAnimations().filter((one) => one.playState === 'running').length"
            assert await tab.page.evaluate(moving) > 0
            await tab.page.emulate_media(reduced_motion="reduce")
            await tab.page.wait_for_function(f"{moving} === 0")
            await expect(key).to_have_attribute("aria-busy", "true")


@in_a_browser
class TestAnyText:
    @pytest.mark.parametrize("kind", AWKWARD)
    async def test_every_field_takes_it(
        self, world: TelegramWorld, server: LoopbackServer, browser: Browser, bot: Bot, kind: str
    ) -> None:
        text = AWKWARD[kind].strip()
        world.users[SAM].first_name = text[:64]
        world.open_forum(TEAM_CHAT, (text[:128],), by=ADA)
        world.chat(TEAM_CHAT).title = text[:255]
        await bot.set_my_commands([("order", text[:100])])
        rows = [[KeyboardButton(text[:200])]]
        await bot.send_message(
            ADA, "x", reply_markup=ReplyKeyboardMarkup(rows, input_field_placeholder=text[:20].strip() or "x")
        )
        inline = InlineKeyboardMarkup([[InlineKeyboardButton(text[:200], callback_data="go")]])
        told = await bot.send_message(ADA, text, reply_markup=inline)
        await bot.send_document(ADA, b"x", filename=f"{text[:40]}.txt", caption=text[:200])
        await bot.pin_chat_message(ADA, told.message_id)
        for viewport in ("phone", "desktop"):
            async with opened(browser, server.url, viewport=viewport) as tab:
                page = tab.page
                assert await is_as_wide_as_its_window(page)
                await page.click(ADAS_CHAT)
                await write(page, text)
                mine = page.locator(".mine .words").last
                await expect(mine).to_have_text(text)
                await expect(page.locator("#text")).to_have_value("")
                assert world.chat(ADA).visible()[-1].text == text
                await page.locator(f'[data-id="{told.message_id}"] .key').click()
                await until(lambda: any(not query.answered for query in world.queries.values()))
                query = list(world.queries.values())[-1]
                await bot.answer_callback_query(query.id, text[:200], show_alert=viewport == "phone")
                if viewport == "phone":
                    await expect(page.locator("#dialog-text")).to_have_text(text[:200].strip())
                    await page.keyboard.press("Escape")
                else:
                    await expect(page.locator(".toast")).to_contain_text(text[:20].strip())
                await page.fill("#text", "/")
                await expect(page.get_by_role("option")).to_contain_text(text[:20].strip())
                assert await is_as_wide_as_its_window(page)
                if viewport == "phone":
                    await page.locator("#back").click()
                await page.click(TEAM)
                assert await is_as_wide_as_its_window(page)
                assert await page.evaluate("window.run") is None
                assert tab.complaints == []

    async def test_more_than_a_message_holds_is_not_taken(
        self, world: TelegramWorld, server: LoopbackServer, browser: Browser, client: httpx.AsyncClient, bot: Bot
    ) -> None:
        answer = await client.post("/chat/say", json={"user_id": ADA, "text": "x" * 4097})
        assert answer.status_code == 400
        assert "at most 4,096 characters" in answer.json()["error"]
        said = world.chat(ADA).visible()[-1]
        edit = {"user_id": ADA, "chat_id": ADA, "message_id": said.message_id, "text": " "}
        assert (await client.post("/chat/edit", json=edit)).status_code == 400
        assert said.text == "/start"
        async with opened(browser, server.url) as tab:
            await tab.page.click(ADAS_CHAT)
            await tab.page.locator("#text").evaluate("(box) => box.focus()")
            await tab.page.evaluate("document.execCommand('insertText', false, 'y'.repeat(5000))")
            assert len(await tab.page.input_value("#text")) == 4096

    async def test_what_cannot_be_sent_stays_in_the_field(
        self, world: TelegramWorld, browser: Browser, sms: SmsWorld
    ) -> None:
        world.say(ADA, "/start")
        async with LoopbackServer(sandbox_app(world, sms)) as server, opened(browser, server.url) as tab:
            await tab.page.click(ADAS_CHAT)
            await server.__aexit__(None, None, None)
            await write(tab.page, "/order whatsapp indonesia")
            await expect(tab.page.locator(".toast", has_text="Not sent")).to_be_visible()
            await expect(tab.page.locator("#text")).to_have_value("/order whatsapp indonesia")
            await expect(tab.page.locator("#banner")).to_be_visible()


@in_a_browser
class TestAccess:
    @pytest.mark.parametrize("viewport", ["desktop", "phone"])
    async def test_nothing_serious_is_found_in_any_view(
        self, world: TelegramWorld, sms: SmsWorld, server: LoopbackServer, browser: Browser, bot: Bot, viewport: str
    ) -> None:
        world.open_forum(TEAM_CHAT, ("Regions",), by=ADA)
        sms.create_order(sms.products("indonesia", "whatsapp")[0].id)
        for user, words in ((SAM, "Morning"), (OMAR, "Hello <you>"), (ADA, "/order whatsapp indonesia")):
            world.say(user, words, TEAM_CHAT)
        styles = ("primary", "success", "danger", None)
        buttons = [[InlineKeyboardButton(str(style), callback_data="x", style=style)] for style in styles]
        soon = int(world.now()) + 125
        await bot.send_message(
            ADA,
            f'<b>1</b> <code>847291</code> <tg-spoiler>x</tg-spoiler> <tg-time unix="{soon}" format="r">soon</tg-time> '
            f'<a href="https://example.com/">link</a> <a href="tg://user?id={OMAR}">Omar</a><pre>pre</pre>'
            "<blockquote>quote</blockquote><blockquote expandable>more</blockquote> /help",
            parse_mode="HTML",
            reply_markup=InlineKeyboardMarkup(buttons),
        )
        await bot.send_photo(ADA, png(300, 200), caption="A picture")
        await bot.send_document(ADA, b"a,b\n1,2\n", filename="a.csv")
        await bot.set_my_commands([("order", "Rent a number")])
        world.say(ADA, "/order whatsapp", reply_to=world.chat(ADA).visible()[1].message_id)
        found: list[str] = []
        async with opened(browser, server.url, viewport=viewport) as tab:
            page = tab.page
            await expect(page.locator(".number")).to_have_count(1)
            found += await flaws_in_any_light(page)
            await page.click(ADAS_CHAT)
            await page.fill("#text", "/")
            await page.wait_for_timeout(250)
            found += await flaws_in_any_light(page)
            await page.get_by_role("button", name="Open a.csv").click()
            found += await flaws_in_any_light(page)
            await page.keyboard.press("Escape")
            if viewport == "phone":
                await page.locator("#outside-chat").click()
                await page.wait_for_timeout(250)
                found += await flaws_in_any_light(page)
                await page.locator("#side-close").click()
                await page.locator("#back").click()
            await page.click(TEAM)
            found += await flaws_in_any_light(page)
            assert tab.complaints == []
        assert "\n".join(found) == ""

    async def test_a_page_with_a_flaw_would_be_found(self, server: LoopbackServer, browser: Browser) -> None:
        async with opened(browser, server.url) as tab:
            await tab.page.evaluate(
                "document.getElementById('people').append(document.createElement('button'), 'faint');"
                "document.getElementById('people').style.color = '#eee'"
            )
            found = await flaws_in_any_light(tab.page)
        assert any("button-name" in flaw for flaw in found)
        assert any("faint" in flaw for flaw in found)


STATES: dict[str, Callable[[TelegramWorld, SmsWorld], bool]] = {
    "Sold out": lambda _, sms: not any(product.available for product in sms.products()),
    "Rate limit": lambda _, sms: [fault.kind for fault in sms.faults.queued] == ["rate_limited"],
    "SMSCode down": lambda _, sms: sms.down,
    "Telegram down": lambda world, _: world.down,
}
"""What each switch of the panel means in the two worlds."""


@in_a_browser
class TestSwitches:
    async def test_each_switch_does_what_it_says_and_can_be_turned_back(
        self, world: TelegramWorld, sms: SmsWorld, server: LoopbackServer, browser: Browser
    ) -> None:
        stock = {product.id: product.available for product in sms.products()}
        async with opened(browser, server.url, viewport="phone") as tab:
            page = tab.page
            await page.locator("#outside-list").click()
            for name, holds in STATES.items():
                switch = page.get_by_role("switch", name=name)
                assert not holds(world, sms)
                await switch.check()
                await page.wait_for_function("(box) => box.checked", arg=await switch.element_handle())
                await until(partial(holds, world, sms))
                await switch.uncheck()
                await until(partial(lambda holds: not holds(world, sms), holds))
            assert {product.id: product.available for product in sms.products()} == stock
            await expect(page.get_by_role("switch", name="SMS come by themselves")).to_have_count(0)
            await expect(page.locator("#process")).to_be_hidden()
            assert tab.complaints == []

    @pytest.mark.parametrize(
        ("path", "body", "status"),
        [
            ("switch", b"", 400),
            ("switch", b"[]", 400),
            ("switch", b'{"name": "sold_out", "on": 1}', 400),
            ("switch", b'{"name": "moon", "on": true}', 400),
            ("switch", b'{"name": "arrivals", "on": true}', 400),
            ("kill", b"", 409),
        ],
    )
    async def test_what_cannot_be_done_backstage_says_why(
        self, client: httpx.AsyncClient, sms: SmsWorld, path: str, body: bytes, status: int
    ) -> None:
        answer = await client.post(f"/backstage/{path}", content=body)
        assert answer.status_code == status
        assert answer.json()["error"]
        assert sms.arrival is None

    @pytest.mark.parametrize("headers", [{"Origin": "https://example.org"}, {"Host": "rebound.example.org"}])
    async def test_another_site_cannot_turn_them(
        self, world: TelegramWorld, client: httpx.AsyncClient, headers: dict[str, str]
    ) -> None:
        answer = await client.post("/backstage/switch", json={"name": "telegram_down", "on": True}, headers=headers)
        assert answer.status_code == 403
        assert not world.down

    async def test_a_bot_that_is_cut_off_hears_it_all_later(self, world: TelegramWorld, bot: Bot) -> None:
        poll = asyncio.create_task(bot.get_updates(timeout=5))
        await until(lambda: bool(world.calls) and world.calls[-1].method == "getUpdates")
        updates = await poll
        poll = asyncio.create_task(bot.get_updates(offset=updates[-1].update_id + 1, timeout=5))
        await until(lambda: not world.updates.pending)
        world.down = True
        world.say(ADA, "said meanwhile")
        with pytest.raises(NetworkError):
            await poll
        world.down = False
        (update,) = await bot.get_updates(offset=updates[-1].update_id + 1, timeout=5)
        assert update.message is not None
        assert update.message.text == "said meanwhile"


async def until(holds: Callable[[], bool], seconds: float = 10.0) -> None:
    async with asyncio.timeout(seconds):
        while not holds():
            await asyncio.sleep(0.02)


@in_a_browser
async def test_a_code_in_the_chat_is_copied(
    world: TelegramWorld, server: LoopbackServer, browser: Browser, bot: Bot
) -> None:
    await bot.send_message(ADA, "🔑 <code>847291</code>", parse_mode="HTML")
    async with opened(browser, server.url, viewport="phone") as tab:
        await tab.page.click(ADAS_CHAT)
        await tab.page.get_by_role("button", name="Copy 847291").press("Enter")
        await expect(tab.page.locator(".toast")).to_have_text("Copied to the clipboard.")
        assert await clipboard(tab.page) == "847291"
