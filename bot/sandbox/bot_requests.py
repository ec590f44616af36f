"""The body of a Bot API request: a query, a form, a multipart form or JSON."""

import json
from email import message_from_bytes
from email.message import Message
from email.policy import HTTP
from typing import Any
from urllib.parse import parse_qsl

from starlette.requests import Request

from bot.sandbox.telegram_errors import bad_request
from bot.sandbox.telegram_params import Params, Upload


async def read_params(request: Request) -> Params:
    """All parameters of a request, those of the address first.

    Raises:
        ApiError: 400, the body cannot be read.
    """
    values: dict[str, Any] = dict(request.query_params)
    body = await request.body()
    content_type = request.headers.get("content-type", "")
    if not body:
        return Params(values)
    if content_type.startswith("application/json"):
        values |= _json_values(body)
    elif content_type.startswith("multipart/form-data"):
        values |= _multipart_values(content_type, body)
    else:
        values |= dict(parse_qsl(body.decode("utf-8", "replace"), keep_blank_values=True))
    return Params(values)


def _json_values(body: bytes) -> dict[str, Any]:
    try:
        values = json.loads(body)
    except ValueError:
        raise bad_request("can't parse JSON object") from None
    if not isinstance(values, dict):
        raise bad_request("JSON object expected")
    return values


def _multipart_values(content_type: str, body: bytes) -> dict[str, Any]:
    document = message_from_bytes(b"Content-Type: " + content_type.encode() + b"\r\n\r\n" + body, policy=HTTP)
    values: dict[str, Any] = {}
    for part in document.iter_parts():
        name = part.get_param("name", header="content-disposition")
        content = _content(part)
        filename = part.get_filename()
        if isinstance(name, str):
            values[name] = content.decode() if filename is None else _upload(part, filename, content)
    return values


def _content(part: Message) -> bytes:
    payload = part.get_payload(decode=True)
    return payload if isinstance(payload, bytes) else b""


def _upload(part: Message, filename: str, content: bytes) -> Upload:
    return Upload(filename, content, part.get_content_type())
