"""What stands behind the stage of the demo: the switches of the outside world, the bot's process, and the guided tour.

Served beside the chat page for its panel; whoever reaches it may do everything, so it is for loopback only.
"""

import json
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any, Final

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from bot.sandbox.child import BotProcess
from bot.sandbox.sms_api import Fault, FaultKind, SmsWorld
from bot.sandbox.story import Step
from bot.sandbox.telegram_world import TelegramWorld

_ENOUGH: Final = 1_000_000_000
"""So many refusals last until the switch is turned back."""
_RETRY_AFTER_SECONDS: Final = 2
_NO_STORE: Final = {"Cache-Control": "no-store"}


class Backstage:
    """The switches of a demo. `bot` is set once the bot has been started; without one nothing can be killed."""

    def __init__(self, telegram: TelegramWorld, sms: SmsWorld, tour: Sequence[Step] = ()) -> None:
        self.bot: BotProcess | None = None
        self._telegram = telegram
        self._sms = sms
        self._tour = tuple(tour)
        self._arrival = sms.arrival
        self._taken: dict[int, int] = {}
        self._rate_limit: Fault | None = None

    def switches(self) -> dict[str, bool]:
        """How every switch stands."""
        return {
            "arrivals": self._sms.arrival is not None,
            "sold_out": bool(self._taken),
            "rate_limit": self._rate_limit is not None,
            "smscode_down": self._sms.down,
            "telegram_down": self._telegram.down,
        }

    def turn(self, name: str, *, on: bool) -> None:
        """Turn a switch; turning it to where it stands changes nothing.

        Raises:
            KeyError: there is no such switch.
        """
        if self.switches()[name] != on:
            getattr(self, f"_turn_{name}")(on)

    def _turn_arrivals(self, on: bool) -> None:
        self._sms.arrival = self._arrival if on else None

    def _turn_sold_out(self, on: bool) -> None:
        if on:
            self._taken = {product.id: product.available for product in self._sms.products()}
        for product_id, available in self._taken.items():
            self._sms.set_stock(product_id, 0 if on else available)
        if not on:
            self._taken = {}

    def _turn_rate_limit(self, on: bool) -> None:
        if on:
            self._rate_limit = Fault(kind=FaultKind.RATE_LIMITED, times=_ENOUGH, retry_after=_RETRY_AFTER_SECONDS)
            self._sms.faults.add(self._rate_limit)
        elif self._rate_limit is not None:
            self._sms.faults.withdraw(self._rate_limit)
            self._rate_limit = None

    def _turn_smscode_down(self, on: bool) -> None:
        self._sms.down = on

    def _turn_telegram_down(self, on: bool) -> None:
        self._telegram.down = on

    def app(self) -> Starlette:
        """Serve the switches as JSON."""
        return Starlette(
            routes=[
                Route("/", self._show, methods=["GET"]),
                Route("/tour", self._show_tour, methods=["GET"]),
                Route("/switch", self._switch, methods=["POST"]),
                Route("/kill", self._kill, methods=["POST"]),
            ]
        )

    async def _show(self, _request: Request) -> Response:
        return _json({"switches": self._offered(), "bot": self._bot_row()})

    def _offered(self) -> dict[str, bool]:
        """The switches; where an SMS never comes by itself, that cannot be turned on either."""
        return {name: on for name, on in self.switches().items() if name != "arrivals" or self._arrival is not None}

    def _bot_row(self) -> dict[str, Any] | None:
        if self.bot is None:
            return None
        return {"pid": self.bot.pid, "starts": self.bot.starts, "running": self.bot.is_running}

    async def _show_tour(self, _request: Request) -> Response:
        steps = [
            {"title": step.title, "says": step.says, "acts": [asdict(act) for act in step.acts]} for step in self._tour
        ]
        return _json({"steps": steps})

    async def _switch(self, request: Request) -> Response:
        try:
            wanted = json.loads(await request.body())
            name, on = wanted["name"], wanted["on"]
        except (ValueError, TypeError, KeyError):
            return _json({"error": 'send {"name": a switch, "on": true or false}'}, 400)
        if not isinstance(name, str) or not isinstance(on, bool) or name not in self._offered():
            return _json({"error": f"the switches are {', '.join(self._offered())}, each true or false"}, 400)
        self.turn(name, on=on)
        return _json({"switches": self._offered()})

    async def _kill(self, _request: Request) -> Response:
        if self.bot is None or not self.bot.is_running:
            return _json({"error": "there is no bot to kill at the moment"}, 409)
        killed = self.bot.pid
        self.bot.kill()
        return _json({"killed": killed})


def _json(body: Any, status: int = 200) -> Response:
    return JSONResponse(body, status, headers=_NO_STORE)
