"""The peer: python-telegram-bot's own kind of bot, which keeps nothing, asks nobody and answers what it heard.

python -m benchmarks.echo run --config config.toml
"""

import sys
import tomllib
from pathlib import Path
from typing import Any

from telegram import Update
from telegram.ext import Application, ContextTypes, MessageHandler, filters


async def echo(update: Update, _: ContextTypes.DEFAULT_TYPE) -> None:
    """Say it again."""
    if update.message is not None:
        await update.message.reply_text(update.message.text or "")


def main() -> None:
    """Run until it is told to end, on the desk's configuration."""
    telegram = tomllib.loads(Path(sys.argv[-1]).read_text("utf-8"))["telegram"]
    builder = Application.builder().token(telegram["token"]).base_url(f"{telegram['base_url']}/bot")
    application: Application[Any, Any, Any, Any, Any, Any] = (
        builder.concurrent_updates(64).connection_pool_size(64).build()
    )
    application.add_handler(MessageHandler(filters.ALL, echo))
    application.run_polling()


if __name__ == "__main__":
    main()
