"""The configuration: the example file tells the truth, and whatever is wrong is said at once and without secrets."""

import re
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel, SecretStr, ValidationError

from bot.config import ConfigError, Settings, load

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "config.example.toml"
BOT_TOKEN = "123456789:AAbCdEfGhIjKlMnOpQrStUvWxYz0123456789"
API_TOKEN = "live-api-token"
COMMENTED_KEY = re.compile(r"^# (?=[a-z_]+ = )", re.MULTILINE)

MINIMAL = f"""
[telegram]
token = "{BOT_TOKEN}"
[smscode]
token = "{API_TOKEN}"
[access]
owners = [11]
"""

Written = Callable[[str], Path]


@pytest.fixture
def written(tmp_path: Path) -> Written:
    """Write a configuration file and say where."""

    def write(text: str) -> Path:
        path = tmp_path / "config.toml"
        path.write_text(text, encoding="utf-8")
        return path

    return write


def _with(section: str, line: str) -> str:
    """The minimal configuration with one more line in a section, in place of a line for the same key."""
    key = line.partition("=")[0].strip()
    head, found, tail = MINIMAL.partition(f"[{section}]\n")
    if not found:
        return f"{MINIMAL}\n[{section}]\n{line}\n"
    first, rest = tail.split("\n", 1)
    kept = "" if first.split("=")[0].strip() == key else f"{first}\n"
    return f"{head}[{section}]\n{line}\n{kept}{rest}"


def _problems(path: Path | None) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        load(path)
    return caught.value.problems


def _sections() -> dict[str, type[BaseModel]]:
    found = {name: field.annotation for name, field in Settings.model_fields.items()}
    return {name: model for name, model in found.items() if isinstance(model, type) and issubclass(model, BaseModel)}


def _example() -> dict[str, dict[str, Any]]:
    """The example with its commented-out keys."""
    return tomllib.loads(COMMENTED_KEY.sub("", EXAMPLE.read_text(encoding="utf-8")))


# --- the example file -------------------------------------------------------------------------------------------------


def test_the_example_names_every_key_and_no_other() -> None:
    known = {name: set(model.model_fields) for name, model in _sections().items()}
    assert {name: set(keys) for name, keys in _example().items()} == known
    assert set(known) == set(Settings.model_fields)


def test_the_example_shows_each_default() -> None:
    for name, model in _sections().items():
        for key, field in model.model_fields.items():
            if field.default is None:
                continue  # commented out: there is no default to show
            default = field.default
            shown = _example()[name][key]
            if isinstance(default, SecretStr):
                default = default.get_secret_value()
            assert shown == (list(default) if isinstance(default, tuple) else _plain(default)), f"{name}.{key}"


def _plain(value: object) -> object:
    return str(value) if isinstance(value, Path) else value


def test_only_keys_without_a_default_are_commented_out() -> None:
    active = tomllib.loads(EXAMPLE.read_text(encoding="utf-8"))
    commented = {(name, key) for name, keys in _example().items() for key in keys if key not in active[name]}
    without_default = {
        (name, key)
        for name, model in _sections().items()
        for key, field in model.model_fields.items()
        if field.default is None
    }
    assert commented == without_default


def test_each_key_of_the_example_has_its_line_of_why() -> None:
    before = ""
    for line in EXAMPLE.read_text(encoding="utf-8").splitlines():
        if re.match(r"(# )?[a-z_]+ = ", line):
            assert before.startswith("# "), f"{line!r} has no line of why"
            assert not COMMENTED_KEY.match(before), f"{line!r} has no line of why"
        before = line


def test_the_example_as_it_stands_names_exactly_what_has_to_be_filled_in() -> None:
    assert [problem.split(":")[0] for problem in _problems(EXAMPLE)] == [
        "telegram.token",
        "smscode.token",
        "access.owners",
    ]


def test_the_example_filled_in_is_the_minimal_configuration(written: Written) -> None:
    text = EXAMPLE.read_text(encoding="utf-8").replace("owners = []", "owners = [11]")
    for token in (BOT_TOKEN, API_TOKEN):
        text = text.replace('token = ""', f'token = "{token}"', 1)
    filled = load(written(text))
    assert filled == load(written(MINIMAL))


# --- the environment --------------------------------------------------------------------------------------------------

