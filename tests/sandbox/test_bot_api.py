"""The pretend Bot API, driven by a real python-telegram-bot client over real loopback sockets."""

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from datetime import timedelta
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from telegram import (
    Bot,
    BotCommand,
    BotCommandScopeAllPrivateChats,
    BotCommandScopeChat,
    BotCommandScopeChatMember,
    CopyTextButton,
    InlineKeyboardButton,
    InlineKeyboardMarkup,
    KeyboardButton,
    KeyboardButtonRequestUsers,
    ReactionTypeEmoji,
    ReplyKeyboardMarkup,
    ReplyKeyboardRemove,
    ReplyParameters,
    Update,
)
from telegram.error import (
    BadRequest,
    ChatMigrated,
    Conflict,
    EndPointNotFound,
    Forbidden,
    InvalidToken,
    NetworkError,
    RetryAfter,
    TelegramError,
    TimedOut,
)

from bot.sandbox.bot_api import (
    ADA,
    OMAR,
    SAM,
    TEAM_CHAT,
    Fault,
    PersonError,
    RandomFaults,
    TelegramWorld,
    bot_app,
    demo_cast,
)
from bot.sandbox.server import LoopbackServer
from tests.sandbox.clients import http_client, real_bot


class HandClock:
    """Time that stands still until a test moves it."""

    def __init__(self) -> None:
        self.seconds = 1_790_000_000.0

    def __call__(self) -> float:
        return self.seconds


def png(width: int, height: int) -> bytes:
    """The beginning of a PNG of that size: all that Telegram's limits look at."""
    return b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR" + width.to_bytes(4, "big") + height.to_bytes(4, "big")


@pytest.fixture
def clock() -> HandClock:
    return HandClock()


@pytest.fixture
def world(clock: HandClock) -> TelegramWorld:
    made = demo_cast(TelegramWorld(now=clock))
    made.say(ADA, "/start")
    return made


@pytest.fixture
async def server(world: TelegramWorld) -> AsyncIterator[LoopbackServer]:
    async with LoopbackServer(bot_app(world, webhook_retry_seconds=0.02)) as running:
        yield running


@pytest.fixture
async def bot(world: TelegramWorld, server: LoopbackServer) -> AsyncIterator[Bot]:
    async with real_bot(world.token, server.url) as made:
        yield made


@pytest.fixture(autouse=True)
def future_retry_after(monkeypatch: pytest.MonkeyPatch) -> None:
    """The client warns about the old type of `RetryAfter.retry_after` unless it is told to use the new one."""
    monkeypatch.setenv("PTB_TIMEDELTA", "true")


