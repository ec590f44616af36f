"""The chat page: its JSON interface over HTTP, and the page itself in a real browser."""

import asyncio
import inspect
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import httpx
import pytest
import pytest_asyncio
from playwright.async_api import Browser, Page, expect
from telegram import Bot, CopyTextButton, InlineKeyboardButton, InlineKeyboardMarkup, Update

from bot.sandbox.bot_api import ADA, OMAR, SAM, TEAM_CHAT, TelegramWorld, bot_app, demo_cast
from bot.sandbox.bot_page import STATIC
from bot.sandbox.server import LoopbackServer
from tests.sandbox.clients import http_client, real_bot
from tests.sandbox.pages import FAINT_TEXT, NAMELESS_CONTROLS, clipboard, opened

# The browser lives in the session's event loop; a test and the server it looks at have to share it.
in_the_session_loop = pytest_asyncio.fixture(loop_scope="session")

ADAS_CHAT = f'[data-chat="{ADA}"]'
TEAM = f'[data-chat="{TEAM_CHAT}"]'
NUMBER = "+628123456789"


@pytest.fixture
def world() -> TelegramWorld:
    return demo_cast(TelegramWorld())


@in_the_session_loop
async def server(world: TelegramWorld) -> AsyncIterator[LoopbackServer]:
    async with LoopbackServer(bot_app(world)) as running:
        yield running


@in_the_session_loop
async def bot(world: TelegramWorld, server: LoopbackServer) -> AsyncIterator[Bot]:
    async with real_bot(world.token, server.url) as made:
        yield made


@in_the_session_loop
async def client(server: LoopbackServer) -> AsyncIterator[httpx.AsyncClient]:
    async with http_client(server.url) as made:
        yield made


@pytest.mark.asyncio(loop_scope="session")
class TestInterface:
    async def test_a_person_acts_from_another_process(
        self, world: TelegramWorld, bot: Bot, client: httpx.AsyncClient
    ) -> None:
        said = (await client.post("/chat/say", json={"user_id": ADA, "text": "/start"})).json()
        assert said["result"]["text"] == "/start"
        keyboard = InlineKeyboardMarkup([[InlineKeyboardButton("Go", callback_data="go")]])
        sent = await bot.send_message(ADA, "hi", reply_markup=keyboard)
        press = {"user_id": ADA, "chat_id": ADA, "message_id": sent.message_id, "button": "Go"}
        pressed = (await client.post("/chat/press", json=press)).json()
        await bot.answer_callback_query(pressed["result"]["id"], "done")
        state = (await client.get("/chat/state")).json()
        chat = next(chat for chat in state["chats"] if chat["id"] == ADA)
        assert [message["text"] for message in chat["messages"]] == ["/start", "hi"]
        calls = (await client.get("/chat/calls")).json()
        assert [call["method"] for call in calls["calls"]] == ["getMe", "sendMessage", "answerCallbackQuery"]
        assert calls["callback_answers"][0]["text"] == "done"

    @pytest.mark.parametrize(
        ("act", "body", "reason"),
        [
            ("say", {"user_id": ADA, "text": " "}, "needs a text"),
            ("say", {"user_id": 4711, "text": "x"}, "there is no 4711"),
            ("say", {"text": "x"}, "user_id"),
            ("press", {"user_id": ADA, "chat_id": ADA, "message_id": 1, "button": "x"}, "no message 1"),
            ("fault", {"kind": "gremlins"}, "gremlins"),
        ],
    )
    async def test_what_cannot_be_done_says_why(
        self, client: httpx.AsyncClient, act: str, body: dict[str, Any], reason: str
    ) -> None:
        answer = await client.post(f"/chat/{act}", json=body)
        assert answer.status_code == 400
        assert reason in answer.json()["error"]

    async def test_faults_are_set_from_another_process(self, world: TelegramWorld, client: httpx.AsyncClient) -> None:
        await client.post("/chat/fault", json={"kind": "reset_after", "method": "sendMessage", "times": 2})
        await client.post("/chat/fault", json={"down": True})
        assert [(fault.kind, fault.times) for fault in world.plan.scripted] == [("reset_after", 2)]
        assert world.down

    @pytest.mark.parametrize(
        "headers",
        [
            {"Host": "rebound.example.org"},
            {"Host": "["},
            {"Origin": "https://example.org"},
            {"Origin": "null"},
            {"Origin": "http://127.0.0.1:1"},
        ],
    )
    @pytest.mark.parametrize("path", ["/", "/chat/state", "/chat/events"])
    async def test_strangers_are_refused(self, client: httpx.AsyncClient, headers: dict[str, str], path: str) -> None:
        assert (await client.get(path, headers=headers)).status_code == 403

    async def test_a_form_is_no_way_in(self, world: TelegramWorld, client: httpx.AsyncClient) -> None:
        body = json.dumps({"user_id": ADA, "text": "x"})
        answer = await client.post("/chat/say", content=body, headers={"Content-Type": "text/plain"})
        assert answer.status_code == 400
        assert world.chat(ADA).messages == {}

    async def test_the_page_is_locked_down(self, client: httpx.AsyncClient) -> None:
        for path in ("/", "/chat/state", *(f"/{name}" for name in STATIC)):
            answer = await client.get(path)
            policy = answer.headers["content-security-policy"]
            assert answer.status_code == 200
            assert "default-src 'none'" in policy
            assert "unsafe" not in policy

    async def test_the_feed_goes_on_where_it_broke_off(self, world: TelegramWorld, client: httpx.AsyncClient) -> None:
        state = (await client.get("/chat/state")).json()
        start = f"{state['world']}-{state['event']}"
        world.say(ADA, "one")
        async with events(client, {"Last-Event-ID": start}) as feed:
            first_id, first = await anext(feed)
        world.say(ADA, "two")
        async with events(client, {"Last-Event-ID": first_id}) as feed:
            _, second = await anext(feed)
            world.say(ADA, "three")
            _, third = await anext(feed)
        assert [event["message"]["text"] for event in (first, second, third)] == ["one", "two", "three"]

    async def test_a_feed_of_another_world_starts_over(self, client: httpx.AsyncClient) -> None:
        async with events(client, {"Last-Event-ID": "otherone-5"}) as feed:
            _, event = await anext(feed)
        assert event == {"kind": "reset"}


