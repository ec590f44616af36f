"""Commands for admins: the allowlist, limits, groups, pauses, and the orders only a person can decide."""

from typing import Final

from bot.chat import keyboards, parsing, texts
from bot.chat.keyboards import Row
from bot.chat.visit import Visit
from bot.domain.access import Member, Role
from bot.domain.errors import NotAMember, WrongUsage
from bot.domain.limits import TEAM_LIMITS, LimitName
from bot.domain.money import parse_amount
from bot.domain.orders import OrderState
from bot.services import access, backups, evidence, spending, tracking
from bot.services import status as desk_status
from storage import settings

_MOST_COUNT: Final = 1000


async def users(visit: Visit) -> None:
    """`/users`: everybody on the list."""
    reason = await visit.desk.database.read(lambda connection: settings.get(connection, settings.PAUSED))
    await visit.answer(texts.members(await access.everybody(visit.desk), reason))


async def allow(visit: Visit) -> None:
    """`/allow PERSON [role]`: let somebody in, as an operator unless said otherwise."""
    user_id, name, rest = await _person(visit, parsing.clean(visit.text).split())
    if rest:
        await let_in(visit, user_id, parsing.parse_role(rest[0]), name)
    else:
        await let_in_anew(visit, user_id, Role.OPERATOR, name)


async def let_in_anew(visit: Visit, user_id: int, role: Role, name: str | None = None) -> None:
    """Let somebody in who is not in yet; whoever is keeps their role."""
    known = await access.member(visit.desk, user_id)
    if known is not None:
        await visit.answer(texts.in_already(known))
    else:
        await let_in(visit, user_id, role, name)


async def let_in(visit: Visit, user_id: int, role: Role, name: str | None = None) -> None:
    """Put a person on the list, tell the admin, greet the person."""
    member = await access.allow(visit.desk, visit.member.user_id, user_id, role, name)
    await visit.menus.show(member)
    greeted = await visit.tell(user_id, texts.greeting(member))
    await visit.answer(texts.allowed(member, greeted=greeted))


async def revoke(visit: Visit) -> None:
    """`/revoke PERSON`: take somebody off the list."""
    user_id, _, _ = await _person(visit, parsing.clean(visit.text).split())
    member = await access.revoke(visit.desk, visit.member.user_id, user_id)
    await visit.menus.hide(user_id)
    await visit.answer(texts.revoked(member))


async def role(visit: Visit) -> None:
    """`/role PERSON ROLE`: give a member another role."""
    user_id, _, rest = await _person(visit, parsing.clean(visit.text).split())
    if not rest:
        raise WrongUsage("say which role: /role 12345 viewer")
    member = await access.set_role(visit.desk, visit.member.user_id, user_id, parsing.parse_role(rest[0]))
    await visit.menus.show(member)
    await visit.answer(texts.allowed(member, greeted=True))


async def limit(visit: Visit) -> None:
    """`/limit PERSON LIMIT AMOUNT`, or `/limit team_daily AMOUNT`; `default` goes back; a person alone shows theirs."""
    words = parsing.clean(visit.text).split()
    if words and words[0].casefold().replace("-", "_") in TEAM_LIMITS:
        await _set_limit(visit, None, words)
        return
    user_id, _, rest = await _person(visit, words)
    if rest:
        await _set_limit(visit, user_id, rest)
        return
    member = await access.member(visit.desk, user_id)
    if member is None:
        raise NotAMember(user_id)
    state = await spending.statement(visit.desk, user_id)
    await visit.answer(texts.statement(member, state, visit.desk.settings.limits.zone))


async def pause(visit: Visit) -> None:
    """`/pause [reason]`: stop new orders for everyone."""
    reason = parsing.clean(visit.text)[:200] or f"stopped by {visit.member.name}"
    await access.pause(visit.desk, visit.member.user_id, reason)
    await visit.answer(texts.paused(reason))


async def resume(visit: Visit) -> None:
    """`/resume`: let people order again."""
    was_paused = await access.resume(visit.desk, visit.member.user_id)
    await visit.answer(texts.resumed(was_paused=was_paused))


