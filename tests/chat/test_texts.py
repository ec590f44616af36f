"""Every sentence survives what the outside puts into it: Telegram can read it, and it fits one message."""

import ast
import inspect
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from string import Formatter
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

import bot
from bot.chat import texts
from bot.chat.commands.table import COMMANDS
from bot.domain import errors
from bot.domain.access import Member, Role
from bot.domain.errors import DeskError, NotAMember, Protected
from bot.domain.limits import LimitName, Usage
from bot.domain.money import MOST
from bot.domain.orders import Offer, OrderState, Policy, Sms
from bot.domain.periods import Period
from bot.sandbox.telegram_markup import parse_html, utf16_length
from bot.services.access import LimitSet
from bot.services.history import Page
from bot.services.spending import Budget, ForNow, Statement
from bot.services.status import Evidence, Status
from bot.sms.port import WebhookState
from storage.approvals import Approval, ApprovalState
from storage.audit import Line
from storage.ledger import Entry
from storage.members import AccessRequest
from storage.orders import Order

ZONE = ZoneInfo("Asia/Jakarta")
MOMENT = datetime(2026, 3, 14, 5, 0, tzinfo=UTC)
MOMENT_MS = 1_773_464_400_000
LONGEST_MESSAGE, LONGEST_POPUP = 4096, 200
BIGGEST_ID = 2**52

NASTY = {
    "html": '<b>&amp;<i>"</b></i><script>&#x26;<',
    "long": "W" * 200,
    "emoji": "🧑‍💻🇮🇩" * 33,
    "backwards": "\u202eevil\u202c \u2067x\u200f",
    "entities": "&lt;b&gt;&" * 20,
    "templates": "{0}{order}{}%s%(x)s${y}",
    "lines": "one\ntwo\r\n\tthree",
    "empty": "",
    "zalgo": "z\u0301\u0302\u0303\u0304" * 40,
}

Rendering = Callable[[str], object]

HELP = [(command.usage, command.summary) for command in COMMANDS]
"""Help speaks of the table of commands only, which is ours."""


def an_order(nasty: str, state: OrderState = OrderState.WAITING, **changes: object) -> Order:
    values: dict[str, object] = {
        "id": 10**15 - 1,
        "command_key": nasty,
        "member_id": BIGGEST_ID,
        "chat_id": -BIGGEST_ID,
        "thread_id": None,
        "platform": nasty,
        "countries": f"{nasty.replace(',', '')},x",
        "max_price": None,
        "note": nasty[:200],
        "state": state,
        "day": "2026-03-14",
        "month": "2026-03",
        "attempt": 1,
        "country": nasty,
        "product": nasty,
        "price": MOST,
        "request_key": nasty,
        "request_body": nasty,
        "held": 0,
        "charged": MOST,
        "refunded": MOST,
        "refund_assumed": False,
        "balance_before": None,
        "remote_id": nasty,
        "phone_number": nasty,
        "remote_status": nasty,
        "expires_at": 1_773_464_400_000,
        "card_message_id": None,
        "error": nasty,
        "needs_admin": False,
        "created_at": 0,
        "sent_at": None,
        "placed_at": None,
        "ended_at": None,
        **changes,
    }
    return Order(**values)  # type: ignore[arg-type]


def in_every_state(render: Callable[[Order], str]) -> Rendering:
    def every(nasty: str) -> list[str]:
        return [
            render(an_order(nasty, state, **changes))
            for state in OrderState
            for changes in (
                {},
                {"phone_number": None, "expires_at": None, "note": "", "refunded": 0, "max_price": 5},
                {"cancel_from": 1_773_464_400_000},
            )
        ]

    return every


def a_member(nasty: str, role: Role = Role.OPERATOR) -> Member:
    return Member(BIGGEST_ID, nasty, role, owner=True)


def a_budget(name: LimitName) -> Budget:
    return Budget(name, MOST, Usage(MOST, MOST), MOMENT)


BUDGETS = tuple(
    a_budget(name) for name in (LimitName.DAILY, LimitName.MONTHLY, LimitName.TEAM_DAILY, LimitName.TEAM_MONTHLY)
)


