"""Both ends of the desk: the inbox of what Telegram sent, the outbox of what people must read."""

import sqlite3
from dataclasses import replace

import pytest

from bot.domain.notices import Notice, NoticeKind, Urgency
from storage import inbox, outbox
from storage.inbox import Arrival, Pending
from tests.storage.rows import GROUP, NOW, waiting

# The inbox


def heads(connection: sqlite3.Connection, *busy: int, limit: int = 100) -> list[int]:
    return [pending.update_id for pending in inbox.heads(connection, busy, limit)]


def arrive(connection: sqlite3.Connection, *arrivals: Arrival) -> int:
    return inbox.store(connection, arrivals, NOW)


@pytest.mark.parametrize(
    ("again", "is_new"),
    [
        (Arrival(1, "{}", 5, 7, 9, "press"), False),
        (Arrival(1, "{}", 6), False),
        (Arrival(2, "{}", 5, 7, 9), False),
        (Arrival(2, "{}", 5, 8, 10, "press"), False),
        (Arrival(2, "{}", 5, 7, 10), True),
        (Arrival(2, "{}", 5, 8, 9), True),
        (Arrival(2, "{}", 5, 8, 10, "another press"), True),
        (Arrival(2, "{}", 5, 7), True),
    ],
)
@pytest.mark.parametrize("done", [False, True])
def test_an_update_is_known_by_any_of_its_three_names(
    connection: sqlite3.Connection, again: Arrival, is_new: bool, done: bool
) -> None:
    assert arrive(connection, Arrival(1, "first", 5, 7, 9, "press")) == 1
    if done:
        inbox.finish(connection, 1, NOW)
    assert arrive(connection, again) == int(is_new)
    assert inbox.depth(connection) == int(is_new) + int(not done)


def test_updates_without_a_message_or_a_press_are_never_taken_for_one_another(connection: sqlite3.Connection) -> None:
    assert arrive(connection, Arrival(1, "a", chat_id=7), Arrival(2, "b", chat_id=7), Arrival(3, "c")) == 3


def test_a_batch_with_a_repeat_in_it_keeps_the_rest(connection: sqlite3.Connection) -> None:
    assert arrive(connection, Arrival(1, "a"), Arrival(1, "again"), Arrival(2, "b")) == 2
    assert inbox.heads(connection, [], 9) == [Pending(1, inbox.NOBODY, "a", from_member=False)]
    assert arrive(connection) == 0


def test_one_update_of_each_user_at_a_time_the_oldest_first(connection: sqlite3.Connection) -> None:
    arrive(connection, *(Arrival(number, "", user) for number, user in ((4, 5), (1, 6), (3, 5), (2, 6), (9, 8))))
    assert heads(connection) == [1, 3, 9]
    assert heads(connection, limit=2) == [1, 3]
    assert heads(connection, 6) == [3, 9]
    assert heads(connection, 5, 6, 8, 8) == []
    inbox.finish(connection, 1, NOW)
    inbox.quarantine(connection, 3, "what is this", NOW)
    assert heads(connection) == [2, 4, 9]


def test_what_is_dealt_with_keeps_its_names_and_loses_its_body(connection: sqlite3.Connection) -> None:
    arrive(connection, Arrival(1, "secret", 5), Arrival(2, "strange", 5))
    inbox.finish(connection, 1, NOW)
    inbox.quarantine(connection, 2, "ValueError", NOW + 1)
    found = connection.execute("SELECT state, body, error, finished_at FROM inbox ORDER BY update_id").fetchall()
    assert [tuple(row) for row in found] == [("done", "", None, NOW), ("poison", "strange", "ValueError", NOW + 1)]
    assert (inbox.depth(connection), heads(connection)) == (0, [])


def test_only_what_was_dealt_with_long_ago_is_forgotten(connection: sqlite3.Connection) -> None:
    arrive(connection, *(Arrival(number, "", number) for number in (1, 2, 3, 4)))
    for number in (1, 2):
        inbox.finish(connection, number, NOW + number)
    inbox.quarantine(connection, 3, "x", NOW + 1)
    assert inbox.forget(connection, NOW + 2) == 2
    assert [row[0] for row in connection.execute("SELECT update_id FROM inbox ORDER BY 1")] == [2, 4]


# The outbox


