"""What holds for every test: no way out of this machine, and no configuration from outside."""

import gc
import ipaddress
import logging
import os
import socket
from collections.abc import Iterator
from typing import Any, Final

import pytest
from hypothesis import HealthCheck, settings
from xdist.scheduler import LoadScopeScheduling  # type: ignore[import-untyped]

from bot import logs

# How long an example takes says more about the machine than about the code.
settings.register_profile("otpdesk", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("otpdesk")

# What the desk did is told apart in the harness as well as in a test.
pytest.register_assert_rewrite("tests.scene")

_HAS_A_BROWSER: Final = ("test_page_tour.py", "test_page_features.py", "test_chat_page.py")
_STARTS_FIRST: Final = (*_HAS_A_BROWSER, "test_crash.py", "TestBooks")
_GAP: Final = "tests/domain/"
"""Quick tests between the longest and the long ones: each worker holds its next test while it runs one."""

_STARTS_EARLY: Final = (
    "test_tour.py",
    "test_operations.py",
    "faults/",
    "test_crowd.py",
    "test_demo.py",
    "test_events.py",
)


class NetworkRefused(AssertionError):
    """A test tried to leave the loopback interface."""


class _OneBrowser(LoadScopeScheduling):  # type: ignore[misc]
    """Gives all tests that need a browser to one worker, and everything else test by test.

    The plugin's own marks for that are without effect under this version of pytest, which no longer lets it write them
    into a test's name.
    """

    def _split_scope(self, nodeid: str) -> str:
        path = nodeid.partition("::")[0]
        return "browser" if path.endswith(_HAS_A_BROWSER) else nodeid


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> LoadScopeScheduling:
    """How tests are given out to the workers."""
    return _OneBrowser(config, log)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Give out the longest tests first, so that no worker is alone with one at the end."""
    items.sort(key=lambda item: _turn(item.nodeid))


def pytest_collection_finish() -> None:
    """What was imported and collected stays until the end: walking over it again and again finds no garbage."""
    gc.freeze()


def _turn(name: str) -> int:
    if any(part in name for part in _STARTS_FIRST):
        return 0
    if _GAP in name:
        return 1
    return 2 if any(part in name for part in _STARTS_EARLY) else 3


@pytest.fixture(autouse=True)
def _loopback_only(monkeypatch: pytest.MonkeyPatch) -> None:
    """Refuse every connection and every name look-up beyond this machine."""
    connect, connect_ex, look_up = socket.socket.connect, socket.socket.connect_ex, socket.getaddrinfo

    def checked_connect(self: socket.socket, address: Any) -> None:
        _check(self, address)
        connect(self, address)

    def checked_connect_ex(self: socket.socket, address: Any) -> int:
        _check(self, address)
        return connect_ex(self, address)

    def checked_look_up(host: Any, *arguments: Any, **options: Any) -> Any:
        if host is not None and not _is_loopback(host):
            raise NetworkRefused(f"a test asked for the address of {host!r}")
        return look_up(host, *arguments, **options)

    monkeypatch.setattr(socket.socket, "connect", checked_connect)
    monkeypatch.setattr(socket.socket, "connect_ex", checked_connect_ex)
    monkeypatch.setattr(socket, "getaddrinfo", checked_look_up)


@pytest.fixture(autouse=True)
def _own_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let no OTPDESK_ variable of whoever runs the tests decide their outcome."""
    for name in [name for name in os.environ if name.startswith("OTPDESK_")]:
        monkeypatch.delenv(name)


@pytest.fixture(autouse=True)
def _own_logging() -> Iterator[None]:
    """Give logging back as it was: what a desk sets up in this process is nothing for the next test."""
    root = logging.getLogger()
    handlers, level = root.handlers, root.level
    levels = {name: logging.getLogger(name).level for name in logs.CHATTY}
    yield
    root.handlers = handlers
    root.setLevel(level)
    for name, before in levels.items():
        logging.getLogger(name).setLevel(before)


def _check(sock: socket.socket, address: Any) -> None:
    if sock.family in (socket.AF_INET, socket.AF_INET6) and not _is_loopback(address[0]):
        raise NetworkRefused(f"a test tried to connect to {address!r}")


def _is_loopback(host: Any) -> bool:
    name = host.decode() if isinstance(host, bytes) else str(host)
    if name == "localhost":
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False
