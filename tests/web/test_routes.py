"""Every route against whatever may be sent to it: no error of ours, nothing learned, nothing kept."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bot.sandbox.bot_api import OMAR
from bot.web.app import SECRET_HEADER, UPDATES
from tests.scene import Scene
from tests.web.site import open_web

Site = tuple[Scene, httpx.AsyncClient]
Case = tuple[str, str, list[tuple[str, str]], bytes]

ROUTES = ("/healthz", "/readyz", "/metrics", UPDATES, "/smscode/webhook")
METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "HEAD", "TRACE", "PROPFIND", "X")
TOLD_TO_COME_AGAIN = 503
"""What /readyz says while something is missing, and the door for events while it has no secret."""

_path = st.one_of(
    st.sampled_from(ROUTES),
    st.sampled_from(ROUTES).map(lambda route: route + "/"),
    st.text(st.characters(min_codepoint=33, max_codepoint=126, exclude_characters="?#%"), max_size=40).map(
        lambda text: f"/{text}"
    ),
    st.sampled_from(("/", "//", "/..", "/%2e%2e/config.toml", "/metrics/../../data", "/%00", "/.git/config", "/docs")),
    st.just("//x:x"),
)
_header = st.tuples(
    st.sampled_from((SECRET_HEADER, "x-webhook-signature", "content-type", "accept", "x-forwarded-for", "range")),
    st.text(st.characters(min_codepoint=33, max_codepoint=126), max_size=60),
)
_case = st.tuples(st.sampled_from(METHODS), _path, st.lists(_header, max_size=4), st.binary(max_size=300))


@pytest.fixture
async def site(tmp_path: Path) -> AsyncIterator[Site]:
    async with open_web(tmp_path, telegram_mode="webhook", contract="official") as opened:
        yield opened


def _cases(wanted: int) -> list[Case]:
    found: list[Case] = []

    @settings(max_examples=wanted, database=None, suppress_health_check=list(HealthCheck))
    @given(_case)
    def collect(case: Case) -> None:
        found.append(case)

    collect()
    return found


async def test_whatever_is_sent_to_any_route_is_no_error_of_ours(site: Site) -> None:
    scene, client = site
    rows = await scene.count("SELECT count(*) FROM inbox")
    seen = set()
    for method, path, headers, body in _cases(300):
        # Into the client's own address: joined to it, what begins with two slashes would name another server.
        url = client.base_url.copy_with(raw_path=path.encode())
        answer = await client.request(method, url, headers=headers, content=body)
        seen.add(answer.status_code)
        assert answer.status_code < 500 or answer.status_code == TOLD_TO_COME_AGAIN, (method, path, headers, body)
        assert b"Traceback" not in answer.content
    assert {200, 404, 405} <= seen
    assert await scene.count("SELECT count(*) FROM inbox") == rows
    assert all(worker.restarts == 0 for worker in scene.app.supervisor.workers)


@pytest.mark.parametrize("route", ROUTES)
async def test_each_route_takes_its_own_method_and_no_other(site: Site, route: str) -> None:
    _, client = site
    own = "POST" if route in (UPDATES, "/smscode/webhook") else "GET"
    for method in METHODS:
        answer = await client.request(method, route)
        allowed = method == own or (own == "GET" and method == "HEAD")
        assert (answer.status_code != 405) is allowed, method


async def test_what_is_no_http_is_no_error_of_ours_either(site: Site) -> None:
    scene, client = site
    host = b" HTTP/1.1\r\nhost: x\r\n\r\n"
    raw = (
        b"GET /../../etc/passwd" + host,
        b"GET http://127.0.0.1:1/metrics" + host,
        b"GET /metrics\x00" + host,
        b"GET /healthz HTTP/9.9\r\n\r\n",
        b"GET /healthz HTTP/1.1\r\n" + b"x-long: " + b"a" * 200_000 + b"\r\n\r\n",
        b"POST /telegram/webhook HTTP/1.1\r\nhost: x\r\ncontent-length: -5\r\n\r\n",
        b"POST /telegram/webhook HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\ncontent-length: 5\r\n\r\nzz\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"\r\n" * 50,
    )
    for request in raw:
        answer = await _say(client.base_url.port or 0, request)
        status = int(answer.split(b" ", 2)[1]) if answer.startswith(b"HTTP/") else 0
        assert status < 500, (request[:60], answer[:200])
        assert b"root:" not in answer
    await scene.ask(OMAR, "/whoami", "operator")


async def test_slow_senders_do_not_keep_the_others_out(site: Site) -> None:
    scene, client = site
    head = b"POST /telegram/webhook HTTP/1.1\r\nhost: x\r\ncontent-length: 100000000\r\n"
    secret = str(scene.telegram.webhook["secret_token"]).encode()
    known = head + SECRET_HEADER.encode() + b": " + secret + b"\r\n\r\n"
    connections = [await asyncio.open_connection("127.0.0.1", client.base_url.port) for _ in range(40)]
    for number, (_, writer) in enumerate(connections):
        writer.write((known if number % 2 else head + b"\r\n") + b"{")
        await writer.drain()
    assert (await client.get("/healthz")).status_code == 200
    await scene.ask(OMAR, "/whoami", "operator")
    for _, writer in connections:
        writer.close()


async def _say(port: int, request: bytes) -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    answer = b""
    with contextlib.suppress(ConnectionError, TimeoutError):
        writer.write(request)
        await writer.drain()
        async with asyncio.timeout(0.5):
            answer = await reader.read(2000)
    writer.close()
    return answer
