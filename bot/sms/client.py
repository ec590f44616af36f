"""The one HTTP client that talks to SMSCode."""

import httpx

from bot.sms.wire import LIMITS, TIMEOUT


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
    )
