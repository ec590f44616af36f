"""Errors become replies here, and only here."""

import logging
import sqlite3
from typing import Final

from bot.chat import keyboards, texts
from bot.chat.commands.table import Command
from bot.chat.keyboards import Row
from bot.chat.visit import AskedFirst, Visit
from bot.domain.access import Role
from bot.domain.errors import (
    AwaitsApproval,
    CancelTooEarly,
    DeskError,
    LimitReached,
    NoSuchOrder,
    NotCanceled,
    TokenRejected,
    UnknownName,
    WrongUsage,
)
from bot.services import access

log = logging.getLogger(__name__)

_MOST_WAYS: Final = 6


async def run(command: Command, visit: Visit) -> bool:
    """Run a command for somebody, and answer whatever goes wrong in words that say what to do next.

    False when it was turned down, failed in a known way, or asked first: then trying the very same again is safe.
    """
    outcome, refused = "done", False
    try:
        try:
            visit.require(command.needed)
            await command.run(visit)
        except AskedFirst:
            refused = True
        except DeskError as error:
            # A request for approval that went out must not go out again at the next press of the same button.
            outcome, refused = "refused", not isinstance(error, AwaitsApproval)
            await _say_no(command, visit, error)
    except sqlite3.Error:
        outcome = "failed"
        log.exception("/%s by %s: the database cannot be used", command.name, visit.member.user_id)
        await _apologise(visit, texts.storage_trouble())
    except Exception:
        outcome = "failed"
        log.exception("/%s by %s broke off", command.name, visit.member.user_id)
        await _apologise(visit, texts.internal_error())
    visit.desk.metrics.commands.labels(command.name, outcome).inc()
    return not refused


async def _say_no(command: Command, visit: Visit, error: DeskError) -> None:
    log.info("/%s by %s: %s: %s", command.name, visit.member.user_id, type(error).__name__, error)
    await visit.answer(await _in_words(command, visit, error), _ways_out(command, visit, error))
    if isinstance(error, TokenRejected):
        await visit.desk.alert_token()


async def _apologise(visit: Visit, text: str) -> None:
    """Answer without the database, which may be what is broken."""
    await visit.sender.send(visit.chat_id, text, thread_id=visit.thread_id)


async def _in_words(command: Command, visit: Visit, error: DeskError) -> str:
    text = texts.failure(error, visit.desk.settings.limits.zone)
    if isinstance(error, LimitReached):
        others = [admin.name for admin in await access.admins(visit.desk) if admin.user_id != visit.member.user_id]
        return f"{text} {texts.whom_to_ask(others, is_admin=visit.member.may(Role.ADMIN))}"
    if isinstance(error, WrongUsage) and error.instead is not None:
        return f"{text} {texts.meant_instead(command.name, error.instead)}"
    if isinstance(error, WrongUsage) and command.examples:
        return f"{text}\n\n{texts.help_on(command.usage, command.summary, command.examples)}"
    return text


def _ways_out(command: Command, visit: Visit, error: DeskError) -> list[Row]:
    """Buttons that do what was meant: the command spelled right, or the cancel when it may be."""
    if isinstance(error, NotCanceled) and isinstance(error.reason, CancelTooEarly):
        return [[keyboards.cancel_later(error.order_id)]]
    if isinstance(error, AwaitsApproval):
        return keyboards.for_asker(error.approval_id)
    if isinstance(error, NoSuchOrder):
        return [
            [keyboards.command(f"/{command.name} {one}", command.name, str(one))] for one in error.live[:_MOST_WAYS]
        ]
    if isinstance(error, WrongUsage) and error.instead:
        return [[keyboards.command(f"/{command.name} {error.instead}"[:60], command.name, error.instead)]]
    if not isinstance(error, UnknownName) or not error.typed or error.typed not in visit.text:
        return []
    return [
        [keyboards.command(f"/{command.name} {corrected}"[:60], command.name, corrected)]
        for corrected in (visit.text.replace(error.typed, name, 1) for name in error.suggestions)
    ]
