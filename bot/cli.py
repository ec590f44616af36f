"""The command line: `otpdesk run`, `check`, `demo`, `sandbox`."""

import asyncio
import signal
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
    logs.configure(settings.logging, [settings.telegram.secret, settings.smscode.secret])
    try:
        asyncio.run(_run(settings))
    except (Fatal, DatabaseInUse, DatabaseUnusable) as error:
        errors.print(f"otpdesk cannot go on: {error}", markup=False)
        raise typer.Exit(CANNOT_START) from None


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
