"""Commands for admins: groups, pauses, and the orders only a person can decide."""

from typing import Final

from bot.chat import keyboards, parsing, texts
from bot.chat.keyboards import Press, Row
from bot.chat.visit import Visit
from bot.domain.errors import WrongUsage
from bot.services import access, backups, evidence, tracking
from bot.services import status as desk_status

_MOST_CHATS: Final = 20


async def pause(visit: Visit) -> None:
    """`/pause [reason]`: stop new orders for everyone."""
    reason = parsing.clean(visit.text)[:200]
    await access.pause(visit.desk, visit.member.user_id, reason or f"stopped by {visit.member.name}")
    await visit.answer(texts.paused(reason))


async def resume(visit: Visit) -> None:
    """`/resume`: let people order again."""
    was_paused = await access.resume(visit.desk, visit.member.user_id)
    await visit.answer(texts.resumed(was_paused=was_paused))


async def chats(visit: Visit) -> None:
    """`/chats`: where the bot works; `/chats allow` and `/chats forget` in the group that is meant."""
    word = parsing.clean(visit.text).casefold()
    if not word:
        await _list_chats(visit)
    elif visit.private or word not in {"allow", "forget"}:
        raise WrongUsage("send /chats allow or /chats forget in the group that you mean; /chats alone lists them")
    elif word == "allow":
        await access.allow_chat(visit.desk, visit.member.user_id, visit.chat_id, visit.chat_title)
        private = visit.desk.settings.ordering.code_delivery == "dm"
        await visit.answer(texts.chats_allowed(visit.chat_title, private_codes=private))
    else:
        await _forget_chat(visit, visit.chat_id, visit.chat_title)


async def forget_chat(visit: Visit) -> None:
    """A press that closes one of the groups listed by `/chats`."""
    await _forget_chat(visit, int(visit.facts.get("chat") or 0), str(visit.facts.get("title")))


async def _list_chats(visit: Visit) -> None:
    known = await access.chats(visit.desk)
    rows = [
        [Press(f"Leave “{chat.title}”"[:60], "forget_chat", {"chat": chat.chat_id, "title": chat.title})]
        for chat in known[:_MOST_CHATS]
    ]
    await visit.answer(texts.chats_list([chat.title for chat in known]), rows)


async def _forget_chat(visit: Visit, chat_id: int, title: str) -> None:
    await access.forget_chat(visit.desk, visit.member.user_id, chat_id)
    await visit.answer(texts.chats_forgotten(title))
    await visit.sender.leave(chat_id)


async def status(visit: Visit) -> None:
    """`/status`: how the desk stands."""
    visit.show_typing()
    await visit.answer(texts.status(await desk_status.look(visit.desk), visit.desk.settings.limits.zone))


async def backup(visit: Visit) -> None:
    """`/backup`: copy the books now."""
    visit.show_typing()
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
    open_question = evidence.is_for_an_admin(visit.desk, order)
    rows: list[Row] = [
        [
            keyboards.command("It was charged", "resolve", f"{number} charged", keyboards.DANGER),
            keyboards.command("It came back", "resolve", f"{number} refunded", keyboards.DANGER),
        ]
    ]
    names = {person.user_id: person.name for person in await access.everybody(visit.desk)}
    page = texts.evidence(known, names, visit.desk.settings.limits.zone)
    await visit.answer(page, rows if open_question else [])
