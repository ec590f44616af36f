"""A database with a long past: as many orders as asked for, with entries, audit lines and SMS, and with sound books.

    python -m benchmarks.history --orders 1000000 desk.sqlite3

Two hundred members over a year. Each order has three entries: two thirds were settled below what was held and got their
code, one third was canceled and refunded. Letters are there for the last thirty days, as housekeeping leaves them.
"""

import argparse
import contextlib
import sqlite3
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from storage.migrate import migrate

MEMBERS: Final = 200
FIRST_MEMBER: Final = 10_001
DAYS: Final = 365
ENDS: Final = int(datetime(2026, 3, 14, 5, tzinfo=UTC).timestamp() * 1000)
"""The moment at which the past ends; it is noon in Jakarta."""

_DAY_MS: Final = 86_400_000
_LETTERS_FROM: Final = ENDS - 30 * _DAY_MS

_NUMBERS: Final = "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < :orders)"
_FACTS: Final = f"""{_NUMBERS}, made AS (
  SELECT i, {FIRST_MEMBER} + (i * 7919) % {MEMBERS} AS member, i % 3 = 0 AS back,
    {ENDS} - ({DAYS} * {_DAY_MS} / :orders) * (:orders - i) - 3600000 AS at FROM n
), fact AS (
  SELECT *, date(at / 1000 + 25200, 'unixepoch') AS day, substr(date(at / 1000 + 25200, 'unixepoch'), 1, 7) AS month
  FROM made
)"""
_STEPS: Final = (
    f"""INSERT INTO members (user_id, name, role, added_by, added_at)
  WITH RECURSIVE n (i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < {MEMBERS - 1})
  SELECT {FIRST_MEMBER} + i, 'Member ' || i, 'operator', 1, 0 FROM n""",
    f"""INSERT INTO orders (id, command_key, member_id, chat_id, platform, countries, note, state, day, month, attempt,
    country, product, price, request_key, request_body, held, charged, refunded, remote_id, phone_number, remote_status,
    expires_at, card_message_id, created_at, sent_at, placed_at, ended_at) {_FACTS}
  SELECT i, printf('update:%09d', i), member, member,
    CASE i % 4 WHEN 0 THEN 'telegram' WHEN 1 THEN 'google' ELSE 'whatsapp' END, 'indonesia', 'run ' || (i / 50),
    CASE WHEN back THEN 'canceled' ELSE 'completed' END, day, month, 1,
    CASE i % 3 WHEN 0 THEN 'vietnam' ELSE 'indonesia' END, 'WhatsApp ID', 2000, printf('desk-%09d-1', i),
    '{{"catalog_product_id":17,"max_price":2000}}', 0, CASE WHEN back THEN 2000 ELSE 1500 END,
    CASE WHEN back THEN 2000 ELSE 0 END, printf('r%09d', i), printf('+628%010d', i),
    CASE WHEN back THEN 'CANCELED' ELSE 'COMPLETED' END, at + 1200000, i, at, at + 50, at + 400, at + 300000
  FROM fact""",
    """INSERT INTO entry (order_id, member_id, day, month, debit, credit, amount, reason, at)
  SELECT id, member_id, day, month, debit, credit, amount, reason, at FROM (
    SELECT id, member_id, day, month, 'held' AS debit, 'free' AS credit, 2000 AS amount, 'hold' AS reason,
      created_at AS at FROM orders
    UNION ALL SELECT id, member_id, day, month, 'spent', 'held', charged, 'settle', placed_at FROM orders
    UNION ALL SELECT id, member_id, day, month, 'free', CASE WHEN refunded THEN 'spent' ELSE 'held' END,
      CASE WHEN refunded THEN 2000 ELSE 500 END, 'back', ended_at FROM orders) ORDER BY at, id""",
    """INSERT INTO budget (owner, period, cap, settled)
  SELECT member_id, day, 1000000000, sum(charged - refunded) FROM orders GROUP BY 1, 2
  UNION ALL SELECT member_id, month, 1000000000, sum(charged - refunded) FROM orders GROUP BY 1, 2
  UNION ALL SELECT 0, day, 1000000000, sum(charged - refunded) FROM orders GROUP BY 2
  UNION ALL SELECT 0, month, 1000000000, sum(charged - refunded) FROM orders GROUP BY 2""",
    """INSERT INTO sms (order_id, revision, seen_at, purged)
  SELECT id, 1, placed_at + 5000 + (id * 7919) % 90000, 1 FROM orders WHERE state = 'completed'""",
    """INSERT INTO audit (at, actor_id, action, order_id, detail)
  SELECT at, actor, action, id, detail FROM (
    SELECT created_at AS at, member_id AS actor, 'order.place' AS action, id, '{"price": 2000}' AS detail FROM orders
    UNION ALL SELECT placed_at, 0, 'order.code', id, '{"revision": 1}' FROM orders WHERE state = 'completed'
    UNION ALL SELECT ended_at, 0, 'order.' || state, id, '{"refunded": 0}' FROM orders) ORDER BY at""",
    f"""INSERT INTO outbox (dedupe_key, chat_id, kind, urgency, order_id, revision, facts, state, not_before,
    created_at, sent_at, message_id)
  SELECT 'otp:' || id || ':1', chat_id, 'code', 0, id, 1, '{{}}', 'sent', placed_at, placed_at, placed_at, id * 2
    FROM orders WHERE state = 'completed' AND created_at >= {_LETTERS_FROM}
  UNION ALL SELECT 'order:' || id || ':number', chat_id, 'number', 1, id, NULL, '{{}}', 'sent', placed_at, placed_at,
    placed_at, id * 2 + 1 FROM orders WHERE created_at >= {_LETTERS_FROM}""",
)


def make(path: Path, orders: int) -> None:
    """Write the database; what is there already is kept, so the file must be new."""
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("PRAGMA journal_mode = OFF")
        connection.execute("PRAGMA synchronous = OFF")
        connection.execute("PRAGMA cache_size = -200000")
        migrate(connection)
        indexes = connection.execute(
            "SELECT name, sql FROM sqlite_schema WHERE type = 'index' AND sql IS NOT NULL"
        ).fetchall()
        for name, _ in indexes:
            connection.execute(f"DROP INDEX {name}")
        connection.execute("BEGIN")
        for step in _STEPS:
            connection.execute(step, {"orders": orders} if ":orders" in step else {})
        for _, statement in indexes:  # made at once instead of row by row
            connection.execute(statement)
        connection.execute("COMMIT")


def main() -> None:
    """Make the file that the command line names."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--orders", type=int, default=1_000_000)
    parser.add_argument("path", type=Path)
    arguments = parser.parse_args()
    make(arguments.path, arguments.orders)


if __name__ == "__main__":
    main()
