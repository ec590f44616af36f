"""Commands about limits: `/usage` shows them, `/limit` sets them, by words or by a form of buttons."""

from typing import Final

from bot.chat import keyboards, parsing, texts
from bot.chat.commands.people import only_person, person
from bot.chat.keyboards import Press, Row
from bot.chat.visit import Visit
from bot.domain.access import Member, Role
from bot.domain.durations import parse_duration
from bot.domain.errors import NotAMember, WrongUsage
from bot.domain.limits import COUNTS, TEAM_LIMITS, LimitName
from bot.domain.money import MOST, parse_amount
from bot.services import access, spending
from storage.members import TEAM

_MOST_COUNT: Final = 1000
_MOST_PEOPLE: Final = 40
_TEAM_WORD: Final = "team"


async def usage(visit: Visit) -> None:
    """`/usage`: what is spent, held and left, and when it starts anew; an admin may look at somebody else."""
    words = parsing.clean(visit.text).split()
    member = visit.member
    if words or (visit.replied is not None and visit.replied.user_id not in (None, member.user_id)):
        visit.require(Role.ADMIN)
        member = await _member(visit, await only_person(visit, words))
    state = await spending.statement(visit.desk, member.user_id)
    await visit.answer(texts.usage(member, state, visit.desk.settings.limits.zone))


async def limit(visit: Visit) -> None:
    """`/limit PERSON LIMIT AMOUNT [for TIME]`, or `/limit team_daily AMOUNT`; what is left out is asked by buttons."""
    words = parsing.clean(visit.text).split()
    if not words and visit.replied is None:
        await _choose_person(visit)
    elif words == [_TEAM_WORD]:
        await _choose_limit(visit, None)
    elif words and _named(words[0]) in TEAM_LIMITS:
        await _set(visit, None, words)
    elif words and _named(words[0]) is not None and visit.replied is None:
        raise WrongUsage("say who first", await _person_first(visit, words))
    else:
        user_id, _, rest = await person(visit, words)
        member = await _member(visit, user_id)
        await (_set(visit, member, rest) if rest else _choose_limit(visit, member))


async def _set(visit: Visit, member: Member | None, words: list[str]) -> None:
    if len(words) == 2 and _named(words[1]) is not None and _named(words[0]) is None:
        whose = f"{member.user_id} " if member else ""
        raise WrongUsage("the limit comes before the amount", f"{whose}{words[1]} {words[0]}")
    name, owner = parsing.parse_limit_name(words[0]), member.user_id if member else None
    if len(words) == 1:
        await _choose_amount(visit, member, name)
        return
    amount = None if words[1].casefold() == "default" else _amount(name, words[1])
    seconds = _seconds(words[2:], amount)
    done = await access.set_limit(visit.desk, visit.member.user_id, owner, name, amount, seconds)
    zone = visit.desk.settings.limits.zone
    if member is not None and member.user_id != visit.member.user_id:
        # Whoever waits for a raise learns that it is there; a courtesy, so it does not matter if it cannot be told.
        await visit.tell(member.user_id, texts.limit_told(done, visit.member.name, zone))
    await visit.answer(texts.limit_set(done, zone))


def _seconds(words: list[str], amount: int | None) -> int | None:
    """How long a limit is to bind, from `for 3d`; None for good."""
    if not words:
        return None
    if words[0].casefold() != "for" or len(words) == 1 or amount is None:
        raise WrongUsage(
            "say which limit and how much, and for how long if it is to end: /limit 12345 daily 200000 for 3d"
        )
    return parse_duration(" ".join(words[1:]))


def _amount(name: LimitName, typed: str) -> int:
    amount = parse_amount(typed)
    if name in COUNTS and amount > _MOST_COUNT:
        raise WrongUsage(f"“{name}” is a number of {texts.LIMIT_WORDS[name]}; at most {_MOST_COUNT}")
    return amount


async def _choose_person(visit: Visit) -> None:
    people = (await access.everybody(visit.desk))[:_MOST_PEOPLE]
    named = [_step(member.name[:30], str(member.user_id)) for member in people]
    await visit.answer(texts.limit_people(), [*_in_pairs(named), [_step("The team", _TEAM_WORD)]])


async def _choose_limit(visit: Visit, member: Member | None) -> None:
    state = await spending.statement(visit.desk, member.user_id if member else TEAM)
    names = [name for name in LimitName if (name in TEAM_LIMITS) == (member is None)]
    whose = f"{member.user_id} " if member else ""
    steps = [_step(texts.limit_button(name, state.caps[name]), f"{whose}{name}") for name in names]
    zone = visit.desk.settings.limits.zone
    shown = texts.statement(member, state, zone) if member else texts.limit_choice(state, zone)
    await visit.answer(shown, _in_pairs(steps))


async def _choose_amount(visit: Visit, member: Member | None, name: LimitName) -> None:
    # The same refusal as with an amount, before anybody chooses one in vain.
    access.check_owner(member.user_id if member else None, name)
    state = await spending.statement(visit.desk, member.user_id if member else TEAM)
    now, whose = state.caps[name], f"{member.user_id} " if member else ""
    most = _MOST_COUNT if name in COUNTS else MOST
    values = sorted({now // 2, min(now * 2, most), min(now * 5, most)} - {now})
    rows: list[Row] = [[_step(texts.limit_value(name, value), f"{whose}{name} {value}") for value in values]]
    double = min(now * 2, most)
    if double > now:
        shown = texts.limit_value(name, double)
        rows.append(
            [_step(f"{shown} {words}", f"{whose}{name} {double} {words}") for words in ("for 1 day", "for 1 week")]
        )
    rows.append([_step("The standard", f"{whose}{name} default")])
    await visit.answer(texts.limit_amounts(member, name, now), rows)


async def _person_first(visit: Visit, words: list[str]) -> str | None:
    """The words with the person moved to the front, if one of them names a member."""
    people = {str(member.user_id) for member in await access.everybody(visit.desk)}
    found = next((word for word in words[1:] if word in people), None)
    return " ".join([found, *(word for word in words if word != found)]) if found else None


async def _member(visit: Visit, user_id: int) -> Member:
    member = await access.member(visit.desk, user_id)
    if member is None:
        raise NotAMember(user_id)
    return member


def _named(word: str) -> LimitName | None:
    """The limit that a word names, if it is spelt right."""
    try:
        return LimitName(word.casefold().replace("-", "_"))
    except ValueError:
        return None


def _step(label: str, text: str) -> Press:
    return keyboards.command(label, "limit", text)


def _in_pairs(steps: list[Press]) -> list[Row]:
    return [steps[at : at + 2] for at in range(0, len(steps), 2)]
