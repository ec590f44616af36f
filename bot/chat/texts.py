"""Every sentence of the chat, in one voice: short, exact, kind. All of it is HTML; whatever comes from outside is
escaped here and nowhere else.
"""

import html
import re
from collections.abc import Mapping, Sequence
from datetime import date, datetime
from functools import singledispatch
from zoneinfo import ZoneInfo

from bot.chat.audit_words import actor, deed
from bot.chat.wording import country_flag, day_and_time, format_amount, readable_number
from bot.clock import from_milliseconds
from bot.domain import errors
from bot.domain.access import Member, Role
from bot.domain.limits import COUNTS, LimitName, Usage, percent_used
from bot.domain.orders import Offer, OrderState, Sms
from bot.domain.periods import Period
from bot.services.access import LimitSet
from bot.services.history import Page
from bot.services.spending import Budget, Statement
from bot.services.status import Evidence, Status
from storage.approvals import Approval
from storage.members import AccessRequest
from storage.orders import Order, countries_of

Facts = Mapping[str, str | int | None]

_LONGEST_SHOWN = 64
_MOST_ROWS = 20
_LONGEST_LIST = 3800
"""UTF-16 units of a list; the rest of Telegram's 4096 is for what stands around it."""

LIMIT_WORDS: Mapping[LimitName, str] = {
    LimitName.PER_ORDER: "per order",
    LimitName.DAILY: "per day",
    LimitName.MONTHLY: "per month",
    LimitName.TEAM_DAILY: "for the team per day",
    LimitName.TEAM_MONTHLY: "for the team per month",
    LimitName.ACTIVE_ORDERS: "orders without a code",
    LimitName.CANCELS_PER_DAY: "cancels per day",
}

_USAGE_NAMES: Mapping[LimitName, str] = {
    LimitName.DAILY: "Today",
    LimitName.MONTHLY: "This month",
    LimitName.TEAM_DAILY: "The team today",
    LimitName.TEAM_MONTHLY: "The team this month",
}

_BAR_CELLS = 10

_LETTER_WORDS = {"pending": "waiting", "sending": "on their way", "dead": "given up"}

_MOVES = {
    ("free", "held"): "put aside",
    ("held", "spent"): "paid",
    ("held", "free"): "not needed after all",
    ("spent", "free"): "came back",
    ("free", "spent"): "paid beyond what was put aside",
}
"""What a movement of money is called, by the accounts that it leaves and reaches."""

STATE_WORDS: Mapping[OrderState, str] = {
    OrderState.RESERVED: "being ordered",
    OrderState.SENT: "being ordered",
    OrderState.UNKNOWN: "being checked",
    OrderState.REFUSED: "not placed",
    OrderState.WAITING: "waiting for the SMS",
    OrderState.RECEIVED: "code received",
    OrderState.COMPLETED: "completed",
    OrderState.CANCELED: "canceled",
    OrderState.EXPIRED: "expired",
    OrderState.CHARGED: "paid, number unknown",
}


def escape(value: object) -> str:
    """Text from outside, safe inside our markup and never longer than a line."""
    text = str(value)
    shown = text if len(text) <= _LONGEST_SHOWN else text[: _LONGEST_SHOWN - 1] + "…"
    return html.escape(shown, quote=False)


def plain(markup: str) -> str:
    """Our markup without its tags, for the day Telegram cannot read it."""
    return html.unescape(re.sub(r"<[^<>]*>", "", markup))


def mention(user_id: int, name: str) -> str:
    """A name that rings for that person."""
    return f'<a href="tg://user?id={user_id}">{escape(name)}</a>'


def countdown(moment: datetime, zone: ZoneInfo) -> str:
    """A time that Telegram counts down by itself; older apps show the time of day."""
    return f'<tg-time unix="{int(moment.timestamp())}" format="r">at {moment.astimezone(zone):%H:%M}</tg-time>'


# People


def welcome(member: Member) -> str:
    return (
        f"Hello {escape(member.name)}, you are {_a(member.role)} here.\n\n"
        + (
            "Order a number: tap /order and choose, or say it at once:\n<code>/order whatsapp indonesia</code>\n\n"
            "The code comes by itself. "
            if member.may(Role.OPERATOR)
            else "You can look at the catalog and the balance. "
        )
        + "/help shows all you can do."
    )


def stranger(user_id: int, *, may_ask: bool) -> str:
    ask = (
        "\nWrite who you are, then tap below to ask the admins to let you in."
        if may_ask
        else "\nAsk an admin of your team to let you in."
    )
    return f"This desk works for its team only. Your Telegram id is <code>{user_id}</code>.{ask}"


def asked() -> str:
    return "The admins know. You will hear from this chat once you are in."


def asked_already() -> str:
    return "You have asked already; the admins know."


def group_not_allowed() -> str:
    return "I do not work in this group yet. An admin can change that here with /chats allow."


def group_unknown() -> str:
    return "I work only where an admin of my desk has put me, so I leave this group."


def help_page(rows: Sequence[tuple[str, str]], role: Role | None) -> str:
    lines = [f"{_ours(usage)}\n   {_ours(summary)}" for usage, summary in rows]
    example = "order" if role is not None and role.reaches(Role.OPERATOR) else "catalog"
    footer = "" if role is None else f"\n\nYou are {_a(role)}. More on one command: <code>/help {example}</code>"
    return "\n".join(lines) + footer


def help_on(usage: str, summary: str, examples: Sequence[str]) -> str:
    shown = "\n".join(f"<code>{_ours(example)}</code>" for example in examples)
    return f"<b>{_ours(usage)}</b>\n{_ours(summary)}\n\n{shown}"


def _ours(text: str) -> str:
    """Words of our own table, which stand as long as they are."""
    return html.escape(text, quote=False)


def statement(member: Member, state: Statement, zone: ZoneInfo) -> str:
    owner = ", owner" if member.owner else ""
    lines = [
        f"<b>{escape(member.name)}</b> · {member.role}{owner}",
        f"Telegram id <code>{member.user_id}</code>",
        "",
        *_counts(state),
        *(_budget(budget, zone) for budget in state.budgets),
        *_for_now(state, zone),
    ]
    return "\n".join(lines)


def usage(member: Member, state: Statement, zone: ZoneInfo) -> str:
    lines = [
        f"<b>{escape(member.name)}</b> · {member.role}",
        *_counts(state),
    ]
    for budget in state.budgets:
        used, held = budget.usage, f" · held {format_amount(budget.usage.held)}" if budget.usage.held else ""
        resets = f", starts anew {_in_a_while(budget.resets_at, zone)}" if budget.resets_at else ""
        lines += [
            "",
            f"<b>{_USAGE_NAMES[budget.name]}</b> · {format_amount(used.used)} of {format_amount(budget.cap)}",
            f"<code>{_bar(used, budget.cap)} {percent_used(used.used, budget.cap)} %</code>",
            f"spent {format_amount(used.spent)}{held} · <b>left {format_amount(budget.left)}</b>{resets}",
        ]
    return "\n".join([*lines, *_for_now(state, zone)])