def notice(key: str, urgency: Urgency = Urgency.CARD, chat_id: int = GROUP) -> Notice:
    return Notice(NoticeKind.TEXT, chat_id, key, urgency=urgency, facts={"text": key})


def claim(connection: sqlite3.Connection, *busy: int, now: int = NOW, limit: int = 9) -> list[str]:
    return [letter.notice.dedupe_key for letter in outbox.claim(connection, busy, now, limit)]


def test_members_come_before_strangers_however_long_those_wait(connection: sqlite3.Connection) -> None:
    someone = waiting(connection)
    (member,) = connection.execute("SELECT member_id FROM orders WHERE id = ?", (someone,)).fetchone()
    arrivals = [Arrival(number, "{}", 9_000 + number) for number in range(1, 6)]
    inbox.store(connection, [*arrivals, Arrival(99, "{}", member)], NOW)
    found = inbox.heads(connection, [], 3)
    assert [(pending.update_id, pending.from_member) for pending in found] == [(99, True), (1, False), (2, False)]


def test_a_notice_comes_out_as_it_went_in(connection: sqlite3.Connection) -> None:
    put = Notice(
        NoticeKind.CODE, -5, "otp:1:2", 7, waiting(connection), 2, Urgency.CODE, {"länd": "🇮🇩", "n": 1, "none": None}
    )
    assert outbox.put(connection, put, NOW)
    (letter,) = outbox.claim(connection, [], NOW, 1)
    assert replace(letter.notice, command=put.command) == put
    assert (letter.notice.command or "").startswith("command-")  # the one that the order came from
    assert (letter.repeated, letter.attempts, letter.created_at) == (False, 0, NOW)


def test_a_notice_is_kept_once_by_its_key_even_after_it_arrived(connection: sqlite3.Connection) -> None:
    assert outbox.put(connection, notice("a"), NOW)
    assert not outbox.put(connection, notice("a", Urgency.CODE, 5), NOW)
    (letter,) = outbox.claim(connection, [], NOW, 9)
    outbox.delivered(connection, letter.id, 77, NOW)
    assert not outbox.put(connection, notice("a"), NOW)
    assert claim(connection) == []


def test_the_most_urgent_leaves_first_then_the_oldest_one_a_chat(connection: sqlite3.Connection) -> None:
    for key, urgency, chat_id in (
        ("talk", Urgency.TALK, 1),
        ("card", Urgency.CARD, 1),
        ("card 2", Urgency.CARD, 1),
        ("other card", Urgency.CARD, 2),
        ("code", Urgency.CODE, 2),
        ("third", Urgency.TALK, 3),
    ):
        outbox.put(connection, notice(key, urgency, chat_id), NOW)
    assert claim(connection, 1, 2, 3) == []
    assert claim(connection, limit=2) == ["code", "card"]
    assert claim(connection, 1, 2) == ["third"]
    assert claim(connection) == ["card 2", "other card"]
    assert claim(connection) == ["talk"]
    assert claim(connection) == []


def hold_back(connection: sqlite3.Connection, key: str, until: int) -> None:
    connection.execute("UPDATE outbox SET not_before = ? WHERE dedupe_key = ?", (until, key))


def test_a_letter_can_be_marked_as_a_possible_repeat_from_the_start(connection: sqlite3.Connection) -> None:
    outbox.put(connection, notice("again"), NOW, repeated=True)
    outbox.put(connection, notice("fresh", chat_id=5), NOW)
    letters = outbox.claim(connection, [], NOW, 9)
    assert {letter.notice.dedupe_key: letter.repeated for letter in letters} == {"again": True, "fresh": False}


def test_nothing_leaves_before_its_time(connection: sqlite3.Connection) -> None:
    assert outbox.next_due(connection) is None
    outbox.put(connection, notice("later", Urgency.CODE), NOW)
    hold_back(connection, "later", NOW + 10)
    assert outbox.next_due(connection) == NOW + 10
    outbox.put(connection, notice("now", Urgency.TALK), NOW)
    assert outbox.next_due(connection) == NOW
    assert claim(connection) == ["now"]
    assert not outbox.is_due(connection, [], NOW + 9)
    assert claim(connection, now=NOW + 9) == []
    assert outbox.is_due(connection, [], NOW + 10)
    assert not outbox.is_due(connection, [GROUP], NOW + 10)
    assert claim(connection, now=NOW + 10) == ["later"]
    assert outbox.next_due(connection) is None


