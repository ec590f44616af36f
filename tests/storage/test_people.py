"""Who is let in and what they may spend, the buttons they press, and the audit of what they did."""

import asyncio
import sqlite3
from contextlib import closing

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.domain.access import Member, Role
from bot.domain.limits import LimitName
from bot.domain.notices import Notice, NoticeKind
from storage import audit, buttons, members, orders, outbox, settings
from storage.audit import Line
from storage.buttons import Button
from storage.database import Database
from storage.members import TEAM, AccessRequest, Chat
from tests.storage.rows import ANA, BEN, GROUP, NOW, opened, waiting

CARL = 33

# Members


def ids(found: list[Member]) -> list[int]:
    return [member.user_id for member in found]


def test_somebody_let_in_is_found_until_they_are_put_out(connection: sqlite3.Connection) -> None:
    assert members.get(connection, CARL) is None
    members.allow(connection, CARL, "Carl", Role.APPROVER, ANA, NOW)
    assert members.get(connection, CARL) == Member(CARL, "Carl", Role.APPROVER)
    members.revoke(connection, CARL)
    assert members.get(connection, CARL) is None
    assert CARL not in ids(members.everybody(connection))
    assert members.name_of(connection, CARL) == "Carl"
    members.allow(connection, CARL, "Carlos", Role.VIEWER, ANA, NOW)
    assert members.get(connection, CARL) == Member(CARL, "Carlos", Role.VIEWER)


def test_a_role_and_a_name_can_change(connection: sqlite3.Connection) -> None:
    members.set_role(connection, ANA, Role.ADMIN)
    members.rename(connection, ANA, "Anna")
    members.rename(connection, ANA, "Anna")
    assert members.get(connection, ANA) == Member(ANA, "Anna", Role.ADMIN)
    assert members.get(connection, BEN) == Member(BEN, "Ben", Role.OPERATOR)
    assert members.name_of(connection, 404) is None


def test_everybody_comes_by_role_and_then_by_name(connection: sqlite3.Connection) -> None:
    members.allow(connection, 1, "zoe", Role.ADMIN, ANA, NOW)
    members.allow(connection, 2, "Émile", Role.VIEWER, ANA, NOW)
    members.allow(connection, 3, "adam", Role.ADMIN, ANA, NOW)
    assert ids(members.everybody(connection)) == [3, 1, ANA, BEN, 2]
    assert ids(members.admins(connection)) == [3, 1]


def test_owners_are_those_of_the_configuration_and_nobody_else(connection: sqlite3.Connection) -> None:
    members.revoke(connection, BEN)
    members.install_owners(connection, frozenset({BEN, CARL}), NOW)
    assert members.get(connection, BEN) == Member(BEN, "Ben", Role.ADMIN, owner=True)
    assert members.get(connection, CARL) == Member(CARL, "owner 33", Role.ADMIN, owner=True)
    assert members.get(connection, ANA) == Member(ANA, "Ana", Role.OPERATOR)
    members.install_owners(connection, frozenset({CARL}), NOW)
    assert members.get(connection, BEN) == Member(BEN, "Ben", Role.ADMIN, owner=False)


# Limits


def test_limits_are_the_defaults_until_somebody_sets_them(connection: sqlite3.Connection) -> None:
    defaults = {name: number for number, name in enumerate(LimitName)}
    assert members.limits_of(connection, ANA, defaults, NOW) == defaults
    members.set_limit(connection, ANA, LimitName.DAILY, 700)
    members.set_limit(connection, ANA, LimitName.DAILY, 0)
    members.set_limit(connection, TEAM, LimitName.TEAM_DAILY, 900)
    assert members.limits_of(connection, ANA, defaults, NOW) == {
        **defaults,
        LimitName.DAILY: 0,
        LimitName.TEAM_DAILY: 900,
    }
    assert members.limits_of(connection, BEN, defaults, NOW) == {**defaults, LimitName.TEAM_DAILY: 900}
    members.set_limit(connection, ANA, LimitName.DAILY, None)
    members.set_limit(connection, TEAM, LimitName.TEAM_DAILY, None)
    assert members.limits_of(connection, ANA, defaults, NOW) == defaults


