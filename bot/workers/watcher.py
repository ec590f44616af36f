"""SMSCode → orders: each rented number is looked at every few seconds until its order ends.

The guide offers only single reads, so the reads of all orders are spread evenly over the interval. Where the request
budget does not allow that many, everyone is slowed alike, except that fresh orders keep their pace: they are the ones
about to get their code.
"""

import asyncio
import heapq
import logging
from dataclasses import dataclass
from functools import partial
from typing import Final

from bot.domain.errors import ApiError, NotCanceled, RemoteOrderMissing, SmsError, TokenRejected
from bot.domain.orders import OrderState
from bot.services import evidence, tracking
from bot.services.desk import Desk
from bot.sms.port import Priority
from bot.workers.waiting import finish, wait_for
from storage import audit, orders
from storage.orders import Order

log = logging.getLogger(__name__)

_AFTER_CODE: Final = 3.0
"""How many times slower an order is watched once it has a code: a second SMS is rare."""

_OVERDUE: Final = 6.0
"""How many times slower it is watched once its window is over and SMSCode still calls it live."""

_MISSING: Final = 12.0
"""How many times slower it is watched while SMSCode does not know it."""

_AT_ONCE: Final = 16
_RECONCILE_PATIENCE: Final = 300.0
_EVIDENCE_EVERY: Final = 10.0
_REFRESH: Final = 30.0


_FRESH: Final = 120.0
"""Seconds for which an order is fresh: most codes come within two minutes."""

_FRESH_SHARE: Final = 0.75
"""The part of a short budget that fresh orders may use, so that the others are never starved."""


def paces(fresh: int, others: int, interval: float, rate: float) -> tuple[float, float]:
    """Seconds between two looks at a fresh order and at any other, if `rate` looks a second may be used.

    Both are `interval` while that fits; else fresh orders keep as much of their pace as their share allows.
    """
    if (fresh + others) / interval <= rate:
        return interval, interval
    for_fresh = max(interval, fresh / (rate * _FRESH_SHARE))
    for_others = max(interval, others / (rate - fresh / for_fresh))
    return for_fresh, for_others


@dataclass(slots=True)
class _Watch:
    """One order under watch. `due` is on the monotonic clock."""

    order: Order
    due: float


