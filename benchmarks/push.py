"""Many live orders at once: how many requests watching takes, and how soon a code is in the chat.

    python -m benchmarks.push --orders 25 300 --seconds 60
    python -m benchmarks.push --contract guide --orders 100 --seconds 60
    python -m benchmarks.push --orders 1 --rounds 24 --seconds 5

An account with a limit of 300 requests a minute, 50 ms away, and one SMS for each order at a random moment: all within
a quarter of a minute, or, of many orders, about four a second, because a bot may say only so much a second (with
`--seconds` they come closer together than Telegram takes them). It is watched by the desk, by the desk with SMSCode's
webhooks, by one task of the vendor's SDK (`wait_for_otp`) for each order, by the desk over the guide, which has no list
and no webhooks, and by the guide's own loop in one thread for each order. Of few orders one SMS each says little: with
`--rounds` the desk's orders get one after the other, and the peers, whose calls end with the first, fresh orders.
Over the guide, which shows only the last code of an order, the desk looks less often once it has one.
Measured is the time from the SMS at SMSCode to `sendMessage` (for the SDK: to the return of its call).
"""

import argparse
import asyncio
import contextlib
import logging
import random
import secrets
import tempfile
import time
from collections.abc import Collection
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Final

import httpx
from smscode import AsyncSmscodeClient
from smscode.errors import SmscodeError

from benchmarks.report import Report, Spread, leave
from bot.sandbox.bot_api import ADA, TelegramWorld
from bot.sandbox.server import LoopbackServer
from bot.sandbox.sms_api import DEFAULT_BEARER, Contract, Order, SmsWorld, sms_app
from tests.clocks import FastClock
from tests.scene import open_scene
from tests.web.site import free_port

FIRST_MEMBER: Final = 20_001
LIMIT: Final = 300
DISTANCE: Final = 0.05
INTERVAL: Final = 5.0
SHORTEST: Final = 15.0
CODES_A_SECOND: Final = 4.0
LOOKS_A_SECOND: Final = 4.0
"""What is left of the account's limit for watching; the rest is for commands."""

_APART: Final = 6.0
"""Seconds between two rounds: an SMS that follows sooner replaces one that no list has shown."""

_MINUTE: Final = 61.0
_PATIENCE: Final = 45.0
_WATCHING: Final = (("GET", "/v1/orders/active"), ("GET", "/v1/orders/{id}"))


@dataclass
class Result:
    """What was seen. `delays` are seconds, one for each code that came; `minutes` is how long was watched."""

    name: str
    orders: int
    delays: list[float] = field(default_factory=list)
    requests: int = 0
    refused: int = 0
    lost: int = 0
    doubled: int = 0
    minutes: float = 0.0


@dataclass(frozen=True)
class Load:
    """So many live orders, each with an SMS within `seconds`, and that `rounds` times."""

    orders: int
    seconds: float
    rounds: int


def make_worlds(orders: int) -> tuple[FastClock, TelegramWorld, SmsWorld]:
    """A quick, near account on which `orders` orders can be placed in no time."""
    clock = FastClock(1.0)
    telegram = TelegramWorld(now=clock.now)
    telegram.add_user(ADA, "Ada")
    for member in range(FIRST_MEMBER, FIRST_MEMBER + orders):
        telegram.add_user(member, f"Member {member}")
    sms = SmsWorld(
        now=clock.now,
        arrival=None,
        balance=1_000_000_000,
        requests_per_minute=None,
        order_lifetime=7200.0,
        complete_after=None,
    )
    for product in sms.products("indonesia", "whatsapp"):
        product.available = orders
    return clock, telegram, sms


