"""Orders: the durable intent before anything is sent, and what became of it."""

import json
import re
import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final

from bot.domain.limits import Window
from bot.domain.looks import Wait
from bot.domain.orders import Allowed, OrderState, Policy, RemoteOrder, Sms

OPEN: Final = "state IN ('reserved', 'sent', 'unknown', 'waiting', 'received')"
"""What the index of open orders covers, word for word: a query that also says this reads no order of the past."""
_RECENT: Final = 2000
"""Orders that tell what a team uses most."""


_BETWEEN_COUNTRIES: Final = "\n"
"""No name of a country holds a line break; some hold a comma."""


def listed(countries: Sequence[str]) -> str:
    """The countries of a request, in order, as one text."""
    return _BETWEEN_COUNTRIES.join(countries)


def countries_of(text: str) -> tuple[str, ...]:
    """The countries that such a text lists."""
    return tuple(text.split(_BETWEEN_COUNTRIES)) if text else ()


@dataclass(frozen=True, slots=True)
class Order:
    """An order's row. Times are unix milliseconds, money is IDR."""

    id: int
    command_key: str
    member_id: int
    chat_id: int
    thread_id: int | None
    platform: str
    countries: str
    max_price: int | None
    note: str
    state: OrderState
    day: str
    month: str
    attempt: int
    country: str
    product: str
    price: int
    request_key: str
    request_body: str
    held: int
    charged: int
    refunded: int
    refund_assumed: bool
    balance_before: int | None
    remote_id: str | None
    phone_number: str | None = field(repr=False)
    remote_status: str | None
    expires_at: int | None
    card_message_id: int | None
    error: str | None
    needs_admin: bool
    created_at: int
    sent_at: int | None
    placed_at: int | None
    ended_at: int | None
    policy: Policy = Policy.CHEAPEST
    operator: str = ""
    reactivates: int | None = None
    allowed: Allowed | None = None
    cancel_from: int | None = None
    refund_open: bool = False
    approval_id: int | None = None
    chosen: str = ""

    @property
    def window(self) -> Window:
        """The day and month it is booked in."""
        return Window(self.day, self.month)


@dataclass(frozen=True, slots=True)
class Request:
    """Who asks for what: the part of an order that no offer changes."""

    command_key: str
    member_id: int
    chat_id: int
    thread_id: int | None
    platform: str
    countries: str
    max_price: int | None
    note: str
    policy: Policy = Policy.CHEAPEST
    operator: str = ""
    reactivates: int | None = None
    approval_id: int | None = None
    chosen: str = ""


@dataclass(frozen=True, slots=True)
class Intent:
    """One attempt at one offer, exactly as it will be sent."""

    attempt: int
    country: str
    product: str
    price: int
    request_key: str
    request_body: str


def insert(connection: sqlite3.Connection, request: Request, window: Window, intent: Intent, now: int) -> int:
    """Keep a new order as `reserved`, holding nothing yet; return its number."""
    return _inserted_id(
        connection.execute(
            "INSERT INTO orders (command_key, member_id, chat_id, thread_id, platform, countries, max_price, note,"
            " policy, operator, reactivates, approval_id, chosen,"
            " state, day, month, attempt, country, product, price, request_key, request_body, created_at)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 'reserved', ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                request.command_key,
                request.member_id,
                request.chat_id,
                request.thread_id,
                request.platform,
                request.countries,
                request.max_price,
                request.note,
                request.policy,
                request.operator,
                request.reactivates,
                request.approval_id,
                request.chosen,
                window.day,
                window.month,
                intent.attempt,
                intent.country,
                intent.product,
                intent.price,
                intent.request_key,
                intent.request_body,
                now,
            ),
        )
    )


def retry(connection: sqlite3.Connection, order_id: int, window: Window, intent: Intent) -> None:
    """Turn an order whose last attempt was refused to its next one, `reserved` again, booked in `window`.

    Raises:
        ValueError: the order is in another state, so a second attempt could be a second paid order.
    """
    turned = connection.execute(
        "UPDATE orders SET state = 'reserved', day = ?, month = ?, attempt = ?, country = ?, product = ?, price = ?,"
        " request_key = ?, request_body = ?, balance_before = NULL, sent_at = NULL, ended_at = NULL, error = NULL"
        " WHERE id = ? AND state = 'refused'",
        (
            window.day,
            window.month,
            intent.attempt,
            intent.country,
            intent.product,
            intent.price,
            intent.request_key,
            intent.request_body,
            order_id,
        ),
    )
    if turned.rowcount != 1:
        raise ValueError(f"order {order_id} is not one whose last attempt was refused")