@asynccontextmanager
async def events(
    client: httpx.AsyncClient, headers: dict[str, str]
) -> AsyncIterator[AsyncIterator[tuple[str, dict[str, Any]]]]:
    async with client.stream("GET", "/chat/events", headers=headers) as answer:

        async def read() -> AsyncIterator[tuple[str, dict[str, Any]]]:
            number = ""
            async for line in answer.aiter_lines():
                if line.startswith("id: "):
                    number = line.removeprefix("id: ")
                elif line.startswith("data: "):
                    yield number, json.loads(line.removeprefix("data: "))

        async with asyncio.timeout(5):
            yield read()


async def answer_updates(bot: Bot) -> None:
    """A bot of three answers: a card for /order, an edit for its button, an alert for the other one."""
    offset = 0
    while True:
        for update in await bot.get_updates(offset=offset, timeout=5):
            offset = update.update_id + 1
            await _answer(bot, update)


async def _answer(bot: Bot, update: Update) -> None:
    query = update.callback_query
    if query is not None and query.data == "cancel" and query.message is not None:
        await query.answer("Cancelled")
        await bot.edit_message_text("Order #17 is <b>cancelled</b>.", ADA, query.message.message_id, parse_mode="HTML")
    elif query is not None:
        await query.answer("Only admins may do that.", show_alert=True)
    elif update.message is not None and (update.message.text or "").startswith("/order"):
        await bot.send_chat_action(ADA, "typing")
        await bot.send_message(
            ADA,
            f"<b>Order #17</b>\nNumber <code>{NUMBER}</code>",
            parse_mode="HTML",
            reply_markup=InlineKeyboardMarkup(
                [
                    [InlineKeyboardButton("Copy number", copy_text=CopyTextButton(NUMBER))],
                    [
                        InlineKeyboardButton("Cancel", callback_data="cancel", style="danger"),
                        InlineKeyboardButton("Forbidden", callback_data="forbidden"),
                    ],
                ]
            ),
        )


@in_the_session_loop
async def scripted_bot(bot: Bot) -> AsyncIterator[Bot]:
    await bot.set_my_commands([("order", "Rent a number"), ("orders", "What lives"), ("help", "Help")])
    task = asyncio.create_task(answer_updates(bot))
    yield bot
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task


