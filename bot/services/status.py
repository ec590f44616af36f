"""How the desk stands, for the admins: contract, requests, orders, and what on the account is not the desk's."""

import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass

from bot.domain.errors import NotOffered, SmsError
from bot.services import guard
from bot.services.desk import Desk
from bot.sms.port import WebhookState
from storage import audit, ledger, orders, outbox, settings
from storage.audit import Line
from storage.ledger import Entry
from storage.orders import Order


@dataclass(frozen=True, slots=True)
class Status:
    """The desk at this moment.

    `foreign` are SMSCode's ids of live orders on the account that this desk did not place, None where they cannot be
    seen. `trouble` is why SMSCode could not be asked, empty if it could. `guarded_until` is unix seconds.
    """

    contract: str
    trouble: str
    requests_used: int
    requests_allowed: int
    pause_left: float
    live: int
    unclear: int
    undecided: int
    paused: str | None
    guarded_until: int | None
    letters: Mapping[str, int]
    foreign: tuple[str, ...] | None
    webhook: WebhookState | None
    webhooks_proven: bool


@dataclass(frozen=True, slots=True)
class Evidence:
    """All that is known of one order: its row, its money, its history. `balance` (IDR) is None where unknown."""

    order: Order
    entries: tuple[Entry, ...]
    lines: tuple[Line, ...]
    balance: int | None


async def look(desk: Desk) -> Status:
    """Ask SMSCode for what it can tell now, and count the rest."""
    foreign, webhook, trouble = await _outside(desk)

    def body(connection: sqlite3.Connection) -> Status:
        watched, unclear = orders.watched(connection), orders.unclear(connection)
        return Status(
            contract=desk.sms.contract,
            trouble=trouble,
            requests_used=desk.requests.used,
            requests_allowed=desk.requests.per_minute,
            pause_left=desk.requests.pause_left,
            live=len(watched),
            unclear=len(unclear),
            undecided=sum(order.needs_admin for order in [*watched, *unclear, *orders.with_open_refund(connection)]),
            paused=settings.get(connection, settings.PAUSED),
            guarded_until=guard.ends_at(connection, desk.now),
            letters=outbox.depth(connection),
            foreign=foreign,
            webhook=webhook,
            webhooks_proven=desk.webhooks.proven,
        )

    return await desk.database.read(body)


async def evidence_of(desk: Desk, order: Order) -> Evidence:
    """What an admin needs to decide about an order that could not be proven."""
    try:
        balance = await desk.sms.balance()
    except SmsError:
        balance = None

    def body(connection: sqlite3.Connection) -> Evidence:
        entries = tuple(ledger.entries_of(connection, order.id))
        lines = tuple(reversed(audit.latest(connection, 12, order.id)))
        return Evidence(order, entries, lines, balance)

    return await desk.database.read(body)


async def _outside(desk: Desk) -> tuple[tuple[str, ...] | None, WebhookState | None, str]:
    """The foreign live orders, the state of the webhooks, and why either could not be asked."""
    try:
        foreign = await _foreign(desk)
        return foreign, await _webhook(desk), ""
    except SmsError as error:
        return None, None, str(error)


async def _foreign(desk: Desk) -> tuple[str, ...] | None:
    await desk.sms.settle_contract()
    if not desk.sms.shows_all_live:
        await desk.sms.balance()  # the contract may be known from long ago: this says whether SMSCode answers now
        return None
    shown = [remote.remote_id for remote in await desk.sms.live()]
    mine = await desk.database.read(lambda connection: orders.ours(connection, shown))
    return tuple(remote_id for remote_id in shown if remote_id not in mine)


async def _webhook(desk: Desk) -> WebhookState | None:
    try:
        return await desk.sms.webhook()
    except NotOffered:
        return None
