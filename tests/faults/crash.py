"""The crash proof: the real process under load and faults, killed at random moments, judged by the simulators' books.

    python -m tests.faults.crash --kills 1000 --seed 7 --contract official

Members order, cancel and press buttons in groups (where every answer names the command it answers), both servers
misbehave by a seeded dice, and the desk is killed with SIGKILL again and again. At the end the faults stop, the desk
comes to rest, and what Telegram and SMSCode saw is compared with what the desk wrote down.
"""

import argparse
import asyncio
import contextlib
import random
import sqlite3
import sys
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from rich.console import Console
from rich.progress import track

from bot.sandbox import bot_api, sms_api
from bot.sandbox.server import LoopbackServer
from storage import ledger
from tests.config_file import config_text
from tests.faults.desk_process import Desk, SharedClock
from tests.faults.proof import Proof

SPEED = 20.0
ADMIN = 5001
MEMBERS = tuple(range(5002, 5010))
GROUPS = {member: -1001700000000 - member for member in MEMBERS}
"""Everybody works in a group of their own, because Telegram takes only 20 messages a minute in each."""

_SPENT_A_KILL = 2_400
"""IDR that each member may spend a day for each kill of the run: all but the last of it goes on with orders."""

_BOT_SAYS_REPEAT = "Sent again"
_REST_SECONDS = 90.0
"""Real seconds in which nothing may come any closer to rest."""
_KILLED_WHILE_STARTING = 0.15
_LIVES_LONG = 0.12
_LONGEST_START = 60.0
_IN_HAND = 1.0
"""Real seconds in which a code that was read may not be on disk yet when the kill comes."""


@dataclass
class Verdict(Proof):
    """What was counted; a bar that is not met is in `broken`."""

    kills: int
    seed: int
    contract: sms_api.Contract
    seconds: float = 0.0
    commands: int = 0
    orders: int = 0
    codes: int = 0
    repeats: int = 0
    replaced: int = 0
    """Codes read in the moment of a kill, and replaced by the next SMS before the desk could ask again."""
    faults: int = 0

    def line(self) -> str:
        """The verdict in one line."""
        return (
            f"crash proof {self.outcome}: {self.contract}, {self.kills} kills, seed {self.seed}, {self.seconds:.0f} s, "
            f"{self.commands} commands, {self.orders} orders, {self.codes} codes, {self.repeats} labelled repeats, "
            f"{self.replaced} replaced at SMSCode before they could be asked for again, "
            f"{self.faults} injected faults"
        )


@dataclass
class Stage:
    """Both simulators, the desk between them, and the dice."""

    telegram: bot_api.TelegramWorld
    sms: sms_api.SmsWorld
    desk: Desk
    database: Path
    dice: random.Random
    contract: sms_api.Contract
    daily_cap: int
    killed_at: list[float] = field(default_factory=list)
    commands: list[tuple[int, int]] = field(default_factory=list)
    """Chat and message id of every command said."""

    def booked_id(self, remote_id: str) -> str:
        """The simulator's own id of an order that the desk knows by the contract's."""
        try:
            return self.sms.named(remote_id).id
        except sms_api.SmsApiError:
            return remote_id

    def bot_messages(self) -> list[bot_api.Message]:
        """All that the bot has said in the groups, deleted or not."""
        chats = self.telegram.chats
        return [m for group in GROUPS.values() for m in chats[group].messages.values() if m.from_bot]


