"""The first configuration: the few questions that only a person can answer, and the file they become."""

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

_PRIVATE: Final = 0o600


@dataclass(frozen=True, slots=True)
class Question:
    """One key to be asked for. `hidden` answers are not shown while they are typed."""

    section: str
    key: str
    asks: str
    hidden: bool = False
    default: str | None = None
    is_text: bool = True


QUESTIONS: Final = (
    Question("telegram", "token", "The bot's token, as @BotFather shows it", hidden=True),
    Question("smscode", "token", "The API token from SMSCode's dashboard", hidden=True),
    Question("access", "owners", "Your Telegram id, or several with commas (@userinfobot tells it)", is_text=False),
    Question("limits", "per_order", "The most that one order may cost (IDR)", default="20000", is_text=False),
    Question("limits", "daily", "The most that one member may spend in a day (IDR)", default="100000", is_text=False),
    Question(
        "limits", "team_daily", "The most that the team may spend in a day (IDR)", default="500000", is_text=False
    ),
    Question("limits", "timezone", "Whose midnight starts a new day", default="Asia/Jakarta"),
    Question("storage", "path", "Where the desk keeps its memory", default="data/otpdesk.sqlite3"),
)


def as_toml(answers: Mapping[Question, str]) -> str:
    """The configuration that says those answers, and leaves every other key to its default."""
    lines = ["# Every other key, its default and its reason: config.example.toml"]
    for section in dict.fromkeys(question.section for question in answers):
        lines += ["", f"[{section}]"]
        lines += [_line(question, answer) for question, answer in answers.items() if question.section == section]
    return "\n".join(lines) + "\n"


def write(path: Path, text: str) -> None:
    """Write a new file that only its owner can read.

    Raises:
        FileExistsError: it is there already. OSError: it cannot be written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, _PRIVATE)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)


def _line(question: Question, answer: str) -> str:
    if question.is_text:
        return f"{question.key} = {json.dumps(answer)}"
    numbers = [part.strip() for part in answer.split(",") if part.strip()]
    return f"{question.key} = {'[' + ', '.join(numbers) + ']' if question.key == 'owners' else numbers[0]}"
