"""`otpdesk demo --tour`: the story is played on the real bot, and it fails where the bot or the books do."""

import re
from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console

from bot import cli
from bot.sandbox.bot_api import ADA, OMAR, TEAM_CHAT, TelegramWorld, demo_cast
from bot.sandbox.sms_api import Contract, SmsWorld
from bot.sandbox.story import STORIES, Act, NotSeen, Play, Step, expect
from bot.sandbox.tour import tour
from bot.sandbox.transcript import Transcript
from tests.sandbox.commands import otpdesk

WIDTH = 80


@pytest.mark.timeout(120)  # seconds; half a minute on a quiet machine
@pytest.mark.parametrize(
    ("contract", "summary"),
    [
        ("guide", "3 numbers rented, 1 paid back, 3 codes delivered"),
        ("official", "4 numbers rented, 2 paid back, 3 codes delivered"),
    ],
)
async def test_every_step_is_seen(tmp_path: Path, contract: Contract, summary: str) -> None:
    story = STORIES[contract]
    async with otpdesk(tmp_path, "demo", "--contract", contract, "--tour") as command:
        assert await command.ends(within=110) == 0, command.text
    shown = command.text
    for step in story:
        assert step.title in shown
    assert shown.count("✓") == len(story)
    assert f"All {len(story)} steps were seen" in shown
    assert summary in " ".join(shown.split())
    assert max(map(len, shown.splitlines())) <= WIDTH
    assert "\x1b" not in shown
    assert command.files() == []


async def test_a_story_that_the_books_contradict_fails_at_that_step() -> None:
    def meddle(play: Play) -> str:
        play.sms.create_order(play.sms.products("germany", "whatsapp")[0].id)
        return "somebody else spends from the account"

    def never(_play: Play) -> str:
        raise AssertionError

    titles = {step.title: step for step in STORIES["guide"]}
    order, books = titles["Omar orders a number"], titles["The chat and SMSCode's books agree"]
    told = StringIO()
    story = (order, Step("Meanwhile", "", (), meddle), books, Step("Never reached", "", (), never))
    status = await tour(cli._bot_command(), Console(file=told, width=WIDTH), seed=0, story=story)
    assert status == 1
    assert "✗ Step 3 was not seen: The chat and SMSCode's books agree" in told.getvalue()
    assert "Omar is not told that he has spent" in told.getvalue()
    assert "Never reached" not in told.getvalue()
    assert "steps were seen" not in told.getvalue()


class TestPlay:
    async def test_a_message_that_does_not_come_is_not_seen(self) -> None:
        play = Play(demo_cast(TelegramWorld()), SmsWorld(), patience=0.05)
        play.telegram.say(ADA, "/start")
        with pytest.raises(NotSeen, match=r"(?s)Hello.*Ada: /start"):
            await play.hears(ADA, "Hello")

    async def test_a_button_that_is_not_there_cannot_be_pressed(self) -> None:
        play = Play(demo_cast(TelegramWorld()), SmsWorld(), patience=0.05)
        step = Step("", "", (Act(ADA, "press", "Go", "gone"),), lambda _play: "")
        with pytest.raises(NotSeen, match="no message to Ada has the button 'Go'"):
            await play.perform(step)

    async def test_a_state_that_does_not_come_is_not_seen(self) -> None:
        play = Play(demo_cast(TelegramWorld()), SmsWorld(), patience=0.05)
        with pytest.raises(NotSeen, match="the moon"):
            await play.until(lambda: False, "the moon")

    def test_a_fact_that_does_not_hold_is_not_seen(self) -> None:
        with pytest.raises(NotSeen, match="no order"):
            expect([], "no order")


def test_a_transcript_shows_who_says_presses_and_edits() -> None:
    telegram = demo_cast(TelegramWorld())
    shown = StringIO()
    transcript = Transcript(Console(file=shown, width=60), telegram)
    telegram.say(OMAR, "/order whatsapp indonesia and many more words than fit")
    keyboard = {"inline_keyboard": [[{"text": "Cancel", "callback_data": "stop"}]]}
    card = telegram.put_message(telegram.chats[OMAR], telegram.bot, {"text": "Number 1"}, markup=keyboard)
    query = telegram.press(OMAR, OMAR, card.message_id, "Cancel")
    telegram.note_answer(query, text="Done", show_alert=False, url=None)
    transcript.catch_up()
    telegram.change_message(card, {"reply_markup": None})
    transcript.catch_up()
    telegram.change_message(card, {"text": "Number 1\nCanceled"})
    telegram.say(ADA, "Hello, team", TEAM_CHAT)
    transcript.catch_up()
    transcript.catch_up()
    lines = [re.sub(r" {2,}", " ", line).strip() for line in shown.getvalue().splitlines()]
    assert lines == [
        "Omar /order whatsapp indonesia and many more",
        "words than fit",
        "OTP desk → Omar Number 1",
        "[Cancel]",
        "Omar presses [Cancel]",
        "OTP desk → Omar (Done)",
        "OTP desk → Omar (takes the buttons off)",
        "OTP desk → Omar (changes its message) Canceled",
    ]