def _counts(state: Statement) -> list[str]:
    return [
        f"Orders without a code: {state.active} of {state.active_orders}",
        f"One order: up to {format_amount(state.per_order)}",
        f"Cancels: up to {state.caps[LimitName.CANCELS_PER_DAY]} a day",
    ]


def limit_warning(facts: Facts, name: str, zone: ZoneInfo) -> str:
    """`facts` are those of the notice: whose limit, how much of it is used, and when it starts anew (unix seconds)."""
    limit, level = LimitName(str(facts["limit"])), int(facts["level"] or 0)
    used, cap = format_amount(int(facts["used"] or 0)), format_amount(int(facts["cap"] or 0))
    owner, resets = int(facts["owner"] or 0), facts.get("resets_at")
    whose = f"{mention(owner, name)}, your limit" if owner else "The team's limit"
    words = _limit_of(limit)
    anew = f" It starts anew {_in_a_while(from_milliseconds(int(resets) * 1000), zone)}." if resets else ""
    if level >= 100:
        return f"⛔ {whose} {words} is used up: {used} of {cap}. Nothing more can be ordered under it.{anew}"
    return f"⚠️ {whose} {words} is used to {level} %: {used} of {cap}.{anew}"


def whom_to_ask(names: Sequence[str], *, is_admin: bool) -> str:
    if is_admin:
        return "You are an admin: /limit raises it."
    listed = " or ".join(escape(name) for name in names[:3])
    return f"{listed or 'An admin'} can raise it with /limit."


def limit_told(done: LimitSet, admin: str, zone: ZoneInfo) -> str:
    until = f" until {_when(from_milliseconds(done.until), zone)}" if done.until is not None else ""
    value = limit_value(done.name, done.amount)
    return (
        f"{escape(admin)} has changed a limit of yours: {LIMIT_WORDS[done.name]}, {value} now{until}. /usage shows it."
    )


def limit_people() -> str:
    return "Whose limits? Choose, or type <code>/limit NAME daily 200000</code>."


def limit_choice(state: Statement, zone: ZoneInfo) -> str:
    return "\n".join(["Which limit shall change?", *_for_now(state, zone)])


def limit_amounts(whose: Member | None, name: LimitName, now: int) -> str:
    person = escape(whose.name) if whose else "The team"
    typed = f"/limit {whose.user_id if whose else ''} {name} {now * 2 or 1}".replace("  ", " ")
    return (
        f"{person}: {_limit_of(name)} at most {limit_value(name, now)} now. Choose, or type another amount, for "
        f"example <code>{typed}</code> or <code>{typed} for 3d</code>."
    )


def members(people: Sequence[Member], paused: str | None) -> str:
    lines = [
        f"{mention(person.user_id, person.name)} · {person.role}{' · owner' if person.owner else ''}"
        f" · <code>{person.user_id}</code>"
        for person in people[:50]
    ]
    stopped = f"\n\nOrders are paused: {escape(paused)}" if paused else ""
    return _as_many_as_fit(lines, len(people), "\n") + stopped


def allowed(member: Member, *, greeted: bool) -> str:
    hint = (
        "" if greeted else "\nI could not write to them: they must open a private chat with me and press Start first."
    )
    return f"{mention(member.user_id, member.name)} is {_a(member.role)} now.{hint}"


def in_already(member: Member) -> str:
    return f"{mention(member.user_id, member.name)} is in already, as {_a(member.role)}. /role changes that."


def choose_people() -> str:
    return (
        "Whom shall I let in? Tap the button below and choose, send me a contact, or type "
        "<code>/allow 12345 operator</code>."
    )


def picker_button() -> str:
    return "Choose people"


def chosen(names: Sequence[str]) -> str:
    return f"Chosen: {', '.join(escape(name or 'somebody') for name in names[:10])}."


def let_in_question(user_id: int, name: str) -> str:
    return f"Let {escape(name or 'them')} (<code>{user_id}</code>) in, and as what?"


def requests(waiting: Sequence[AccessRequest], zone: ZoneInfo) -> str:
    if not waiting:
        return "Nobody waits to be let in."
    lines = [
        f"{mention(asker.user_id, asker.name)} · <code>{asker.user_id}</code> · "
        f"since {_when(from_milliseconds(asker.asked_at), zone)}"
        + (f"\n“{escape(asker.words)}”" if asker.words else "")
        for asker in waiting[:15]
    ]
    return _as_many_as_fit(lines, len(waiting), "\n")


def your_limits(member: Member, state: Statement, approve_above: int | None) -> str:
    if not member.may(Role.OPERATOR):
        return ""
    caps = {budget.name: format_amount(budget.cap) for budget in state.budgets}
    approval = (
        f" Above {format_amount(approve_above)} an order needs somebody else's yes."
        if approve_above is not None
        else ""
    )
    answers = " You may give that yes to others: /approvals." if approval and member.may(Role.APPROVER) else ""
    return (
        f"\n\nYour limits: {format_amount(state.per_order)} an order, {caps[LimitName.DAILY]} a day, "
        f"{caps[LimitName.MONTHLY]} a month, {state.active_orders} orders under way.{approval}{answers} "
        "/usage shows what is left."
    )


def limit_button(name: LimitName, value: int) -> str:
    return f"{LIMIT_WORDS[name][:1].upper()}{LIMIT_WORDS[name][1:]}: {limit_value(name, value)}"


def limit_value(name: LimitName, value: int) -> str:
    return str(value) if name in COUNTS else format_amount(value)


def turned_down(*, told: bool | None) -> str:
    """`told` is None where there was no open request, so nobody waits for an answer."""
    outcome = {True: "They were told so", False: "They could not be told", None: "They are not told"}[told]
    return f"Not let in. {outcome}; /allow still works."


def not_let_in() -> str:
    return (
        "Thank you for asking. The admins have decided not to let you in for now. If you think that is a mistake, "
        "please talk to one of them."
    )


def greeting(member: Member) -> str:
    return "You are in. " + welcome(member)


_ROLE_CAN: Mapping[Role, str] = {
    Role.VIEWER: "You can look at the catalog, at the balance and at what you have ordered.",
    Role.OPERATOR: "You can order numbers: tap /order and choose.",
    Role.APPROVER: "You can order numbers, and answer when somebody's order needs a yes: /approvals.",
    Role.ADMIN: "You can do all that can be done here: let people in, set limits, see what was spent.",
}


def role_changed(member: Member) -> str:
    return f"👋 You are {_a(member.role)} here now. {_ROLE_CAN[member.role]} /help shows the rest."


def role_kept(member: Member) -> str:
    return f"{mention(member.user_id, member.name)} is {_a(member.role)} already."


def revoked(member: Member) -> str:
    return f"{escape(member.name)} is off the list. Their live orders run on; codes for them alone go to the admins."


def limit_set(done: LimitSet, zone: ZoneInfo) -> str:
    whose = escape(done.member.name) if done.member else "The team"
    value = limit_value(done.name, done.amount)
    if done.is_default:
        return f"{whose}: the limit {_limit_of(done.name)} is the standard one again, {value}."
    if done.until is None:
        return f"{whose}: {_limit_of(done.name)} at most {value}."
    until = _when(from_milliseconds(done.until), zone)
    then = limit_value(done.name, done.lasting)
    return f"{whose}: {_limit_of(done.name)} at most {value} until {until}, then {then} again by itself."