async def watch_with_the_desk(
    load: Load, folder: Path, *, webhooks: bool = False, contract: Contract = "official"
) -> Result:
    """Place the orders with a desk in a hurry, then watch them with a desk that keeps to the account's limit."""
    orders = load.orders
    clock, telegram, sms = make_worlds(orders)
    ceiling = 1_000_000_000
    limits = {"team_daily": ceiling, "team_monthly": ceiling}
    open_desk = partial(
        open_scene, folder, telegram=telegram, sms=sms, clock=clock, members=False, contract=contract, limits=limits
    )
    async with open_desk(smscode={"requests_per_minute": 60_000}) as scene:
        for member in range(FIRST_MEMBER, FIRST_MEMBER + orders):
            await scene.hire(member, f"Member {member}")
            scene.say(member, "/order whatsapp indonesia")
        for member in range(FIRST_MEMBER, FIRST_MEMBER + orders):
            await scene.hears("📱", member, anew=False, patience=_PATIENCE)
    sms.requests_per_minute, sms.distance = LIMIT, DISTANCE
    clock.jump(_MINUTE)  # what it took to place them is no part of the account's minute any more
    name = "the desk, over the guide" if contract == "guide" else "the desk"
    result = Result("the desk, with webhooks" if webhooks else name, orders)
    sections: dict[str, Any] = {"smscode": {"requests_per_minute": LIMIT}, "polling": {"interval": 5.0}}
    if webhooks:
        port = free_port()
        sections["smscode"]["webhook_secret"] = secrets.token_hex(16)
        sections["web"] = {"listen": f"127.0.0.1:{port}", "public_url": f"http://127.0.0.1:{port}"}
    async with open_desk(**sections) as scene, scene.webhooks:
        await asyncio.sleep(12.0)  # the start is over, and the first lists were seen
        before, refused, started = _watching(sms), sms.books.answers_429, clock.now()
        placed = sms.live_orders()
        for _ in range(load.rounds):
            await _let_sms_come(sms, placed, load)
        slowest = 3 * orders / LOOKS_A_SECOND if contract == "guide" else 0.0
        with contextlib.suppress(AssertionError):  # what was never told is counted as lost
            await telegram.wait_until(lambda: len(_told(telegram)) >= len(sms.books.messages), _PATIENCE + slowest)
        result.minutes = (clock.now() - started) / 60
        result.requests = _watching(sms) - before
        result.refused = sms.books.answers_429 - refused
    _compare(result, telegram, sms)
    return result


async def watch_with_the_sdk(load: Load) -> Result:
    """One `wait_for_otp` of the vendor's client for each order, with its own pace."""
    clock, _, sms = make_worlds(load.orders)
    sms.requests_per_minute, sms.distance = LIMIT, DISTANCE
    result = Result("a task of the SDK for each order", load.orders)
    async with (
        LoopbackServer(sms_app(sms, "official")) as server,
        httpx.AsyncClient(timeout=20.0, limits=httpx.Limits(max_connections=load.orders), trust_env=False) as http,
    ):
        client = AsyncSmscodeClient(token=DEFAULT_BEARER, base_url=server.url, client=http)

        async def wait(order: Order) -> None:
            try:
                await client.v1.orders.wait_for_otp(order.number, timeout_ms=round((load.seconds + _PATIENCE) * 1000))
            except SmscodeError:
                result.lost += 1
            else:
                result.delays.append(clock.now() - order.messages[0].at)

        started = clock.now()
        for _ in range(load.rounds):
            placed = _place(sms, load.orders)
            await asyncio.gather(_let_sms_come(sms, placed, load), *map(wait, placed))
        result.minutes = (clock.now() - started) / 60
    result.requests, result.refused = _watching(sms), sms.books.answers_429
    return result


def _place(sms: SmsWorld, orders: int) -> list[Order]:
    (product, *_) = sms.products("indonesia", "whatsapp")
    product.available = orders
    return [sms.create_order(product.id) for _ in range(orders)]


async def _let_sms_come(sms: SmsWorld, placed: list[Order], load: Load) -> None:
    """One round: an SMS for each order at a moment that differs from round to round."""
    dice = random.Random(len(sms.books.messages))

    async def arrive(order: Order) -> None:
        await asyncio.sleep(dice.uniform(0, load.seconds))
        sms.arrive(order.id)

    await asyncio.gather(*map(arrive, placed))
    if load.rounds > 1:
        await asyncio.sleep(_APART)


def _told(telegram: TelegramWorld) -> list[tuple[str, float]]:
    """Every message with a code, and when it came."""
    calls = (call for call in telegram.calls if call.method == "sendMessage")
    return [(str(call.params["text"]), call.at) for call in calls if "🔑" in str(call.params.get("text"))]


def _watching(sms: SmsWorld) -> int:
    return sum(sms.books.requests[route] for route in _WATCHING)


def _compare(result: Result, telegram: TelegramWorld, sms: SmsWorld) -> None:
    told = _told(telegram)
    for message in sms.books.messages:
        number = sms.order(message.order_id).phone_number
        copies = [at for text, at in told if str(message.code) in text and number in text]
        result.lost += not copies
        result.doubled += max(0, len(copies) - 1)
        if copies:
            result.delays.append(copies[0] - message.at)