def mark_sent(connection: sqlite3.Connection, order_id: int, balance_before: int | None, now: int) -> None:
    """From here on the request may have left this machine.

    Raises:
        ValueError: the order is not `reserved`; sending it would be a second try at something already decided.
    """
    marked = connection.execute(
        "UPDATE orders SET state = 'sent', balance_before = ?, sent_at = ? WHERE id = ? AND state = 'reserved'",
        (balance_before, now, order_id),
    )
    if marked.rowcount != 1:
        raise ValueError(f"order {order_id} is not reserved")


def mark_unknown(connection: sqlite3.Connection, order_id: int, error: str) -> None:
    """Nobody knows whether the request had its effect."""
    connection.execute("UPDATE orders SET state = 'unknown', error = ? WHERE id = ?", (error, order_id))


def mark_refused(connection: sqlite3.Connection, order_id: int, error: str, now: int) -> None:
    """The order was not placed; `error` says why, as a code."""
    connection.execute(
        "UPDATE orders SET state = 'refused', error = ?, needs_admin = 0, ended_at = ? WHERE id = ?",
        (error, now, order_id),
    )


def mark_charged(connection: sqlite3.Connection, order_id: int, now: int) -> None:
    """The order was paid, but its number was never learned."""
    connection.execute(
        "UPDATE orders SET state = 'charged', needs_admin = 0, ended_at = ? WHERE id = ?", (now, order_id)
    )


def mark_ended(connection: sqlite3.Connection, order_id: int, state: OrderState, now: int) -> None:
    """An admin has decided how an order ended that SMSCode no longer knows."""
    connection.execute(
        "UPDATE orders SET state = ?, needs_admin = 0, ended_at = ? WHERE id = ?", (state, now, order_id)
    )


def mark_refund_open(connection: sqlite3.Connection, order_id: int, *, is_open: bool) -> None:
    """An order expired, and it is (or is no longer) open whether its money came back."""
    connection.execute("UPDATE orders SET refund_open = ?, needs_admin = 0 WHERE id = ?", (int(is_open), order_id))


def cancel_later(connection: sqlite3.Connection, order_id: int, moment: int | None) -> None:
    """Cancel an order by itself once `moment` (unix milliseconds) is reached; None: not any more."""
    connection.execute("UPDATE orders SET cancel_from = ? WHERE id = ?", (moment, order_id))


def mark_needs_admin(connection: sqlite3.Connection, order_id: int) -> bool:
    """Leave an order to an admin's decision; say whether that is new."""
    marked = connection.execute("UPDATE orders SET needs_admin = 1 WHERE id = ? AND needs_admin = 0", (order_id,))
    return marked.rowcount == 1


def mark_placed(connection: sqlite3.Connection, order_id: int, remote: RemoteOrder, now: int) -> None:
    """A number is rented."""
    connection.execute(
        "UPDATE orders SET state = 'waiting', remote_id = ?, phone_number = ?, remote_status = ?, expires_at = ?,"
        " allowed = ?, error = NULL, needs_admin = 0, placed_at = ? WHERE id = ?",
        (
            remote.remote_id,
            remote.phone_number,
            remote.raw_status,
            milliseconds(remote),
            _written(remote.allowed),
            now,
            order_id,
        ),
    )


def mark_observed(
    connection: sqlite3.Connection, order_id: int, state: OrderState, remote: RemoteOrder, now: int
) -> None:
    """Keep what a fresh look at the order showed."""
    connection.execute(
        "UPDATE orders SET state = ?, remote_status = ?, phone_number = coalesce(?, phone_number),"
        " expires_at = coalesce(?, expires_at), allowed = coalesce(?, allowed), needs_admin = 0,"
        " cancel_from = CASE WHEN ? = 'waiting' THEN cancel_from END, ended_at = coalesce(ended_at, ?) WHERE id = ?",
        (
            state,
            remote.raw_status,
            remote.phone_number,
            milliseconds(remote),
            _written(remote.allowed),
            state,
            now if state.ended else None,
            order_id,
        ),
    )


