"""The sentences of the audit, the reports, the exports and the stock watch; the voice is that of `bot.chat.texts`."""

import html
from collections.abc import Mapping, Sequence
from datetime import date, datetime
from typing import Final
from zoneinfo import ZoneInfo

from bot.chat import texts
from bot.chat.audit_words import actor, deed
from bot.chat.texts import escape
from bot.chat.wording import format_amount
from bot.clock import from_milliseconds
from bot.domain.periods import Period
from bot.services import plots
from bot.services.easel import Plot
from bot.services.reports import By, Report, Totals
from storage.audit import Line
from storage.reports import Row, Told
from storage.watches import Watch

_LONGEST_CAPTION: Final = 1024
_ROOM_TO_REPEAT: Final = 60
"""Characters of a caption that are left free for `texts.repeated`."""
_MOST_PARTS: Final = 5
_BROKEN_DOWN: Final = {By.MEMBER: "By member", By.PLATFORM: "By platform", By.COUNTRY: "By country"}
_MONEY: Final = frozenset(
    {"price", "charged", "refunded", "fell", "balance", "before", "released", "held", "below", "extra"}
)
_ORDERS_OWN: Final = frozenset({"platform", "country", "note"})
"""Details of a line that its order shows anyway."""


_DETAIL_WORDS: Final = {
    "approval": "request",
    "code": "because of",
    "remote_id": "SMSCode's id",
    "revision": "SMS",
    "extra": "more by",
    "why": "because of",
}
"""Details whose own names are not what people would say."""

_LEAST_MILLISECONDS: Final = 10**11
"""A moment in unix milliseconds is above that, one in seconds below."""

# Spending


def spending(report: Report) -> str:
    """The numbers of a report, never longer than the caption of a picture."""
    return _as_many_as_fit(_numbers(report), _LONGEST_CAPTION)


def _numbers(report: Report) -> list[str]:
    total, period = report.total, written(report.period)
    if not total.placed and not total.held:
        return [f"Nothing was ordered {_during(report.period)}."]
    lines = [f"<b>{format_amount(total.spent)}</b> · {period}", _fared(total)]
    if total.held:
        lines.append(f"{format_amount(total.held)} more is held for orders under way.")
    for by, title in _BROKEN_DOWN.items():
        parts = report.parts[by]
        lines += ["", f"<b>{title}</b>"]
        lines += [
            f"{escape(name)} · {format_amount(some.spent)} · {_fared(some)}" for name, some in parts[:_MOST_PARTS]
        ]
        if len(parts) > _MOST_PARTS:
            lines.append(f"… and {len(parts) - _MOST_PARTS} more; the file has them all")
    return lines


def no_picture(numbers: str) -> str:
    """The same numbers, where the picture could not be drawn."""
    return f"{numbers}\n\n<i>The picture could not be drawn; the numbers are complete.</i>"


def digest(report: Report) -> str:
    """Last week, for the admins: a caption that leaves room for saying that it may be a repeat."""
    return _as_many_as_fit(["🗓 <b>Last week</b>", *_numbers(report)], _LONGEST_CAPTION - _ROOM_TO_REPEAT)


def plot(report: Report, by: By) -> Plot:
    """The plot of one breakdown of a report, in the words and amounts of the chat."""
    return plots.plot_of(report, by, format_amount, _plot_subtitle(report.period, by))


def _plot_subtitle(period: Period, by: By) -> str:
    """What a picture shows; plain text."""
    return f"{written(period)} · by {by}"


def written(period: Period) -> str:
    """A period as people write it: `9 – 15 Mar 2026`."""
    first, last = period.first, period.last
    if first == last:
        return f"{first:%a} {_day(first)} {first.year}"
    if (first.year, first.month) == (last.year, last.month):
        return f"{first.day} – {_day(last)} {last.year}"
    return f"{_day(first)} {first.year} – {_day(last)} {last.year}"


def _during(period: Period) -> str:
    return f"{'on' if period.first == period.last else 'in'} {written(period)}"


def _day(day: date) -> str:
    return f"{day.day} {day:%b}"


def _fared(totals: Totals) -> str:
    """How many orders, how often they led to a code, and how fast."""
    pieces = [f"{totals.placed} order{'s' if totals.placed != 1 else ''}"]
    if totals.waiting:
        pieces.append(f"{totals.waiting} still waiting")
    if totals.success is not None:
        pieces.append(f"{totals.success:.0%}{' of the others' if totals.waiting else ''} with a code")
    if totals.typical_seconds is not None:
        pieces.append(f"half within {lasting(totals.typical_seconds)}")
    return ", ".join(pieces)


def lasting(seconds: int) -> str:
    """A stretch of time, short."""
    minutes, rest = divmod(seconds, 60)
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"


# Exports


def collecting(done: int, of: int) -> str:
    """How far a long export is."""
    return f"Collecting orders: {done} of {of}"


def exported(count: int, period: Period) -> str:
    """What is in the file."""
    return f"{count} order{'s' if count != 1 else ''}, {written(period)}. No codes are in it; amounts are rupiah."


def nothing_to_export(period: Period) -> str:
    """No order in that time."""
    return f"No orders {_during(period)}."


def too_many_to_export(count: int, most: int) -> str:
    """A file that the chat does not take."""
    return (
        f"{count} orders are too many: a file here holds {most}. Choose a shorter period, or run "
        "<code>otpdesk export</code> on the desk's machine."
    )


