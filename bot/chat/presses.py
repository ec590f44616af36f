"""What happens when somebody presses a button."""

import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace

from bot.chat import failures, keyboards, texts
from bot.chat.commands import (
    administration,
    approving,
    browsing,
    history,
    ordering,
    people,
    reporting,
    watching,
)
from bot.chat.commands.table import COMMANDS, Command, named
from bot.chat.visit import Visit
from bot.domain.access import Role
from bot.domain.errors import DeskError, NotPermitted
from bot.services import access, tracking
from storage import buttons, members
from storage.orders import Order

log = logging.getLogger(__name__)


async def press(visit: Visit, data: str | None) -> None:
    """Find what is behind a press, check that this person may do it now, use it up, do it."""
    nonce = keyboards.nonce_of(data)
    button = await keyboards.find(visit.desk, nonce) if nonce else None
    meant = _meant(visit, button) if button else None
    if button is None or meant is None or button.expires_at <= visit.desk.now:
        await visit.toast(texts.stale_button(), alert=True)
        return
    command, visit = meant
    refusal = await _refusal(visit, button, command)
    if refusal:
        # Before the button is used up: it must still work for whoever may press it.
        await visit.toast(refusal, alert=True)
        return
    if button.action in TURNING:
        await visit.toast()
        await failures.run(command, visit)
        return
    # A database that cannot be written is waited out: to fail here would lose the press without a word.
    if not await visit.desk.insist(lambda connection: buttons.use(connection, button.nonce, visit.key, visit.desk.now)):
        await visit.toast(texts.used_button())
        return
    await visit.toast()
    # Errors of a press are answered like those of the command that it stands for.
    if not await failures.run(command, visit):
        await visit.desk.insist(lambda connection: buttons.free(connection, button.nonce, visit.key))


async def words(visit: Visit) -> None:
    """Plain words: in reply to a page they are looked for in it; by themselves they may name a part of the catalog."""
    nonce = keyboards.nonce_of(visit.replied.data) if visit.replied else None
    button = await keyboards.find(visit.desk, nonce) if nonce else None
    searched = _SEARCHES.get(button.action) if button is not None else None
    if button is not None and searched is not None:
        name, search = searched
        await failures.run(replace(_command(name), run=search), replace(visit, facts=button.facts))
    elif visit.private:
        await failures.run(replace(_command("catalog"), run=_named_or_not), visit)


def _command(name: str) -> Command:
    return next(command for command in COMMANDS if command.name == name)


_SEARCHES: Mapping[str, tuple[str, Callable[[Visit], Awaitable[None]]]] = {
    keyboards.BROWSE: ("catalog", browsing.search),
    keyboards.BUY: ("catalog", browsing.search),
    keyboards.HISTORY: ("history", history.search),
}
"""What words in reply to a page mean, by the action of its first button: as which command, and what does it."""


async def _named_or_not(visit: Visit) -> None:
    try:
        await browsing.search(visit)
    except DeskError:
        # Talk is no search: whether SMSCode can be asked just now is no answer to it.
        await visit.answer(texts.plain_words())


def _meant(visit: Visit, button: buttons.Button) -> tuple[Command, Visit] | None:
    """What a press stands for: an action with its facts, or a command as if this person had typed it."""
    if button.action == keyboards.RUN:
        command = named(str(button.facts.get("command")))
        return (command, visit.with_text(str(button.facts.get("text") or ""))) if command else None
    action = ACTIONS.get(button.action)
    return (action, replace(visit, facts=button.facts)) if action else None


async def _refusal(visit: Visit, button: buttons.Button, command: Command) -> str | None:
    """Why this person may not press that button; None if they may."""
    if button.owner not in (buttons.ANYBODY, visit.member.user_id) and visit.member.role is not Role.ADMIN:
        name = await visit.desk.database.read(lambda connection: members.name_of(connection, button.owner))
        return texts.foreign_button(name or "somebody else")
    if not visit.member.may(command.needed):
        return texts.failure(NotPermitted(command.needed), visit.desk.settings.limits.zone)
    return None


async def _cancel(visit: Visit) -> None:
    await ordering.end(visit, await _order(visit), confirmed=False)