def keep_card(connection: sqlite3.Connection, order_id: int, message_id: int) -> None:
    """Remember the message that shows the order's card, so that it can be edited."""
    connection.execute("UPDATE orders SET card_message_id = ? WHERE id = ?", (message_id, order_id))


def get(connection: sqlite3.Connection, order_id: int) -> Order | None:
    """The order by its short number."""
    return _first(connection, "id = ?", order_id)


def by_command(connection: sqlite3.Connection, command_key: str) -> Order | None:
    """The order that a command has led to."""
    return _first(connection, "command_key = ?", command_key)


def by_card(connection: sqlite3.Connection, chat_id: int, message_id: int) -> Order | None:
    """The order that a message of the bot speaks of: its card or one of its codes."""
    row = connection.execute(
        "SELECT order_id FROM outbox WHERE chat_id = ? AND message_id = ? AND order_id IS NOT NULL LIMIT 1",
        (chat_id, message_id),
    ).fetchone()
    return get(connection, row["order_id"]) if row else None


def watched(connection: sqlite3.Connection) -> list[Order]:
    """Every order whose number is rented, oldest first."""
    return _many(connection, f"{OPEN} AND state IN ('waiting', 'received') ORDER BY id")


def unclear(connection: sqlite3.Connection) -> list[Order]:
    """Every order of which nobody knows whether it was placed, oldest first."""
    return _many(connection, f"{OPEN} AND state = 'unknown' ORDER BY id")


def undecided(connection: sqlite3.Connection) -> list[Order]:
    """Every order that may have been placed without anybody knowing, even if it has not been called unclear yet."""
    return _many(connection, f"{OPEN} AND state IN ('sent', 'unknown') ORDER BY id")


def count_by_state(connection: sqlite3.Connection) -> dict[str, int]:
    """How many orders there are in each state, those without any included."""
    rows = connection.execute("SELECT state, count(*) AS number FROM orders GROUP BY state")
    return dict.fromkeys(map(str, OrderState), 0) | {row["state"]: row["number"] for row in rows}


def held(connection: sqlite3.Connection) -> int:
    """The money (IDR) on hold for orders whose outcome is open."""
    (amount,) = connection.execute(
        "SELECT coalesce(sum(held), 0) FROM orders WHERE state IN ('reserved', 'sent', 'unknown')"
    ).fetchone()
    return int(amount)


def with_open_refund(connection: sqlite3.Connection) -> list[Order]:
    """Every expired order of which it is open whether its money came back, oldest first."""
    return _many(connection, "refund_open = 1 ORDER BY id")


def ours(connection: sqlite3.Connection, remote_ids: list[str]) -> set[str]:
    """Those of SMSCode's order ids that belong to an order of this desk."""
    rows = connection.execute(
        "SELECT remote_id FROM orders WHERE remote_id IN (SELECT value FROM json_each(?))", (json.dumps(remote_ids),)
    )
    return {row["remote_id"] for row in rows}


def any_out_of_sight(connection: sqlite3.Connection, apart_from: int, since: int) -> bool:
    """Whether another order sent since then was paid, or may have been, and cannot be looked at."""
    row = connection.execute(
        "SELECT 1 FROM orders WHERE (state = 'charged' OR needs_admin = 1) AND id <> ? AND sent_at >= ? LIMIT 1",
        (apart_from, since),
    ).fetchone()
    return row is not None


def interrupted(connection: sqlite3.Connection) -> list[Order]:
    """Orders that a crash left on their way: `reserved` ones never left, `sent` ones may have."""
    return _many(connection, f"{OPEN} AND state IN ('reserved', 'sent') ORDER BY id")


def open_of(connection: sqlite3.Connection, member_id: int | None) -> list[Order]:
    """A member's orders that have not ended, or everybody's, newest first."""
    return _many(
        connection,
        f"{OPEN} AND (? IS NULL OR member_id = ?) ORDER BY id DESC",
        member_id,
        member_id,
    )