def paused(reason: str) -> str:
    why = f": {escape(reason)}" if reason else "."
    return f"New orders are stopped for everyone{why}\nLive orders are still watched. /resume ends it."


def resumed(*, was_paused: bool) -> str:
    return "New orders are open again." if was_paused else "New orders were not stopped."


def chats_allowed(title: str, *, private_codes: bool) -> str:
    codes = "codes go to their orderers in private" if private_codes else "everyone here sees the codes"
    return f"I work in “{escape(title)}” now. Members of the desk can order here; {codes}."


def chats_forgotten(title: str) -> str:
    return f"I no longer work in “{escape(title)}”, and leave it. An admin who adds me again opens it again."


def chats_list(titles: Sequence[str]) -> str:
    if not titles:
        return "I work in no group. Add me to one, or send <code>/chats allow</code> there."
    shown = _as_many_as_fit([f"“{escape(title)}”" for title in titles], len(titles), "\n")
    return f"<b>Where I work</b>\n{shown}\n\nAdd me to another group, or send <code>/chats allow</code> there."


def unknown_command(name: str, near: str | None) -> str:
    hint = f" Did you mean /{near}?" if near else " /help shows what there is."
    return f"I know no /{escape(name)}.{hint}"


def plain_words() -> str:
    return "I read commands, such as /order, and names of the catalog, such as “whatsapp”. /help shows what there is."


def file_not_sent(name: str) -> str:
    return f"Telegram did not take {escape(name)}. Nothing is lost: send the command again in a minute."


def repeated(markup: str) -> str:
    """Label a message that may already have arrived."""
    return f"{markup}\n<i>Sent again: the first try may have arrived.</i>"


# Approvals


def approval(request: Approval, asker: str, state: Statement, zone: ZoneInfo) -> str:
    left = {budget.name: format_amount(budget.left) for budget in state.budgets}
    note = html.escape(request.note, quote=False)
    return (
        f"🙋 {mention(request.member_id, asker)} wants {_wanted(request)} in {escape(request.country)} for up to "
        f"<b>{format_amount(request.price)}</b> and needs your yes.\n"
        f"{f'Note: {note}' if note else 'There is no note.'}\n"
        f"Left before it: {left[LimitName.DAILY]} today and {left[LimitName.MONTHLY]} this month for them, "
        f"{left[LimitName.TEAM_DAILY]} today and {left[LimitName.TEAM_MONTHLY]} this month for the team.\n"
        f"The first answer counts. Request {request.id} runs out "
        f"{countdown(from_milliseconds(request.expires_at), zone)}."
    )


def _wanted(request: Approval) -> str:
    return "the same number again" if request.reactivates is not None else escape(request.platform)


def decided(request: Approval, asker: str, by: str, facts: Facts) -> str:
    """A request that is answered; `facts` are those of the notice."""
    outcomes = {
        "approved": f"✅ {escape(by)} approved it.",
        "declined": f"✋ {escape(by)} declined it.",
        "withdrawn": f"{escape(by)} took it back.",
        "expired": "⌛ It has run out.",
    }
    return (
        f"Request {request.id}: {escape(asker)} wanted {_wanted(request)} in {escape(request.country)} for up to "
        f"{format_amount(request.price)}{': ' + html.escape(request.note, quote=False) if request.note else ''}\n"
        f"{outcomes.get(str(facts.get('outcome')), escape(facts.get('outcome')))}"
    )


def approvals(waiting: Sequence[Approval], names: Mapping[int, str], me: int, zone: ZoneInfo) -> str:
    if not waiting:
        return "No order waits for a yes."
    lines = [
        f"<b>{request.id}</b> · {escape(names.get(request.member_id, request.member_id))} · "
        f"{escape(request.platform)} in {escape(request.country)} · up to {format_amount(request.price)}"
        f"{' · ' + escape(request.note) if request.note else ''} · runs out "
        f"{countdown(from_milliseconds(request.expires_at), zone)}"
        f"{' · yours: somebody else has to answer' if request.member_id == me else ''}"
        for request in waiting
    ]
    return _as_many_as_fit(lines, len(lines), "\n")


def approved(name: str, order: Order) -> str:
    return f"Approved. #{order.id} for {escape(name)}: {STATE_WORDS[order.state]}, {format_amount(order.price)}."


def approved_but_dearer(name: str, agreed: int, price: int) -> str:
    return (
        f"It costs {format_amount(price)} by now, not {format_amount(agreed)}, so nothing was bought for "
        f"{escape(name)}. I have asked anew, with the new price."
    )


def approved_in_vain(name: str, reason: str) -> str:
    return f"Approved, but nothing was bought. {escape(name)} was told: {html.escape(reason[:300], quote=False)}"


def declined(name: str) -> str:
    return f"Declined. {escape(name)} hears of it; nothing is bought."


def withdrawn() -> str:
    return "Taken back. Nothing is bought."


def answered(request: Approval, asker: str, by: str, facts: Facts) -> str:
    """`facts` are those of the notice: the outcome, and the new price or the reason where there is one."""
    who = mention(request.member_id, asker)
    what = f"{escape(request.platform)} in {escape(request.country)} for {format_amount(request.price)}"
    price, reason = int(facts.get("price") or 0), html.escape(str(facts.get("reason") or "")[:300], quote=False)
    sentences = {
        "approved": f"✅ {who}: {escape(by)} approved {what}. I buy it now.",
        "declined": f"✋ {who}: {escape(by)} declined {what}. Nothing was bought.",
        "expired": f"⌛ {who}: nobody said yes to {what} in time. Nothing was bought; you may ask again.",
        "dearer": f"{who}: {what} was approved, but it costs {format_amount(price)} by now. I have asked anew.",
        "failed": f"{who}: {what} was approved, but could not be bought. {reason}",
    }
    return sentences.get(str(facts.get("outcome")), f"{who}: {what} is {escape(facts.get('outcome'))}.")


# Money and catalog


def balance(amount: int, daily: Budget) -> str:
    return (
        f"The account has <b>{format_amount(amount)}</b>.\n"
        f"You have {format_amount(daily.left)} of {format_amount(daily.cap)} left for today."
    )


def offers(platform: str, country: str, rows: Sequence[Offer], page: int = 1, pages: int = 1) -> str:
    sign = country_flag(country)
    if not rows:
        return f"Nothing for {escape(platform)} in {escape(country)} at the moment."
    lines = [f"{format_amount(offer.price)} · {_stock(offer)}{_named(offer)}" for offer in rows]
    where = f"<b>{escape(country)}</b>{sign and f' {sign}'}"
    head = f"<b>{escape(platform)}</b> in {where}, cheapest first{_page_of(page, pages)}"
    return f"{head}\n{_as_many_as_fit(lines, len(lines), chr(10))}"