@pytest.mark.asyncio(loop_scope="session")
@pytest.mark.usefixtures("scripted_bot")
class TestPage:
    @pytest.mark.parametrize("viewport", ["desktop", "phone"])
    async def test_a_whole_conversation(
        self, world: TelegramWorld, server: LoopbackServer, browser: Browser, viewport: str
    ) -> None:
        async with opened(browser, server.url, viewport=viewport) as tab:
            page = tab.page
            await page.click(ADAS_CHAT)
            await page.get_by_role("button", name="Start", exact=True).click()
            await page.fill("#text", "/order whatsapp indonesia")
            await page.press("#text", "Enter")
            card = page.locator(".message", has_text="Order #17")
            await expect(card.locator("strong", has_text="Order #17")).to_be_visible()

            await page.get_by_role("button", name="Copy number", exact=True).click()
            await expect(page.locator(".toast")).to_have_text("Copied to the clipboard.")
            assert await clipboard(page) == NUMBER

            await page.get_by_role("button", name="Forbidden").click()
            await expect(page.locator("#dialog-text")).to_have_text("Only admins may do that.")
            await page.get_by_role("button", name="OK").click()

            await page.get_by_role("button", name="Cancel", exact=True).click()
            await expect(page.locator(".toast", has_text="Cancelled")).to_be_visible()
            await expect(page.locator(".message", has_text="Order #17 is cancelled.")).to_be_visible()
            await expect(page.get_by_role("button", name="Forbidden")).to_have_count(0)
            await expect(page.locator(".meta", has_text="edited")).to_have_count(1)

            await page.reload()
            await expect(page.locator(".message")).to_have_count(3)
            await expect(page.locator(".message").first).to_contain_text("/start")
            assert tab.complaints == []
        assert [answer.text for answer in world.callback_answers] == ["Only admins may do that.", "Cancelled"]

    async def test_typing_a_slash_offers_the_commands(
        self, world: TelegramWorld, server: LoopbackServer, browser: Browser
    ) -> None:
        world.say(ADA, "/start")
        async with opened(browser, server.url) as tab:
            page = tab.page
            await page.click(ADAS_CHAT)
            await page.locator("#text").press_sequentially("/or")
            offers = page.get_by_role("option")
            await expect(offers).to_have_count(2)
            await page.press("#text", "ArrowDown")
            await expect(offers.nth(1)).to_have_attribute("aria-selected", "true")
            await page.press("#text", "Tab")
            await expect(page.locator("#text")).to_have_value("/orders ")
            await page.fill("#text", "/he")
            await page.press("#text", "Enter")
            await expect(page.locator(".message.mine", has_text="/help")).to_be_visible()
            assert tab.complaints == []

    async def test_unread_messages_of_another_chat_are_counted(
        self, world: TelegramWorld, server: LoopbackServer, browser: Browser, bot: Bot
    ) -> None:
        async with opened(browser, server.url) as tab:
            page = tab.page
            await page.click(ADAS_CHAT)
            await bot.send_message(TEAM_CHAT, "Hello, team")
            badge = page.locator(f"{TEAM} .badge")
            await expect(badge).to_have_text("1")
            await page.click(TEAM)
            await expect(badge).to_have_count(0)
            await expect(page.locator("#self")).to_contain_text("You are Omar")
            await bot.send_chat_action(TEAM_CHAT, "typing")
            await expect(page.locator("#subtitle")).to_have_text("OTP desk is typing…")
            assert tab.complaints == []

    async def test_formatting_is_shown_and_nothing_is_run(
        self, world: TelegramWorld, server: LoopbackServer, browser: Browser, bot: Bot
    ) -> None:
        world.say(ADA, "<img src=x onerror=alert(1)><script>alert(2)</script>")
        soon = int(world.now()) + 125
        await bot.send_message(
            ADA,
            f'<tg-spoiler>hidden</tg-spoiler> <a href="tg://user?id={OMAR}">Omar</a> '
            f'<tg-time unix="{soon}" format="r">soon</tg-time> <code>847291</code>'
            "<blockquote>quoted</blockquote>&lt;b&gt;",
            parse_mode="HTML",
        )
        async with opened(browser, server.url) as tab:
            page = tab.page
            await page.click(ADAS_CHAT)
            await expect(page.locator(".mine .words")).to_have_text(
                "<img src=x onerror=alert(1)><script>alert(2)</script>"
            )
            assert await page.locator(".log img, .log script").count() == 0
            countdown = page.locator(".words time")
            before = await countdown.inner_text()
            assert before.startswith(("in 2 min", "in 1 min"))
            await expect(countdown).not_to_have_text(before)
            await page.locator(".spoiler").click()
            await expect(page.locator(".spoiler")).to_have_class("spoiler shown")
            await expect(page.locator(".mention")).to_have_text("Omar")
            await page.locator(".words code").click()
            await expect(page.locator(".toast")).to_be_visible()
            assert await clipboard(page) == "847291"
            await bot.send_message(ADA, "one more")
            await expect(page.locator(".message")).to_have_count(3)
            await expect(page.locator(".spoiler")).to_have_class("spoiler shown")
            assert tab.complaints == []

    async def test_replying_and_editing(
        self, world: TelegramWorld, server: LoopbackServer, browser: Browser, bot: Bot
    ) -> None:
        world.say(ADA, "/start")
        await bot.send_message(ADA, "Which one?")
        async with opened(browser, server.url) as tab:
            page = tab.page
            await page.click(ADAS_CHAT)
            question = page.locator(".message", has_text="Which one?")
            await question.hover()
            await question.get_by_role("button", name="Reply").click()
            await page.fill("#text", "That oen")
            await page.press("#text", "Enter")
            await expect(page.locator(".mine .quoted")).to_contain_text("Which one?")
            await page.press("#text", "ArrowUp")
            await page.fill("#text", "That one")
            await page.press("#text", "Enter")
            await expect(page.locator(".mine", has_text="That one")).to_contain_text("edited")
            assert tab.complaints == []
        assert world.chat(ADA).visible()[-1].text == "That one"

    async def test_a_lost_server_is_said_and_found_again(self, world: TelegramWorld, browser: Browser) -> None:
        app = bot_app(world)
        async with LoopbackServer(app) as server, opened(browser, server.url) as tab:
            page = tab.page
            await page.click(ADAS_CHAT)
            port = int(server.url.rpartition(":")[2])
            await server.__aexit__(None, None, None)
            await expect(page.locator("#banner")).to_be_visible()
            world.say(ADA, "said meanwhile")
            async with LoopbackServer(app, port):
                await expect(page.locator("#banner")).to_be_hidden(timeout=10_000)
                await expect(page.locator(".message", has_text="said meanwhile")).to_be_visible()

    @pytest.mark.parametrize("scheme", ["light", "dark"])
    async def test_words_stand_out_from_their_ground(
        self, world: TelegramWorld, server: LoopbackServer, browser: Browser, bot: Bot, scheme: str
    ) -> None:
        world.say(ADA, "/start")
        await _answer(bot, Update.de_json({"update_id": 1, "message": world.say(ADA, "/order x").body}, bot))
        world.say(OMAR, "Hello", TEAM_CHAT)
        world.say(SAM, "Hello to you", TEAM_CHAT)
        async with opened(browser, server.url, scheme=scheme) as tab:
            faint: list[str] = []
            for view in (ADAS_CHAT, TEAM):
                await tab.page.click(view)
                await tab.page.wait_for_selector(".message")
                await tab.page.wait_for_timeout(250)
                faint += await tab.page.evaluate(FAINT_TEXT)
        assert faint == []

    async def test_everything_is_reached_by_keyboard(
        self, world: TelegramWorld, server: LoopbackServer, browser: Browser, bot: Bot
    ) -> None:
        world.say(ADA, "/start")
        await bot.send_message(
            ADA, "x", reply_markup=InlineKeyboardMarkup([[InlineKeyboardButton("Go", callback_data="cancel")]])
        )
        async with opened(browser, server.url) as tab:
            page = tab.page
            await page.focus(ADAS_CHAT)
            await page.keyboard.press("Enter")
            reached = await _tab_until(page, lambda label: label == "Go")
            assert reached
            await page.keyboard.press("Enter")
            await expect(page.locator(".toast", has_text="Cancelled")).to_be_visible()
            nameless = await page.evaluate(NAMELESS_CONTROLS)
            assert nameless == []


async def _tab_until(page: Page, wanted: Callable[[str], bool], *, steps: int = 30) -> bool:
    for _ in range(steps):
        await page.keyboard.press("Shift+Tab")
        if wanted(str(await page.evaluate("document.activeElement.textContent.trim()"))):
            return True
    return False


def test_the_page_never_parses_data_as_html() -> None:
    beside = Path(inspect.getfile(bot_app)).parent
    scripts = list(beside.glob("*.js"))
    assert len(scripts) == 6
    script = "".join(path.read_text(encoding="utf-8") for path in scripts)
    page = (beside / "chat.html").read_text(encoding="utf-8")
    for way in ("innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval("):
        assert way not in script
    assert "<script>" not in page
    assert "https://" not in page
