"""Money: every limit to the rupiah, every movement against a plain model, and books that notice tampering."""

import os
import sqlite3
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    MultipleResults,
    RuleBasedStateMachine,
    consumes,
    invariant,
    multiple,
    precondition,
    rule,
)

from bot.domain.errors import LimitReached
from bot.domain.limits import LimitName, Usage, Window
from bot.domain.orders import OrderState
from storage import ledger, members, orders
from storage.members import TEAM
from tests.storage import rows
from tests.storage.rows import ANA, BEN, NO_CAPS, NOW, TODAY, noon, opened, reserved, sent, undone_if_refused, waiting

EXAMPLES = int(os.environ.get("OTPDESK_EXAMPLES", "200"))
STEPS = int(os.environ.get("OTPDESK_STEPS", "30"))

CALENDAR = noon(TODAY.day)
OWNERS = {
    LimitName.DAILY: (ANA, TODAY.day),
    LimitName.MONTHLY: (ANA, TODAY.month),
    LimitName.TEAM_DAILY: (TEAM, TODAY.day),
    LimitName.TEAM_MONTHLY: (TEAM, TODAY.month),
}


def caps(**limits: int) -> dict[LimitName, int]:
    return {**NO_CAPS, **{LimitName(name): amount for name, amount in limits.items()}}


def try_hold(connection: sqlite3.Connection, price: int, limits: Mapping[LimitName, int], member: int = ANA) -> int:
    """A new order with its hold in one transaction, as `place` makes it."""
    with undone_if_refused(connection):
        order_id = reserved(connection, price, member)
        ledger.hold(connection, order_id, price, limits, CALENDAR, NOW)
    return order_id


def all_usage(connection: sqlite3.Connection) -> dict[LimitName, Usage]:
    return {name: ledger.usage(connection, *where) for name, where in OWNERS.items()}


def order(connection: sqlite3.Connection, order_id: int) -> orders.Order:
    found = orders.get(connection, order_id)
    assert found is not None
    return found


def entries(connection: sqlite3.Connection, order_id: int) -> list[tuple[str, str, int, str]]:
    found = connection.execute(
        "SELECT credit, debit, amount, reason FROM entry WHERE order_id = ? ORDER BY id", (order_id,)
    )
    return [tuple(row) for row in found]


# Limits


@pytest.mark.parametrize("name", OWNERS)
@pytest.mark.parametrize("used_by_settled", [True, False])
def test_a_budget_takes_all_up_to_its_cap_and_nothing_beyond(
    connection: sqlite3.Connection, name: LimitName, used_by_settled: bool
) -> None:
    (waiting if used_by_settled else sent)(connection, 600)
    cap = {name: 1000}
    with pytest.raises(LimitReached) as refused:
        try_hold(connection, 401, {**NO_CAPS, **cap})
    error = refused.value
    assert (error.name, error.cap, error.left, error.asked) == (name, 1000, 400, 401)
    assert error.resets_at == CALENDAR.resets_at(name)
    assert all_usage(connection)[name].used == 600, "a refused hold left something behind"

    try_hold(connection, 399, {**NO_CAPS, **cap})
    try_hold(connection, 1, {**NO_CAPS, **cap})
    assert all_usage(connection)[name].used == 1000
    with pytest.raises(LimitReached):
        try_hold(connection, 1, {**NO_CAPS, **cap})
    assert ledger.discrepancies(connection) == []


def test_the_team_s_budget_counts_everybody_and_a_member_s_only_their_own(connection: sqlite3.Connection) -> None:
    try_hold(connection, 600, caps(daily=600, team_daily=1000), ANA)
    with pytest.raises(LimitReached) as refused:
        try_hold(connection, 401, caps(daily=600, team_daily=1000), BEN)
    assert (refused.value.name, refused.value.left) == (LimitName.TEAM_DAILY, 400)
    try_hold(connection, 400, caps(daily=600, team_daily=1000), BEN)


