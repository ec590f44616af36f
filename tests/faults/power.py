"""Power cuts: what is on disk after one is what was on disk at each file's last fsync, and nothing younger.

    python -m tests.faults.power --cuts 100 --seed 1

A child process commits rows through `storage.Database` as fast as it can and says so after each. Its SQLite runs on a
VFS whose `xSync` keeps a copy of the file as it is at that moment. The child is killed, its files are replaced by
those copies, and the database opened from them must hold every row that was acknowledged.
"""

import argparse
import asyncio
import itertools
import random
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from storage import settings
from storage.database import Database
from tests.faults.disk import Disk

DATABASE = "desk.sqlite3"


async def _commit_for_ever(folder: Path, copies: Path, *, careless: bool) -> None:
    with Disk(copies):
        database = await Database.open(folder / DATABASE)
        if careless:
            # Without fsync at each commit: the proof must notice.
            await database.read(_stop_syncing)
        for number in itertools.count(1):
            await database.transact(_row(number))
            sys.stdout.write(f"{number}\n")
            sys.stdout.flush()


def _stop_syncing(connection: sqlite3.Connection) -> None:
    connection.execute("ROLLBACK")
    connection.execute("PRAGMA synchronous = OFF")
    connection.execute("BEGIN")


def _row(number: int) -> Callable[[sqlite3.Connection], None]:
    return lambda connection: settings.put(connection, f"row {number}", str(number) * 50)


def lost_in_one_cut(folder: Path, seconds: float, *, careless: bool = False) -> tuple[int, int]:
    """Cut the power after that long; return how many rows were acknowledged, and how many of those are gone."""
    live, copies = folder / "live", folder / "copies"
    for path in (live, copies):
        path.mkdir()
    arguments = [sys.executable, "-m", "tests.faults.power", "--child", str(live), str(copies)]
    arguments += ["--careless"] if careless else []
    with subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True) as child:  # noqa: S603
        assert child.stdout is not None
        acknowledged = [int(child.stdout.readline())]
        time.sleep(seconds)
        child.kill()
        acknowledged.extend(int(line) for line in child.stdout if line.endswith("\n"))
    kept = asyncio.run(_rows_in(copies / DATABASE))
    return len(acknowledged), len(set(acknowledged) - kept)


async def _rows_in(path: Path) -> set[int]:
    database = await Database.open(path)
    try:
        return await database.read(_rows)
    finally:
        await database.close()


def _rows(connection: sqlite3.Connection) -> set[int]:
    (verdict,) = connection.execute("PRAGMA integrity_check").fetchone()
    assert verdict == "ok", verdict
    rows = connection.execute("SELECT name FROM settings WHERE name LIKE 'row %'")
    return {int(row["name"].split()[1]) for row in rows}


def main() -> int:
    """Cut the power as often as the command line says, and print the verdict last."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cuts", type=int, default=100)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--child", type=Path, nargs=2, help=argparse.SUPPRESS)
    parser.add_argument("--careless", action="store_true", help="run without fsync, to see the proof fail")
    arguments = parser.parse_args()
    if arguments.child:
        asyncio.run(_commit_for_ever(*arguments.child, careless=arguments.careless))
    dice = random.Random(arguments.seed)
    acknowledged = lost = 0
    for _ in range(arguments.cuts):
        with tempfile.TemporaryDirectory(prefix="otpdesk-power-") as folder:
            rows, gone = lost_in_one_cut(Path(folder), dice.uniform(0.0, 0.4), careless=arguments.careless)
        acknowledged, lost = acknowledged + rows, lost + gone
    outcome = "passed" if not lost else "FAILED"
    print(f"power cut proof {outcome}: {arguments.cuts} cuts, {acknowledged} acknowledged rows, {lost} lost")  # noqa: T201
    return 1 if lost else 0


if __name__ == "__main__":
    sys.exit(main())