def shelf(markup: str, rows: Sequence[tuple[str, int | None, int]], page: int, pages: int) -> str:
    """`rows`: a name, its lowest price in stock (None: not known here), its offers in stock."""
    if not rows:
        return f"{markup}: nothing is in stock at the moment. Try again in a few minutes."
    lines = [f"{escape(name)}{_from(price, count)}" for name, price, count in rows]
    listed = _as_many_as_fit(lines, len(lines), "\n")
    return f"<b>{markup}</b>{_page_of(page, pages)}\n{listed}\n\nTap one, or reply to this with a name."


def _page_of(page: int, pages: int) -> str:
    return f" · page {page} of {pages}" if pages > 1 else ""


def _from(price: int | None, count: int) -> str:
    if price is None:
        return ""
    return f" · from {format_amount(price)} · {count} offer{'s' if count != 1 else ''}"


def not_ordered() -> str:
    return "Nothing was ordered."


# Orders


def card(order: Order, orderer: str, zone: ZoneInfo, facts: Facts) -> str:
    """The order's card, as the order stands now."""
    lines = [_number_line(order), _order_line(order), f"for {escape(orderer)}{_note(order)}"]
    why = _why_this_one(order, facts)
    if why:
        lines.append(why)
    lines.extend(["", _card_state(order, zone, escape(orderer) if facts.get("private") else "")])
    return "\n".join(lines)


def code(order: Order, sms: Sms, orderer: str) -> str:
    """The message a person waits for."""
    head = f"🔑 <code>{escape(sms.code)}</code>" if sms.code else "✉️ An SMS without a code arrived"
    if sms.code is None and sms.text is None:
        head = "🔑 A code arrived, but it is older than codes are kept and has been deleted."
    lines = [head]
    if sms.text and sms.text != sms.code:
        lines.append(f"<blockquote>{html.escape(sms.text[:600], quote=False)}</blockquote>")
    if sms.revision > 1:
        lines.append(f"SMS number {sms.revision} on this number.")
    lines.extend([_order_line(order), _number_line(order)])
    lines.append(f"for {mention(order.member_id, orderer)}{_note(order)}")
    return "\n".join(lines)


def code_held(order: Order, orderer: str) -> str:
    return (
        f"{mention(order.member_id, orderer)}, the code of #{order.id} is there, but I cannot write to you in private. "
        "Tap below and press Start; the code comes at once. The admins have it meanwhile."
    )


def code_taken_back(order: Order, orderer: str) -> str:
    return "\n".join(
        [
            "🔑 The code that stood here has had its time and was taken out.",
            _order_line(order),
            _number_line(order),
            f"for {escape(orderer)}{_note(order)}",
        ]
    )


def ended(order: Order, facts: Facts) -> str:
    """How an order ended and what comes back; `facts["code"]` says whether it had a code."""
    back, had_code = int(facts.get("refunded") or 0), bool(facts.get("code"))
    heads = {OrderState.EXPIRED: f"⌛ #{order.id} expired", OrderState.COMPLETED: f"#{order.id} was completed"}
    head = heads.get(order.state, f"#{order.id} is canceled")
    if facts.get("late"):
        came = format_amount(back) if back else "nothing"
        source = "as an admin has decided" if facts.get("decided") else "as the balance shows"
        return f"#{order.id} had expired; {came} came back, {source}."
    if not had_code and order.state is not OrderState.CANCELED:
        head += " without a code"
    if facts.get("open"):
        return (
            f"{head}. {format_amount(order.charged)} counts as spent until SMSCode's balance shows whether it came "
            "back; you hear from me."
        )
    if not back:
        return f"{head}. Nothing comes back{': the code had arrived' if had_code else ''}."
    assumed = " SMSCode does not confirm this; compare with /balance." if facts.get("assumed") else ""
    return f"{head}. {format_amount(back)} came back.{assumed}"


def cancel_planned(order: Order, zone: ZoneInfo) -> str:
    when = f" {countdown(from_milliseconds(order.cancel_from), zone)}" if order.cancel_from else ""
    return f"I cancel #{order.id} by myself{when}, unless an SMS comes first."


def not_canceled(order: Order, facts: Facts) -> str:
    """`facts` hold the member's cancels of a day where those are used up, else what SMSCode said."""
    most = facts.get("most")
    if most is not None:
        reached = _reached(LimitName.CANCELS_PER_DAY, int(most))
        return f"#{order.id} is not canceled as planned: you have {reached}. I keep watching it."
    reason, again = escape(facts.get("reason")), f"/cancel {order.id}"
    return f"#{order.id} could not be canceled as planned: {reason}. I keep watching it; {again} tries once more."


def finish_instead(order: Order) -> str:
    return (
        f"#{order.id} has its code, and SMSCode takes no cancel after an SMS: {format_amount(order.charged)} stays "
        "spent. /done closes it; left alone, it closes by itself."
    )


def finished(order: Order) -> str:
    return f"#{order.id} is finished."


def resending(order: Order) -> str:
    return f"#{order.id} waits for another SMS. Request it now; it comes here by itself."


def reactivation(order: Order, cost: int) -> str:
    number = escape(order.phone_number or f"the number of #{order.id}")
    return f"The same number again, <code>{number}</code>, costs <b>{format_amount(cost)}</b> now."


def missing(order: Order) -> str:
    return (
        f"SMSCode does not know #{order.id} any more. The admins know and decide about its "
        f"{format_amount(order.charged)}; should it show up again, I go on watching it."
    )


def strange(order: Order, facts: Facts) -> str:
    return (
        f"#{order.id}: SMSCode reports a status I do not know, “{escape(facts.get('status'))}”. "
        "I keep watching; the code still comes here."
    )


def unclear(order: Order) -> str:
    return (
        f"⏳ #{order.id}: SMSCode gave no clear answer, so the number may or may not be rented. "
        f"Please do not order again yet. {format_amount(order.price)} stays held while I check; "
        "you hear from me within a few minutes."
    )


def cleared(order: Order) -> str:
    return f"#{order.id} was not placed and nothing was charged. {format_amount(order.price)} is free again."


def charged(order: Order) -> str:
    return (
        f"#{order.id} was paid ({format_amount(order.price)}), but SMSCode's answer with the number got lost. "
        "An admin can find it in the SMSCode dashboard."
    )


def orders_list(
    orders: Sequence[Order], names: Mapping[int, str], me: Member, zone: ZoneInfo, *, elsewhere: int = 0
) -> str:
    """`elsewhere` counts those in other chats, where a group is shown only its own."""
    more = f"\n\n{elsewhere} more elsewhere; /orders in our private chat shows all." if elsewhere else ""
    if not orders:
        here = " here" if elsewhere else ""
        start = " Start one with <code>/order whatsapp indonesia</code>" if me.may(Role.OPERATOR) else ""
        return f"No live orders{here}.{start}{more}"
    shown = [_listed(order, names, me.user_id, zone) for order in orders[:_MOST_ROWS]]
    return _as_many_as_fit(shown, len(orders), "\n\n") + more