def test_a_temporary_limit_binds_until_its_moment_and_not_at_it(connection: sqlite3.Connection) -> None:
    defaults = dict.fromkeys(LimitName, 5)
    members.set_limit(connection, ANA, LimitName.DAILY, 7)
    members.set_temporary_limit(connection, ANA, LimitName.DAILY, 9, NOW + 10)
    members.set_temporary_limit(connection, TEAM, LimitName.TEAM_DAILY, 11, NOW + 20)
    raised = {**defaults, LimitName.DAILY: 9, LimitName.TEAM_DAILY: 11}
    assert members.limits_of(connection, ANA, defaults, NOW + 9) == raised
    assert members.limits_of(connection, ANA, defaults, NOW + 10) == {**raised, LimitName.DAILY: 7}
    assert members.limits_of(connection, ANA, defaults, NOW + 20) == {**defaults, LimitName.DAILY: 7}
    assert members.limits_of(connection, BEN, defaults, NOW) == {**defaults, LimitName.TEAM_DAILY: 11}
    assert members.lasting_limits_of(connection, ANA, defaults) == {**defaults, LimitName.DAILY: 7}
    members.forget_temporary_limits(connection, NOW + 11)
    assert set(members.temporary_limits_of(connection, ANA, NOW)) == {LimitName.TEAM_DAILY}


SETTINGS = st.lists(
    st.tuples(
        st.sampled_from([ANA, BEN, TEAM]),
        st.sampled_from([LimitName.DAILY, LimitName.TEAM_DAILY]),
        st.one_of(st.none(), st.integers(0, 99)),
        st.one_of(st.none(), st.integers(-3, 9)),
    ),
    max_size=12,
)


@given(said=SETTINGS, later=st.integers(-3, 9))
def test_limits_are_what_was_said_last_as_long_as_it_holds(
    said: list[tuple[int, LimitName, int | None, int | None]], later: int
) -> None:
    defaults, now = dict.fromkeys(LimitName, 500), NOW + later
    lasting: dict[tuple[int, LimitName], int] = {}
    for_now: dict[tuple[int, LimitName], tuple[int, int]] = {}
    with closing(opened()) as connection:
        for owner, name, amount, lasts in said:
            if amount is not None and lasts is not None:
                members.set_temporary_limit(connection, owner, name, amount, NOW + lasts)
                for_now[owner, name] = (amount, NOW + lasts)
                continue
            members.set_limit(connection, owner, name, amount)
            for_now.pop((owner, name), None)
            lasting.pop((owner, name), None)
            if amount is not None:
                lasting[owner, name] = amount
        for member in (ANA, BEN):
            binding = members.limits_of(connection, member, defaults, now)
            for name, owner in ((LimitName.DAILY, member), (LimitName.TEAM_DAILY, TEAM)):
                amount, until = for_now.get((owner, name), (0, NOW - 99))
                assert binding[name] == (amount if until > now else lasting.get((owner, name), 500))


def test_the_newest_word_on_a_limit_ends_a_temporary_one(connection: sqlite3.Connection) -> None:
    defaults = dict.fromkeys(LimitName, 5)
    for amount in (0, None):
        members.set_temporary_limit(connection, ANA, LimitName.DAILY, 900, NOW + 10)
        members.set_limit(connection, ANA, LimitName.DAILY, amount)
        assert members.limits_of(connection, ANA, defaults, NOW)[LimitName.DAILY] == (5 if amount is None else 0)


def test_a_limit_of_the_wrong_owner_binds_nobody(connection: sqlite3.Connection) -> None:
    defaults = dict.fromkeys(LimitName, 5)
    members.set_limit(connection, ANA, LimitName.TEAM_DAILY, 1)
    members.set_limit(connection, TEAM, LimitName.DAILY, 1)
    assert members.limits_of(connection, ANA, defaults, NOW) == defaults


# Groups


def test_a_group_is_worked_in_until_it_is_forgotten(connection: sqlite3.Connection) -> None:
    members.allow_chat(connection, GROUP, "QA", ANA, NOW)
    members.allow_chat(connection, GROUP, "QA team", ANA, NOW)
    assert members.chat(connection, GROUP) == Chat(GROUP, "QA team")
    assert members.forget_chat(connection, GROUP)
    assert not members.forget_chat(connection, GROUP)
    assert members.chat(connection, GROUP) is None


