"""Who is let in, as what, and with which limits. Every change is one transaction with its audit line."""

import json
import sqlite3
from collections.abc import Collection
from dataclasses import dataclass
from typing import Final

from bot.domain.access import Member, Role
from bot.domain.errors import NotAMember, Protected
from bot.domain.limits import TEAM_LIMITS, LimitName
from bot.services.desk import Desk
from storage import audit, members, orders, settings
from storage.members import AccessRequest, Chat

_QUIET_FOR: Final = 24 * 3600 * 1000
"""Milliseconds between two access notices to one stranger."""

_MOST_STRANGERS: Final = 1000
"""Strangers remembered at once; more than that is a flood, and a flood gets no answer."""

_WORDS_KEPT: Final = 200


async def member(desk: Desk, user_id: int, name: str | None = None) -> Member | None:
    """The member by that id, with the name they go by now if one is given."""
    found = await desk.database.read(lambda connection: members.get(connection, user_id))
    if found is None or not name or found.name == name:
        return found
    await desk.transact(lambda connection: members.rename(connection, user_id, name))
    return Member(found.user_id, name, found.role, found.owner)


async def members_among(desk: Desk, user_ids: Collection[int]) -> frozenset[int]:
    """Those of many persons who are members, by one look: a flood of strangers must not cost one each."""
    return await desk.database.read(lambda connection: members.among(connection, user_ids))


async def may_notice(desk: Desk, user_id: int, name: str, words: str = "") -> bool:
    """Whether a stranger is to get the access notice now; asking counts as giving it.

    The first of their `words` that are no command are kept for the admins.
    """

    def body(connection: sqlite3.Connection) -> bool:
        may = members.notice_stranger(connection, user_id, name, desk.now, _QUIET_FOR, _MOST_STRANGERS)
        if words:
            members.keep_words(connection, user_id, words[:_WORDS_KEPT])
        return may

    return await desk.transact(body)


async def ask(desk: Desk, user_id: int) -> bool:
    """A stranger asks to come in: tell the admins, once; say whether that was now."""

    def body(connection: sqlite3.Connection) -> bool:
        asker = members.ask_access(connection, user_id, desk.now)
        if asker is None:
            return False
        desk.alert(
            connection,
            f"access:{user_id}:{desk.now}",
            what="access",
            user=user_id,
            name=asker.name,
            words=asker.words or "(none)",
        )
        audit.write(connection, desk.now, user_id, "access.ask", subject=user_id)
        return True

    return await desk.transact(body)


async def open_requests(desk: Desk) -> list[AccessRequest]:
    """Who has asked to come in and has had no answer, the longest waiting first."""
    return await desk.database.read(members.open_requests)


async def refuse(desk: Desk, admin_id: int, user_id: int) -> bool:
    """Close a stranger's request with a no; say whether it was still open, so that they are told once."""

    def body(connection: sqlite3.Connection) -> bool:
        was_open = members.refuse_access(connection, user_id, desk.now)
        if was_open:
            audit.write(connection, desk.now, admin_id, "access.refuse", subject=user_id)
        return was_open

    return await desk.transact(body)


async def admins(desk: Desk) -> list[Member]:
    """The admins, by name."""
    return await desk.database.read(members.admins)


@dataclass(frozen=True, slots=True)
class Appointed:
    """A member with the role they have now, and the one they had before; None: they were not on the list."""

    member: Member
    before: Role | None


async def allow(desk: Desk, admin_id: int, user_id: int, role: Role, name: str | None = None) -> Appointed:
    """Put a person on the allowlist, or give them that role if they are on it.

    Raises:
        Protected: an owner, or the last admin, would lose the admin role.
    """

    def body(connection: sqlite3.Connection) -> Appointed:
        known = members.get(connection, user_id)
        if known is not None:
            _check_demotion(connection, known, role)
        called = name or members.name_of(connection, user_id) or members.stranger_name(connection, user_id)
        members.allow(connection, user_id, called or f"member {user_id}", role, admin_id, desk.now)
        audit.write(connection, desk.now, admin_id, "member.allow", subject=user_id, role=role)
        return Appointed(_must(connection, user_id), known.role if known is not None else None)

    return await desk.transact(body)


async def revoke(desk: Desk, admin_id: int, user_id: int) -> Member:
    """Take a person off the allowlist.

    Raises:
        NotAMember: they are not on it. Protected: an owner, or the last admin.
    """

    def body(connection: sqlite3.Connection) -> Member:
        known = _must(connection, user_id)
        _check_demotion(connection, known, None)
        members.revoke(connection, user_id)
        audit.write(connection, desk.now, admin_id, "member.revoke", subject=user_id)
        return known

    return await desk.transact(body)


async def set_role(desk: Desk, admin_id: int, user_id: int, role: Role) -> Appointed:
    """Give a member another role.

    Raises:
        NotAMember: they are not on the allowlist. Protected: an owner, or the last admin.
    """

    def body(connection: sqlite3.Connection) -> Appointed:
        known = _must(connection, user_id)
        _check_demotion(connection, known, role)
        members.set_role(connection, user_id, role)
        audit.write(connection, desk.now, admin_id, "member.role", subject=user_id, role=role)
        return Appointed(_must(connection, user_id), known.role)

    return await desk.transact(body)


@dataclass(frozen=True, slots=True)
class LimitSet:
    """A limit as it was set: of whom (None: the team), what binds now, and what it falls back to at `until`."""

    member: Member | None
    name: LimitName
    amount: int
    is_default: bool
    until: int | None = None
    lasting: int = 0


