"""The command line: `otpdesk init`, `run`, `check`, `export`, `backup`, `restore`, `demo`, `sandbox`."""

import asyncio
import json
import os
import signal
import sqlite3
import sys
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from datetime import UTC, datetime
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal, TextIO

import typer

from bot.config import ENVIRONMENT_PREFIX, ConfigError, Settings, load, problem_with
from bot.domain.errors import DeskError, UnknownName
from storage.database import DatabaseInUse, DatabaseUnusable, is_alive

if TYPE_CHECKING:
    from rich.console import Console

    from bot.initial import Question
    from bot.sandbox.child import BotCommand

app = typer.Typer(
    name="otpdesk",
    help="A Telegram desk for a team's phone-verification codes.",
    no_args_is_help=True,
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
    add_completion=False,
)

CANNOT_START: Final = 2

ConfigOption = Annotated[
    Path | None,
    typer.Option("--config", "-c", help="The TOML file; without it, the environment (OTPDESK_…) says everything."),
]

SeedOption = Annotated[int, typer.Option(help="What the pretend world is made from; the same seed, the same world.")]


ContractOption = Annotated[
    Literal["guide", "official"],
    typer.Option(help="What the pretend SMSCode speaks: its getting-started guide, or its official API."),
]


@app.command()
def run(config: ConfigOption = None) -> None:
    """Run the bot until Ctrl-C or SIGTERM."""
    from bot import logs
    from bot.workers.supervisor import Fatal

    settings = _load(config)
    logs.configure(settings.logging, _secrets(settings))
    try:
        asyncio.run(_run(settings))
    except (Fatal, DatabaseInUse, DatabaseUnusable) as error:
        _errors().print(f"otpdesk cannot go on: {error}", markup=False)
        raise typer.Exit(CANNOT_START) from None


@app.command()
def check(
    config: ConfigOption = None,
    json_lines: Annotated[bool, typer.Option("--json", help="One JSON object a line, for programs.")] = False,
) -> None:
    """Say in plain words whether the desk could open: tokens, servers, database, disk, clock.

    Exits with 0 if it could, with 1 if something is wrong. Nothing is changed and nothing is bought.
    """
    from bot import checkup, logs

    settings = _load(config)
    logs.configure(settings.logging.model_copy(update={"level": "ERROR"}), _secrets(settings))
    lines = asyncio.run(checkup.check(settings, config))
    for line in lines:
        if json_lines:
            _output().print_json(json.dumps(asdict(line)), indent=None)
        else:
            remedy = f"  →  {line.remedy}" if line.remedy else ""
            _output().print(f"{_MARKS[line.mark]} {line.name:<14}{line.found}{remedy}", markup=False, soft_wrap=True)
    if any(line.mark == "wrong" for line in lines):
        raise typer.Exit(1)


@app.command()
def init(
    config: Annotated[Path, typer.Option("--config", "-c", help="The file to write.")] = Path("config.toml"),
) -> None:
    """Write a first configuration by asking; nobody but you can read it.

    Each answer is looked at as it is given. A file that is there already stays as it is.
    """
    from bot import initial

    if config.exists():
        _errors().print(f"{config} is there already; name another file with --config", markup=False)
        raise typer.Exit(CANNOT_START)
    answers = {question: _ask(question) for question in initial.QUESTIONS}
    try:
        initial.write(config, initial.as_toml(answers))
    except OSError as error:
        _errors().print(f"{config} cannot be written: {error.strerror}", markup=False)
        raise typer.Exit(CANNOT_START) from None
    _output().print(f"{config} is written. Next: otpdesk check --config {config}", markup=False, soft_wrap=True)


def _ask(question: "Question") -> str:
    while True:
        answer = str(typer.prompt(question.asks, default=question.default, hide_input=question.hidden)).strip()
        problem = problem_with(question.section, question.key, answer)
        if problem is None:
            return answer
        _errors().print(f"  {problem}", markup=False)


@app.command()
def healthy(config: ConfigOption = None) -> None:
    """Exit with 0 if a desk with this configuration has shown a sign of life within the last minute."""
    if not is_alive(_load(config).storage.path):
        _errors().print("no sign of life within the last minute")
        raise typer.Exit(1)


