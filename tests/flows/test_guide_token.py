"""Authentication, as the guide has it: a bearer token on every call, and in no other place."""

import io
import json
import logging
from dataclasses import dataclass
from pathlib import Path

import pytest

from bot import logs
from bot.config import ConfigError, Logging, load
from bot.sandbox.bot_api import ADA, DEFAULT_TOKEN, OMAR, TelegramWorld, demo_cast
from bot.sandbox.sms_api import Fault, FaultKind, SmsWorld
from tests.clocks import FastClock
from tests.scene import NOON, SPEED, Scene, open_scene

SECRET = "smscode-4f1c_not.for/any+eyes=="


@dataclass
class Worlds:
    """A Telegram and an SMSCode whose token is `SECRET`."""

    clock: FastClock
    telegram: TelegramWorld
    sms: SmsWorld


@pytest.fixture
def worlds() -> Worlds:
    clock = FastClock(SPEED, NOON)
    return Worlds(clock, demo_cast(TelegramWorld(now=clock.now)), SmsWorld(now=clock.now, arrival=None, token=SECRET))


@pytest.fixture
def written() -> io.StringIO:
    """All that the desk and its libraries write at their most talkative, set up as the desk itself does."""
    stream = io.StringIO()
    logs.configure(Logging(level="DEBUG"), [SECRET, DEFAULT_TOKEN], stream)
    for name in logs.CHATTY:
        logging.getLogger(name).setLevel(logging.DEBUG)
    return stream


def everything_told(scene: Scene) -> str:
    """Whatever has ever left for Telegram, in every form."""
    return "\n".join(repr(call.params) for call in scene.telegram.calls)


async def test_the_token_is_on_every_call_and_nowhere_else(
    worlds: Worlds, written: io.StringIO, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with open_scene(
        tmp_path, telegram=worlds.telegram, sms=worlds.sms, clock=worlds.clock, smscode={"token": SECRET}
    ) as scene:
        scene.sms.faults.add(
            Fault(kind=FaultKind.RESET_BEFORE, route="GET /v1/balance"),
            Fault(kind=FaultKind.HTML, route="GET /v1/balance"),
        )
        await scene.ask(OMAR, "/balance", "no clear answer")
        await scene.ask(OMAR, "/balance", "no clear answer")
        await scene.ask(OMAR, "/catalog whatsapp indonesia", "cheapest first")
        order = await scene.order()
        scene.sms.arrive(order.id)
        await scene.hears("🔑", OMAR)
        await scene.ask(OMAR, "/cancel", "nothing comes back")
        assert 401 not in scene.sms.books.answers
        assert {status for status in scene.sms.books.answers if status >= 400} == {502}

        assert "POST /v1/orders" in written.getvalue()
        for place in (
            written.getvalue(),
            everything_told(scene),
            repr(scene.settings),
            scene.settings.model_dump_json(),
        ):
            assert SECRET not in place
            assert "4f1c_not" not in place
            assert DEFAULT_TOKEN.partition(":")[2] not in place
        ours = [record for record in caplog.records if record.name.startswith(("bot", "storage"))]
        assert not [record for record in ours if SECRET in record.getMessage()]
        database = (tmp_path / "desk.sqlite3").read_bytes()
        assert SECRET.encode() not in database
        assert DEFAULT_TOKEN.encode() not in database


async def test_a_token_that_smscode_no_longer_knows_is_told_to_the_member_and_to_the_admins(scene: Scene) -> None:
    order = await scene.order()
    known, scene.sms._token = scene.sms._token, "regenerated"
    for command in ("/balance", "/catalog telegram vietnam", "/order whatsapp indonesia", "/cancel"):
        scene.say(OMAR, command)
        answer = await scene.hears("SMSCode rejects this desk's token", OMAR)
        assert "Nothing was charged" in answer.text
    await scene.hears("⚠️ SMSCode rejects the token", ADA)
    scene.sms._token = known
    scene.sms.arrive(order.id, code="847291")
    await scene.hears("847291", OMAR)
    assert len([text for text in scene.said_by_bot(ADA) if "rejects the token" in text]) == 1
    await scene.reconcile()


async def test_the_admins_hear_of_a_wrong_token_from_the_first_command_on(tmp_path: Path) -> None:
    async with open_scene(tmp_path, smscode={"token": "a-wrong-one"}) as scene:
        await scene.ask(OMAR, "/balance", "SMSCode rejects this desk's token")
        alert = await scene.hears("⚠️ SMSCode rejects the token", ADA)
        assert "a-wrong-one" not in alert.text
        await scene.ask(OMAR, "/order whatsapp indonesia", "SMSCode rejects this desk's token")
        assert scene.sms.books.answers.keys() == {401}
        assert scene.sms.books.requests["POST", "/v1/orders"] == 0
        await scene.reconcile()


async def test_a_token_file_works_like_a_token(worlds: Worlds, tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text(f"{SECRET}\n", encoding="utf-8")
    async with open_scene(
        tmp_path,
        telegram=worlds.telegram,
        sms=worlds.sms,
        clock=worlds.clock,
        smscode={"token": "", "token_file": file},
    ) as scene:
        await scene.ask(OMAR, "/balance", "Rp 150.000")
        assert SECRET not in repr(scene.settings)


@pytest.mark.parametrize("token", [SECRET + " with spaces", SECRET + "\ninjected: header", SECRET * 200])
def test_an_unusable_token_is_refused_without_being_repeated(token: str, tmp_path: Path) -> None:
    file = tmp_path / "config.toml"
    # JSON's strings are TOML's strings.
    tokens = f"[telegram]\ntoken = {json.dumps(DEFAULT_TOKEN)}\n[smscode]\ntoken = {json.dumps(token)}\n"
    file.write_text(tokens + "[access]\nowners = [1]\n", encoding="utf-8")
    with pytest.raises(ConfigError) as caught:
        load(file)
    assert "smscode" in str(caught.value)
    assert SECRET not in str(caught.value)
    assert SECRET not in repr(caught.value.__cause__)


async def test_no_failure_carries_the_token_in_its_text(worlds: Worlds, tmp_path: Path) -> None:
    async with open_scene(
        tmp_path, telegram=worlds.telegram, sms=worlds.sms, clock=worlds.clock, members=False, smscode={"token": SECRET}
    ) as scene:
        for kind in (FaultKind.RESET_BEFORE, FaultKind.TRUNCATED, FaultKind.BROKEN_JSON, FaultKind.ERROR_BEFORE):
            scene.sms.faults.add(Fault(kind=kind, route="GET /v1/balance"))
            with pytest.raises(Exception, match="SMSCode") as caught:
                await scene.app.desk.sms.balance()
            error: BaseException | None = caught.value
            while error is not None:
                assert SECRET not in f"{error!s} {error!r} {vars(error)!r}"
                error = error.__cause__ or error.__context__