@pytest.mark.parametrize("already_known", [True, False])
def test_a_group_that_moves_takes_its_orders_and_letters_along(
    connection: sqlite3.Connection, already_known: bool
) -> None:
    moved = -100500
    members.allow_chat(connection, GROUP, "QA", ANA, NOW)
    if already_known:
        members.allow_chat(connection, moved, "QA too", ANA, NOW)
    order_id = waiting(connection)
    orders.keep_card(connection, order_id, 9)
    for key in ("sent", "waiting"):
        outbox.put(connection, Notice(NoticeKind.TEXT, GROUP, key), NOW)
    outbox.put(connection, Notice(NoticeKind.TEXT, 5, "elsewhere"), NOW)
    outbox.delivered(connection, 1, 77, NOW)
    members.move_chat(connection, GROUP, moved)
    assert members.chat(connection, GROUP) is None
    assert members.chat(connection, moved) == Chat(moved, "QA")
    order = orders.get(connection, order_id)
    assert order is not None
    assert (order.chat_id, order.card_message_id) == (moved, None)
    chats = connection.execute("SELECT dedupe_key, chat_id FROM outbox ORDER BY id").fetchall()
    assert [tuple(row) for row in chats] == [("sent", GROUP), ("waiting", moved), ("elsewhere", 5)]


# Strangers


def test_a_stranger_is_noticed_once_in_a_while_and_strangers_only_so_many(connection: sqlite3.Connection) -> None:
    def notice(user_id: int, now: int) -> bool:
        return members.notice_stranger(connection, user_id, f"stranger {now}", now, quiet_for=100, most=2)

    assert notice(1, 1000)
    assert not notice(1, 1099)
    assert members.stranger_name(connection, 1) == "stranger 1000"
    assert notice(2, 1000)
    assert not notice(3, 1000)
    assert notice(1, 1100)
    assert members.stranger_name(connection, 1) == "stranger 1100"
    members.forget_strangers(connection, 1001, 1001)
    assert members.stranger_name(connection, 2) is None
    assert notice(3, 1101)


def test_a_stranger_who_never_asked_is_forgotten_sooner(connection: sqlite3.Connection) -> None:
    for stranger in (1, 2):
        members.notice_stranger(connection, stranger, f"stranger {stranger}", 1000, quiet_for=100, most=2)
    members.ask_access(connection, 1, 1000)
    members.forget_strangers(connection, asked_before=1000, silent_before=1001)
    assert members.stranger_name(connection, 1) == "stranger 1"
    assert members.stranger_name(connection, 2) is None
    members.forget_strangers(connection, asked_before=1001, silent_before=1001)
    assert members.stranger_name(connection, 1) is None


def test_a_stranger_asks_once_and_is_no_stranger_once_let_in(connection: sqlite3.Connection) -> None:
    assert members.ask_access(connection, CARL, NOW) is None
    members.notice_stranger(connection, CARL, "Carl", NOW, 100, 10)
    members.keep_words(connection, CARL, "first")
    members.keep_words(connection, CARL, "second")
    assert members.open_requests(connection) == []
    request = AccessRequest(CARL, "Carl", "first", NOW)
    assert members.ask_access(connection, CARL, NOW) == request
    assert members.ask_access(connection, CARL, NOW) is None
    assert members.open_requests(connection) == [request]
    assert members.refuse_access(connection, CARL, NOW)
    assert not members.refuse_access(connection, CARL, NOW)
    assert members.open_requests(connection) == []
    members.allow(connection, CARL, "Carl", Role.VIEWER, ANA, NOW)
    assert members.stranger_name(connection, CARL) is None


# Buttons


def test_a_button_is_found_as_it_was_made(connection: sqlite3.Connection) -> None:
    facts: dict[str, str | int | None] = {"order": 7, "name": "Ändern", "nothing": None}
    nonce = buttons.make(connection, "cancel", ANA, facts, NOW)
    assert buttons.find(connection, nonce) == Button(nonce, "cancel", ANA, facts, NOW, None)
    assert buttons.find(connection, "another") is None
    assert len(f"v1:confirm_order:{nonce}".encode()) <= 64