@app.command()
def export(
    config: ConfigOption = None,
    period: Annotated[
        str | None,
        typer.Option(help="today, week, month, last month, 2026-03 or 2026-03-01..2026-03-14; else everything."),
    ] = None,
    to: Annotated[Path | None, typer.Option("--to", help="The file to write; without it, standard output.")] = None,
) -> None:
    """Write the orders as CSV, with members, notes and money, but without codes and tokens; the desk may run.

    A cell that a spreadsheet would take for a formula has an apostrophe in front. Only you can read the file.
    """
    from rich.progress import Progress

    from bot.domain.periods import parse_period
    from bot.services import exports
    from storage.database import opened_to_read

    settings = _load(config)
    zone = settings.limits.zone
    try:
        chosen = parse_period(period, datetime.now(zone).date()) if period else None
        with (
            opened_to_read(settings.storage.path, settings.telegram.bot_id) as connection,
            _new_file(to) as file,
            Progress(console=_errors(), transient=True) as progress,
        ):
            task = progress.add_task("orders", total=None)
            tell = partial(progress.update, task)
            written = exports.write_all(connection, chosen, zone, file, lambda done, of: tell(completed=done, total=of))
    except UnknownName as error:
        _errors().print(
            f"Nothing was exported: {error}; try {', '.join(error.suggestions)}", markup=False, soft_wrap=True
        )
        raise typer.Exit(1) from None
    except (DeskError, DatabaseUnusable, OSError, sqlite3.Error) as error:
        _errors().print(f"Nothing was exported: {error}", markup=False, soft_wrap=True)
        raise typer.Exit(1) from None
    _errors().print(f"{written} orders", markup=False)


@contextmanager
def _new_file(path: Path | None) -> Iterator[TextIO]:
    """A private file that was not there before, gone again if it cannot be written to its end; or standard output."""
    if path is None:
        yield sys.stdout
        return
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8", newline="") as file:
            yield file
    except BaseException:
        path.unlink(missing_ok=True)
        raise


@app.command()
def backup(
    config: ConfigOption = None,
    to: Annotated[
        Path | None,
        typer.Option("--to", help="The file or folder to write to; without it, where `backup.folder` says."),
    ] = None,
) -> None:
    """Copy the desk's database while it runs: members, limits, orders, money and audit, but no code.

    The copy is checked before it gets its name, and only you can read it. Keep it on another machine.
    """
    from storage.backup import back_up, file_name

    settings = _load(config)
    database = settings.storage.path
    now = datetime.now(UTC)
    name = file_name(now)
    target = to / name if to is not None and to.is_dir() else to or settings.backup.folder_of(database) / name
    try:
        back_up(database, target, settings.telegram.bot_id, now)
    except (DatabaseUnusable, OSError, sqlite3.Error) as error:
        _errors().print(f"No backup was made: {error}", markup=False, soft_wrap=True)
        raise typer.Exit(1) from None
    _output().print(f"{target}", markup=False, soft_wrap=True)


@app.command()
def restore(
    backup: Annotated[Path, typer.Argument(help="The file that `otpdesk backup` has made.")],
    config: ConfigOption = None,
) -> None:
    """Put a backup in the place of the database; the desk must not run. The present database is kept beside it.

    The restored desk takes no orders until an admin sends /resume: what was ordered after the backup is not in its
    books. Live orders are looked at first, and admins are told.
    """
    from storage.backup import BackupUnusable
    from storage.backup import restore as put_back

    settings = _load(config)
    database = settings.storage.path
    try:
        kept = put_back(backup, database, settings.telegram.bot_id, datetime.now(UTC))
    except (BackupUnusable, DatabaseInUse, DatabaseUnusable, OSError, sqlite3.Error) as error:
        _errors().print(f"Nothing was restored: {error}", markup=False, soft_wrap=True)
        raise typer.Exit(1) from None
    _output().print(f"{database} is the backup now.", markup=False, soft_wrap=True)
    if kept is not None:
        _output().print(f"What was there before is kept as {kept}", markup=False, soft_wrap=True)


