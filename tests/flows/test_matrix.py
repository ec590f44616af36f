"""Every command and every button as every role, in private, in a group and in a topic; read off the handler tables.

A command or a button that is added there is tried here, so that none can be forgotten.
"""

import asyncio
from collections.abc import AsyncIterator
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
from bot.sandbox.bot_api import ADA, OMAR, SAM, Message, TelegramWorld, demo_cast
from storage.buttons import Facts
from tests.clocks import FastClock
from tests.scene import HURRY, NOON, Scene, open_scene

STRANGER = SAM
PEOPLE = {Role.VIEWER: 3001, Role.OPERATOR: 3002, Role.APPROVER: 3003, Role.ADMIN: 3004}
PLACES = ("private", "group", "topic")
BROKEN = ("Something broke", "cannot write to my database")
DAY = 24 * 3600
PATIENCE = 30.0
JAKARTA = ZoneInfo("Asia/Jakarta")
ANY_FACTS: Facts = {"user": OMAR, "role": "viewer", "period": "today"}
"""What the buttons say that need more than their name to do anything."""


@dataclass(frozen=True)
class Spot:
    """Where somebody writes."""

    user_id: int
    chat_id: int
    topic: int | None = None

    @property
    def private(self) -> bool:
        """Whether nobody else reads along."""
        return self.chat_id == self.user_id


@dataclass(frozen=True)
class Stage:
    """A desk with one person of each role and a stranger, each in a spot of the same kind."""

    scene: Scene
    spots: dict[int, Spot]


@pytest.fixture(params=PLACES)
async def stage(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Stage]:
    """Everybody has a group or a forum of their own, so that none waits for the pace of another's."""
    clock = FastClock(HURRY, NOON)
    telegram = demo_cast(TelegramWorld(now=clock.now))
    telegram.callback_lifetime = DAY  # the clock hurries, and what is late is not what is asked here
    async with open_scene(tmp_path, clock=clock, telegram=telegram) as scene:
        for role, user_id in PEOPLE.items():
            await scene.hire(user_id, f"The {role}", role)
        people = (STRANGER, *PEOPLE.values())
        yield Stage(scene, {user_id: await spot_of(scene, user_id, request.param) for user_id in people})


async def spot_of(scene: Scene, user_id: int, place: str) -> Spot:
    """Open a place of that kind for somebody."""
    if place == "private":
        scene.telegram.chats[user_id].started = True
        return Spot(user_id, user_id)
    chat_id = -1001700000000 - user_id
    scene.telegram.add_chat(chat_id, "Here", members=(ADA, user_id), creator=ADA, is_forum=place == "topic")
    scene.telegram.add_bot_to_group(ADA, chat_id)
    await scene.hears("I work in", chat_id)
    topic = scene.telegram.add_topic(chat_id, "Numbers", by=ADA) if place == "topic" else None
    return Spot(user_id, chat_id, topic)


def refusal(needed: Role) -> str:
    """What somebody reads whose role does not reach."""
    return texts.plain(texts.failure(NotPermitted(needed), JAKARTA))


def typed(scene: Scene, command: Command, spot: Spot) -> str:
    """A command's name as it is typed: in a group with the bot that is meant, elsewhere bare."""
    in_group = not spot.private and spot.topic is None
    return f"/{command.name}@{scene.telegram.bot.username}" if in_group else f"/{command.name}"


async def tried(scene: Scene, text: str, spot: Spot) -> Message:
    """Type a command as somebody does who has read no further than its name, and return the answer."""
    said = scene.say(spot.user_id, text, spot.chat_id, thread_id=spot.topic)

    def is_answer(message: Message) -> bool:
        return spot.private or message.body.get("reply_to_message", {}).get("message_id") == said.message_id

    return await scene.hears(is_answer, spot.chat_id, patience=PATIENCE)


