"""Requests for somebody else's yes: what was asked for, at which price, and how it was answered.

open ──► approved ──► placed | failed | dearer (asked again as the next round)
  ├────► declined
  ├────► withdrawn
  └────► expired     (an approved one expires too, if it was not bought in time)
"""

import sqlite3
from dataclasses import dataclass
from enum import StrEnum

from bot.domain.orders import Policy
from storage.orders import Request


class ApprovalState(StrEnum):
    """Where a request stands."""

    OPEN = "open"
    APPROVED = "approved"
    DECLINED = "declined"
    WITHDRAWN = "withdrawn"
    EXPIRED = "expired"
    PLACED = "placed"
    FAILED = "failed"
    DEARER = "dearer"


@dataclass(frozen=True, slots=True)
class Ask:
    """What to ask for: the request, and the offer that is too dear to be decided alone (IDR).

    `root_key` names the command that asked first, `round` counts the prices asked for since.
    """

    request: Request
    root_key: str
    round: int
    country: str
    price: int
    product: str = ""


@dataclass(frozen=True, slots=True)
class Approval:
    """A request's row. Times are unix milliseconds, money is IDR."""

    id: int
    command_key: str
    round: int
    member_id: int
    chat_id: int
    thread_id: int | None
    platform: str
    countries: str
    max_price: int | None
    note: str
    policy: Policy
    operator: str
    reactivates: int | None
    country: str
    product: str
    price: int
    state: ApprovalState
    asked_at: int
    expires_at: int
    answered_by: int | None
    answer_key: str | None
    closed_at: int | None

    @property
    def order_key(self) -> str:
        """The command key of the one order that this approval may lead to."""
        return f"{self.command_key}-ok{self.round}"

    def covers(self, member_id: int, price: int, now: int) -> bool:
        """Whether it is a yes, in force, to that member's order at that price."""
        return (
            self.state is ApprovalState.APPROVED
            and self.member_id == member_id
            and price <= self.price
            and now < self.expires_at
        )


def insert(connection: sqlite3.Connection, ask: Ask, now: int, expires_at: int) -> int:
    """Keep a new request as `open`; return its number."""
    request = ask.request
    row = connection.execute(
        "INSERT INTO approvals (command_key, round, member_id, chat_id, thread_id, platform, countries, max_price,"
        " note, policy, operator, reactivates, country, product, price, asked_at, expires_at)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) RETURNING id",
        (
            ask.root_key,
            ask.round,
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
            ask.country,
            ask.product,
            ask.price,
            now,
            expires_at,
        ),
    ).fetchone()
    return int(row["id"])


def get(connection: sqlite3.Connection, approval_id: int) -> Approval | None:
    """The request by its number."""
    found = _many(connection, "id = ?", approval_id)
    return found[0] if found else None


def by_command(connection: sqlite3.Connection, command_key: str, number: int) -> Approval | None:
    """The request that a command has led to in that round."""
    found = _many(connection, "command_key = ? AND round = ?", command_key, number)
    return found[0] if found else None


def waiting(connection: sqlite3.Connection, now: int) -> list[Approval]:
    """Every request that may still be answered at `now`, the oldest first."""
    return _many(connection, "state = 'open' AND expires_at > ? ORDER BY id", now)


def overdue(connection: sqlite3.Connection, now: int) -> list[Approval]:
    """Every request whose time was over before it was answered, or before what was approved was bought."""
    return _many(connection, "state IN ('open', 'approved') AND expires_at <= ? ORDER BY id", now)


def answer(
    connection: sqlite3.Connection, approval_id: int, state: ApprovalState, member_id: int, key: str, now: int
) -> bool:
    """Answer an open request whose time is not over, once; say whether this answer is the one that counts."""
    answered = connection.execute(
        "UPDATE approvals SET state = ?, answered_by = ?, answer_key = ?,"
        " closed_at = CASE WHEN ? = 'approved' THEN NULL ELSE ? END"
        " WHERE id = ? AND state = 'open' AND expires_at > ?",
        (state, member_id, key, state, now, approval_id, now),
    )
    return answered.rowcount == 1


def close(
    connection: sqlite3.Connection, approval_id: int, before: ApprovalState, after: ApprovalState, now: int
) -> bool:
    """Bring a request to its end; say whether it was still where it was thought to be."""
    closed = connection.execute(
        "UPDATE approvals SET state = ?, closed_at = ? WHERE id = ? AND state = ?", (after, now, approval_id, before)
    )
    return closed.rowcount == 1


def _many(connection: sqlite3.Connection, condition: str, *values: str | int) -> list[Approval]:
    rows = connection.execute(f"SELECT * FROM approvals WHERE {condition}", values)
    return [
        Approval(**{**dict(row), "state": ApprovalState(row["state"]), "policy": Policy(row["policy"])}) for row in rows
    ]