async def _cancel_late(visit: Visit) -> None:
    await visit.sender.strip(visit.chat_id, visit.message_id)
    await ordering.end(visit, await _order(visit), confirmed=True)


async def _cancel_later(visit: Visit) -> None:
    planned = await tracking.cancel_later(visit.desk, await _order(visit), visit.member.user_id)
    await visit.answer(texts.cancel_planned(planned, visit.desk.settings.limits.zone))


async def _rent_again(visit: Visit) -> None:
    await visit.sender.strip(visit.chat_id, visit.message_id)
    await ordering.rent_again(visit, await _order(visit), agreed=int(visit.facts.get("most") or 0))


async def _keep(visit: Visit) -> None:
    await visit.sender.strip(visit.chat_id, visit.message_id)
    await visit.answer(texts.kept())


async def _again(visit: Visit) -> None:
    await ordering.repeat(visit, await _order(visit))


async def _admit(visit: Visit) -> None:
    await visit.sender.strip(visit.chat_id, visit.message_id)
    # Another admin may have been faster; then their choice of a role stands.
    user_id, role, name = int(visit.facts.get("user") or 0), Role(str(visit.facts.get("role"))), visit.facts.get("name")
    await people.let_in_anew(visit, user_id, role, str(name) if name else None)


async def _turn_down(visit: Visit) -> None:
    await visit.sender.strip(visit.chat_id, visit.message_id)
    user_id = int(visit.facts.get("user") or 0)
    was_open = await access.refuse(visit.desk, visit.member.user_id, user_id)
    told = await visit.tell(user_id, texts.not_let_in()) if was_open else None
    await visit.answer(texts.turned_down(told=told))


async def _leave_it(visit: Visit) -> None:
    await visit.sender.strip(visit.chat_id, visit.message_id)
    await visit.answer(texts.not_ordered())


async def _approve(visit: Visit) -> None:
    await approving.say_yes(visit, _approval(visit))
    await visit.sender.strip(visit.chat_id, visit.message_id)


async def _decline(visit: Visit) -> None:
    await approving.say_no(visit, _approval(visit))
    await visit.sender.strip(visit.chat_id, visit.message_id)


async def _withdraw(visit: Visit) -> None:
    await visit.sender.strip(visit.chat_id, visit.message_id)
    await approving.take_back(visit, _approval(visit))


def _approval(visit: Visit) -> int:
    return int(visit.facts.get("approval") or 0)


async def _order(visit: Visit) -> Order:
    return await tracking.find(visit.desk, visit.member, int(visit.facts.get("order") or 0))


Action = Callable[[Visit], Awaitable[None]]


def _action(name: str, needed: Role, run: Action) -> Command:
    return Command(name, needed, run, "", "")


ACTIONS: Mapping[str, Command] = {
    action.name: action
    for action in (
        _action("cancel", Role.OPERATOR, _cancel),
        _action("cancel_late", Role.OPERATOR, _cancel_late),
        _action("cancel_later", Role.OPERATOR, _cancel_later),
        _action("rent_again", Role.OPERATOR, _rent_again),
        _action(keyboards.BROWSE, Role.VIEWER, browsing.browse),
        _action(keyboards.HISTORY, Role.VIEWER, history.turn),
        _action(keyboards.BUY, Role.OPERATOR, ordering.buy),
        _action("agree", Role.OPERATOR, ordering.agree),
        _action("leave_it", Role.OPERATOR, _leave_it),
        _action("forget_chat", Role.ADMIN, administration.forget_chat),
        _action("keep", Role.OPERATOR, _keep),
        _action("again", Role.OPERATOR, _again),
        _action("admit", Role.ADMIN, _admit),
        _action("order_watched", Role.OPERATOR, watching.order_watched),
        _action("unwatch", Role.OPERATOR, watching.unwatch),
        _action("turn_down", Role.ADMIN, _turn_down),
        _action("audit_page", Role.ADMIN, reporting.audit_page),
        _action("approve", Role.APPROVER, _approve),
        _action("decline", Role.APPROVER, _decline),
        _action("withdraw", Role.OPERATOR, _withdraw),
    )
}
"""Every action of a button that is no command, with the least role that may press it."""

TURNING = frozenset({keyboards.BROWSE, keyboards.HISTORY})
"""Actions that change nothing but what is shown: they may be pressed as often as anybody likes."""