# The audit


def audit_page(title: str, lines: Sequence[Told], names: Mapping[int, str], zone: ZoneInfo, *, first: bool) -> str:
    """One page, the newest line first; each order is explained where it appears first."""
    if not lines:
        return f"<b>{escape(title)}</b>\nNothing {'about that in the audit' if first else 'older'}."
    shown, day, explained = [f"<b>{escape(title)}</b>"], "", set[int]()
    for told in lines:
        moment = from_milliseconds(told.line.at).astimezone(zone)
        if f"{moment:%d %b %Y}" != day:
            day = f"{moment:%d %b %Y}"
            shown += ["", f"<b>{moment:%a} {day}</b>"]
        shown.append(_audit_line(told, moment, names, explained))
    return _as_many_as_fit(shown, _LONGEST_MESSAGE)


def no_such_number(number: str) -> str:
    """A phone number that no order had."""
    return f"No order of this desk had the number <code>{escape(number)}</code>, in any country."


def _audit_line(told: Told, moment: datetime, names: Mapping[int, str], explained: set[int]) -> str:
    line = told.line
    pieces = [f"{moment:%H:%M} <b>{escape(actor(line.actor_id, names))}</b> {escape(deed(line.action))}"]
    if line.subject is not None and line.subject != line.actor_id:
        pieces.append(f" {escape(names.get(line.subject, line.subject))}")
    if told.order is not None:
        pieces.append(f" #{told.order['id']}")
        if line.order_id not in explained:
            explained.add(line.order_id or 0)
            pieces.append(_explained(told.order, line, names))
    return "".join([*pieces, _detail(told, moment)])


def _explained(order: Row, line: Line, names: Mapping[int, str]) -> str:
    pieces = [str(order["platform"]), str(order["country"]), str(order["phone_number"] or "no number")]
    member_id = int(order["member_id"] or 0)
    if member_id != line.actor_id:
        pieces.append(f"for {names.get(member_id, member_id)}")
    note = f": “{html.escape(str(order['note']), quote=False)}”" if order["note"] else ""
    return f" ({', '.join(map(escape, pieces))}{note})"


def _detail(told: Told, moment: datetime) -> str:
    hidden = _ORDERS_OWN if told.order is not None else ()
    shown = [
        f"{escape(_DETAIL_WORDS.get(name, name))} {_value(name, value, moment)}"
        for name, value in told.line.detail.items()
        if name not in hidden and value not in (None, "")
    ]
    return f" · {', '.join(shown)}" if shown else ""


def _value(name: str, value: object, moment: datetime) -> str:
    """A detail as people write it; `moment` lends its time zone."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if not isinstance(value, int):
        return escape(value)
    if name == "until":
        milliseconds = value if value > _LEAST_MILLISECONDS else value * 1000
        return f"{from_milliseconds(milliseconds).astimezone(moment.tzinfo):%d %b %H:%M}"
    return format_amount(value) if name in _MONEY else str(value)


# The stock watch


def watching(kept: Watch, days: int) -> str:
    """A new watch."""
    return (
        f"I tell you here, once, when {_wanted(kept)}. After {days} days I stop looking. "
        "/watch lists what you wait for."
    )


def there_already(kept: Watch, price: int) -> str:
    """What was to be watched for is on sale now."""
    there = f"{escape(kept.platform)} in {escape(kept.country)} is in stock now, from {format_amount(price)}"
    return f"{there}, so there is nothing to watch for."


def stock_news(kept: Watch, name: str, price: int, stock: int | None) -> str:
    """What somebody has waited for."""
    left = "" if stock is None else f", {stock} left"
    return (
        f"🛒 {texts.mention(kept.member_id, name)}: {escape(kept.platform)} in {escape(kept.country)} is in stock, "
        f"from {format_amount(price)}{left}. I no longer look for it."
    )


def watch_list(kept: Sequence[Watch], zone: ZoneInfo) -> str:
    """What a member waits for."""
    if not kept:
        return "You wait for nothing. Start with <code>/watch whatsapp indonesia below=4000</code>"
    lines = [
        f"{escape(one.platform)} in {escape(one.country)}"
        f"{'' if one.below is None else f', at most {format_amount(one.below)}'}"
        f" · until {from_milliseconds(one.expires_at).astimezone(zone):%d %b %H:%M}"
        for one in kept
    ]
    return "\n".join(["<b>I look for</b>", *lines])


def watch_ended(ended: Watch | None) -> str:
    """A watch that its member has ended."""
    if ended is None:
        return "You have no such watch; it may be over. /watch lists those you have."
    return f"I no longer look for {escape(ended.platform)} in {escape(ended.country)}."


def _wanted(kept: Watch) -> str:
    price = "" if kept.below is None else f" for at most {format_amount(kept.below)}"
    return f"{escape(kept.platform)} in {escape(kept.country)} is in stock{price}"


# Pieces


_LONGEST_MESSAGE: Final = 3900
"""UTF-16 units of a page; the rest of Telegram's 4096 is a margin."""


def _as_many_as_fit(lines: Sequence[str], most: int) -> str:
    """The first lines that fit into so many of Telegram's characters (UTF-16 units, without the tags)."""
    kept, room = [], most - 2
    for line in lines:
        room -= len(texts.plain(line).encode("utf-16-le")) // 2 + 1
        if room < 0:
            kept.append("…")
            break
        kept.append(line)
    return "\n".join(kept)
