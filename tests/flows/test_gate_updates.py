"""Updates that are no command of a person who stands behind it here and now: refused, and never in the way."""

from collections.abc import Callable
from typing import Any

import pytest

from bot.sandbox.bot_api import ADA, OMAR, TEAM_CHAT
from bot.workers.intake import Intake
from tests.scene import Scene

CHANNEL = -1001700000009
HELPER_BOT = 4001
WIRE = {"id": 91, "is_bot": False, "first_name": "Nobody"}
ORDER = "/order whatsapp indonesia"


def _message(scene: Scene, **changes: Any) -> dict[str, Any]:
    """A command of Omar's as Telegram would send it, with something changed; None removes a field."""
    omar = scene.telegram.users[OMAR].as_json()
    body = {
        "message_id": 900_001,
        "date": int(scene.clock.now()),
        "chat": {"id": OMAR, "type": "private", "first_name": "Omar"},
        "from": omar,
        "text": ORDER,
        "entities": [{"type": "bot_command", "offset": 0, "length": 6}],
        **changes,
    }
    return {name: value for name, value in body.items() if value is not None}


def _edited(scene: Scene) -> None:
    scene.telegram.push_update({"edited_message": _message(scene, edit_date=int(scene.clock.now()))})


def _forwarded(scene: Scene) -> None:
    scene.telegram.say(OMAR, ORDER, forward_origin=ADA)
    scene.telegram.say(
        OMAR, ORDER, forward_origin={"type": "hidden_user", "sender_user_name": "Ada", "date": int(scene.clock.now())}
    )


def _through_another_bot(scene: Scene) -> None:
    bot = {"id": HELPER_BOT, "is_bot": True, "first_name": "Helper", "username": "helper_bot"}
    scene.telegram.say(OMAR, ORDER, via_bot=bot)


def _channel_post(scene: Scene) -> None:
    scene.telegram.add_chat(CHANNEL, "News", type="channel", members=(ADA,), bot_status="administrator")
    scene.telegram.push_update(
        {"channel_post": _message(scene, chat={"id": CHANNEL, "type": "channel", "title": "News"}, **{"from": None})}
    )
    scene.telegram.channel_post(CHANNEL, ORDER)


def _anonymous_admin(scene: Scene) -> None:
    scene.telegram.say(ADA, ORDER, TEAM_CHAT, sender_chat=TEAM_CHAT)


def _linked_channel(scene: Scene) -> None:
    scene.telegram.add_chat(CHANNEL, "News", type="channel", members=(ADA,))
    scene.telegram.say(ADA, ORDER, TEAM_CHAT, sender_chat=CHANNEL, is_automatic_forward=True)


def _telegram_itself(scene: Scene) -> None:
    service = {"id": 777000, "is_bot": False, "first_name": "Telegram"}
    scene.telegram.push_update({"message": _message(scene, **{"from": service})})


def _another_bot(scene: Scene) -> None:
    bot = {"id": OMAR, "is_bot": True, "first_name": "Omar"}
    scene.telegram.push_update({"message": _message(scene, **{"from": bot})})


def _business(scene: Scene) -> None:
    scene.telegram.push_update({"business_message": _message(scene, business_connection_id="b1")})
    scene.telegram.push_update({"edited_business_message": _message(scene, business_connection_id="b1")})


def _without_user(scene: Scene) -> None:
    scene.telegram.push_update({"message": _message(scene, **{"from": None})})


def _inline(scene: Scene) -> None:
    omar = scene.telegram.users[OMAR].as_json()
    scene.telegram.push_update({"inline_query": {"id": "1", "from": omar, "query": ORDER, "offset": ""}})
    scene.telegram.push_update(
        {"chosen_inline_result": {"result_id": "1", "from": omar, "query": ORDER, "inline_message_id": "x"}}
    )
    scene.telegram.push_update(
        {"callback_query": {"id": "5", "from": omar, "chat_instance": "1", "inline_message_id": "x", "data": "v1:x:y"}}
    )


def _kinds_nobody_knows(scene: Scene) -> None:
    scene.telegram.push_update({"hologram": {"from": WIRE, "text": ORDER}})
    scene.telegram.push_update({})


def _without_text(scene: Scene) -> None:
    scene.telegram.push_update({"message": _message(scene, text=None, entities=None, caption=ORDER)})


INDIRECT: tuple[Callable[[Scene], None], ...] = (
    _edited,
    _forwarded,
    _through_another_bot,
    _channel_post,
    _anonymous_admin,
    _linked_channel,
    _telegram_itself,
    _another_bot,
    _business,
    _without_user,
    _inline,
    _kinds_nobody_knows,
    _without_text,
)


