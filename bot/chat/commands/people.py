"""Commands about who is on the list: `/users` `/allow` `/requests` `/revoke` `/role`, and people shared by a picker."""

import difflib
from typing import Final

from telegram import KeyboardButton, KeyboardButtonRequestUsers, ReplyKeyboardMarkup, ReplyKeyboardRemove

from bot.chat import keyboards, parsing, texts
from bot.chat.keyboards import Press, Row
from bot.chat.visit import Visit
from bot.domain.access import Member, Role
from bot.domain.errors import UnknownName, WrongUsage
from bot.domain.limits import LimitName
from bot.services import access, spending
from bot.services.access import Appointed
from storage import settings

_PICKER: Final = 1
"""Names our one picker in Telegram's answer; what is chosen there only leads to a question."""

_MOST_PICKED: Final = 10
_MOST_REQUESTS: Final = 15


async def users(visit: Visit) -> None:
    """`/users`: everybody on the list."""
    reason = await visit.desk.database.read(lambda connection: settings.get(connection, settings.PAUSED))
    await visit.answer(texts.members(await access.everybody(visit.desk), reason))


async def allow(visit: Visit) -> None:
    """`/allow PERSON [role]`: let somebody in, as an operator unless said otherwise; alone, it lets choose whom."""
    words = parsing.clean(visit.text).split()
    if not words and visit.replied is None and visit.private:
        await visit.answer_below(texts.choose_people(), _picker())
        return
    user_id, name, rest = await _with_role(visit, words)
    if rest:
        await _let_in(visit, user_id, parsing.parse_role(rest[0]), name)
    else:
        await let_in_anew(visit, user_id, Role.OPERATOR, name)


async def let_in_anew(visit: Visit, user_id: int, role: Role, name: str | None = None) -> None:
    """Let somebody in who is not in yet; whoever is keeps their role."""
    known = await access.member(visit.desk, user_id)
    if known is not None:
        await visit.answer(texts.in_already(known))
    else:
        await _let_in(visit, user_id, role, name)


async def _let_in(visit: Visit, user_id: int, role: Role, name: str | None = None) -> None:
    """Put a person on the list, or give them another role if they are on it."""
    await _announce(visit, await access.allow(visit.desk, visit.member.user_id, user_id, role, name))


async def _announce(visit: Visit, done: Appointed) -> None:
    """Tell the admin, and the person what they can do now, unless that is what they could before or they did it."""
    member = done.member
    await visit.menus.show(member)
    if done.before is member.role:
        await visit.answer(texts.role_kept(member))
        return
    told = member.user_id == visit.member.user_id or await _tell_role(visit, member, is_new=done.before is None)
    await visit.answer(texts.allowed(member, greeted=told))


async def _tell_role(visit: Visit, member: Member, *, is_new: bool) -> bool:
    """Say to a member what they can do and within which limits; False if they cannot be written to."""
    state = await spending.statement(visit.desk, member.user_id)
    limits = texts.your_limits(member, state, visit.desk.settings.limits.approve_above)
    words = texts.greeting(member) if is_new else texts.role_changed(member)
    return await visit.tell(member.user_id, words + limits)


async def shared(visit: Visit) -> None:
    """People chosen in Telegram's picker, or sent as a contact: ask for each whether to let them in, and as what."""
    if not visit.people:
        raise WrongUsage("send me a contact who uses Telegram, or their id: /allow 12345")
    await visit.answer_below(texts.chosen([chosen.name for chosen in visit.people]), ReplyKeyboardRemove())
    for chosen in visit.people:
        known = await access.member(visit.desk, chosen.user_id)
        if known is not None:
            await visit.answer(texts.in_already(known))
        else:
            question = texts.let_in_question(chosen.user_id, chosen.name)
            await visit.answer(question, keyboards.for_stranger(chosen.user_id, chosen.name))


async def requests(visit: Visit) -> None:
    """`/requests`: who waits to be let in, each with the buttons that decide."""
    waiting = await access.open_requests(visit.desk)
    rows: list[Row] = [
        [
            Press(f"{asker.name[:20]}: operator", "admit", {"user": asker.user_id, "role": "operator"}),
            Press("viewer", "admit", {"user": asker.user_id, "role": "viewer"}),
            Press("Refuse", "turn_down", {"user": asker.user_id}, keyboards.DANGER),
        ]
        for asker in waiting[:_MOST_REQUESTS]
    ]
    await visit.answer(texts.requests(waiting, visit.desk.settings.limits.zone), rows)