def check_owner(owner: int | None, name: LimitName) -> None:
    """Whether a limit may be set for that owner; None is the team.

    Raises:
        Protected: a team limit for one member, or the other way about.
    """
    if (owner is None) != (name in TEAM_LIMITS):
        if name in TEAM_LIMITS:
            raise Protected(f"“{name}” is a limit of the team: set it without a person, /limit {name} 90000")
        raise Protected(f"“{name}” is a limit of one member: say whose, /limit 12345 {name} 5")


async def set_limit(
    desk: Desk, admin_id: int, owner: int | None, name: LimitName, amount: int | None, seconds: int | None = None
) -> LimitSet:
    """Set a limit of a member, or of the team when `owner` is None; an `amount` of None goes back to the default.

    With `seconds` it binds for that long and then falls back by itself: every use compares the time.

    Raises:
        NotAMember: there is no such member. Protected: a team limit for one member, or the other way about.
    """
    check_owner(owner, name)

    def body(connection: sqlite3.Connection) -> LimitSet:
        person = _must(connection, owner) if owner is not None else None
        whose, now, defaults = owner if owner is not None else members.TEAM, desk.now, desk.settings.limits.defaults
        until = now + seconds * 1000 if seconds is not None and amount is not None else None
        if amount is not None and until is not None:
            members.set_temporary_limit(connection, whose, name, amount, until)
            audit.write(connection, now, admin_id, "limit.set", subject=owner, limit=name, amount=amount, until=until)
        else:
            members.set_limit(connection, whose, name, amount)
            audit.write(connection, now, admin_id, "limit.set", subject=owner, limit=name, amount=amount)
        lasting = members.lasting_limits_of(connection, whose, defaults)[name]
        binding = members.limits_of(connection, whose, defaults, now)[name]
        return LimitSet(person, name, binding, is_default=amount is None, until=until, lasting=lasting)

    return await desk.transact(body)


async def pause(desk: Desk, actor_id: int, reason: str) -> None:
    """Stop new orders for everyone; live ones are watched on."""

    def body(connection: sqlite3.Connection) -> None:
        settings.put(connection, settings.PAUSED, reason)
        audit.write(connection, desk.now, actor_id, "desk.pause", reason=reason)

    await desk.transact(body)


async def resume(desk: Desk, actor_id: int) -> bool:
    """Let people order again; say whether orders had been stopped."""

    def body(connection: sqlite3.Connection) -> bool:
        was_paused = settings.drop(connection, settings.PAUSED)
        if was_paused:
            audit.write(connection, desk.now, actor_id, "desk.resume")
        return was_paused

    return await desk.transact(body)


async def tell_restored(desk: Desk) -> None:
    """Tell the admins once what a desk whose books came from a backup does not know."""

    def body(connection: sqlite3.Connection) -> None:
        news = settings.get(connection, settings.RESTORE_NEWS)
        if news is None:
            return
        settings.drop(connection, settings.RESTORE_NEWS)
        facts = json.loads(news)
        taken, commands = str(facts["taken"]), int(facts["commands"])
        desk.alert(connection, f"restored:{desk.now}", what="restored", taken=taken, commands=commands)
        for order in orders.unclear(connection):
            desk.alert(connection, f"{order.id}:restored:{desk.now}", what="restored_order", order=order.id)
        audit.write(connection, desk.now, audit.DESK, "desk.restored", taken=taken, commands=commands)

    await desk.transact(body)


async def everybody(desk: Desk) -> list[Member]:
    """All members, the highest roles first."""
    return await desk.database.read(members.everybody)


async def chat_allowed(desk: Desk, chat_id: int) -> bool:
    """Whether the bot works in that group."""
    return await desk.database.read(lambda connection: members.chat(connection, chat_id)) is not None


async def is_unknown(desk: Desk, chat_id: int) -> bool:
    """Whether neither an admin nor the configuration has named that group."""
    return chat_id != desk.settings.access.admin_chat and not await chat_allowed(desk, chat_id)


async def chats(desk: Desk) -> list[Chat]:
    """Every group the bot works in."""
    return await desk.database.read(members.chats)


async def allow_chat(desk: Desk, admin_id: int, chat_id: int, title: str) -> None:
    """Let the bot work in a group."""

    def body(connection: sqlite3.Connection) -> None:
        members.allow_chat(connection, chat_id, title, admin_id, desk.now)
        audit.write(connection, desk.now, admin_id, "chat.allow", subject=chat_id, title=title)

    await desk.transact(body)


async def forget_chat(desk: Desk, actor_id: int, chat_id: int) -> bool:
    """Stop working in a group; say whether the bot did before."""

    def body(connection: sqlite3.Connection) -> bool:
        known = members.forget_chat(connection, chat_id)
        if known:
            audit.write(connection, desk.now, actor_id, "chat.forget", subject=chat_id)
        return known

    return await desk.transact(body)


async def move_chat(desk: Desk, old: int, new: int) -> None:
    """Follow a group that has become a supergroup under another id."""

    def body(connection: sqlite3.Connection) -> None:
        if members.chat(connection, old) is not None:
            members.move_chat(connection, old, new)
            audit.write(connection, desk.now, audit.DESK, "chat.move", subject=new, old=old)

    await desk.transact(body)


def _must(connection: sqlite3.Connection, user_id: int) -> Member:
    found = members.get(connection, user_id)
    if found is None:
        raise NotAMember(user_id)
    return found


def _check_demotion(connection: sqlite3.Connection, person: Member, role: Role | None) -> None:
    if person.role is not Role.ADMIN or role is Role.ADMIN:
        return
    if person.owner:
        raise Protected(f"{person.name} is an owner; owners are named in the configuration, not in the chat")
    if len(members.admins(connection)) == 1:
        raise Protected(f"{person.name} is the last admin; make somebody else an admin first")
