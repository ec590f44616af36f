"""Orders as they are kept: every field, every step of their life, and codes that are really forgotten."""

import random
import sqlite3
from collections.abc import Callable
from contextlib import closing
from dataclasses import asdict, fields
from datetime import UTC, datetime
from itertools import count
from pathlib import Path

import pytest

from bot.domain.access import Role
from bot.domain.limits import Window
from bot.domain.notices import Notice, NoticeKind
from bot.domain.orders import Allowed, OrderState, RemoteOrder, RemoteStatus, Sms
from storage import approvals, ledger, members, orders, outbox
from storage.approvals import Ask
from storage.orders import Intent, Order, Request
from tests.storage import rows
from tests.storage.rows import ANA, BEN, GROUP, NOW, TODAY, reserved, running, sent, undone_if_refused, waiting


def order(connection: sqlite3.Connection, order_id: int) -> Order:
    found = orders.get(connection, order_id)
    assert found is not None
    return found


def an_approval(connection: sqlite3.Connection) -> int:
    request = Request("update-9", BEN, GROUP, 7, "telegram", "id,us", 5000, "")
    return approvals.insert(connection, Ask(request, "update-9", 1, "id", 5000), NOW, NOW + 1)


def test_a_new_order_comes_back_as_it_went_in(connection: sqlite3.Connection) -> None:
    request = Request("update-9", BEN, GROUP, 7, "telegram", "id,us", 5000, "für Ana")
    intent = Intent(1, "id", "Telegram ID", 1200, "update-9-1", '{"product_id": 42}')
    order_id = orders.insert(connection, request, TODAY, intent, NOW)
    found = order(connection, order_id)
    assert {name: getattr(found, name) for name in asdict(request)} == asdict(request)
    assert {name: getattr(found, name) for name in asdict(intent)} == asdict(intent)
    assert (found.id, found.state, found.window, found.created_at) == (order_id, OrderState.RESERVED, TODAY, NOW)
    assert (found.held, found.charged, found.refunded, found.refund_assumed, found.needs_admin) == (
        0,
        0,
        0,
        False,
        False,
    )
    untouched = {field.name for field in fields(Order)} - asdict(request).keys() - asdict(intent).keys()
    assert {name for name in untouched if getattr(found, name) is None} == {
        "balance_before",
        "remote_id",
        "phone_number",
        "remote_status",
        "expires_at",
        "card_message_id",
        "error",
        "sent_at",
        "placed_at",
        "ended_at",
        "allowed",
        "cancel_from",
    }


def test_every_column_is_a_field_and_every_field_a_column(connection: sqlite3.Connection) -> None:
    """Each column gets a value of its own, so that two of them cannot be swapped unseen."""
    order_id = waiting(connection)
    numbers = count(1000)
    values: dict[str, object] = {}
    for column in connection.execute("PRAGMA table_info(orders)").fetchall():
        values[column["name"]] = next(numbers) if column["type"] == "INTEGER" else f"text {next(numbers)}"
    values |= {"id": order_id, "member_id": ANA, "state": "completed", "refund_assumed": 1, "needs_admin": 1, "held": 0}
    values |= {"refunded": 3, "charged": 4, "reactivates": order_id, "refund_open": 1, "policy": "best_success"}
    values |= {"allowed": "[true, false, true, false, 1773464400, null]", "approval_id": an_approval(connection)}
    assignments = ", ".join(f"{name} = :{name}" for name in values)
    connection.execute(f"UPDATE orders SET {assignments}", values)  # noqa: S608 (the names are the schema's own)
    found = order(connection, order_id)
    assert [field.name for field in fields(Order)] == list(values)
    allowed = Allowed(cancel=True, resend=True, cancel_from=datetime(2026, 3, 14, 5, 0, tzinfo=UTC))
    switches = {"refund_assumed": True, "needs_admin": True, "refund_open": True}
    assert asdict(found) == {**values, **switches, "allowed": asdict(allowed)}
    assert found.allowed == allowed
    assert found.state is OrderState.COMPLETED


def test_an_order_on_its_way_to_its_number(connection: sqlite3.Connection) -> None:
    order_id = sent(connection, 1000)
    found = order(connection, order_id)
    assert (found.state, found.balance_before, found.sent_at, found.held) == (OrderState.SENT, 50_000, NOW + 1, 1000)
    ledger.settle(connection, order_id, 1000, NOW)
    remote = rows.remote("ord_1")
    orders.mark_placed(connection, order_id, remote, NOW + 2)
    orders.keep_card(connection, order_id, 99)
    found = order(connection, order_id)
    assert (found.state, found.remote_id, found.phone_number) == (OrderState.WAITING, "ord_1", "+628123456789")
    assert (found.remote_status, found.placed_at, found.card_message_id) == ("WAITING", NOW + 2, 99)
    assert found.expires_at == orders.milliseconds(remote) == NOW + 20 * 60 * 1000


