"""How a short budget of looks is shared: within the budget, never starving one, and most where a code is likely."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.domain.looks import MOST, Odds, Place, Wait, intervals

INDONESIA, GERMANY = ("whatsapp", "indonesia"), ("whatsapp", "germany")
WAITS = st.builds(Wait, st.sampled_from((INDONESIA, GERMANY)), st.floats(0, 1200), st.booleans())
CHANCES = st.floats(1e-6, 1)
ORDERS = st.lists(st.tuples(CHANCES, st.floats(2, 60)), max_size=60)


@given(orders=ORDERS, rate=st.floats(0.2, 100))
def test_all_looks_together_stay_within_the_budget_and_nobody_is_starved(
    orders: list[tuple[float, float]], rate: float
) -> None:
    odds, least = [chance for chance, _ in orders], [seconds for _, seconds in orders]
    found = intervals(odds, least, rate)
    assert len(found) == len(orders)
    assert sum(1 / seconds for seconds in found) <= rate * 1.000001
    for seconds, shortest in zip(found, least, strict=True):
        assert shortest <= seconds <= max(shortest, MOST * len(orders) / rate)


@given(odds=st.lists(CHANCES, min_size=2, max_size=60), rate=st.floats(0.2, 100))
def test_where_a_code_is_likelier_nobody_looks_less_often(odds: list[float], rate: float) -> None:
    found = intervals(odds, [5.0] * len(odds), rate)
    by_odds = [seconds for _, seconds in sorted(zip(odds, found, strict=True))]
    assert by_odds == sorted(by_odds, reverse=True)


@given(odds=st.lists(CHANCES, min_size=2, max_size=60), rate=st.floats(0.2, 100))
def test_no_even_share_would_find_the_codes_sooner(odds: list[float], rate: float) -> None:
    found = intervals(odds, [1.0] * len(odds), rate)
    even = max(1.0, len(odds) / rate)
    late = sum(chance * seconds for chance, seconds in zip(odds, found, strict=True))
    assert late <= sum(chance * even for chance in odds) * 1.0001


@given(odds=st.lists(CHANCES, min_size=1, max_size=60), rate=st.floats(0.2, 10))
def test_the_budget_is_used_up_where_it_is_short(odds: list[float], rate: float) -> None:
    found = intervals(odds, [2.0] * len(odds), rate)
    assert sum(1 / seconds for seconds in found) == pytest.approx(min(rate, len(odds) / 2.0), rel=1e-3)


def test_with_room_for_all_everybody_is_looked_at_each_interval() -> None:
    assert intervals([0.03, 0.0003], [5.0, 15.0], 4.0) == [5.0, 15.0]


def test_equal_odds_get_equal_shares() -> None:
    assert intervals([0.01] * 100, [5.0] * 100, 4.0) == pytest.approx([25.0] * 100)


def test_fresh_orders_keep_their_pace_while_old_ones_wait_two_and_a_half_shares_at_most() -> None:
    found = intervals([0.03] * 10 + [0.0003] * 90, [5.0] * 100, 4.0)
    assert found[:10] == pytest.approx([5.0] * 10)
    assert all(25.0 < seconds <= 62.5 for seconds in found[10:])


@given(waits=st.lists(WAITS, max_size=40), age=st.floats(0, 3000))
def test_whatever_was_seen_the_odds_are_odds(waits: list[Wait], age: float) -> None:
    for place in (INDONESIA, GERMANY, ("telegram", "nowhere")):
        assert 0 < Odds(waits).first_sms(place, age) < 1


def test_a_place_whose_codes_come_late_is_watched_when_they_come() -> None:
    silent = [Wait(place, 1200.0, came=False) for place in (INDONESIA, GERMANY)] * 100
    odds = Odds([*silent, *[Wait(INDONESIA, 10.0, came=True)] * 200, *[Wait(GERMANY, 180.0, came=True)] * 200])
    assert odds.first_sms(GERMANY, 180.0) > 5 * odds.first_sms(INDONESIA, 180.0)
    assert odds.first_sms(INDONESIA, 10.0) > 5 * odds.first_sms(GERMANY, 10.0)


def test_a_place_where_no_code_comes_gets_fewer_looks_and_one_never_seen_what_is_usual() -> None:
    silent: Place = ("telegram", "nowhere")
    odds = Odds([Wait(silent, 1200.0, came=False)] * 100 + [Wait(INDONESIA, 20.0, came=True)] * 100)
    assert odds.first_sms(silent, 20.0) < odds.first_sms(GERMANY, 20.0) < odds.first_sms(INDONESIA, 20.0)


def test_before_anything_was_seen_fresh_orders_are_the_likeliest() -> None:
    odds = Odds()
    assert odds.first_sms(INDONESIA, 20.0) > odds.first_sms(INDONESIA, 100.0) > odds.first_sms(INDONESIA, 500.0)
    assert odds.first_sms(INDONESIA, 900.0) < odds.second_sms() < odds.first_sms(INDONESIA, 2.0)


AGES = [2.0, 10.0, 20.0, 45.0, 90.0, 180.0, 400.0, 900.0]
"""One of each stretch of an order's life in which the odds are the same."""


@pytest.mark.parametrize("age", AGES)
def test_twenty_orders_without_an_sms_halve_the_odds_everywhere_and_again_in_their_own_place(age: float) -> None:
    usual, learned = Odds(), Odds([Wait(INDONESIA, 1200.0, came=False)] * 20)
    assert learned.first_sms(GERMANY, age) == pytest.approx(usual.first_sms(GERMANY, age) / 2)
    assert learned.first_sms(INDONESIA, age) == pytest.approx(usual.first_sms(INDONESIA, age) / 4)


def test_an_order_says_nothing_of_the_time_after_its_sms() -> None:
    usual, learned = Odds(), Odds([Wait(INDONESIA, 15.0, came=True)] * 20)
    assert [learned.first_sms(GERMANY, age) for age in AGES[3:]] == [usual.first_sms(GERMANY, age) for age in AGES[3:]]
    assert learned.first_sms(GERMANY, 14.9) < usual.first_sms(GERMANY, 14.9)
    assert learned.first_sms(GERMANY, 15.0) > usual.first_sms(GERMANY, 15.0)


def test_after_many_orders_what_was_seen_is_what_is_expected() -> None:
    one_in_ten_seconds = Odds([Wait(INDONESIA, 25.0, came=True)] * 3000)
    for place in (INDONESIA, GERMANY):
        assert one_in_ten_seconds.first_sms(place, 25.0) == pytest.approx(0.1, rel=0.01)
        assert one_in_ten_seconds.first_sms(place, 10.0) < 0.001


def test_where_the_budget_is_just_enough_everybody_is_looked_at_each_interval() -> None:
    assert intervals([0.03, 0.0003], [5.0, 5.0], 0.4) == [5.0, 5.0]


def test_where_it_is_nearly_enough_the_least_likely_waits_a_little() -> None:
    often, seldom = intervals([0.03, 0.0003], [5.0, 5.0], 0.36)
    assert often == 5.0
    assert seldom == pytest.approx(6.25, rel=1e-3)


def test_an_order_without_its_odds_or_its_interval_is_not_forgotten_quietly() -> None:
    with pytest.raises(ValueError, match="zip"):
        intervals([0.03], [5.0, 5.0], 0.1)