async def test_what_nobody_said_here_and_now_is_dropped_without_a_word(scene: Scene) -> None:
    said = scene.telegram.say(OMAR, "/whoami")
    await scene.hears("operator", OMAR)
    scene.telegram.edit(OMAR, OMAR, said.message_id, ORDER)
    for act in INDIRECT:
        chats = [chat_id for chat_id, chat in scene.telegram.chats.items() if chat.type != "channel"]
        before = {chat_id: len(scene.said_by_bot(chat_id)) for chat_id in chats}
        act(scene)
        await scene.ask(OMAR, "/balance", "The account has")
        await scene.settle(0.1)
        after = {chat_id: len(scene.said_by_bot(chat_id)) for chat_id in before}
        assert after == {**before, OMAR: before[OMAR] + 1}, act.__name__
    assert await scene.count("SELECT count(*) FROM orders") == 0
    assert await scene.count("SELECT count(*) FROM inbox WHERE state <> 'done'") == 0


async def test_a_poison_update_is_put_aside_and_the_next_ones_go_on(
    scene: Scene, caplog: pytest.LogCaptureFixture
) -> None:
    chat = {"id": OMAR, "type": "private"}
    poison: list[dict[str, Any]] = [
        {"message": {"message_id": 1, "date": 0, "chat": "not a chat", "text": ORDER}},
        {"message": {"message_id": 2, "chat": chat, "from": {"id": OMAR}, "text": ORDER}},
        {"message": ["a", "list"]},
        {"message": "words"},
        {"callback_query": {"id": 17, "from": {"id": OMAR}}},
        {"callback_query": {"from": "nobody", "data": "v1:run:x"}},
        {"my_chat_member": {"chat": chat, "from": None}},
        {"message": _message(scene, text=7)},
        {"message": _message(scene, message_id=2**70)},
        {"message": _message(scene, date="yesterday")},
        {"message": _message(scene, entities=[{"type": "bot_command", "offset": 0, "length": 400}])},
    ]
    for update in poison:
        scene.telegram.push_update(update)
    await scene.ask(OMAR, "/balance", "The account has")
    await scene.until(lambda: not scene.telegram.updates.pending)
    await scene.ask(ADA, "/users", "Omar")
    await scene.settle(0.1)

    assert await scene.count("SELECT count(*) FROM inbox WHERE state = 'pending'") == 0
    assert await scene.count("SELECT count(*) FROM inbox WHERE state = 'poison'") >= 5
    assert all(worker.restarts == 0 for worker in scene.app.supervisor.workers)
    assert scene.telegram.updates.confirmed
    assert "is put aside" in caplog.text


async def _nowhere() -> None: ...


async def test_half_of_a_surrogate_pair_does_not_stop_the_intake(scene: Scene) -> None:
    async def nothing(_: int | None) -> list[Any]:
        return []

    update = {"update_id": 1, "message": _message(scene, text="half of a pair: \ud83d")}
    await Intake(scene.app.desk, nothing, _nowhere).keep([update])
    await scene.settle(0.1)
    assert await scene.count("SELECT count(*) FROM inbox WHERE update_id = 1 AND state <> 'pending'") == 1


async def test_a_second_delivery_does_nothing(scene: Scene) -> None:
    scene.say(OMAR, ORDER)
    await scene.hears("📱", OMAR)
    (row,) = await scene.app.desk.database.read(
        lambda connection: connection.execute("SELECT max(update_id) FROM inbox").fetchall()
    )
    scene.telegram.redeliver(row[0])
    message = max(scene.telegram.chats[OMAR].messages.values(), key=lambda sent: (not sent.from_bot, sent.message_id))
    scene.telegram.push_update({"message": message.body})  # the same message under a new update id
    await scene.ask(OMAR, "/whoami", "operator")
    assert len(scene.sms.books.charges) == 1


async def test_words_that_are_no_command_are_answered_with_the_way_on(scene: Scene) -> None:
    await scene.ask(OMAR, "whatsapp indonesia please", "I read commands")
    await scene.ask(OMAR, "/odrer whatsapp indonesia", "Did you mean /order?")
    await scene.ask(OMAR, "/halp", "Did you mean /help?")
    await scene.ask(OMAR, "/xyzzy", "/help shows what there is")
    await scene.ask(OMAR, "/alow 1003", "I know no /alow. /help shows")  # an operator learns nothing of /allow
    await scene.ask(OMAR, "/odrer_<b>&", "I know no /odrer_")
    assert await scene.count("SELECT count(*) FROM orders") == 0


async def test_commands_may_name_their_bot(scene: Scene) -> None:
    scene.say(OMAR, "/order@other_bot whatsapp indonesia")
    scene.say(OMAR, "/nonsense@other_bot")
    await scene.settle()
    assert await scene.count("SELECT count(*) FROM orders") == 0
    assert "I know no" not in " ".join(scene.said_by_bot(OMAR))
    scene.say(OMAR, "/Order@OTPdesk_bot\nwhatsapp\n indonesia")
    await scene.hears("📱", OMAR)
    await scene.ask(OMAR, "/odrer@otpdesk_bot", "Did you mean /order?")
