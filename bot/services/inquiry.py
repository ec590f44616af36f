"""Understanding what the audit is asked: who used this number on Tuesday, and why."""

import difflib
import re
import sqlite3
from dataclasses import dataclass, replace
from datetime import date
from typing import Final

import phonenumbers

from bot.domain.errors import NoSuchOrder, UnknownName
from bot.domain.periods import Period, is_period, parse_period
from bot.services import reports
from bot.services.desk import Desk
from storage import members, orders
from storage import reports as books
from storage.reports import Place, Question, Told

PAGE: Final = 12
"""Lines on one page."""

_NUMBER: Final = re.compile(r"(?:\+|00)?[0-9][0-9 ().-]{5,22}", re.ASCII)
_TRUNK: Final = re.compile(r"^(?:0+|8)")
"""What is dialled before a number within a country: a zero nearly everywhere, an eight in Russia and around it."""

_ORDER: Final = re.compile(r"#([0-9]{1,15})", re.ASCII)
_LONGEST_PERIOD: Final = 2
"""Words of the longest name of a period: `last week`."""

_MOST_ORDERS: Final = 50
_SHORTEST_NUMBER: Final = 7
_SUGGESTIONS: Final = 3


@dataclass(frozen=True, slots=True)
class Subject:
    """A question and how to call it. `number` is the phone number that was asked about, if one was."""

    question: Question
    title: str
    period: Period | None = None
    number: str | None = None


async def understand(desk: Desk, typed: str, replied: Question | None = None) -> Subject:
    """Read `[person|number|#order] [period]`, the two in any order; a reply says whom or what where words do not.

    Raises:
        UnknownName: there is no such person, order or number here, with the nearest names. WrongUsage: no such day.
    """
    who, period = _parted(typed, reports.today(desk))
    subject = await desk.database.read(lambda connection: _subject(connection, who, replied))
    if period is None:
        return subject
    begins, ends = (round(moment.timestamp() * 1000) for moment in period.instants(desk.settings.limits.zone))
    return replace(subject, period=period, question=replace(subject.question, begins=begins, ends=ends))


async def page(desk: Desk, question: Question, behind: Place | None) -> tuple[list[Told], bool]:
    """One page of lines, the newest first, and whether there are older ones."""
    found = await desk.database.read(lambda connection: books.audit_page(connection, question, behind, PAGE + 1))
    return found[:PAGE], len(found) > PAGE


async def order_of_message(desk: Desk, chat_id: int, message_id: int) -> int | None:
    """The order that one of the bot's messages speaks of."""
    order = await desk.database.read(lambda connection: orders.by_card(connection, chat_id, message_id))
    return order.id if order is not None else None


def _parted(typed: str, today: date) -> tuple[str, Period | None]:
    """Part the period, at the end or at the beginning, from whom it is about; the longest period wins."""
    words = typed.split()
    for length in range(min(_LONGEST_PERIOD, len(words)), 0, -1):
        for said, left in ((words[-length:], words[:-length]), (words[:length], words[length:])):
            if is_period(" ".join(said), today):
                return " ".join(left), parse_period(" ".join(said), today)
    return typed, None


def _subject(connection: sqlite3.Connection, who: str, replied: Question | None) -> Subject:
    if not who:
        question = replied or Question()
        return Subject(question, _title_of(connection, question))
    order = _ORDER.fullmatch(who)
    if order is not None:
        return _order(connection, int(order[1]))
    return (
        _person(connection, who) or _number(connection, who) or _bare_order(connection, who) or _nobody(connection, who)
    )


def _title_of(connection: sqlite3.Connection, question: Question) -> str:
    if question.orders:
        return f"#{question.orders[0]}"
    return (members.name_of(connection, question.person) or str(question.person)) if question.person else ""


def _order(connection: sqlite3.Connection, number: int) -> Subject:
    if orders.get(connection, number) is None:
        raise NoSuchOrder(f"#{number}")
    return Subject(Question(orders=(number,)), f"#{number}")


def _person(connection: sqlite3.Connection, who: str) -> Subject | None:
    """Somebody by their id or name, on the list or once on it."""
    names = members.names(connection)
    wanted = who.removeprefix("@").casefold()
    found = [user_id for user_id, name in names.items() if wanted in (str(user_id), name.casefold())]
    if len(found) > 1:
        raise UnknownName("one member by that name", who, tuple(map(str, found[:_SUGGESTIONS])))
    return Subject(Question(person=found[0]), names[found[0]]) if found else None


def _number(connection: sqlite3.Connection, who: str) -> Subject | None:
    """A phone number, however it is spaced; its plus may be left out, its country's code too."""
    digits = re.sub(r"\D", "", who).removeprefix("00")
    if not _NUMBER.fullmatch(who) or len(digits) < _SHORTEST_NUMBER:
        return None
    found = tuple(books.with_number(connection, [digits], _MOST_ORDERS))
    name = f"+{digits}"
    if not found and not who.startswith(("+", "00")):
        found = tuple(books.with_number(connection, _anywhere(digits), _MOST_ORDERS))
        name = digits
    return Subject(Question(orders=found), name, number=name)


def _anywhere(digits: str) -> list[str]:
    """The numbers that somebody may mean who leaves the country's code out, with or without what is dialled instead.

    They are looked up one by one: an index finds whole numbers, and no ends of numbers.
    """
    local = {digits, _TRUNK.sub("", digits)}
    return [f"{code}{number}" for code in phonenumbers.COUNTRY_CODE_TO_REGION_CODE for number in local]


def _bare_order(connection: sqlite3.Connection, who: str) -> Subject | None:
    is_one = who.isascii() and who.isdigit() and orders.get(connection, int(who[:15])) is not None
    return _order(connection, int(who)) if is_one else None


def _nobody(connection: sqlite3.Connection, who: str) -> Subject:
    names = list(members.names(connection).values())
    near = difflib.get_close_matches(who[:64], names, n=_SUGGESTIONS, cutoff=0.5)
    raise UnknownName("member, order, number or day", who, tuple(near))