async def prove(
    kills: int,
    seed: int,
    folder: Path,
    contract: sms_api.Contract = "guide",
    shown: Callable[[Iterable[int]], Iterable[int]] = iter,
) -> Verdict:
    """Run the whole proof in `folder` and return its verdict; `shown` passes the kills on and shows how far it is."""
    verdict = Verdict(kills, seed, contract)
    started = time.monotonic()
    async with _open_stage(folder, seed, contract, daily_cap=kills * _SPENT_A_KILL) as stage:
        load = asyncio.create_task(_load(stage))
        for _ in shown(range(kills)):
            await _live_for_a_while(stage)
            stage.killed_at.append(stage.sms.now())
            await stage.desk.kill()
        load.cancel()
        await asyncio.gather(load, return_exceptions=True)
        verdict.faults = len(stage.sms.faults.log) + len(stage.telegram.plan.fired)
        _calm(stage)
        calls = len(stage.telegram.calls)
        stage.desk.start()
        await _has_spoken(stage, calls)  # before that SIGTERM would not find it awake
        await _come_to_rest(stage, verdict)
        if await stage.desk.stop() != 0:
            verdict.broken.append("SIGTERM did not end the desk cleanly")
        _judge(stage, verdict)
    verdict.seconds = time.monotonic() - started
    return verdict


async def _live_for_a_while(stage: Stage) -> None:
    """Start the desk and give it a random moment: mostly at work, sometimes not even awake yet."""
    calls = len(stage.telegram.calls)
    stage.desk.start()
    if stage.dice.random() < _KILLED_WHILE_STARTING:
        await asyncio.sleep(stage.dice.uniform(0.0, 1.5))
        return
    # Counted from its first word to Telegram: on a busy machine a start may take longer than a whole life.
    await _has_spoken(stage, calls)
    # The guide's unclear orders hold up all others until the balance has proven something: some lives see that.
    sees_the_end = stage.contract == "guide" and stage.dice.random() < _LIVES_LONG
    await asyncio.sleep(stage.dice.uniform(8.0, 10.0) if sees_the_end else stage.dice.uniform(0.5, 2.5))


async def _has_spoken(stage: Stage, calls: int) -> None:
    """Wait until Telegram has heard more than so many calls."""
    async with asyncio.timeout(_LONGEST_START):
        while len(stage.telegram.calls) == calls:
            await asyncio.sleep(0.02)


@asynccontextmanager
async def _open_stage(folder: Path, seed: int, contract: sms_api.Contract, daily_cap: int) -> AsyncIterator[Stage]:
    clock = SharedClock(SPEED, time.time())
    telegram = bot_api.TelegramWorld(now=clock.now, seed=seed)
    sms = sms_api.SmsWorld(
        now=clock.now,
        seed=seed,
        balance=50_000_000,
        arrival=(5, 60),
        # A second SMS replaces the first at SMSCode; it must not come before a killed desk could look again, and on a
        # busy machine a start takes many of these seconds, twenty of which pass in a real one.
        second_sms_after=500,
        order_lifetime=1000,
        complete_after=600,
        requests_per_minute=None,
    )
    api_app = sms_api.sms_app(sms, contract)
    async with LoopbackServer(bot_api.bot_app(telegram)) as chat, LoopbackServer(api_app) as api:
        database = folder / "desk.sqlite3"
        config = folder / "config.toml"
        limits = {
            "per_order": 20_000, "daily": daily_cap, "monthly": 100_000_000, "team_daily": 100_000_000,
            "team_monthly": 100_000_000, "active_orders": 5, "cancels_per_day": 1000,
        }  # fmt: skip
        text = config_text(
            telegram.token, chat.url, api.url, ADMIN, contract, smscode={"requests_per_minute": 3000}, limits=limits,
            storage={"path": str(database)}, ordering={"countries": ["vietnam"]}, polling={"interval": 5},
            logging={"level": "WARNING"},
        )  # fmt: skip
        config.write_text(text, encoding="utf-8")
        desk = Desk(config, clock, folder / "desk.log")
        stage = Stage(telegram, sms, desk, database, random.Random(seed), contract, daily_cap)
        try:
            await _people(stage)
            _misbehave(stage, seed)
            yield stage
        finally:
            await desk.kill()


