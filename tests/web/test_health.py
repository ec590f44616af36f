"""What the desk says of itself: whether it lives, whether it can work, and what it has counted."""

import asyncio
import json
import re
import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from bot.metrics import route_of
from bot.pulse import GRACE, Pulse
from bot.sandbox.bot_api import ADA, OMAR
from bot.services.readiness import LATELY
from tests.clocks import ManualClock
from tests.scene import NOON, Scene
from tests.web.site import answers, open_web

Site = tuple[Scene, httpx.AsyncClient]


@pytest.fixture
async def site(tmp_path: Path) -> AsyncIterator[Site]:
    async with open_web(tmp_path) as opened:
        yield opened


async def _missing(client: httpx.AsyncClient) -> list[str]:
    answer = await client.get("/readyz")
    body = answer.json()
    assert (answer.status_code == 200) is (body["status"] == "ready")
    return list(body.get("missing", []))


async def _until_missing(client: httpx.AsyncClient, name: str) -> None:
    """Wait until that alone is missing: after the jump of a clock the loops need a moment to turn again."""
    async with asyncio.timeout(8):
        while await _missing(client) != [name]:
            await asyncio.sleep(0.02)


async def _figures(client: httpx.AsyncClient) -> dict[str, float]:
    answer = await client.get("/metrics")
    assert answer.status_code == 200
    lines = [line.rpartition(" ") for line in answer.text.splitlines() if not line.startswith("#")]
    return {name: float(value) for name, _, value in lines}


async def test_a_desk_is_ready_once_both_servers_have_answered(site: Site) -> None:
    scene, client = site
    await answers(client, "/readyz")
    for world, name in ((scene.sms, "smscode"), (scene.telegram, "telegram")):
        scene.telegram.say(ADA, "/whoami")  # a long poll lasts real seconds, which are minutes of this clock
        world.down = True
        scene.clock.jump(LATELY + 1)
        await _until_missing(client, name)
        world.down = False
        scene.telegram.say(ADA, "/whoami")
        await answers(client, "/readyz")


async def test_metrics_tell_of_an_order_and_name_nobody(site: Site) -> None:
    scene, client = site
    order = await scene.order()
    scene.sms.arrive(order.id, "482913")
    await scene.hears("482913", OMAR)
    scene.say(OMAR, "/order nothing-like-it")
    await scene.hears("", OMAR)
    await scene.until(lambda: scene.app.desk.metrics.registry.get_sample_value("otpdesk_push_delay_seconds_count") == 1)
    page = (await client.get("/metrics")).text
    figures = await _figures(client)
    assert figures['otpdesk_orders{state="received"}'] == 1
    assert figures["otpdesk_time_to_code_seconds_count"] == 1
    assert figures['otpdesk_commands_total{command="order",outcome="done"}'] == 1
    assert figures['otpdesk_commands_total{command="order",outcome="refused"}'] == 1
    assert figures['otpdesk_smscode_call_seconds_count{code="200",route="POST /v1/orders"}'] == 1
    assert figures['otpdesk_smscode_call_seconds_count{code="200",route="GET /v1/orders/{id}"}'] >= 1
    assert figures['otpdesk_telegram_call_seconds_count{code="200",method="sendMessage"}'] >= 1
    assert figures['otpdesk_outbox_letters{state="dead"}'] == 0
    assert figures["otpdesk_held_rupiah"] == 0
    assert figures['otpdesk_team_left_rupiah{period="day"}'] == 500_000 - order.price
    assert 0 < figures["otpdesk_smscode_requests_left"] < 300
    assert figures["otpdesk_database_bytes"] > 0
    assert figures["process_resident_memory_bytes"] > 0
    secrets = ["482913", order.phone_number, str(OMAR), str(ADA), scene.telegram.token, "sandbox", order.id]
    labels = " ".join(re.findall(r"\{.*\}", page))
    assert [secret for secret in secrets if secret in labels] == []