def history(page: Page, period: Period, find: str, zone: ZoneInfo, now: datetime) -> str:
    days = f"{_day(period.first)}" if len(period) == 1 else f"{_day(period.first)} – {_day(period.last)}"
    sought = f" · “{escape(find)}”" if find else ""
    head = f"<b>{days}</b>{sought}{_page_of(page.number + 1, page.pages)}"
    if not page.count:
        return f"{head}\nNo orders."
    count = f"{page.count} order{'s' if page.count != 1 else ''}, {format_amount(page.spent)} spent"
    shown = [_remembered(order, page.names, zone, now) for order in page.orders]
    return f"{head}\n{count}\n\n{_as_many_as_fit(shown, len(shown), _GAP)}\n\nReply to this to search in it."


_GAP = "\n\n"


def _day(day: date) -> str:
    return f"{day.day} {day:%b %Y}"


def _remembered(order: Order, names: Mapping[int, str], zone: ZoneInfo, now: datetime) -> str:
    back = f", {format_amount(order.refunded)} came back" if order.refunded else ""
    state = f"{day_and_time(order.created_at, zone, now)} · {STATE_WORDS[order.state]}{back}"
    who = f"{escape(names.get(order.member_id, order.member_id))}{_note(order)}"
    number = [_number_line(order)] if order.phone_number else []
    return "\n".join([_order_line(order), *number, state, who])


def confirm_late_cancel(order: Order) -> str:
    return (
        f"#{order.id} already has its code. Ending it now is possible, but <b>nothing comes back</b>: "
        f"{format_amount(order.charged)} stays spent."
    )


def cancel_taken(order: Order) -> str:
    return f"SMSCode took the cancel of #{order.id}. You hear the outcome as soon as SMSCode shows it."


def code_just_came(order: Order) -> str:
    return f"The code of #{order.id} has just come, so I ordered nothing. Send /again {order.id} if it is rejected."


def not_placed(order: Order) -> str:
    return f"#{order.id} was not placed ({escape(order.error)}). Nothing was charged."


def resolved(order: Order) -> str:
    return f"#{order.id} is settled: {STATE_WORDS[order.state]}."


# The desk


def guard(until: datetime, zone: ZoneInfo) -> str:
    return (
        "⛔ SMSCode takes no new order of this account for a while: too many orders failed or were canceled. "
        f"It ends {countdown(until, zone)}. Live orders are still watched, their codes still come. Until then there is "
        "nothing to do; fewer cancels and another country or platform keep it away."
    )


def status(state: Status, zone: ZoneInfo) -> str:
    contract = state.contract or "not known yet"
    lines = [
        "<b>The desk</b>",
        f"SMSCode: {escape(state.trouble)}" if state.trouble else f"SMSCode answers; contract: {escape(contract)}",
        f"Requests in the last minute: {state.requests_used} of {state.requests_allowed}",
    ]
    if state.pause_left:
        lines.append(f"SMSCode asks for a pause: {round(state.pause_left)} s left")
    lines.append(f"Orders: {state.live} live, {state.unclear} unclear, {state.undecided} for an admin to decide")
    if state.paused is not None:
        lines.append(f"New orders are paused: {escape(state.paused)}")
    if state.guarded_until is not None:
        until = from_milliseconds(state.guarded_until * 1000)
        lines.append(f"SMSCode takes no new orders; that ends {countdown(until, zone)}")
    letters = ", ".join(
        f"{count} {escape(_LETTER_WORDS.get(name, name))}" for name, count in state.letters.items() if name != "sent"
    )
    lines.append(f"Messages: {letters or 'none waiting'}")
    lines.append(_webhook_line(state))
    if state.foreign:
        shown = ", ".join(escape(remote_id) for remote_id in state.foreign[:10])
        lines.append(
            f"Live on the account, but not ordered here: {len(state.foreign)} ({shown}). I neither watch nor "
            "touch them; they spend from the same balance."
        )
    return "\n".join(lines)


def evidence(known: Evidence, names: Mapping[int, str], zone: ZoneInfo) -> str:
    """All that is known of an order, for whoever decides about its money."""
    order = known.order
    lines = [
        f"<b>{_order_line(order)}</b>",
        f"for {escape(names.get(order.member_id, order.member_id))}{_note(order)}",
        f"State: {STATE_WORDS[order.state]}{' · needs your word' if order.needs_admin else ''}",
        f"SMSCode's id: {escape(order.remote_id or 'never learned')} · key {escape(order.request_key)}",
        (
            f"Held {format_amount(order.held)}, charged {format_amount(order.charged)}, "
            f"came back {format_amount(order.refunded)}"
        ),
        f"Balance before: {_known_amount(order.balance_before)} · now: {_known_amount(known.balance)}",
    ]
    if order.error:
        lines.append(f"Why: {escape(order.error)}")
    lines.append("")
    lines.extend(
        f"{_when(from_milliseconds(entry.at), zone)} · {format_amount(entry.amount)} "
        f"{_MOVES.get((entry.credit, entry.debit), f'{entry.credit} → {entry.debit}')} ({escape(entry.reason)})"
        for entry in known.entries
    )
    lines.append("")
    lines.extend(
        f"{_when(from_milliseconds(line.at), zone)} · {escape(actor(line.actor_id, names))} "
        f"{escape(deed(line.action))} #{order.id}"
        for line in known.lines
    )
    return _as_many_as_fit(lines, len(lines), "\n")


def _known_amount(amount: int | None) -> str:
    return "unknown" if amount is None else format_amount(amount)


def _webhook_line(state: Status) -> str:
    if state.webhook is None or not state.webhook.url:
        return "Webhooks: off; I ask SMSCode every few seconds"
    if state.webhook.disabled:
        return f"Webhooks: SMSCode has stopped sending them ({escape(state.webhook.disabled)})"
    proven = "; they have proven themselves, so I ask less often" if state.webhooks_proven else ""
    return f"Webhooks: on{proven}"


# Buttons


def foreign_button(owner: str) -> str:
    return f"This button is {escape(owner)}'s. Your own come with your own commands, such as /order."


def stale_button() -> str:
    return "This button is no longer valid. Send the command again."


def used_button() -> str:
    return "Already done."


def kept() -> str:
    return "Kept. I go on watching it."


# Alerts to admins