def watch_with_threads(load: Load) -> Result:
    """The loop of the getting-started guide, in a thread for each order; a refusal ends nothing, it asks again."""
    clock, _, sms = make_worlds(load.orders)
    sms.requests_per_minute, sms.distance = LIMIT, DISTANCE
    result = Result("the guide's loop in a thread for each order", load.orders)

    def wait(url: str, order: Order) -> None:
        ends = clock.now() + load.seconds + _PATIENCE
        with httpx.Client(headers={"Authorization": f"Bearer {DEFAULT_BEARER}"}, trust_env=False, verify=False) as http:  # noqa: S501 (loopback)
            while clock.now() < ends:
                data = http.get(f"{url}/v1/orders/{order.id}").json().get("data") or {}
                if data.get("status") == "OTP_RECEIVED":
                    result.delays.append(clock.now() - order.messages[0].at)
                    return
                time.sleep(INTERVAL)
        result.lost += 1

    async def run() -> None:
        async with LoopbackServer(sms_app(sms, "guide")) as server:
            with ThreadPoolExecutor(load.orders) as pool:
                loop = asyncio.get_running_loop()
                started = clock.now()
                for _ in range(load.rounds):
                    placed = _place(sms, load.orders)
                    waiting = [loop.run_in_executor(pool, wait, server.url, order) for order in placed]
                    await _let_sms_come(sms, placed, load)
                    await asyncio.gather(*waiting)
                result.minutes = (clock.now() - started) / 60

    asyncio.run(run())
    result.requests, result.refused = _watching(sms), sms.books.answers_429
    return result


async def measure(load: Load, contracts: Collection[Contract]) -> list[Result]:
    """Watch the same account by the desk; over the official contract also with webhooks, and by the SDK."""
    ways: list[dict[str, Any]] = [{"webhooks": False}, {"webhooks": True}] if "official" in contracts else []
    ways += [{"contract": "guide"}] if "guide" in contracts else []
    results = []
    for way in ways:
        with tempfile.TemporaryDirectory(prefix="otpdesk-bench-") as folder:
            results.append(await watch_with_the_desk(load, Path(folder), **way))
    return [*results, await watch_with_the_sdk(load)] if "official" in contracts else results


def main() -> None:
    """Measure and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--orders", type=int, nargs="*", default=[100])
    parser.add_argument("--seconds", type=float, help="in which all SMS come (default: by the number of orders)")
    parser.add_argument("--rounds", type=int, default=1, help="how many SMS each order gets")
    parser.add_argument("--contract", nargs="*", choices=["official", "guide"], default=["official", "guide"])
    arguments = parser.parse_args()
    logging.getLogger().setLevel(logging.ERROR)
    report = Report("push")
    for orders in arguments.orders:
        seconds = arguments.seconds or max(SHORTEST, orders / CODES_A_SECOND)
        load = Load(orders, seconds, arguments.rounds)
        results = [*asyncio.run(measure(load, arguments.contract)), watch_with_threads(load)]
        for result in results:
            _tell(report, result, Spread.of(results[0].delays))
    leave(report)


def _tell(report: Report, result: Result, desk: Spread) -> None:
    spread = Spread.of(result.delays)
    report.add(
        f"{result.orders} live orders, {LIMIT} requests a minute, {DISTANCE * 1000:.0f} ms away: seconds from the SMS",
        watched_by=result.name,
        requests_a_minute=result.requests / result.minutes,
        answers_429=result.refused,
        codes=spread.count,
        mean=spread.mean,
        p99=spread.p99,
        times_the_desk=spread.mean / desk.mean,
        lost=result.lost,
        doubled=result.doubled,
    )
    if "desk" not in result.name:
        return
    whole = not (result.refused or result.lost or result.doubled)
    report.bar(f"{result.orders} orders, {result.name}: no 429, none lost, none doubled", holds=whole)
    if "guide" in result.name:
        share = max(INTERVAL, result.orders / LOOKS_A_SECOND)
        report.bar(
            f"{result.orders} orders: nobody waits longer than three equal shares", holds=spread.worst <= 3 * share
        )
    elif "webhooks" in result.name:
        report.bar(f"{result.orders} orders, {result.name}: p99 ≤ 0.3 s", holds=spread.p99 <= 0.3)
    else:
        report.bar(f"{result.orders} orders: ≤ 2.7 s mean", holds=spread.mean <= 2.7)
        report.bar(f"{result.orders} orders: ≤ 5.3 s p99", holds=spread.p99 <= 5.3)
        report.bar(f"{result.orders} orders: ≤ 15 requests a minute", holds=result.requests / result.minutes <= 15)


if __name__ == "__main__":
    main()
