"""The one HTTP client that talks to SMSCode, and the certificates that every client of the desk trusts."""

import ssl
from functools import cache

import httpx

from bot.sms.wire import LIMITS, TIMEOUT


@cache
def trusted() -> ssl.SSLContext:
    """The authorities whose certificates are believed; read once, for reading them takes longer than the rest."""
    return httpx.create_ssl_context()


def make_client(base_url: str, token: str) -> httpx.AsyncClient:
    """A client for the server at `base_url` (without `/v1`) that presents `token` on every call.

    Redirects are not followed: a token must not travel to a host that the configuration does not name.
    """
    return httpx.AsyncClient(
        base_url=base_url,
        headers={"Authorization": f"Bearer {token}", "User-Agent": "otpdesk"},
        timeout=TIMEOUT,
        limits=LIMITS,
        follow_redirects=False,
        verify=trusted(),
    )
