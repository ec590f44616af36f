"""Who is let in, as what, and with which limits. Every change is one transaction with its audit line."""

import json
import sqlite3
from typing import Final

from bot.domain.access import Member, Role
from bot.domain.errors import NotAMember, Protected
from bot.domain.limits import TEAM_LIMITS, LimitName
from bot.services.desk import Desk
from storage import audit, members, orders, settings

_QUIET_FOR: Final = 24 * 3600 * 1000
"""Milliseconds between two access notices to one stranger."""

_MOST_STRANGERS: Final = 1000
"""Strangers remembered at once; more than that is a flood, and a flood gets no answer."""


async def member(desk: Desk, user_id: int, name: str | None = None) -> Member | None:
    """The member by that id, with the name they go by now if one is given."""
    found = await desk.database.read(lambda connection: members.get(connection, user_id))
    if found is None or not name or found.name == name:
        return found
    await desk.transact(lambda connection: members.rename(connection, user_id, name))
    return Member(found.user_id, name, found.role, found.owner)


async def may_notice(desk: Desk, user_id: int, name: str) -> bool:
    """Whether a stranger is to get the access notice now; asking counts as giving it."""
    return await desk.transact(
        lambda connection: members.notice_stranger(connection, user_id, name, desk.now, _QUIET_FOR, _MOST_STRANGERS)
    )


async def ask(desk: Desk, user_id: int) -> bool:
    """A stranger asks to come in: tell the admins, once; say whether that was now."""

    def body(connection: sqlite3.Connection) -> bool:
        name = members.ask_access(connection, user_id, desk.now)
        if name is None:
            return False
        desk.alert(connection, f"access:{user_id}:{desk.now}", what="access", user=user_id, name=name)
        audit.write(connection, desk.now, user_id, "access.ask", subject=user_id)
        return True

    return await desk.transact(body)


async def allow(desk: Desk, admin_id: int, user_id: int, role: Role, name: str | None = None) -> Member:
    """Put a person on the allowlist, or give them that role if they are on it.

    Raises:
        Protected: an owner, or the last admin, would lose the admin role.
    """

    def body(connection: sqlite3.Connection) -> Member:
        known = members.get(connection, user_id)
        if known is not None:
            _check_demotion(connection, known, role)
        called = name or members.name_of(connection, user_id) or members.stranger_name(connection, user_id)
        members.allow(connection, user_id, called or f"member {user_id}", role, admin_id, desk.now)
        audit.write(connection, desk.now, admin_id, "member.allow", subject=user_id, role=role)
        return _must(connection, user_id)

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


async def set_role(desk: Desk, admin_id: int, user_id: int, role: Role) -> Member:
    """Give a member another role.

    Raises:
        NotAMember: they are not on the allowlist. Protected: an owner, or the last admin.
    """

    def body(connection: sqlite3.Connection) -> Member:
        _check_demotion(connection, _must(connection, user_id), role)
        members.set_role(connection, user_id, role)
        audit.write(connection, desk.now, admin_id, "member.role", subject=user_id, role=role)
        return _must(connection, user_id)

    return await desk.transact(body)


async def set_limit(desk: Desk, admin_id: int, owner: int | None, name: LimitName, amount: int | None) -> Member | None:
    """Set a limit of a member, or of the team when `owner` is None; an `amount` of None goes back to the default.

    Raises:
        NotAMember: there is no such member. Protected: a team limit for one member, or the other way about.
    """
    if (owner is None) != (name in TEAM_LIMITS):
        whose = "the team" if name in TEAM_LIMITS else "one member"
        raise Protected(f"{name} is a limit of {whose}")

    def body(connection: sqlite3.Connection) -> Member | None:
        person = _must(connection, owner) if owner is not None else None
        members.set_limit(connection, owner if owner is not None else members.TEAM, name, amount)
        audit.write(connection, desk.now, admin_id, "limit.set", subject=owner, limit=name, amount=amount)
        return person

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
