"""What was ordered in a period: by whom, for what, and which number it was."""

import re
import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from bot.domain.access import Member, Role
from bot.domain.periods import Period
from bot.services.desk import Desk
from storage import members, orders
from storage.orders import Order, Sought

PER_PAGE: Final = 5
_LOCAL_NUMBER: Final = 6
"""Digits from which on a zero in front is taken for the one that is dialled within a country."""

_NUMBER: Final = re.compile(r"[#+]?[0-9 ().\-]{1,30}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Page:
    """Some of the orders found, the newest first, with the names of their members. `number` counts from 0.

    `count` orders were found in all, and `spent` (IDR) is what they cost without what came back.
    """

    orders: list[Order]
    names: Mapping[int, str]
    count: int
    spent: int
    number: int
    pages: int


async def look(desk: Desk, member: Member, group: int | None, period: Period, words: str, page: int) -> Page:
    """One page of the orders of `period` that `words` fit: a number, a person, a note, a platform or a country.

    Members see their own orders, admins everybody's; in a group (`group` is its id) only those that were placed there,
    for everyone in it can read along.
    """
    owner = None if member.may(Role.ADMIN) else member.user_id
    sought = Sought(str(period.first), str(period.last), owner, group, words, _digits(words))

    def body(connection: sqlite3.Connection) -> Page:
        count, spent = orders.totals(connection, sought)
        pages = max(1, -(-count // PER_PAGE))
        number = min(max(page, 0), pages - 1)
        found = orders.found(connection, sought, PER_PAGE, number * PER_PAGE)
        names = members.names_of(connection, {order.member_id for order in found})
        return Page(found, names, count, spent, number, pages)

    return await desk.database.read(body)


def _digits(words: str) -> str:
    """The digits of what can be an order's number or a part of a phone number; empty for anything else.

    The zero that is dialled within a country is no part of the whole number.
    """
    digits = re.sub(r"[^0-9]", "", words) if _NUMBER.fullmatch(words) else ""
    return digits.lstrip("0") if len(digits) >= _LOCAL_NUMBER else digits
