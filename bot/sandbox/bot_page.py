"""The chat page: a small Telegram in the browser, its JSON interface, and its live feed.

The page is for one person at the computer it runs on, so every request must name a loopback host, and a request
from a page must come from this one: a foreign site that rebinds its name to 127.0.0.1 gets nothing.
"""

import json
import uuid
from collections.abc import AsyncIterator, Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from bot.sandbox.telegram_faults import Fault
from bot.sandbox.telegram_people import PersonError
from bot.sandbox.telegram_pictures import picture_of
from bot.sandbox.telegram_state import CallbackQuery, Chat, Event, Json, Message
from bot.sandbox.telegram_world import TelegramWorld

_HERE = Path(__file__).parent
_LOOPBACK = {"127.0.0.1", "::1", "localhost"}
_SHOWN_MESSAGES = 200
_HEARTBEAT_SECONDS = 10.0
_LATEST_CALLS = 500
_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}
STATIC = (
    "chat.css",
    "chat.js",
    "chat_files.js",
    "chat_outside.js",
    "chat_tastes.js",
    "chat_tour.js",
    "chat_words.js",
)
_PERSON_ACTS = (
    "say",
    "edit",
    "delete",
    "press",
    "react",
    "send_contact",
    "share_users",
    "block",
    "unblock",
    "join",
    "leave",
    "channel_post",
    "add_bot_to_group",
    "remove_bot",
    "push_update",
    "redeliver",
)


class LoopbackOnly:
    """Refuses a browser that came by another name or from another site. The Bot API itself has its token."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or answer 403."""
        if scope["type"] == "http" and not scope["path"].startswith(("/bot", "/file/bot")):
            reason = _stranger(Headers(scope=scope))
            if reason is not None:
                await PlainTextResponse(reason, 403)(scope, receive, send)
                return
        await self._app(scope, receive, send)


def _stranger(headers: Headers) -> str | None:
    host = headers.get("host", "")
    if not _is_loopback(host):
        return "this page answers on loopback only"
    origin = headers.get("origin")
    if origin is not None and origin != f"http://{host}":
        return "this page answers to itself only"
    return None


def _is_loopback(host: str) -> bool:
    try:
        return urlsplit(f"//{host}").hostname in _LOOPBACK
    except ValueError:  # as for a bracket that is never closed
        return False


