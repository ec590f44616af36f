"""Delivery of updates to the bot's webhook, in order, again until it says 2xx."""

import asyncio

import httpx

from bot.sandbox.telegram_updates import Update
from bot.sandbox.telegram_world import TelegramWorld

_PATIENCE_SECONDS = 10.0
_SECRET_HEADER = "X-Telegram-Bot-Api-Secret-Token"  # noqa: S105 - the name of a header


class WebhookCourier:
    """One task that lives while a webhook is set."""

    def __init__(self, world: TelegramWorld, *, retry_seconds: float) -> None:
        self._world = world
        self._retry_seconds = retry_seconds
        self._task: asyncio.Task[None] | None = None

    def wake(self) -> None:
        """Start delivering if a webhook is set and nobody delivers yet."""
        if self._world.webhook["url"] and (self._task is None or self._task.done()):
            self._task = asyncio.create_task(self._run(), name="telegram-webhook")

    async def _run(self) -> None:
        async with httpx.AsyncClient(timeout=_PATIENCE_SECONDS, trust_env=False) as client:
            while url := self._world.webhook["url"]:
                update = self._world.updates.first()
                if update is None:
                    await self._world.updates.changed.wait(_PATIENCE_SECONDS)
                elif not self._world.down and await self._accepted(client, url, update):
                    self._world.updates.remove(update)
                else:
                    await asyncio.sleep(self._retry_seconds)

    async def _accepted(self, client: httpx.AsyncClient, url: str, update: Update) -> bool:
        secret = self._world.webhook.get("secret_token")
        headers = {_SECRET_HEADER: secret} if secret else {}
        try:
            answer = await client.post(url, json=update, headers=headers)
        except httpx.TransportError as error:
            return self._failed(f"Connection failed: {type(error).__name__}")
        if answer.is_success:
            return True
        return self._failed(f"Wrong response from the webhook: {answer.status_code} {answer.reason_phrase}")

    def _failed(self, message: str) -> bool:
        self._world.webhook |= {"last_error_date": int(self._world.now()), "last_error_message": message}
        return False
