"""Whether an event is SMSCode's own: an HMAC over the bytes that came, compared in constant time."""

from typing import Final

from smscode.webhook import verify_webhook_signature

HEADER: Final = "x-webhook-signature"


def is_signed(body: bytes, signatures: list[str], secret: str) -> bool:
    """Whether exactly one signature came and fits `body` (HMAC-SHA256, `sha256=` and hex, as the vendor's SDK has it).

    Without a secret nothing is signed: an empty key is one that everybody knows.
    """
    return bool(secret) and len(signatures) == 1 and verify_webhook_signature(body, signatures[0], secret)