STATEMENTS = (
    Statement(MOST, 999, 999, BUDGETS, caps=dict.fromkeys(LimitName, 999)),
    Statement(
        *(0, 0, 0, BUDGETS),
        tuple(ForNow(name, MOST, 1_773_464_400_000, 0) for name in LimitName),
        dict.fromkeys(LimitName, 0),
    ),
)


def every_request(nasty: str) -> list[Approval]:
    """A request for a number, and one for the same number again, without a note."""
    common = (BIGGEST_ID, -BIGGEST_ID, None, nasty, nasty, MOST)
    rest = (ApprovalState.OPEN, 0, MOMENT_MS, None, None, None)
    policy = Policy.CHEAPEST
    return [
        Approval(10**15, "key", 1, *common, nasty[:200], policy, "", None, nasty, nasty, MOST, *rest),
        Approval(10**15, "key", 1, *common, "", policy, "", 1, nasty, "", MOST, *rest),
    ]


def an_account(nasty: str) -> tuple[Entry, ...]:
    return tuple(Entry("held", "spent", MOST, nasty, 0) for _ in range(30))


def a_history(nasty: str) -> tuple[Line, ...]:
    return tuple(Line(number, 0, actor, nasty, None, 1, {}) for number in range(10) for actor in (0, BIGGEST_ID))


def every_status(nasty: str) -> Iterator[Status]:
    """The desk in good order, and with all the trouble there is."""
    quiet = Status(
        contract="official",
        trouble="",
        requests_used=0,
        requests_allowed=300,
        pause_left=0.0,
        live=0,
        unclear=0,
        undecided=0,
        paused=None,
        guarded_until=None,
        letters={},
        foreign=(),
        webhook=WebhookState("https://desk.example"),
        webhooks_proven=False,
    )
    yield quiet
    yield replace(quiet, trouble=nasty, contract="", foreign=None, webhook=None, paused=nasty, pause_left=600.0)
    yield replace(quiet, guarded_until=1_773_464_400, foreign=(nasty,) * 50, letters={nasty: 10**9, "sent": 1})
    yield replace(quiet, webhook=WebhookState(nasty, nasty, 10), webhooks_proven=True)
    yield replace(quiet, webhook=WebhookState(nasty), webhooks_proven=True)


