"""The standby proof: two machines share one lease, and the second goes on where the first was lost.

    python -m tests.faults.standby

Both run `deploy/take-over` with the real etcd, Litestream and otpdesk, each in a folder of its own and with one token.
The first is killed with a live order; the second must deliver its code, without a second purchase, and only once the
lease is its own. Then etcd itself goes: the desk that cannot keep its lease must end.
"""

import asyncio
import contextlib
import json
import os
import shutil
import signal
import sys
import tempfile
import time
from asyncio.subprocess import Process
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path

from bot.sandbox import bot_api, sms_api
from bot.sandbox.server import LoopbackServer
from tests.config_file import config_text
from tests.faults.proof import Proof
from tests.web.site import free_port

TOOLS = ("etcd", "etcdctl", "litestream", "setpriv")
ADMIN = 1001
CODE, LATER = "48291375", "51640982"
LEASE = 5.0
_TAKE_OVER = Path(__file__).parents[2] / "deploy" / "take-over"
_STREAMED = 3.0
"""Seconds after which what is written has long left the machine: it is streamed each second."""

_PATIENCE = 60.0
_LONGEST_GAP = LEASE + 25.0
"""Seconds from the loss to the code: the lease, the pause after it, the stream, and the start of two programs."""


@dataclass
class Verdict(Proof):
    """What was seen; `broken` is empty when all is well."""

    gap: float = 0.0
    handed_over: float = 0.0
    ended: float = 0.0
    conflicts: int = 0

    def line(self) -> str:
        """The verdict in one line."""
        return (
            f"standby {self.outcome}: a lease of {LEASE:g} s; the code of a live order {self.gap:.1f} s after the "
            f"first machine was killed; handed over on SIGTERM in {self.handed_over:.1f} s; the desk ended "
            f"{self.ended:.1f} s after etcd; {self.conflicts} conflicts at Telegram"
        )


@dataclass
class Machine:
    """One of the two: a folder, and the process of `deploy/take-over`."""

    folder: Path
    variables: dict[str, str]
    process: Process | None = None

    async def start(self) -> None:
        """Start it; it waits for the lease."""
        with (self.folder / "log").open("ab") as log:
            self.process = await asyncio.create_subprocess_exec(
                "/bin/bash", _TAKE_OVER, stdout=log, stderr=log, env=self.variables
            )

    @property
    def has_a_desk(self) -> bool:
        """Whether a desk of this machine runs."""
        return any(str(self.folder) in command and "otpdesk\0run" in command for command in _commands())

    async def end(self, how: signal.Signals) -> None:
        """Send it a signal and wait until it is gone."""
        if self.process is not None and self.process.returncode is None:
            self.process.send_signal(how)
            await self.process.wait()


def _commands() -> Iterator[str]:
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            yield (process / "cmdline").read_bytes().decode("utf-8", "replace")


@dataclass
class Place:
    """Everything that takes part."""

    telegram: bot_api.TelegramWorld
    sms: sms_api.SmsWorld
    first: Machine
    second: Machine
    etcd: Process
    verdict: Verdict

    async def hears(self, wanted: str) -> float:
        """Wait for the bot's words to the admin, and return the seconds that took."""
        started = time.monotonic()
        await self.telegram.wait_for(wanted, ADMIN, _PATIENCE)
        return time.monotonic() - started

    async def ask(self, text: str, wanted: str) -> None:
        """Say something and wait for the answer to it."""
        said = self.telegram.say(ADMIN, text)
        await self.telegram.wait_for(wanted, ADMIN, _PATIENCE, after_message_id=said.message_id)

    def expect(self, is_so: bool, broken: str) -> None:
        """Note what is `broken` unless it is so."""
        if not is_so:
            self.verdict.broken.append(broken)


async def prove(folder: Path) -> Verdict:
    """Run the whole proof in `folder`."""
    verdict = Verdict()
    async with _open_place(folder, verdict) as place:
        await _lose_the_first(place)
        await _hand_over(place)
        await _lose_the_lease(place)
        verdict.conflicts = sum(call.method == "getUpdates" and "409" in call.outcome for call in place.telegram.calls)
        place.expect(verdict.conflicts == 0, f"{verdict.conflicts} times two desks asked Telegram at once")
    return verdict


async def _lose_the_first(place: Place) -> None:
    """Kill the first machine with a live order whose code comes while nobody is there."""
    await place.first.start()
    place.telegram.say(ADMIN, "/start")
    await place.hears("Hello")
    await place.second.start()
    await place.ask("/order whatsapp indonesia", "📱")
    (order,) = place.sms.live_orders()
    await asyncio.sleep(_STREAMED + LEASE)
    place.expect(place.first.has_a_desk and not place.second.has_a_desk, "both machines run a desk")
    await place.first.end(signal.SIGKILL)
    killed_at = time.monotonic()
    place.sms.arrive(order.id, CODE)
    await asyncio.sleep(1)
    place.expect(not place.first.has_a_desk, "the desk outlives what held its lease")
    await place.hears(CODE)
    place.verdict.gap = time.monotonic() - killed_at
    place.expect(place.verdict.gap <= _LONGEST_GAP, f"the second machine took {place.verdict.gap:.0f} s")
    place.expect(len(place.sms.books.charges) == 1, f"{len(place.sms.books.charges)} purchases for one order")