@pytest.fixture(autouse=True)
def quiet_ptb_logger(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """The client logs a traceback for every answer that is no JSON; here such answers are made on purpose."""
    with caplog.at_level("CRITICAL", logger="telegram.request.BaseRequest"):
        yield


def keyboard(*rows: list[InlineKeyboardButton]) -> InlineKeyboardMarkup:
    return InlineKeyboardMarkup(rows)


def go_button(data: str = "go") -> InlineKeyboardMarkup:
    return keyboard([InlineKeyboardButton("Go", callback_data=data)])


def picker(**wishes: Any) -> ReplyKeyboardMarkup:
    wanted = KeyboardButtonRequestUsers(7, **wishes)
    return ReplyKeyboardMarkup([[KeyboardButton("Choose", request_users=wanted)]])


async def raw(server: LoopbackServer, world: TelegramWorld, method: str, **params: Any) -> Any:
    """A call without the client in between, which rewrites descriptions."""
    async with http_client() as client:
        return (await client.post(f"{server.url}/bot{world.token}/{method}", json=params)).json()


def refusal(description: str, code: int = 400) -> dict[str, Any]:
    return {"ok": False, "error_code": code, "description": description}


async def drain(bot: Bot) -> list[Update]:
    updates = list(await bot.get_updates(timeout=0))
    if updates:
        await bot.get_updates(offset=updates[-1].update_id + 1, timeout=0)
    return updates


class TestIdentity:
    async def test_get_me_names_the_bot(self, bot: Bot) -> None:
        me = await bot.get_me()
        assert (me.username, me.is_bot) == ("otpdesk_bot", True)
        assert bot.id == me.id

    @pytest.mark.parametrize(
        ("token", "status", "description"),
        [
            ("7100000001:AAsomebody_elses_token_of_right_form", 401, "Unauthorized"),
            ("nonsense", 404, "Not Found"),
        ],
    )
    async def test_wrong_tokens(self, server: LoopbackServer, token: str, status: int, description: str) -> None:
        async with http_client() as client:
            answer = await client.get(f"{server.url}/bot{token}/getMe")
        assert answer.status_code == status
        assert answer.json() == {"ok": False, "error_code": status, "description": description}

    async def test_ptb_reads_a_wrong_token_as_such(self, server: LoopbackServer) -> None:
        with pytest.raises(InvalidToken):
            async with real_bot("7100000001:AAsomebody_elses_token_of_right_form", server.url):
                pytest.fail("a wrong token opened the bot")

    async def test_unknown_method_is_404(self, bot: Bot) -> None:
        with pytest.raises(EndPointNotFound):
            await bot.do_api_request("sendPigeon", {"chat_id": ADA})

    @pytest.mark.parametrize("chat_id", ["--5", "²", "@nobody", "4711"])
    async def test_a_chat_that_cannot_be_is_not_found(
        self, world: TelegramWorld, server: LoopbackServer, chat_id: str
    ) -> None:
        assert await raw(server, world, "sendMessage", chat_id=chat_id, text="x") == refusal(
            "Bad Request: chat not found"
        )

    @pytest.mark.parametrize("form", ["query", "form", "json"])
    async def test_every_kind_of_body_is_read(self, world: TelegramWorld, server: LoopbackServer, form: str) -> None:
        values: dict[str, Any] = {"chat_id": str(ADA), "text": "from a body"}
        address = f"{server.url}/bot{world.token}/SENDMESSAGE"
        async with http_client() as client:
            if form == "query":
                answer = await client.get(address, params=values)
            elif form == "form":
                answer = await client.post(address, data=values)
            else:
                answer = await client.post(address, json=values)
        assert answer.json()["result"]["text"] == "from a body"


class TestFormatting:
    @pytest.mark.parametrize(
        ("source", "text", "entities"),
        [
            ("<b>a</b><strong>b</strong>", "ab", [("bold", 0, 1), ("bold", 1, 1)]),
            ("<i>a</i><em>b</em>", "ab", [("italic", 0, 1), ("italic", 1, 1)]),
            ("<u>a</u><ins>b</ins>", "ab", [("underline", 0, 1), ("underline", 1, 1)]),
            ("<s>a</s><strike>b</strike><del>c</del>", "abc", [("strikethrough", n, 1) for n in range(3)]),
            (
                '<span class="tg-spoiler">a</span><tg-spoiler>b</tg-spoiler>',
                "ab",
                [("spoiler", 0, 1), ("spoiler", 1, 1)],
            ),
            ("<code>+628123456789</code>", "+628123456789", [("code", 0, 13)]),
            ("<pre>x\ny</pre>", "x\ny", [("pre", 0, 3)]),
            ("<blockquote>q</blockquote>", "q", [("blockquote", 0, 1)]),
            ("<blockquote expandable>q</blockquote>", "q", [("expandable_blockquote", 0, 1)]),
            ("<b>a<i>b</i></b>", "ab", [("bold", 0, 2), ("italic", 1, 1)]),
            ("😀<b>x</b>", "😀x", [("bold", 2, 1)]),
            ("&lt;b&gt; &amp; &quot;&#65;&#x1F600;&copy;", '<b> & "A😀&copy;', []),
            ("  <b> padded </b>\n", "padded", [("bold", 0, 6)]),
            ("x <b></b>y", "x y", []),
            ("<code>/not_a_command</code>", "/not_a_command", [("code", 0, 14)]),
        ],
    )
    async def test_html(self, bot: Bot, source: str, text: str, entities: list[tuple[str, int, int]]) -> None:
        sent = await bot.send_message(ADA, source, parse_mode="HTML")
        assert sent.text == text
        assert [(one.type, one.offset, one.length) for one in sent.entities] == entities

    async def test_entities_with_an_argument(self, bot: Bot) -> None:
        sent = await bot.send_message(
            ADA,
            '<a href="https://example.org/?a=1&amp;b=2">l</a> <a href="tg://user?id=1002">Omar</a> '
            '<pre><code class="language-python">p</code></pre> <tg-emoji emoji-id="5368324170671202286">👍</tg-emoji> '
            '<tg-time unix="1790000300" format="r">soon</tg-time>',
            parse_mode="HTML",
        )
        link, mention, code, emoji, moment = sent.entities
        assert link.url == "https://example.org/?a=1&b=2"
        assert mention.user is not None
        assert mention.user.id == OMAR
        assert (code.type, code.language) == ("pre", "python")
        assert emoji.custom_emoji_id == "5368324170671202286"
        assert moment.type == "date_time"
        assert moment.unix_time is not None
        assert (moment.unix_time.timestamp(), moment.date_time_format) == (1790000300, "r")

    async def test_commands_mentions_and_links_are_found(self, bot: Bot) -> None:
        sent = await bot.send_message(ADA, "/order @omar_qa https://example.org +628123456789 #tag me@example.org")
        assert [one.type for one in sent.entities] == [
            "bot_command",
            "mention",
            "url",
            "phone_number",
            "hashtag",
            "email",
        ]

    @pytest.mark.parametrize(
        ("source", "reason"),
        [
            ("<b>x", 'Can\'t find end tag corresponding to start tag "b"'),
            ("é <foo>x</foo>", 'Unsupported start tag "foo" at byte offset 3'),
            ("1 < 2", 'Unsupported start tag "" at byte offset 2'),
            ("1 <", "Unclosed start tag at byte offset 2"),
            ("x</b>", "Unexpected end tag at byte offset 1"),
            ("<b>x</i>", 'Unmatched end tag at byte offset 4, expected "</b>", found "</i>"'),
            ("<b>x</b", "Unclosed end tag at byte offset 4"),
            ('<a href="x', "Unclosed start tag at byte offset 0"),
            ("<span>x</span>", 'Tag "span" must have class "tg-spoiler" at byte offset 0'),
            ('<tg-time unix="soon">x</tg-time>', "Invalid Unix time specified at byte offset 0"),
            ('<tg-time unix="1" format="rr">x</tg-time>', "Invalid date-time format specified at byte offset 0"),
        ],
    )
    async def test_broken_html_is_refused(
        self, world: TelegramWorld, server: LoopbackServer, source: str, reason: str
    ) -> None:
        answer = await raw(server, world, "sendMessage", chat_id=ADA, text=source, parse_mode="HTML")
        assert answer == refusal(f"Bad Request: can't parse entities: {reason}")

    async def test_other_parse_modes_are_refused(self, bot: Bot) -> None:
        with pytest.raises(BadRequest, match="nsupported parse_mode"):
            await bot.send_message(ADA, "*x*", parse_mode="MarkdownV2")

    async def test_the_longest_text_is_counted_after_parsing_in_utf16(self, bot: Bot) -> None:
        fits = "<b>" + "😀" * 2048 + "</b>"
        assert len((await bot.send_message(ADA, fits, parse_mode="HTML")).text or "") == 2048
        with pytest.raises(BadRequest, match="essage is too long"):
            await bot.send_message(ADA, "😀" * 2048 + "x")

    @pytest.mark.parametrize("text", ["   \n", "<b> </b>"])
    async def test_an_empty_text_is_refused(self, bot: Bot, text: str) -> None:
        with pytest.raises(BadRequest, match="essage text is empty"):
            await bot.send_message(ADA, text, parse_mode="HTML")


class TestReach:
    async def test_unknown_chat(self, bot: Bot) -> None:
        with pytest.raises(BadRequest, match="hat not found"):
            await bot.send_message(999, "x")

    async def test_a_bot_cannot_write_first(self, world: TelegramWorld, bot: Bot) -> None:
        with pytest.raises(Forbidden, match="bot can't initiate conversation with a user"):
            await bot.send_message(SAM, "x")
        world.say(SAM, "/start")
        assert (await bot.send_message(SAM, "x")).chat_id == SAM

    async def test_blocked(self, world: TelegramWorld, bot: Bot) -> None:
        world.block(ADA)
        with pytest.raises(Forbidden, match="bot was blocked by the user"):
            await bot.send_message(ADA, "x")
        with pytest.raises(PersonError, match="unblock"):
            world.say(ADA, "hello?")
        world.unblock(ADA)
        assert (await bot.send_message(ADA, "x")).text == "x"

    async def test_kicked_from_a_group(self, world: TelegramWorld, bot: Bot) -> None:
        world.remove_bot(ADA, TEAM_CHAT)
        with pytest.raises(Forbidden, match="bot was kicked from the supergroup chat"):
            await bot.send_message(TEAM_CHAT, "x")
        change = (await drain(bot))[-1].my_chat_member
        assert change is not None
        assert (change.old_chat_member.status, change.new_chat_member.status) == ("member", "kicked")

    async def test_leaving_a_group(self, bot: Bot) -> None:
        assert await bot.leave_chat(TEAM_CHAT)
        with pytest.raises(Forbidden, match="bot is not a member of the supergroup chat"):
            await bot.send_message(TEAM_CHAT, "x")

    async def test_a_group_that_became_a_supergroup(self, world: TelegramWorld, bot: Bot) -> None:
        world.add_chat(-77, "Old", type="group", members=(ADA,), bot_status="member")
        new = world.migrate(-77)
        with pytest.raises(ChatMigrated) as moved:
            await bot.send_message(-77, "x")
        assert moved.value.new_chat_id == new.id
        assert (await bot.send_message(new.id, "x")).chat_id == new.id

    async def test_topics(self, world: TelegramWorld, bot: Bot) -> None:
        world.add_chat(-1005, "Forum", members=(ADA,), bot_status="member", is_forum=True)
        topic = world.add_topic(-1005, "Codes", by=ADA)
        asked = world.say(ADA, "/order", -1005, thread_id=topic)
        assert (await bot.send_message(-1005, "x", message_thread_id=topic)).message_thread_id == topic
        answered = await bot.send_message(-1005, "y", reply_parameters=ReplyParameters(asked.message_id))
        assert answered.message_thread_id == topic
        with pytest.raises(BadRequest, match="essage thread not found"):
            await bot.send_message(-1005, "x", message_thread_id=4711)

    async def test_replies(self, world: TelegramWorld, bot: Bot) -> None:
        asked = world.say(ADA, "hello")
        sent = await bot.send_message(ADA, "x", reply_to_message_id=asked.message_id)
        assert sent.reply_to_message is not None
        assert sent.reply_to_message.message_id == asked.message_id
        with pytest.raises(BadRequest, match="essage to be replied not found"):
            await bot.send_message(ADA, "x", reply_to_message_id=99999)
        missing = ReplyParameters(99999, allow_sending_without_reply=True)
        assert (await bot.send_message(ADA, "x", reply_parameters=missing)).reply_to_message is None


class TestButtons:
    @pytest.mark.parametrize(
        ("button", "reason"),
        [
            ({"text": "x", "callback_data": "é" * 33}, "BUTTON_DATA_INVALID"),
            ({"text": "x", "callback_data": ""}, "BUTTON_DATA_INVALID"),
            ({"text": "x", "copy_text": {"text": "y" * 257}}, "BUTTON_COPY_TEXT_INVALID"),
            ({"text": "x", "copy_text": {"text": ""}}, "BUTTON_COPY_TEXT_INVALID"),
            ({"text": "x"}, "can't parse inline keyboard button: Text buttons are unallowed in the inline keyboard"),
            (
                {"text": " ", "callback_data": "x"},
                'can\'t parse inline keyboard button: Field "text" must be of type String',
            ),
            ({"text": "x", "url": "nowhere"}, "inline keyboard button URL 'nowhere' is invalid: Wrong HTTP URL"),
            (
                {"text": "x", "callback_data": "x", "url": "https://example.org"},
                "can't parse inline keyboard button: exactly one kind of action must be given",
            ),
            (
                {"text": "x", "callback_data": "x", "style": "loud"},
                "can't parse inline keyboard button: invalid button style specified",
            ),
        ],
    )
    async def test_refused(
        self, world: TelegramWorld, server: LoopbackServer, button: dict[str, Any], reason: str
    ) -> None:
        markup = {"inline_keyboard": [[button]]}
        answer = await raw(server, world, "sendMessage", chat_id=ADA, text="x", reply_markup=markup)
        assert answer == refusal(f"Bad Request: {reason}")

    async def test_the_largest_buttons_pass(self, world: TelegramWorld, bot: Bot) -> None:
        sent = await bot.send_message(
            ADA,
            "x",
            reply_markup=keyboard(
                [InlineKeyboardButton("Data", callback_data="d" * 64, style="danger")],
                [InlineKeyboardButton("Copy", copy_text=CopyTextButton("c" * 256))],
            ),
        )
        assert world.copy(ADA, ADA, sent.message_id, "Copy") == "c" * 256

    async def test_a_press_reaches_the_bot_and_is_answered_once(self, world: TelegramWorld, bot: Bot) -> None:
        sent = await bot.send_message(ADA, "x", reply_markup=go_button())
        world.press(ADA, ADA, sent.message_id, "Go")
        query = (await drain(bot))[-1].callback_query
        assert query is not None
        assert (query.data, query.from_user.id) == ("go", ADA)
        await query.answer("Done", show_alert=True)
        answer = world.callback_answers[-1]
        assert (answer.user_id, answer.text, answer.show_alert) == (ADA, "Done", True)
        with pytest.raises(BadRequest, match="uery is too old and response timeout expired"):
            await query.answer()

    async def test_an_old_press_cannot_be_answered(self, world: TelegramWorld, bot: Bot, clock: HandClock) -> None:
        sent = await bot.send_message(ADA, "x", reply_markup=go_button())
        query = world.press(ADA, ADA, sent.message_id, "go")
        clock.seconds += world.callback_lifetime + 1
        with pytest.raises(BadRequest, match="uery is too old"):
            await bot.answer_callback_query(query.id)

    async def test_only_a_button_that_is_there_is_pressed(self, world: TelegramWorld, bot: Bot) -> None:
        sent = await bot.send_message(ADA, "x", reply_markup=go_button())
        await sent.edit_reply_markup(None)
        with pytest.raises(PersonError, match="no button 'Go'"):
            world.press(ADA, ADA, sent.message_id, "Go")
        world.press(ADA, ADA, sent.message_id, "v1:made-up", forged=True)
        query = (await drain(bot))[-1].callback_query
        assert query is not None
        assert query.data == "v1:made-up"

    async def test_a_stranger_to_the_chat_presses_nothing(self, world: TelegramWorld, bot: Bot) -> None:
        sent = await bot.send_message(ADA, "x", reply_markup=go_button())
        with pytest.raises(PersonError, match="not in chat"):
            world.press(SAM, ADA, sent.message_id, "Go")

    async def test_reply_keyboards_belong_to_the_chat(self, world: TelegramWorld, bot: Bot) -> None:
        sent = await bot.send_message(ADA, "x", reply_markup=ReplyKeyboardMarkup([["Yes", "No"]]))
        assert sent.reply_markup is None
        assert world.chat(ADA).keyboard is not None
        await bot.send_message(ADA, "y", reply_markup=ReplyKeyboardRemove())
        assert world.chat(ADA).keyboard is None

    async def test_a_picker_tells_what_it_asked_for_and_no_more(self, world: TelegramWorld, bot: Bot) -> None:
        await drain(bot)
        world.users[OMAR].last_name = "Haddad"
        wishes: list[dict[str, Any]] = [{}, {"request_name": True}, {"request_username": True}]
        for wish in wishes:
            await bot.send_message(ADA, "whom?", reply_markup=picker(**wish))
            world.share_users(ADA, 7, [OMAR])
        told = [update.message.users_shared for update in await drain(bot) if update.message]
        names = [(user.first_name, user.last_name, user.username) for said in told if said for user in said.users]
        assert names == [(None, None, None), ("Omar", "Haddad", None), (None, None, "omar_qa")]

    async def test_a_picker_is_answered_only_as_it_was_asked(self, world: TelegramWorld, bot: Bot) -> None:
        with pytest.raises(PersonError, match="no button asks"):
            world.share_users(ADA, 7, [OMAR])
        await bot.send_message(ADA, "whom?", reply_markup=picker(user_is_bot=False, max_quantity=2))
        for users in ([], [OMAR, OMAR], [OMAR, SAM, 4242]):
            with pytest.raises(PersonError, match="1 to 2 different users"):
                world.share_users(ADA, 7, users)
        with pytest.raises(PersonError, match="does not take"):
            world.share_users(ADA, 7, [world.bot.id])
        with pytest.raises(PersonError, match="no button asks"):
            world.share_users(ADA, 8, [OMAR])
        await bot.send_message(ADA, "enough", reply_markup=ReplyKeyboardRemove())
        with pytest.raises(PersonError, match="no button asks"):
            world.share_users(ADA, 7, [OMAR])

    async def test_a_picker_is_private_and_well_formed(
        self, world: TelegramWorld, server: LoopbackServer, bot: Bot
    ) -> None:
        with pytest.raises(BadRequest, match="sers can be requested in private chats only"):
            await bot.send_message(TEAM_CHAT, "whom?", reply_markup=picker())
        wrong: dict[str, Any] = {
            "request_id": {"request_id": "x"},
            "max_quantity": {"request_id": 1, "max_quantity": 11},
            "request_name": {"request_id": 1, "request_name": "yes"},
            "request_users": [],
        }
        for field, request in wrong.items():
            rows = [[{"text": "Choose", "request_users": request}]]
            answer = await raw(server, world, "sendMessage", chat_id=ADA, text="x", reply_markup={"keyboard": rows})
            assert (answer["error_code"], f'"{field}"' in answer["description"]) == (400, True)
        twice = [[{"text": "A", "request_users": {"request_id": 1}}, {"text": "B", "request_users": {"request_id": 1}}]]
        answer = await raw(server, world, "sendMessage", chat_id=ADA, text="x", reply_markup={"keyboard": twice})
        assert "unique" in answer["description"]

    async def test_a_contact_may_be_of_somebody_without_an_account(self, world: TelegramWorld, bot: Bot) -> None:
        await drain(bot)
        world.send_contact(ADA, "+15550001", of=OMAR)
        world.send_contact(ADA, "+15550002", outsider="Zoe")
        known, unknown = [update.message.contact for update in await drain(bot) if update.message]
        assert known is not None
        assert (known.user_id, known.first_name) == (OMAR, "Omar")
        assert unknown is not None
        assert (unknown.user_id, unknown.first_name) == (None, "Zoe")


class TestEditing:
    async def test_text_and_buttons(self, world: TelegramWorld, bot: Bot) -> None:
        sent = await bot.send_message(ADA, "before", reply_markup=go_button())
        edited = await bot.edit_message_text("<b>after</b>", ADA, sent.message_id, parse_mode="HTML")
        assert not isinstance(edited, bool)
        assert (edited.text, edited.reply_markup) == ("after", None)
        kept = world.chat(ADA).messages[sent.message_id]
        assert [old["text"] for old in kept.history] == ["before"]
        await bot.edit_message_reply_markup(ADA, sent.message_id, reply_markup=go_button("2"))
        assert kept.button("Go")["callback_data"] == "2"

    async def test_what_is_the_same_is_refused(self, bot: Bot) -> None:
        sent = await bot.send_message(ADA, "same", reply_markup=go_button())
        for _ in range(2):
            with pytest.raises(BadRequest, match="essage is not modified: specified new message content"):
                await sent.edit_text("same", reply_markup=go_button())
        with pytest.raises(BadRequest, match="essage is not modified"):
            await sent.edit_reply_markup(go_button())

    async def test_what_cannot_be_edited(self, world: TelegramWorld, bot: Bot) -> None:
        theirs = world.say(ADA, "mine")
        with pytest.raises(BadRequest, match="essage can't be edited"):
            await bot.edit_message_text("x", ADA, theirs.message_id)
        with pytest.raises(BadRequest, match="essage to edit not found"):
            await bot.edit_message_text("x", ADA, 99999)
        sent = await bot.send_document(ADA, b"x", filename="x.txt")
        with pytest.raises(BadRequest, match="here is no text in the message to edit"):
            await sent.edit_text("x")
        with pytest.raises(BadRequest, match="essage_too_long"):
            await (await bot.send_message(ADA, "x")).edit_text("y" * 4097)

    async def test_deleting(self, world: TelegramWorld, bot: Bot, clock: HandClock) -> None:
        sent = await bot.send_message(ADA, "x")
        assert await sent.delete()
        assert world.chat(ADA).messages[sent.message_id].deleted_at == clock.seconds
        with pytest.raises(BadRequest, match="essage to delete not found"):
            await sent.delete()
        with pytest.raises(BadRequest, match="essage can't be deleted"):
            await bot.delete_message(TEAM_CHAT, world.say(ADA, "/mine", TEAM_CHAT).message_id)
        old = await bot.send_message(ADA, "x")
        clock.seconds += 49 * 3600
        with pytest.raises(BadRequest, match="essage can't be deleted"):
            await old.delete()


class TestFiles:
    async def test_a_document_travels(self, world: TelegramWorld, bot: Bot) -> None:
        content = b"id,price\r\n1,2\r\n\x00\xff--boundary"
        sent = await bot.send_document(ADA, content, filename="usage.csv", caption="<b>Usage</b>", parse_mode="HTML")
        assert sent.document is not None
        assert (sent.document.file_name, sent.document.file_size) == ("usage.csv", len(content))
        assert (sent.caption, sent.caption_entities[0].type) == ("Usage", "bold")
        assert bytes(await (await sent.document.get_file()).download_as_bytearray()) == content
        assert world.calls[-1].method == "getFile"

    async def test_a_photo_and_a_long_caption(self, world: TelegramWorld, bot: Bot) -> None:
        sent = await bot.send_photo(ADA, png(640, 480), caption="c" * 1024)
        assert [(photo.width, photo.height) for photo in sent.photo] == [(640, 480)]
        assert world.files[sent.photo[0].file_id][1] == png(640, 480)
        with pytest.raises(BadRequest, match="essage caption is too long"):
            await bot.send_photo(ADA, png(640, 480), caption="c" * 1025)
        with pytest.raises(BadRequest, match="ile must be non-empty"):
            await bot.send_document(ADA, b"", filename="x")

    @pytest.mark.parametrize(
        ("content", "reason"),
        [
            (b"no picture", "Image_process_failed"),
            (b"\x89PNG\r\n\x1a\n", "Image_process_failed"),
            (b"\xff\xd8\xff", "Image_process_failed"),
            (png(0, 480), "Image_process_failed"),
            (png(9000, 1001), "Photo_invalid_dimensions"),
            (png(2001, 100), "Photo_invalid_dimensions"),
        ],
    )
    async def test_a_photo_that_telegram_would_refuse(self, bot: Bot, content: bytes, reason: str) -> None:
        with pytest.raises(BadRequest, match=reason):
            await bot.send_photo(ADA, content)

    async def test_a_jpeg_is_measured_too(self, bot: Bot) -> None:
        header = b"\xff\xd8\xff\xe0\x00\x04JF\xff\xc0\x00\x11\x08\x01\xe0\x02\x80\x03"
        assert [(photo.width, photo.height) for photo in (await bot.send_photo(ADA, header)).photo] == [(640, 480)]

    async def test_files_have_a_largest_size(self, bot: Bot) -> None:
        with pytest.raises(NetworkError, match="Request Entity Too Large"):
            await bot.send_photo(ADA, png(10, 10) + bytes(10 * 1024 * 1024))
        assert (await bot.send_document(ADA, bytes(10 * 1024 * 1024 + 1), filename="x")).document
        with pytest.raises(NetworkError, match="Request Entity Too Large"):
            await bot.send_document(ADA, bytes(50 * 1024 * 1024 + 1), filename="x")


class TestChats:
    async def test_asking_about_chats_and_members(self, bot: Bot) -> None:
        assert (await bot.get_chat(ADA)).first_name == "Ada"
        assert (await bot.get_chat(TEAM_CHAT)).title == "QA team"
        assert (await bot.get_chat_member(TEAM_CHAT, ADA)).status == "creator"
        assert (await bot.get_chat_member(TEAM_CHAT, OMAR)).status == "member"
        assert [one.user.id for one in await bot.get_chat_administrators(TEAM_CHAT)] == [ADA]

    @pytest.mark.parametrize("status", ["administrator", "restricted", "left", "kicked"])
    async def test_every_status_is_readable(self, world: TelegramWorld, bot: Bot, status: str) -> None:
        world.set_member(TEAM_CHAT, OMAR, status)
        assert (await bot.get_chat_member(TEAM_CHAT, OMAR)).status == status

    async def test_pinning_needs_a_right(self, world: TelegramWorld, bot: Bot) -> None:
        sent = await bot.send_message(TEAM_CHAT, "x")
        with pytest.raises(BadRequest, match="ot enough rights"):
            await sent.pin()
        world.set_member(TEAM_CHAT, world.bot.id, "administrator")
        assert await sent.pin()
        pinned = (await bot.get_chat(TEAM_CHAT)).pinned_message
        assert pinned is not None
        assert pinned.message_id == sent.message_id
        assert await sent.unpin()

    async def test_reactions_and_actions(self, world: TelegramWorld, bot: Bot) -> None:
        said = world.say(ADA, "hello")
        assert await bot.set_message_reaction(ADA, said.message_id, ReactionTypeEmoji("👍"))
        assert said.reactions == [{"type": "emoji", "emoji": "👍"}]
        assert await bot.send_chat_action(ADA, "typing")
        with pytest.raises(BadRequest, match="rong parameter action"):
            await bot.send_chat_action(ADA, "dancing")

    async def test_menus_per_scope(self, world: TelegramWorld, bot: Bot) -> None:
        await bot.set_my_commands([BotCommand("help", "Help")])
        await bot.set_my_commands([BotCommand("start", "Start")], scope=BotCommandScopeAllPrivateChats())
        await bot.set_my_commands([BotCommand("allow", "Allow")], scope=BotCommandScopeChat(ADA))
        await bot.set_my_commands([BotCommand("spend", "Spend")], scope=BotCommandScopeChatMember(TEAM_CHAT, ADA))
        seen = {
            (user, chat): world.menu_for(user, chat)[0]["command"]
            for user, chat in ((ADA, ADA), (OMAR, OMAR), (ADA, TEAM_CHAT), (OMAR, TEAM_CHAT))
        }
        assert list(seen.values()) == ["allow", "start", "spend", "help"]
        assert (await bot.get_my_commands(scope=BotCommandScopeChat(ADA)))[0].command == "allow"
        await bot.delete_my_commands(scope=BotCommandScopeChat(ADA))
        assert world.menu_for(ADA, ADA)[0]["command"] == "start"
        with pytest.raises(BadRequest, match="ot_command_invalid"):
            await bot.set_my_commands([("Upper", "x")])

    async def test_descriptions(self, bot: Bot) -> None:
        await bot.set_my_description("long")
        await bot.set_my_short_description("short")
        assert (await bot.get_my_description()).description == "long"
        assert (await bot.get_my_short_description()).short_description == "short"


class TestUpdates:
    async def test_the_offset_confirms(self, world: TelegramWorld, bot: Bot) -> None:
        await drain(bot)
        world.say(ADA, "one")
        world.say(ADA, "two")
        first = await bot.get_updates(timeout=0, limit=1)
        assert await bot.get_updates(timeout=0, limit=1) == first
        rest = await bot.get_updates(offset=first[0].update_id + 1, timeout=0)
        assert [update.effective_message.text for update in rest if update.effective_message] == ["two"]
        assert rest[0].update_id == first[0].update_id + 1

    async def test_a_negative_offset_keeps_the_last(self, world: TelegramWorld, bot: Bot) -> None:
        for text in ("one", "two", "three"):
            world.say(ADA, text)
        kept = await bot.get_updates(offset=-1, timeout=0)
        assert [update.message.text for update in kept if update.message] == ["three"]
        assert len(world.updates.pending) == 1

    async def test_the_poll_blocks_until_something_happens(self, world: TelegramWorld, bot: Bot) -> None:
        await drain(bot)
        poll = asyncio.create_task(bot.get_updates(timeout=10))
        await asyncio.sleep(0.15)
        assert not poll.done()
        world.say(ADA, "wake up")
        async with asyncio.timeout(2):
            updates = await poll
        assert updates[0].message is not None
        assert updates[0].message.text == "wake up"

    async def test_an_empty_poll_lasts_its_timeout(self, bot: Bot) -> None:
        await drain(bot)
        began = time.monotonic()
        assert await bot.get_updates(timeout=1) == ()
        assert 0.9 < time.monotonic() - began < 3

    async def test_a_second_poll_ends_the_first(self, world: TelegramWorld, server: LoopbackServer, bot: Bot) -> None:
        await drain(bot)
        first = asyncio.create_task(bot.get_updates(timeout=10))
        await asyncio.sleep(0.1)
        assert await raw(server, world, "getUpdates") == {"ok": True, "result": []}
        with pytest.raises(Conflict, match="terminated by other getUpdates request"):
            await first

    async def test_only_what_was_asked_for(self, world: TelegramWorld, bot: Bot) -> None:
        await drain(bot)
        await bot.get_updates(timeout=0, allowed_updates=["message_reaction"])
        said = world.say(ADA, "not wanted")
        world.react(ADA, ADA, said.message_id, "👍")
        assert [update.message_reaction is not None for update in await bot.get_updates(timeout=0)] == [True]
        await bot.get_updates(timeout=0, allowed_updates=[])
        world.react(ADA, ADA, said.message_id, "🔥")
        assert len(world.updates.pending) == 1

    async def test_an_update_comes_again(self, world: TelegramWorld, bot: Bot) -> None:
        said = (await drain(bot))[-1]
        world.redeliver(said.update_id)
        again = await bot.get_updates(offset=said.update_id + 1, timeout=0)
        assert [update.update_id for update in again] == [said.update_id]
        assert await bot.get_updates(offset=said.update_id + 1, timeout=0) == ()

    async def test_raw_updates(self, world: TelegramWorld, server: LoopbackServer, bot: Bot) -> None:
        await drain(bot)
        made = world.push_update({"unheard_of": {"x": 1}})
        assert (await raw(server, world, "getUpdates"))["result"] == [made]


class TestPeople:
    async def test_group_privacy(self, world: TelegramWorld, bot: Bot) -> None:
        mine = await bot.send_message(TEAM_CHAT, "I am here")
        await drain(bot)
        world.say(OMAR, "just talk", TEAM_CHAT)
        world.say(OMAR, "/order@another_bot x", TEAM_CHAT)
        heard = ["/order x", "/order@OTPdesk_bot x", "hi @otpdesk_bot"]
        for text in heard:
            world.say(OMAR, text, TEAM_CHAT)
        world.say(OMAR, "an answer", TEAM_CHAT, reply_to=mine.message_id)
        texts = [update.message.text for update in await drain(bot) if update.message]
        assert texts == [*heard, "an answer"]
        world.privacy = False
        world.say(OMAR, "just talk", TEAM_CHAT)
        assert len(await drain(bot)) == 1

    async def test_what_makes_a_message_doubtful(self, world: TelegramWorld, bot: Bot) -> None:
        await drain(bot)
        world.add_chat(-1009, "News", type="channel", members=(ADA,), bot_status="administrator")
        world.say(ADA, "/a", forward_origin=OMAR)
        world.say(ADA, "/b", via_bot={"id": 5, "is_bot": True, "first_name": "Inline"})
        world.say(ADA, "/c", TEAM_CHAT, sender_chat=TEAM_CHAT)
        world.say(ADA, "/d", TEAM_CHAT, sender_chat=-1009, is_automatic_forward=True)
        world.channel_post(-1009, "/e")
        forwarded, inline, anonymous, linked, post = await drain(bot)
        assert forwarded.message is not None
        assert forwarded.message.forward_origin is not None
        assert inline.message is not None
        assert inline.message.via_bot is not None
        assert anonymous.message is not None
        assert anonymous.message.from_user is not None
        assert anonymous.message.from_user.id == 1087968824
        assert linked.message is not None
        assert linked.message.is_automatic_forward
        assert linked.message.from_user is not None
        assert linked.message.from_user.id == 777000
        assert post.channel_post is not None
        assert post.channel_post.text == "/e"

    async def test_edits_contacts_and_shared_users(self, world: TelegramWorld, bot: Bot) -> None:
        said = world.say(ADA, "/order whatsap")
        await drain(bot)
        world.edit(ADA, ADA, said.message_id, "/order whatsapp")
        world.send_contact(ADA, "+15550001")
        await bot.send_message(ADA, "whom?", reply_markup=picker(request_name=True, max_quantity=2))
        world.share_users(ADA, 7, [OMAR, 4242])
        edited, contact, shared = await drain(bot)
        assert edited.edited_message is not None
        assert edited.edited_message.text == "/order whatsapp"
        assert contact.message is not None
        assert contact.message.contact is not None
        assert contact.message.contact.user_id == ADA
        assert shared.message is not None
        assert shared.message.users_shared is not None
        assert [user.user_id for user in shared.message.users_shared.users] == [OMAR, 4242]
        with pytest.raises(PersonError, match="only the author"):
            world.edit(OMAR, ADA, said.message_id, "x")

    async def test_waiting_for_an_answer(self, world: TelegramWorld, bot: Bot) -> None:
        before = await bot.send_message(ADA, "Your code is old")
        waiting = asyncio.create_task(world.wait_for("code", ADA, after_message_id=before.message_id))
        await asyncio.sleep(0.05)
        world.say(ADA, "code, please")
        assert not waiting.done()
        sent = await bot.send_message(ADA, "thinking")
        await sent.edit_text("Your code is 847291")
        assert (await waiting).message_id == sent.message_id

    async def test_waiting_in_vain_shows_the_chat(self, world: TelegramWorld, bot: Bot) -> None:
        await bot.send_message(ADA, "Something else", reply_markup=go_button())
        with pytest.raises(AssertionError, match=r"(?s)in vain for 'code'.*Ada: /start.*Something else \[Go\]"):
            await world.wait_for("code", ADA, timeout=0.05)


class TestWebhook:
    async def test_updates_are_delivered_again_until_accepted(self, world: TelegramWorld, bot: Bot) -> None:
        seen: list[tuple[int, str | None]] = []

        async def receive(request: Request) -> Response:
            update = await request.json()
            seen.append((update["update_id"], request.headers.get("x-telegram-bot-api-secret-token")))
            return Response(status_code=500 if len(seen) == 1 else 200)

        await drain(bot)
        async with LoopbackServer(Starlette(routes=[Route("/hook", receive, methods=["POST"])])) as target:
            await bot.set_webhook(f"{target.url}/hook", secret_token="s3cret")
            with pytest.raises(Conflict, match="can't use getUpdates method while webhook is active"):
                await bot.get_updates(timeout=0)
            world.say(ADA, "one")
            world.say(ADA, "two")
            await world.wait_until(lambda: not world.updates.pending, described="delivery")
            info = await bot.get_webhook_info()
            await bot.delete_webhook()
        first, again, second = seen
        assert first == again
        assert second[0] == first[0] + 1
        assert {secret for _, secret in seen} == {"s3cret"}
        assert info.last_error_message is not None
        assert "500" in info.last_error_message

    async def test_dropping_what_waits(self, world: TelegramWorld, bot: Bot) -> None:
        world.say(ADA, "one")
        await bot.delete_webhook(drop_pending_updates=True)
        assert world.updates.pending == []


class TestFaults:
    @pytest.mark.parametrize(
        ("kind", "error", "delivered"),
        [
            ("reset_before", NetworkError, False),
            ("reset_after", NetworkError, True),
            ("deliver_then_drop", NetworkError, True),
            ("silence", TimedOut, False),
            ("silence_after", TimedOut, True),
            ("error", NetworkError, False),
            ("error_after", NetworkError, True),
            ("rate_limited", RetryAfter, False),
            ("forbidden", Forbidden, False),
            ("conflict", Conflict, False),
            ("unauthorized", InvalidToken, False),
            ("broken_json", TelegramError, True),
            ("truncated", NetworkError, True),
        ],
    )
    async def test_kinds(
        self, world: TelegramWorld, bot: Bot, kind: str, error: type[TelegramError], delivered: bool
    ) -> None:
        world.fault(Fault(method="sendMessage", kind=kind))
        with pytest.raises(error):
            await bot.send_message(ADA, "fragile", read_timeout=0.3)
        arrived = [message.text for message in world.chat(ADA).messages.values() if message.from_bot]
        assert arrived == (["fragile"] if delivered else [])
        assert [(fired.kind, fired.method) for fired in world.plan.fired] == [(kind, "sendMessage")]
        assert world.calls[-1].fault == kind
        assert (await bot.send_message(ADA, "calm again")).text == "calm again"

    async def test_late(self, world: TelegramWorld, bot: Bot) -> None:
        world.fault(Fault(kind="late", seconds=0.2))
        began = time.monotonic()
        await bot.send_message(ADA, "x")
        assert time.monotonic() - began > 0.19

    async def test_a_fault_fits_its_method_its_chat_and_its_times(self, world: TelegramWorld, bot: Bot) -> None:
        world.fault(Fault(method="sendMessage", kind="forbidden", chat_id=ADA, times=2))
        await bot.send_message(TEAM_CHAT, "x")
        await bot.send_chat_action(ADA, "typing")
        for _ in range(2):
            with pytest.raises(Forbidden):
                await bot.send_message(ADA, "x")
        await bot.send_message(ADA, "x")

    async def test_random_faults_repeat_with_their_seed(self) -> None:
        async def outcomes(seed: int) -> list[str]:
            world = demo_cast(TelegramWorld(seed=seed))
            world.say(ADA, "/start")
            kinds = ("error", "rate_limited")
            world.plan.by_chance = RandomFaults(probability=0.5, kinds=kinds, methods=("sendmessage",))
            async with (
                LoopbackServer(bot_app(world)) as server,
                real_bot(world.token, server.url) as bot,
            ):
                for number in range(12):
                    await asyncio.gather(bot.send_message(ADA, str(number)), return_exceptions=True)
            return [call.outcome.partition(" ")[0] for call in world.calls if call.method == "sendMessage"]

        first = await outcomes(7)
        assert first == await outcomes(7)
        assert len(set(first)) > 1

    async def test_telegram_is_down(self, world: TelegramWorld, bot: Bot) -> None:
        world.down = True
        with pytest.raises(NetworkError):
            await bot.get_me()
        world.down = False
        assert (await bot.get_me()).id == world.bot.id


class TestLimits:
    @pytest.fixture
    def world(self, clock: HandClock) -> TelegramWorld:
        made = demo_cast(TelegramWorld(now=clock, flood_limits=True))
        made.say(ADA, "/start")
        return made

    async def test_one_a_second_in_a_private_chat(self, bot: Bot, clock: HandClock) -> None:
        for _ in range(3):
            await bot.send_message(ADA, "burst")
        with pytest.raises(RetryAfter) as refused:
            await bot.send_message(ADA, "too much")
        assert refused.value.retry_after == timedelta(seconds=1)
        clock.seconds += 1
        await bot.send_message(ADA, "in time")
        with pytest.raises(RetryAfter):
            await bot.send_message(ADA, "too soon")

    async def test_twenty_a_minute_in_a_group(self, bot: Bot, clock: HandClock) -> None:
        for _ in range(20):
            await bot.send_message(TEAM_CHAT, "x")
            clock.seconds += 0.1
        with pytest.raises(RetryAfter):
            await bot.send_message(TEAM_CHAT, "x")

    async def test_thirty_a_second_in_all(self, world: TelegramWorld, bot: Bot) -> None:
        people = range(2000, 2031)
        for user_id in people:
            world.add_user(user_id, f"User {user_id}")
            world.say(user_id, "/start")
        outcomes = [
            (await asyncio.gather(bot.send_message(user_id, "x"), return_exceptions=True))[0] for user_id in people
        ]
        assert [isinstance(outcome, RetryAfter) for outcome in outcomes] == [False] * 30 + [True]


class TestCallLog:
    async def test_calls_tell_method_parameters_time_and_outcome(
        self, world: TelegramWorld, bot: Bot, clock: HandClock
    ) -> None:
        await bot.send_message(ADA, "x")
        with pytest.raises(BadRequest):
            await bot.send_message(999, "x")
        fine, refused = world.calls[-2:]
        assert (fine.method, fine.chat_id, fine.params["text"], fine.at, fine.outcome) == (
            "sendMessage",
            ADA,
            "x",
            clock.seconds,
            "ok",
        )
        assert refused.outcome == "400 Bad Request: chat not found"