RENDERINGS: Mapping[str, Rendering] = {
    "mention": lambda nasty: texts.mention(BIGGEST_ID, nasty),
    "escape": texts.escape,
    "backed_up": lambda nasty: [texts.backed_up(nasty, size, kept) for size in (0, 10**9) for kept in (1, 14)],
    "file_not_sent": texts.file_not_sent,
    "countdown": lambda _: texts.countdown(MOMENT, ZONE),
    "welcome": lambda nasty: [texts.welcome(a_member(nasty, role)) for role in Role],
    "stranger": lambda _: [texts.stranger(BIGGEST_ID, may_ask=may_ask) for may_ask in (True, False)],
    "help_page": lambda _: [texts.help_page(HELP, role) for role in (*Role, None)],
    "help_on": lambda nasty: texts.help_on(nasty, nasty, [nasty] * 5),
    "statement": lambda nasty: [texts.statement(a_member(nasty), state, ZONE) for state in STATEMENTS],
    "members": lambda nasty: [texts.members([a_member(nasty)] * 200, paused) for paused in (nasty, None)],
    "allowed": lambda nasty: [texts.allowed(a_member(nasty), greeted=greeted) for greeted in (True, False)],
    "in_already": lambda nasty: texts.in_already(a_member(nasty)),
    "greeting": lambda nasty: texts.greeting(a_member(nasty)),
    "revoked": lambda nasty: texts.revoked(a_member(nasty)),
    "limit_set": lambda nasty: [
        texts.limit_set(LimitSet(member, name, MOST, is_default, until, MOST), ZONE)
        for name in LimitName
        for member in (a_member(nasty), None)
        for is_default, until in ((True, None), (False, None), (False, MOMENT_MS))
    ],
    "limit_told": lambda nasty: [
        texts.limit_told(LimitSet(a_member(nasty), name, MOST, is_default=False, until=until), nasty, ZONE)
        for name in LimitName
        for until in (None, MOMENT_MS)
    ],
    "usage": lambda nasty: [texts.usage(a_member(nasty), state, ZONE) for state in STATEMENTS],
    "limit_warning": lambda nasty: [
        texts.limit_warning(
            {"owner": owner, "limit": name, "level": level, "used": MOST, "cap": MOST, "resets_at": at}, nasty, ZONE
        )
        for owner in (0, BIGGEST_ID)
        for name in LimitName
        for level in (80, 100)
        for at in (None, 1_773_464_400)
    ],
    "whom_to_ask": lambda nasty: [
        texts.whom_to_ask(names, is_admin=is_admin) for names in ([], [nasty] * 9) for is_admin in (True, False)
    ],
    "limit_choice": lambda _: [texts.limit_choice(state, ZONE) for state in STATEMENTS],
    "limit_amounts": lambda nasty: [
        texts.limit_amounts(whose, name, amount)
        for whose in (a_member(nasty), None)
        for name in LimitName
        for amount in (0, MOST)
    ],
    "limit_button": lambda _: [texts.limit_button(name, MOST) for name in LimitName],
    "limit_value": lambda _: [texts.limit_value(name, MOST) for name in LimitName],
    "your_limits": lambda nasty: [
        texts.your_limits(a_member(nasty, role), state, above)
        for role in Role
        for state in STATEMENTS
        for above in (None, MOST)
        if role is not Role.VIEWER
    ],
    "approval": lambda nasty: [texts.approval(request, nasty, STATEMENTS[0], ZONE) for request in every_request(nasty)],
    "approvals": lambda nasty: [
        texts.approvals(requests * count, names, me, ZONE)
        for requests in [every_request(nasty)]
        for count in (0, 10)
        for names in ({}, {BIGGEST_ID: nasty})
        for me in (0, BIGGEST_ID)
    ],
    "approved": in_every_state(lambda order: texts.approved(order.note, order)),
    "approved_but_dearer": lambda nasty: texts.approved_but_dearer(nasty, 1, MOST),
    "approved_in_vain": lambda nasty: texts.approved_in_vain(nasty, nasty * 9),
    "declined": texts.declined,
    "answered": lambda nasty: [
        texts.answered(request, nasty, nasty, {"outcome": outcome, "price": MOST, "reason": nasty * 9})
        for request in every_request(nasty)
        for outcome in ApprovalState
    ],
    "role_changed": lambda nasty: [texts.role_changed(a_member(nasty, role)) for role in Role],
    "role_kept": lambda nasty: [texts.role_kept(a_member(nasty, role)) for role in Role],
    "turned_down": lambda _: [texts.turned_down(told=told) for told in (True, False, None)],
    "decided": lambda nasty: [
        texts.decided(request, nasty, nasty, {"outcome": outcome})
        for request in every_request(nasty)
        for outcome in ApprovalState
    ],
    "chosen": lambda nasty: texts.chosen([nasty] * 10),
    "let_in_question": lambda nasty: texts.let_in_question(BIGGEST_ID, nasty),
    "requests": lambda nasty: [
        texts.requests([AccessRequest(BIGGEST_ID, nasty, words, MOMENT_MS)] * count, ZONE)
        for count in (0, 1, 50)
        for words in (nasty, "")
    ],
    "paused": texts.paused,
    "resumed": lambda _: [texts.resumed(was_paused=was_paused) for was_paused in (True, False)],
    "chats_allowed": lambda nasty: [texts.chats_allowed(nasty, private_codes=private) for private in (True, False)],
    "chats_forgotten": texts.chats_forgotten,
    "chats_list": lambda nasty: [texts.chats_list([nasty] * count) for count in (0, 1, 200)],
    "foreign_button": texts.foreign_button,
    "code_held": in_every_state(lambda order: texts.code_held(order, order.platform)),
    "unknown_command": lambda nasty: [texts.unknown_command(nasty, near) for near in (None, "order")],
    "repeated": lambda nasty: texts.repeated(texts.escape(nasty)),
    "balance": lambda _: texts.balance(-MOST, BUDGETS[0]),
    "offers": lambda nasty: [
        texts.offers(nasty, nasty, [Offer(1, MOST, nasty, nasty, nasty, stock)] * 200) for stock in (None, 0, 10**9)
    ],
    "shelf": lambda nasty: [
        texts.shelf(texts.escape(nasty), [(nasty, price, 10**6)] * count, 2, 10**6)
        for price in (MOST, None)
        for count in (0, 1, 60)
    ],
    "meant_instead": lambda nasty: texts.meant_instead(nasty, nasty * 3),
    "card": in_every_state(
        lambda order: "".join(
            texts.card(order, order.platform[:60], ZONE, {"sold_out": 3, "private": private}) for private in (0, 1)
        )
    ),
    "code": lambda nasty: [
        texts.code(an_order(nasty), Sms(revision, code, text), nasty)
        for revision in (1, 10**6)
        for code in (nasty, None)
        for text in (nasty * 50, None)
    ],
    "code_taken_back": lambda nasty: texts.code_taken_back(an_order(nasty), nasty),
    "ended": in_every_state(
        lambda order: "".join(
            texts.ended(order, {"refunded": back, "assumed": 1, "code": code, "open": is_open, "late": late})
            for back in (0, MOST)
            for code in (0, 1)
            for is_open, late in ((0, 0), (1, 0), (0, 1))
        )
    ),
    "cancel_planned": in_every_state(lambda order: texts.cancel_planned(order, ZONE)),
    "not_canceled": lambda nasty: [
        texts.not_canceled(an_order(nasty), facts) for facts in ({"reason": nasty}, {"most": 0})
    ],
    "finish_instead": in_every_state(texts.finish_instead),
    "finished": in_every_state(texts.finished),
    "resending": in_every_state(texts.resending),
    "reactivation": in_every_state(lambda order: texts.reactivation(order, MOST)),
    "guard": lambda _: texts.guard(MOMENT, ZONE),
    "status": lambda nasty: [texts.status(status, ZONE) for status in every_status(nasty)],
    "evidence": lambda nasty: [
        texts.evidence(Evidence(an_order(nasty, state, **changes), entries, lines, balance), {}, ZONE)
        for state in OrderState
        for changes in ({}, {"needs_admin": True, "balance_before": MOST, "remote_id": None, "error": None})
        for balance in (None, MOST)
        for entries, lines in [(an_account(nasty), a_history(nasty))]
    ],
    "missing": in_every_state(texts.missing),
    "strange": lambda nasty: texts.strange(an_order(nasty), {"status": nasty}),
    "unclear": in_every_state(texts.unclear),
    "cleared": in_every_state(texts.cleared),
    "charged": in_every_state(texts.charged),
    "orders_list": lambda nasty: [
        texts.orders_list([an_order(nasty, state)] * 60, names, a_member(nasty), ZONE, elsewhere=elsewhere)
        for state in OrderState
        for names in ({BIGGEST_ID: nasty}, {})
        for elsewhere in (0, 10**6)
    ],
    "history": lambda nasty: [
        texts.history(
            Page([an_order(nasty, state)] * count, names, 10**6 * count, MOST, 10**6 - 1, 10**6),
            Period(MOMENT.date(), MOMENT.date() + timedelta(days=days)),
            find,
            ZONE,
            MOMENT,
        )
        for state in OrderState
        for count in (0, 5)
        for names in ({BIGGEST_ID: nasty}, {})
        for days, find in ((0, ""), (365, nasty))
    ],
    "confirm_late_cancel": in_every_state(texts.confirm_late_cancel),
    "cancel_taken": in_every_state(texts.cancel_taken),
    "code_just_came": in_every_state(texts.code_just_came),
    "not_placed": in_every_state(texts.not_placed),
    "resolved": in_every_state(texts.resolved),
    "alert": lambda nasty: [
        texts.alert(dict.fromkeys(("what", *_fields(template)), value) | {"what": what})
        for what, template in texts._ALERTS.items()
        for value in (nasty, MOST, None)
    ],
    "failure": lambda nasty: [texts.failure(error, ZONE) for error in every_error(nasty)],
}
"""Each text that takes something from outside, in every form it has."""

