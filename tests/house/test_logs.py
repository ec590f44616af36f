"""No secret in a log line, whichever way it tries to come in."""

import io
import json
import logging
import re
from collections.abc import Callable
from typing import Any, Literal

import httpx
import pytest
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from bot import logs
from bot.config import Logging
from bot.sandbox.server import LoopbackServer

BOT_TOKEN = "123456789:AAbCdEfGhIjKlMnOpQrStUvWxYz0123456789"
API_TOKEN = 'live"quoted\\token/+%'
SECRETS = (BOT_TOKEN, API_TOKEN)
TRACES = (BOT_TOKEN, "AAbCdEfGhIjKlMnOpQrStUvWxYz", API_TOKEN, "quoted")

Form = Literal["console", "json"]
log = logging.getLogger("tests.house.logs")


class Page:
    """What was written so far."""

    def __init__(self, form: Form, level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "DEBUG") -> None:
        self._stream = io.StringIO()
        logs.configure(Logging(level=level, format=form), SECRETS, self._stream)

    @property
    def text(self) -> str:
        return self._stream.getvalue()

    @property
    def lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.text.splitlines()]

    def assert_clean(self) -> None:
        found = [trace for trace in TRACES if trace in self.text]
        assert self.text, "nothing was written, so nothing is proven"
        assert not found


@pytest.fixture(params=["console", "json"])
def form(request: pytest.FixtureRequest) -> Form:
    """Both forms. The page is made in the test itself: pytest puts handlers of its own beside earlier ones."""
    chosen: Form = request.param
    return chosen


def _raised_with(text: str) -> None:
    try:
        _raise(text)
    except RuntimeError as error:
        raise LookupError({"request": text}) from error


def _raise(text: str) -> None:
    raise RuntimeError(text)


def _log_exception(secret: str) -> None:
    try:
        _raised_with(secret)
    except LookupError:
        log.exception("it broke off")


def _log_error_object(secret: str) -> None:
    with pytest.raises(LookupError) as caught:
        _raised_with(secret)
    log.error("an update could not be dealt with", exc_info=caught.value)


WAYS: dict[str, Callable[[str], None]] = {
    "message": log.info,
    "argument": lambda secret: log.info("GET %s", secret),
    "named argument": lambda secret: log.info("GET %(url)s", {"url": secret}),
    "inside a dictionary": lambda secret: log.debug("headers %s", {"authorization": secret}),
    "inside an object's repr": lambda secret: log.info("%r", [secret]),
    "inside JSON": lambda secret: log.info("body %s", json.dumps({"token": secret})),
    "inside an address": lambda secret: log.info("GET %s", httpx.URL("http://localhost/", params={"t": secret})),
    "exception": _log_exception,
    "exception given": _log_error_object,
    "stack": lambda secret: log.info(f"stack of {secret}", stack_info=True),  # noqa: G004
    "another library": lambda secret: logging.getLogger("telegram.ext").warning("token %s", secret),
    "logger's name": lambda secret: logging.getLogger(f"bot.{secret}").info("hello"),
    "bytes": lambda secret: log.info("%s", secret.encode("ascii", "replace") if secret.isascii() else b"none"),
    "arguments that do not fit": lambda secret: log.info("%d", secret),
}


@pytest.mark.parametrize("secret", SECRETS, ids=["bot token", "api token"])
@pytest.mark.parametrize("way", WAYS)
def test_a_known_secret_is_masked(form: Form, way: str, secret: str) -> None:
    page = Page(form)
    WAYS[way](secret)
    page.assert_clean()


@pytest.mark.parametrize("way", WAYS)
def test_what_only_looks_like_a_bot_token_is_masked(form: Form, way: str) -> None:
    page = Page(form)
    WAYS[way]("https://api.telegram.org/bot987654321:ZZyXwVuTsRqPoNmLkJiHgFeDcBa-_98765/getMe")
    assert page.text
    assert "ZZyXwVuTsRqPoNmLkJiHgFeDcBa" not in page.text


@pytest.mark.parametrize("header", ["Bearer abc.def-123", "bearer   abc.def-123", "BEARER abc.def-123"])
def test_a_bearer_token_nobody_told_of_is_masked(form: Form, header: str) -> None:
    page = Page(form)
    log.info("headers %s", {"Authorization": header})
    log.info('said "%s" and went on', header)
    assert "abc.def-123" not in page.text
    assert page.text.count("***") == 2
    assert "and went on" in page.text


def test_the_rest_of_the_line_stays(form: Form) -> None:
    page = Page(form)
    log.info("order %s: GET /v1/orders/%s took %.3f s", 17, "ord_abc123", 0.25)
    assert "order 17: GET /v1/orders/ord_abc123 took 0.250 s" in page.text
    assert "***" not in page.text


def test_a_traceback_is_written_whole(form: Form) -> None:
    page = Page(form)
    _log_exception("nothing secret")
    for part in ("it broke off", "RuntimeError: nothing secret", "LookupError", "_raised_with", "direct cause"):
        assert part in page.text


def test_a_line_whose_arguments_do_not_fit_neither_raises_nor_vanishes(form: Form) -> None:
    page = Page(form)
    log.info("%d orders", "many")
    assert re.search(r"a line of test_logs\.py:\d+ could not be written", page.text)


def test_every_json_line_parses_and_says_when_who_and_how_bad() -> None:
    page = Page("json")
    log.warning('quotes " and \\ and\nnew lines, Bearer abc\\" and émojis 📱')
    _log_exception(BOT_TOKEN)
    log.info("%d", "x")
    first, second, third = page.lines
    assert first["level"] == "warning"
    assert first["logger"] == "tests.house.logs"
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d+Z", first["timestamp"])
    assert "émojis 📱" in first["event"]
    assert "LookupError" in second["exception"]
    assert third["level"] == "info"


def test_a_secret_made_of_json_marks_leaves_the_line_readable() -> None:
    stream = io.StringIO()
    logs.configure(Logging(format="json"), ['","', "event", ""], stream)
    log.info('an event of ","')
    assert json.loads(stream.getvalue())["event"] == "an *** of ***"


async def test_http_libraries_are_silent_about_addresses_even_at_debug(form: Form) -> None:
    page = Page(form)

    async def hello(_: Any) -> PlainTextResponse:
        return PlainTextResponse("hello")

    async with (
        LoopbackServer(Starlette(routes=[Route("/{path:path}", hello)])) as server,
        httpx.AsyncClient() as client,
    ):
        await client.get(f"{server.url}/bot{BOT_TOKEN}/getMe")
    assert not [line for line in page.text.splitlines() if "httpx" in line or "httpcore" in line or "getMe" in line]


@pytest.mark.parametrize("name", ["httpx", "httpcore", "httpcore.connection", "telegram.Bot", "aiosqlite"])
def test_a_chatty_library_is_heard_from_warning_on(form: Form, name: str) -> None:
    page = Page(form)
    logging.getLogger(name).debug("a")
    logging.getLogger(name).info("b")
    assert page.text == ""
    logging.getLogger(name).warning("a real warning")
    assert "a real warning" in page.text


def test_nobody_is_heard_below_the_level_asked_for() -> None:
    page = Page("console", "ERROR")
    for name in ("bot", "httpx", "telegram.ext", "uvicorn.error"):
        logging.getLogger(name).warning("not now")
    assert page.text == ""
    logging.getLogger("httpx").error("now")
    assert "now" in page.text


def test_configuring_again_writes_each_line_once() -> None:
    Page("console")
    page = Page("console")
    log.info("only once")
    assert page.text.count("only once") == 1
