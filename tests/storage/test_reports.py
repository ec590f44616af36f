"""What the reports read: right against the plain way to count, and from an index however many orders there are."""

import json
import sqlite3
from collections.abc import Callable
from typing import Any

import pytest

from bot.domain.orders import Sms
from storage import audit, members, orders, outbox, reports
from storage.reports import Place, Question
from tests.storage.rows import ANA, BEN, NOW, TODAY, reserved, sent, waiting

Ask = Callable[[sqlite3.Connection], Any]
NUMBER = "628123456789"

QUESTIONS: dict[str, Ask] = {
    "spending": lambda connection: reports.spending(connection, TODAY.day),
    "count": lambda connection: reports.count_orders(connection, "2026-03-01", "2026-03-31"),
    "export": lambda connection: reports.export_page(connection, TODAY.day, 3, 100),
    "number": lambda connection: reports.with_number(connection, [NUMBER, "62812"], 10),
    "audit of a window": lambda connection: _page(connection, Question(begins=NOW, ends=NOW + 9)),
    "audit of a person": lambda connection: _page(connection, Question(person=ANA)),
    "audit of a person and a window": lambda connection: _page(connection, Question(person=ANA, begins=NOW, ends=NOW)),
    "audit of an order": lambda connection: _page(connection, Question(orders=(1, 2))),
    "codes in chats": lambda connection: outbox.codes_in_chats(connection, NOW, 10),
    "cancels of a day": lambda connection: audit.count(connection, ANA, "order.cancel", NOW),
}


def _page(connection: sqlite3.Connection, asked: Question, behind: Place | None = None) -> list[reports.Told]:
    return reports.audit_page(connection, asked, behind, 4)


@pytest.mark.parametrize("question", QUESTIONS)
def test_no_table_that_grows_is_read_from_end_to_end(connection: sqlite3.Connection, question: str) -> None:
    statements: list[str] = []
    connection.set_trace_callback(statements.append)
    QUESTIONS[question](connection)
    connection.set_trace_callback(None)
    asked = [statement for statement in statements if statement.lstrip().startswith("SELECT")]
    assert asked
    plans = [str(row["detail"]) for statement in asked for row in connection.execute(f"EXPLAIN QUERY PLAN {statement}")]
    assert [
        step
        for step in plans
        if step.startswith(("SCAN orders", "SCAN audit", "SCAN sms", "SCAN entry", "SCAN outbox"))
    ] == []
    assert any("USING" in step for step in plans)


def test_the_newest_lines_of_all_are_read_off_their_index_too(connection: sqlite3.Connection) -> None:
    plan = connection.execute("EXPLAIN QUERY PLAN SELECT * FROM audit ORDER BY at DESC, id DESC LIMIT 5").fetchall()
    assert [row["detail"] for row in plan] == ["SCAN audit USING INDEX audit_at"]


def test_spending_tells_what_was_placed_what_waits_and_how_fast(connection: sqlite3.Connection) -> None:
    fast, slow = waiting(connection), waiting(connection, 2000)
    waiting(connection)
    sent(connection, 700)
    for order_id, seconds in ((fast, 12), (slow, 40)):
        orders.add_sms(connection, order_id, Sms(1, "123456", "code"), NOW + 2 + seconds * 1000)
        connection.execute("UPDATE orders SET state = 'received' WHERE id = ?", (order_id,))
    orders.add_sms(connection, fast, Sms(2, "123456", "again"), NOW + 90_000)
    reserved(connection, member_id=BEN)
    found = {(some.member_id, some.seconds): some for some in reports.spending(connection, TODAY.day)}
    assert (found[ANA, 12].placed, found[ANA, 12].spent) == (1, 1000)
    assert (found[ANA, 40].placed, found[ANA, 40].spent) == (1, 2000)
    rest = found[ANA, None]
    assert (rest.placed, rest.waiting, rest.spent, rest.held) == (1, 1, 1000, 700)
    assert (found[BEN, None].placed, found[BEN, None].spent) == (0, 0)
    assert reports.spending(connection, "2026-03-13") == []
    assert sum(some.spent for some in found.values()) == 4000