class _Page:
    """What the browser asks for."""

    def __init__(self, world: TelegramWorld, *, has_outside: bool) -> None:
        self._world = world
        self._has_outside = has_outside
        # Event numbers start again with every world, so a page left open has to notice that it meets a new one.
        self._world_id = uuid.uuid4().hex[:8]

    async def state(self, _request: Request) -> Response:
        """Everything the page shows, and the event it is current with."""
        world = self._world
        return self._json(
            {
                "world": self._world_id,
                "event": self._latest(),
                "now": world.now(),
                "bot": {**world.bot.as_json(), "description": world.bot_description},
                "users": [asdict(user) for user in world.users.values() if not user.is_bot],
                "chats": [self._chat(chat) for chat in world.chats.values()],
                "menus": self._menus(),
                "outside": self._has_outside,
            }
        )

    async def calls(self, _request: Request) -> Response:
        """The latest calls of the bot, the faults that fired, and the answers to presses."""
        world = self._world
        return self._json(
            {
                "calls": [asdict(call) for call in world.calls[-_LATEST_CALLS:]],
                "faults": [asdict(fault) for fault in world.plan.fired[-_LATEST_CALLS:]],
                "callback_answers": [asdict(answer) for answer in world.callback_answers[-_LATEST_CALLS:]],
                "pending_updates": len(world.updates.pending),
                "confirmed_offset": world.updates.confirmed,
            }
        )

    async def events(self, request: Request) -> Response:
        """Server-Sent Events from the one the client names on: by `Last-Event-ID`, or `after` at first."""
        named = request.headers.get("last-event-id") or request.query_params.get("after", "")
        return StreamingResponse(self._stream(named), media_type="text/event-stream", headers=_HEADERS)

    def act(self, name: str) -> Callable[[Request], Any]:
        """An endpoint that does one thing a person can do, with the JSON body as its arguments."""
        deed = getattr(self._world, name)

        async def endpoint(request: Request) -> Response:
            try:
                done = deed(**await _arguments(request))
            except (PersonError, TypeError, ValueError) as error:
                return self._json({"error": str(error)}, 400)
            except KeyError as error:
                return self._json({"error": f"there is no {error}"}, 400)
            return self._json({"ok": True, "result": self._shown(done)})

        return endpoint

    async def fault(self, request: Request) -> Response:
        """Queue a fault, or with `down` cut the bot off from Telegram or let it back."""
        try:
            arguments = await _arguments(request)
            if "down" in arguments:
                self._world.down = bool(arguments["down"])
            else:
                self._world.fault(Fault(**arguments))
        except (TypeError, ValueError) as error:
            return self._json({"error": str(error)}, 400)
        return self._json({"ok": True})

    async def file(self, request: Request) -> Response:
        """A file somebody sent, only ever as a picture or as a download."""
        found = self._world.files.get(request.path_params["file_id"])
        if found is None:
            return self._json({"error": "no such file"}, 404)
        picture = picture_of(found[1])
        if picture is not None:
            return Response(found[1], media_type=picture.media_type, headers=_HEADERS)
        disposition = {"Content-Disposition": "attachment"}
        return Response(found[1], media_type="application/octet-stream", headers={**_HEADERS, **disposition})

    def _json(self, body: Any, status: int = 200) -> Response:
        return JSONResponse(body, status, headers=_HEADERS)

    def _latest(self) -> int:
        return self._world.journal[-1].number if self._world.journal else 0

    def _shown(self, done: Any) -> Any:
        if isinstance(done, Message):
            return _message(done)
        return asdict(done) if isinstance(done, CallbackQuery) else done

    def _chat(self, chat: Chat) -> Json:
        return {
            "id": chat.id,
            "type": chat.type,
            "title": chat.title,
            "members": {str(user_id): status for user_id, status in chat.members.items()},
            "topics": {str(topic_id): name for topic_id, name in chat.topics.items()},
            "started": chat.started,
            "blocked": chat.id in self._world.blocked_by,
            "keyboard": chat.keyboard,
            "pinned": chat.pinned,
            "messages": [_message(message) for message in chat.visible()[-_SHOWN_MESSAGES:]],
        }

    def _menus(self) -> dict[str, list[Json]]:
        return {
            f"{user_id}/{chat.id}": self._world.menu_for(user_id, chat.id)
            for chat in self._world.chats.values()
            for user_id in chat.members
            if user_id in self._world.users and user_id != self._world.bot.id
        }

    async def _stream(self, named: str) -> AsyncIterator[str]:
        yield "retry: 1000\n\n"
        last = self._resume_point(named)
        if last is None:
            last = self._latest()
            yield self._line(Event(last, "reset", {}))
        while True:
            for event in [event for event in self._world.journal if event.number > last]:
                last = event.number
                yield self._line(event)
            if self._latest() == last and not await self._world.changed.wait(_HEARTBEAT_SECONDS):
                yield ": still here\n\n"

    def _resume_point(self, named: str) -> int | None:
        """The event to go on after, or None where the client has to read the whole state again."""
        world_id, _, number = named.partition("-")
        if world_id != self._world_id or not number.isdigit():
            return None
        journal = self._world.journal
        oldest = journal[0].number if journal else 1
        return int(number) if oldest - 1 <= int(number) <= self._latest() else None

    def _line(self, event: Event) -> str:
        data = {"kind": event.kind, **event.payload}
        if event.kind in {"message", "edited"}:
            chat = self._world.chats[event.payload["chat_id"]]
            data["message"] = _message(chat.messages[event.payload["message_id"]])
            data["keyboard"] = chat.keyboard
        return f"id: {self._world_id}-{event.number}\ndata: {json.dumps(data)}\n\n"


async def _arguments(request: Request) -> dict[str, Any]:
    # A form cannot claim this type, so a foreign page cannot post here without asking the browser first.
    if not request.headers.get("content-type", "").startswith("application/json"):
        raise ValueError("the body must be application/json")
    arguments = await request.json()
    if not isinstance(arguments, dict):
        raise TypeError("the body must be a JSON object")
    return arguments


def _message(message: Message) -> Json:
    return {
        **message.body,
        "sender_id": message.sender_id,
        "from_bot": message.from_bot,
        "edited": bool(message.history) and message.edited_at is not None,
        "deleted": message.deleted_at is not None,
        "silent": message.silent,
        "reactions": message.reactions,
    }


def _static(name: str) -> Callable[[Request], Any]:
    async def endpoint(_request: Request) -> Response:
        return FileResponse(_HERE / name, headers=_HEADERS)

    return endpoint


def page_routes(world: TelegramWorld, *, has_outside: bool = False) -> list[Route]:
    """The page under `/`, and what it and other programs read and do under `/chat/`.

    `has_outside` tells the page that `/world` controls an SMSCode, for its panel to show.
    """
    page = _Page(world, has_outside=has_outside)
    return [
        Route("/", _static("chat.html")),
        *(Route(f"/{name}", _static(name)) for name in STATIC),
        Route("/chat/state", page.state),
        Route("/chat/calls", page.calls),
        Route("/chat/events", page.events),
        Route("/chat/file/{file_id}", page.file),
        Route("/chat/fault", page.fault, methods=["POST"]),
        *(Route(f"/chat/{name}", page.act(name), methods=["POST"]) for name in _PERSON_ACTS),
    ]