_ALERTS: Mapping[str, str] = {
    "access": "{name} (<code>{user}</code>) asks to come in. First words: {words}",
    "unclear": (
        "Order #{order} is unclear: {reason}. Its hold stays while I look for evidence. Nothing to do yet: I tell what "
        "it was, or ask; <code>/resolve {order}</code> shows what is known."
    ),
    "charged": (
        "Order #{order} was charged, but its number never reached us. It is in the SMSCode dashboard: give its number "
        "to the member there, or cancel it there and send /resolve {order} refunded."
    ),
    "decide": (
        "Order #{order} needs your word: the balance was {before} before it and is {balance} now, which proves "
        "nothing. Look into the SMSCode dashboard, then send <code>/resolve {order} charged</code> or "
        "<code>/resolve {order} refunded</code>."
    ),
    "overcharge": (
        "Order #{order} cost more than the catalog said: the balance fell by {fell} instead of {price}. The difference "
        "counts against its member's limits. If something else spends from this account, give the desk one of its own."
    ),
    "missing": (
        "SMSCode no longer knows order #{order}. Look into the dashboard, then send "
        "<code>/resolve {order} charged</code> or <code>/resolve {order} refunded</code>."
    ),
    "refund": (
        "Order #{order} expired without a code, and the balance does not tell whether its {price} came back. Look into "
        "the SMSCode dashboard, then send <code>/resolve {order} charged</code> or "
        "<code>/resolve {order} refunded</code>; <code>/resolve {order}</code> shows what is known."
    ),
    "dearer": (
        "Order #{order} cost {fell} instead of {price}: its product had no ceiling to agree on. The difference counts "
        "against its member's limits."
    ),
    "key_reused": (
        "SMSCode says that the key of order #{order} was used for something else before. Nothing was placed. Is "
        "another desk running on this account with the same bot?"
    ),
    "restored": (
        "These books were restored from a backup of {taken}. New orders are stopped: what was ordered, paid or said "
        "since is not in them, and does not count against any limit. Live orders are looked at first. Commands that "
        "waited in the backup are not carried out: {commands}. Compare with SMSCode's dashboard, and /status shows "
        "what lives there; then send /resume."
    ),
    "restored_order": (
        "Order #{order} was on its way when the backup was made, and nothing here can prove what became of it. Look "
        "into the SMSCode dashboard, then send <code>/resolve {order} charged</code> or "
        "<code>/resolve {order} refunded</code>."
    ),
    "webhook_off": (
        "SMSCode had stopped sending its events here: {reason}. They are switched on again; until they have proven "
        "themselves I look for codes at the usual pace. Please check that web.public_url can be reached from outside."
    ),
    "web": (
        "I cannot listen on {address}: {reason}. SMSCode's events do not reach me, so I look for codes at the usual "
        "pace. Free the address or change web.listen; I try again by myself."
    ),
    "dead": (
        "A message ({kind}, order #{order}) could not be delivered: {reason}. <code>/audit #{order}</code> shows whose "
        "order it is; tell them, or ask them to open a chat with me and press Start."
    ),
    "dead_answer": (
        "A message ({kind}) could not be delivered: {reason}. If somebody waits for an answer, let them open a chat "
        "with me, press Start and send their command again."
    ),
    "code_elsewhere": (
        "The code of order #{order} could not be delivered where it belongs ({reason}); admins have it. Please pass it "
        "on: <code>/audit #{order}</code> shows whose it is."
    ),
    "low_balance": (
        "The SMSCode account has {balance} left, less than {price}. Top it up before orders are refused for it. I say "
        "this once until it has recovered; alerts.low_balance sets the level."
    ),
    "low_disk": (
        "Only {free} MiB are free on the disk of my database. Make room: once it is full I order nothing more and "
        "cannot keep codes. I say this once until there is room again."
    ),
    "backup": (
        "No backup could be made: {reason}. Those of before are all there. I try again every ten minutes; the books "
        "since the last one would be lost with this machine."
    ),
    "second_bot": ("Another bot runs with my token. New orders are stopped. Stop the other one, then send /resume."),
    "token": "SMSCode rejects the token. Put the right one into the configuration and restart me.",
    "books": (
        "The books disagree: {reason}. New orders are stopped. Run <code>otpdesk check</code>, restore a backup if it "
        "says so, then send /resume."
    ),
    "worker": (
        "A part of me ({worker}) failed and was restarted: {reason}. Nothing to do if that stays the only time; else "
        "look into the log, restart me, and report what the log says."
    ),
}


def alert(facts: Facts) -> str:
    """The text behind an alert's `what`; one without a text shows its facts as they are."""
    template = _ALERTS.get(str(facts.get("what")), "{what}")
    money = {"before", "balance", "fell", "price"}
    shown = {
        name: format_amount(value)
        if name in money and isinstance(value, int)
        else escape("unknown" if value is None else value)
        for name, value in facts.items()
    }
    sign = "🙋" if facts.get("what") == "access" else "⚠️"
    return f"{sign} {template.format_map(shown)}"


# What went wrong


@singledispatch
def failure(error: errors.DeskError, zone: ZoneInfo) -> str:
    """What happened, what it cost, and what to do next; each kind of error registers its own sentence below."""
    del zone
    return f"That did not work ({escape(error)}). Nothing was charged."


def backed_up(name: str, size: int, kept: int) -> str:
    return (
        f"A backup is made and checked: <code>{escape(name)}</code>, {max(1, size // 1024)} KiB, without codes. "
        f"{kept} {'is' if kept == 1 else 'are'} kept on my machine. Keep a copy elsewhere."
    )


def storage_trouble() -> str:
    return (
        "I cannot write to my database, so I do not order anything now. Nothing was charged by this. "
        "An admin should look at the disk."
    )


def database_unwritable() -> str:
    return (
        "⚠️ I cannot write to my database: the disk may be full or read-only, or another program holds the file. I "
        "order nothing until I can; commands wait at Telegram and codes wait at SMSCode. I go on by myself after that."
    )


def database_damaged() -> str:
    return (
        "⚠️ My database is damaged, so I order nothing and write nothing more into it; commands wait at Telegram and "
        "codes wait at SMSCode. Stop me, look at the disk, and put the latest backup in place: "
        "<code>otpdesk restore</code>."
    )


def internal_error() -> str:
    return "Something broke on my side. It is written down; an admin can see it. Check /orders before you try again."


@failure.register
def _wrong_usage(error: errors.WrongUsage, _: ZoneInfo) -> str:
    problem = html.escape(error.problem, quote=False)
    return f"{problem[:1].upper()}{problem[1:]}."


def meant_instead(command: str, words: str) -> str:
    return f"Did you mean <code>/{escape(command)} {html.escape(words[:200], quote=False)}</code>?"


@failure.register
def _backup_failed(error: errors.BackupFailed, _: ZoneInfo) -> str:
    return f"No backup was made: {escape(error.reason)}. Those of before are all there."


@failure.register
def _not_permitted(error: errors.NotPermitted, _: ZoneInfo) -> str:
    return f"That needs the role {escape(error.needed)}. Ask an admin."


@failure.register
def _ordering_paused(error: errors.OrderingPaused, _: ZoneInfo) -> str:
    return f"New orders are paused: {escape(error.reason.rstrip('.'))}. Nothing was charged."


@failure.register
def _ordering_banned(error: errors.OrderingBanned, zone: ZoneInfo) -> str:
    until = from_milliseconds(error.until * 1000)
    return (
        "SMSCode takes no new order of this account for a while: too many failed or were canceled. "
        f"It ends {countdown(until, zone)}. Nothing was charged."
    )


@failure.register
def _abuse_guard(_: errors.AbuseGuard, __: ZoneInfo) -> str:
    return (
        "SMSCode takes no new order of this account for a while: too many failed or were canceled. "
        "Nothing was charged. The message about it says for how long."
    )


@failure.register
def _price_rose(error: errors.PriceRose, _: ZoneInfo) -> str:
    return f"It costs {format_amount(error.price)} by now, not {format_amount(error.agreed)}. Nothing was charged."