@pytest.mark.parametrize(("price", "allowed"), [(999, True), (1000, True), (1001, False)])
def test_one_order_may_cost_its_limit_and_no_more(connection: sqlite3.Connection, price: int, allowed: bool) -> None:
    if allowed:
        try_hold(connection, price, caps(per_order=1000))
        return
    with pytest.raises(LimitReached) as refused:
        try_hold(connection, price, caps(per_order=1000))
    assert refused.value.name is LimitName.PER_ORDER
    assert (refused.value.cap, refused.value.left, refused.value.asked) == (1000, 1000, price)
    assert refused.value.resets_at is None


def test_orders_under_way_are_counted_up_to_their_limit(connection: sqlite3.Connection) -> None:
    unknown, live, received = sent(connection), waiting(connection), waiting(connection)
    orders.mark_unknown(connection, unknown, "cut off")
    orders.mark_observed(connection, received, OrderState.RECEIVED, rows.remote("x"), NOW)
    waiting(connection, member_id=BEN)
    with pytest.raises(LimitReached) as refused:
        try_hold(connection, 1, caps(active_orders=2))
    assert (refused.value.name, refused.value.cap) == (LimitName.ACTIVE_ORDERS, 2)
    assert (refused.value.left, refused.value.asked) == (0, 1)
    try_hold(connection, 1, caps(active_orders=3))
    with pytest.raises(LimitReached):
        try_hold(connection, 1, caps(active_orders=3))
    orders.mark_observed(connection, live, OrderState.COMPLETED, rows.remote("y"), NOW)
    try_hold(connection, 1, caps(active_orders=3))


def test_a_cap_of_nothing_allows_nothing_but_what_is_free(connection: sqlite3.Connection) -> None:
    try_hold(connection, 0, caps(daily=0))
    with pytest.raises(LimitReached):
        try_hold(connection, 1, caps(daily=0))


def test_a_lowered_cap_stops_the_member_and_takes_nothing_back(connection: sqlite3.Connection) -> None:
    try_hold(connection, 800, caps(daily=1000))
    with pytest.raises(LimitReached) as refused:
        try_hold(connection, 1, caps(daily=500))
    assert (refused.value.cap, refused.value.left) == (500, 0)
    assert all_usage(connection)[LimitName.DAILY] == Usage(800, 0)
    try_hold(connection, 200, caps(daily=1000))


def test_an_order_that_holds_something_cannot_hold_again(connection: sqlite3.Connection) -> None:
    order_id = sent(connection)
    with pytest.raises(ValueError, match="already holds 1000"):
        ledger.hold(connection, order_id, 1000, NO_CAPS, CALENDAR, NOW)
    assert ledger.discrepancies(connection) == []


# Warnings


def levels(connection: sqlite3.Connection, order_id: int) -> dict[LimitName, int]:
    return {found.name: found.level for found in ledger.crossings(connection, order_id)}


@pytest.mark.parametrize(("price", "level"), [(790, 0), (799, 0), (800, 80), (999, 80), (1000, 100)])
@pytest.mark.parametrize("name", OWNERS)
def test_a_limit_tells_of_80_and_of_100_percent_and_not_of_79(
    connection: sqlite3.Connection, name: LimitName, price: int, level: int
) -> None:
    order_id = try_hold(connection, price, {**NO_CAPS, name: 1000})
    assert levels(connection, order_id) == ({name: level} if level else {})
    assert levels(connection, order_id) == {}


def test_what_one_limit_tells_leaves_every_other_to_tell_for_itself(connection: sqlite3.Connection) -> None:
    assert levels(connection, try_hold(connection, 800, caps(daily=1000))) == {LimitName.DAILY: 80}
    limits = caps(daily=10_000, monthly=1000, team_daily=1000, team_monthly=1000)
    everywhere = {LimitName.MONTHLY: 80, LimitName.TEAM_DAILY: 80, LimitName.TEAM_MONTHLY: 80}
    assert levels(connection, try_hold(connection, 10, limits)) == everywhere
    assert levels(connection, try_hold(connection, 20, caps(daily=800), BEN)) == {}
    assert levels(connection, try_hold(connection, 700, caps(daily=800), BEN)) == {LimitName.DAILY: 80}