async def revoke(visit: Visit) -> None:
    """`/revoke PERSON`: take somebody off the list."""
    user_id = await only_person(visit, parsing.clean(visit.text).split())
    member = await access.revoke(visit.desk, visit.member.user_id, user_id)
    await visit.menus.hide(user_id)
    await visit.answer(texts.revoked(member))


async def role(visit: Visit) -> None:
    """`/role PERSON ROLE`: give a member another role."""
    user_id, _, rest = await _with_role(visit, parsing.clean(visit.text).split())
    if not rest:
        raise WrongUsage("say which role: /role 12345 viewer")
    wanted = parsing.parse_role(rest[0])
    await _announce(visit, await access.set_role(visit.desk, visit.member.user_id, user_id, wanted))


async def person(visit: Visit, words: list[str]) -> tuple[int, str | None, list[str]]:
    """Whom the command is about (by id, by reply, or by the name /users shows), and the words that remain.

    Raises:
        WrongUsage: nobody, or several. UnknownName: nearly somebody.
    """
    user_id = parsing.parse_user_id(words[0]) if words else None
    if user_id is not None:
        return user_id, None, words[1:]
    if visit.replied is not None and visit.replied.user_id is not None:
        return visit.replied.user_id, visit.replied.name, words
    people = await access.everybody(visit.desk)
    found = _by_name(people, words)
    if found is None:
        _suggest(people, words)
        is_name = bool(words) and words[0].casefold() not in {*Role, *LimitName}
        unknown = f"I know nobody called “{words[0][:40]}”. " if is_name else ""
        raise WrongUsage(
            f"{unknown}Say who: their id as /users shows it, their name there, or reply to one of their messages"
        )
    member, used = found
    return member.user_id, None, words[used:]


async def only_person(visit: Visit, words: list[str]) -> int:
    """Whom a command is about that takes nothing else; whoever names two may mean either, so it asks.

    Raises:
        WrongUsage, UnknownName.
    """
    user_id, _, rest = await person(visit, words)
    if rest:
        raise WrongUsage("one person at a time, and nothing behind them", str(user_id))
    return user_id


async def _with_role(visit: Visit, words: list[str]) -> tuple[int, str | None, list[str]]:
    """A person and at most one role behind them.

    Raises:
        WrongUsage, UnknownName.
    """
    swapped = len(words) == 2 and words[0].casefold() in set(Role) and parsing.parse_user_id(words[1]) is not None
    if swapped and visit.replied is None:
        raise WrongUsage("the person comes before the role", f"{words[1]} {words[0]}")
    user_id, name, rest = await person(visit, words)
    if len(rest) > 1:
        raise WrongUsage("a person and one role are all I need", f"{user_id} {rest[0]}")
    return user_id, name, rest


def _suggest(people: list[Member], words: list[str]) -> None:
    """Raises UnknownName if the first words are nearly somebody's name."""
    names = {person.name.casefold(): person.name for person in people}
    for used in range(min(len(words), 3), 0, -1):
        typed = " ".join(words[:used])
        near = difflib.get_close_matches(typed.removeprefix("@").casefold(), names, n=2, cutoff=0.7)
        if near:
            raise UnknownName("member", typed, tuple(names[name] for name in near))


def _by_name(people: list[Member], words: list[str]) -> tuple[Member, int] | None:
    """The one member whose name the first words spell, and how many words that took."""
    for used in range(len(words), 0, -1):
        wanted = " ".join(words[:used]).removeprefix("@").casefold()
        named = [person for person in people if person.name.casefold() == wanted]
        if len(named) == 1:
            return named[0], used
        if len(named) > 1:
            raise WrongUsage(f"there are {len(named)} people by that name; use the id that /users shows")
    return None


def _picker() -> ReplyKeyboardMarkup:
    wanted = KeyboardButtonRequestUsers(_PICKER, user_is_bot=False, max_quantity=_MOST_PICKED, request_name=True)
    button = KeyboardButton(texts.picker_button(), request_users=wanted)
    return ReplyKeyboardMarkup([[button]], resize_keyboard=True, one_time_keyboard=True)
