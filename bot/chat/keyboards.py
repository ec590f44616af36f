"""Buttons under messages: each is a nonce whose row says what it does, for whom and until when."""

import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from telegram import CopyTextButton, InlineKeyboardButton, InlineKeyboardMarkup
from telegram.constants import KeyboardButtonStyle

from bot.domain.access import Role
from bot.domain.orders import OrderState
from bot.domain.periods import Period
from bot.services.desk import Desk
from bot.services.reports import By
from storage import buttons
from storage.buttons import Facts
from storage.orders import Order

PRIMARY: Final = KeyboardButtonStyle.PRIMARY
DANGER: Final = KeyboardButtonStyle.DANGER
RUN: Final = "run"
"""The action of a button that stands for a whole command."""
BROWSE: Final = "browse"
"""The action of a button that leads to another page of the catalog."""
HISTORY: Final = "history"
"""The action of a button that leads to another page of the history."""
BUY: Final = "buy"
"""The action of a button that orders what it names, for no more than it shows."""

PREFIX: Final = "v1"
_LONGEST_COPY: Final = 256
LIVES_FOR: Final = 24 * 3600 * 1000
"""Milliseconds for which a button works."""


@dataclass(frozen=True, slots=True)
class Press:
    """A button that does something: `action` with `facts`, for its owner."""

    label: str
    action: str
    facts: Facts = field(default_factory=dict)
    style: str | None = None


@dataclass(frozen=True, slots=True)
class Copy:
    """A button that copies `text`; it asks nothing of the desk."""

    label: str
    text: str


@dataclass(frozen=True, slots=True)
class Link:
    """A button that opens an address; it asks nothing of the desk."""

    label: str
    url: str


Row = Sequence[Press | Copy | Link]


def command(label: str, name: str, text: str, style: str | None = None) -> Press:
    """A button that runs the command `name` as if its owner had typed `text` behind it."""
    return Press(label, RUN, {"command": name, "text": text}, style)


def other_ways(period: Period, shown: By) -> Row:
    """What a period was spent on, broken down in the ways that are not `shown`; the days of one day are none."""
    others = [by for by in By if by is not shown and not (by is By.DAY and len(period) == 1)]
    return [command(f"By {by}", "spend", f"{period} {by}") for by in others]


async def make(desk: Desk, owner: int, rows: Sequence[Row]) -> InlineKeyboardMarkup | None:
    """Keep what is behind the buttons and return the keyboard; None for no buttons."""
    shown = [row for row in rows if row]
    if not shown:
        return None
    expires_at = desk.now + LIVES_FOR

    def body(connection: sqlite3.Connection) -> list[list[InlineKeyboardButton]]:
        return [[_button(connection, owner, button, expires_at) for button in row] for row in shown]

    return InlineKeyboardMarkup(await desk.database.transact(body))


def nonce_of(data: str | None) -> str | None:
    """The nonce within a press's `v1:action:nonce`, or None if it is not one of ours."""
    parts = (data or "").split(":")
    return parts[2] if len(parts) == 3 and parts[0] == PREFIX and parts[2] else None


def for_card(order: Order) -> list[Row]:
    """What may be done from an order's card; once there is news, the message with the news carries the rest."""
    if order.state is OrderState.WAITING:
        return [_copy("Copy number", order.phone_number), _cancel(order)]
    return [] if order.state.ended else [_copy("Copy number", order.phone_number)]


def for_code(order: Order, code: str | None) -> list[Row]:
    """What may be done with a code: copy it, wait for another, or get a fresh number if the service rejects it."""
    if order.state.ended:
        return [_copy("Copy code", code), *for_news(order)]
    again = Press("Rejected? New number", "again", {"order": order.id})
    if order.allowed is None:
        return [_copy("Copy code", code), [again, Press("End", "cancel", {"order": order.id})]]
    another = [command("Another SMS", "resend", str(order.id))] if order.allowed.resend else []
    done = [command("Done", "done", str(order.id), PRIMARY)] if order.allowed.finish else []
    return [_copy("Copy code", code), [*another, *done], [again]]