def test_each_level_is_told_once_a_window_whatever_comes_back(connection: sqlite3.Connection) -> None:
    limits = caps(daily=1000)
    first = try_hold(connection, 800, limits)
    assert levels(connection, first) == {LimitName.DAILY: 80}
    ledger.release(connection, first, "sold out", NOW)
    orders.mark_refused(connection, first, "SOLD", NOW)
    again = try_hold(connection, 900, limits)
    assert levels(connection, again) == {}
    ledger.settle(connection, again, 1100, NOW)
    assert levels(connection, again) == {LimitName.DAILY: 100}
    assert levels(connection, try_hold(connection, 0, caps(daily=5000))) == {}
    tomorrow = reserved(connection, 900, window=Window("2026-03-15", "2026-03"))
    ledger.hold(connection, tomorrow, 900, limits, noon("2026-03-15"), NOW)
    assert levels(connection, tomorrow) == {LimitName.DAILY: 80}


# Movements


@pytest.mark.parametrize(
    ("charged", "movements"),
    [
        (1000, [("held", "spent", 1000, "settle")]),
        (700, [("held", "spent", 700, "settle"), ("held", "free", 300, "settled below the hold")]),
        (1300, [("held", "spent", 1000, "settle"), ("free", "spent", 300, "overcharge")]),
        (0, [("held", "free", 1000, "settled below the hold")]),
    ],
)
def test_settling_books_what_was_really_charged(
    connection: sqlite3.Connection, charged: int, movements: list[tuple[str, str, int, str]]
) -> None:
    order_id = sent(connection, 1000)
    ledger.settle(connection, order_id, charged, NOW)
    assert entries(connection, order_id) == [("free", "held", 1000, "hold"), *movements]
    assert set(all_usage(connection).values()) == {Usage(0, charged)}
    after = order(connection, order_id)
    assert (after.held, after.charged, after.refunded) == (0, charged, 0)


def test_an_overcharge_beyond_the_cap_is_recorded_and_stops_the_next_order(connection: sqlite3.Connection) -> None:
    limits = caps(daily=1000)
    order_id = try_hold(connection, 900, limits)
    ledger.settle(connection, order_id, 1500, NOW)
    orders.mark_placed(connection, order_id, rows.remote("r"), NOW)
    assert all_usage(connection)[LimitName.DAILY] == Usage(0, 1500)
    with pytest.raises(LimitReached) as refused:
        try_hold(connection, 1, limits)
    assert refused.value.left == 0
    assert ledger.discrepancies(connection) == []


def test_a_release_gives_the_whole_hold_back_once(connection: sqlite3.Connection) -> None:
    order_id = sent(connection, 1000)
    assert ledger.release(connection, order_id, "refused: X", NOW) == 1000
    assert ledger.release(connection, order_id, "refused: X", NOW) == 0
    assert set(all_usage(connection).values()) == {Usage(0, 0)}
    assert entries(connection, order_id)[1:] == [("held", "free", 1000, "refused: X")]


@pytest.mark.parametrize("assumed", [True, False])
def test_a_refund_comes_once_and_says_whether_it_is_assumed(connection: sqlite3.Connection, assumed: bool) -> None:
    order_id = waiting(connection, 1000)
    assert ledger.refund(connection, order_id, "canceled", NOW + 5, assumed=assumed) == 1000
    assert ledger.refund(connection, order_id, "canceled", NOW + 6, assumed=assumed) == 0
    assert set(all_usage(connection).values()) == {Usage(0, 0)}
    after = order(connection, order_id)
    assert (after.charged, after.refunded, after.refund_assumed) == (1000, 1000, assumed)
    assert entries(connection, order_id)[2:] == [("spent", "free", 1000, "canceled")]


def test_a_refund_in_parts_never_gives_back_more_than_is_still_spent(connection: sqlite3.Connection) -> None:
    order_id = waiting(connection, 1000)
    asked = (300, 900, 5, -1)
    assert [ledger.refund(connection, order_id, "canceled", NOW, most=most) for most in asked] == [300, 700, 0, 0]
    assert set(all_usage(connection).values()) == {Usage(0, 0)}
    assert order(connection, order_id).refunded == 1000
    assert [amount for *_, amount, _ in entries(connection, order_id)[2:]] == [300, 700]
    assert ledger.discrepancies(connection) == []


