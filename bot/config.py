"""The configuration: one TOML file, overridden by the environment, typed and frozen.

Every key of the file has an environment twin: `[smscode] token` is `OTPDESK_SMSCODE__TOKEN`. A secret may also be read
from a file (`token_file`), which is how container platforms hand them out. Whatever is wrong is reported at once, all
of it, each line with the key and what is expected.
"""

import difflib
import ipaddress
import os
import re
import tomllib
import zoneinfo
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SecretStr,
    ValidationError,
    ValidationInfo,
    field_validator,
)
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict

from bot.domain.limits import LimitName
from bot.domain.money import MOST
from bot.domain.orders import Policy

ENVIRONMENT_PREFIX = "OTPDESK_"

_TELEGRAM_TOKEN = re.compile(r"\d{1,20}:[A-Za-z0-9_-]{20,64}")
_LONGEST_TOKEN = 4096
_SHORTEST_SECRET = 16
_LONGEST_SECRET = 256
_LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})


class ConfigError(Exception):
    """The configuration cannot be used; `problems` names every wrong key at once."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


def _server(value: str) -> str:
    if not _is_server(value):
        raise ValueError("expected the address of a server, such as https://api.example.com")
    address = value.rstrip("/")
    if address.endswith(("/bot", "/v1")):
        raise ValueError("expected the address of the server alone, without /bot or /v1")
    return address


def _is_server(value: str) -> bool:
    try:
        parts = urlsplit(value)
        port = parts.port
    except ValueError:
        return False
    return (
        parts.scheme in {"http", "https"}
        and bool(parts.hostname)
        and port != 0
        and not (parts.query or parts.fragment or parts.username or parts.password)
        and value.isascii()
        and value.isprintable()
        and " " not in value
    )


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
    if not isinstance(value, str):
        return value
    pairs = [pair.split("=", 1) for pair in value.split(",") if pair.strip()]
    if any(len(pair) == 1 for pair in pairs):
        raise ValueError(f"expected {_PAIRS}")
    return {name.strip(): meaning.strip() for name, meaning in pairs}


def _countable(value: object) -> object:
    """A switch is no number, although Python takes one for it."""
    if value is True or value is False:
        raise ValueError("expected a number, not true or false")
    return value


def _named(value: Path) -> Path:
    if not str(value).isprintable():
        raise ValueError("expected a path without control characters")
    return value


def _whole(least: int, most: int, what: str = "a whole number") -> FieldInfo:
    """The bounds of a whole number, in words too: they are what a wrong value is answered with."""
    field: FieldInfo = Field(ge=least, le=most, description=f"{what} from {least} to {most}")
    return field


_PAIRS = "pairs such as wa=whatsapp, separated by commas"
_TEXTS = "texts in quotes, separated by commas"

Server = Annotated[str, AfterValidator(_server)]
Zone = Annotated[str, AfterValidator(_zone)]
Location = Annotated[Path, AfterValidator(_named)]
Whole = Annotated[int, BeforeValidator(_countable)]
Amount = Annotated[Whole, _whole(0, MOST, "a whole amount of rupiah")]
Count = Annotated[Whole, _whole(0, 1000)]
Id = Annotated[Whole, Field(gt=0, lt=2**52)]
Ids = Annotated[tuple[Id, ...], BeforeValidator(_listed), Field(description="numeric Telegram ids, such as [123456]")]
ChatId = Annotated[Whole, Field(gt=-(2**52), lt=2**52)]
Names = Annotated[tuple[str, ...], BeforeValidator(_listed), Field(description=_TEXTS)]
Pairs = Annotated[dict[str, str], BeforeValidator(_paired), Field(description=_PAIRS)]


class _Section(BaseModel):
    # Put together when a configuration is read: not for --help, the demo or the sandbox.
    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)


class _WithToken(_Section):
    token_file: Location | None = None
    token: SecretStr = Field(default=SecretStr(""), validate_default=True)

    @property
    def secret(self) -> str:
        """The token itself, wherever it was given."""
        return self.token.get_secret_value()

    @field_validator("token")
    @classmethod
    def _settle(cls, token: SecretStr, given: ValidationInfo) -> SecretStr:
        file = given.data.get("token_file")
        secret = token.get_secret_value() or (_from_file(file, "token_file") if file else "")
        if not secret:
            raise ValueError("the token is missing: set token, token_file or the environment variable")
        if len(secret) > _LONGEST_TOKEN:
            raise ValueError(f"expected at most {_LONGEST_TOKEN} characters")
        return _one_line(SecretStr(secret))


def _one_line(secret: SecretStr) -> SecretStr:
    text = secret.get_secret_value()
    if not text.isascii() or not text.isprintable() or " " in text:
        raise ValueError("expected one line of plain characters without spaces")
    return secret


def _from_file(path: Path, key: str) -> str:
    try:
        with path.open(encoding="utf-8") as file:
            # One character more than fits, so that a file that is far too long is told apart from one that fits.
            return file.read(_LONGEST_TOKEN + 3).strip()
    except UnicodeDecodeError:
        raise ValueError(f"expected text in {key} ({path})") from None
    except OSError as error:
        raise ValueError(f"{key} cannot be read: {path}: {error.strerror}") from None


class Telegram(_WithToken):
    """How to reach Telegram."""

    base_url: Server = "https://api.telegram.org"
    mode: Literal["polling", "webhook"] = "polling"

    @property
    def bot_id(self) -> str:
        """The bot's numeric id, which its token begins with: it names this desk's books."""
        return self.secret.partition(":")[0]

    @field_validator("token")
    @classmethod
    def _check_shape(cls, token: SecretStr) -> SecretStr:
        if not _TELEGRAM_TOKEN.fullmatch(token.get_secret_value()):
            raise ValueError("expected a bot token as @BotFather shows it: digits, a colon, letters")
        return token


class Smscode(_WithToken):
    """How to reach SMSCode."""

    webhook_secret_file: Location | None = None
    webhook_secret: SecretStr = Field(default=SecretStr(""), validate_default=True)
    base_url: Server = "https://api.smscode.gg"
    contract: Literal["auto", "guide", "official"] = "auto"
    requests_per_minute: Annotated[Whole, _whole(10, 100_000)] = 300

    @property
    def signing_secret(self) -> str:
        """What SMSCode signs its events with, wherever it was given; empty if nowhere."""
        return self.webhook_secret.get_secret_value()

    @field_validator("webhook_secret")
    @classmethod
    def _settle_secret(cls, secret: SecretStr, given: ValidationInfo) -> SecretStr:
        file = given.data.get("webhook_secret_file")
        found = secret.get_secret_value() or (_from_file(file, "webhook_secret_file") if file else "")
        if file and not found:
            raise ValueError(f"the file is empty: {file}")
        if found and not _SHORTEST_SECRET <= len(found) <= _LONGEST_SECRET:
            raise ValueError(
                f"expected {_SHORTEST_SECRET} to {_LONGEST_SECRET} characters; make one: openssl rand -hex 32"
            )
        return _one_line(SecretStr(found))


class Storage(_Section):
    """Where the desk keeps its memory."""

    path: Location = Path("data/otpdesk.sqlite3")


class Access(_Section):
    """Who is let in before anybody is."""

    owners: Ids = Field(default=(), validate_default=True)
    admin_chat: Annotated[ChatId | None, Field(description="the numeric id of a chat")] = None
    allow_requests: bool = True

    @field_validator("owners")
    @classmethod
    def _check_owners(cls, owners: tuple[int, ...]) -> tuple[int, ...]:
        if not owners:
            raise ValueError("expected at least one Telegram user id, or nobody could let anybody in")
        return owners


class Limits(_Section):
    """What each member and the team may spend (IDR) and do, unless the chat says otherwise."""

    per_order: Amount = 20_000
    daily: Amount = 100_000
    monthly: Amount = 1_000_000
    team_daily: Amount = 500_000
    team_monthly: Amount = 5_000_000
    active_orders: Count = 3
    cancels_per_day: Count = 20
    confirm_above: Amount = 10_000
    approve_above: Annotated[Whole | None, _whole(0, MOST, "a whole amount of rupiah")] = None
    approve_within: Annotated[Whole, _whole(60, 86_400, "whole seconds")] = 3600
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
    policy: Policy = Policy.CHEAPEST
    code_delivery: Literal["chat", "dm"] = "chat"
    cancel_before_expiry: Annotated[Whole | None, _whole(0, 600, "whole seconds")] = None


class Polling(_Section):
    """How SMSCode is watched."""

    interval: Annotated[
        float, BeforeValidator(_countable), Field(ge=2, le=300, description="seconds from 2 to 300")
    ] = 5.0


@dataclass(frozen=True, slots=True)
class Address:
    """Where to listen."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