async def _people(stage: Stage) -> None:
    """Let everybody in, through the chat, before anything is killed."""
    telegram = stage.telegram
    telegram.add_user(ADMIN, "Ada")
    for member in MEMBERS:
        telegram.add_user(member, f"Member {member}")
        telegram.add_chat(GROUPS[member], f"Group {member}", members=(ADMIN, member), creator=ADMIN)
    for person in (ADMIN, *MEMBERS):
        telegram.say(person, "/start")
    stage.desk.start()
    await telegram.wait_for("Hello", ADMIN, 20)
    for member, group in GROUPS.items():
        telegram.add_bot_to_group(ADMIN, group)
        await telegram.wait_for("I work in", group, 20)
        telegram.say(ADMIN, f"/allow {member} operator")
        await telegram.wait_for("You are in", member, 20)
    await stage.desk.kill()


def _misbehave(stage: Stage, seed: int) -> None:
    kinds = sms_api.FaultKind
    stage.sms.faults.random = sms_api.RandomFaults(
        {
            kinds.LATE: 0.02,
            kinds.RESET_BEFORE: 0.02,
            kinds.RESET_AFTER: 0.02,
            kinds.TRUNCATED: 0.02,
            kinds.ERROR_BEFORE: 0.01,
            kinds.ERROR_AFTER: 0.01,
            kinds.HTML: 0.01,
            kinds.BROKEN_JSON: 0.01,
        },
        seed,
        seconds=0.3,
    )
    stage.telegram.plan.by_chance = bot_api.RandomFaults(probability=0.1)


def _calm(stage: Stage) -> None:
    stage.sms.faults.random = None
    stage.sms.faults.clear()
    stage.telegram.plan.by_chance = None


async def _load(stage: Stage) -> None:
    """Members who order, order again, cancel and press, for as long as it takes."""
    while True:
        member = stage.dice.choice(MEMBERS)
        platform, country = stage.dice.choice(
            (("whatsapp", "indonesia"), ("telegram", "indonesia"), ("google", "philippines"))
        )
        deed = stage.dice.random()
        if deed < 0.6:
            _say(stage, member, f"/order {platform} {country}")
        elif deed < 0.75:
            _say(stage, member, "/cancel")
        elif deed < 0.85:
            _say(stage, member, "/again")
        elif deed < 0.9 and stage.contract == "official":
            _say(stage, member, stage.dice.choice(("/done", "/resend")))
        else:
            _press_something(stage, member)
        await asyncio.sleep(stage.dice.uniform(0.05, 0.4))


def _say(stage: Stage, member: int, text: str) -> None:
    group = GROUPS[member]
    stage.commands.append((group, stage.telegram.say(member, text, group).message_id))


def _press_something(stage: Stage, member: int) -> None:
    """A press, and often a second one right after it."""
    group = GROUPS[member]
    messages = [message for message in stage.telegram.chats[group].visible()[-40:] if message.from_bot]
    for message in stage.dice.sample(messages, min(len(messages), 5)):
        labels = [label for label in message.button_texts if not label.startswith("Copy")]
        if labels:
            for _ in range(stage.dice.choice((1, 2))):
                with contextlib.suppress(bot_api.PersonError):
                    stage.telegram.press(member, group, message.message_id, stage.dice.choice(labels))
            return


async def _come_to_rest(stage: Stage, verdict: Verdict) -> None:
    """Wait until nothing waits any more: no update, no letter, no unclear and no live order."""
    unrest, deadline = _unrest(stage), time.monotonic() + _REST_SECONDS
    while unrest and time.monotonic() < deadline:
        if unrest.keys() == {"orders"}:
            _end_what_has_its_code(stage)
        await asyncio.sleep(0.5)
        before, unrest = unrest, _unrest(stage)
        if sum(unrest.values()) < sum(before.values()):
            deadline = time.monotonic() + _REST_SECONDS
    if unrest:
        verdict.broken.append(f"did not come to rest: {unrest}")


