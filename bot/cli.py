"""The command line: `otpdesk run`, `check`, `demo`, `sandbox`."""

import asyncio
import json
import signal
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Final

import typer
from rich.console import Console

from bot import logs
from bot.app import open_app
from bot.config import ConfigError, Settings, load
from bot.workers.supervisor import Fatal
from storage.database import DatabaseInUse, DatabaseUnusable

app = typer.Typer(
    name="otpdesk",
    help="A Telegram desk for a team's phone-verification codes.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)
output = Console(highlight=False)
errors = Console(stderr=True, highlight=False)

CANNOT_START: Final = 2

ConfigOption = Annotated[
    Path | None,
    typer.Option("--config", "-c", help="The TOML file; without it, the environment (OTPDESK_…) says everything."),
]


@app.command()
def run(config: ConfigOption = None) -> None:
    """Run the bot until Ctrl-C or SIGTERM."""
    settings = _load(config)
    logs.configure(settings.logging, _secrets(settings))
    try:
        asyncio.run(_run(settings))
    except (Fatal, DatabaseInUse, DatabaseUnusable) as error:
        errors.print(f"otpdesk cannot go on: {error}", markup=False)
        raise typer.Exit(CANNOT_START) from None


@app.command()
def check(
    config: ConfigOption = None,
    json_lines: Annotated[bool, typer.Option("--json", help="One JSON object a line, for programs.")] = False,
) -> None:
    """Say in plain words whether the desk could open: tokens, servers, database, disk, clock.

    Exits with 0 if it could, with 1 if something is wrong. Nothing is changed and nothing is bought.
    """
    from bot import checkup

    settings = _load(config)
    logs.configure(settings.logging.model_copy(update={"level": "ERROR"}), _secrets(settings))
    lines = asyncio.run(checkup.check(settings, config))
    for line in lines:
        if json_lines:
            output.print_json(json.dumps(asdict(line)), indent=None)
        else:
            remedy = f"  →  {line.remedy}" if line.remedy else ""
            output.print(f"{_MARKS[line.mark]} {line.name:<14}{line.found}{remedy}", markup=False, soft_wrap=True)
    if any(line.mark == "wrong" for line in lines):
        raise typer.Exit(1)


@app.command()
def healthy(config: ConfigOption = None) -> None:
    """Exit with 0 if a desk with this configuration has shown a sign of life within the last minute."""
    from bot import checkup

    if not checkup.is_alive(_load(config).storage.path):
        errors.print("no sign of life within the last minute")
        raise typer.Exit(1)


_MARKS = {"ok": "✓", "warning": "!", "wrong": "✗"}


def _secrets(settings: Settings) -> list[str]:
    return [settings.telegram.secret, settings.smscode.secret]


async def _run(settings: Settings) -> None:
    async with open_app(settings) as desk:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, desk.stop)
        await desk.run()


def _load(path: Path | None) -> Settings:
    try:
        return load(path)
    except ConfigError as error:
        errors.print("The configuration cannot be used:", style="bold")
        for problem in error.problems:
            errors.print(f"  {problem}", markup=False)
        raise typer.Exit(CANNOT_START) from None


def main() -> None:
    """The entry point of the `otpdesk` script and of `python -m bot`."""
    app(prog_name="otpdesk")