class Web(_Section):
    """The desk's own HTTP server; there is none while `listen` is empty."""

    listen: str = ""
    public_url: str = ""

    @property
    def address(self) -> Address | None:
        """Where to listen, or None."""
        return _address(self.listen) if self.listen else None

    @field_validator("listen")
    @classmethod
    def _check_listen(cls, listen: str) -> str:
        if listen:
            _address(listen)
        return listen

    @field_validator("public_url")
    @classmethod
    def _check_public_url(cls, url: str) -> str:
        if not url:
            return url
        if not _is_server(url):
            raise ValueError("expected the https address under which SMSCode reaches this desk")
        parts = urlsplit(url)
        if parts.scheme != "https" and parts.hostname not in _LOOPBACK:
            raise ValueError("expected an https address: codes travel with the events")
        return url.rstrip("/")


def _address(listen: str) -> Address:
    host, _, port = listen.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    try:
        ipaddress.ip_address(host)
        number = int(port) if port.isascii() and port.isdigit() else 0
    except ValueError:
        number = 0
    if not 0 < number < 65_536:
        raise ValueError("expected an IP address and a port, such as 127.0.0.1:8080 or 0.0.0.0:8080")
    return Address(host, number)


class Backup(_Section):
    """How often the desk copies its books by itself, and how many copies it keeps."""

    every: Annotated[Whole, _whole(0, 31 * 86_400, "whole seconds")] = 86_400
    keep: Annotated[Whole, _whole(1, 1000)] = 14
    folder: Annotated[Location | None, Field(description="a path in quotes")] = None

    def folder_of(self, database: Path) -> Path:
        """Where copies of that database go."""
        return self.folder or database.parent / "backups"


