"""SMSCode → orders: each rented number is looked at every few seconds until its order ends.

Where SMSCode lists all live orders, one request an interval watches them all; an order is read by itself only when it
left the list, when the list does not tell enough, or when a webhook speaks of it. The guide offers only single reads,
so the reads of all orders are spread over the interval. Where the request budget does not allow that many, it goes to
where a code is likeliest (`bot.domain.looks`), and nobody waits longer than three times an equal share.
"""

import asyncio
import heapq
import logging
import math
from collections.abc import Coroutine
from dataclasses import dataclass
from functools import partial
from typing import Final

from bot import logs
from bot.domain.errors import ApiError, NotCanceled, RemoteOrderMissing, SmsError, TokenRejected
from bot.domain.looks import Odds, intervals
from bot.domain.orders import OrderState, RemoteOrder
from bot.services import evidence, refunds, tracking
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

_WITH_WEBHOOKS: Final = 3.0
"""How many times slower the list is asked for while webhooks have proven to be faster."""

_HINTS_EVERY: Final = 0.25
"""Seconds between two requests because of webhooks in the long run, within any account's budget."""

_HINTS_APART: Final = 0.1
"""The same where few have come of late: what comes in between shares the next request."""

_HINTS_SAVED: Final = 5.0
"""Seconds of the long run that may be saved up for events that come closer together."""

_LISTING: Final = "listing live orders"
_AT_ONCE: Final = 16
_BOOKED_AT_ONCE: Final = 32
"""Orders of one list that are booked side by side, so that they share a commit; the first codes leave after it."""

_RECONCILE_PATIENCE: Final = 300.0
_EVIDENCE_EVERY: Final = 10.0
_REFUNDS_EVERY: Final = 60.0
_REFRESH: Final = 30.0

_MARGIN: Final = 15
"""Seconds before its expiry at which an unused order is canceled where only that gives the money back."""

_PLANNED_RATE: Final = 0.97
"""The part of the budget that is planned; looks that come in bunches need a little room."""

_PLAN_EVERY: Final = 1.0
_ORDERS_PLANNED: Final = 1000.0
"""Orders for which a plan takes so little that it can be made each second; more of them are planned less often."""

_LEARNS_EVERY: Final = 600.0
_LEARNS_FROM: Final = 1000
"""Newest orders from which the odds are learned."""


@dataclass(slots=True)
class _Watch:
    """One order under watch. `due` is when it is next read by itself, on the monotonic clock.

    `looked` is when it was read last and `every` the seconds between two looks; `missing` says that SMSCode did not
    know it then. `listed` says that the list of live orders shows it, `seen` what the list showed last, `hinted` that a
    webhook spoke of it since it was read last.
    """

    order: Order
    due: float
    every: float
    looked: float | None = None
    missing: bool = False
    listed: bool = True
    seen: RemoteOrder | None = None
    hinted: bool = False


