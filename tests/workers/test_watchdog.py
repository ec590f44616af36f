"""What the service manager hears, over a real socket: ready, still well, stopping, and nothing while a loop hangs."""

import asyncio
import contextlib
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from bot.pulse import GRACE
from bot.sandbox.bot_api import ADA
from bot.workers.watchdog import ServiceManager
from tests.scene import open_scene


class Listener:
    """The other end of the socket."""

    def __init__(self, address: str) -> None:
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.setblocking(False)
        self._socket.bind(f"\0{address[1:]}" if address.startswith("@") else address)
        self.heard: list[str] = []

    def listen(self) -> list[str]:
        with contextlib.suppress(BlockingIOError):
            while True:
                self.heard += self._socket.recv(4096).decode().splitlines()
        return self.heard

    async def until(self, condition: Callable[[list[str]], bool]) -> None:
        async with asyncio.timeout(10):
            while not condition(self.listen()):
                await asyncio.sleep(0.01)

    def close(self) -> None:
        self._socket.close()


@pytest.fixture
def listener(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Listener]:
    address = str(tmp_path / "notify")
    monkeypatch.setenv("NOTIFY_SOCKET", address)
    monkeypatch.setenv("WATCHDOG_USEC", "8000000")
    opened = Listener(address)
    yield opened
    opened.close()


async def test_the_service_manager_hears_of_the_start_of_the_work_and_of_the_end(
    listener: Listener, tmp_path: Path
) -> None:
    async with open_scene(tmp_path, members=False) as scene:
        await listener.until(lambda heard: heard.count("WATCHDOG=1") >= 3)
        assert listener.heard[0] == "READY=1"
        assert listener.heard.count("READY=1") == 1
        await listener.until(lambda heard: "STATUS=ready" in heard)

        listener.heard.clear()
        assert scene.app.manager is not None
        scene.clock.jump(20 + GRACE + 1)  # no loop has turned for as long as none may
        await listener.until(lambda heard: "WATCHDOG=1" in heard)  # they turn again: it was only the clock

        scene.telegram.say(ADA, "/whoami")  # a long poll lasts real seconds, which are minutes of this clock
        scene.telegram.down = scene.sms.down = True
        scene.clock.jump(100)
        await listener.until(lambda heard: any("telegram, smscode" in line for line in heard))
        assert "STOPPING=1" not in listener.heard
        scene.telegram.down = scene.sms.down = False
        await scene.stop()
        assert listener.listen()[-2:] == ["STOPPING=1", "STATUS=finishing what is under way"]


async def test_the_watchdog_goes_hungry_while_a_loop_hangs(
    listener: Listener, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def hangs(_: object) -> None:
        await asyncio.Event().wait()

    monkeypatch.setattr("bot.workers.watcher.Watcher.run", hangs)
    async with open_scene(tmp_path, members=False) as scene:
        scene.clock.jump(GRACE + 1)
        await scene.settle(1.0)
        assert listener.listen() == []


def test_without_a_service_manager_there_is_none_and_a_deaf_one_harms_nobody(tmp_path: Path) -> None:
    assert ServiceManager.of({}) is None
    assert ServiceManager.of({"NOTIFY_SOCKET": "relative"}) is None
    manager = ServiceManager.of({"NOTIFY_SOCKET": str(tmp_path / "nobody"), "WATCHDOG_USEC": "nonsense"})
    assert manager is not None
    assert manager.every == 10
    manager.tell("READY=1")


def test_an_abstract_socket_is_found() -> None:
    listener = Listener("@otpdesk-test-of-the-watchdog")
    manager = ServiceManager.of({"NOTIFY_SOCKET": "@otpdesk-test-of-the-watchdog", "WATCHDOG_USEC": "3000000"})
    assert manager is not None
    manager.tell("READY=1", "STATUS=x")
    assert listener.listen() == ["READY=1", "STATUS=x"]
    assert manager.every == 1.5
    listener.close()
