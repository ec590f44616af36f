"""What happens when somebody presses a button."""

import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace

from bot.chat import failures, keyboards, texts
from bot.chat.commands import administration, ordering
from bot.chat.commands.table import Command, named
from bot.chat.visit import Visit
from bot.domain.access import Role
from bot.services import tracking
from storage import buttons
from storage.orders import Order

log = logging.getLogger(__name__)


async def press(visit: Visit, data: str | None) -> None:
    """Find what is behind a press, check that this person may do it now, use it up, do it."""
    nonce = keyboards.nonce_of(data)
    button = await keyboards.find(visit.desk, nonce) if nonce else None
    action = ACTIONS.get(button.action) if button else None
    if button is None or action is None or button.expires_at <= visit.desk.now:
        await visit.sender.answer_press(visit.callback_id or "", texts.stale_button(), alert=True)
        return
    if button.owner not in (buttons.ANYBODY, visit.member.user_id) and visit.member.role is not Role.ADMIN:
        await visit.sender.answer_press(visit.callback_id or "", texts.foreign_button(), alert=True)
        return
    if not await visit.desk.database.transact(
        lambda connection: buttons.use(connection, button.nonce, visit.key, visit.desk.now)
    ):
        await visit.toast(texts.used_button())
        return
    await visit.toast()
    # Errors of a press are answered like those of the command that it stands for.
    await failures.run(action, replace(visit, facts=button.facts))


async def _run(visit: Visit) -> None:
    """Run a command as if this person had typed it."""
    command = named(str(visit.facts.get("command")))
    if command is not None:
        await failures.run(command, visit.with_text(str(visit.facts.get("text") or "")))


async def _cancel(visit: Visit) -> None:
    await ordering.end(visit, await _order(visit), confirmed=False)


async def _cancel_late(visit: Visit) -> None:
    await visit.sender.strip(visit.chat_id, visit.message_id)
    await ordering.end(visit, await _order(visit), confirmed=True)


async def _keep(visit: Visit) -> None:
    await visit.sender.strip(visit.chat_id, visit.message_id)
    await visit.answer(texts.kept())


async def _again(visit: Visit) -> None:
    await ordering.repeat(visit, await _order(visit))


async def _admit(visit: Visit) -> None:
    await visit.sender.strip(visit.chat_id, visit.message_id)
    await administration.let_in(visit, int(visit.facts.get("user") or 0), Role(str(visit.facts.get("role"))))


async def _turn_down(visit: Visit) -> None:
    await visit.sender.strip(visit.chat_id, visit.message_id)
    await visit.answer(texts.turned_down())


async def _order(visit: Visit) -> Order:
    return await tracking.find(visit.desk, visit.member, int(visit.facts.get("order") or 0))


Action = Callable[[Visit], Awaitable[None]]


def _action(name: str, needed: Role, run: Action) -> Command:
    return Command(name, needed, run, "", "")


ACTIONS: Mapping[str, Command] = {
    action.name: action
    for action in (
        _action("run", Role.VIEWER, _run),
        _action("cancel", Role.OPERATOR, _cancel),
        _action("cancel_late", Role.OPERATOR, _cancel_late),
        _action("keep", Role.OPERATOR, _keep),
        _action("again", Role.OPERATOR, _again),
        _action("admit", Role.ADMIN, _admit),
        _action("turn_down", Role.ADMIN, _turn_down),
    )
}
"""Every action a button can have, with the least role that may press it."""
