"""Telegram brings updates: only Telegram does, each is on disk before it is confirmed, and changing over loses none."""

import asyncio
import contextlib
import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from bot.sandbox.bot_api import ADA, OMAR, TelegramWorld
from bot.sandbox.sms_api import SmsWorld
from bot.web.app import LARGEST_UPDATE, SECRET_HEADER, UPDATES
from tests.clocks import FastClock
from tests.scene import Scene
from tests.web.site import open_web

Site = tuple[Scene, httpx.AsyncClient]


@contextlib.asynccontextmanager
async def open_brought(folder: Path, **more: Any) -> AsyncIterator[Site]:
    """A desk that Telegram brings updates to."""
    async with open_web(folder, telegram_mode="webhook", **more) as opened:
        yield opened


@pytest.fixture
async def site(tmp_path: Path) -> AsyncIterator[Site]:
    async with open_brought(tmp_path) as opened:
        yield opened


def _secret(scene: Scene) -> str:
    return str(scene.telegram.webhook["secret_token"])


def _update(scene: Scene, text: str, update_id: int = 5) -> dict[str, Any]:
    message = {
        "message_id": 70_000 + update_id,
        "date": int(scene.clock.now()),
        "chat": {"id": OMAR, "type": "private", "first_name": "Omar"},
        "from": {"id": OMAR, "is_bot": False, "first_name": "Omar"},
        "text": text,
        "entities": [{"type": "bot_command", "offset": 0, "length": len(text.split(maxsplit=1)[0])}],
    }
    return {"update_id": update_id, "message": message}


async def _bring(client: httpx.AsyncClient, update: object, *secrets: str) -> int:
    answer = await client.post(UPDATES, json=update, headers=[(SECRET_HEADER, secret) for secret in secrets])
    assert answer.content == b""
    return answer.status_code


async def test_the_whole_desk_works_when_updates_are_brought(site: Site) -> None:
    scene, client = site
    assert scene.telegram.webhook["url"] == f"{client.base_url}".rstrip("/") + UPDATES
    order = await scene.order()
    scene.sms.arrive(order.id, "482913")
    await scene.hears("482913", OMAR)
    assert not [call for call in scene.telegram.calls if call.method == "getUpdates"]


async def test_only_who_knows_the_secret_is_listened_to(site: Site) -> None:
    scene, client = site
    secret, update = _secret(scene), _update(scene, "/whoami")
    rows = await scene.count("SELECT count(*) FROM inbox")
    for given in (
        (),
        ("",),
        ("x" * len(secret),),
        (secret + "x",),
        (secret[:-1],),
        (secret.lower(),),
        (secret, secret),
    ):
        assert await _bring(client, update, *given) == 401, given
    assert (await client.post(UPDATES, json=update, headers={"authorization": secret})).status_code == 401
    assert (await client.get(UPDATES, headers={SECRET_HEADER: secret})).status_code == 405
    assert await scene.count("SELECT count(*) FROM inbox") == rows
    assert await _bring(client, update, secret) == 200
    assert await scene.count("SELECT count(*) FROM inbox") == rows + 1


async def test_a_replayed_update_is_one_order(site: Site) -> None:
    scene, client = site
    update = _update(scene, "/order whatsapp indonesia", 999_999_991)
    outcomes = await asyncio.gather(*(_bring(client, update, _secret(scene)) for _ in range(20)))
    assert set(outcomes) == {200}
    await scene.hears("📱", OMAR)
    again = {**update, "update_id": 999_999_992}
    assert await _bring(client, again, _secret(scene)) == 200
    await scene.settle()
    assert len(scene.sms.books.charges) == 1