async def types_everything(stage: Stage, role: Role) -> None:
    """One person goes through the whole table."""
    spot = stage.spots[PEOPLE[role]]
    for command in COMMANDS:
        answer = await tried(stage.scene, typed(stage.scene, command, spot), spot)
        assert answer.thread_id == spot.topic, command.name
        if role.reaches(command.needed):
            assert refusal(command.needed) not in answer.text, command.name
            assert not any(sign in answer.text for sign in BROKEN), command.name
        else:
            assert answer.text == refusal(command.needed), command.name


async def test_each_command_does_or_refuses_as_its_row_says(stage: Stage) -> None:
    await asyncio.gather(*(types_everything(stage, role) for role in PEOPLE))
    assert not stage.scene.sms.books.charges


async def planted(scene: Scene, spot: Spot) -> tuple[Message, dict[str, Command]]:
    """Put every button there is into a chat: the message, and what stands behind the data of each button."""
    pressed = [(action, Press(action.name, action.name, ANY_FACTS)) for action in ACTIONS.values()]
    pressed += [(command, keyboards.command(f"/{command.name}", command.name, "")) for command in COMMANDS]
    keyboard = await keyboards.make(scene.app.desk, spot.user_id, [[button] for _, button in pressed])
    assert keyboard is not None
    sent = await scene.app.chat.bot.send_message(
        spot.chat_id, "planted", reply_markup=keyboard, message_thread_id=spot.topic
    )
    data = [str(row[0].callback_data) for row in keyboard.inline_keyboard]
    message = scene.telegram.chats[spot.chat_id].messages[sent.message_id]
    return message, {one: command for one, (command, _) in zip(data, pressed, strict=True)}


async def presses_everything(stage: Stage, role: Role) -> None:
    """One person presses each button once, from a keyboard that stays what it was when it was seen."""
    scene, spot = stage.scene, stage.spots[PEOPLE[role]]
    message, behind = await planted(scene, spot)
    press = scene.telegram.press
    queries = {
        press(spot.user_id, spot.chat_id, message.message_id, data, forged=True).id: command
        for data, command in behind.items()
    }
    # Somebody's presses are dealt with in their order, so what is typed last is answered when all of it is done.
    await tried(scene, "/whoami", spot)
    for query_id, command in queries.items():
        told = await scene.answer_to(query_id)
        assert (told.text == refusal(command.needed)) is not role.reaches(command.needed), command.name
    said = scene.said_by_bot(spot.chat_id)
    assert not [text for text in said if any(sign in text for sign in BROKEN)]
    assert not [text for text in said if any(text == refusal(needed) for needed in Role)]


async def test_each_button_does_or_refuses_as_its_row_says(stage: Stage) -> None:
    await asyncio.gather(*(presses_everything(stage, role) for role in PEOPLE))
    assert not stage.scene.sms.books.charges


async def test_a_stranger_gets_nothing_from_any_command_or_button(stage: Stage) -> None:
    scene, spot = stage.scene, stage.spots[STRANGER]
    message, behind = await planted(scene, spot)
    before = dict(scene.sms.books.requests)
    heard = len(scene.said_by_bot(spot.chat_id))
    for command in COMMANDS:
        scene.say(STRANGER, typed(scene, command, spot), spot.chat_id, thread_id=spot.topic)
    for data in behind:
        scene.telegram.press(STRANGER, spot.chat_id, message.message_id, data, forged=True)
    await scene.until(lambda: not scene.telegram.updates.pending)
    await scene.settle()
    notices = scene.said_by_bot(spot.chat_id)[heard:]
    assert len(notices) == (1 if spot.private else 0)
    assert all("works for its team only" in notice for notice in notices)
    assert not scene.telegram.callback_answers
    assert dict(scene.sms.books.requests) == before


def test_the_matrix_is_the_whole_table() -> None:
    assert len({command.name for command in COMMANDS}) == len(COMMANDS)
    assert all(isinstance(command.needed, Role) for command in (*COMMANDS, *ACTIONS.values()))