def test_an_order_that_is_unclear_may_still_turn_out_placed(connection: sqlite3.Connection) -> None:
    order_id = sent(connection)
    orders.mark_unknown(connection, order_id, "cut off")
    assert (order(connection, order_id).state, order(connection, order_id).error) == (OrderState.UNKNOWN, "cut off")
    assert [found.id for found in orders.unclear(connection)] == [order_id]
    assert orders.mark_needs_admin(connection, order_id)
    assert not orders.mark_needs_admin(connection, order_id)
    assert order(connection, order_id).needs_admin
    ledger.settle(connection, order_id, 1000, NOW)
    orders.mark_placed(connection, order_id, rows.remote("r"), NOW)
    assert (order(connection, order_id).state, order(connection, order_id).error) == (OrderState.WAITING, None)


def test_an_unclear_order_that_was_charged_ends(connection: sqlite3.Connection) -> None:
    order_id = sent(connection)
    orders.mark_unknown(connection, order_id, "cut off")
    orders.mark_needs_admin(connection, order_id)
    ledger.settle(connection, order_id, 1000, NOW)
    orders.mark_charged(connection, order_id, NOW + 5)
    found = order(connection, order_id)
    assert (found.state, found.needs_admin, found.ended_at) == (OrderState.CHARGED, False, NOW + 5)


def refused(connection: sqlite3.Connection) -> int:
    order_id = sent(connection)
    ledger.release(connection, order_id, "refused", NOW)
    orders.mark_refused(connection, order_id, "PRODUCT_UNAVAILABLE", NOW + 5)
    return order_id


def test_a_refused_order_may_be_tried_again_as_if_it_were_new(connection: sqlite3.Connection) -> None:
    order_id = refused(connection)
    before = order(connection, order_id)
    assert (before.state, before.error, before.ended_at) == (OrderState.REFUSED, "PRODUCT_UNAVAILABLE", NOW + 5)
    tomorrow, intent = Window("2026-03-15", "2026-03"), Intent(2, "us", "WhatsApp US", 700, "request-x", "{}")
    orders.retry(connection, order_id, tomorrow, intent)
    found = order(connection, order_id)
    assert (found.state, found.window) == (OrderState.RESERVED, tomorrow)
    assert {name: getattr(found, name) for name in asdict(intent)} == asdict(intent)
    assert (found.balance_before, found.sent_at, found.ended_at, found.error) == (None, None, None, None)
    assert (found.command_key, found.note) == (before.command_key, before.note)


@pytest.mark.parametrize("make", [reserved, sent, waiting])
def test_no_other_order_is_ever_tried_again(
    connection: sqlite3.Connection, make: Callable[[sqlite3.Connection], int]
) -> None:
    order_id = make(connection)
    before = order(connection, order_id)
    with pytest.raises(ValueError, match="not one whose last attempt was refused"):
        orders.retry(connection, order_id, TODAY, rows.intent())
    assert order(connection, order_id) == before


def test_a_look_keeps_what_it_does_not_show(connection: sqlite3.Connection) -> None:
    order_id = waiting(connection)
    orders.mark_needs_admin(connection, order_id)
    placed = order(connection, order_id)
    orders.mark_observed(connection, order_id, OrderState.WAITING, RemoteOrder("r", "ODD", None), NOW + 5)
    found = order(connection, order_id)
    assert (found.phone_number, found.expires_at) == (placed.phone_number, placed.expires_at)
    assert (found.remote_status, found.needs_admin, found.ended_at) == ("ODD", False, None)


def test_an_order_ends_once(connection: sqlite3.Connection) -> None:
    order_id = waiting(connection)
    remote = rows.remote("r", RemoteStatus.COMPLETED)
    orders.mark_observed(connection, order_id, OrderState.COMPLETED, remote, NOW + 5)
    orders.mark_observed(connection, order_id, OrderState.COMPLETED, remote, NOW + 6)
    assert (order(connection, order_id).state, order(connection, order_id).ended_at) == (OrderState.COMPLETED, NOW + 5)
    decided = waiting(connection)
    orders.mark_needs_admin(connection, decided)
    orders.mark_ended(connection, decided, OrderState.CANCELED, NOW + 7)
    found = order(connection, decided)
    assert (found.state, found.needs_admin, found.ended_at) == (OrderState.CANCELED, False, NOW + 7)


def test_orders_are_found_by_what_is_asked_of_them(connection: sqlite3.Connection) -> None:
    first, second, third = reserved(connection), sent(connection, member_id=BEN), waiting(connection)
    unclear, received, over = sent(connection), waiting(connection), waiting(connection)
    orders.mark_unknown(connection, unclear, "x")
    orders.mark_observed(connection, received, OrderState.RECEIVED, rows.remote("x"), NOW)
    orders.mark_observed(connection, over, OrderState.EXPIRED, rows.remote("x"), NOW)

    def numbers(found: list[Order]) -> list[int]:
        return [one.id for one in found]

    assert numbers(orders.interrupted(connection)) == [first, second]
    assert numbers(orders.watched(connection)) == [third, received]
    assert numbers(orders.unclear(connection)) == [unclear]
    assert numbers(orders.open_of(connection, None)) == [received, unclear, third, second, first]
    assert numbers(orders.open_of(connection, BEN)) == [second]
    assert numbers(orders.newest_of(connection, ANA, 2)) == [over, received]
    assert orders.get(connection, 404) is None


