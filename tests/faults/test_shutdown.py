"""SIGTERM in the middle of spending: the process is gone in time, and the order has a defined state."""

import asyncio
import contextlib
import sqlite3
import sys
import time
from pathlib import Path

from bot.sandbox.bot_api import ADA, TelegramWorld, bot_app, demo_cast
from bot.sandbox.server import LoopbackServer
from bot.sandbox.sms_api import Fault, FaultKind, SmsWorld, sms_app
from storage import ledger

DRAINS_WITHIN = 10.0


async def test_sigterm_during_a_create_that_hangs_ends_in_time_and_the_hold_stays(tmp_path: Path) -> None:
    telegram, sms = demo_cast(TelegramWorld()), SmsWorld(arrival=None)
    async with LoopbackServer(bot_app(telegram)) as chat, LoopbackServer(sms_app(sms)) as api:
        config = tmp_path / "config.toml"
        database = tmp_path / "desk.sqlite3"
        config.write_text(
            f'[telegram]\ntoken = "{telegram.token}"\nbase_url = "{chat.url}"\n'
            f'[smscode]\ntoken = "sandbox"\nbase_url = "{api.url}"\n'
            f'[access]\nowners = [{ADA}]\n[storage]\npath = "{database}"\n',
            encoding="utf-8",
        )
        desk = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "bot", "run", "--config", str(config), stderr=asyncio.subprocess.DEVNULL
        )
        try:
            telegram.say(ADA, "/start")
            await telegram.wait_for("Hello", ADA, 20)
            sms.faults.add(Fault(kind=FaultKind.SILENCE_AFTER, route="POST /v1/orders"))
            telegram.say(ADA, "/order whatsapp indonesia")
            while not sms.books.orders:
                await asyncio.sleep(0.02)
            began = time.monotonic()
            desk.terminate()
            code = await asyncio.wait_for(desk.wait(), DRAINS_WITHIN + 5)
            took = time.monotonic() - began
        finally:
            with contextlib.suppress(ProcessLookupError):
                desk.kill()
            await desk.wait()
    assert code == 0
    assert took < DRAINS_WITHIN
    with contextlib.closing(sqlite3.connect(database)) as books:
        books.row_factory = sqlite3.Row
        (order,) = books.execute("SELECT state, held, price FROM orders").fetchall()
        assert order["state"] in {"sent", "unknown"}
        assert order["held"] == order["price"]
        assert ledger.discrepancies(books) == []