def _end_what_has_its_code(stage: Stage) -> None:
    """SMSCode completes an order by itself one day; that day need not be waited for."""
    for order in stage.sms.live_orders():
        if order.messages and order.messages[-1].shown_at is not None:
            stage.sms.complete(order.id)


def _unrest(stage: Stage) -> dict[str, int]:
    with contextlib.closing(_books(stage.database)) as books:
        counts = {
            "inbox": "SELECT count(*) FROM inbox WHERE state = 'pending'",
            "outbox": "SELECT count(*) FROM outbox WHERE state IN ('pending', 'sending')",
            "orders": "SELECT count(*) FROM orders WHERE ended_at IS NULL AND needs_admin = 0",
        }
        found = {name: books.execute(query).fetchone()[0] for name, query in counts.items()}
    found["updates"] = len(stage.telegram.updates.pending)
    return {name: count for name, count in found.items() if count}


def _books(database: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(database)
    connection.row_factory = sqlite3.Row
    return connection


def _judge(stage: Stage, verdict: Verdict) -> None:
    with contextlib.closing(_books(stage.database)) as books:
        _judge_orders(stage, verdict, books)
        _judge_money(stage, verdict, books)
        _judge_codes(stage, verdict, books)
        _judge_commands(stage, verdict, books)


def _judge_orders(stage: Stage, verdict: Verdict, books: sqlite3.Connection) -> None:
    """Every order on the account is one of ours, and each of ours is one command's."""
    known = _ours(stage, books)
    placed = {order.id for order in stage.sms.books.orders.values()}
    # A number whose answer was lost is known by its charge: one row each, settled by the balance or left to an admin.
    (nameless,) = books.execute("SELECT count(*) FROM orders WHERE state = 'charged'").fetchone()
    (undecided,) = books.execute("SELECT count(*) FROM orders WHERE needs_admin = 1 AND remote_id IS NULL").fetchone()
    verdict.orders = len(placed)
    unknown = len(placed - known)
    if stage.contract == "official" and (unknown or nameless or undecided):
        verdict.broken.append(f"{unknown} orders that a replay should have named, {undecided} left to an admin")
    if not nameless <= unknown <= nameless + undecided:
        verdict.broken.append(
            f"{unknown} orders without a row of their own, but {nameless} known as charged and {undecided} undecided"
        )
    if known - placed:
        verdict.broken.append(f"{len(known - placed)} orders that SMSCode never had")
    (rows,) = books.execute("SELECT count(*) FROM orders").fetchone()
    if len(placed) > rows:
        verdict.broken.append(f"{len(placed)} orders for {rows} commands")


def _ours(stage: Stage, books: sqlite3.Connection) -> set[str]:
    """The simulator's ids of the orders that the desk knows."""
    rows = books.execute("SELECT remote_id FROM orders WHERE remote_id IS NOT NULL")
    return {stage.booked_id(row["remote_id"]) for row in rows}


def _judge_money(stage: Stage, verdict: Verdict, books: sqlite3.Connection) -> None:
    verdict.broken.extend(ledger.discrepancies(books))
    spent: Counter[tuple[int, str]] = Counter()
    for row in books.execute("SELECT member_id, day, remote_id, charged FROM orders WHERE remote_id IS NOT NULL"):
        booked = stage.booked_id(row["remote_id"])
        paid = sum(charge.amount for charge in stage.sms.books.charges_of(booked))
        back = sum(refund.amount for refund in stage.sms.books.refunds_of(booked))
        spent[row["member_id"], row["day"]] += paid - back
        if paid != row["charged"]:
            verdict.broken.append(f"order {row['remote_id']} cost {paid}, the books say {row['charged']}")
    over = {key: amount for key, amount in spent.items() if amount > stage.daily_cap}
    if over:
        verdict.broken.append(f"over the limit: {over}")


def _judge_codes(stage: Stage, verdict: Verdict, books: sqlite3.Connection) -> None:
    """Each code that SMSCode has shown us is in the chat; a second copy says that it is one."""
    mine = _ours(stage, books)
    texts = [message.text for message in stage.bot_messages() if message.text.startswith("🔑")]
    for sms in stage.sms.books.messages:
        if sms.shown_at is None or sms.code is None or sms.order_id not in mine:
            continue
        verdict.codes += 1
        number = stage.sms.order(sms.order_id).phone_number
        copies = [text for text in texts if sms.code in text and number in text]
        fresh = [text for text in copies if _BOT_SAYS_REPEAT not in text]
        if not copies and _was_replaced(stage, sms):
            verdict.replaced += 1
        elif not copies:
            verdict.broken.append(f"the code of {sms.order_id} was shown and never delivered")
        if len(fresh) > 1:
            verdict.broken.append(f"the code of {sms.order_id} came {len(fresh)} times without saying so")
        verdict.repeats += max(0, len(copies) - 1)
    if verdict.replaced > 1 + verdict.kills // 20:
        verdict.broken.append(f"{verdict.replaced} codes lost to a kill and the next SMS are more than chance explains")
    if verdict.repeats > verdict.kills + verdict.faults:
        verdict.broken.append(f"{verdict.repeats} repeats for {verdict.kills} kills and {verdict.faults} faults")


def _was_replaced(stage: Stage, sms: sms_api.Sms) -> bool:
    """Whether the desk was killed with this code in its hands, and SMSCode has shown only a younger one since."""
    shown_at = sms.shown_at or 0.0
    in_hand = any(shown_at <= moment <= shown_at + _IN_HAND * SPEED for moment in stage.killed_at)
    younger = any(other.at > sms.at for other in stage.sms.books.messages_of(sms.order_id))
    return in_hand and younger


def _judge_commands(stage: Stage, verdict: Verdict, books: sqlite3.Connection) -> None:
    """Each command has led to an order, to one that ended, or to an answer in reply to it."""
    answered = {
        (message.chat_id, message.body["reply_to_message"]["message_id"])
        for message in stage.bot_messages()
        if "reply_to_message" in message.body
    }
    silent = [said for said in stage.commands if said not in answered]
    verdict.commands = len(stage.commands)
    ordered = _messages_with_orders(books)
    chats = stage.telegram.chats
    texts = Counter(
        chats[chat].messages[number].text.split()[0] for chat, number in silent if (chat, number) not in ordered
    )
    # A cancel that went through is told by its order's own message; the audit counts those.
    (cancels,) = books.execute("SELECT count(*) FROM audit WHERE action = 'order.cancel' AND actor_id <> 0").fetchone()
    if texts.pop("/cancel", 0) > cancels or texts:
        verdict.broken.append(f"commands lost: {dict(texts)}, and /cancel against {cancels} cancels")


def _messages_with_orders(books: sqlite3.Connection) -> set[tuple[int, int]]:
    """Commands that led to an order: what became of it is told by the order's own messages."""
    rows = books.execute("SELECT update_id, chat_id, message_id FROM inbox WHERE message_id IS NOT NULL")
    said = {row["update_id"]: (row["chat_id"], row["message_id"]) for row in rows}
    keys = [row["command_key"] for row in books.execute("SELECT command_key FROM orders")]
    return {where for key in keys if (where := said.get(int(key.rpartition("-")[2]))) is not None}


def main() -> int:
    """Run the proof as the command line says and print its verdict last."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--contract", choices=("guide", "official"), default="guide")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="otpdesk-crash-") as folder:
        progress = partial(track, description="kills", console=Console(stderr=True))
        verdict = asyncio.run(prove(arguments.kills, arguments.seed, Path(folder), arguments.contract, progress))
        if verdict.broken:
            print((Path(folder) / "desk.log").read_text(encoding="utf-8")[-5000:])  # noqa: T201
    print(verdict.line())  # noqa: T201
    return 1 if verdict.broken else 0


if __name__ == "__main__":
    sys.exit(main())
