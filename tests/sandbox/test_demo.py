"""`otpdesk demo` and `otpdesk sandbox` as anybody runs them, and the panel beside the chat."""

import asyncio
import os
import signal
import socket
import sys
import zipfile
from collections.abc import AsyncIterator, Callable
from io import StringIO
from pathlib import Path
from typing import Any

import httpx
import pytest
import pytest_asyncio
from hatchling.builders.wheel import WheelBuilder
from playwright.async_api import Browser, expect
from rich.console import Console

from bot import cli
from bot.sandbox.bot_api import ADA, OMAR, SAM, TEAM_CHAT, TelegramWorld, bot_app, demo_cast
from bot.sandbox.child import BotCommand
from bot.sandbox.run import demo
from bot.sandbox.server import LoopbackServer
from bot.sandbox.sms_api import SmsWorld
from bot.sandbox.stage import open_stage, prepare, sandbox_app
from tests.sandbox import pages
from tests.sandbox.clients import http_client
from tests.sandbox.commands import PATIENCE, Command, eventually, otpdesk

ROOT = Path(__file__).parents[2]
SEED = "24"
"""A world whose first SMS is an early one, about four seconds after the order."""


class Chatter:
    """A person at the demo's page, through the page's own interface."""

    def __init__(self, client: httpx.AsyncClient) -> None:
        self._client = client

    async def say(self, user_id: int, text: str) -> None:
        answer = await self._client.post("/chat/say", json={"user_id": user_id, "text": text})
        assert answer.status_code == 200, answer.text

    async def press(self, user_id: int, label: str) -> None:
        """Press a button of the bot's latest message."""
        state = (await self._client.get("/chat/state")).json()
        messages = next(chat for chat in state["chats"] if chat["id"] == user_id)["messages"]
        press = {"user_id": user_id, "chat_id": user_id, "message_id": messages[-1]["message_id"], "button": label}
        answer = await self._client.post("/chat/press", json=press)
        assert answer.status_code == 200, answer.text

    async def said_by_bot(self, chat_id: int) -> str:
        state = (await self._client.get("/chat/state")).json()
        chat = next(chat for chat in state["chats"] if chat["id"] == chat_id)
        return "\n".join(message.get("text", "") for message in chat["messages"] if message["from_bot"])

    async def hears(self, chat_id: int, wanted: str) -> None:
        async def heard() -> bool:
            return wanted in await self.said_by_bot(chat_id)

        await eventually(heard)

    async def live_order(self) -> dict[str, Any]:
        order: dict[str, Any]
        (order,) = (await self._client.get("/world/world")).json()["live_orders"]
        return order


async def opened(command: Command) -> tuple[str, int]:
    """The page's address and the bot's process id, once the demo says that it is open."""
    address = await command.prints(r"The desk is open: (http://127\.0\.0\.1:\d+)")
    bot_id = await command.prints(r"kill -9 (\d+)")
    return address[1], int(bot_id[1])


def is_gone(process_id: int) -> bool:
    try:
        os.kill(process_id, 0)
    except ProcessLookupError:
        return True
    return False


KEEPER = """
import asyncio, pathlib, sys
from bot.sandbox.child import BotCommand, BotProcess

async def keep():
    folder = pathlib.Path(sys.argv[1])
    # The path of the configuration, which comes last, is here how long the "bot" sleeps.
    async with BotProcess(BotCommand(("sleep",), folder, {}), pathlib.Path("60"), folder / "log", print) as bot:
        print(bot.pid, flush=True)
        await asyncio.Event().wait()

asyncio.run(keep())
"""
"""A program that keeps a bot and is not able to say good-bye to it."""


def is_running(process_id: int, program: str) -> bool:
    """Whether Linux still runs a process as `program`; one that is dead and merely not yet buried is not running."""
    try:
        fields = Path(f"/proc/{process_id}/stat").read_text("utf-8").split()
    except (FileNotFoundError, ProcessLookupError):
        return False
    return fields[1] == f"({program})" and fields[2] != "Z"


