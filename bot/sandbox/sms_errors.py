"""What the simulated SMSCode refuses. The HTTP status of a code belongs to the contract that speaks it."""

from collections.abc import Mapping
from enum import StrEnum


class ErrorCode(StrEnum):
    """Machine-readable reasons, spelled as on the wire. A contract may have another spelling for some."""

    UNAUTHORIZED = "UNAUTHORIZED"
    INSUFFICIENT_BALANCE = "INSUFFICIENT_BALANCE"
    PRODUCT_UNAVAILABLE = "PRODUCT_UNAVAILABLE"
    ORDER_NOT_FOUND = "ORDER_NOT_FOUND"
    ORDER_NOT_CANCELLABLE = "ORDER_NOT_CANCELLABLE"
    ORDER_ENDED = "ORDER_ENDED"
    RATE_LIMITED = "RATE_LIMITED"
    VALIDATION_ERROR = "VALIDATION_ERROR"
    NOT_FOUND = "NOT_FOUND"
    METHOD_NOT_ALLOWED = "METHOD_NOT_ALLOWED"
    PAYLOAD_TOO_LARGE = "PAYLOAD_TOO_LARGE"
    INTERNAL_ERROR = "INTERNAL_ERROR"
    SERVICE_UNAVAILABLE = "SERVICE_UNAVAILABLE"
    NO_OFFER_AVAILABLE = "NO_OFFER_AVAILABLE"
    PROVIDER_ERROR = "PROVIDER_ERROR"
    CONFLICT = "CONFLICT"
    CANCEL_TOO_EARLY = "CANCEL_TOO_EARLY"
    REQUEST_IN_PROGRESS = "REQUEST_IN_PROGRESS"
    IDEMPOTENCY_KEY_REUSED = "IDEMPOTENCY_KEY_REUSED"
    RATE_LIMIT_EXCEEDED = "RATE_LIMIT_EXCEEDED"
    TEMP_BANNED_ABUSE_GUARD = "TEMP_BANNED_ABUSE_GUARD"


class SmsApiError(Exception):
    """The world refuses a request and nothing has changed.

    `retry_after` is in whole seconds and only set where waiting helps; `details` say more than the message.
    """

    def __init__(
        self,
        code: ErrorCode,
        message: str,
        *,
        retry_after: int | None = None,
        details: Mapping[str, object] | None = None,
    ) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.retry_after = retry_after
        self.details = details