POPUPS = ("asked", "asked_already", "stale_button", "used_button", "group_not_allowed")


def every_error(nasty: str) -> Iterator[DeskError]:
    """One error of every class, and of every form that has a sentence of its own."""
    yield from (errors.DeskError(nasty), errors.Refusal(nasty), errors.WrongUsage(nasty), errors.NotPermitted(nasty))
    yield from (errors.OrderingPaused(nasty), errors.AccountBusy(10**15, 120), Protected(nasty), NotAMember(BIGGEST_ID))
    yield from (errors.UnknownName("country", nasty, suggested) for suggested in ((), (nasty, nasty, nasty)))
    for most, cheapest in ((None, None), (MOST, MOST), (0, MOST)):
        yield errors.NothingOnOffer(nasty, (nasty,) * 5, most, cheapest)
    yield from (errors.LimitReached(name, MOST, 0, MOST, at) for name in LimitName for at in (MOMENT, None))
    yield from (errors.NoSuchOrder(typed, live) for typed in (nasty, "") for live in ((), tuple(range(50))))
    yield from (errors.NotNow(1, state) for state in OrderState)
    yield from (
        errors.ChatError(nasty),
        errors.SecondBot(nasty),
        errors.WebhookSet(nasty),
        errors.BackupFailed(nasty),
        errors.BotTokenRejected(nasty),
        errors.SmsError(nasty),
    )
    yield from (errors.ChatUnreachable(nasty, 5), errors.Unclear(nasty, 500, nasty))
    said_no: tuple[type[errors.ApiError], ...] = (errors.ApiError, *errors.API_ERRORS.values())
    for wait in (None, 5.5):
        yield errors.NotSent(nasty, wait)
        yield from (kind(nasty, nasty, retry_after=wait) for kind in said_no)
    yield errors.ApiError(nasty)
    broke = errors.BalanceTooLow(nasty, nasty)
    broke.balance, broke.price = 0, MOST
    yield broke
    reasons = (errors.Unclear(nasty), errors.ApiError(nasty, nasty), errors.CancelTooEarly(nasty, nasty))
    yield from (errors.NotCanceled(1, reason, moment) for reason in reasons for moment in (None, MOMENT))
    yield from (errors.ApprovalNeeded(1, MOST), errors.NobodyToApprove(1, MOST), errors.NoSuchApproval(10**15))
    yield from (errors.AwaitsApproval(10**15, 1, MOST, (nasty,) * count, MOMENT) for count in (1, 40))
    yield from (errors.AlreadyAnswered(1, outcome, by) for outcome in ApprovalState for by in (None, nasty))
    yield from (errors.OrderingBanned(1_773_464_400), errors.NotOffered(nasty, nasty), errors.PriceRose(1, MOST))
    yield from (errors.PriceNotAgreed(nasty, nasty, MOST, 5, seen) for seen in (None, 7))


