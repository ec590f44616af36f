"""The one way the pretend Bot API says no."""

from typing import Any

_PREFIXES = {
    400: "Bad Request",
    401: "Unauthorized",
    403: "Forbidden",
    404: "Not Found",
    409: "Conflict",
    413: "Request Entity Too Large",
    429: "Too Many Requests",
}


class ApiError(Exception):
    """A refusal as the Bot API words it: a code, a description, and parameters a client may act on."""

    def __init__(self, code: int, reason: str = "", **parameters: Any) -> None:
        prefix = _PREFIXES[code]
        self.code = code
        self.description = f"{prefix}: {reason}" if reason else prefix
        self.parameters = parameters
        super().__init__(f"{code} {self.description}")

    def as_json(self) -> dict[str, Any]:
        """The body of the answer."""
        body: dict[str, Any] = {"ok": False, "error_code": self.code, "description": self.description}
        if self.parameters:
            body["parameters"] = self.parameters
        return body


def bad_request(reason: str, **parameters: Any) -> ApiError:
    """The 400 every malformed or impossible request gets."""
    return ApiError(400, reason, **parameters)


def too_many_requests(seconds: int) -> ApiError:
    """The 429 of a flood: come back after so many whole seconds."""
    return ApiError(429, f"retry after {seconds}", retry_after=seconds)
