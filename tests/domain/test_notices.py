"""What the desk has to tell people."""

from bot.domain.notices import Notice, NoticeKind, TryLater, Urgency


def test_codes_go_before_cards_and_cards_before_talk() -> None:
    assert sorted(Urgency) == [Urgency.CODE, Urgency.CARD, Urgency.TALK]


def test_a_notice_is_as_urgent_as_a_card_unless_it_says_otherwise() -> None:
    notice = Notice(NoticeKind.CARD, 1, "key")
    assert notice.urgency is Urgency.CARD
    assert dict(notice.facts) == {}
    assert notice.facts is not Notice(NoticeKind.CARD, 1, "key").facts


def test_a_try_that_is_put_off_has_not_arrived_and_holds_nothing_else_up_unless_it_says_so() -> None:
    later = TryLater(5.0, "flood")
    assert not later.may_have_arrived
    assert not later.whole_chat