OVERRIDES: dict[str, tuple[str, str, object]] = {
    "OTPDESK_TELEGRAM__TOKEN": ("telegram.secret", f"9{BOT_TOKEN}", f"9{BOT_TOKEN}"),
    "OTPDESK_TELEGRAM__BASE_URL": ("telegram.base_url", "http://127.0.0.1:8081/", "http://127.0.0.1:8081"),
    "OTPDESK_SMSCODE__TOKEN": ("smscode.secret", "another", "another"),
    "OTPDESK_SMSCODE__REQUESTS_PER_MINUTE": ("smscode.requests_per_minute", "120", 120),
    "OTPDESK_ACCESS__OWNERS": ("access.owners", "21, 22,23", (21, 22, 23)),
    "OTPDESK_ACCESS__ADMIN_CHAT": ("access.admin_chat", "-1001234567890", -1001234567890),
    "OTPDESK_ACCESS__ALLOW_REQUESTS": ("access.allow_requests", "false", False),
    "OTPDESK_STORAGE__PATH": ("storage.path", "/data/desk.sqlite3", Path("/data/desk.sqlite3")),
    "OTPDESK_LIMITS__TEAM_DAILY": ("limits.team_daily", "750000", 750_000),
    "OTPDESK_LIMITS__TIMEZONE": ("limits.timezone", "Europe/Berlin", "Europe/Berlin"),
    "OTPDESK_ORDERING__COUNTRIES": ("ordering.countries", "indonesia,viet nam,", ("indonesia", "viet nam")),
    "OTPDESK_ORDERING__ALIASES": (
        "ordering.aliases",
        "wa=whatsapp, tg = telegram",
        {"wa": "whatsapp", "tg": "telegram"},
    ),
    "OTPDESK_ORDERING__NOTE_REQUIRED": ("ordering.note_required", "true", True),
    "OTPDESK_POLLING__INTERVAL": ("polling.interval", "2.5", 2.5),
    "OTPDESK_WEB__LISTEN": ("web.listen", "[::1]:8080", "[::1]:8080"),
    "OTPDESK_SMSCODE__WEBHOOK_SECRET": ("smscode.signing_secret", "s" * 16, "s" * 16),
    "OTPDESK_BACKUP__EVERY": ("backup.every", "0", 0),
    "OTPDESK_RETENTION__CODES": ("retention.codes", "3600", 3600),
    "OTPDESK_ALERTS__LOW_BALANCE": ("alerts.low_balance", "75000", 75_000),
    "OTPDESK_REPORTS__WEEKLY_DIGEST": ("reports.weekly_digest", "true", True),
    "OTPDESK_LOGGING__LEVEL": ("logging.level", "DEBUG", "DEBUG"),
}


def test_the_overrides_below_touch_every_section() -> None:
    assert {name.removeprefix("OTPDESK_").split("__")[0].lower() for name in OVERRIDES} == set(Settings.model_fields)


