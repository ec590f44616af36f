"""How the watcher shares a short request budget."""

from hypothesis import given
from hypothesis import strategies as st

from bot.workers.watcher import paces

_COUNTS = st.integers(min_value=0, max_value=20_000)


@given(fresh=_COUNTS, others=_COUNTS, interval=st.floats(2, 60), rate=st.floats(0.2, 100))
def test_all_looks_together_stay_within_the_budget_and_nobody_is_starved(
    fresh: int, others: int, interval: float, rate: float
) -> None:
    for_fresh, for_others = paces(fresh, others, interval, rate)
    assert for_fresh >= interval
    assert for_others >= interval
    assert fresh / for_fresh + others / for_others <= rate * 1.000001
    # A quarter of the budget is always there for those that are no longer fresh.
    assert for_others <= max(interval, others / (rate * 0.25)) * 1.000001


def test_with_room_for_all_everybody_is_looked_at_each_interval() -> None:
    assert paces(10, 9, 5.0, 4.0) == (5.0, 5.0)


def test_when_it_is_short_fresh_orders_keep_their_pace_and_the_others_wait() -> None:
    for_fresh, for_others = paces(10, 90, 5.0, 4.0)
    assert for_fresh == 5.0
    assert for_others == 45.0