def newest_of(connection: sqlite3.Connection, member_id: int, limit: int) -> list[Order]:
    """A member's newest orders, ended or not."""
    return _many(connection, "member_id = ? ORDER BY id DESC LIMIT ?", member_id, limit)


@dataclass(frozen=True, slots=True)
class Sought:
    """Which orders are looked for: booked from `first` to `last` (`2026-03-14`), of one member, placed in one chat.

    `words` are a part of the note, the platform, the country or the member's name; `digits` a part of the phone number,
    or the order's own one. None and the empty text narrow nothing.
    """

    first: str
    last: str
    member_id: int | None = None
    chat_id: int | None = None
    words: str = ""
    digits: str = ""

    @property
    def values(self) -> dict[str, str | int | None]:
        """The parameters of `_SOUGHT`."""
        literal = re.sub(r"([\\%_])", r"\\\1", self.words)
        return {
            "first": self.first,
            "last": self.last,
            "member": self.member_id,
            "chat": self.chat_id,
            "words": f"%{literal}%" if literal else None,
            "digits": f"%{self.digits}%" if self.digits else None,
            "number": int(self.digits) if self.digits else None,
        }


_SOUGHT: Final = (
    "day BETWEEN :first AND :last AND (:member IS NULL OR member_id = :member) AND (:chat IS NULL OR chat_id = :chat)"
    " AND (:words IS NULL OR note LIKE :words ESCAPE '\\' OR platform LIKE :words ESCAPE '\\'"
    "  OR country LIKE :words ESCAPE '\\' OR id = :number OR phone_number LIKE :digits"
    "  OR member_id IN (SELECT user_id FROM members WHERE name LIKE :words ESCAPE '\\'))"
)


def found(connection: sqlite3.Connection, sought: Sought, limit: int, offset: int) -> list[Order]:
    """A page of the orders that are looked for, the newest first."""
    rows = connection.execute(
        f"SELECT * FROM orders WHERE {_SOUGHT} ORDER BY id DESC LIMIT :limit OFFSET :offset",
        {**sought.values, "limit": limit, "offset": offset},
    )
    return [_order(row) for row in rows]


def totals(connection: sqlite3.Connection, sought: Sought) -> tuple[int, int]:
    """How many orders are found, and what they cost (IDR) without what came back."""
    (count, spent) = connection.execute(
        f"SELECT count(*), coalesce(sum(charged - refunded), 0) FROM orders WHERE {_SOUGHT}", sought.values
    ).fetchone()
    return int(count), int(spent)


def popularity(connection: sqlite3.Connection, platform: str | None = None) -> dict[str, int]:
    """How often the team has ordered each platform, or each country for one platform, among its latest orders."""
    column = "platform" if platform is None else "country"
    rows = connection.execute(
        f"SELECT {column} AS name, count(*) AS times FROM (SELECT platform, country FROM orders"
        " WHERE state <> 'refused' ORDER BY id DESC LIMIT ?) WHERE ? IS NULL OR platform = ? GROUP BY name",
        (_RECENT, platform, platform),
    )
    return {row["name"]: row["times"] for row in rows}


def waits(connection: sqlite3.Connection, newest: int, now: int) -> list[Wait]:
    """How long each of so many newest orders waited for its first SMS, or has waited until now."""
    rows = connection.execute(
        "SELECT o.platform, o.country, o.placed_at, o.ended_at,"
        " (SELECT min(seen_at) FROM sms WHERE sms.order_id = o.id) AS first_sms"
        " FROM orders o WHERE o.placed_at IS NOT NULL AND o.id > (SELECT max(id) FROM orders) - ?",
        (newest,),
    )
    return [
        Wait(
            (row["platform"], row["country"]),
            max(0.0, ((row["first_sms"] or row["ended_at"] or now) - row["placed_at"]) / 1000),
            came=row["first_sms"] is not None,
        )
        for row in rows
    ]


def latest_sms(connection: sqlite3.Connection, order_id: int) -> Sms | None:
    """The newest SMS of an order; its code and text are None once purged."""
    row = connection.execute(
        "SELECT revision, code, text FROM sms WHERE order_id = ? ORDER BY revision DESC LIMIT 1", (order_id,)
    ).fetchone()
    return Sms(**row) if row else None


