"""The rehearsal of docs/operations.md, carried out line by line: sandbox, check, run, look, back up, restore, run."""

import os
import re
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.house.source import ROOT, read
from tests.web.site import free_port

PAGE = Path("docs/operations.md")
HEADING = "## A rehearsal without any account"
PORTS = ("18080", "18081", "18091")
LONG = ("sandbox", "run")
"""What goes on until it is stopped."""


def _lines() -> list[str]:
    section = read(PAGE).partition(HEADING)[2].partition("\n## ")[0]
    return [line for block in re.findall(r"```sh\n(.*?)```", section, re.DOTALL) for line in block.splitlines() if line]


class Rehearsal:
    """Whoever types the lines, with ports of their own."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._ports = {port: str(free_port()) for port in PORTS}
        self._environment = {**os.environ, "PYTHONPATH": str(ROOT), "TERM": "dumb", "COLUMNS": "200"}
        self.running: dict[str, subprocess.Popen[bytes]] = {}
        self.said: list[str] = []

    def type(self, line: str) -> None:
        for port, ours in self._ports.items():
            line = line.replace(port, ours)
        program, *words = shlex.split(line)
        if program == "export":
            name, _, value = words[0].partition("=")
            self._environment[name] = value
        elif program == "curl":
            self._fetch(words[-1])
        elif words[0] in LONG:
            self._start(words)
        else:
            self._finish(words)

    def stop(self, name: str, number: signal.Signals = signal.SIGTERM) -> None:
        """Stop what goes on; the desk ends well."""
        process = self.running.pop(name)
        process.send_signal(number)
        assert process.wait(20) in (0, -number)

    def _start(self, words: list[str]) -> None:
        with (self._folder / f"{words[0]}.log").open("ab") as log:
            self.running[words[0]] = subprocess.Popen(  # noqa: S603
                [sys.executable, "-m", "bot", *words], cwd=self._folder, env=self._environment, stdout=log, stderr=log
            )
        if words[0] == "sandbox":
            for option in words[2::2]:
                self._until_there(f"http://127.0.0.1:{option}/")

    def _finish(self, words: list[str]) -> None:
        if "restore" in words:
            self.stop("run", signal.SIGINT)
        command = [sys.executable, "-m", "bot", *words]
        done = subprocess.run(  # noqa: S603
            command, cwd=self._folder, env=self._environment, capture_output=True, text=True, check=False, timeout=40
        )
        assert done.returncode == 0, done.stdout + done.stderr
        self.said.append(done.stdout)

    def _fetch(self, url: str) -> None:
        ends_at = time.monotonic() + 40
        while time.monotonic() < ends_at:
            if self._status(url) == 200:
                return
            time.sleep(0.1)
        raise AssertionError(f"{url}: {self._status(url)}")

    def _until_there(self, url: str) -> None:
        ends_at = time.monotonic() + 30
        while time.monotonic() < ends_at and not self._status(url):
            time.sleep(0.1)

    def _status(self, url: str) -> int:
        try:
            return httpx.get(url, trust_env=False, timeout=5).status_code
        except httpx.HTTPError:
            return 0


@pytest.fixture
def rehearsal(tmp_path: Path) -> Iterator[Rehearsal]:
    opened = Rehearsal(tmp_path)
    yield opened
    for process in opened.running.values():
        process.kill()
        process.wait()


@pytest.mark.timeout(240)
def test_the_rehearsal_can_be_followed_word_by_word(rehearsal: Rehearsal, tmp_path: Path) -> None:
    lines = _lines()
    assert [line.split()[1] for line in lines if line.startswith("otpdesk")].count("run") == 2
    for line in lines:
        rehearsal.type(line)
    rehearsal.stop("run")
    assert (tmp_path / "rehearsal.sqlite3").stat().st_mode & 0o777 == 0o600
    assert (tmp_path / "data" / "otpdesk.sqlite3").stat().st_mode & 0o777 == 0o600
    assert "✓ telegram" in rehearsal.said[0]
    log = (tmp_path / "run.log").read_text(encoding="utf-8")
    assert "the desk is open" in log
    assert "AAsandbox_token" not in log
