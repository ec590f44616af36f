"""From a notice in the outbox to a message in a chat."""

import asyncio
import json
import sqlite3
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Final

from cachetools import TTLCache
from telegram import InlineKeyboardMarkup

from bot import logs
from bot.chat import keyboards, report_texts, texts
from bot.chat.keyboards import Press, Row
from bot.chat.sender import Sender
from bot.clock import from_milliseconds
from bot.domain.notices import Delivered, Delivery, Notice, NoticeKind, Rejected, Unreachable, Urgency
from bot.domain.periods import parse_period
from bot.services import approvals, reports, spending, tracking
from bot.services.desk import Desk
from bot.services.easel import Plot
from bot.services.reports import By, Report
from storage import members, orders, outbox, watches
from storage.approvals import Approval, ApprovalState
from storage.buttons import ANYBODY, Facts
from storage.orders import Order
from storage.outbox import InChat, Letter

_PICTURE_TRIES: Final = 3
"""How often a picture is tried; then its numbers go alone."""

_KEYBOARDS_KEPT: Final = 1000
_KEPT_SECONDS: Final = keyboards.LIVES_FOR / 2000
"""Half as long as a button works, so that what leaves at last can still be pressed for a while."""


@dataclass(frozen=True, slots=True)
class _Subject:
    """The order that a notice speaks of, and the name of whoever asked for it."""

    order: Order
    orderer: str


_NEWS: Mapping[NoticeKind, tuple[Callable[[Order, Facts], str], bool]] = {
    NoticeKind.ENDED: (texts.ended, True),
    NoticeKind.STRANGE: (texts.strange, False),
    NoticeKind.MISSING: (lambda order, _: texts.missing(order), False),
    NoticeKind.UNCLEAR: (lambda order, _: texts.unclear(order), False),
    NoticeKind.CLEARED: (lambda order, _: texts.cleared(order), True),
    NoticeKind.NOT_CANCELED: (texts.not_canceled, False),
    NoticeKind.CHARGED: (lambda order, _: texts.charged(order), False),
}
"""News of an order: its sentence, and whether another order is what may come next."""