def test_an_order_is_found_by_its_command_and_by_its_messages(connection: sqlite3.Connection) -> None:
    order_id = waiting(connection)
    assert orders.by_command(connection, order(connection, order_id).command_key) == order(connection, order_id)
    assert orders.by_command(connection, "another") is None
    outbox.put(connection, Notice(NoticeKind.NUMBER, GROUP, "card", order_id=order_id), NOW)
    outbox.put(connection, Notice(NoticeKind.TEXT, GROUP, "talk"), NOW)
    for letter, message in ((1, 77), (2, 78)):
        outbox.delivered(connection, letter, message, NOW)
    assert orders.by_card(connection, GROUP, 77) == order(connection, order_id)
    assert orders.by_card(connection, GROUP, 78) is None
    assert orders.by_card(connection, 5, 77) is None


# SMS


def test_sms_are_found_by_number_and_the_newest_by_itself(connection: sqlite3.Connection) -> None:
    order_id = waiting(connection)
    assert orders.latest_sms(connection, order_id) is None
    for message in (Sms(2, "222", "your code is 222"), Sms(10, None, "ten"), Sms(9, "999")):
        orders.add_sms(connection, order_id, message, NOW)
    assert orders.latest_sms(connection, order_id) == Sms(10, None, "ten")
    assert orders.sms(connection, order_id, 2) == Sms(2, "222", "your code is 222")
    assert orders.sms(connection, order_id, 3) is None
    assert orders.sms(connection, order_id + 1, 2) is None


def test_only_old_codes_of_ended_orders_are_purged_and_only_once(connection: sqlite3.Connection) -> None:
    live, over = waiting(connection), waiting(connection)
    orders.mark_observed(connection, over, OrderState.COMPLETED, rows.remote("x"), NOW)
    for order_id in (live, over):
        orders.add_sms(connection, order_id, Sms(1, "111", "one"), NOW)
        orders.add_sms(connection, order_id, Sms(2, "222", "two"), NOW + 1)
    assert orders.purge_codes(connection, NOW) == 0
    assert orders.purge_codes(connection, NOW + 1) == 1
    assert orders.purge_codes(connection, NOW + 1) == 0
    assert orders.sms(connection, over, 1) == Sms(1, None, None)
    assert orders.sms(connection, over, 2) == Sms(2, "222", "two")
    assert orders.sms(connection, live, 1) == Sms(1, "111", "one")


MARK = b"SECRET"


def raw(path: Path) -> bytes:
    """Every byte that SQLite keeps on disk for that database."""
    beside = [path, *(path.with_name(path.name + suffix) for suffix in ("-journal", "-wal", "-shm"))]
    return b"".join(part.read_bytes() for part in beside if part.exists())


async def test_a_purged_code_is_nowhere_on_disk(tmp_path: Path) -> None:
    path = tmp_path / "desk.db"
    async with running(path) as desk:

        def keep(connection: sqlite3.Connection) -> None:
            members.allow(connection, ANA, "Ana", Role.OPERATOR, ANA, NOW)
            order_id = waiting(connection)
            orders.add_sms(connection, order_id, Sms(1, "SECRET-1", "SECRET-1 is your code"), NOW)
            orders.mark_observed(connection, order_id, OrderState.COMPLETED, rows.remote("x"), NOW)

        await desk.transact(keep)
        assert MARK in raw(path)
        assert await desk.transact(lambda connection: orders.purge_codes(connection, NOW + 1)) == 1
        await desk.shrink_journal()
        assert MARK not in raw(path)
    assert MARK not in raw(path)


@pytest.mark.parametrize("journal_mode", ["TRUNCATE", "WAL"])
@pytest.mark.parametrize("longest", [1, 80, 900])
def test_codes_leave_no_trace_after_much_moving_about(journal_mode: str, longest: int, tmp_path: Path) -> None:
    """Pages that split and merge copy rows; none of the copies may survive either."""
    dice, path = random.Random(longest), tmp_path / "desk.db"
    with closing(rows.opened(path)) as connection:
        connection.execute(f"PRAGMA journal_mode = {journal_mode}")
        with undone_if_refused(connection):
            numbers = [waiting(connection) for _ in range(60)]
        for moment in range(300):
            with undone_if_refused(connection):
                order_id, code = dice.choice(numbers), f"SECRET{moment:06d}"
                latest = orders.latest_sms(connection, order_id)
                message = Sms(latest.revision + 1 if latest else 1, code, code * dice.randint(1, longest))
                orders.add_sms(connection, order_id, message, moment)
                if dice.random() < 0.1:
                    orders.mark_ended(connection, dice.choice(numbers), OrderState.COMPLETED, NOW)
                if dice.random() < 0.05:
                    orders.purge_codes(connection, moment)
        assert MARK in raw(path)
        with undone_if_refused(connection):
            for order_id in numbers:
                orders.mark_ended(connection, order_id, OrderState.COMPLETED, NOW)
            orders.purge_codes(connection, NOW)
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        assert MARK not in raw(path)