@pytest.mark.parametrize("name", OVERRIDES)
def test_the_environment_wins_over_the_file(written: Written, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    key, given, expected = OVERRIDES[name]
    path = written(MINIMAL)
    assert _read(load(path), key) != expected
    monkeypatch.setenv(name, given)
    assert _read(load(path), key) == expected


def _read(settings: Settings, key: str) -> object:
    section, name = key.split(".")
    value: object = getattr(getattr(settings, section), name)
    return value


def test_the_environment_alone_is_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTPDESK_TELEGRAM__TOKEN", BOT_TOKEN)
    monkeypatch.setenv("OTPDESK_SMSCODE__TOKEN", API_TOKEN)
    monkeypatch.setenv("OTPDESK_ACCESS__OWNERS", "11")
    settings = load(None)
    assert (settings.telegram.secret, settings.smscode.secret, settings.access.owners) == (BOT_TOKEN, API_TOKEN, (11,))


def test_the_file_keeps_its_other_keys_of_an_overridden_section(
    written: Written, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTPDESK_LIMITS__DAILY", "1")
    settings = load(written(_with("limits", "monthly = 2")))
    assert (settings.limits.daily, settings.limits.monthly) == (1, 2)


@pytest.mark.parametrize(
    ("name", "value", "problem"),
    [
        ("OTPDESK_LIMITS__DALY", "5", "limits.daly: no such key; did you mean daily?"),
        ("OTPDESK_LIMITS__DAILY", "plenty", "limits.daily: expected a whole amount of rupiah from 0 to 1000000000"),
        ("OTPDESK_ACCESS__OWNERS", "11,ada", "access.owners.1: expected numeric Telegram ids, such as [123456]"),
        ("OTPDESK_ORDERING__ALIASES", "wa:whatsapp", "ordering.aliases: expected pairs such as wa=whatsapp"),
        ("OTPDESK_LIMITS", "5", "limits: expected a section with keys"),
        ("OTPDESK_LIMIT__DAILY", "5", "OTPDESK_LIMIT__DAILY: no such section; expected one of telegram, "),
    ],
)
def test_a_wrong_variable_is_named(
    written: Written, monkeypatch: pytest.MonkeyPatch, name: str, value: str, problem: str
) -> None:
    monkeypatch.setenv(name, value)
    (found,) = _problems(written(MINIMAL))
    assert found.startswith(problem)


# --- token files ------------------------------------------------------------------------------------------------------


def test_a_token_is_read_from_its_file(written: Written, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text(f"  {BOT_TOKEN}\r\n", encoding="utf-8")
    path = written(MINIMAL.replace(f'token = "{BOT_TOKEN}"', f'token_file = "{tmp_path}/secret"'))
    assert load(path).telegram.secret == BOT_TOKEN


def test_a_token_in_the_environment_wins_over_a_token_file(
    written: Written, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "secret").write_text("from the file", encoding="utf-8")
    monkeypatch.setenv("OTPDESK_SMSCODE__TOKEN", "from-the-environment")
    settings = load(written(_with("smscode", f'token_file = "{tmp_path}/secret"')))
    assert settings.smscode.secret == "from-the-environment"


def test_a_token_file_in_the_environment_wins_over_a_token(
    written: Written, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "secret").write_text("from-the-secret-file", encoding="utf-8")
    monkeypatch.setenv("OTPDESK_SMSCODE__TOKEN_FILE", str(tmp_path / "secret"))
    assert load(written(MINIMAL)).smscode.secret == "from-the-secret-file"


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (None, "token_file cannot be read: {path}: No such file or directory"),
        (b"", "the token is missing: set token, token_file or the environment variable"),
        (b"\n \n", "the token is missing: set token, token_file or the environment variable"),
        (b"\xff\xfe\x00", "expected text in token_file ({path})"),
        (b"two\nlines", "expected one line of plain characters without spaces"),
        (b"x" * 100_000, "expected at most 4096 characters"),
    ],
)
def test_a_bad_token_file_is_named(written: Written, tmp_path: Path, content: bytes | None, problem: str) -> None:
    secret = tmp_path / "secret"
    if content is not None:
        secret.write_bytes(content)
    path = written(MINIMAL.replace(f'token = "{API_TOKEN}"', f'token_file = "{secret}"'))
    assert _problems(path) == [f"smscode.token: {problem.format(path=secret)}"]


def test_a_folder_is_no_token_file(written: Written, tmp_path: Path) -> None:
    path = written(MINIMAL.replace(f'token = "{API_TOKEN}"', f'token_file = "{tmp_path}"'))
    assert _problems(path) == [f"smscode.token: token_file cannot be read: {tmp_path}: Is a directory"]


# --- a world of wrong configurations ----------------------------------------------------------------------------------

SERVER = "expected the address of a server, such as https://api.example.com"
ONE_LINE = "expected one line of plain characters without spaces"
RUPIAH = "expected a whole amount of rupiah from 0 to 1000000000"
ZONE = "expected a time zone of the IANA database, such as Asia/Jakarta"

WRONG: list[tuple[str, str, str]] = [
    ("telegram", 'token = "not-a-bot-token"', "expected a bot token as @BotFather shows it: digits, a colon, letters"),
    ("telegram", "token = 123456789", "expected text in quotes"),
    ("telegram", 'base_url = "api.telegram.org"', SERVER),
    ("telegram", 'base_url = "ftp://api.telegram.org"', SERVER),
    ("telegram", 'base_url = "https://"', SERVER),
    ("telegram", 'base_url = "https://user:word@api.telegram.org"', SERVER),
    ("telegram", 'base_url = "https://api.telegram.org?a=b"', SERVER),
    ("telegram", 'base_url = "https://api.telegram.org:99999"', SERVER),
    ("telegram", 'base_url = "http://[::1"', SERVER),
    ("telegram", 'base_url = "https://api.telegram.org/\\u0000"', SERVER),
    ("telegram", 'base_url = "https://аpi.telegram.org"', SERVER),
    ("telegram", 'base_url = "https://api.telegram.org/bot"', "expected the address of the server alone"),
    ("telegram", "base_url = 5", "expected text in quotes"),
    ("telegram", 'mode = "carrier pigeon"', "expected 'polling' or 'webhook'"),
    ("smscode", 'token = ""', "the token is missing: set token, token_file or the environment variable"),
    ("smscode", 'token = "two words"', ONE_LINE),
    ("smscode", 'token = "line\\nbreak"', ONE_LINE),
    ("smscode", 'token = "bell\\u0007"', ONE_LINE),
    ("smscode", 'token = "tökèn"', ONE_LINE),
    ("smscode", f'token = "{"x" * 5000}"', "expected at most 4096 characters"),
    ("smscode", 'token = ["a", "list"]', "expected text in quotes"),
    ("smscode", "token_file = 5", "expected a path in quotes"),
    ("smscode", 'base_url = "https://api.smscode.gg/v1/"', "expected the address of the server alone"),
    ("smscode", 'contract = "handshake"', "expected 'auto', 'guide' or 'official'"),
    ("smscode", "requests_per_minute = 0", "expected a whole number from 10 to 100000"),
    ("smscode", "requests_per_minute = 1.5", "expected a whole number from 10 to 100000"),
    ("smscode", 'webhook_secret = "short"', "expected 16 to 256 characters"),
    ("smscode", f'webhook_secret = "{"x" * 257}"', "expected 16 to 256 characters"),
    ("smscode", 'webhook_secret = "two words of a secret"', ONE_LINE),
    ("smscode", "webhook_secret = 5", "expected text in quotes"),
    ("smscode", "webhook_secret_file = 5", "expected a path in quotes"),
    ("web", 'listen = "8080"', "expected an IP address and a port"),
    ("web", 'listen = "localhost:8080"', "expected an IP address and a port"),
    ("web", 'listen = "127.0.0.1:0"', "expected an IP address and a port"),
    ("web", 'listen = "127.0.0.1:65536"', "expected an IP address and a port"),
    ("web", 'listen = "127.0.0.1:٨"', "expected an IP address and a port"),
    ("web", "listen = 8080", "expected text in quotes"),
    ("web", 'public_url = "desk.example.org"', "expected the https address"),
    ("web", 'public_url = "http://desk.example.org"', "expected an https address"),
    ("web", 'public_url = "https://user:secret@desk.example.org"', "expected the https address"),
    ("access", "owners = []", "expected at least one Telegram user id, or nobody could let anybody in"),
    ("access", "owners = 11", "expected numeric Telegram ids, such as [123456]"),
    ("access", 'owners = ["@ada"]', "expected numeric Telegram ids, such as [123456]"),
    ("access", "owners = [0]", "expected numeric Telegram ids, such as [123456]"),
    ("access", "owners = [-11]", "expected numeric Telegram ids, such as [123456]"),
    ("access", "owners = [99999999999999999999]", "expected numeric Telegram ids, such as [123456]"),
    ("access", 'admin_chat = "@admins"', "expected the numeric id of a chat"),
    ("access", "admin_chat = -99999999999999999999", "expected the numeric id of a chat"),
    ("access", 'allow_requests = "perhaps"', "expected true or false"),
    ("storage", "path = 5", "expected a path in quotes"),
    ("storage", 'path = "data/\\u0000desk"', "expected a path without control characters"),
    ("limits", "daily = -1", RUPIAH),
    ("limits", "daily = 1000000001", RUPIAH),
    ("limits", f"daily = {10**40}", RUPIAH),
    ("limits", "daily = 0.5", RUPIAH),
    ("limits", "daily = nan", RUPIAH),
    ("limits", "daily = inf", RUPIAH),
    ("limits", 'daily = "1e6"', RUPIAH),
    ("limits", "daily = {}", RUPIAH),
    ("limits", "daily = true", "expected a number, not true or false"),
    ("limits", "daily = 2026-03-14", RUPIAH),
    ("limits", "active_orders = 1001", "expected a whole number from 0 to 1000"),
    ("limits", "confirm_above = -1", "expected a whole amount of rupiah from 0 to 1000000000"),
    ("limits", "approve_above = -1", "expected a whole amount of rupiah from 0 to 1000000000"),
    ("limits", "approve_within = 59", "expected whole seconds from 60 to 86400"),
    ("limits", 'timezone = "Mars/Olympus"', ZONE),
    ("limits", 'timezone = ""', ZONE),
    ("limits", 'timezone = "../../etc/passwd"', ZONE),
    ("limits", 'timezone = "Asia"', ZONE),
    ("ordering", "countries = [1]", "expected texts in quotes, separated by commas"),
    ("ordering", "aliases = { wa = 5 }", "expected pairs such as wa=whatsapp, separated by commas"),
    ("ordering", "note_required = 2", "expected true or false"),
    ("ordering", 'policy = "dearest"', "expected 'cheapest' or 'best_success'"),
    ("ordering", 'code_delivery = "fax"', "expected 'chat' or 'dm'"),
    ("ordering", "cancel_before_expiry = 601", "expected whole seconds from 0 to 600"),
    ("polling", "interval = 1.9", "expected seconds from 2 to 300"),
    ("polling", "interval = nan", "expected seconds from 2 to 300"),
    ("polling", "interval = true", "expected a number, not true or false"),
    ("backup", "every = -1", "expected whole seconds from 0 to 2678400"),
    ("backup", "keep = 0", "expected a whole number from 1 to 1000"),
    ("backup", "folder = 5", "expected a path in quotes"),
    ("retention", "codes = 59", "expected whole seconds from 60 to 2592000"),
    ("retention", "chat = 169201", "expected whole seconds from 0 to 169200"),
    ("alerts", "low_balance = -1", "expected a whole amount of rupiah"),
    ("alerts", "low_disk = true", "expected a number, not true or false"),
    ("reports", 'weekly_digest = "monday"', "expected true or false"),
    ("logging", 'level = "CHATTY"', "expected 'DEBUG', 'INFO', 'WARNING' or 'ERROR'"),
    ("logging", 'format = "xml"', "expected 'console' or 'json'"),
]


@pytest.mark.parametrize(("section", "line", "problem"), WRONG)
def test_a_wrong_value_is_named_with_what_is_expected(written: Written, section: str, line: str, problem: str) -> None:
    (found,) = _problems(written(_with(section, line)))
    key = line.partition(" = ")[0]
    assert found.startswith(f"{section}.{key}"), found
    assert problem in found


@pytest.mark.parametrize(("section", "line", "problem"), WRONG)
def test_no_message_speaks_the_language_of_a_library(written: Written, section: str, line: str, problem: str) -> None:
    del problem
    for found in _problems(written(_with(section, line))):
        assert not re.search(r"Input|should be|Value error|valid |unable|pydantic|\[type=", found), found


def test_the_table_of_wrong_values_knows_every_key() -> None:
    tried = {(section, line.split(" = ")[0]) for section, line, _ in WRONG}
    alike = {
        ("telegram", "token_file"),
        ("ordering", "platforms_allowed"),
        *(("limits", f"{whose}{period}") for whose in ("", "team_") for period in ("daily", "monthly")),
        ("limits", "per_order"),
        ("limits", "cancels_per_day"),
    }
    every = {(name, key) for name, model in _sections().items() for key in model.model_fields}
    assert every - tried - alike == set()


def test_everything_wrong_is_said_at_once(written: Written) -> None:
    problems = _problems(
        written(
            """
            colour = "green"
            [telegram]
            token = "short"
            mode = "webhok"
            base_url = "nowhere"
            tokn = "x"
            [smscode]
            requests_per_minute = 0
            [access]
            owners = []
            alow_requests = true
            [limits]
            daily = -1
            timezone = "Mars/Olympus"
            [poling]
            interval = 5
            """
        )
    )
    assert sorted(problem.split(":")[0] for problem in problems) == [
        "access.alow_requests",
        "access.owners",
        "colour",
        "limits.daily",
        "limits.timezone",
        "poling",
        "smscode.requests_per_minute",
        "smscode.token",
        "telegram.base_url",
        "telegram.mode",
        "telegram.token",
        "telegram.tokn",
    ]
    assert "access.alow_requests: no such key; did you mean allow_requests?" in problems
    assert "poling: no such key; did you mean polling?" in problems
    assert "colour: no such key" in problems


def test_missing_sections_are_said_to_be_missing(written: Written) -> None:
    assert _problems(written("")) == [
        "telegram: expected the section [telegram] with its token",
        "smscode: expected the section [smscode] with its token",
        "access: expected the section [access] with its owners",
    ]


@pytest.mark.parametrize("section", ["telegram", "smscode"])
@pytest.mark.parametrize("secret", ["hunter2 with spaces", "hunter2\\nlines", "hunter2ü", "hunter2" * 1000])
def test_a_secret_never_shows_in_a_complaint_about_it(written: Written, section: str, secret: str) -> None:
    path = written(_with(section, f'token = "{secret}"') + "\n[polling]\ninterval = 0\n")
    with pytest.raises(ConfigError) as caught:
        load(path)
    assert len(caught.value.problems) == 2
    assert "hunter2" not in f"{caught.value} {caught.value!r} {caught.value.problems}"


def test_a_secret_never_shows_in_pydantics_own_complaint() -> None:
    with pytest.raises(ValidationError) as caught:
        Settings(telegram={"token": "hunter2"}, smscode={"token": "hunter 2"}, access={"owners": (1,)})  # type: ignore[arg-type]
    assert "hunter" not in str(caught.value)


@pytest.mark.parametrize(
    "text",
    [
        "[telegram\n",
        "token = \n",
        "[limits]\ndaily = 1\ndaily = 2\n",
        "\x00",
        f"[limits]\ndaily = {'9' * 5000}\n",
        f"a = {'[' * 5000}\n",
    ],
    ids=["bracket", "no value", "twice", "control character", "huge number", "deep nesting"],
)
def test_text_that_is_no_toml_is_said_to_be_none(written: Written, text: str) -> None:
    (problem,) = _problems(written(text))
    assert "config.toml is not valid TOML: " in problem


def test_bytes_that_are_no_text_are_no_toml(tmp_path: Path) -> None:
    path = tmp_path / "config.toml"
    path.write_bytes(b"\xff\xfe[telegram]")
    (problem,) = _problems(path)
    assert problem.startswith(f"{path} is not valid TOML: ")


def test_a_missing_file_says_what_to_do(tmp_path: Path) -> None:
    path = tmp_path / "config.toml"
    assert _problems(path) == [f"{path}: No such file or directory; copy config.example.toml and fill it in"]


# --- what comes out ---------------------------------------------------------------------------------------------------


def test_settings_and_their_sections_are_frozen(written: Written) -> None:
    settings = load(written(MINIMAL))
    with pytest.raises(ValidationError):
        settings.limits = settings.limits
    for name in Settings.model_fields:
        section = getattr(settings, name)
        key = next(iter(type(section).model_fields))
        with pytest.raises(ValidationError):
            setattr(section, key, getattr(section, key))


def test_repr_and_str_hide_the_secrets(written: Written) -> None:
    settings = load(written(MINIMAL))
    shown = f"{settings!r} {settings} {settings.telegram!r} {settings.smscode} {settings.model_dump()}"
    assert settings.telegram.secret == BOT_TOKEN
    assert settings.smscode.secret == API_TOKEN
    for secret in (BOT_TOKEN, BOT_TOKEN.split(":")[1], API_TOKEN):
        assert secret not in shown
    assert "**********" in shown


# --- keys that need one another ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("web", "secret", "problem"),
    [
        ('public_url = "https://desk.example.org"', "s" * 16, "web: public_url needs listen"),
        (
            'listen = "127.0.0.1:8080"\npublic_url = "https://desk.example.org"',
            "",
            "web: public_url needs smscode.webhook_secret",
        ),
    ],
)
def test_an_address_for_events_needs_somebody_who_listens_and_a_secret(
    written: Written, web: str, secret: str, problem: str
) -> None:
    text = _with("smscode", f'webhook_secret = "{secret}"') + f"\n[web]\n{web}\n"
    (found,) = _problems(written(text))
    assert found.startswith(problem)


def test_a_secret_for_events_is_read_from_its_file_and_never_shown(written: Written, tmp_path: Path) -> None:
    file = tmp_path / "secret"
    file.write_text("the-secret-of-the-events\n", encoding="utf-8")
    settings = load(written(_with("smscode", f'webhook_secret_file = "{file}"')))
    assert settings.smscode.signing_secret == "the-secret-of-the-events"
    assert "the-secret-of-the-events" not in repr(settings)
    file.write_text("\n", encoding="utf-8")
    (found,) = _problems(written(_with("smscode", f'webhook_secret_file = "{file}"')))
    assert "the file is empty" in found