def _flat(rendered: object) -> list[str]:
    return [str(piece) for piece in rendered] if isinstance(rendered, list) else [str(rendered)]


def _fields(template: str) -> list[str]:
    return [name for _, name, _, _ in Formatter().parse(template) if name]


def _written() -> dict[str, Callable[..., object]]:
    return {
        name: function
        for name, function in vars(texts).items()
        if callable(function)
        and not name.startswith("_")
        and not isinstance(function, type)
        and inspect.unwrap(function).__module__ == texts.__name__
    }


@pytest.mark.parametrize("name", RENDERINGS)
def test_telegram_can_read_it_and_it_fits(name: str) -> None:
    for kind, nasty in NASTY.items():
        for markup in _flat(RENDERINGS[name](nasty)):
            shown, _ = parse_html(markup)
            assert utf16_length(shown.strip()) <= LONGEST_MESSAGE, kind
            assert utf16_length(parse_html(texts.repeated(markup))[0]) <= LONGEST_MESSAGE, kind
            assert "None" not in shown, kind
            assert texts.plain(markup) == shown, kind


@pytest.mark.parametrize("name", RENDERINGS)
def test_what_comes_from_outside_formats_nothing(name: str) -> None:
    """The same text has the same formatting, whether a name is a plain word or full of tags."""
    tags = "<b>x</b><a href='https://x.example'>y</a>"
    tame = [_kinds(markup) for markup in _flat(RENDERINGS[name]("w" * len(tags)))]
    wild = [_kinds(markup) for markup in _flat(RENDERINGS[name](tags))]
    assert tame == wild


