"""A caller that is cancelled leaves no half transaction behind, and is never told that nothing was kept."""

import asyncio
import random
import sqlite3
from collections import Counter
from dataclasses import dataclass, field
from functools import partial
from typing import Final

from storage.database import Database

CALLERS: Final = 1000
AT_WORK: Final = 20
TRANSACTIONS: Final = 3
ROWS: Final = 5
FAILING: Final = 7
"""One caller in so many raises in the middle of each of its transactions."""


@dataclass
class Caller:
    """One coroutine that writes rows in several transactions, until it is done or cancelled."""

    number: int
    pauses: list[float]
    confirmed: set[int] = field(default_factory=set)
    asked: set[int] = field(default_factory=set)

    @property
    def fails(self) -> bool:
        return self.number % FAILING == 0

    async def work(self, database: Database) -> None:
        for turn, pause in enumerate(self.pauses):
            await asyncio.sleep(pause)
            self.asked.add(turn)
            try:
                await database.transact(partial(self.write, turn=turn))
            except ZeroDivisionError:
                continue
            self.confirmed.add(turn)

    def write(self, connection: sqlite3.Connection, turn: int) -> None:
        for row in range(ROWS):
            if self.fails and row == ROWS // 2:
                raise ZeroDivisionError
            connection.execute("INSERT INTO settings (name, value) VALUES (?, '')", (f"{self.number}:{turn}:{row}",))


async def run(caller: Caller, database: Database, dice: random.Random, gate: asyncio.Semaphore) -> bool:
    """Let it work and cancel it at some moment, or at some number of awaits; say whether that hit it at work."""
    async with gate:
        task = asyncio.create_task(caller.work(database))
        luck = dice.random()
        if luck < 0.5:
            await asyncio.sleep(dice.uniform(0, 0.1))
        elif luck < 0.8:
            for _ in range(dice.randrange(12)):
                await asyncio.sleep(0)
        else:
            await asyncio.wait([task])
        task.cancel()
        (outcome,) = await asyncio.gather(task, return_exceptions=True)
        assert outcome is None or isinstance(outcome, asyncio.CancelledError), outcome
        return outcome is not None


async def test_a_thousand_callers_cancelled_anywhere(database: Database) -> None:
    dice = random.Random(20260314)
    callers = [
        Caller(number, [dice.choice([0, 0, 0.0005, 0.002]) for _ in range(TRANSACTIONS)]) for number in range(CALLERS)
    ]
    gate = asyncio.Semaphore(AT_WORK)
    cancelled = await asyncio.gather(*(run(caller, database, dice, gate) for caller in callers))
    rows = await database.read(lambda connection: connection.execute("SELECT name FROM settings").fetchall())
    kept = Counter(tuple(map(int, row["name"].split(":")[:2])) for row in rows)

    assert set(kept.values()) == {ROWS}, "a transaction was kept in part"
    assert await database.read(lambda connection: connection.execute("PRAGMA quick_check").fetchone()[0]) == "ok"
    outcomes: Counter[str] = Counter()
    for caller, was_cancelled in zip(callers, cancelled, strict=True):
        committed = {turn for turn in range(TRANSACTIONS) if (caller.number, turn) in kept}
        assert caller.confirmed <= committed, "a transaction was confirmed and is not there"
        if caller.fails:
            assert not committed, "a transaction that raised was kept"
        else:
            assert committed == caller.asked, "a transaction was begun and dropped on the way"
        if was_cancelled:
            outcomes["cancelled, and kept all the same"] += len(committed - caller.confirmed)
            outcomes["cancelled before it was asked for"] += TRANSACTIONS - len(caller.asked)
        else:
            outcomes["left alone"] += 1
    assert len(outcomes) == 3
    assert min(outcomes.values()) > CALLERS // 20, outcomes


async def test_nothing_is_left_open_by_a_cancelled_caller(database: Database) -> None:
    def slow(connection: sqlite3.Connection) -> None:
        assert not connection.execute("SELECT count(*) FROM settings").fetchone()[0]
        connection.execute(
            "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 200000)"
            " INSERT INTO settings SELECT 'slow', max(i) FROM n"
        )

    task = asyncio.create_task(database.transact(slow))
    await asyncio.sleep(0.01)
    task.cancel()
    assert isinstance((await asyncio.gather(task, return_exceptions=True))[0], asyncio.CancelledError)
    assert await database.transact(lambda connection: connection.in_transaction)
    assert (
        await database.read(lambda connection: connection.execute("SELECT name FROM settings").fetchone()[0]) == "slow"
    )
    assert not database._connection.in_transaction


async def test_a_cancelled_caller_of_a_body_that_raises_hides_nothing_from_the_next(database: Database) -> None:
    def broken(connection: sqlite3.Connection) -> None:
        connection.execute("INSERT INTO settings (name, value) VALUES ('a', '')")
        raise ZeroDivisionError

    task = asyncio.create_task(database.transact(broken))
    await asyncio.sleep(0)
    task.cancel()
    assert isinstance((await asyncio.gather(task, return_exceptions=True))[0], asyncio.CancelledError)
    assert (
        await database.read(lambda connection: connection.execute("SELECT count(*) FROM settings").fetchone()[0]) == 0
    )


async def test_transactions_never_interleave(database: Database) -> None:
    """Each reads a number and writes it one higher: an interleaving would lose a step."""

    def step(connection: sqlite3.Connection) -> None:
        row = connection.execute("SELECT value FROM settings WHERE name = 'n'").fetchone()
        value = int(row["value"]) + 1 if row else 1
        connection.execute("INSERT OR REPLACE INTO settings (name, value) VALUES ('n', ?)", (str(value),))

    await asyncio.gather(*(database.transact(step) for _ in range(200)))
    value = await database.read(lambda connection: connection.execute("SELECT value FROM settings").fetchone()[0])
    assert value == "200"