def test_what_was_booked_back_after_an_orders_hold_is_found_whatever_the_date_says(
    connection: sqlite3.Connection,
) -> None:
    ledger.refund(connection, waiting(connection, 1005), "canceled", NOW + 9)
    unclear, other = sent(connection, 3), waiting(connection, 1009)
    ledger.release(connection, sent(connection, 3), "refused", NOW + 9)
    ledger.settle(connection, sent(connection, 3), 1, NOW + 9)
    assert not ledger.refunded_after(connection, unclear)
    ledger.refund(connection, other, "canceled", NOW - 3_600_000)
    assert ledger.refunded_after(connection, unclear)


def test_after_midnight_an_order_is_booked_where_it_was_reserved(connection: sqlite3.Connection) -> None:
    last = Window("2026-03-31", "2026-03")
    kept, dropped, returned = (reserved(connection, price, window=last) for price in (100, 200, 400))
    for order_id, price in ((kept, 100), (dropped, 200), (returned, 400)):
        ledger.hold(connection, order_id, price, NO_CAPS, noon(last.day), NOW)
    midnight = NOW + 40 * 86_400_000
    ledger.settle(connection, kept, 150, midnight)
    ledger.release(connection, dropped, "refused", midnight)
    ledger.settle(connection, returned, 400, midnight)
    ledger.refund(connection, returned, "canceled", midnight)
    for owner in (ANA, TEAM):
        assert ledger.usage(connection, owner, last.day) == Usage(0, 150)
        assert ledger.usage(connection, owner, last.month) == Usage(0, 150)
        assert ledger.usage(connection, owner, "2026-04-01") == Usage(0, 0)
        assert ledger.usage(connection, owner, "2026-04") == Usage(0, 0)


def test_an_order_that_is_tried_again_on_another_day_is_booked_there(connection: sqlite3.Connection) -> None:
    order_id = sent(connection, 1000)
    ledger.release(connection, order_id, "refused", NOW)
    orders.mark_refused(connection, order_id, "PRODUCT_UNAVAILABLE", NOW)
    tomorrow = Window("2026-03-15", "2026-03")
    orders.retry(connection, order_id, tomorrow, rows.intent(700, attempt=2))
    ledger.hold(connection, order_id, 700, NO_CAPS, noon(tomorrow.day), NOW)
    assert ledger.usage(connection, ANA, TODAY.day) == Usage(0, 0)
    assert ledger.usage(connection, ANA, tomorrow.day) == ledger.usage(connection, TEAM, "2026-03") == Usage(700, 0)
    assert ledger.discrepancies(connection) == []


# Tampering


@pytest.mark.parametrize(
    ("statement", "words"),
    [
        (
            "UPDATE budget SET reserved = reserved - 1 WHERE owner = 11 AND period = '2026-03-14'",
            "member 11, 2026-03-14",
        ),
        ("UPDATE budget SET settled = settled + 1 WHERE owner = 0 AND period = '2026-03'", "the team, 2026-03"),
        ("DELETE FROM budget WHERE owner = 22 AND period = '2026-03'", "member 22, 2026-03"),
        ("INSERT INTO budget (owner, period, cap, settled) VALUES (33, '2026-03', 5, 5)", "member 33, 2026-03"),
        ("UPDATE orders SET held = held + 1 WHERE id = 1", "order #1 (sent)"),
        ("UPDATE orders SET price = price + 1 WHERE id = 1", "order #1 (sent)"),
        ("UPDATE orders SET charged = charged + 1 WHERE id = 2", "order #2 (waiting)"),
        ("UPDATE orders SET refunded = refunded + 1 WHERE id = 2", "order #2 (waiting)"),
        (
            "INSERT INTO entry VALUES (99, 2, 22, '2026-03-14', '2026-03', 'spent', 'free', 5, 'x', 1)",
            "order #2 (waiting)",
        ),
        ("DROP TRIGGER entry_stays; DELETE FROM entry WHERE order_id = 1", "order #1 (sent)"),
        ("DROP TRIGGER entry_is_final; UPDATE entry SET amount = amount + 1 WHERE order_id = 2", "member 22, 2026-03"),
    ],
)
def test_the_books_notice_tampering(connection: sqlite3.Connection, statement: str, words: str) -> None:
    assert (sent(connection, 1000, ANA), waiting(connection, 500, BEN)) == (1, 2)
    assert ledger.discrepancies(connection) == []
    connection.executescript(statement)
    assert any(words in found for found in ledger.discrepancies(connection)), ledger.discrepancies(connection)