@failure.register
def _price_not_agreed(error: errors.PriceNotAgreed, _: ZoneInfo) -> str:
    costs = f"{escape(error.platform)} in {escape(error.country)} costs <b>{format_amount(error.price)}</b>"
    if error.seen is not None and error.seen < error.price:
        return f"{costs} by now, not {format_amount(error.seen)}. Nothing is ordered yet."
    return f"{costs}; above {format_amount(error.limit)} I ask first. Nothing is ordered yet."


@failure.register
def _not_offered(error: errors.NotOffered, _: ZoneInfo) -> str:
    return f"SMSCode's API as this desk speaks it ({escape(error.contract)}) cannot {escape(error.what)}."


@failure.register
def _account_busy(error: errors.AccountBusy, _: ZoneInfo) -> str:
    return (
        f"Order #{error.order_id} is still being checked, and a new one now would blur the picture. "
        f"Try again in {error.seconds} s. Nothing was charged."
    )


@failure.register
def _unknown_name(error: errors.UnknownName, _: ZoneInfo) -> str:
    hint = ", ".join(f"<b>{escape(name)}</b>" for name in error.suggestions)
    where = "/users shows who is on the list." if "member" in error.kind else "/catalog shows what there is."
    question = f" Did you mean {hint}?" if hint else f" {where}"
    return f"I know no {error.kind} “{escape(error.typed)}”.{question}"


@failure.register
def _nothing_on_offer(error: errors.NothingOnOffer, _: ZoneInfo) -> str:
    where = escape(", ".join(error.countries))
    if error.cheapest is not None and error.max_price is not None and error.cheapest > error.max_price:
        return (
            f"Nothing for {escape(error.platform)} in {where} up to {format_amount(error.max_price)}; "
            f"the cheapest is {format_amount(error.cheapest)}. Nothing was charged."
        )
    return (
        f"{escape(error.platform)} is sold out in {where}. Nothing was charged. "
        "Try another country, or again in a few minutes."
    )


@failure.register
def _limit_reached(error: errors.LimitReached, zone: ZoneInfo) -> str:
    cap, left = limit_value(error.name, error.cap), limit_value(error.name, error.left)
    if error.name is LimitName.PER_ORDER:
        return f"This number costs {format_amount(error.asked)}; your limit per order is {cap}. Nothing was charged."
    if error.name in COUNTS:
        if error.resets_at:
            anew = f"It starts anew {_in_a_while(error.resets_at, zone)}"
            return f"You have {_reached(error.name, error.cap)}. {anew}. Nothing changed."
        return (
            f"You have {_reached(error.name, error.cap)}. You can order again once a code has come or one has ended: "
            "/orders. Nothing was charged."
        )
    resets = f" It starts anew {_in_a_while(error.resets_at, zone)}." if error.resets_at else ""
    return (
        f"This costs {format_amount(error.asked)}, but the limit {LIMIT_WORDS[error.name]} ({cap}) "
        f"has only {left} left.{resets} Nothing was charged."
    )


def _needs_a_yes(error: errors.ApprovalNeeded | errors.NobodyToApprove | errors.AwaitsApproval) -> str:
    return (
        f"This costs {format_amount(error.price)}; above {format_amount(error.threshold)} somebody else has to say yes"
    )


@failure.register
def _approval_needed(error: errors.ApprovalNeeded, _: ZoneInfo) -> str:
    return f"{_needs_a_yes(error)}. Nothing was charged."


@failure.register
def _nobody_to_approve(error: errors.NobodyToApprove, _: ZoneInfo) -> str:
    return (
        f"{_needs_a_yes(error)}, and there is nobody who could. "
        "An admin can name one: /role NAME approver. Nothing was charged."
    )


@failure.register
def _awaits_approval(error: errors.AwaitsApproval, zone: ZoneInfo) -> str:
    names = ", ".join(escape(name) for name in error.approvers[:5])
    more = f" and {len(error.approvers) - 5} more" if len(error.approvers) > 5 else ""
    return (
        f"⏳ {_needs_a_yes(error)}. "
        f"I have asked {names}{more}; it runs out {countdown(error.until, zone)}. Nothing is bought or held before."
    )


@failure.register
def _no_such_approval(error: errors.NoSuchApproval, _: ZoneInfo) -> str:
    return f"There is no request {error.approval_id}. /approvals lists those that wait."


@failure.register
def _already_answered(error: errors.AlreadyAnswered, _: ZoneInfo) -> str:
    by = f" by {escape(error.by)}" if error.by and error.outcome != "withdrawn" else ""
    words = {"expired": "has run out", "withdrawn": "was taken back", "dearer": "was asked anew at a new price"}
    done = "was declined" if error.outcome == "declined" else "was approved"
    return f"Request {error.approval_id} {words.get(error.outcome, done + by)} already. Nothing changed."


@failure.register
def _no_such_order(error: errors.NoSuchOrder, _: ZoneInfo) -> str:
    live = ", ".join(f"#{number}" for number in error.live[:10])
    if error.typed:
        return f"There is no order {escape(error.typed)} that you may see." + (f" Live: {live}." if live else "")
    return f"Which one? Live: {live}. Add its number." if live else "You have no live order."


@failure.register
def _not_now(error: errors.NotNow, _: ZoneInfo) -> str:
    state = OrderState(error.state)
    if state.ended:
        return f"#{error.order_id} is over already ({STATE_WORDS[state]}). Nothing changed."
    return f"#{error.order_id}: {STATE_WORDS[state]}. That is not possible now; nothing changed."


@failure.register
def _protected(error: errors.Protected, _: ZoneInfo) -> str:
    reason = html.escape(error.reason, quote=False)
    return f"{reason[:1].upper()}{reason[1:]}. Nothing changed."


@failure.register
def _not_a_member(error: errors.NotAMember, _: ZoneInfo) -> str:
    return f"<code>{error.user_id}</code> is not on the list. /users shows who is."


@failure.register
def _token_rejected(_: errors.TokenRejected, __: ZoneInfo) -> str:
    return "SMSCode rejects this desk's token. An admin must put the right one in. Nothing was charged."


@failure.register
def _balance_too_low(error: errors.BalanceTooLow, _: ZoneInfo) -> str:
    if error.balance is None or error.price is None:
        return "The SMSCode account cannot pay this order. Nothing was charged. Ask an admin to top it up."
    return (
        f"The SMSCode account has {format_amount(error.balance)}, this number costs {format_amount(error.price)}. "
        "Nothing was charged. Ask an admin to top it up."
    )


@failure.register
def _remote_order_missing(_: errors.RemoteOrderMissing, __: ZoneInfo) -> str:
    return "SMSCode does not know this order. Nothing changed; the admins can look into it."


@failure.register
def _rate_limited(error: errors.RateLimited, _: ZoneInfo) -> str:
    wait = f" Try again in {round(error.retry_after)} s." if error.retry_after else " Try again in a moment."
    return f"SMSCode asks us to slow down.{wait} Nothing was charged."


@failure.register
def _api_error(error: errors.ApiError, _: ZoneInfo) -> str:
    message = f"{escape(error.message.rstrip('.'))} " if error.message else ""
    return f"SMSCode said no: {message}({escape(error.code)}). Nothing was charged."