@app.command()
def demo(
    port: Annotated[int, typer.Option(min=0, max=65_535, help="Where the chat page is; 0: any free port.")] = 8080,
    seed: SeedOption = 0,
    contract: ContractOption = "guide",
    tour: Annotated[
        bool, typer.Option("--tour", help="Play a story in the terminal instead of opening a page.")
    ] = False,
) -> None:
    """Try the whole desk in a browser: no account, no token, no money, no network.

    Opens a pretend SMSCode and a pretend Telegram on this computer, with a chat page to be Ada (admin), Omar
    (operator) or Sam (a stranger) on, and runs the real bot between them until Ctrl-C.

    With --tour the persons play a story by themselves, from a stranger at the door to a refund; every step is checked
    against what SMSCode has in its books. Exits with 0 if all was as it should be, else with 1.
    """
    from bot.sandbox import run as sandbox_run
    from bot.sandbox import tour as sandbox_tour

    command = _bot_command()
    if tour:
        work = sandbox_tour.tour(command, _output(), seed=seed, contract=contract)
    else:
        work = sandbox_run.demo(command, _output(), port=port, seed=seed, contract=contract)
    _play(work)


@app.command()
def sandbox(
    telegram_port: Annotated[int, typer.Option(min=0, max=65_535, help="The Bot API and the chat page.")] = 8080,
    sms_port: Annotated[int, typer.Option(min=0, max=65_535, help="The SMSCode API.")] = 8090,
    seed: SeedOption = 0,
    contract: ContractOption = "guide",
    manual: Annotated[bool, typer.Option("--manual", help="An SMS arrives only when it is told to.")] = False,
) -> None:
    """Serve a pretend SMSCode and a pretend Telegram alone, to build and test any client of theirs against.

    SMSCode has no test mode: this one charges, refunds, sells out, expires and limits requests as the real one does,
    on this computer and with pretend money. Prints where to point a client; runs until Ctrl-C. A port of 0 is any free
    one.
    """
    from bot.sandbox import run as sandbox_run

    work = sandbox_run.sandbox(
        _output(), telegram_port=telegram_port, sms_port=sms_port, seed=seed, manual=manual, contract=contract
    )
    _play(work)


def _play(work: Coroutine[Any, Any, int]) -> None:
    """Run a sandbox to its end and exit with its status."""
    from bot.sandbox.stage import CannotOpen

    try:
        status = asyncio.run(work)
    except CannotOpen as error:
        _errors().print(str(error), markup=False, soft_wrap=True)
        status = CANNOT_START
    raise typer.Exit(status)


def _bot_command() -> "BotCommand":
    """This very program as a process of its own, with nothing in its environment that could lead it out."""
    from bot.sandbox.child import BotCommand

    # `-m bot` looks in the folder it runs in first, and whoever writes bots may well have a `bot` of their own in it.
    folder = Path(__file__).resolve().parents[1]
    ours = ENVIRONMENT_PREFIX.casefold()
    environment = {
        name: value
        for name, value in os.environ.items()
        if not name.casefold().startswith(ours) and not name.casefold().endswith("_proxy")
    }
    return BotCommand((sys.executable, "-m", "bot", "run", "--config"), folder, environment)


@cache
def _output() -> "Console":
    from rich.console import Console

    return Console(highlight=False)


@cache
def _errors() -> "Console":
    from rich.console import Console

    return Console(stderr=True, highlight=False)


_MARKS = {"ok": "✓", "warning": "!", "wrong": "✗"}


def _secrets(settings: Settings) -> list[str]:
    found = (settings.telegram.secret, settings.smscode.secret, settings.smscode.signing_secret)
    return [secret for secret in found if secret]


async def _run(settings: Settings) -> None:
    from bot.app import open_app

    async with open_app(settings) as desk:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, desk.stop)
        await desk.run()


def _load(path: Path | None) -> Settings:
    try:
        return load(path)
    except ConfigError as error:
        _errors().print("The configuration cannot be used:", style="bold")
        for problem in error.problems:
            _errors().print(f"  {problem}", markup=False)
        raise typer.Exit(CANNOT_START) from None


def main() -> None:
    """The entry point of the `otpdesk` script and of `python -m bot`."""
    app(prog_name="otpdesk")