def test_a_discrepancy_says_what_both_sides_say(connection: sqlite3.Connection) -> None:
    sent(connection, 1000)
    connection.execute("UPDATE budget SET reserved = 900, settled = 5 WHERE owner = 11 AND period = '2026-03-14'")
    assert ledger.discrepancies(connection) == [
        "member 11, 2026-03-14: counters say 900 held and 5 spent, entries say 1000 and 0"
    ]


# Any sequence of movements against a plain model


@dataclass
class Booked:
    """The model's order."""

    member: int
    window: Window
    held: int
    charged: int = 0
    refunded: int = 0
    under_way: bool = True


@dataclass
class Model:
    """The model's books: caps and used amounts, as anybody would keep them."""

    caps: dict[int, dict[LimitName, int]] = field(default_factory=lambda: {ANA: caps(), BEN: caps(), TEAM: caps()})
    orders: dict[int, Booked] = field(default_factory=dict)

    def usage(self, owner: int, period: str) -> Usage:
        mine = [
            booked
            for booked in self.orders.values()
            if owner in (TEAM, booked.member) and period in (booked.window.day, booked.window.month)
        ]
        return Usage(sum(one.held for one in mine), sum(one.charged - one.refunded for one in mine))

    def limits(self, member: int) -> dict[LimitName, int]:
        team = {name: self.caps[TEAM][name] for name in (LimitName.TEAM_DAILY, LimitName.TEAM_MONTHLY)}
        return {**self.caps[member], **team}

    def first_refusal(self, member: int, price: int, window: Window) -> LimitName | None:
        limits = self.limits(member)
        budgets = {
            LimitName.DAILY: (member, window.day),
            LimitName.MONTHLY: (member, window.month),
            LimitName.TEAM_DAILY: (TEAM, window.day),
            LimitName.TEAM_MONTHLY: (TEAM, window.month),
        }
        if price > limits[LimitName.PER_ORDER]:
            return LimitName.PER_ORDER
        if (
            sum(one.member == member and one.under_way for one in self.orders.values())
            >= limits[LimitName.ACTIVE_ORDERS]
        ):
            return LimitName.ACTIVE_ORDERS
        for name, where in budgets.items():
            if self.usage(*where).used + price > limits[name]:
                return name
        return None


DAYS = ["2026-03-30", "2026-03-31", "2026-04-01", "2026-04-02"]
PRICES = st.integers(1, 60)
MONEY_LIMITS = [LimitName.PER_ORDER, LimitName.DAILY, LimitName.MONTHLY]
TEAM_ONES = [LimitName.TEAM_DAILY, LimitName.TEAM_MONTHLY]


