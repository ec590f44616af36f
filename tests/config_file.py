"""The configuration file of a desk between two simulators, for whatever runs it as a process of its own."""

import json
from collections.abc import Mapping
from typing import Any


def config_text(
    token: str, chat_url: str, api_url: str, owner: int, contract: str, **sections: Mapping[str, Any]
) -> str:
    """The text of the file; `sections` add to it."""
    values: dict[str, dict[str, Any]] = {
        "telegram": {"token": token, "base_url": chat_url},
        "smscode": {"token": "sandbox", "base_url": api_url, "contract": contract},
        "access": {"owners": [owner]},
    }
    for name, more in sections.items():
        values[name] = {**values.get(name, {}), **more}
    # Words, numbers and lists are spelled alike in JSON and in TOML.
    lines = [
        line
        for name, section in values.items()
        for line in (f"[{name}]", *(f"{key} = {json.dumps(value)}" for key, value in section.items()))
    ]
    return "\n".join(lines) + "\n"
