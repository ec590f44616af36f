"""The configuration: one TOML file, overridden by the environment, typed and frozen.

Every key of the file has an environment twin: `[smscode] token` is `OTPDESK_SMSCODE__TOKEN`. A secret may also be read
from a file (`token_file`), which is how container platforms hand them out. Whatever is wrong is reported at once, all
of it, each line with the key and what is expected.
"""

import difflib
import math
import re
import tomllib
import zoneinfo
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self
from urllib.parse import urlsplit

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SecretStr,
    ValidationError,
    model_validator,
)
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from bot.domain.limits import LimitName
from bot.domain.money import MOST

ENVIRONMENT_PREFIX = "OTPDESK_"

_TELEGRAM_TOKEN = re.compile(r"\d{1,20}:[A-Za-z0-9_-]{20,64}")
_LONGEST_TOKEN = 4096


class ConfigError(Exception):
    """The configuration cannot be used; `problems` names every wrong key at once."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


def _server(value: str) -> str:
    parts = urlsplit(value)
    if parts.scheme not in {"http", "https"} or not parts.hostname or parts.query or parts.fragment:
        raise ValueError("expected the address of a server, such as https://api.example.com")
    return value.rstrip("/")


def _zone(value: str) -> str:
    try:
        zoneinfo.ZoneInfo(value)
    except (zoneinfo.ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise ValueError("expected a time zone of the IANA database, such as Asia/Jakarta") from error
    return value


def _listed(value: object) -> object:
    """Lists in the environment are written with commas."""
    if isinstance(value, str):
        return [part.strip() for part in value.split(",") if part.strip()]
    return value


def _paired(value: object) -> object:
    """Pairs in the environment are written `wa=whatsapp,tg=telegram`."""
    if isinstance(value, str):
        return dict(pair.split("=", 1) for pair in value.split(",") if "=" in pair)
    return value


Server = Annotated[str, AfterValidator(_server)]
Zone = Annotated[str, AfterValidator(_zone)]
Amount = Annotated[int, Field(ge=0, le=MOST, strict=False)]
Count = Annotated[int, Field(ge=0, le=1000)]
Ids = Annotated[tuple[Annotated[int, Field(gt=0)], ...], BeforeValidator(_listed)]
Names = Annotated[tuple[str, ...], BeforeValidator(_listed)]
Pairs = Annotated[dict[str, str], BeforeValidator(_paired)]


class _Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class _WithToken(_Section):
    token: SecretStr = SecretStr("")
    token_file: Path | None = None

    @property
    def secret(self) -> str:
        """The token itself, wherever it was given."""
        return self.token.get_secret_value()

    @model_validator(mode="before")
    @classmethod
    def _read_token_file(cls, values: object) -> object:
        if not isinstance(values, dict) or not values.get("token_file") or values.get("token"):
            return values
        try:
            token = Path(values["token_file"]).read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            raise ValueError(f"the token file cannot be read: {error}") from error
        return {**values, "token": token}

    @model_validator(mode="after")
    def _check_token(self) -> Self:
        if not self.secret:
            raise ValueError("the token is missing: set token, token_file or the environment variable")
        if not self.secret.isascii() or not self.secret.isprintable() or " " in self.secret:
            raise ValueError("the token must be one line of plain characters without spaces")
        if len(self.secret) > _LONGEST_TOKEN:
            raise ValueError(f"the token is longer than {_LONGEST_TOKEN} characters")
        return self


class Telegram(_WithToken):
    """How to reach Telegram."""

    base_url: Server = "https://api.telegram.org"
    mode: Literal["polling"] = "polling"

    @model_validator(mode="after")
    def _check_shape(self) -> Self:
        if not _TELEGRAM_TOKEN.fullmatch(self.secret):
            raise ValueError("expected a bot token as @BotFather shows it: digits, a colon, letters")
        return self


class Smscode(_WithToken):
    """How to reach SMSCode."""

    base_url: Server = "https://api.smscode.gg"
    contract: Literal["guide"] = "guide"
    requests_per_minute: Annotated[int, Field(ge=10, le=100_000)] = 300


class Storage(_Section):
    """Where the desk keeps its memory."""

    path: Path = Path("data/otpdesk.sqlite3")


class Access(_Section):
    """Who is let in before anybody is."""

    owners: Ids = ()
    admin_chat: int | None = None
    allow_requests: bool = True

    @model_validator(mode="after")
    def _check_owners(self) -> Self:
        if not self.owners:
            raise ValueError("owners: at least one Telegram user id is needed, or nobody could let anybody in")
        return self


class Limits(_Section):
    """What each member and the team may spend (IDR) and do, unless the chat says otherwise."""

    per_order: Amount = 20_000
    daily: Amount = 100_000
    monthly: Amount = 1_000_000
    team_daily: Amount = 500_000
    team_monthly: Amount = 5_000_000
    active_orders: Count = 3
    cancels_per_day: Count = 20
    timezone: Zone = "Asia/Jakarta"

    @property
    def defaults(self) -> Mapping[LimitName, int]:
        """Every limit by its name."""
        return {name: getattr(self, name) for name in LimitName}

    @property
    def zone(self) -> zoneinfo.ZoneInfo:
        """The team's time zone: its midnight is when a day's limits start anew."""
        return zoneinfo.ZoneInfo(self.timezone)


class Ordering(_Section):
    """How orders are placed."""

    countries: Names = ()
    aliases: Pairs = {}
    platforms_allowed: Names = ()
    note_required: bool = False
    cancel_before_expiry: Annotated[int, Field(ge=0, le=600)] = 15


class Polling(_Section):
    """How SMSCode is watched."""

    interval: Annotated[float, Field(ge=2, le=300)] = 5.0

    @model_validator(mode="after")
    def _finite(self) -> Self:
        if not math.isfinite(self.interval):
            raise ValueError("interval: expected seconds")
        return self


class Retention(_Section):
    """How long secrets are kept."""

    codes: Annotated[int, Field(ge=60, le=30 * 86_400)] = 86_400


class Logging(_Section):
    """What is written about the work."""

    level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"
    format: Literal["console", "json"] = "console"


class Settings(BaseSettings):
    """The whole configuration."""

    model_config = SettingsConfigDict(
        frozen=True, extra="forbid", env_prefix=ENVIRONMENT_PREFIX, env_nested_delimiter="__", enable_decoding=False
    )

    telegram: Telegram
    smscode: Smscode
    access: Access
    storage: Storage = Storage()
    limits: Limits = Limits()
    ordering: Ordering = Ordering()
    polling: Polling = Polling()
    retention: Retention = Retention()
    logging: Logging = Logging()

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        del settings_cls, dotenv_settings, file_secret_settings
        return env_settings, init_settings


def load(path: Path | None) -> Settings:
    """Read the configuration from `path` (None: from the environment alone).

    Raises:
        ConfigError: with every problem, each naming its key and what is expected.
    """
    try:
        return Settings(**_toml(path))
    except ValidationError as error:
        raise ConfigError([_in_words(problem) for problem in error.errors()]) from None


def _toml(path: Path | None) -> dict[str, Any]:
    if path is None:
        return {}
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError([f"{path}: {error.strerror}; copy config.example.toml and fill it in"]) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError([f"{path} is not valid TOML: {error}"]) from error


_EXPECTED = {
    "extra_forbidden": "no such key",
    "missing": "this section is missing",
}


def _in_words(problem: Mapping[str, Any]) -> str:
    """One line about one wrong key; the value itself is left out, because it may be a secret."""
    place = [str(part) for part in problem["loc"]]
    key = ".".join(place)
    message = _EXPECTED.get(problem["type"], str(problem["msg"]).removeprefix("Value error, "))
    if problem["type"] == "extra_forbidden":
        near = difflib.get_close_matches(place[-1], _known_keys(place[:-1]), n=1)
        message += f"; did you mean {near[0]}?" if near else ""
    return f"{key}: {message}"


def _known_keys(section: list[str]) -> list[str]:
    if not section:
        return list(Settings.model_fields)
    field = Settings.model_fields.get(section[0])
    model = field.annotation if field else None
    return list(model.model_fields) if isinstance(model, type) and issubclass(model, BaseModel) else []