class Deliverer:
    """Writes each kind of notice and sends it."""

    def __init__(self, desk: Desk, sender: Sender) -> None:
        self._desk = desk
        self._sender = sender
        self._keyboards: TTLCache[int, tuple[list[Row], InlineKeyboardMarkup | None]] = TTLCache(
            _KEYBOARDS_KEPT, _KEPT_SECONDS, timer=desk.clock.monotonic
        )
        self._drawing = asyncio.Lock()
        self._picture: tuple[Plot, bytes] | None = None
        self._writers: Mapping[NoticeKind, Callable[[Letter], Awaitable[Delivery]]] = {
            NoticeKind.NUMBER: self._number,
            NoticeKind.CARD: self._card,
            NoticeKind.CODE: self._code,
            NoticeKind.HELD: self._held,
            **dict.fromkeys(_NEWS, self._news),
            NoticeKind.GUARD: self._guard,
            NoticeKind.LIMIT: self._limit,
            NoticeKind.APPROVAL: self._approval,
            NoticeKind.DECIDED: self._decided,
            NoticeKind.ANSWERED: self._answered,
            NoticeKind.DIGEST: self._digest,
            NoticeKind.STOCK: self._stock,
            NoticeKind.ALERT: self._alert,
            NoticeKind.TEXT: self._text,
        }

    async def __call__(self, letter: Letter) -> Delivery:
        """Try once to deliver a letter."""
        outcome = await self._writers[letter.notice.kind](letter)
        if isinstance(outcome, Delivered):
            self._keyboards.pop(letter.id, None)
        return outcome

    async def take_back(self, told: InChat) -> Delivery:
        """Edit a code out of its message, which goes on saying whose order it was; a message that cannot be edited
        is deleted.
        """
        subject = await self._of_order(told.order_id)
        order = subject.order
        keyboard = await keyboards.make(self._desk, order.member_id, keyboards.for_code(order, None))
        text = texts.code_taken_back(order, subject.orderer)
        outcome = await self._sender.edit(told.chat_id, told.message_id, text, keyboard)
        if isinstance(outcome, Rejected):
            return await self._sender.delete(told.chat_id, told.message_id)
        return outcome

    async def _number(self, letter: Letter) -> Delivery:
        subject = await self._subject(letter.notice)
        order, text = subject.order, self._card_text(subject, letter.notice)
        outcome = await self._send(letter, text, order.member_id, keyboards.for_card(order))
        if isinstance(outcome, Delivered) and outcome.message_id is not None:
            message_id = outcome.message_id
            await self._desk.database.transact(lambda connection: orders.keep_card(connection, order.id, message_id))
        return outcome

    async def _card(self, letter: Letter) -> Delivery:
        """Edit the card in place; an order whose card was never delivered has nothing to edit."""
        subject = await self._subject(letter.notice)
        order = subject.order
        if order.card_message_id is None:
            return Delivered(None)
        keyboard = await self._keyboard(letter, order.member_id, keyboards.for_card(order))
        text = self._card_text(subject, letter.notice)
        outcome = await self._sender.edit(order.chat_id, order.card_message_id, text, keyboard)
        # A card that was deleted or grew too old to edit is no loss: what it would say comes as messages too.
        return Delivered(None) if isinstance(outcome, Rejected) else outcome

    async def _code(self, letter: Letter) -> Delivery:
        subject = await self._subject(letter.notice)
        if await self._went_out_of_the_team(subject.order, letter.notice.chat_id):
            return Unreachable("they are not on the list any more")
        revision = letter.notice.revision or 1
        sms = await self._desk.database.read(lambda connection: orders.sms(connection, subject.order.id, revision))
        if sms is None:
            return Rejected(f"order {subject.order.id} has no SMS {revision}")
        logs.conceal(sms.code, sms.text, subject.order.phone_number)
        text = texts.code(subject.order, sms, subject.orderer)
        return await self._send(letter, text, subject.order.member_id, keyboards.for_code(subject.order, sms.code))

    async def _held(self, letter: Letter) -> Delivery:
        """Tell in the group that a code waits for its orderer in private; Telegram's link opens that chat."""
        subject = await self._subject(letter.notice)
        text = texts.code_held(subject.order, subject.orderer)
        link = keyboards.Link("Open the private chat", f"{self._sender.link}?start=code")
        return await self._send(letter, text, subject.order.member_id, [[link]])

    async def _went_out_of_the_team(self, order: Order, chat_id: int) -> bool:
        """Whether a letter would go to the private chat of somebody who was taken off the list meanwhile.

        The courier gives the code to the admins instead, and to its member after all if they are let in again.
        """
        if chat_id != order.member_id:
            return False
        return await self._desk.database.read(lambda connection: members.get(connection, order.member_id)) is None

    async def _news(self, letter: Letter) -> Delivery:
        """What became of an order, in a sentence; where it is over, with a button to order another."""
        write, is_over = _NEWS[letter.notice.kind]
        order = (await self._subject(letter.notice)).order
        rows = keyboards.for_news(order) if is_over else []
        return await self._send(letter, write(order, letter.notice.facts), order.member_id, rows)

    async def _guard(self, letter: Letter) -> Delivery:
        until = from_milliseconds(int(letter.notice.facts.get("until") or 0) * 1000)
        return await self._send(letter, texts.guard(until, self._desk.settings.limits.zone), 0, [])

    async def _limit(self, letter: Letter) -> Delivery:
        facts = letter.notice.facts
        owner = int(facts.get("owner") or 0)
        name = await self._desk.database.read(lambda connection: members.name_of(connection, owner)) or str(owner)
        return await self._send(letter, texts.limit_warning(facts, name, self._desk.settings.limits.zone), 0, [])

    async def _approval(self, letter: Letter) -> Delivery:
        """A request with all its facts; one that was answered before it could leave asks nobody any more."""
        approval, asker = await self._request(letter.notice)
        if approval.state is not ApprovalState.OPEN:
            return Delivered(None)
        state = await spending.statement(self._desk, approval.member_id)
        text = texts.approval(approval, asker, state, self._desk.settings.limits.zone)
        return await self._send(letter, text, ANYBODY, keyboards.for_approval(approval.id))

    async def _decided(self, letter: Letter) -> Delivery:
        """Take the buttons off a request that is answered and say by whom; what cannot be edited is no loss."""
        asked = int(letter.notice.facts.get("letter") or 0)
        message_id = await self._desk.database.read(lambda connection: outbox.message_of(connection, asked))
        if message_id is None:
            return Delivered(None)
        approval, asker = await self._request(letter.notice)
        text = texts.decided(approval, asker, await self._decider(letter.notice), letter.notice.facts)
        outcome = await self._sender.edit(letter.notice.chat_id, message_id, text)
        return Delivered(None) if isinstance(outcome, Rejected | Unreachable) else outcome

    async def _decider(self, notice: Notice) -> str:
        """The name of whoever has answered a request; empty where nobody has."""
        by = int(notice.facts.get("by") or 0)
        return await self._desk.database.read(lambda connection: members.name_of(connection, by)) or ""

    async def _answered(self, letter: Letter) -> Delivery:
        approval, asker = await self._request(letter.notice)
        name = await self._decider(letter.notice)
        anew = letter.notice.facts.get("anew")
        rows = keyboards.for_asker(int(anew)) if anew else []
        text = texts.answered(approval, asker, name, letter.notice.facts)
        return await self._send(letter, text, approval.member_id, rows)

    async def _request(self, notice: Notice) -> tuple[Approval, str]:
        """The request that a notice speaks of, and the name of whoever asked."""
        approval = await approvals.find(self._desk, int(notice.facts.get("approval") or 0))
        name = await self._desk.database.read(lambda connection: members.name_of(connection, approval.member_id))
        return approval, name or str(approval.member_id)

    async def _alert(self, letter: Letter) -> Delivery:
        return await self._send(letter, texts.alert(letter.notice.facts), 0, _access_buttons(letter.notice))

    async def _digest(self, letter: Letter) -> Delivery:
        """The week as the books have it when the letter leaves: a picture, or the numbers with the way to it."""
        week = str(letter.notice.facts.get("period") or "")
        report = await reports.spend(self._desk, parse_period(week, reports.today(self._desk)))
        text = report_texts.digest(report)
        if report.total.placed and letter.attempts < _PICTURE_TRIES:
            outcome = await self._illustrated(letter, report, text)
            if outcome is not None and not isinstance(outcome, Rejected):
                return outcome
        return await self._send(letter, text, ANYBODY, [[keyboards.command("As a picture", "spend", week)]])

    async def _illustrated(self, letter: Letter, report: Report, text: str) -> Delivery | None:
        """Send a report as a picture with its numbers beneath; None where it could not be drawn."""
        picture = await self._drawn(report)
        if picture is None:
            return None
        return await self._sender.photo(
            letter.notice.chat_id,
            picture,
            texts.repeated(text) if letter.repeated else text,
            keyboard=await self._keyboard(letter, ANYBODY, [keyboards.other_ways(report.period, By.DAY)]),
            thread_id=letter.notice.thread_id,
        )

    async def _drawn(self, report: Report) -> bytes | None:
        """The picture of a report by days; the next admin's is the same one, and takes as long to draw."""
        plot = report_texts.plot(report, By.DAY)
        async with self._drawing:
            if self._picture is None or self._picture[0] != plot:
                picture = await self._desk.easel.draw(plot, self._desk.settings.storage.path)
                self._picture = (plot, picture) if picture is not None else None
            return self._picture[1] if self._picture is not None else None

    async def _stock(self, letter: Letter) -> Delivery:
        """What somebody watched for, with a button that names the watch and no price."""
        facts = letter.notice.facts
        watch_id, stock = int(facts.get("watch") or 0), facts.get("stock")
        kept = await self._desk.database.read(lambda connection: watches.get(connection, watch_id))
        if kept is None:
            return Delivered(None)  # ended by its member meanwhile, or a day old
        name = await self._desk.database.read(lambda connection: members.name_of(connection, kept.member_id))
        left = stock if isinstance(stock, int) else None
        text = report_texts.stock_news(kept, name or str(kept.member_id), int(facts.get("price") or 0), left)
        order: Row = [Press("Order it", "order_watched", {"watch": watch_id}, keyboards.PRIMARY)]
        return await self._send(letter, text, kept.member_id, [order])

    async def _text(self, letter: Letter) -> Delivery:
        """An answer that could not leave at once, with the buttons and the reply it was meant to have."""
        facts = letter.notice.facts
        html, reply_to, keyboard = str(facts.get("html") or ""), facts.get("reply_to"), facts.get("keyboard")
        shown = InlineKeyboardMarkup.de_json(json.loads(str(keyboard))) if keyboard else None
        return await self._hand_over(letter, html, shown, reply_to if isinstance(reply_to, int) else None)

    def _card_text(self, subject: _Subject, notice: Notice) -> str:
        facts = {**notice.facts, "private": int(tracking.goes_private(self._desk, subject.order))}
        return texts.card(subject.order, subject.orderer, self._desk.settings.limits.zone, facts)

    async def _send(self, letter: Letter, html: str, owner: int, rows: list[Row]) -> Delivery:
        return await self._hand_over(letter, html, await self._keyboard(letter, owner, rows))

    async def _keyboard(self, letter: Letter, owner: int, rows: list[Row]) -> InlineKeyboardMarkup | None:
        """A letter's buttons, the same at each try: one that waits for days must not fill their table."""
        kept = self._keyboards.get(letter.id)
        if kept is None or kept[0] != rows:
            kept = self._keyboards[letter.id] = rows, await keyboards.make(self._desk, owner, rows)
        return kept[1]

    async def _hand_over(
        self, letter: Letter, html: str, keyboard: InlineKeyboardMarkup | None, reply_to: int | None = None
    ) -> Delivery:
        return await self._sender.send(
            letter.notice.chat_id,
            texts.repeated(html) if letter.repeated else html,
            keyboard=keyboard,
            thread_id=letter.notice.thread_id,
            reply_to=reply_to,
            urgent=letter.notice.urgency is Urgency.CODE,
        )

    async def _subject(self, notice: Notice) -> _Subject:
        return await self._of_order(notice.order_id or 0)

    async def _of_order(self, order_id: int) -> _Subject:

        def look(connection: sqlite3.Connection) -> _Subject:
            order = orders.get(connection, order_id)
            if order is None:
                raise LookupError(f"a notice speaks of order {order_id}, which does not exist")
            return _Subject(order, members.name_of(connection, order.member_id) or str(order.member_id))

        return await self._desk.database.read(look)


def _access_buttons(notice: Notice) -> list[Row]:
    """An alert about somebody who wants to come in carries the decision with it."""
    if notice.facts.get("what") != "access":
        return []
    return keyboards.for_stranger(int(notice.facts.get("user") or 0))