async def chats(visit: Visit) -> None:
    """`/chats allow` and `/chats forget`, in the group that is meant."""
    word = parsing.clean(visit.text).casefold()
    if visit.private or word not in {"allow", "forget"}:
        raise WrongUsage("send /chats allow or /chats forget in the group that you mean")
    if word == "allow":
        await access.allow_chat(visit.desk, visit.member.user_id, visit.chat_id, visit.chat_title)
        await visit.answer(texts.chats_allowed(visit.chat_title))
    else:
        await access.forget_chat(visit.desk, visit.member.user_id, visit.chat_id)
        await visit.answer(texts.chats_forgotten())


async def status(visit: Visit) -> None:
    """`/status`: how the desk stands."""
    await visit.typing()
    await visit.answer(texts.status(await desk_status.look(visit.desk), visit.desk.settings.limits.zone))


async def backup(visit: Visit) -> None:
    """`/backup`: copy the books now."""
    await visit.typing()
    made = await backups.make(visit.desk, visit.member.user_id)
    await visit.answer(texts.backed_up(made.path.name, made.size, made.kept))


async def resolve(visit: Visit) -> None:
    """`/resolve ORDER` shows the evidence; with `charged` or `refunded` it decides what evidence could not."""
    words = parsing.clean(visit.text).split()
    number = parsing.parse_order_number(words[0]) if words else None
    if number is None or len(words) > 2 or (len(words) == 2 and words[1].casefold() not in {"charged", "refunded"}):
        raise WrongUsage("say which order and what happened: /resolve 17 charged, or /resolve 17 refunded")
    if len(words) == 1:
        await _show_evidence(visit, number)
        return
    charged = words[1].casefold() == "charged"
    order = await evidence.resolve(visit.desk, number, charged=charged, admin_id=visit.member.user_id)
    await visit.answer(texts.resolved(order))


async def _show_evidence(visit: Visit, number: int) -> None:
    order = await tracking.find(visit.desk, visit.member, number)
    known = await desk_status.evidence_of(visit.desk, order)
    open_question = order.state is OrderState.UNKNOWN or order.needs_admin
    rows: list[Row] = [
        [
            keyboards.command("It was charged", "resolve", f"{number} charged", keyboards.DANGER),
            keyboards.command("It came back", "resolve", f"{number} refunded", keyboards.DANGER),
        ]
    ]
    names = {person.user_id: person.name for person in await access.everybody(visit.desk)}
    page = texts.evidence(known, names, visit.desk.settings.limits.zone)
    await visit.answer(page, rows if open_question else [])


async def _set_limit(visit: Visit, owner: int | None, words: list[str]) -> None:
    if len(words) != 2:
        raise WrongUsage("say which limit and how much: /limit 12345 daily 200000, or default to go back")
    name = parsing.parse_limit_name(words[0])
    amount = None if words[1].casefold() == "default" else _limit_amount(name, words[1])
    member = await access.set_limit(visit.desk, visit.member.user_id, owner, name, amount)
    await visit.answer(texts.limit_set(member, name, amount))


def _limit_amount(name: LimitName, typed: str) -> int:
    amount = parse_amount(typed)
    if name in (LimitName.ACTIVE_ORDERS, LimitName.CANCELS_PER_DAY) and amount > _MOST_COUNT:
        raise WrongUsage(f"{name} is a count; at most {_MOST_COUNT}")
    return amount


async def _person(visit: Visit, words: list[str]) -> tuple[int, str | None, list[str]]:
    """Whom the command is about (by id, by reply, or by the name /users shows), and the words that remain."""
    user_id = parsing.parse_user_id(words[0]) if words else None
    if user_id is not None:
        return user_id, None, words[1:]
    if visit.replied is not None and visit.replied.user_id is not None:
        return visit.replied.user_id, visit.replied.name, words
    found = _by_name(await access.everybody(visit.desk), words)
    if found is None:
        raise WrongUsage("say who: their id as /users shows it, their name there, or reply to one of their messages")
    member, used = found
    return member.user_id, None, words[used:]


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
