"""Every command and every button as every role, in private, in a group and in a topic; read off the handler tables.

A command or a button that is added there is tried here, so that none can be forgotten.
"""

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from bot.chat import keyboards, texts
from bot.chat.commands.table import COMMANDS, Command
from bot.chat.keyboards import Press
from bot.chat.presses import ACTIONS
from bot.domain.access import Role
from bot.domain.errors import NotPermitted
from bot.sandbox.bot_api import ADA, SAM, Message, TelegramWorld, demo_cast
from tests.clocks import FastClock
from tests.scene import HURRY, NOON, Scene, open_scene

STRANGER = SAM
PEOPLE = {Role.VIEWER: 3001, Role.OPERATOR: 3002, Role.APPROVER: 3003, Role.ADMIN: 3004}
FORUM = -1001700000009
BROKEN = ("Something broke", "cannot write to my database")
DAY = 24 * 3600
JAKARTA = ZoneInfo("Asia/Jakarta")


@dataclass(frozen=True)
class Place:
    """A kind of chat: where a person writes, and in which topic."""

    chat_of: Callable[[int], int]
    in_topic: bool = False


PLACES = {
    "private": Place(lambda user_id: user_id),
    "group": Place(lambda user_id: -1001700001000 - user_id),
    "topic": Place(lambda user_id: FORUM, in_topic=True),
}


@pytest.fixture
async def stage(tmp_path: Path) -> AsyncIterator[Scene]:
    """A desk with one person of each role, all of them in a group of their own and in a forum."""
    clock = FastClock(HURRY, NOON)
    telegram = demo_cast(TelegramWorld(now=clock.now))
    telegram.callback_lifetime = DAY  # the clock hurries, and what is late is not what is asked here
    async with open_scene(tmp_path, clock=clock, telegram=telegram) as scene:
        for role, user_id in PEOPLE.items():
            await scene.hire(user_id, f"The {role}", role)
        everybody = (ADA, STRANGER, *PEOPLE.values())
        scene.telegram.add_chat(FORUM, "Forum", members=everybody, creator=ADA, is_forum=True)
        groups = [PLACES["group"].chat_of(user_id) for user_id in (*PEOPLE.values(), STRANGER)]
        for chat_id in groups:
            scene.telegram.add_chat(chat_id, f"Group {chat_id}", members=everybody)
        for chat_id in (*groups, FORUM):
            scene.telegram.add_bot_to_group(ADA, chat_id)
            await scene.hears("I work in", chat_id)
        yield scene


def refusal(needed: Role) -> str:
    """What somebody reads whose role does not reach."""
    return texts.plain(texts.failure(NotPermitted(needed), JAKARTA))


async def tried(scene: Scene, user_id: int, command: Command, chat_id: int, topic: int | None) -> Message:
    """Type a command as somebody does who has read no further than its name, and return the answer."""
    said = scene.say(user_id, f"/{command.name}", chat_id, thread_id=topic)

    def is_answer(message: Message) -> bool:
        return chat_id > 0 or message.body.get("reply_to_message", {}).get("message_id") == said.message_id

    return await scene.hears(is_answer, chat_id)


@pytest.mark.parametrize("place", PLACES)
async def test_each_command_does_or_refuses_as_its_row_says(stage: Scene, place: str) -> None:
    for role, user_id in PEOPLE.items():
        chat_id = PLACES[place].chat_of(user_id)
        topic = stage.telegram.add_topic(FORUM, f"Of the {role}", by=ADA) if PLACES[place].in_topic else None
        for command in COMMANDS:
            answer = await tried(stage, user_id, command, chat_id, topic)
            assert answer.thread_id == topic, command.name
            if role.reaches(command.needed):
                assert refusal(command.needed) not in answer.text, command.name
                assert not any(sign in answer.text for sign in BROKEN), command.name
            else:
                assert answer.text == refusal(command.needed), command.name
    assert not stage.sms.books.charges


@pytest.mark.parametrize("place", PLACES)
async def test_a_stranger_gets_nothing_from_any_command(stage: Scene, place: str) -> None:
    chat_id = PLACES[place].chat_of(STRANGER)
    before = dict(stage.sms.books.requests)
    heard = len(stage.said_by_bot(chat_id))
    for command in COMMANDS:
        stage.say(STRANGER, f"/{command.name}", chat_id)
    await stage.until(lambda: not stage.telegram.updates.pending)
    await stage.settle()
    notices = stage.said_by_bot(chat_id)[heard:]
    assert len(notices) == (1 if place == "private" else 0)
    assert all("works for its team only" in notice for notice in notices)
    assert dict(stage.sms.books.requests) == before


async def test_each_button_is_refused_to_roles_that_do_not_reach(stage: Scene) -> None:
    for role, user_id in PEOPLE.items():
        for action in ACTIONS.values():
            planted = await plant(stage, user_id, Press(action.name, action.name, {}))
            query = stage.telegram.press(user_id, user_id, planted.message_id, action.name)
            told = await stage.answer_to(query.id)
            assert (told.text == refusal(action.needed)) is not role.reaches(action.needed), action.name


async def plant(scene: Scene, user_id: int, press: Press) -> Message:
    """Put a button into somebody's chat that nobody would have given them."""
    keyboard = await keyboards.make(scene.app.desk, user_id, [[press]])
    sent = await scene.app.chat.bot.send_message(user_id, "planted", reply_markup=keyboard)
    return scene.telegram.chats[user_id].messages[sent.message_id]


def test_the_matrix_is_the_whole_table() -> None:
    assert len({command.name for command in COMMANDS}) == len(COMMANDS)
    assert all(isinstance(command.needed, Role) for command in (*COMMANDS, *ACTIONS.values()))