class Books(RuleBasedStateMachine):
    """Holds, settlements, releases, refunds, changed caps and new days, in any order."""

    held = Bundle("held")
    paid = Bundle("paid")

    def __init__(self) -> None:
        super().__init__()
        self.connection = opened()
        self.model = Model()
        self.today = 0

    def teardown(self) -> None:
        self.connection.close()

    @property
    def window(self) -> Window:
        return noon(DAYS[self.today]).window

    @rule(target=held, member=st.sampled_from([ANA, BEN]), price=PRICES)
    def hold(self, member: int, price: int) -> MultipleResults[int]:
        expected = self.model.first_refusal(member, price, self.window)
        refused: LimitName | None = None
        order_id = 0
        with suppress(LimitReached), undone_if_refused(self.connection):
            order_id = reserved(self.connection, price, member, self.window)
            try:
                limits = members.limits_of(self.connection, member, caps(), NOW)
                ledger.hold(self.connection, order_id, price, limits, noon(DAYS[self.today]), NOW)
            except LimitReached as error:
                refused = error.name
                raise
        assert refused == expected
        if refused is not None:
            return multiple()
        self.model.orders[order_id] = Booked(member, self.window, price)
        self.no_cap_is_exceeded_by(member)
        return multiple(order_id)

    def no_cap_is_exceeded_by(self, member: int) -> None:
        limits = members.limits_of(self.connection, member, caps(), NOW)
        for name, owner, period in (
            (LimitName.DAILY, member, self.window.day),
            (LimitName.MONTHLY, member, self.window.month),
            (LimitName.TEAM_DAILY, TEAM, self.window.day),
            (LimitName.TEAM_MONTHLY, TEAM, self.window.month),
        ):
            assert ledger.usage(self.connection, owner, period).used <= limits[name]

    @rule(target=paid, order_id=consumes(held), difference=st.sampled_from([0, 0, -7, 7, -60, 100]))
    def settle(self, order_id: int, difference: int) -> int:
        booked = self.model.orders[order_id]
        charged = max(0, booked.held + difference)
        with undone_if_refused(self.connection):
            ledger.settle(self.connection, order_id, charged, NOW)
            orders.mark_placed(self.connection, order_id, rows.remote(f"remote-{order_id}"), NOW)
        booked.held, booked.charged = 0, charged
        return order_id

    @rule(order_id=consumes(held))
    def release(self, order_id: int) -> None:
        booked = self.model.orders[order_id]
        with undone_if_refused(self.connection):
            assert ledger.release(self.connection, order_id, "refused", NOW) == booked.held
            orders.mark_refused(self.connection, order_id, "X", NOW)
        booked.held, booked.under_way = 0, False

    @rule(order_id=paid, extra=st.sampled_from([1, 33, 150]))
    def overcharge(self, order_id: int, extra: int) -> None:
        ledger.overcharge(self.connection, order_id, extra, NOW)
        self.model.orders[order_id].charged += extra

    @rule(order_id=paid, assumed=st.booleans())
    def refund(self, order_id: int, assumed: bool) -> None:
        booked = self.model.orders[order_id]
        back = booked.charged - booked.refunded
        assert ledger.refund(self.connection, order_id, "canceled", NOW, assumed=assumed) == back
        orders.mark_observed(self.connection, order_id, OrderState.CANCELED, rows.remote("x"), NOW)
        booked.refunded, booked.under_way = booked.refunded + back, False

    @rule(owner=st.sampled_from([ANA, BEN, TEAM]), cap=st.integers(0, 200), choice=st.integers(0, 2))
    def set_cap(self, owner: int, cap: int, choice: int) -> None:
        names = TEAM_ONES if owner == TEAM else MONEY_LIMITS
        name = names[choice % len(names)]
        members.set_limit(self.connection, owner, name, cap)
        self.model.caps[owner][name] = cap

    @rule(owner=st.sampled_from([ANA, BEN]), cap=st.integers(0, 4))
    def set_active_orders(self, owner: int, cap: int) -> None:
        members.set_limit(self.connection, owner, LimitName.ACTIVE_ORDERS, cap)
        self.model.caps[owner][LimitName.ACTIVE_ORDERS] = cap

    @rule(owner=st.sampled_from([ANA, BEN]), name=st.sampled_from([*MONEY_LIMITS, LimitName.ACTIVE_ORDERS]))
    def go_back_to_the_default(self, owner: int, name: LimitName) -> None:
        members.set_limit(self.connection, owner, name, None)
        self.model.caps[owner][name] = NO_CAPS[name]

    @precondition(lambda self: self.today < len(DAYS) - 1)
    @rule()
    def midnight(self) -> None:
        self.today += 1

    @invariant()
    def the_books_are_right(self) -> None:
        assert ledger.discrepancies(self.connection) == []

    @invariant()
    def usage_is_what_the_model_says(self) -> None:
        for owner in (ANA, BEN, TEAM):
            for period in (*DAYS, "2026-03", "2026-04"):
                assert ledger.usage(self.connection, owner, period) == self.model.usage(owner, period), (owner, period)

    @invariant()
    def orders_say_what_the_model_says(self) -> None:
        found = {
            row["id"]: (row["held"], row["charged"], row["refunded"])
            for row in self.connection.execute("SELECT id, held, charged, refunded FROM orders")
        }
        assert found == {
            order_id: (booked.held, booked.charged, booked.refunded) for order_id, booked in self.model.orders.items()
        }


Books.TestCase.settings = settings(
    max_examples=EXAMPLES, stateful_step_count=STEPS, suppress_health_check=[HealthCheck.too_slow]
)
TestBooks = pytest.mark.timeout(1800)(Books.TestCase)