async def test_a_disk_that_cannot_be_written_is_said_at_once_and_taken_back(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    scene, client = site
    await answers(client, "/readyz")

    def full(connection: sqlite3.Connection) -> None:
        raise sqlite3.OperationalError("database or disk is full")

    with pytest.raises(sqlite3.OperationalError):
        await scene.app.desk.database.transact(full)
    assert "database" in await _missing(client)
    await answers(client, "/healthz")
    await scene.app.desk.database.transact(lambda connection: None)
    assert "database" not in await _missing(client)


async def test_a_loop_that_hangs_is_named(site: Site) -> None:
    scene, client = site
    await answers(client, "/readyz")
    scene.clock.jump(20 + GRACE + 1)
    assert "housekeeping" in await _missing(client)
    assert (await client.get("/metrics")).text.count("otpdesk_ready 0.0") == 1


async def test_a_server_nobody_had_to_ask_is_asked_by_itself(site: Site) -> None:
    scene, client = site
    asked = scene.sms.books.requests["GET", "/v1/balance"]
    scene.clock.jump(61)
    await scene.until(lambda: scene.sms.books.requests["GET", "/v1/balance"] > asked)
    await answers(client, "/readyz")
    assert (await _figures(client))["otpdesk_balance_rupiah"] == 150_000


async def test_one_reading_of_the_balance_serves_the_metrics_and_the_alarm(tmp_path: Path) -> None:
    async with open_web(tmp_path, members=False, alerts={"low_balance": 200_000}) as (scene, client):
        scene.say(ADA, "/start")
        await scene.hears("The SMSCode account has Rp 150.000 left", ADA, anew=False)
        assert (await _figures(client))["otpdesk_balance_rupiah"] == 150_000
        await scene.settle()
        asked = scene.sms.books.requests["GET", "/v1/balance"]
        assert asked <= 1 + int((scene.clock.now() - NOON) / 60)


def test_a_loop_is_silent_once_it_is_later_than_it_said() -> None:
    clock = ManualClock()
    pulse = Pulse(clock)
    assert pulse.silent(["watcher"]) == ["watcher"]
    pulse.beat("watcher", 5)
    clock._elapsed += 5 + GRACE - 0.1
    assert pulse.silent(["watcher"]) == []
    clock._elapsed += 0.2
    assert pulse.silent(["watcher"]) == ["watcher"]
    assert pulse.unheard("smscode") == float("inf")
    pulse.heard("smscode")
    clock._elapsed += 7
    assert pulse.unheard("smscode") == 7


@pytest.mark.parametrize(
    ("path", "route"),
    [
        ("/v1/balance", "/v1/balance"),
        ("/v1/orders/100001", "/v1/orders/{id}"),
        ("/v1/orders/ord_ab/cancel", "/v1/orders/{id}/cancel"),
        ("/v1/orders/abc", "/v1/orders/{id}"),
        ("/v1/catalog/exchange-rate", "/v1/catalog/exchange-rate"),
    ],
)
def test_a_route_holds_nothing_of_one_order(path: str, route: str) -> None:
    assert route_of(path) == route


async def test_every_figure_of_the_dashboard_and_the_alerts_is_one_that_the_desk_shows(site: Site) -> None:
    _, client = site
    await answers(client, "/readyz")
    shown = set(re.findall(r"^# TYPE (\w+)", (await client.get("/metrics")).text, re.MULTILINE))
    shown |= {f"{name}_{part}" for name in shown for part in ("bucket", "count", "total")}
    drawn = set(_expressions(Path("docs/observe/dashboard.json")))
    told = set(re.findall(r"expr: (.+)", Path("docs/observe/alerts.yaml").read_text(encoding="utf-8")))
    assert len(drawn) > 15
    assert len(told) > 8
    named = {name for text in drawn | told for name in re.findall(r"\b(?:otpdesk|process)_\w+", text)}
    assert named - shown == set()


def _expressions(board: Path) -> list[str]:
    panels = json.loads(board.read_text(encoding="utf-8"))["panels"]
    return [target["expr"] for panel in panels for target in panel["targets"]]
