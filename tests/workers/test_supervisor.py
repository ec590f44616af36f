"""Workers are kept alive, and come to an end together."""

import asyncio
import itertools
import time

import pytest

from bot.workers.supervisor import Fatal, Supervisor, Worker
from tests.clocks import FastClock


class _Restarts:
    """Counts what the supervisor reports, and fails to take the report when told to."""

    def __init__(self, *, broken: bool = False) -> None:
        self.seen: list[tuple[str, str | None]] = []
        self._broken = broken

    async def __call__(self, worker: Worker) -> None:
        self.seen.append((worker.name, worker.last_error))
        if self._broken:
            raise OSError("no way to tell anybody")


async def _for_ever() -> None:
    await asyncio.Event().wait()


@pytest.mark.parametrize("broken", [False, True])
async def test_a_worker_that_crashes_is_started_again_ever_more_patiently(broken: bool) -> None:
    started: list[float] = []
    clock = FastClock(100)

    async def crashes_thrice() -> None:
        started.append(clock.monotonic())
        if len(started) <= 3:
            raise LookupError("gone")
        await _for_ever()

    restarts = _Restarts(broken=broken)
    supervisor = Supervisor([Worker("fragile", crashes_thrice), Worker("calm", _for_ever)], clock, restarts)
    run = asyncio.create_task(supervisor.run(1.0))
    while len(started) < 4:
        await asyncio.sleep(0.005)
    supervisor.stop()
    await run
    assert restarts.seen == [("fragile", "LookupError: gone")] * 3
    pauses = [later - earlier for earlier, later in itertools.pairwise(started)]
    assert pauses[0] >= 0.5
    assert pauses[1] >= 1.0
    assert pauses[2] >= 2.0


async def test_a_worker_that_comes_to_an_end_by_itself_is_started_again() -> None:
    runs = 0

    async def ends() -> None:
        nonlocal runs
        runs += 1
        if runs > 1:
            await _for_ever()

    restarts = _Restarts()
    supervisor = Supervisor([Worker("short", ends)], FastClock(100), restarts)
    run = asyncio.create_task(supervisor.run(1.0))
    while runs < 2:
        await asyncio.sleep(0.005)
    supervisor.stop()
    await run
    assert restarts.seen == [("short", "it came to an end by itself")]


async def test_a_fatal_error_ends_every_worker_and_says_why() -> None:
    ended: list[str] = []

    async def works() -> None:
        try:
            await _for_ever()
        finally:
            ended.append("worked to the end")

    async def gives_up() -> None:
        await asyncio.sleep(0.01)
        raise Fatal("two bots, one token")

    supervisor = Supervisor([Worker("works", works), Worker("gives up", gives_up)], FastClock(1), _Restarts())
    with pytest.raises(Fatal, match="two bots"):
        await asyncio.wait_for(supervisor.run(1.0), 5)
    assert ended == ["worked to the end"]


async def test_a_worker_that_will_not_end_is_cut_short() -> None:
    cut_short = asyncio.Event()

    async def stubborn() -> None:
        try:
            await _for_ever()
        except asyncio.CancelledError:
            try:
                await asyncio.sleep(60)
            except asyncio.CancelledError:
                cut_short.set()
                raise

    supervisor = Supervisor([Worker("stubborn", stubborn)], FastClock(1), _Restarts())
    run = asyncio.create_task(supervisor.run(0.1))
    await asyncio.sleep(0.01)
    began = time.monotonic()
    supervisor.stop()
    await asyncio.wait_for(run, 5)
    assert cut_short.is_set()
    assert time.monotonic() - began < 2.0
