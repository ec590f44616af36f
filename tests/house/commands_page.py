"""The page of commands, read off the table that the bot itself uses.

python -m tests.house.commands_page    (or: make docs)
"""

from bot.chat.commands.table import COMMANDS, Command
from bot.domain.access import Role
from tests.house.source import ROOT

PAGE = ROOT / "docs" / "commands.md"

_HEAD = """<!-- Written by `make docs` from bot/chat/commands/table.py; change that table, not this page. -->
# Commands

The roles are, in rising order, viewer, operator, approver and admin; each may do all that the ones before it may. The
bot shows everybody only what they may use, in `/help` and in the menu behind the slash.

- An order is named by its short number (`/cancel 17`), by replying to its message, or by nothing where only one lives.
- A person is named by their Telegram id, by the name `/users` shows, or by replying to one of their messages.
- A length of time is `30m`, `12h`, `3d` or `2w`.
- Amounts are whole rupiah: `3500`, `3.500` and `3,500` mean the same.
"""


def page() -> str:
    """The whole page."""
    sections = [_section(role, [command for command in COMMANDS if command.needed is role]) for role in Role]
    return "\n".join([_HEAD, *filter(None, sections)])


def _section(role: Role, commands: list[Command]) -> str:
    if not commands:
        return ""
    rows = [f"| `{_cell(command.usage)}` | {_cell(command.summary)} | {_examples(command)} |" for command in commands]
    return "\n".join([f"## From {role} on", "", "| command | what it does | examples |", "|---|---|---|", *rows, ""])


def _examples(command: Command) -> str:
    return "<br>".join(f"`{_cell(example)}`" for example in command.examples)


def _cell(text: str) -> str:
    """Text that does not end its cell."""
    return text.replace("|", "\\|")


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
