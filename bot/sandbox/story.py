"""The story of the tour: a team's day in a few minutes' worth of messages.

Each step says what it shows, lists the acts of the persons, and has a proof. On the page a person follows the acts at
their own pace. In the terminal they are played, and after each step SMSCode's books are opened: what the chat claims
has to be what the account was charged.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final, Literal

from bot.sandbox.bot_api import ADA, OMAR, SAM, Message, TelegramWorld
from bot.sandbox.child import BotProcess
from bot.sandbox.sms_api import Contract, Fault, FaultKind, Order, OrderStatus, SmsWorld

PATIENCE_SECONDS: Final = 12.0
"""How long an act waits for a message; the slowest one takes six seconds, the pause between two looks at an order."""

_PLACED: Final = {"guide": ("POST", "/v1/orders"), "official": ("POST", "/v1/orders/create")}
_LOW_LIMIT: Final = 3_000
"""IDR; no number for WhatsApp is as cheap."""


class NotSeen(Exception):
    """Something that the story promises did not happen."""


@dataclass(frozen=True, slots=True)
class Act:
    """One thing that a person does in their private chat with the bot, or behind the scenes, and how it is seen.

    `say`: type `what`; `press`: press the button with this label; `sms`: let an SMS arrive at the latest live order;
    `kill`: kill the bot's process; `lose`: let the answer to the next create get lost on its way. It has been seen once
    the bot says something to `hears` that holds `seen`, in any case of letters. Without `seen` there is nothing to wait
    for: the bot keeps silent, or what was done shows later.
    """

    by: int
    kind: Literal["say", "press", "sms", "kill", "lose"]
    what: str = ""
    seen: str = ""
    hears: int = 0

    @property
    def listener(self) -> int:
        """Whose chat with the bot shows the effect."""
        return self.hears or self.by


@dataclass
class Play:
    """The persons' side of the story: they speak and press, and remember where in each chat they stand.

    `patience` is how many seconds they wait for what the bot should say. `heard` are the messages that this step's acts
    were answered by, in order; `balance` and `asked_before` are what they were as the step began.
    """

    telegram: TelegramWorld
    sms: SmsWorld
    contract: Contract = "guide"
    bot: BotProcess | None = None
    patience: float = PATIENCE_SECONDS
    marks: dict[int, int] = field(default_factory=dict)
    heard: list[Message] = field(default_factory=list)
    balance: int = 0
    asked_before: int = 0

    @property
    def asked(self) -> int:
        """How often SMSCode was asked for a number."""
        return self.sms.books.requests[_PLACED[self.contract]]

    async def perform(self, step: "Step") -> str:
        """Play all acts of a step; returns in one line what has been proven.

        Raises:
            NotSeen: something did not happen that the title promises.
        """
        self.balance, self.asked_before = self.sms.balance, self.asked
        self.heard = []
        for act in step.acts:
            await self._do(act)
        return step.proof(self)

    async def _do(self, act: Act) -> None:
        deeds = {"say": self._say, "press": self._press, "sms": self._sms, "kill": self._kill, "lose": self._lose}
        deeds[act.kind](act)
        if act.seen:
            self.heard.append(await self.hears(act.listener, act.seen))
        elif act.kind == "say":
            await self.until(lambda: not self.telegram.updates.pending, f"the bot to read {act.what!r}")

    def _say(self, act: Act) -> None:
        self.marks[act.by] = self.telegram.say(act.by, act.what).message_id

    def _press(self, act: Act) -> None:
        """Press a button of the latest message that has it."""
        visible = self.telegram.chats[act.by].visible()
        holders = [message for message in visible if act.what in message.button_texts]
        expect(holders, f"no message to {self.telegram.users[act.by].first_name} has the button {act.what!r}")
        self.marks[act.by] = max(self.telegram.chats[act.by].messages)
        self.telegram.press(act.by, act.by, holders[-1].message_id, act.what)

    def _sms(self, _act: Act) -> None:
        self.sms.arrive(self.live_order().id)

    def _kill(self, _act: Act) -> None:
        if self.bot is not None:
            self.bot.kill()

    def _lose(self, _act: Act) -> None:
        self.sms.faults.add(Fault(kind=FaultKind.RESET_AFTER, route="POST /v1/orders/create"))

    async def hears(self, user_id: int, wanted: str) -> Message:
        """The bot's next message to a person that holds `wanted`, in any case of letters.

        Raises:
            NotSeen: it did not come in time.
        """

        def holds(message: Message) -> bool:
            return wanted.casefold() in message.text.casefold()

        try:
            message = await self.telegram.wait_for(holds, user_id, self.patience, self.marks.get(user_id))
        except AssertionError:
            transcript = self.telegram.transcript(user_id)
            raise NotSeen(f"waited {self.patience} s in vain for {wanted!r}\n{transcript}") from None
        self.marks[user_id] = message.message_id
        return message

    async def until(self, condition: Callable[[], bool], described: str) -> None:
        """Wait until something holds.

        Raises:
            NotSeen: it did not in time.
        """
        try:
            await self.telegram.wait_until(condition, self.patience, described=described)
        except AssertionError as error:
            raise NotSeen(str(error)) from None

    def live_order(self) -> Order:
        """The order that was placed last and lives.

        Raises:
            NotSeen: none lives.
        """
        live = self.sms.live_orders()
        expect(live, "SMSCode has no live order")
        return live[-1]


@dataclass(frozen=True, slots=True)
class Step:
    """One scene: what it is called, what a person at the page reads about it, what is done, and what that proves.

    `proof` returns in one line what has been proven; it raises `NotSeen` where something did not happen.
    """

    title: str
    says: str
    acts: Sequence[Act]
    proof: Callable[[Play], str]


def expect(holds: object, otherwise: str) -> None:
    """Check a fact.

    Raises:
        NotSeen: it does not hold; `otherwise` is the sentence about it.
    """
    if not holds:
        raise NotSeen(otherwise)


def rupiah(amount: int) -> str:
    """IDR as the chat writes it."""
    return f"Rp {amount:,}".replace(",", ".")


def _owner(_play: Play) -> str:
    return "the configuration names her, nobody had to let her in"


def _stranger(play: Play) -> str:
    expect(play.asked == play.asked_before, "SMSCode was asked for a number")
    told = [message for message in play.telegram.chats[SAM].visible() if message.from_bot]
    expect(len(told) == 1, f"Sam was answered {len(told)} times")
    return "one notice, and no number was asked for"


def _let_in(_play: Play) -> str:
    return "Sam is an operator"


def _browse(play: Play) -> str:
    cheapest = _cheapest(play)
    expect(rupiah(cheapest) in play.heard[0].text, f"the list lacks SMSCode's price {rupiah(cheapest)} for Indonesia")
    return f"SMSCode's cheapest for Indonesia is {rupiah(cheapest)}"


def _order(play: Play) -> str:
    order = play.live_order()
    price = _cheapest(play)
    expect(order.phone_number in play.heard[0].text, f"the card does not show the number {order.phone_number}")
    expect(order.price == price, f"{rupiah(order.price)} was paid, the cheapest was {rupiah(price)}")
    _expect_charged(play, order.price)
    return f"one charge, {rupiah(price)}"


def _code(play: Play) -> str:
    code = _code_told(play)
    _expect_charged(play, 0)
    return f"SMSCode received {code}, and nothing more was charged"


def _after_the_kill(play: Play) -> str:
    code = _code_told(play)
    _expect_charged(play, play.live_order().price)
    lives = "" if play.bot is None else f"in its life number {play.bot.starts} "
    return f"the bot told {code} {lives}and ordered once"


def _done(play: Play) -> str:
    status = list(play.sms.books.orders.values())[-1].status
    expect(status == OrderStatus.COMPLETED, f"SMSCode still has the order as {status}")
    return "SMSCode has it as completed"


def _lost_answer(play: Play) -> str:
    card, refund = play.heard
    order = list(play.sms.books.orders.values())[-1]
    expect(order.phone_number in card.text, "the number that was paid is not the one in the chat")
    expect(play.asked == play.asked_before + 2, f"SMSCode was asked {play.asked - play.asked_before} times")
    expect(rupiah(order.price) in refund.text, f"the chat does not tell of {rupiah(order.price)}")
    _expect_charged(play, 0)
    return "asked twice under one key, charged once"


def _cancel(play: Play) -> str:
    order = list(play.sms.books.orders.values())[-1]
    (refund,) = play.sms.books.refunds_of(order.id) or (None,)
    expect(refund is not None and refund.amount == order.price, "SMSCode has no refund of the price in its books")
    expect(rupiah(order.price) in play.heard[-1].text, f"the chat does not tell of {rupiah(order.price)}")
    _expect_charged(play, 0)
    return f"one refund, {rupiah(order.price)}"


def _over_limit(play: Play) -> str:
    expect(play.asked == play.asked_before, "SMSCode was asked for a number all the same")
    return "SMSCode was not even asked"


def _books(play: Play) -> str:
    spent, balance = play.sms.books.spent, play.sms.balance
    whoami, account = play.heard
    expect(f"{rupiah(spent)} of" in whoami.text, f"Omar is not told that he has spent {rupiah(spent)}")
    expect(rupiah(balance) in account.text, f"Ada is not told the balance {rupiah(balance)}")
    for sms in play.sms.books.messages:
        times = sum(sms.code in message.entity_texts("code") for message in play.telegram.chats[OMAR].visible())
        expect(times == 1, f"the code {sms.code} was told {times} times")
    return f"{rupiah(spent)} spent, and each code told once"


def _cheapest(play: Play) -> int:
    return min(product.price for product in play.sms.products("indonesia", "whatsapp") if product.available)


def _code_told(play: Play) -> str:
    """The latest code that SMSCode has received, once it is certain that it can be copied with one tap."""
    code = str(play.sms.books.messages[-1].code)
    expect(code in play.heard[-1].entity_texts("code"), f"the code {code} is not there to be copied with one tap")
    return code


def _expect_charged(play: Play, amount: int) -> None:
    charged = play.balance - play.sms.balance
    expect(charged == amount, f"SMSCode has charged {rupiah(charged)}, not {rupiah(amount)}")


_ARRIVING: Final = (
    Step(
        "Ada, the owner, opens the chat",
        "The configuration names her, so nobody has to let her in. The menu beside the message field holds all that an "
        "admin can do.",
        (Act(ADA, "say", "/start", "you are an admin"),),
        _owner,
    ),
    Step(
        "Sam, a stranger, is turned away",
        "Sam is not on the list. He gets one notice, whatever he sends next is passed over, and SMSCode hears nothing "
        "of him.",
        (Act(SAM, "say", "/start", "team only"), Act(SAM, "say", "/order whatsapp indonesia")),
        _stranger,
    ),
    Step(
        "Sam asks to come in, and Ada lets him",
        "Two buttons: his asks, hers decides. Who let whom in, and when, is kept in the audit.",
        (
            Act(SAM, "press", "Ask for access", "Sam", hears=ADA),
            Act(ADA, "press", "Let in as operator", "You are in", hears=SAM),
        ),
        _let_in,
    ),
    Step(
        "Omar looks at what there is",
        "Omar is an operator. Prices and stock come from SMSCode, the cheapest first.",
        (Act(OMAR, "say", "/catalog whatsapp", "indonesia"),),
        _browse,
    ),
    Step(
        "Omar orders a number",
        "The money is held under his limits, then the cheapest number is bought. The card counts down while he waits.",
        (Act(OMAR, "say", "/order whatsapp indonesia note=login test", "WhatsApp · Indonesia"),),
        _order,
    ),
    Step(
        "The code arrives by itself",
        "Nobody asks for it: when SMSCode has the SMS, the code comes as a message of its own. Tap it to copy it.",
        (Act(OMAR, "sms", seen="🔑"),),
        _code,
    ),
    Step(
        "A second SMS comes to the same number",
        "The number lives on for a while. Another SMS is another message, at no further cost.",
        (Act(OMAR, "sms", seen="SMS number 2"),),
        _code,
    ),
)
_DONE: Final = Step(
    "Omar is done, and says so",
    "The official contract can finish an order whose code has done its work.",
    (Act(OMAR, "say", "/done", "is finished"),),
    _done,
)
_KILLED: Final = Step(
    "The bot is killed while a code is on its way",
    "SIGKILL, as when a machine fails. All that matters is on disk: the bot starts again, and the code still comes.",
    (
        Act(OMAR, "say", "/order whatsapp vietnam", "WhatsApp · Vietnam"),
        Act(ADA, "kill"),
        Act(OMAR, "sms", seen="🔑"),
    ),
    _after_the_kill,
)
_LOST: Final = Step(
    "An answer gets lost after the charge, and asking again finds the number",
    "The connection breaks after SMSCode has taken the money. The desk asks again under the same key and gets the "
    "number that was paid.",
    (
        Act(ADA, "lose"),
        Act(OMAR, "say", "/order telegram vietnam", "Telegram · Vietnam"),
        Act(OMAR, "press", "Cancel and refund", "came back"),
    ),
    _lost_answer,
)
_LEAVING: Final = (
    Step(
        "Omar cancels another order, and the money comes back",
        "Until the code has come, an order can be given back with one tap. The refund is told once SMSCode has it.",
        (
            Act(OMAR, "say", "/order telegram vietnam", "Telegram · Vietnam"),
            Act(OMAR, "press", "Cancel and refund", "came back"),
        ),
        _cancel,
    ),
    Step(
        "Ada lowers his limit, and an order over it is refused",
        "Limits bind at the moment of ordering, and nothing is spent. Then she puts his limit back.",
        (
            Act(ADA, "say", f"/limit {OMAR} per_order {_LOW_LIMIT}", f"at most {rupiah(_LOW_LIMIT)}"),
            Act(OMAR, "say", "/order whatsapp indonesia", f"your limit per order is {rupiah(_LOW_LIMIT)}"),
            Act(ADA, "say", f"/limit {OMAR} per_order default", "Omar"),
        ),
        _over_limit,
    ),
    Step(
        "The chat and SMSCode's books agree",
        "What Omar has spent is what the account was charged. The panel of the outside world shows the same figures.",
        (
            Act(OMAR, "say", "/whoami", "Today: Rp"),
            Act(ADA, "say", "/balance", "Rp"),
        ),
        _books,
    ),
)

STORIES: Final[dict[Contract, tuple[Step, ...]]] = {
    "guide": (*_ARRIVING, _KILLED, *_LEAVING),
    "official": (*_ARRIVING, _DONE, _KILLED, _LOST, *_LEAVING),
}
"""One story for each contract; the official one can do more."""