class Watcher:
    """Looks at live orders on time, and into unclear ones until they are clear."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._watches: dict[int, _Watch] = {}
        self._by_remote_id: dict[str, _Watch] = {}
        self._reading: dict[int, asyncio.Task[None]] = {}
        self._unseen: set[int] | None = None
        self._give_up_at = 0.0
        self._odds = Odds()
        self._odds_due = 0.0
        self._plan_due = 0.0
        self._beside: dict[str, asyncio.Task[None]] = {}
        self._evidence_due = 0.0
        self._refunds_due = 0.0
        self._refresh_due = 0.0
        self._list_due = 0.0
        self._hinted: list[_Watch] = []
        self._hints_due = 0.0
        self._hints_paid_until = 0.0

    async def run(self) -> None:
        """Watch for ever; when asked to stop, let the looks under way come to their end."""
        try:
            while True:
                seconds = self._desk.settings.polling.interval
                if await self._contract_is_known():
                    await self._take_in()
                    self._look_into_unclear()
                    self._take_hints()
                    self._start_list()
                    self._start_due()
                    seconds = self._wait_seconds()
                self._desk.pulse.beat("watcher", seconds)
                await wait_for(self._desk.signals.watch, self._desk.clock, seconds)
        except asyncio.CancelledError:
            await finish([*self._reading.values(), *self._beside.values()])
            raise

    async def _contract_is_known(self) -> bool:
        """Before that nothing can be looked at; the port itself does not ask too often."""
        try:
            await self._desk.sms.settle_contract()
        except TokenRejected:
            await self._desk.alert_token()
        except SmsError as error:
            log.debug("which contract SMSCode speaks is not known yet: %s", error)
        else:
            return True
        return False

    async def _take_in(self) -> None:
        """Learn of new orders; those that were there already are spread evenly over one interval."""
        now = self._desk.clock.monotonic()
        if now < self._refresh_due and not self._desk.signals.placed.is_set():
            return
        self._desk.signals.placed.clear()
        self._refresh_due = now + _REFRESH
        live = await self._desk.database.read(orders.watched)
        for order_id in self._watches.keys() - {order.id for order in live}:
            self._forget(order_id)
        self._reconcile({order.id for order in live})
        fresh = [order for order in live if order.id not in self._watches]
        for order in live:
            if order.id in self._watches:
                self._watches[order.id].order = order
        self._begin(fresh, now)
        if now >= self._odds_due and not self._desk.sms.shows_all_live:
            self._odds_due = now + _LEARNS_EVERY
            at = self._desk.now
            self._odds = Odds(await self._desk.database.read(lambda rows: orders.waits(rows, _LEARNS_FROM, at)))

    def _begin(self, fresh: list[Order], now: float) -> None:
        interval = self._desk.settings.polling.interval
        for place, order in enumerate(fresh):
            in_list = self._desk.sms.shows_all_live and order.phone_number is not None
            due = self._ends_at(order) if in_list else now + interval * (place + 1) / len(fresh)
            self._watches[order.id] = self._by_remote_id[order.remote_id or ""] = _Watch(order, due, interval)
            self._plan_due = 0.0

    def _forget(self, order_id: int) -> None:
        watch = self._watches.pop(order_id, None)
        if watch is not None:
            self._by_remote_id.pop(watch.order.remote_id or "", None)

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
        if now >= self._evidence_due:
            self._evidence_due = now + _EVIDENCE_EVERY
            self._start_beside("looking into unclear orders", evidence.look_into(self._desk))
        if now >= self._refunds_due and self._desk.sms.tells_money:
            self._refunds_due = now + _REFUNDS_EVERY
            self._start_beside("looking into refunds", refunds.look_into(self._desk))

    def _start_beside(self, name: str, work: Coroutine[None, None, None]) -> None:
        """Start something that runs beside the looks, unless its last run is still under way."""
        if name in self._beside:
            work.close()
            return
        task = asyncio.create_task(work, name=name)
        self._beside[name] = task
        task.add_done_callback(partial(self._done_beside, name))

    def _done_beside(self, name: str, task: asyncio.Task[None]) -> None:
        self._beside.pop(name, None)
        _log_failure(task)
        self._desk.signals.watch.set()

    def _take_hints(self) -> None:
        """Look at once at what a webhook spoke of; what it said itself is not trusted.

        One order is read by itself, several are looked for in one list.
        """
        now = self._desk.clock.monotonic()
        for remote_id in self._desk.hints.take(self._by_remote_id):
            watch = self._by_remote_id[remote_id]
            watch.hinted = True
            self._hinted.append(watch)
        if not self._hinted or now < self._hints_due:
            return
        self._hints_paid_until = max(self._hints_paid_until, now - _HINTS_SAVED) + _HINTS_EVERY
        self._hints_due = max(now + _HINTS_APART, self._hints_paid_until)
        if self._desk.sms.shows_all_live and len(self._hinted) > 1:
            self._list_due = now
        else:
            for watch in self._hinted:
                watch.due = now
        self._hinted = []

    def _start_list(self) -> None:
        now = self._desk.clock.monotonic()
        if not self._desk.sms.shows_all_live or not self._watches or now < self._list_due or _LISTING in self._beside:
            return
        self._list_due = now + self._list_interval
        self._start_beside(_LISTING, self._list())

    @property
    def _list_interval(self) -> float:
        """Seconds between two lists: back to the usual pace at once when the webhooks cease to be first."""
        slower = _WITH_WEBHOOKS if self._desk.webhooks.proven else 1.0
        return self._desk.settings.polling.interval * slower

    async def _list(self) -> None:
        """Ask once for all live orders and take in what is new of each."""
        # An order placed while the answer is on its way is not in it and has not left it either.
        asked_for = list(self._watches.values())
        hinted = {watch.order.id for watch in asked_for if watch.hinted}
        for watch in asked_for:
            watch.hinted = False
        try:
            shown = {remote.remote_id: remote for remote in await self._desk.sms.live()}
        except TokenRejected:
            await self._desk.alert_token()
            return
        except SmsError as error:
            log.warning("the list of live orders: %s", error)
            # Also where webhooks have made lists rare: this one may have been for what an event spoke of.
            soon = self._desk.clock.monotonic() + self._desk.settings.polling.interval
            self._list_due = min(self._list_due, soon)
            return
        news = []
        for watch in asked_for:
            remote = shown.get(watch.order.remote_id or "")
            if remote is None:
                self._left_the_list(watch)
            elif remote == watch.seen:
                self._is_listed(watch)
            else:
                news.append((watch, remote))
        # After a start there is something to write down of each order: codes do not wait for all of that.
        news.sort(key=lambda item: _has_no_sms(item[1]))
        for start in range(0, len(news), _BOOKED_AT_ONCE):
            batch = news[start : start + _BOOKED_AT_ONCE]
            await asyncio.gather(*(self._take_from_list(*item, hinted=item[0].order.id in hinted) for item in batch))

    def _left_the_list(self, watch: _Watch) -> None:
        if watch.listed:
            watch.listed, watch.seen, watch.due = False, None, self._desk.clock.monotonic()

    async def _take_from_list(self, watch: _Watch, remote: RemoteOrder, *, hinted: bool) -> None:
        """Book what is new of one order; if it cannot be booked, that must not hide the codes of all others."""
        knew = watch.order
        try:
            watch.order = await tracking.record(self._desk, watch.order.id, remote)
        except Exception:
            log.exception("order %s could not be taken from the list", watch.order.id)
            return
        watch.seen = remote
        self._is_listed(watch)
        if _got_its_code(knew, watch.order):
            (self._desk.webhooks.was_first if hinted else self._desk.webhooks.was_late)()
        if _says_too_little(remote) and await self._hides_an_sms(watch.order, remote):
            # Read by itself, and looked at anew in the next list: that read may fail, or know no more yet.
            watch.seen, watch.due = None, self._desk.clock.monotonic()

    async def _hides_an_sms(self, order: Order, remote: RemoteOrder) -> bool:
        """Whether the list counts an SMS that the books do not have yet."""
        latest = await self._desk.database.read(lambda connection: orders.latest_sms(connection, order.id))
        return latest is None or latest.revision < (remote.revision or 0)

    def _is_listed(self, watch: _Watch) -> None:
        if not watch.listed:
            watch.listed, watch.due = True, self._ends_at(watch.order)
        self._seen(watch)
        if self._is_to_end(watch.order):
            watch.due = self._desk.clock.monotonic()

    def _start_due(self) -> None:
        self._plan()
        now = self._desk.clock.monotonic()
        free = _AT_ONCE - len(self._reading)
        due = (watch for watch in self._watches.values() if watch.due <= now and watch.order.id not in self._reading)
        for watch in heapq.nsmallest(max(free, 0), due, key=lambda watch: watch.due):
            task = asyncio.create_task(self._look(watch), name=f"look at order {watch.order.id}")
            self._reading[watch.order.id] = task
            task.add_done_callback(partial(self._finished, watch.order.id))

    def _plan(self) -> None:
        """Share the budget anew among the orders that are read one by one: their odds change as they get older."""
        now = self._desk.clock.monotonic()
        if self._desk.sms.shows_all_live or now < self._plan_due:
            return
        watches = list(self._watches.values())
        self._plan_due = now + max(_PLAN_EVERY, len(watches) / _ORDERS_PLANNED)
        odds = [self._chance(watch.order) for watch in watches]
        least = [self._least(watch) for watch in watches]
        planned = intervals(odds, least, self._desk.requests.watch_rate * _PLANNED_RATE)
        for watch, seconds in zip(watches, planned, strict=True):
            watch.every = seconds
            if watch.looked is not None:
                watch.due = self._next_look(watch, watch.looked)

    def _chance(self, order: Order) -> float:
        """SMS a second that can be expected for an order now."""
        if order.state is OrderState.RECEIVED:
            return self._odds.second_sms()
        age = max(0.0, (self._desk.now - (order.placed_at or 0)) / 1000)
        return self._odds.first_sms((order.platform, order.country), age)

    def _finished(self, order_id: int, task: asyncio.Task[None]) -> None:
        self._reading.pop(order_id, None)
        _log_failure(task)
        self._desk.signals.watch.set()

    async def _look(self, watch: _Watch) -> None:
        with logs.about(watch.order.command_key):
            await self._look_at(watch)

    async def _look_at(self, watch: _Watch) -> None:
        watch.looked = self._desk.clock.monotonic()
        watch.due = self._next_look(watch, watch.looked)
        hinted, watch.hinted, before = watch.hinted, False, watch.order
        try:
            watch.order = await self._read(watch.order)
        except RemoteOrderMissing:
            self._seen(watch)
            watch.missing = True
            await evidence.miss(self._desk, watch.order)
            watch.due = self._next_look(watch, self._desk.clock.monotonic())
            return
        except TokenRejected:
            await self._desk.alert_token()
            return
        except SmsError as error:
            if isinstance(error, ApiError):
                self._seen(watch)
            watch.due = self._desk.clock.monotonic() + self._interval(watch)
            log.warning("order %s: %s", watch.order.id, error)
            return
        self._seen(watch)
        watch.missing = False
        watch.due = max(watch.due, self._desk.clock.monotonic())
        if hinted and _got_its_code(before, watch.order):
            self._desk.webhooks.was_first()
        if watch.order.state.ended:
            self._forget(watch.order.id)

    def _seen(self, watch: _Watch) -> None:
        if self._unseen is not None and not self._desk.reconciled.is_set():
            self._unseen.discard(watch.order.id)
            if not self._unseen:
                self._desk.reconciled.set()

    async def _read(self, order: Order) -> Order:
        fresh = await tracking.refresh(self._desk, order, Priority.WATCH)
        if _is_planned_to_end(fresh, self._desk.now):
            return await tracking.cancel_as_planned(self._desk, fresh)
        if self._ends_unused(fresh):
            # Only a cancel is documented to refund; an expiry is not.
            return await self._cancel(fresh)
        return fresh

    def _is_to_end(self, order: Order) -> bool:
        return _is_planned_to_end(order, self._desk.now) or self._ends_unused(order)

    @property
    def _margin(self) -> int:
        """Seconds before its expiry at which an unused order is canceled; 0: it is left to expire.

        Where SMSCode caps the cancels of a day, they are left to people unless the configuration says otherwise.
        """
        configured = self._desk.settings.ordering.cancel_before_expiry
        if configured is not None:
            return configured
        return 0 if self._desk.sms.tells_money else _MARGIN

    def _ends_unused(self, order: Order) -> bool:
        margin = self._margin
        if not margin or order.state is not OrderState.WAITING or order.expires_at is None:
            return False
        left = (order.expires_at - self._desk.now) / 1000
        # The next list might come too late, so half an interval is added to the margin.
        return 0 < left <= margin + self._desk.settings.polling.interval / 2

    async def _cancel(self, order: Order) -> Order:
        try:
            return await tracking.cancel(self._desk, order, audit.DESK)
        except NotCanceled as error:
            log.info("before it expires: %s", error)
            return order

    def _interval(self, watch: _Watch) -> float:
        """Seconds between two looks at an order."""
        least = self._least(watch)
        return least if self._desk.sms.shows_all_live else max(watch.every, least)

    def _least(self, watch: _Watch) -> float:
        """Seconds between two looks at an order if there are enough for all."""
        order, interval = watch.order, self._desk.settings.polling.interval
        if order.needs_admin or watch.missing:
            return interval * _MISSING
        if order.expires_at is not None and order.expires_at < self._desk.now:
            return interval * _OVERDUE
        return interval * _AFTER_CODE if order.state is OrderState.RECEIVED else interval

    def _next_look(self, watch: _Watch, last: float) -> float:
        """When an order is next read by itself: never, while the list shows all there is to see of it."""
        if self._desk.sms.shows_all_live and watch.listed and watch.order.phone_number is not None:
            return self._ends_at(watch.order)
        return min(last + self._interval(watch), self._ends_at(watch.order))

    def _ends_at(self, order: Order) -> float:
        """When an order is to be canceled if no code comes (on the monotonic clock); never, where that is past."""
        moments = [order.cancel_from or 0]
        if self._margin and order.expires_at is not None:
            moments.append(order.expires_at - self._margin * 1000)
        ahead = [moment for moment in moments if moment > self._desk.now]
        if order.state is not OrderState.WAITING or not ahead:
            return math.inf
        return self._desk.clock.monotonic() + (min(ahead) - self._desk.now) / 1000

    def _wait_seconds(self) -> float:
        now = self._desk.clock.monotonic()
        moments = [self._refresh_due, self._evidence_due]
        if self._desk.sms.shows_all_live and self._watches and _LISTING not in self._beside:
            moments.append(self._list_due)
        if self._hinted:
            moments.append(self._hints_due)
        if len(self._reading) < _AT_ONCE:
            moments.extend(watch.due for watch in self._watches.values() if watch.order.id not in self._reading)
        return max(min(moments) - now, 0.01)


def _got_its_code(before: Order, after: Order) -> bool:
    return before.state is OrderState.WAITING and after.state is OrderState.RECEIVED


def _has_no_sms(remote: RemoteOrder) -> bool:
    return remote.code is None and remote.text is None


def _says_too_little(remote: RemoteOrder) -> bool:
    """Whether the list counts an SMS without showing it."""
    return bool(remote.revision) and _has_no_sms(remote)


def _is_planned_to_end(order: Order, now: int) -> bool:
    return order.state is OrderState.WAITING and order.cancel_from is not None and order.cancel_from <= now


def _log_failure(task: asyncio.Task[None]) -> None:
    if not task.cancelled() and task.exception() is not None:
        log.error("%s broke off", task.get_name(), exc_info=task.exception())