def test_no_two_buttons_are_alike(connection: sqlite3.Connection) -> None:
    assert len({buttons.make(connection, "a", ANA, {}, NOW) for _ in range(500)}) == 500


def test_a_button_works_for_one_update_only_and_for_that_one_again(connection: sqlite3.Connection) -> None:
    nonce = buttons.make(connection, "cancel", ANA, {}, NOW + 10)
    assert buttons.use(connection, nonce, "update-1", NOW)
    assert not buttons.use(connection, nonce, "update-2", NOW)
    assert buttons.use(connection, nonce, "update-1", NOW + 1)
    found = buttons.find(connection, nonce)
    assert found is not None
    assert found.used_by == "update-1"
    assert not buttons.use(connection, "another", "update-1", NOW)


def test_a_button_used_in_vain_is_free_again_for_anybody_if_its_own_user_says_so(
    connection: sqlite3.Connection,
) -> None:
    nonce = buttons.make(connection, "cancel", ANA, {}, NOW + 10)
    assert buttons.use(connection, nonce, "update-1", NOW)
    buttons.free(connection, nonce, "update-2")
    assert not buttons.use(connection, nonce, "update-2", NOW)
    buttons.free(connection, nonce, "update-1")
    assert buttons.use(connection, nonce, "update-2", NOW)


@pytest.mark.parametrize(("expires_at", "works"), [(NOW, False), (NOW + 1, True)])
def test_a_button_works_until_it_expires(connection: sqlite3.Connection, expires_at: int, works: bool) -> None:
    nonce = buttons.make(connection, "cancel", ANA, {}, expires_at)
    assert buttons.use(connection, nonce, "update-1", NOW) is works


def test_expired_buttons_are_forgotten(connection: sqlite3.Connection) -> None:
    old, new = (buttons.make(connection, "a", ANA, {}, NOW + late) for late in (0, 1))
    assert buttons.forget(connection, NOW + 1) == 1
    assert buttons.find(connection, old) is None
    assert buttons.find(connection, new) is not None


async def test_of_many_presses_at_once_one_counts(database: Database) -> None:
    nonce = await database.transact(lambda connection: buttons.make(connection, "cancel", ANA, {}, NOW + 10))

    async def press(number: int) -> bool:
        await asyncio.sleep(0)
        return await database.transact(lambda connection: buttons.use(connection, nonce, f"update-{number}", NOW))

    assert sum(await asyncio.gather(*map(press, range(50)))) == 1


# Settings


def test_a_setting_is_kept_replaced_and_dropped(connection: sqlite3.Connection) -> None:
    assert settings.get(connection, settings.PAUSED) is None
    settings.put(connection, settings.PAUSED, "holiday")
    settings.put(connection, settings.PAUSED, "")
    assert settings.get(connection, settings.PAUSED) == ""
    assert settings.drop(connection, settings.PAUSED)
    assert not settings.drop(connection, settings.PAUSED)
    assert settings.get(connection, settings.PAUSED) is None


# The audit


def test_the_audit_keeps_every_fact_and_shows_the_newest_first(connection: sqlite3.Connection) -> None:
    audit.write(connection, NOW, ANA, "order.place", order_id=7, price=1000, note="Übung", free=False, country=None)
    audit.write(connection, NOW + 1, audit.DESK, "member.allow", subject=BEN)
    detail: dict[str, str | int | bool | None] = {"price": 1000, "note": "Übung", "free": False, "country": None}
    placed = Line(1, NOW, ANA, "order.place", None, 7, detail)
    allowed = Line(2, NOW + 1, 0, "member.allow", BEN, None, {})
    assert audit.latest(connection, 9) == [allowed, placed]
    assert audit.latest(connection, 1) == [allowed]
    assert audit.latest(connection, 9, order_id=7) == [placed]
    assert audit.latest(connection, 9, order_id=8) == []


def test_the_audit_counts_what_somebody_did_since_a_moment(connection: sqlite3.Connection) -> None:
    for actor, action, at in ((ANA, "cancel", 5), (ANA, "cancel", 6), (ANA, "place", 6), (BEN, "cancel", 6)):
        audit.write(connection, at, actor, action)
    assert [audit.count(connection, ANA, "cancel", since) for since in (5, 6, 7)] == [2, 1, 0]
