"""The story of the tour: a team's day in a few minutes' worth of messages, each step with its proof.

A step plays the persons' side, waits for what the bot says, and then opens SMSCode's books: what the chat claims has to
be what the account was charged.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Final

from bot.sandbox.bot_api import ADA, OMAR, SAM, Message, TelegramWorld
from bot.sandbox.sms_api import Contract, Fault, FaultKind, Order, OrderStatus, Sms, SmsWorld

PATIENCE_SECONDS: Final = 12.0
"""How long a step waits for a message; the slowest one takes six seconds, the pause between two looks at an order."""

_PLACED: Final = {"guide": ("POST", "/v1/orders"), "official": ("POST", "/v1/orders/create")}
_INDONESIA: Final = {"guide": "indonesia", "official": "Indonesia"}
_LOW_LIMIT: Final = 3_000
"""IDR; no number for WhatsApp is as cheap."""


class NotSeen(Exception):
    """Something that the story promises did not happen."""


@dataclass
class Play:
    """The persons' side of the story: they speak and press, and remember where in each chat they stand.

    `patience` is how many seconds they wait for what the bot should say.
    """

    telegram: TelegramWorld
    sms: SmsWorld
    contract: Contract = "guide"
    patience: float = PATIENCE_SECONDS
    marks: dict[int, int] = field(default_factory=dict)

    @property
    def asked(self) -> int:
        """How often SMSCode was asked for a number."""
        return self.sms.books.requests[_PLACED[self.contract]]

    def say(self, user_id: int, text: str) -> None:
        """Write to the bot in private; from here on `hears` looks for what comes after it."""
        self.marks[user_id] = self.telegram.say(user_id, text).message_id

    def press(self, message: Message, label: str) -> None:
        """Press a button of a message in the private chat it is in."""
        self.marks[message.chat_id] = max(self.telegram.chats[message.chat_id].messages)
        self.telegram.press(message.chat_id, message.chat_id, message.message_id, label)

    async def hears(self, user_id: int, wanted: str) -> Message:
        """The bot's next message to a person that holds `wanted`.

        Raises:
            NotSeen: it did not come in time.
        """
        try:
            message = await self.telegram.wait_for(wanted, user_id, self.patience, self.marks.get(user_id))
        except AssertionError as error:
            raise NotSeen(str(error)) from None
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
    """One scene. `play` returns in one line what has been proven.

    It raises `NotSeen` where something did not happen that the title promises.
    """

    title: str
    play: Callable[[Play], Awaitable[str]]


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


async def _owner(play: Play) -> str:
    play.say(ADA, "/start")
    await play.hears(ADA, "you are an admin")
    return "the configuration names her, nobody had to let her in"


async def _stranger(play: Play) -> str:
    play.say(SAM, "/start")
    await play.hears(SAM, "team only")
    play.say(SAM, "/order whatsapp indonesia")
    await play.until(lambda: not play.telegram.updates.pending, "the bot to read what Sam wrote")
    expect(not play.asked, "SMSCode was asked for a number")
    return "no number was asked for"


async def _let_in(play: Play) -> str:
    play.say(OMAR, "/start")
    notice = await play.hears(OMAR, "team only")
    play.press(notice, "Ask for access")
    request = await play.hears(ADA, "Omar")
    play.press(request, "Let in as operator")
    await play.hears(OMAR, "You are in")
    await play.hears(ADA, "is an operator now")
    return "Omar is an operator"


async def _browse(play: Play) -> str:
    play.say(OMAR, "/catalog whatsapp")
    answer = await play.hears(OMAR, _INDONESIA[play.contract])
    cheapest = _cheapest(play, "indonesia")
    expect(rupiah(cheapest) in answer.text, f"the list lacks SMSCode's price {rupiah(cheapest)} for Indonesia")
    return f"SMSCode's cheapest for Indonesia is {rupiah(cheapest)}"


async def _order(play: Play) -> str:
    price = _cheapest(play, "indonesia")
    play.say(OMAR, "/order whatsapp indonesia note=login test")
    card = await play.hears(OMAR, "📱")
    order = play.live_order()
    expect(order.phone_number in card.text, f"the card does not show the number {order.phone_number}")
    expect(order.price == price, f"{rupiah(order.price)} was paid, the cheapest was {rupiah(price)}")
    _expect_charges(play, [order.price])
    return f"one charge, {rupiah(price)}"


async def _code(play: Play) -> str:
    order = play.live_order()
    sms = play.sms.arrive(order.id)
    await _hears_code(play, sms)
    _expect_charges(play, [order.price])
    return f"SMSCode received {sms.code}, still one charge"


async def _second_code(play: Play) -> str:
    order = play.live_order()
    sms = play.sms.arrive(order.id)
    message = await _hears_code(play, sms)
    expect("SMS number 2" in message.text, "the second SMS is not marked as the second")
    _expect_charges(play, [order.price])
    return f"SMSCode received {sms.code}, and nothing more was charged"


async def _done(play: Play) -> str:
    order = play.live_order()
    play.say(OMAR, "/done")
    await play.hears(OMAR, "is finished")
    expect(order.status == OrderStatus.COMPLETED, f"SMSCode still has the order as {order.status}")
    return "SMSCode has it as completed"


async def _lost_answer(play: Play) -> str:
    before, asked = play.sms.balance, play.asked
    play.sms.faults.add(Fault(kind=FaultKind.RESET_AFTER, route="POST /v1/orders/create"))
    play.say(OMAR, "/order telegram vietnam")
    card = await play.hears(OMAR, "📱")
    order = play.live_order()
    expect(order.phone_number in card.text, "the number that was paid is not the one in the chat")
    expect(play.asked == asked + 2, f"SMSCode was asked {play.asked - asked} times")
    expect(play.sms.balance == before - order.price, "it was charged more than once")
    play.press(card, "Cancel and refund")
    await play.hears(OMAR, f"{rupiah(order.price)} came back")
    return "asked twice under one key, charged once"


async def _cancel(play: Play) -> str:
    before = play.sms.balance
    play.say(OMAR, "/order telegram vietnam")
    card = await play.hears(OMAR, "📱")
    order = play.live_order()
    expect(play.sms.balance == before - order.price, "the order was not charged")
    play.press(card, "Cancel and refund")
    await play.hears(OMAR, f"{rupiah(order.price)} came back")
    (refund,) = play.sms.books.refunds_of(order.id) or (None,)
    expect(refund is not None and refund.amount == order.price, "SMSCode has no refund of the price in its books")
    expect(play.sms.balance == before, "the balance is not what it was before the order")
    return f"one refund, {rupiah(order.price)}"


async def _over_limit(play: Play) -> str:
    before = play.asked
    play.say(ADA, f"/limit {OMAR} per_order {_LOW_LIMIT}")
    await play.hears(ADA, f"at most {rupiah(_LOW_LIMIT)}")
    play.say(OMAR, "/order whatsapp indonesia")
    await play.hears(OMAR, f"your limit per order is {rupiah(_LOW_LIMIT)}")
    expect(play.asked == before, "SMSCode was asked for a number all the same")
    return "SMSCode was not even asked"


async def _books(play: Play) -> str:
    spent = play.sms.books.spent
    play.say(OMAR, "/whoami")
    await play.hears(OMAR, f"You today: {rupiah(spent)} of")
    play.say(ADA, "/balance")
    await play.hears(ADA, rupiah(play.sms.balance))
    told = [message for message in play.telegram.chats[SAM].visible() if message.from_bot]
    expect(len(told) == 1, f"Sam was answered {len(told)} times")
    for sms in play.sms.books.messages:
        times = sum(sms.code in message.entity_texts("code") for message in play.telegram.chats[OMAR].visible())
        expect(times == 1, f"the code {sms.code} was told {times} times")
    return f"{rupiah(spent)} spent, each code told once, Sam answered once"


def _cheapest(play: Play, country: str) -> int:
    return min(product.price for product in play.sms.products(country, "whatsapp") if product.available)


async def _hears_code(play: Play, sms: Sms) -> Message:
    message = await play.hears(OMAR, str(sms.code))
    expect(str(sms.code) in message.entity_texts("code"), "the code cannot be copied with one tap")
    return message


def _expect_charges(play: Play, amounts: list[int]) -> None:
    charged = [charge.amount for charge in play.sms.books.charges]
    expect(charged == amounts, f"SMSCode has charged {charged}, not {amounts}")


_ARRIVING: Final = (
    Step("Ada, the owner, opens the chat", _owner),
    Step("Sam, a stranger, is turned away", _stranger),
    Step("Omar asks to come in, and Ada lets him", _let_in),
    Step("Omar looks at what there is", _browse),
    Step("Omar orders a number", _order),
    Step("The code arrives by itself", _code),
    Step("A second SMS comes to the same number", _second_code),
)
_LEAVING: Final = (
    Step("Omar cancels another order, and the money comes back", _cancel),
    Step("Ada lowers his limit, and an order over it is refused", _over_limit),
    Step("The chat and SMSCode's books agree", _books),
)

STORIES: Final[dict[Contract, tuple[Step, ...]]] = {
    "guide": (*_ARRIVING, *_LEAVING),
    "official": (
        *_ARRIVING,
        Step("Omar is done, and says so", _done),
        Step("An answer gets lost after the charge, and asking again finds the number", _lost_answer),
        *_LEAVING,
    ),
}
"""One story for each contract; the official one can do more."""
