"""What a fresh look at an order means: every state, every status, with and without a code."""

from dataclasses import replace
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.domain.orders import (
    UNDER_WAY,
    Allowed,
    Observed,
    Offer,
    OrderState,
    RemoteOrder,
    RemoteStatus,
    Sms,
    observe,
)

ENDS = {OrderState.REFUSED, OrderState.COMPLETED, OrderState.CANCELED, OrderState.EXPIRED, OrderState.CHARGED}
LIVE = set(OrderState) - ENDS
STATUSES: list[RemoteStatus | None] = [*RemoteStatus, None]
GIVES_BACK = {RemoteStatus.CANCELED, RemoteStatus.EXPIRED}


def seen(
    status: RemoteStatus | None, code: str | None = None, revision: int | None = None, text: str | None = None
) -> RemoteOrder:
    return RemoteOrder("r1", status or "WHO_KNOWS", status, code=code, revision=revision, text=text)


def expected_sms(latest: Sms | None, code: str | None, revision: int | None) -> Sms | None:
    """Written out case by case, so that it does not share its mistakes with the code it checks."""
    if code is None:
        return None
    if latest is None:
        return Sms(1 if revision is None else revision, code)
    if revision is None:
        return None if code == latest.code else Sms(latest.revision + 1, code)
    return Sms(revision, code) if revision > latest.revision else None


def expected_state(state: OrderState, status: RemoteStatus | None, *, has_code: bool) -> OrderState:
    if state in ENDS:
        return state
    by_status = {
        RemoteStatus.CANCELED: OrderState.CANCELED,
        RemoteStatus.EXPIRED: OrderState.EXPIRED,
        RemoteStatus.COMPLETED: OrderState.COMPLETED,
    }
    alive = OrderState.RECEIVED if has_code else OrderState.WAITING
    return by_status.get(status, alive) if status else alive


LATEST = [None, Sms(2, "111", None), Sms(2, "222", None), Sms(2, None, None)]
CODES = [None, "111"]
REVISIONS = [None, 1, 2, 3]


@pytest.mark.parametrize("state", OrderState)
@pytest.mark.parametrize("status", STATUSES)
def test_the_whole_table(state: OrderState, status: RemoteStatus | None) -> None:
    for latest, code, revision in product(LATEST, CODES, REVISIONS):
        sms = expected_sms(latest, code, revision)
        has_code = sms is not None or latest is not None
        back = status in GIVES_BACK and state not in ENDS and not has_code
        assert observe(state, latest, seen(status, code, revision)) == Observed(
            expected_state(state, status, has_code=has_code),
            sms,
            refund=back,
            assumed=back and status is RemoteStatus.EXPIRED,
        ), (latest, code, revision)


TEXTS = st.none() | st.sampled_from(["1", "2", "code 1"])
NUMBERS = st.integers(1, 5)
SMS = st.builds(Sms, NUMBERS, TEXTS, TEXTS)
REMOTES = st.builds(seen, st.sampled_from(STATUSES), TEXTS, st.none() | NUMBERS, TEXTS)


@given(st.sampled_from(sorted(ENDS)), st.none() | SMS, REMOTES)
def test_an_ended_order_never_changes_its_state_nor_its_money(
    state: OrderState, latest: Sms | None, remote: RemoteOrder
) -> None:
    observed = observe(state, latest, remote)
    assert (observed.state, observed.refund, observed.assumed) == (state, False, False)


@given(st.sampled_from(OrderState), st.none() | SMS, REMOTES)
def test_money_comes_back_only_with_an_end_and_without_any_code(
    state: OrderState, latest: Sms | None, remote: RemoteOrder
) -> None:
    observed = observe(state, latest, remote)
    assert not observed.assumed or observed.refund
    if observed.refund:
        assert remote.status in GIVES_BACK
        assert state not in ENDS
        assert (latest, observed.sms) == (None, None)
        assert (remote.code, remote.text) == (None, None)


@given(st.sampled_from(OrderState), SMS, REMOTES, st.integers(0, 3))
def test_an_older_or_equal_count_is_old_news(state: OrderState, latest: Sms, remote: RemoteOrder, behind: int) -> None:
    remote = replace(remote, revision=max(0, latest.revision - behind))
    assert observe(state, latest, remote).sms is None


@given(st.sampled_from(OrderState), st.none() | SMS, REMOTES)
def test_looking_twice_finds_nothing_more(state: OrderState, latest: Sms | None, remote: RemoteOrder) -> None:
    first = observe(state, latest, remote)
    again = observe(first.state, first.sms or latest, remote)
    assert again == Observed(first.state)