async def test_what_is_no_update_is_taken_once_and_breaks_nothing(site: Site) -> None:
    scene, client = site
    header = {SECRET_HEADER: _secret(scene)}
    for body in (b"", b"null", b"[]", b"{", b"\xff", b"[" * 50_000, b'{"update_id":"x"}', b'{"update_id":true}'):
        assert (await client.post(UPDATES, content=body, headers=header)).status_code == 200, body[:20]
    for update in ({"update_id": 77, "message": 5}, {"update_id": 78, "message": {"chat": []}}, {"update_id": 2**80}):
        assert await _bring(client, update, _secret(scene)) == 200
    await scene.ask(OMAR, "/whoami", "operator")


async def test_a_huge_body_is_refused_and_a_strangers_is_not_even_read(site: Site) -> None:
    scene, client = site
    sent = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal sent
        for _ in range(100):
            sent += LARGEST_UPDATE
            yield b"y" * LARGEST_UPDATE

    for headers, expected in (({}, 401), ({SECRET_HEADER: _secret(scene)}, 413)):
        sent = 0
        with contextlib.suppress(httpx.WriteError, httpx.ReadError):
            answer = await client.post(UPDATES, content=endless(), headers=headers)
            assert answer.status_code == expected
        assert sent < 20 * LARGEST_UPDATE
    await scene.ask(OMAR, "/whoami", "operator")


async def test_an_update_is_confirmed_only_once_it_is_on_disk(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    scene, client = site

    def full(*_: object) -> None:
        raise sqlite3.OperationalError("database or disk is full")

    with monkeypatch.context() as patched:
        patched.setattr("storage.inbox.store", full)
        assert await _bring(client, _update(scene, "/whoami"), _secret(scene)) == 503
        scene.say(OMAR, "/order whatsapp indonesia")
        await scene.until(lambda: "503" in str(scene.telegram.webhook.get("last_error_message")))
    await scene.hears("📱", OMAR)
    assert len(scene.sms.books.charges) == 1


async def test_somebody_who_takes_the_webhook_over_stops_new_orders(site: Site) -> None:
    scene, _ = site
    ours = dict(scene.telegram.webhook)
    for _ in range(2):
        scene.telegram.webhook = {"url": "http://127.0.0.1:9/elsewhere"}
        await scene.until(lambda: scene.telegram.webhook["url"] == ours["url"], patience=12)
    await scene.hears("Another bot runs with my token", ADA, anew=False)
    await scene.ask(OMAR, "/order whatsapp indonesia", "New orders are paused")


async def test_changing_over_and_back_loses_and_repeats_nothing(tmp_path: Path) -> None:
    """Three runs of one desk: asking, brought to, asking; each time something was said while it was closed."""
    clock = FastClock(20.0, 1_773_464_400.0)
    async with open_web(tmp_path, clock=clock) as (scene, _):
        await scene.order()
        telegram, sms = scene.telegram, scene.sms
    telegram.say(OMAR, "/order whatsapp indonesia")
    async with open_brought(tmp_path, **_the_same(telegram, sms, clock)) as (scene, client):
        await scene.until(lambda: len(sms.books.charges) == 2)
        old = _secret(scene)
        await scene.settle()
    telegram.say(OMAR, "/order whatsapp vietnam")
    async with open_brought(tmp_path, **_the_same(telegram, sms, clock)) as (scene, client):
        await scene.until(lambda: len(sms.books.charges) == 3)
        assert _secret(scene) != old
        assert await _bring(client, _update(scene, "/order whatsapp vietnam"), old) == 401
    telegram.say(OMAR, "/whoami")
    async with open_web(tmp_path, **_the_same(telegram, sms, clock)) as (scene, _):
        await scene.hears("operator", OMAR, anew=False)
        await scene.until(lambda: not telegram.updates.pending)
        assert telegram.webhook["url"] == ""
        assert await scene.audited("desk.pause") == []
        await scene.settle()
        assert len(sms.books.charges) == 3
        assert await scene.count("SELECT count(*) FROM inbox WHERE state <> 'done'") == 0


def _the_same(telegram: TelegramWorld, sms: SmsWorld, clock: FastClock) -> dict[str, Any]:
    return {"telegram": telegram, "sms": sms, "clock": clock, "members": False}