class Watcher:
    """Looks at live orders on time, and into unclear ones until they are clear."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._watches: dict[int, _Watch] = {}
        self._reading: dict[int, asyncio.Task[None]] = {}
        self._unseen: set[int] | None = None
        self._give_up_at = 0.0
        self._paces = (desk.settings.polling.interval, desk.settings.polling.interval)
        self._evidence: set[asyncio.Task[None]] = set()
        self._evidence_due = 0.0
        self._refresh_due = 0.0

    async def run(self) -> None:
        """Watch for ever; when asked to stop, let the looks under way come to their end."""
        try:
            while True:
                await self._take_in()
                self._look_into_unclear()
                self._start_due()
                await wait_for(self._desk.signals.watch, self._desk.clock, self._wait_seconds())
        except asyncio.CancelledError:
            await finish([*self._reading.values(), *self._evidence])
            raise

    async def _take_in(self) -> None:
        """Learn of new orders; those that were there already are spread evenly over one interval."""
        now = self._desk.clock.monotonic()
        if now < self._refresh_due and not self._desk.signals.placed.is_set():
            return
        self._desk.signals.placed.clear()
        self._refresh_due = now + _REFRESH
        live = await self._desk.database.read(orders.watched)
        gone = self._watches.keys() - {order.id for order in live}
        for order_id in gone:
            del self._watches[order_id]
        self._reconcile({order.id for order in live})
        fresh = [order for order in live if order.id not in self._watches]
        interval = self._desk.settings.polling.interval
        for place, order in enumerate(fresh):
            self._watches[order.id] = _Watch(order, now + interval * (place + 1) / len(fresh))

    def _reconcile(self, live: set[int]) -> None:
        """At the start, remember which orders are still to be seen; when all were, new ones may be placed."""
        if self._desk.reconciled.is_set():
            return
        now = self._desk.clock.monotonic()
        if self._unseen is None:
            self._unseen, self._give_up_at = live, now + _RECONCILE_PATIENCE
        self._unseen &= live
        if self._unseen and now > self._give_up_at:
            # One order that SMSCode can no longer show must not keep a whole team from working.
            log.error("orders %s could not be seen since the start; new ones are placed all the same", self._unseen)
            self._unseen = set()
        if not self._unseen:
            self._desk.reconciled.set()

    def _look_into_unclear(self) -> None:
        """Beside the watching, never before it: a slow answer here must not hold up a code."""
        now = self._desk.clock.monotonic()
        if now < self._evidence_due or self._evidence:
            return
        self._evidence_due = now + _EVIDENCE_EVERY
        task = asyncio.create_task(evidence.look_into(self._desk), name="looking into unclear orders")
        self._evidence.add(task)
        task.add_done_callback(self._evidence_done)

    def _evidence_done(self, task: asyncio.Task[None]) -> None:
        self._evidence.discard(task)
        _log_failure(task)

    def _start_due(self) -> None:
        fresh = sum(self._is_fresh(watch.order) for watch in self._watches.values())
        base, rate = self._desk.settings.polling.interval, self._desk.requests.watch_rate
        self._paces = paces(fresh, len(self._watches) - fresh, base, rate)
        now = self._desk.clock.monotonic()
        free = _AT_ONCE - len(self._reading)
        due = (watch for watch in self._watches.values() if watch.due <= now and watch.order.id not in self._reading)
        for watch in heapq.nsmallest(max(free, 0), due, key=lambda watch: watch.due):
            task = asyncio.create_task(self._look(watch), name=f"look at order {watch.order.id}")
            self._reading[watch.order.id] = task
            task.add_done_callback(partial(self._finished, watch.order.id))

    def _finished(self, order_id: int, task: asyncio.Task[None]) -> None:
        self._reading.pop(order_id, None)
        _log_failure(task)
        self._desk.signals.watch.set()

    async def _look(self, watch: _Watch) -> None:
        watch.due = self._desk.clock.monotonic() + self._interval(watch.order)
        try:
            watch.order = await self._read(watch.order)
        except RemoteOrderMissing:
            self._seen(watch)
            await evidence.miss(self._desk, watch.order)
            watch.due = self._desk.clock.monotonic() + self._desk.settings.polling.interval * _MISSING
            return
        except TokenRejected:
            await self._desk.alert_token()
            return
        except SmsError as error:
            if isinstance(error, ApiError):
                self._seen(watch)
            log.warning("order %s: %s", watch.order.id, error)
            return
        self._seen(watch)
        watch.due = max(watch.due, self._desk.clock.monotonic())
        if watch.order.state.ended:
            self._watches.pop(watch.order.id, None)

    def _seen(self, watch: _Watch) -> None:
        if self._unseen is not None:
            self._reconcile(self._unseen - {watch.order.id})

    async def _read(self, order: Order) -> Order:
        order = await tracking.refresh(self._desk, order, Priority.WATCH)
        if self._ends_unused(order):
            # Only a cancel is documented to refund; an expiry is not.
            return await self._cancel(order)
        return order

    def _ends_unused(self, order: Order) -> bool:
        margin = self._desk.settings.ordering.cancel_before_expiry
        if not margin or order.state is not OrderState.WAITING or order.expires_at is None:
            return False
        left = (order.expires_at - self._desk.now) / 1000
        # The next look might come too late, so an interval is added to the margin.
        return 0 < left <= margin + self._interval(order) / 2

    async def _cancel(self, order: Order) -> Order:
        try:
            return await tracking.cancel(self._desk, order, audit.DESK)
        except NotCanceled as error:
            log.info("before it expires: %s", error)
            return order

    def _is_fresh(self, order: Order) -> bool:
        age = (self._desk.now - (order.placed_at or 0)) / 1000
        return order.state is OrderState.WAITING and age < _FRESH

    def _interval(self, order: Order) -> float:
        """Seconds between two looks at an order."""
        interval = self._paces[0 if self._is_fresh(order) else 1]
        if order.needs_admin:
            return interval * _MISSING
        if order.expires_at is not None and order.expires_at < self._desk.now:
            return interval * _OVERDUE
        return interval * _AFTER_CODE if order.state is OrderState.RECEIVED else interval

    def _wait_seconds(self) -> float:
        now = self._desk.clock.monotonic()
        moments = [self._refresh_due]
        if not self._evidence:
            moments.append(self._evidence_due)
        if len(self._reading) < _AT_ONCE:
            moments.extend(watch.due for watch in self._watches.values() if watch.order.id not in self._reading)
        return max(min(moments) - now, 0.01)


def _log_failure(task: asyncio.Task[None]) -> None:
    if not task.cancelled() and task.exception() is not None:
        log.error("%s broke off", task.get_name(), exc_info=task.exception())
