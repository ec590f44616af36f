"""The parameters of one Bot API call, whatever body they came in."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from bot.sandbox.telegram_errors import bad_request


@dataclass(frozen=True, slots=True)
class Upload:
    """A file sent along with a call."""

    name: str
    content: bytes
    content_type: str


@dataclass(frozen=True, slots=True)
class Params:
    """Typed reading of parameters. In a form all values are strings and nested ones are JSON, as Telegram wants."""

    values: Mapping[str, Any]

    def text(self, name: str, default: str = "") -> str:
        """A string."""
        value = self.values.get(name, default)
        return value if isinstance(value, str) else json.dumps(value)

    def integer(self, name: str, default: int = 0) -> int:
        """A whole number; what is none counts as the default, as it does in Telegram."""
        try:
            return int(self.values.get(name, default))
        except (TypeError, ValueError):
            return default

    def optional_integer(self, name: str) -> int | None:
        """A whole number or None where the parameter is absent."""
        return self.integer(name) if name in self.values else None

    def boolean(self, name: str) -> bool:
        """True for `true`, `yes` and 1."""
        return str(self.values.get(name, "")).lower() in {"true", "yes", "1"}

    def decoded(self, name: str) -> Any:
        """A nested parameter, or None where it is absent.

        Raises:
            ApiError: 400, it is not JSON.
        """
        value = self.values.get(name)
        if not isinstance(value, str):
            return value
        try:
            return json.loads(value) if value else None
        except ValueError:
            raise bad_request(f"can't parse {name} JSON object") from None

    def chat(self) -> int | str:
        """The `chat_id`: a number or an @username.

        Raises:
            ApiError: 400, it is empty.
        """
        raw = str(self.values.get("chat_id", "")).strip()
        if not raw:
            raise bad_request("chat_id is empty")
        try:
            return int(raw)
        except ValueError:
            return raw

    def upload(self, name: str) -> Upload | None:
        """A file, sent under its own name or under the one an `attach://` address gives."""
        value = self.values.get(name)
        if isinstance(value, str) and value.startswith("attach://"):
            value = self.values.get(value.removeprefix("attach://"))
        return value if isinstance(value, Upload) else None

    def loggable(self) -> dict[str, Any]:
        """All of it with the files reduced to their names and sizes."""
        return {
            key: f"<{value.name}, {len(value.content)} bytes>" if isinstance(value, Upload) else value
            for key, value in self.values.items()
        }