class TestDemo:
    async def test_it_opens_survives_the_death_of_its_bot_and_leaves_nothing(self, tmp_path: Path) -> None:
        async with otpdesk(tmp_path, "demo", "--port", "0", "--seed", SEED) as command:
            url, first_bot = await opened(command)
            async with http_client(url) as client:
                chatter = Chatter(client)
                assert "<title>otpdesk</title>" in (await client.get("/")).text
                assert "You are in" in await chatter.said_by_bot(OMAR)
                assert "I work in" in await chatter.said_by_bot(TEAM_CHAT)
                assert await chatter.said_by_bot(SAM) == ""
                (config,) = command.files("otpdesk-demo-*/config.toml")
                assert config.stat().st_mode & 0o777 == 0o600

                await chatter.say(OMAR, "/order whatsapp germany")
                await chatter.hears(OMAR, "Nothing is ordered yet")
                await chatter.press(OMAR, "Order it")
                await chatter.hears(OMAR, "your limit per order")
                await chatter.say(OMAR, "/order whatsapp indonesia")
                await chatter.hears(OMAR, "📱")
                os.kill(first_bot, signal.SIGKILL)
                assert (await chatter.live_order())["otp_code"] is None
                await command.prints(rf"process {first_bot}\) was killed by SIGKILL")
                second_bot = int((await command.prints(r"back as process (\d+)"))[1])
                await chatter.hears(OMAR, "🔑")
                await chatter.hears(OMAR, (await chatter.live_order())["otp_code"])

            assert await command.stopped_by(signal.SIGINT) == 0
            assert "Traceback" not in command.text
            assert is_gone(first_bot)
            assert is_gone(second_bot)
            assert command.files() == []

    async def test_each_trouble_at_a_switch_is_answered_and_costs_nothing(self) -> None:
        async with open_stage(cli._bot_command(), print) as stage, http_client(stage.url) as client:
            await stage.until_polled()
            await prepare(stage)
            for switch, answer, pause in (
                ("smscode_down", "no clear answer", 0.0),
                ("rate_limit", "slow down", 2.1),  # for as many seconds SMSCode is then left alone
                ("sold_out", "sold out", 0.0),
            ):
                await client.post("/backstage/switch", json={"name": switch, "on": True})
                said = stage.telegram.say(OMAR, "/order whatsapp indonesia")
                await stage.telegram.wait_for(answer, OMAR, PATIENCE, said.message_id)
                await client.post("/backstage/switch", json={"name": switch, "on": False})
                await asyncio.sleep(pause)
            assert stage.sms.books.orders == {}
            assert stage.sms.balance == stage.sms.books.opening

    async def test_it_can_be_stopped_before_it_is_open(self, tmp_path: Path) -> None:
        async with otpdesk(tmp_path, "demo", "--port", "0") as command:

            async def bot_started() -> bool:
                return bool(command.files("otpdesk-demo-*/bot.log"))

            await eventually(bot_started)
            assert await command.stopped_by(signal.SIGTERM) == 0
            assert command.text == ""
            assert command.files() == []

    async def test_a_taken_port_names_a_free_one(self, tmp_path: Path) -> None:
        with socket.create_server(("127.0.0.1", 0)) as other:
            taken = other.getsockname()[1]
            async with otpdesk(tmp_path, "demo", "--port", str(taken)) as command:
                assert await command.ends() == 2
            found = await command.prints(r"Port (\d+) is taken by another program\..*otpdesk demo --port (\d+)")
        assert int(found[1]) == taken
        with socket.create_server(("127.0.0.1", int(found[2]))):
            pass
        assert command.files() == []

    async def test_nothing_around_it_leads_its_bot_astray(self, tmp_path: Path) -> None:
        own, temporary = tmp_path / "own", tmp_path / "temporary"
        (own / "bot").mkdir(parents=True)
        (own / "bot" / "__init__.py").write_text("raise SystemExit('the wrong bot')", "utf-8")
        temporary.mkdir()
        nowhere = "http://127.0.0.1:9"
        async with otpdesk(
            temporary,
            "demo",
            "--port",
            "0",
            working_folder=own,
            OTPDESK_TELEGRAM__BASE_URL=nowhere,
            otpdesk_smscode__token="mine",
            HTTP_PROXY=nowhere,
            http_proxy=nowhere,
        ) as command:
            url, _ = await opened(command)
            async with http_client(url) as client:
                chatter = Chatter(client)
                await chatter.say(ADA, "/balance")
                await chatter.hears(ADA, "Rp 150.000")

    async def test_a_bot_that_cannot_run_is_not_started_for_ever(self, tmp_path: Path) -> None:
        words = (sys.executable, "-c", "raise SystemExit('the disk is full')")
        told = StringIO()
        status = await demo(BotCommand(words, tmp_path, {}), Console(file=told), port=0, seed=0)
        assert status == 1
        assert "ended with status 1 at each of 3 starts" in told.getvalue()
        assert told.getvalue().count("the disk is full") == 3

    @pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a process that its parent is gone")
    async def test_a_bot_does_not_outlive_a_demo_that_is_killed(self, tmp_path: Path) -> None:
        keeper = await asyncio.create_subprocess_exec(
            sys.executable, "-c", KEEPER, tmp_path, cwd=ROOT, stdout=asyncio.subprocess.PIPE
        )
        assert keeper.stdout is not None
        kept = int(await keeper.stdout.readline())

        async def asleep() -> bool:
            return is_running(kept, "sleep")

        async def dead() -> bool:
            return not is_running(kept, "sleep")

        await eventually(asleep)
        keeper.kill()
        await keeper.communicate()
        await eventually(dead)

    def test_the_wheel_brings_the_page_along(self, tmp_path: Path) -> None:
        (wheel,) = WheelBuilder(str(ROOT)).build(directory=str(tmp_path), versions=["standard"])
        names = zipfile.ZipFile(wheel).namelist()
        assert {"bot/sandbox/chat.html", "bot/sandbox/chat.css", "bot/sandbox/chat.js"} <= set(names)