@given(st.sampled_from(sorted(LIVE)), st.none() | SMS, TEXTS)
def test_an_unknown_status_keeps_the_order_alive_and_its_code_is_taken(
    state: OrderState, latest: Sms | None, code: str | None
) -> None:
    observed = observe(state, latest, seen(None, code))
    assert observed.state is (OrderState.RECEIVED if latest or code else OrderState.WAITING)
    assert observed.state.watched
    assert not observed.refund


def deliveries(*looks: RemoteOrder) -> list[str | None]:
    """The codes that a member is sent over a whole life."""
    state, latest, delivered = OrderState.WAITING, None, []
    for remote in looks:
        observed = observe(state, latest, remote)
        state = observed.state
        if observed.sms:
            latest = observed.sms
            delivered.append(observed.sms.code)
    return delivered


def test_without_counting_a_b_a_is_three_sms_and_the_same_twice_is_one() -> None:
    received = RemoteStatus.OTP_RECEIVED
    assert deliveries(*(seen(received, code) for code in "AABBAA")) == ["A", "B", "A"]


def test_with_counting_the_same_digits_again_are_a_second_sms() -> None:
    received = RemoteStatus.OTP_RECEIVED
    assert deliveries(seen(received, "A", 1), seen(received, "A", 1), seen(received, "A", 2)) == ["A", "A"]
    assert deliveries(seen(received, "B", 2), seen(received, "A", 1)) == ["B"]


def test_a_text_without_a_code_is_an_sms_too() -> None:
    remote = seen(RemoteStatus.OTP_RECEIVED, None, 1, "your code is one two three")
    assert observe(OrderState.WAITING, None, remote) == Observed(OrderState.RECEIVED, Sms(1, None, remote.text))


def test_without_counting_another_text_is_another_sms() -> None:
    latest = Sms(1, None, "one")
    for text, sms in (("one", None), ("two", Sms(2, None, "two"))):
        assert observe(OrderState.RECEIVED, latest, seen(RemoteStatus.OTP_RECEIVED, None, None, text)).sms == sms


def test_a_code_that_comes_with_the_end_or_after_it_is_still_a_code() -> None:
    for status in RemoteStatus:
        for state in OrderState:
            assert observe(state, None, seen(status, "A")).sms == Sms(1, "A")


def test_a_code_that_was_told_before_is_no_news_in_an_answer_that_was_overtaken() -> None:
    received = RemoteStatus.OTP_RECEIVED
    told = frozenset({"A", "B"})
    assert observe(OrderState.RECEIVED, Sms(2, "B"), seen(received, "A"), told).sms is None
    assert observe(OrderState.RECEIVED, Sms(2, "B"), seen(received, "C"), told).sms == Sms(3, "C")
    assert observe(OrderState.WAITING, None, seen(received, "A"), told).sms is None


@pytest.mark.parametrize("known", ["your code is A", None])
@pytest.mark.parametrize("shown", ["your code is A", None])
def test_without_counting_one_code_with_and_without_its_text_is_one_sms(known: str | None, shown: str | None) -> None:
    remote = seen(RemoteStatus.OTP_RECEIVED, "A", None, shown)
    assert observe(OrderState.RECEIVED, Sms(1, "A", known), remote).sms is None


def test_without_counting_the_same_code_in_another_text_is_another_sms() -> None:
    remote = seen(RemoteStatus.OTP_RECEIVED, "A", None, "A again")
    assert observe(OrderState.RECEIVED, Sms(1, "A", "your code is A"), remote).sms == Sms(2, "A", "A again")


def test_a_text_alone_is_not_the_sms_that_had_no_text() -> None:
    remote = seen(RemoteStatus.OTP_RECEIVED, None, None, "hello")
    assert observe(OrderState.RECEIVED, Sms(1, None, None), remote).sms == Sms(2, None, "hello")


def test_neither_a_code_nor_a_number_is_written_where_an_order_is() -> None:
    remote = RemoteOrder("r1", "OTP_RECEIVED", None, phone_number="+62812", code="4711", text="use 4711")
    for secret in ("+62812", "4711", "use"):
        assert secret not in repr(remote)
        assert secret not in repr(Sms(1, "4711", "use 4711"))


def test_what_smscode_does_not_allow_is_not_allowed() -> None:
    allowed = Allowed(finish=True)
    assert (allowed.cancel, allowed.finish, allowed.resend, allowed.reactivate) == (False, True, False, False)
    assert not Allowed().finish


def test_the_kinds_of_states() -> None:
    assert {state for state in OrderState if state.ended} == ENDS
    assert {state for state in OrderState if state.watched} == {OrderState.WAITING, OrderState.RECEIVED}
    assert set(UNDER_WAY) == LIVE - {OrderState.RECEIVED}


@pytest.mark.parametrize(("stock", "in_stock"), [(None, True), (1, True), (0, False)])
def test_silence_about_stock_counts_as_stock(stock: int | None, in_stock: bool) -> None:
    assert Offer(1, 1000, stock=stock).in_stock is in_stock