async def _hand_over(place: Place) -> None:
    """The first comes back and waits; the second is stopped as for an update, and the first goes on with its order."""
    await place.first.start()
    await place.ask("/resume", "open again")
    await place.ask("/order telegram vietnam", "📱")
    order = next(order for order in place.sms.live_orders() if not order.messages)
    await asyncio.sleep(_STREAMED)
    place.expect(not place.first.has_a_desk, "the first desk came back beside the second")
    stopped_at = time.monotonic()
    await place.second.end(signal.SIGTERM)
    place.sms.arrive(order.id, LATER)
    await place.hears(LATER)
    place.verdict.handed_over = time.monotonic() - stopped_at
    place.expect(len(place.sms.books.charges) == 2, f"{len(place.sms.books.charges)} purchases for two orders")


async def _lose_the_lease(place: Place) -> None:
    """Without etcd nobody can tell whose the lease is, so nobody may run."""
    place.etcd.kill()
    await place.etcd.wait()
    gone_at = time.monotonic()
    while place.first.has_a_desk and time.monotonic() < gone_at + _PATIENCE:
        await asyncio.sleep(0.1)
    place.verdict.ended = time.monotonic() - gone_at
    place.expect(place.verdict.ended <= LEASE + 3, f"a desk without a lease lived {place.verdict.ended:.0f} s")


@asynccontextmanager
async def _open_place(folder: Path, verdict: Verdict) -> AsyncIterator[Place]:
    telegram, sms = bot_api.TelegramWorld(), sms_api.SmsWorld(arrival=None)
    telegram.add_user(ADMIN, "Ada")
    port = free_port()
    async with LoopbackServer(bot_api.bot_app(telegram)) as chat, LoopbackServer(sms_api.sms_app(sms, "guide")) as api:
        etcd = await _start_etcd(folder, port)
        text = config_text(telegram.token, chat.url, api.url, ADMIN, "guide")
        first, second = (_machine(folder, name, port, text) for name in "ab")
        with _logs_on_failure(verdict, first, second):
            try:
                yield Place(telegram, sms, first, second, etcd, verdict)
            finally:
                for machine in (first, second):
                    await machine.end(signal.SIGKILL)
                if etcd.returncode is None:
                    etcd.kill()
                    await etcd.wait()


async def _start_etcd(folder: Path, port: int) -> Process:
    own, peers = f"http://127.0.0.1:{port}", f"http://127.0.0.1:{free_port()}"
    addresses = ("--listen-client-urls", own, "--advertise-client-urls", own, "--listen-peer-urls", peers)
    cluster = ("--initial-advertise-peer-urls", peers, "--initial-cluster", f"default={peers}")
    with (folder / "etcd.log").open("wb") as log:
        return await asyncio.create_subprocess_exec(
            "etcd", "--data-dir", folder / "etcd", *addresses, *cluster, stdout=log, stderr=log
        )


def _machine(folder: Path, name: str, port: int, config: str) -> Machine:
    own = folder / name
    own.mkdir()
    database = own / "otpdesk.sqlite3"
    (own / "config.toml").write_text(f"{config}[storage]\npath = {json.dumps(str(database))}\n", encoding="utf-8")
    (own / "config.toml").chmod(0o600)
    replica = {"type": "file", "path": str(folder / "stream"), "sync-interval": "1s"}
    stream = {"dbs": [{"path": str(database), "replicas": [replica]}]}
    (own / "litestream.yml").write_text(json.dumps(stream), encoding="utf-8")  # JSON is YAML
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    return Machine(
        own,
        {
            "PATH": path,
            "CONFIG": str(own / "config.toml"),
            "STREAM": str(own / "litestream.yml"),
            "DATABASE": str(database),
            "LEASE_SECONDS": f"{LEASE:g}",
            "ETCDCTL_ENDPOINTS": f"http://127.0.0.1:{port}",
        },
    )


@contextmanager
def _logs_on_failure(verdict: Verdict, *machines: Machine) -> Iterator[None]:
    try:
        yield
    except AssertionError as error:
        verdict.broken.append(str(error).splitlines()[0])
    finally:
        if verdict.broken:
            for machine in machines:
                with contextlib.suppress(FileNotFoundError):
                    print((machine.folder / "log").read_text(encoding="utf-8")[-3000:])  # noqa: T201


def main() -> int:
    """Run the proof and print its verdict last; 2 where a tool is missing."""
    missing = [tool for tool in TOOLS if shutil.which(tool) is None]
    if missing:
        print(f"standby not run: {', '.join(missing)} cannot be found; see docs/operations.md, A warm standby")  # noqa: T201
        return 2
    with tempfile.TemporaryDirectory(prefix="otpdesk-standby-") as folder:
        verdict = asyncio.run(prove(Path(folder)))
    print(verdict.line())  # noqa: T201
    return 1 if verdict.broken else 0


if __name__ == "__main__":
    sys.exit(main())