@pytest.mark.parametrize("repeated", [True, False])
def test_a_postponed_letter_comes_back_and_never_forgets_that_it_may_have_arrived(
    connection: sqlite3.Connection, repeated: bool
) -> None:
    outbox.put(connection, notice("a"), NOW)
    (letter,) = outbox.claim(connection, [], NOW, 9)
    outbox.postpone(connection, letter.id, NOW + 5, "timeout", repeated=repeated)
    assert claim(connection, now=NOW + 4) == []
    (letter,) = outbox.claim(connection, [], NOW + 5, 9)
    assert (letter.repeated, letter.attempts) == (repeated, 1)
    outbox.postpone(connection, letter.id, NOW + 6, "too many", repeated=False)
    (letter,) = outbox.claim(connection, [], NOW + 6, 9)
    assert (letter.repeated, letter.attempts) == (repeated, 2)


def test_a_whole_chat_waits_and_no_letter_of_it_is_hurried(connection: sqlite3.Connection) -> None:
    outbox.put(connection, notice("soon"), NOW)
    outbox.put(connection, notice("late"), NOW)
    hold_back(connection, "late", NOW + 50)
    outbox.put(connection, notice("elsewhere", chat_id=5), NOW)
    outbox.postpone_chat(connection, GROUP, NOW + 20)
    assert claim(connection, now=NOW + 19) == ["elsewhere"]
    assert claim(connection, now=NOW + 20) == ["soon"]
    assert claim(connection, now=NOW + 49) == []
    assert claim(connection, now=NOW + 50) == ["late"]


def test_after_a_crash_what_was_being_sent_goes_out_again_as_a_repeat(connection: sqlite3.Connection) -> None:
    for number in range(3):
        outbox.put(connection, notice(f"{number}", chat_id=number), NOW)
    first, second = outbox.claim(connection, [2], NOW, 9)
    outbox.delivered(connection, first.id, 1, NOW)
    assert outbox.revive(connection) == 1
    assert outbox.revive(connection) == 0
    again = outbox.claim(connection, [], NOW, 9)
    assert [(letter.id, letter.repeated) for letter in again] == [(second.id, True), (3, False)]


def test_a_dead_letter_stays_and_is_counted(connection: sqlite3.Connection) -> None:
    assert outbox.depth(connection) == {}
    for number in range(4):
        outbox.put(connection, notice(f"{number}", chat_id=number), NOW)
    dead, under_way, arrived = outbox.claim(connection, [], NOW, 3)
    outbox.bury(connection, dead.id, "bot was blocked", NOW)
    outbox.delivered(connection, arrived.id, None, NOW)
    assert outbox.depth(connection) == {"dead": 1, "pending": 1, "sending": 1}
    assert outbox.forget(connection, NOW + 1) == 1
    assert outbox.forget(connection, NOW + 1) == 0
    assert outbox.depth(connection) == {"dead": 1, "pending": 1, "sending": 1}
    assert claim(connection) == ["3"]
    assert under_way.attempts == 0


def test_only_letters_that_arrived_before_the_moment_are_forgotten(connection: sqlite3.Connection) -> None:
    outbox.put(connection, notice("a"), NOW)
    (letter,) = outbox.claim(connection, [], NOW, 9)
    outbox.delivered(connection, letter.id, 1, NOW)
    assert outbox.forget(connection, NOW) == 0
    assert outbox.forget(connection, NOW + 1) == 1


def test_letters_are_found_by_how_their_keys_begin_and_by_the_message_they_became(
    connection: sqlite3.Connection,
) -> None:
    for key in ("approval:1:5", "approval:1:-7", "approval:10:5", "approval:1"):
        outbox.put(connection, Notice(NoticeKind.APPROVAL, len(key), key), NOW)
    outbox.put(connection, Notice(NoticeKind.ANSWERED, 5, "approval:1:approved"), NOW)
    found = outbox.begun_with(connection, NoticeKind.APPROVAL, "approval:1:")
    assert [chat_id for _, chat_id in found] == [len("approval:1:5"), len("approval:1:-7")]
    (first, _), (second, _) = found
    outbox.delivered(connection, first, 99, NOW)
    assert [outbox.message_of(connection, letter_id) for letter_id in (first, second, 12345)] == [99, None, None]
