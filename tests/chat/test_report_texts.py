"""The sentences of reports and the audit survive what the outside puts into them, and fit what carries them."""

from collections import Counter
from datetime import date

import pytest

from bot.chat import report_texts, texts
from bot.domain.money import MOST
from bot.domain.periods import Period
from bot.sandbox.telegram_markup import parse_html, utf16_length
from bot.services.reports import By, Report, Totals
from storage.audit import Line
from storage.reports import Row, Told
from tests.chat.test_texts import BIGGEST_ID, NASTY, ZONE

CAPTION, MESSAGE = 1024, 4096
DAY = Period(date(2026, 3, 14), date(2026, 3, 14))
YEARS = Period(date(2025, 12, 31), date(2026, 12, 31))


def a_report(nasty: str, parts: int = 9, period: Period = YEARS) -> Report:
    some = Totals(placed=10**6, waiting=5, codes=9, spent=MOST, held=MOST, seconds=Counter({7200: 9}))
    named = [(f"{nasty}{number}", some) for number in range(parts)]
    return Report(period, some, {By.DAY: [(str(period.first), some)], **dict.fromkeys(list(By)[1:], named)})


def a_page(nasty: str, lines: int = 12) -> list[Told]:
    about: Row = {
        "id": 10**15,
        "member_id": BIGGEST_ID,
        "platform": nasty,
        "country": nasty,
        "phone_number": nasty,
        "note": (nasty * 40)[:200],
    }
    detail = dict.fromkeys(("reason", "title", "why"), nasty) | {"price": MOST, "none": None, "no": False}
    return [
        Told(
            Line(number, 1_773_464_400_000 + number * 10**8, BIGGEST_ID * (number % 2), nasty, 7, number, detail), about
        )
        for number in range(1, lines + 1)
    ]


@pytest.mark.parametrize("kind", NASTY)
def test_whatever_names_hold_telegram_reads_it_and_it_fits(kind: str) -> None:
    nasty = NASTY[kind]
    names = {BIGGEST_ID: nasty, 7: nasty}
    captions = [
        report_texts.spending(a_report(nasty)),
        report_texts.spending(a_report(nasty, 0, DAY)),
        report_texts.spending(Report(DAY, Totals(), {by: [] for by in By})),
        texts.repeated(report_texts.digest(a_report(nasty))),
        report_texts.exported(1, YEARS),
        texts.file_not_sent(nasty),
    ]
    messages = [
        report_texts.no_picture(report_texts.spending(a_report(nasty))),
        report_texts.audit_page(nasty, a_page(nasty), names, ZONE, first=True),
        report_texts.audit_page(nasty, a_page(nasty), {}, ZONE, first=False),
        report_texts.audit_page(nasty, [], names, ZONE, first=True),
        report_texts.no_such_number(nasty),
        report_texts.too_many_to_export(10**9, 10**5),
    ]
    for most, shown in [(CAPTION, text) for text in captions] + [(MESSAGE, text) for text in messages]:
        plain, _ = parse_html(shown)
        assert plain
        assert utf16_length(plain) <= most
        assert "<b>&amp;<i>" not in shown


def test_each_order_is_explained_once_on_a_page_and_i_am_the_desk() -> None:
    about: Row = {
        "id": 17,
        "member_id": 2,
        "platform": "whatsapp",
        "country": "indonesia",
        "phone_number": "+62",
        "note": "why",
    }
    lines = [
        Told(Line(2, 1_773_464_500_000, 0, "order.code", None, 17, {"revision": 1}), about),
        Told(Line(1, 1_773_464_400_000, 2, "order.place", None, 17, {"price": 4200}), about),
    ]
    shown = texts.plain(report_texts.audit_page("Audit", lines, {2: "Omar"}, ZONE, first=True))
    assert shown.splitlines()[2:] == [
        "Sat 14 Mar 2026",
        "12:01 I delivered a code of #17 (whatsapp, indonesia, +62, for Omar: “why”) · SMS 1",
        "12:00 Omar ordered #17 · price Rp 4.200",
    ]


def test_success_and_speed_are_what_people_would_count() -> None:
    report = Report(
        DAY,
        Totals(placed=5, waiting=1, codes=3, spent=21_000, seconds=Counter({12: 1, 23: 1, 75: 1})),
        {by: [] for by in By},
    )
    assert "5 orders, 1 still waiting, 75% of the others with a code, half within 23 s" in report_texts.spending(report)
    assert report_texts.lasting(75) == "1 min 15 s"
    assert [report_texts.written(period) for period in (DAY, YEARS, Period(date(2026, 2, 28), DAY.last))] == [
        "Sat 14 Mar 2026",
        "31 Dec 2025 – 31 Dec 2026",
        "28 Feb 2026 – 14 Mar 2026",
    ]