class TestSandbox:
    async def test_it_serves_both_worlds_and_their_strings(self, tmp_path: Path) -> None:
        async with otpdesk(tmp_path, "sandbox", "--telegram-port", "0", "--sms-port", "0", "--manual") as command:
            await command.prints("Ctrl-C ends it")
            api = (await command.prints(r"SMSCode\s+base url\s+(\S+)"))[1]
            token = (await command.prints(r"token\s+(\S+)\s+SMS arrive\s+only when told"))[1]
            page = (await command.prints(r"Telegram\s+base url\s+(\S+)"))[1]
            bot_token = (await command.prints(r"bot token\s+(\S+)"))[1]
            async with http_client(headers={"Authorization": f"Bearer {token}"}) as client:
                assert (await client.get(f"{api}/v1/balance")).json()["data"]["balance"] == 150_000
                assert (await client.get(f"{page}/bot{bot_token}/getMe")).json()["ok"] is True
                (product, *_) = (await client.get(f"{api}/v1/catalog/products")).json()["data"]
                placed = await client.post(f"{api}/v1/orders", json={"product_id": product["id"]})
                order_id = placed.json()["data"]["order_id"]
                (live,) = (await client.get(f"{page}/world/world")).json()["live_orders"]
                assert (live["order_id"], live["arrives_at"]) == (order_id, None)
                code = (await client.post(f"{page}/world/orders/{order_id}/sms")).json()["code"]
                assert (await client.get(f"{api}/v1/orders/{order_id}")).json()["data"]["otp_code"] == code
            assert await command.stopped_by(signal.SIGINT) == 0
            assert "Traceback" not in command.text

    async def test_a_taken_port_is_named_with_its_option(self, tmp_path: Path) -> None:
        with socket.create_server(("127.0.0.1", 0)) as other:
            taken = other.getsockname()[1]
            async with otpdesk(tmp_path, "sandbox", "--telegram-port", "0", "--sms-port", str(taken)) as command:
                assert await command.ends() == 2
        assert f"Port {taken} is taken" in command.text
        assert "otpdesk sandbox --sms-port" in command.text