@failure.register
def _not_sent(error: errors.NotSent, _: ZoneInfo) -> str:
    if error.retry_after:
        return f"SMSCode asks for a pause. Try again in {round(error.retry_after)} s. Nothing was charged."
    return "SMSCode cannot be reached right now. Nothing was sent and nothing was charged. Try again in a moment."


@failure.register
def _unclear_answer(_: errors.Unclear, __: ZoneInfo) -> str:
    return "SMSCode gave no clear answer; nothing was charged. /orders shows how things stand. Try again in a moment."


@failure.register
def _not_canceled(error: errors.NotCanceled, zone: ZoneInfo) -> str:
    if isinstance(error.reason, errors.Unclear):
        return (
            f"SMSCode gave no clear answer, so #{error.order_id} may or may not be canceled. "
            "I keep watching it, and you hear how it ends."
        )
    if isinstance(error.reason, errors.CancelTooEarly):
        when = f" It can be {countdown(error.possible_from, zone)}." if error.possible_from else ""
        return f"SMSCode does not let #{error.order_id} be canceled yet.{when} Shall I do it then?"
    return f"#{error.order_id} is not canceled; I keep watching it. {failure(error.reason, zone)}"


# Pieces


def _as_many_as_fit(pieces: Sequence[str], total: int, separator: str) -> str:
    """The first pieces of a list that one message can hold, and how many of `total` are left out."""
    kept: list[str] = []
    room = _LONGEST_LIST
    for piece in pieces:
        room -= _shown_length(piece + separator)
        if room < 0:
            break
        kept.append(piece)
    more = [f"… and {total - len(kept)} more"] if len(kept) < total else []
    return separator.join([*kept, *more])


def _shown_length(markup: str) -> int:
    """How long Telegram counts a text: in UTF-16 units, without the tags."""
    return len(plain(markup).encode("utf-16-le")) // 2


def _a(role: Role) -> str:
    return f"{'an' if role.value[0] in 'ao' else 'a'} {role}"


def _budget(budget: Budget, zone: ZoneInfo) -> str:
    used = f"{format_amount(budget.usage.used)} of {format_amount(budget.cap)}"
    held = f" ({format_amount(budget.usage.held)} held)" if budget.usage.held else ""
    until = f" until {_when(budget.resets_at, zone)}" if budget.resets_at else ""
    return f"{_USAGE_NAMES[budget.name]}: {used}{held} · {format_amount(budget.left)} left{until}"


def _for_now(state: Statement, zone: ZoneInfo) -> list[str]:
    return [
        f"\nFor a time: {LIMIT_WORDS[limit.name]} {limit_value(limit.name, limit.amount)} until "
        f"{_when(from_milliseconds(limit.until), zone)}, then {limit_value(limit.name, limit.lasting)}."
        for limit in state.for_now
    ]


def _bar(usage: Usage, cap: int) -> str:
    """Ten cells: spent, held, left. It is full only when nothing is left, and never empty when something is used."""
    full = _BAR_CELLS if usage.used >= cap else min(_BAR_CELLS - 1, -(-usage.used * _BAR_CELLS // cap))
    held = 0 if not usage.held else full if not usage.spent else min(full, max(1, full * usage.held // usage.used))
    return "█" * (full - held) + "▒" * held + "░" * (_BAR_CELLS - full)


def _reached(name: LimitName, cap: int) -> str:
    return f"reached your limit of {LIMIT_WORDS[name]} ({limit_value(name, cap)})"


def _limit_of(name: LimitName) -> str:
    """A limit's words where its owner stands before them."""
    return LIMIT_WORDS[name].removeprefix("for the team ")


def _in_a_while(moment: datetime, zone: ZoneInfo) -> str:
    """A time to come, as far away as Telegram shows it; older apps show it in the team's zone."""
    return f'<tg-time unix="{int(moment.timestamp())}" format="r">{_when(moment, zone)}</tg-time>'


def _when(moment: datetime, zone: ZoneInfo) -> str:
    return f"{moment.astimezone(zone):%d %b %H:%M}"


def _stock(offer: Offer) -> str:
    if offer.stock is None:
        return "in stock"
    return f"{offer.stock} in stock" if offer.stock else "sold out"


def _named(offer: Offer) -> str:
    return "".join(f" · {escape(name)}" for name in (offer.name, offer.operator) if name)


def _number_line(order: Order) -> str:
    if order.phone_number is None:
        return "📱 the number is still to come"
    readable = readable_number(order.phone_number)
    return f"📱 <code>{escape(order.phone_number)}</code>{f' · {readable}' if readable else ''}"


def _order_line(order: Order) -> str:
    cost = format_amount(order.charged or order.price)
    return f"#{order.id} · {escape(order.platform)} · {escape(order.country)} · {cost}"


def _note(order: Order) -> str:
    return f" · {html.escape(order.note, quote=False)}" if order.note else ""


def _why_this_one(order: Order, facts: Facts) -> str:
    """Which offer it became, if it is not simply the first one."""
    sold_out, instead = int(facts.get("sold_out") or 0), facts.get("instead")
    if instead:
        return f"“{escape(instead)}”, which was chosen before, is not to be had now, so this is what there is."
    first = next(iter(countries_of(order.countries)), order.country)
    if order.country != first:
        priced = "" if order.max_price is None else " at that price"
        return f"{escape(first)} had nothing left{priced}, so this is {escape(order.country)}."
    if sold_out:
        cheaper = "a cheaper offer was" if sold_out == 1 else f"{sold_out} cheaper offers were"
        return f"{cheaper[:1].upper()}{cheaper[1:]} sold out in the meantime, so this is the next one."
    return ""


def _card_state(order: Order, zone: ZoneInfo, private: str) -> str:
    """`private` names whom the code is written to in private; empty: it comes into this chat."""
    comes = f"The code goes to {private} in private." if private else "The code comes here by itself."
    if order.state is OrderState.WAITING:
        if order.phone_number is None:
            return "The number is on its way; it comes as a message of its own."
        if order.cancel_from is not None:
            return f"I cancel it {countdown(from_milliseconds(order.cancel_from), zone)}, unless an SMS comes first."
        if order.expires_at is None:
            return f"Request the SMS now. {comes}"
        left = countdown(from_milliseconds(order.expires_at), zone)
        return f"Request the SMS now: the number expires {left}. {comes}"
    if order.state is OrderState.RECEIVED:
        if private:
            return f"✅ The code goes to {private} in private, as another SMS to this number would."
        return "✅ The code is here. Another SMS to this number would come as well."
    came_back = f" {format_amount(order.refunded)} came back." if order.refunded else ""
    return f"{STATE_WORDS[order.state].capitalize()}.{came_back}"


def _listed(order: Order, names: Mapping[int, str], me: int, zone: ZoneInfo) -> str:
    lines = [_order_line(order)]
    if order.phone_number:
        lines.append(_number_line(order))
    state = STATE_WORDS[order.state]
    if order.expires_at is not None and order.state is OrderState.WAITING:
        state += f", expires {countdown(from_milliseconds(order.expires_at), zone)}"
    whose = "" if order.member_id == me else f" · {escape(names.get(order.member_id, order.member_id))}"
    lines.append(f"{state}{whose}{_note(order)}")
    return "\n".join(lines)