def test_a_code_older_than_its_order_counts_as_instant(connection: sqlite3.Connection) -> None:
    orders.add_sms(connection, waiting(connection), Sms(1, "1", None), NOW - 60_000)
    assert [some.seconds for some in reports.spending(connection, TODAY.day)] == [0]


def test_an_export_comes_in_pages_and_holds_no_secret(connection: sqlite3.Connection) -> None:
    numbers = [waiting(connection) for _ in range(7)]
    orders.add_sms(connection, numbers[0], Sms(1, "847291", "Your code is 847291"), NOW + 5000)
    found: list[reports.Row] = []
    while page := reports.export_page(connection, TODAY.day, int(found[-1]["id"] or 0) if found else 0, 3):
        found += page
    assert [row["id"] for row in found] == numbers
    assert reports.count_orders(connection, TODAY.day, TODAY.day) == 7
    assert reports.days_with_orders(connection) == (TODAY.day, TODAY.day)
    assert (found[0]["seconds"], found[0]["messages"], found[0]["member"]) == (4, 1, "Ana")
    assert not {"code", "text", "request_body", "request_key", "command_key", "remote_id"} & found[0].keys()
    assert "847291" not in json.dumps(found)


def test_no_orders_have_no_days(connection: sqlite3.Connection) -> None:
    assert reports.days_with_orders(connection) is None


def test_the_audit_pages_through_everything_once_whatever_the_clock_did(connection: sqlite3.Connection) -> None:
    order_id = waiting(connection)
    for number in range(23):
        at = NOW + (number * 7919) % 11  # several lines share a moment, and later ones are dated earlier
        actor, subject = (ANA, BEN) if number % 2 else (BEN, None)
        audit.write(connection, at, actor, "desk.pause", subject=subject, order_id=order_id if number % 3 else None)
    everything = sorted(
        (row["at"], row["id"], row["actor_id"], row["subject"], row["order_id"])
        for row in connection.execute("SELECT * FROM audit")
    )[::-1]

    def walk(asked: Question) -> list[tuple[int, int]]:
        seen: list[tuple[int, int]] = []
        behind = None
        while page := _page(connection, asked, behind):
            behind = Place(page[-1].line.at, page[-1].line.id)
            seen += [(told.line.at, told.line.id) for told in page]
        return seen

    assert walk(Question()) == [row[:2] for row in everything]
    assert walk(Question(person=BEN)) == [row[:2] for row in everything if BEN in row[2:4]]
    assert walk(Question(orders=(order_id,))) == [row[:2] for row in everything if row[4] == order_id]
    window = Question(person=ANA, begins=NOW + 3, ends=NOW + 8)
    assert walk(window) == [row[:2] for row in everything if row[2] == ANA and NOW + 3 <= row[0] < NOW + 8]
    (told, *_) = reports.audit_page(connection, Question(orders=(order_id,)), None, 1)
    assert told.order is not None
    assert (told.order["note"], told.order["phone_number"]) == ("test run 12", f"+{NUMBER}")


def test_a_number_is_found_with_and_without_its_plus(connection: sqlite3.Connection) -> None:
    with_plus, without = waiting(connection), waiting(connection)
    connection.execute("UPDATE orders SET phone_number = ? WHERE id = ?", (NUMBER, without))
    assert reports.with_number(connection, [NUMBER], 10) == [without, with_plus]
    assert reports.with_number(connection, [NUMBER[1:]], 10) == []


def test_everybody_keeps_a_name(connection: sqlite3.Connection) -> None:
    members.revoke(connection, BEN)
    assert members.names(connection) == {ANA: "Ana", BEN: "Ben"}