@pytest.fixture
def sms() -> SmsWorld:
    return SmsWorld(arrival=None)


@pytest_asyncio.fixture(loop_scope="session")
async def server(sms: SmsWorld) -> AsyncIterator[LoopbackServer]:
    async with LoopbackServer(sandbox_app(demo_cast(TelegramWorld()), sms)) as running:
        yield running


def first_product(sms: SmsWorld, fits: Callable[[str], bool] = lambda country: country == "indonesia") -> int:
    return next(product.id for product in sms.products(platform="whatsapp") if fits(product.country))


@pytest.mark.asyncio(loop_scope="session")
class TestPanel:
    async def test_it_shows_the_account_and_lets_an_sms_arrive(
        self, sms: SmsWorld, server: LoopbackServer, browser: Browser
    ) -> None:
        async with pages.opened(browser, server.url) as tab:
            page = tab.page
            await expect(page.locator("#balance")).to_have_text("Rp 150.000")
            await page.get_by_role("button", name="Order one as Omar").click()
            await expect(page.locator("#self")).to_have_text("You are Omar")

            order = sms.create_order(first_product(sms))
            card = page.locator(".number", has_text=order.phone_number)
            await expect(card).to_contain_text("waiting")
            await expect(page.locator("#no-numbers")).to_be_hidden()
            await expect(page.locator("#spent")).to_have_text(f"Rp {order.price:,}".replace(",", "."))
            await card.get_by_role("button", name="SMS arrives now").click()
            await expect(card).to_contain_text("1 SMS")
            assert order.coded_sms is not None
            await expect(card).to_contain_text(str(order.coded_sms.code))

            sms.cancel_order(order.id)
            await expect(card).to_have_count(0)
            assert tab.complaints == []

    @pytest.mark.parametrize(("viewport", "scheme"), [("desktop", "light"), ("phone", "dark")])
    async def test_it_is_legible_and_fits(
        self, sms: SmsWorld, server: LoopbackServer, browser: Browser, viewport: str, scheme: str
    ) -> None:
        sms.arrive(sms.create_order(first_product(sms)).id)
        sms.create_order(first_product(sms))
        async with pages.opened(browser, server.url, viewport=viewport, scheme=scheme) as tab:
            await expect(tab.page.locator(".number")).to_have_count(2)
            await tab.page.wait_for_timeout(250)
            assert await tab.page.evaluate(pages.FAINT_TEXT) == []
            assert await tab.page.evaluate("document.documentElement.scrollWidth <= innerWidth")

    async def test_without_an_account_there_is_no_panel(self, browser: Browser) -> None:
        async with (
            LoopbackServer(bot_app(demo_cast(TelegramWorld()))) as server,
            pages.opened(browser, server.url) as tab,
        ):
            await tab.page.wait_for_timeout(1200)
            await expect(tab.page.locator("#side")).to_be_hidden()
            assert tab.complaints == []

    @pytest.mark.parametrize("headers", [{"Origin": "https://example.org"}, {"Host": "rebound.example.org"}])
    async def test_another_site_cannot_pull_its_strings(
        self, sms: SmsWorld, server: LoopbackServer, headers: dict[str, str]
    ) -> None:
        order = sms.create_order(first_product(sms))
        async with http_client(server.url, headers=headers) as client:
            answer = await client.post(f"/world/orders/{order.id}/sms")
        assert answer.status_code == 403
        assert order.messages == []