def overtaken(connection: sqlite3.Connection, order_id: int, asked_at: int) -> frozenset[str]:
    """All codes of an order, if one of them was booked at that moment (unix ms) or later; else none."""
    rows = connection.execute(
        "SELECT code FROM sms WHERE order_id = ?1 AND code IS NOT NULL"
        " AND EXISTS (SELECT 1 FROM sms WHERE order_id = ?1 AND seen_at >= ?2)",
        (order_id, asked_at),
    )
    return frozenset(row["code"] for row in rows)


def sms(connection: sqlite3.Connection, order_id: int, revision: int) -> Sms | None:
    """One SMS of an order."""
    row = connection.execute(
        "SELECT revision, code, text FROM sms WHERE order_id = ? AND revision = ?", (order_id, revision)
    ).fetchone()
    return Sms(**row) if row else None


def add_sms(connection: sqlite3.Connection, order_id: int, message: Sms, now: int) -> None:
    """Keep an SMS that was not known before."""
    connection.execute(
        "INSERT INTO sms (order_id, revision, code, text, seen_at) VALUES (?, ?, ?, ?, ?)",
        (order_id, message.revision, message.code, message.text, now),
    )


def purge_codes(connection: sqlite3.Connection, seen_before: int) -> int:
    """Forget codes and texts seen before that moment, of ended orders only; return how many SMS that were.

    With `secure_delete` on, SQLite overwrites them on disk. A live order keeps its newest code, which is what tells a
    second SMS from the same one shown again. A code that still waits for its chat is kept until it has arrived.
    """
    return connection.execute(
        "UPDATE sms SET code = NULL, text = NULL, purged = 1 WHERE purged = 0 AND seen_at < ?"
        " AND EXISTS (SELECT 1 FROM orders WHERE orders.id = sms.order_id AND orders.ended_at IS NOT NULL)"
        " AND NOT EXISTS (SELECT 1 FROM outbox WHERE state <> 'sent' AND state IN ('pending', 'sending')"
        "  AND outbox.order_id = sms.order_id AND outbox.revision = sms.revision)",
        (seen_before,),
    ).rowcount


def milliseconds(remote: RemoteOrder) -> int | None:
    """When the order expires, in unix milliseconds, if SMSCode says so."""
    return round(remote.expires_at.timestamp() * 1000) if remote.expires_at else None


def _first(connection: sqlite3.Connection, condition: str, value: str | int) -> Order | None:
    found = _many(connection, condition, value)
    return found[0] if found else None


def _many(connection: sqlite3.Connection, condition: str, *values: str | int | None) -> list[Order]:
    rows = connection.execute(f"SELECT * FROM orders WHERE {condition}", values)
    return [_order(row) for row in rows]


def _order(row: sqlite3.Row) -> Order:
    values = dict(row)
    values["state"] = OrderState(values["state"])
    values["refund_assumed"] = bool(values["refund_assumed"])
    values["needs_admin"] = bool(values["needs_admin"])
    values["refund_open"] = bool(values["refund_open"])
    values["policy"] = Policy(values["policy"])
    values["allowed"] = _read(values["allowed"])
    return Order(**values)


def _written(allowed: Allowed | None) -> str | None:
    if allowed is None:
        return None
    moments = (_unix(allowed.cancel_from), _unix(allowed.resend_from))
    return json.dumps([allowed.cancel, allowed.finish, allowed.resend, allowed.reactivate, *moments])


def _read(written: str | None) -> Allowed | None:
    if written is None:
        return None
    cancel, finish, resend, reactivate, cancel_from, resend_from = json.loads(written)
    return Allowed(cancel, finish, resend, reactivate, _moment(cancel_from), _moment(resend_from))


def _unix(moment: datetime | None) -> int | None:
    return round(moment.timestamp()) if moment else None


def _moment(unix: int | None) -> datetime | None:
    return datetime.fromtimestamp(unix, UTC) if unix is not None else None


def _inserted_id(cursor: sqlite3.Cursor) -> int:
    assert cursor.lastrowid is not None  # noqa: S101 (an INSERT always has one)
    return cursor.lastrowid
