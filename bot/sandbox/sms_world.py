"""An SMSCode account in memory: catalog, orders and money, moved by an injected clock. No HTTP here."""

import hmac
import math
import time
from collections import deque
from collections.abc import Callable
from heapq import heappop, heappush

from bot.sandbox.sms_books import (
    FIRST_NUMBER,
    Adjustment,
    Books,
    Charge,
    Order,
    OrderStatus,
    Refund,
    RefundReason,
    Sms,
)
from bot.sandbox.sms_catalog import Catalog, Names, Product, draw_phone_number
from bot.sandbox.sms_deliveries import Mischief, WebhookConfig
from bot.sandbox.sms_dice import Dice
from bot.sandbox.sms_errors import ErrorCode, SmsApiError
from bot.sandbox.sms_faults import Faults
from bot.sandbox.sms_guard import HOUR, AbuseGuard, CancelCap, forget_before
from bot.sandbox.sms_time import iso_text

DEFAULT_BEARER = "sandbox"
_MINUTE = 60.0


class SmsWorld:
    """The account and everything that happens to it. The same seed and calls give the same world.

    Time moves nothing by itself: whatever is due by `now()` (unix seconds) happens just before the next look.

    Args:
        token: the bearer token that the API accepts.
        balance: whole IDR at the start.
        seed: source of product ids, order ids, numbers, codes and arrival times.
        now: the clock.
        order_lifetime: seconds from the order to its expiry.
        arrival: shortest and longest wait for the first SMS in seconds; None: only when told by `arrive`.
        second_sms_after: seconds from the first SMS to a second one; None: no second one.
        complete_after: seconds from the latest SMS until the order completes; None: it stays open and expires.
        refund_expired: whether an order that expires without an SMS gives its money back.
        requests_per_minute: rate limit of the account; None: no limit.
        cancel_window: seconds for which a number must be kept before it may be given back.
        resend_cooldown: seconds between two requests for one more SMS.
        cancels_per_day: how many orders may be cancelled within 24 hours; None: any number.
        failures_per_hour: orders ended without an SMS until the abuse guard takes no new ones; None: it is only tripped
            by `trip_abuse_guard`.
        abuse_guard_seconds: for how long it takes none then.

    Beside these, a script may set at any time: `down`, every connection is cut; `distance`, real seconds that each
    request needs to get here; `create_takes`, real seconds that an order or a reactivation needs; `provider_errors`,
    how many of the next calls that need the provider of the numbers fail; `numbers_late`, new orders come without their
    number, which is known at the next look; `hides_sms`, where SMS are counted and not shown: in the "list" of live
    orders, in the "read" of one, in an "event"; `numbers_last`, whether a number can be rented again. `listeners` hear
    of every SMS ("otp_received") and every end of an order ("completed", "expired", "canceled").

    The cap, the window, the guard and the provider bind only the contract that knows them.
    """

    def __init__(
        self,
        *,
        token: str = DEFAULT_BEARER,
        balance: int = 150_000,
        seed: int = 0,
        now: Callable[[], float] = time.time,
        order_lifetime: float = 1200.0,
        arrival: tuple[float, float] | None = (4.0, 9.0),
        second_sms_after: float | None = None,
        complete_after: float | None = 600.0,
        refund_expired: bool = True,
        requests_per_minute: int | None = 300,
        cancel_window: float = 0.0,
        resend_cooldown: float = 0.0,
        cancels_per_day: int | None = None,
        failures_per_hour: int | None = None,
        abuse_guard_seconds: float = HOUR,
    ) -> None:
        self.now = now
        self.order_lifetime = order_lifetime
        self.arrival = arrival
        self.second_sms_after = second_sms_after
        self.complete_after = complete_after
        self.refund_expired = refund_expired
        self.requests_per_minute = requests_per_minute
        self.cancel_window = cancel_window
        self.resend_cooldown = resend_cooldown
        self.cancel_cap = CancelCap(cancels_per_day)
        self.guard = AbuseGuard(failures_per_hour, abuse_guard_seconds)
        self.create_takes = 0.0
        self.provider_errors = 0
        self.numbers_late = False
        self.hides_sms: frozenset[str] = frozenset()
        self.numbers_last = True
        self.webhook = WebhookConfig()
        self.mischief = Mischief()
        self.listeners: list[Callable[[str, Order], None]] = []
        self.faults = Faults()
        self.down = False
        self.distance = 0.0
        self._token = token
        self.seed = seed
        self._catalog = Catalog(seed)
        self._books = Books(opening=balance)
        self._request_ids = Dice(seed, "request")
        self._agenda: list[tuple[float, int]] = []
        self._by_sequence: list[Order] = []
        self._numbers_given: set[str] = set()
        self._arrived: deque[float] = deque()
        self._admitted: deque[float] = deque()

    # The account

    @property
    def books(self) -> Books:
        """The truth up to this moment."""
        self.advance()
        return self._books

    @property
    def balance(self) -> int:
        """The balance of this moment in whole IDR."""
        return self.books.balance

    def set_balance(self, balance: int) -> None:
        """Move the balance without an order, as a deposit or another client of the account would."""
        self._books.adjustments.append(Adjustment(balance - self.balance, self.now()))

    def knows_token(self, token: bytes) -> bool:
        """Compare a presented token in constant time."""
        return hmac.compare_digest(token, self._token.encode())

    def next_request_id(self) -> str:
        """Return the id for one more answer, unlike every other."""
        return f"req_{self._request_ids.word(16)}"

    def note_request(self, method: str, route: str) -> None:
        """Count a request that arrived, whatever becomes of it."""
        self._books.requests[method, route] += 1
        self._arrived.append(self.now())
        forget_before(self._arrived, self.now() - _MINUTE)

    def requests_last_minute(self) -> int:
        """Return how many requests arrived in the last 60 seconds, refused ones included."""
        forget_before(self._arrived, self.now() - _MINUTE)
        return len(self._arrived)

    def admit(self) -> None:
        """Let one request of the account pass its rate limit; a refused one does not count against it.

        Raises:
            SmsApiError: RATE_LIMITED, with the seconds until the next request has room.
        """
        now = self.now()
        forget_before(self._admitted, now - _MINUTE)
        limit = self.requests_per_minute
        if limit is not None and len(self._admitted) >= limit:
            oldest = self._admitted[-limit] if limit else now
            wait = max(1, math.ceil(oldest + _MINUTE - now))
            raise SmsApiError(ErrorCode.RATE_LIMITED, "Too many requests in a minute.", retry_after=wait)
        self._admitted.append(now)

    # The catalog

    @property
    def names(self) -> Names:
        """The numbers of everything that has a name in the catalog."""
        return self._catalog.names

    def products(self, country: str | None = None, platform: str | None = None) -> list[Product]:
        """Return the products of a country and a platform (slugs in any case); None means any."""
        return self._catalog.find(country, platform)

    def product(self, product_id: int) -> Product:
        """Return a product on sale.

        Raises:
            SmsApiError: PRODUCT_UNAVAILABLE.
        """
        product = self._catalog.get(product_id)
        if product is None:
            raise SmsApiError(ErrorCode.PRODUCT_UNAVAILABLE, "The product is not on sale.")
        return product

    def set_product(
        self,
        country: str,
        platform: str,
        price: int,
        stock: int,
        *,
        name: str | None = None,
        product_id: int | None = None,
        operator: str | None = None,
        linked: bool = True,
    ) -> int:
        """Put a product on sale, or replace the one with `product_id`; return its id.

        `operator` is the mobile network of its numbers, None for any. Only one that is `linked` can be ordered by the
        id that all products of its country and platform share.

        Raises:
            ValueError: a price or a stock below zero.
        """
        if price < 0 or stock < 0:
            raise ValueError("neither a price nor a stock can be below zero")
        number = self._catalog.fresh_id() if product_id is None else product_id
        title = name or f"{platform.title()} {country.title()}"
        product = Product(number, title, country.lower(), platform.lower(), price, stock, operator, linked)
        self._catalog.put(product)
        return number

    def set_stock(self, product_id: int, available: int) -> None:
        """Set the stock of a product.

        Raises:
            SmsApiError: PRODUCT_UNAVAILABLE, there is no such product.
            ValueError: a stock below zero.
        """
        if available < 0:
            raise ValueError("a stock cannot be below zero")
        self.product(product_id).available = available

    def sold_out(self, product_id: int) -> None:
        """Take a product's stock away, as other customers do between a catalog and an order."""
        self.set_stock(product_id, 0)

    def clear_catalog(self) -> None:
        """Take every product off sale."""
        self._catalog.clear()

    # Orders, as the API acts on them

    def order(self, order_id: str) -> Order:
        """Return an order as it is now.

        Raises:
            SmsApiError: ORDER_NOT_FOUND.
        """
        order = self.books.orders.get(order_id)
        if order is None:
            raise SmsApiError(ErrorCode.ORDER_NOT_FOUND, "The account has no such order.")
        return order

    def named(self, name: str) -> Order:
        """Return an order by either of its ids, whichever contract has shown it.

        Raises:
            SmsApiError: ORDER_NOT_FOUND.
        """
        return self.order_by_number(int(name)) if name.isascii() and name.isdigit() else self.order(name)

    def order_by_number(self, number: int) -> Order:
        """Return an order by its whole number.

        Raises:
            SmsApiError: ORDER_NOT_FOUND.
        """
        self.advance()
        sequence = number - FIRST_NUMBER
        if not 0 <= sequence < len(self._by_sequence):
            raise SmsApiError(ErrorCode.ORDER_NOT_FOUND, "The account has no such order.")
        return self._by_sequence[sequence]

    def live_orders(self) -> list[Order]:
        """Return the orders that have not ended, oldest first."""
        return [order for order in self.books.orders.values() if order.live]

    def create_order(self, product_id: int) -> Order:
        """Rent a number: take it from the stock and charge its price.

        Raises:
            SmsApiError: PRODUCT_UNAVAILABLE or INSUFFICIENT_BALANCE; nothing is charged then.
        """
        product = self.product(product_id)
        if product.available == 0:
            raise SmsApiError(ErrorCode.PRODUCT_UNAVAILABLE, "The product is sold out.")
        self._check_balance(product.price)
        product.available -= 1
        return self._charge(self._rent(product))

    def cancel_order(self, order_id: str) -> Order:
        """End a live order on request, with a refund only while no SMS has arrived.

        Raises:
            SmsApiError: ORDER_NOT_FOUND or ORDER_NOT_CANCELLABLE.
        """
        order = self.order(order_id)
        if not order.live:
            message = f"The order has ended as {order.status}."
            raise SmsApiError(ErrorCode.ORDER_NOT_CANCELLABLE, message)
        self._cancel(order)
        return order

    # Orders, as a contract acts on them that knows more of their life

    def cancel_from(self, order: Order) -> float:
        """Return from when on (unix seconds) an order may be given back, as far as the window goes."""
        return order.created_at + self.cancel_window

    def resend_from(self, order: Order) -> float:
        """Return from when on (unix seconds) one more SMS may be asked for."""
        return order.created_at if order.resent_at is None else order.resent_at + self.resend_cooldown

    def can_reactivate(self, order: Order) -> bool:
        """Whether the number of a completed order can be rented once more; not while it is rented."""
        over = order.received and not order.live and order.status != OrderStatus.CANCELLED
        return over and self.numbers_last and not self._is_rented(order.phone_number)

    def give_back(self, order: Order) -> None:
        """End an order that still waits for its first SMS, with a refund.

        Raises:
            SmsApiError: CONFLICT, CANCEL_TOO_EARLY, RATE_LIMITED or PROVIDER_ERROR; nothing has changed then.
        """
        now = self.now()
        if order.received or order.status != OrderStatus.WAITING:
            raise SmsApiError(ErrorCode.CONFLICT, "The order cannot be cancelled any more.")
        if now < self.cancel_from(order):
            details = {"cancel_available_at": iso_text(math.ceil(self.cancel_from(order)))}
            wait = math.ceil(self.cancel_from(order) - now)
            message = f"The number must be kept for {wait} s more."
            raise SmsApiError(ErrorCode.CANCEL_TOO_EARLY, message, details=details)
        self.cancel_cap.check(now)
        self.ask_provider()
        self.cancel_cap.note(now)
        self._cancel(order)

    def finish_order(self, order: Order) -> None:
        """Complete a live order that has an SMS.

        Raises:
            SmsApiError: CONFLICT.
        """
        self._require_sms(order)
        self._end(order, OrderStatus.COMPLETED, self.now())

    def resend_order(self, order: Order) -> None:
        """Let a live order that has an SMS wait for one more.

        Raises:
            SmsApiError: CONFLICT or PROVIDER_ERROR.
        """
        now = self.now()
        self._require_sms(order)
        if order.resent_at is not None and now < self.resend_from(order):
            raise SmsApiError(ErrorCode.CONFLICT, "One more SMS was asked for a moment ago.")
        self.ask_provider()
        order.resent_at = now
        order.status = OrderStatus.WAITING
        order.completes_at = None
        dice = Dice(self.seed, f"resend:{order.sequence}:{len(order.messages)}")
        order.arrives_at = None if self.arrival is None else now + dice.uniform(*self.arrival)
        self._schedule(order)

    def reactivation_cost(self, order: Order) -> int:
        """Return what the number of a completed order costs once more, in whole IDR: what its product costs now.

        Raises:
            SmsApiError: CONFLICT.
        """
        if not self.can_reactivate(order):
            raise SmsApiError(ErrorCode.CONFLICT, "The number cannot be reactivated now.")
        product = self._catalog.get(order.product_id)
        return order.price if product is None else product.price

    def reactivate_order(self, order: Order) -> Order:
        """Rent the number of a completed order once more, as an order of its own.

        Raises:
            SmsApiError: CONFLICT, PROVIDER_ERROR or INSUFFICIENT_BALANCE; nothing is charged then.
        """
        cost = self.reactivation_cost(order)
        self.ask_provider()
        self._check_balance(cost)
        product = Product(order.product_id, "", order.country, order.platform, cost, 0, order.operator, order.linked)
        again = self._rent(product, order.phone_number)
        again.reactivates = order.id
        return self._charge(again)

    def ask_provider(self) -> None:
        """Let the provider of the numbers do its part.

        Raises:
            SmsApiError: PROVIDER_ERROR, a script lets it fail.
        """
        if self.provider_errors:
            self.provider_errors -= 1
            raise SmsApiError(ErrorCode.PROVIDER_ERROR, "The provider of the numbers has failed.")

    def trip_abuse_guard(self, seconds: float) -> None:
        """Take no new order for that long, as after too many orders without an SMS."""
        self.guard.trip(self.now(), seconds)

    # Orders, as a script moves them; either of their ids names them

    def arrive(self, order_id: str, code: str | None = None, text: str | None = None) -> Sms:
        """Deliver an SMS now, in the place of the next scheduled one.

        Without arguments the code is drawn; with a text alone the SMS carries no code.

        Raises:
            SmsApiError: ORDER_NOT_FOUND or ORDER_ENDED.
        """
        return self._deliver(self._live(order_id), self.now(), code, text)

    def expire(self, order_id: str) -> None:
        """Close an order's window now.

        Raises:
            SmsApiError: ORDER_NOT_FOUND or ORDER_ENDED.
        """
        self._expire(self._live(order_id), self.now())

    def complete(self, order_id: str) -> None:
        """Complete an order now.

        Raises:
            SmsApiError: ORDER_NOT_FOUND or ORDER_ENDED.
        """
        self._end(self._live(order_id), OrderStatus.COMPLETED, self.now())

    def set_status(self, order_id: str, status: str) -> None:
        """Write any status over the order's own; no money moves. An unknown status stays until a script moves it.

        Raises:
            SmsApiError: ORDER_NOT_FOUND.
        """
        order = self.named(order_id)
        order.status = status
        self._schedule(order)

    def advance(self) -> None:
        """Let everything happen, in order of time, that is due by now."""
        while self._agenda and self._agenda[0][0] <= self.now():
            at, sequence = heappop(self._agenda)
            order = self._by_sequence[sequence]
            # An entry whose order has changed since is stale: that change has made its own entry.
            if order.due_at() == at:
                self._happen(order, at)

    def _happen(self, order: Order, at: float) -> None:
        if order.arrives_at == at:
            self._deliver(order, at, None, None)
        elif order.completes_at == at:
            self._end(order, OrderStatus.COMPLETED, at)
        else:
            self._expire(order, at)

    def _schedule(self, order: Order) -> None:
        due = order.due_at()
        if due is not None:
            heappush(self._agenda, (due, order.sequence))

    def _live(self, order_id: str) -> Order:
        order = self.named(order_id)
        if not order.live:
            raise SmsApiError(ErrorCode.ORDER_ENDED, f"The order has ended as {order.status}.")
        return order

    def _is_rented(self, phone_number: str) -> bool:
        return any(order.live and order.phone_number == phone_number for order in self._by_sequence)

    def _check_balance(self, price: int) -> None:
        if self.balance < price:
            raise SmsApiError(ErrorCode.INSUFFICIENT_BALANCE, "The balance does not cover the price.")

    def _require_sms(self, order: Order) -> None:
        if not order.received or order.status not in {OrderStatus.WAITING, OrderStatus.OTP_RECEIVED}:
            raise SmsApiError(ErrorCode.CONFLICT, f"The order has no SMS, or is over: {order.status}.")

    def _rent(self, product: Product, phone_number: str | None = None) -> Order:
        # Each order has dice of its own, so that refused and failed requests do not shift later draws.
        sequence = len(self._by_sequence)
        dice = Dice(self.seed, f"order:{sequence}")
        now = self.now()
        order = Order(
            id=f"ord_{dice.word(12)}",
            sequence=sequence,
            product_id=product.id,
            country=product.country,
            platform=product.platform,
            phone_number=phone_number or self._fresh_number(product.country, dice),
            price=product.price,
            created_at=now,
            expires_at=now + self.order_lifetime,
            arrives_at=None if self.arrival is None else now + dice.uniform(*self.arrival),
            operator=product.operator,
            linked=product.linked,
        )
        self._by_sequence.append(order)
        return order

    def _charge(self, order: Order) -> Order:
        self._books.orders[order.id] = order
        self._books.charges.append(Charge(order.id, order.price, order.created_at))
        self._schedule(order)
        return order

    def _fresh_number(self, country: str, dice: Dice) -> str:
        number = draw_phone_number(country, dice)
        while number in self._numbers_given:
            number = draw_phone_number(country, dice)
        self._numbers_given.add(number)
        return number

    def _deliver(self, order: Order, at: float, code: str | None, text: str | None) -> Sms:
        revision = len(order.messages) + 1
        if code is None and text is None:
            code = Dice(self.seed, f"sms:{order.sequence}:{revision}").digits(6)
        sms = Sms(order.id, revision, code, text or f"{code} is your {order.platform} code.", at)
        order.messages.append(sms)
        self._books.messages.append(sms)
        order.status = OrderStatus.OTP_RECEIVED
        second_due = revision == 1 and self.second_sms_after is not None
        order.arrives_at = at + (self.second_sms_after or 0.0) if second_due else None
        order.completes_at = None if self.complete_after is None else at + self.complete_after
        self._schedule(order)
        self._tell("otp_received", order)
        return sms

    def _cancel(self, order: Order) -> None:
        now = self.now()
        if not order.messages:
            self._refund(order, RefundReason.CANCELLED, now)
        self._end(order, OrderStatus.CANCELLED, now)

    def _expire(self, order: Order, at: float) -> None:
        if self.refund_expired and not order.messages:
            self._refund(order, RefundReason.EXPIRED, at)
        self._end(order, OrderStatus.EXPIRED, at)

    def _end(self, order: Order, status: OrderStatus, at: float) -> None:
        order.status = status
        order.ended_at = at
        if not order.received and status is not OrderStatus.COMPLETED:
            self.guard.note_failure(at)
        self._tell("canceled" if status is OrderStatus.CANCELLED else status.lower(), order)

    def _tell(self, event: str, order: Order) -> None:
        for listener in self.listeners:
            listener(event, order)

    def _refund(self, order: Order, reason: RefundReason, at: float) -> None:
        # A script may wake an ended order again; its money still comes back only once.
        if not self._books.refunds_of(order.id):
            self._books.refunds.append(Refund(order.id, order.price, at, reason))