class Retention(_Section):
    """How long secrets are kept: by the desk, and in the chats (0: for good)."""

    codes: Annotated[Whole, _whole(60, 30 * 86_400, "whole seconds")] = 86_400
    chat: Annotated[Whole, _whole(0, 47 * 3600, "whole seconds")] = 0


class Alerts(_Section):
    """From when on admins are told that something runs low; 0: never."""

    low_balance: Amount = 50_000
    low_disk: Annotated[Whole, _whole(0, 1_000_000, "whole mebibytes")] = 200


class Reports(_Section):
    """What the desk tells by itself."""

    weekly_digest: bool = False


class Logging(_Section):
    """What is written about the work."""

    level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"
    format: Literal["console", "json"] = "console"


class Settings(BaseSettings):
    """The whole configuration."""

    model_config = SettingsConfigDict(
        frozen=True,
        extra="forbid",
        defer_build=True,
        env_prefix=ENVIRONMENT_PREFIX,
        env_nested_delimiter="__",
        enable_decoding=False,
        hide_input_in_errors=True,
    )

    telegram: Telegram
    smscode: Smscode
    access: Access
    storage: Storage = Field(default_factory=Storage)
    limits: Limits = Field(default_factory=Limits)
    ordering: Ordering = Field(default_factory=Ordering)
    polling: Polling = Field(default_factory=Polling)
    web: Web = Field(default_factory=Web)
    backup: Backup = Field(default_factory=Backup)
    retention: Retention = Field(default_factory=Retention)
    alerts: Alerts = Field(default_factory=Alerts)
    reports: Reports = Field(default_factory=Reports)
    logging: Logging = Field(default_factory=Logging)

    @field_validator("web")
    @classmethod
    def _check_events(cls, web: Web, given: ValidationInfo) -> Web:
        """An address to send events to is only one if somebody listens there and can tell forged ones apart."""
        smscode, telegram = given.data.get("smscode"), given.data.get("telegram")
        brought = telegram is not None and telegram.mode == "webhook"
        if brought and not web.public_url:
            raise ValueError('public_url is missing: with telegram.mode = "webhook" Telegram brings updates there')
        if web.public_url and not web.listen:
            raise ValueError("public_url needs listen: somebody has to be there when SMSCode sends its events")
        if web.public_url and not brought and smscode is not None and not smscode.signing_secret:
            raise ValueError("public_url needs smscode.webhook_secret; make one: openssl rand -hex 32")
        return web

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
    values = _toml(path)
    _let_environment_win(values)
    problems = _strange_variables()
    try:
        settings = Settings(**values)
    except ValidationError as error:
        raise ConfigError([*problems, *map(_in_words, error.errors(include_input=False))]) from None
    if problems:
        raise ConfigError(problems)
    return settings