def for_stranger(user_id: int, name: str | None = None) -> list[Row]:
    """The decision about somebody who is not in: as what to let them in, or not."""

    def admit(role: Role, style: str | None) -> Press:
        return Press(f"Let in as {role}", "admit", {"user": user_id, "role": role, "name": name}, style)

    return [
        [admit(Role.OPERATOR, PRIMARY), admit(Role.VIEWER, PRIMARY)],
        [admit(Role.APPROVER, None), admit(Role.ADMIN, DANGER)],
        [Press("Refuse", "turn_down", {"user": user_id})],
    ]


def for_listed(order: Order) -> list[Row]:
    """What may be done with an order of a list; each button names it."""
    number = f"#{order.id}"
    row: list[Press | Copy | Link] = [Copy(f"Copy {number}", order.phone_number)] if order.phone_number else []
    if order.state is OrderState.WAITING:
        row.append(Press(f"Cancel {number}", "cancel", {"order": order.id}, DANGER))
    elif order.state is OrderState.RECEIVED and order.allowed is None:
        row.append(Press(f"New number {number}", "again", {"order": order.id}))
        row.append(Press(f"End {number}", "cancel", {"order": order.id}))
    elif order.state is OrderState.RECEIVED and order.allowed is not None:
        row.append(Press(f"New number {number}", "again", {"order": order.id}))
        row.extend([command(f"Done {number}", "done", str(order.id), PRIMARY)] if order.allowed.finish else [])
    return [row]


def for_asker(approval_id: int) -> list[Row]:
    """The way back for whoever waits for a yes."""
    return [[Press("Take it back", "withdraw", {"approval": approval_id})]]


def for_approval(approval_id: int, *, numbered: bool = False) -> list[Row]:
    """The answer to a request for approval; `numbered` where several are listed."""
    number = f" {approval_id}" if numbered else ""
    facts = {"approval": approval_id}
    return [[Press(f"Approve{number}", "approve", facts, PRIMARY), Press(f"Decline{number}", "decline", facts, DANGER)]]


def for_news(order: Order) -> list[Row]:
    """What may be done after an order that is over."""
    rows: list[Row] = [[Press("Order another", "again", {"order": order.id})]]
    if order.allowed is not None and order.allowed.reactivate:
        rows.append([command("The same number again", "reactivate", str(order.id))])
    return rows


def _cancel(order: Order) -> list[Press | Copy]:
    """The way out of a waiting order, as far as SMSCode lets one go now."""
    if order.allowed is None or order.allowed.cancel:
        return [Press("Cancel and refund", "cancel", {"order": order.id}, DANGER)]
    return [] if order.cancel_from is not None else [cancel_later(order.id)]


def cancel_later(order_id: int) -> Press:
    """The button that has an order canceled as soon as SMSCode allows it."""
    return Press("Cancel as soon as it can be", "cancel_later", {"order": order_id}, DANGER)


def _copy(label: str, text: str | None) -> list[Press | Copy]:
    return [Copy(label, text[:_LONGEST_COPY])] if text else []


def _button(
    connection: sqlite3.Connection, owner: int, button: Press | Copy | Link, expires_at: int
) -> InlineKeyboardButton:
    if isinstance(button, Link):
        return InlineKeyboardButton(button.label, url=button.url)
    if isinstance(button, Copy):
        return InlineKeyboardButton(button.label, copy_text=CopyTextButton(button.text))
    nonce = buttons.make(connection, button.action, owner, button.facts, expires_at)
    data = f"{PREFIX}:{button.action}:{nonce}"
    return InlineKeyboardButton(button.label, callback_data=data, style=button.style)


async def find(desk: Desk, nonce: str) -> buttons.Button | None:
    """The row behind a press, or None."""
    return await desk.database.read(lambda connection: buttons.find(connection, nonce))
