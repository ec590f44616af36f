"""`/history`: what was ordered, by days, weeks and months, found by number, person or note."""

from bot.chat import keyboards, parsing, texts
from bot.chat.keyboards import Press, Row
from bot.chat.visit import Visit
from bot.clock import moment
from bot.domain.periods import LONGEST, Period, is_period, parse_period
from bot.services import history

_SPANS = (("Today", "today"), ("Week", "week"), ("Month", "month"))


async def list_history(visit: Visit) -> None:
    """`/history [period] [words]`: the newest first. Words without a period are looked for in the last year."""
    words = parsing.clean(visit.text).split()
    typed = next((count for count in (2, 1) if len(words) >= count and _reads(visit, words[:count])), 0)
    nothing_said = "week" if not words else f"{LONGEST} days"
    period = _period(visit, " ".join(words[:typed]) or nothing_said)
    html, rows = await _page(visit, period, " ".join(words[typed:]), 0)
    await visit.answer(html, rows)


async def turn(visit: Visit) -> None:
    """A press that leads to another page or another span: its message becomes that page."""
    facts = visit.facts
    period = _period(visit, str(facts.get("period")))
    html, rows = await _page(visit, period, str(facts.get("find") or ""), int(facts.get("page") or 0))
    await visit.replace(html, rows)


async def search(visit: Visit) -> None:
    """Words typed in reply to a page are looked for in its period."""
    period = _period(visit, str(visit.facts.get("here")))
    html, rows = await _page(visit, period, parsing.clean(visit.text), 0)
    await visit.answer(html, rows)


async def _page(visit: Visit, period: Period, find: str, page: int) -> tuple[str, list[Row]]:
    group = None if visit.private else visit.chat_id
    shown = await history.look(visit.desk, visit.member, group, period, find, page)
    html = texts.history(shown, period, find, visit.desk.settings.limits.zone, moment(visit.desk.clock))

    def to(label: str, span: str, number: int = 0) -> Press:
        return Press(label, keyboards.HISTORY, {"period": span, "find": find, "page": number, "here": str(period)})

    pages = []
    if shown.number > 0:
        pages.append(to(f"◂ Page {shown.number}", str(period), shown.number - 1))
    if shown.number + 1 < shown.pages:
        pages.append(to(f"Page {shown.number + 2} ▸", str(period), shown.number + 1))
    return html, [[*(to(label, span) for label, span in _SPANS), to("◂ Earlier", str(period.before()))], pages]


def _reads(visit: Visit, words: list[str]) -> bool:
    today = moment(visit.desk.clock).astimezone(visit.desk.settings.limits.zone).date()
    return is_period(_span(" ".join(words)), today)


def _period(visit: Visit, typed: str) -> Period:
    today = moment(visit.desk.clock).astimezone(visit.desk.settings.limits.zone).date()
    if typed == f"{LONGEST} days":
        return Period.ending(today, LONGEST)
    return parse_period(_span(typed), today)


def _span(typed: str) -> str:
    return "today" if typed.casefold() == "day" else typed
