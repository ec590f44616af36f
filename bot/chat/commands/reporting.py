"""Commands that give account: `/audit` `/spend` `/export`."""

from dataclasses import asdict
from typing import Final

from bot.chat import keyboards, parsing, report_texts
from bot.chat.keyboards import Press, Row
from bot.chat.visit import Visit
from bot.domain.errors import WrongUsage
from bot.domain.notices import Delivered
from bot.domain.periods import EVERYDAY, LONGEST, Period, parse_period
from bot.services import exports, inquiry, reports
from bot.services.inquiry import Subject
from bot.services.reports import By, Report
from storage import members
from storage.reports import Place, Question

_MOST_EXPORTED: Final = 100_000
"""Orders in one file: about 25 MB, half of what Telegram takes from a bot."""

_TOLD_EVERY: Final = 5_000
_WAYS: Final = {
    "day": By.DAY,
    "days": By.DAY,
    "member": By.MEMBER,
    "members": By.MEMBER,
    "platform": By.PLATFORM,
    "platforms": By.PLATFORM,
    "country": By.COUNTRY,
    "countries": By.COUNTRY,
}


async def spend(visit: Visit) -> None:
    """`/spend [period] [by] [csv]`: a picture with the numbers beneath, or everything as a file."""
    words = parsing.clean(visit.text).split()
    as_file = bool(words) and words[-1].casefold() == "csv"
    words = words[:-1] if as_file else words
    by = _WAYS.get(words[-1].casefold()) if words else None
    period = _period(visit, " ".join(words[:-1] if by else words) or "week")
    visit.show_typing()
    report = await reports.spend(visit.desk, period)
    if as_file:
        content = exports.report_csv(report).encode("utf-8-sig")
        await visit.answer_with_file(f"spend-{period}.csv", content, report_texts.written(period))
        return
    await _show_spending(visit, report, by or (By.DAY if len(period) > 1 else By.MEMBER))


async def _show_spending(visit: Visit, report: Report, by: By) -> None:
    numbers, rows = report_texts.spending(report), _spend_buttons(report.period, by)
    if not report.parts[by] or not report.total.placed:
        await visit.answer(numbers, rows)
        return
    picture = await visit.desk.easel.draw(report_texts.plot(report, by), visit.desk.settings.storage.path)
    if picture is None:
        numbers = report_texts.no_picture(numbers)
    await visit.answer_with_photo(picture, numbers, rows)


def _spend_buttons(period: Period, by: By) -> list[Row]:
    return [
        [keyboards.command(name.capitalize(), "spend", name) for name in EVERYDAY if name != "yesterday"],
        keyboards.other_ways(period, by),
        [keyboards.command("As a file", "spend", f"{period} csv")],
    ]


async def export(visit: Visit) -> None:
    """`/export [period]`: every order of a period as a file, without codes."""
    period = _period(visit, parsing.clean(visit.text) or "month")
    count = await exports.count(visit.desk, period)
    if not count:
        await visit.answer(report_texts.nothing_to_export(period))
    elif count > _MOST_EXPORTED:
        await visit.answer(report_texts.too_many_to_export(count, _MOST_EXPORTED))
    else:
        await exports.note(visit.desk, visit.member.user_id, period, count)
        content, collected = await _collect(visit, period, count)
        name = f"orders-{period}.csv"
        await visit.answer_with_file(name, content, report_texts.exported(collected, period))


async def _collect(visit: Visit, period: Period, count: int) -> tuple[bytes, int]:
    """The file and the number of its orders; whoever waits long sees how far it is."""
    pieces, done, told = [exports.header()], 0, 0
    progress: int | None = None
    async for number, lines in exports.order_pages(visit.desk, period):
        pieces.append(lines)
        done += number
        if done - told >= _TOLD_EVERY:
            told = done
            progress = await _tell_progress(visit, progress, report_texts.collecting(done, max(done, count)))
    if progress is not None:
        await visit.sender.delete(visit.chat_id, progress)
    return "".join(pieces).encode("utf-8-sig"), done


async def _tell_progress(visit: Visit, message_id: int | None, text: str) -> int | None:
    """Say how far something is, in one message that is edited; a courtesy, so its failure is nobody's concern."""
    if message_id is not None:
        await visit.sender.edit(visit.chat_id, message_id, text)
        return message_id
    outcome = await visit.sender.send(visit.chat_id, text, thread_id=visit.thread_id)
    return outcome.message_id if isinstance(outcome, Delivered) else None


async def audit(visit: Visit) -> None:
    """`/audit [person|number|#order] [period]`: what was done, the newest first; in any order of the two."""
    asked = await inquiry.understand(visit.desk, parsing.clean(visit.text), await _replied(visit))
    if asked.number is not None and not asked.question.orders:
        await visit.answer(report_texts.no_such_number(asked.number))
        return
    await visit.answer(*await _audit(visit, asked.question, _title(asked), None))


async def audit_page(visit: Visit) -> None:
    """The button for older lines, or back to the newest: turns its message over."""
    facts = visit.facts
    numbers = {name: value for name, value in facts.items() if isinstance(value, int)}
    listed = str(facts["orders"]).split() if facts.get("orders") is not None else None
    question = Question(
        person=numbers.get("person"),
        orders=tuple(map(int, listed)) if listed is not None else None,
        begins=numbers.get("begins"),
        ends=numbers.get("ends"),
    )
    behind = Place(numbers["at"], numbers["id"]) if "at" in numbers else None
    await visit.replace(*await _audit(visit, question, str(facts.get("title") or ""), behind))


async def _audit(visit: Visit, question: Question, title: str, behind: Place | None) -> tuple[str, list[Row]]:
    lines, more = await inquiry.page(visit.desk, question, behind)
    names = await visit.desk.database.read(members.names)
    zone = visit.desk.settings.limits.zone
    facts = {**asdict(question), "orders": _listed(question), "title": title}
    row = []
    if more:
        last = lines[-1].line
        row.append(Press("Older", "audit_page", {**facts, "at": last.at, "id": last.id}))
    if behind is not None:
        row.append(Press("Newest", "audit_page", facts))
    return report_texts.audit_page(title, lines, names, zone, first=behind is None), [row]


def _listed(question: Question) -> str | None:
    return None if question.orders is None else " ".join(map(str, question.orders))


def _title(asked: Subject) -> str:
    when = f" · {report_texts.written(asked.period)}" if asked.period else ""
    return f"Audit{f' · {asked.title}' if asked.title else ''}{when}"


async def _replied(visit: Visit) -> Question | None:
    """Whom or which order a replied message speaks of."""
    if visit.replied is None:
        return None
    order_id = await inquiry.order_of_message(visit.desk, visit.chat_id, visit.replied.message_id)
    if order_id is not None:
        return Question(orders=(order_id,))
    return Question(person=visit.replied.user_id) if visit.replied.user_id is not None else None


def _period(visit: Visit, typed: str) -> Period:
    found = parse_period(typed, reports.today(visit.desk))
    if len(found) > LONGEST:
        raise WrongUsage(
            f"{len(found)} days are too many at once; name at most {LONGEST}, such as 2026-03 or last month"
        )
    return found