def problem_with(section: str, key: str, value: str) -> str | None:
    """What is wrong with a value for one key, in words, or None if it may be written there."""
    model = _section(section)
    if model is None:
        raise LookupError(section)
    try:
        model.model_validate({key: value})
    except ValidationError as error:
        mine = [one for one in error.errors(include_input=False) if one["loc"] and one["loc"][0] == key]
        return _message(mine[0], [section, key]) if mine else None
    return None


def _toml(path: Path | None) -> dict[str, Any]:
    if path is None:
        return {}
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError([f"{path}: {error.strerror}; copy config.example.toml and fill it in"]) from error
    except (ValueError, RecursionError) as error:
        raise ConfigError([f"{path} is not valid TOML: {error}"]) from error


def _let_environment_win(values: dict[str, Any]) -> None:
    """A file with a secret, named in the environment, goes before a secret written in the configuration."""
    names = {name.upper() for name, value in os.environ.items() if value}
    for section, secret in (("telegram", "token"), ("smscode", "token"), ("smscode", "webhook_secret")):
        given = values.get(section)
        if f"{ENVIRONMENT_PREFIX}{section}__{secret}_file".upper() in names and isinstance(given, dict):
            given.pop(secret, None)


def _strange_variables() -> list[str]:
    """Variables that look like a key and name no section; pydantic passes over them, and a limit would be lost."""
    known = tuple(f"{ENVIRONMENT_PREFIX}{section}__".upper() for section in Settings.model_fields)
    strange = [
        name
        for name in sorted(os.environ)
        if name.upper().startswith(ENVIRONMENT_PREFIX) and "__" in name and not name.upper().startswith(known)
    ]
    sections = ", ".join(Settings.model_fields)
    return [f"{name}: no such section; expected one of {sections}" for name in strange]


_INDISPENSABLE: Mapping[str, str] = {"telegram": "token", "smscode": "token", "access": "owners"}

_KINDS: Mapping[str, str] = {
    "bool": "true or false",
    "model": "a section with keys",
    "path": "a path in quotes",
    "string": "text in quotes",
}
"""What is expected, by the first word of pydantic's name for the problem."""


def _in_words(problem: Mapping[str, Any]) -> str:
    """One line about one wrong key; the value itself is left out, because it may be a secret."""
    place = [str(part) for part in problem["loc"]]
    return f"{'.'.join(place)}: {_message(problem, place)}"


def _message(problem: Mapping[str, Any], place: list[str]) -> str:
    kind = str(problem["type"])
    if kind == "value_error":
        return str(problem["msg"]).removeprefix("Value error, ")
    if kind == "missing":
        return f"expected the section [{place[0]}] with its {_INDISPENSABLE[place[0]]}"
    if kind == "extra_forbidden":
        near = difflib.get_close_matches(place[-1], _known_keys(place[:-1]), n=1)
        return f"no such key; did you mean {near[0]}?" if near else "no such key"
    return f"expected {_expected(problem, place)}"


def _expected(problem: Mapping[str, Any], place: list[str]) -> str:
    if problem["type"] in ("literal_error", "enum"):
        return str(problem["ctx"]["expected"])
    section = _section(place[0])
    field = section.model_fields.get(place[1]) if section and len(place) > 1 else None
    if field is not None and field.description:
        return field.description
    return _KINDS.get(str(problem["type"]).split("_")[0], "another kind of value")


def _known_keys(place: list[str]) -> list[str]:
    if not place:
        return list(Settings.model_fields)
    section = _section(place[0])
    return list(section.model_fields) if section else []


def _section(name: str) -> type[BaseModel] | None:
    field = Settings.model_fields.get(name)
    model = field.annotation if field else None
    return model if isinstance(model, type) and issubclass(model, BaseModel) else None
