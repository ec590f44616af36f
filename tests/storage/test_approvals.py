"""Requests for a yes: answered once, in time, by somebody else, for one order."""

import sqlite3
from itertools import count

import pytest
from hypothesis import given
from hypothesis import strategies as st

from storage import approvals, orders
from storage.approvals import Approval, ApprovalState, Ask
from tests.storage import rows
from tests.storage.rows import ANA, BEN, NOW, TODAY

_keys = count(1)
LONG = 1000


def asked(connection: sqlite3.Connection, price: int = 5000, number: int = 1, key: str = "") -> Approval:
    request = rows.request(ANA)
    approval_id = approvals.insert(
        connection, Ask(request, key or f"root-{next(_keys)}", number, "indonesia", price), NOW, NOW + LONG
    )
    found = approvals.get(connection, approval_id)
    assert found is not None
    return found


def test_a_request_comes_back_as_it_went_in_and_once_a_round(connection: sqlite3.Connection) -> None:
    first = asked(connection, key="root")
    assert (first.member_id, first.price, first.state, first.order_key) == (ANA, 5000, ApprovalState.OPEN, "root-ok1")
    assert (first.platform, first.countries, first.note, first.thread_id) == (
        "whatsapp",
        "indonesia\nus",
        "test run 12",
        7,
    )
    with pytest.raises(sqlite3.IntegrityError):
        asked(connection, key="root")
    second = asked(connection, key="root", number=2)
    assert approvals.by_command(connection, "root", 2) == second
    assert approvals.by_command(connection, "root", 3) is None
    assert [approval.id for approval in approvals.waiting(connection, NOW)] == [first.id, second.id]


@pytest.mark.parametrize("state", [ApprovalState.APPROVED, ApprovalState.DECLINED])
def test_the_first_answer_counts(connection: sqlite3.Connection, state: ApprovalState) -> None:
    approval = asked(connection)
    assert approvals.answer(connection, approval.id, state, BEN, "update-1", NOW)
    for later in (ApprovalState.APPROVED, ApprovalState.DECLINED, ApprovalState.WITHDRAWN):
        assert not approvals.answer(connection, approval.id, later, BEN, "update-2", NOW)
    answered = approvals.get(connection, approval.id)
    assert answered is not None
    assert (answered.state, answered.answered_by, answered.answer_key) == (state, BEN, "update-1")
    assert (answered.closed_at is None) == (state is ApprovalState.APPROVED)
    assert approvals.waiting(connection, NOW) == []


def test_a_request_is_over_at_its_moment(connection: sqlite3.Connection) -> None:
    approval = asked(connection)
    assert approvals.overdue(connection, NOW + LONG - 1) == []
    assert not approvals.answer(connection, approval.id, ApprovalState.APPROVED, BEN, "k", NOW + LONG)
    assert approvals.waiting(connection, NOW + LONG) == []
    assert approvals.overdue(connection, NOW + LONG) == [approval]
    assert approvals.close(connection, approval.id, ApprovalState.OPEN, ApprovalState.EXPIRED, NOW + LONG)
    assert not approvals.close(connection, approval.id, ApprovalState.OPEN, ApprovalState.EXPIRED, NOW + LONG)
    assert approvals.overdue(connection, NOW + LONG) == []


def test_the_schema_lets_nobody_answer_themselves(connection: sqlite3.Connection) -> None:
    approval = asked(connection)
    for state in (ApprovalState.APPROVED, ApprovalState.DECLINED):
        with pytest.raises(sqlite3.IntegrityError):
            approvals.answer(connection, approval.id, state, ANA, "k", NOW)
    assert approvals.answer(connection, approval.id, ApprovalState.WITHDRAWN, ANA, "k", NOW)


def test_one_yes_leads_to_one_order(connection: sqlite3.Connection) -> None:
    approval = asked(connection)
    for key in ("one", "two"):
        request = orders.Request(key, ANA, ANA, None, "whatsapp", "indonesia", None, "", approval_id=approval.id)
        if key == "one":
            order_id = orders.insert(connection, request, TODAY, rows.intent(), NOW)
            order = orders.get(connection, order_id)
            assert order is not None
            assert order.approval_id == approval.id
        else:
            with pytest.raises(sqlite3.IntegrityError):
                orders.insert(connection, request, TODAY, rows.intent(), NOW)


@given(
    state=st.sampled_from(ApprovalState),
    member_id=st.sampled_from([ANA, BEN]),
    price=st.integers(0, 10_000),
    asked_for=st.integers(0, 10_000),
    late=st.integers(-5, 5),
)
def test_a_yes_covers_its_member_its_price_and_its_time_and_nothing_else(
    state: ApprovalState, member_id: int, price: int, asked_for: int, late: int
) -> None:
    fields: dict[str, object] = dict.fromkeys(Approval.__dataclass_fields__)
    fields |= {"state": state, "member_id": ANA, "price": price, "expires_at": NOW}
    approval = Approval(**fields)  # type: ignore[arg-type]
    expected = state is ApprovalState.APPROVED and member_id == ANA and asked_for <= price and late < 0
    assert approval.covers(member_id, asked_for, NOW + late) == expected