def _kinds(markup: str) -> list[str]:
    return [entity["type"] for entity in parse_html(markup)[1]]


def test_every_text_is_rendered_here() -> None:
    needing = {name for name, function in _written().items() if inspect.signature(function).parameters}
    assert needing - {"plain"} == set(RENDERINGS)


@pytest.mark.parametrize("name", sorted(set(_written()) - set(RENDERINGS) - {"plain"}))
def test_fixed_sentences_are_whole(name: str) -> None:
    markup = str(_written()[name]())
    shown, _ = parse_html(markup)
    assert shown
    assert "None" not in shown
    if name in POPUPS:
        assert "<" not in markup
        assert utf16_length(shown) <= LONGEST_POPUP


@pytest.mark.parametrize("nasty", NASTY.values(), ids=NASTY)
def test_the_popup_of_somebody_elses_button_fits(nasty: str) -> None:
    assert utf16_length(texts.plain(texts.foreign_button(nasty))) <= LONGEST_POPUP


@given(spent=st.integers(0, MOST), held=st.integers(0, MOST), cap=st.integers(0, MOST))
def test_a_bar_has_ten_cells_and_is_full_only_when_nothing_is_left(spent: int, held: int, cap: int) -> None:
    usage = Usage(held, spent)
    bar = texts._bar(usage, cap)
    assert re.fullmatch("█*▒*░*", bar)
    assert len(bar) == 10
    assert ("░" not in bar) == (usage.left(cap) == 0)
    assert ("▒" in bar) == (held > 0)
    assert (bar == "░" * 10) == (usage.used == 0 and cap > 0)


def test_popups_about_roles_fit() -> None:
    for role in Role:
        shown = texts.plain(texts.failure(errors.NotPermitted(role), ZONE))
        assert utf16_length(shown) <= LONGEST_POPUP


def test_every_kind_of_error_has_a_sentence_of_its_own() -> None:
    """What Telegram says never becomes a reply; everything else that has no sentence would be a shrug."""
    shrug = texts.failure.dispatch(DeskError)
    roots = {errors.DeskError, errors.Refusal, errors.SmsError}
    shrugged = {
        kind
        for kind in _below(DeskError)
        if texts.failure.dispatch(kind) is shrug and not issubclass(kind, errors.ChatError) and kind not in roots
    }
    assert shrugged == set()
    assert {type(error) for error in every_error("x")} == _below(DeskError)


def _below(kind: type[DeskError]) -> set[type[DeskError]]:
    return {kind}.union(*(_below(narrower) for narrower in kind.__subclasses__()))


def test_every_alert_has_a_text_and_every_text_its_facts() -> None:
    raised: dict[str, set[str]] = {}
    for path in sorted(Path(str(bot.__file__)).parent.rglob("*.py")):
        for call in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(call, ast.Call) and isinstance(call.func, ast.Attribute) and call.func.attr == "alert":
                given = {keyword.arg: keyword.value for keyword in call.keywords if keyword.arg}
                for what in _constants(given["what"]) if "what" in given else ():
                    raised[what] = set(given)
    assert set(raised) == set(texts._ALERTS)
    for what, facts in raised.items():
        assert set(_fields(texts._ALERTS[what])) <= facts, what


def _constants(node: ast.expr) -> list[str]:
    return [part.value for part in ast.walk(node) if isinstance(part, ast.Constant) and isinstance(part.value, str)]


def test_an_alert_without_a_text_shows_what_it_is_about() -> None:
    assert texts.alert({"what": "<new>", "order": 4}) == "⚠️ &lt;new&gt;"


def test_plain_text_of_broken_markup_is_still_readable() -> None:
    assert texts.plain("<b>5 &lt; 7</b> & <i>so on") == "5 < 7 & so on"
    assert not re.search(r"</?[a-z]", texts.plain(texts.card(an_order("x"), "Ada", ZONE, {})))
