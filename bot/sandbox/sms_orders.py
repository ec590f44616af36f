"""How the official contract shows an order: when it is read, in the list of live ones, just created, in an event."""

import math

from bot.sandbox.sms_books import Order, OrderStatus, Sms
from bot.sandbox.sms_shelves import Row, Shelves, country_title, platform_title
from bot.sandbox.sms_time import iso_text
from bot.sandbox.sms_world import SmsWorld

_SPELLING = {OrderStatus.WAITING.value: "ACTIVE", OrderStatus.CANCELLED.value: "CANCELED"}
LIVE = frozenset({"ACTIVE", "OTP_RECEIVED"})
ALL_STATUSES = LIVE | {"COMPLETED", "CANCELED", "EXPIRED"}


class OrderRows:
    """Rows of the orders of one world."""

    def __init__(self, world: SmsWorld) -> None:
        self._world = world
        self._shelves = Shelves(world)

    def status(self, order: Order) -> str:
        """Return the contract's word for where an order stands; one that a script made up stays itself.

        Here only an order that got no SMS expires: with one, it is complete when its window closes.
        """
        if order.status == OrderStatus.EXPIRED and order.received:
            return OrderStatus.COMPLETED
        return _SPELLING.get(order.status, str(order.status))

    def read(self, order: Order) -> Row:
        """Return everything there is to see of an order. What came back is not: only a cancel tells it."""
        cancelled = order.status == OrderStatus.CANCELLED and order.ended_at is not None
        return {
            "id": order.number,
            "status": self.status(order),
            "created_at": iso_text(order.created_at),
            **self._product(order),
            "phone_number": order.phone_number,
            "amount": order.price,
            **self._sms(order, "read"),
            "otp_received_at": self._received_at(order),
            "expires_at": iso_text(order.expires_at),
            "canceled_at": iso_text(order.ended_at or 0.0) if cancelled else None,
            "failed_reason": None,
            **self._may(order),
        }

    def live(self, order: Order) -> Row:
        """Return what the list of live orders shows of one: no number and no charge."""
        return {
            "id": order.number,
            "status": self.status(order),
            **self._sms(order, "list"),
            "otp_received_at": self._received_at(order),
            "expires_at": iso_text(order.expires_at),
            "failed_reason": None,
            **self._operator(order),
            **self._may(order),
        }

    def created(self, order: Order) -> Row:
        """Return what the answer to a create or a reactivation shows of a new order."""
        return {
            "id": order.number,
            "status": self.status(order),
            "phone_number": None if self._world.numbers_late else order.phone_number,
            "otp_code": None,
            "otp_received_at": None,
            "expires_at": iso_text(order.expires_at),
            "failed_reason": None,
            **self._product(order),
            "amount": order.price,
            **self._may(order),
        }

    def event(self, order: Order, sms: Sms | None) -> Row:
        """Return the data of an event: an SMS has just arrived, or, without one, the order has just ended."""
        return {
            "order_id": order.number,
            "phone_number": order.phone_number,
            **self._sms(order, "event"),
            "sms_revision": None if sms is None else sms.revision,
            "product_id": order.product_id,
            "catalog_product_id": self._shelves.kind(order.country, order.platform, linked=order.linked),
            "country": country_title(order.country),
            "platform": platform_title(order.platform),
            **self._operator(order),
            **self._may(order),
        }

    def _product(self, order: Order) -> Row:
        kind = self._shelves.kind(order.country, order.platform, linked=order.linked)
        return {"product_id": order.product_id, "catalog_product_id": kind, **self._operator(order)}

    def _operator(self, order: Order) -> Row:
        return {"operator_id": self._shelves.operator_id(order.operator), "operator_name": order.operator}

    def _sms(self, order: Order, where: str) -> Row:
        """The latest code stays beside a later text that has none, so the two need not belong together."""
        coded, is_shown = order.coded_sms, where not in self._world.hides_sms
        return {
            "otp_code": coded.code if coded is not None and is_shown else None,
            "otp_message": order.messages[-1].text if order.received and is_shown else None,
            "sms_revision": len(order.messages),
        }

    def _received_at(self, order: Order) -> str | None:
        return iso_text(order.messages[0].at) if order.received else None

    def _may(self, order: Order) -> Row:
        now, status = self._world.now(), self.status(order)
        received, unused = status in LIVE and order.received, status == "ACTIVE" and not order.received
        cancel_from, resend_from = self._world.cancel_from(order), self._world.resend_from(order)
        can_cancel = unused and now >= cancel_from
        cancel_available_at = _moment(cancel_from) if unused and not can_cancel else None
        return {
            "can_finish": received,
            "can_resend": received and now >= resend_from,
            "can_cancel": can_cancel,
            "can_replace": can_cancel,
            "can_reactivate": self._world.can_reactivate(order),
            "resend_available_at": _moment(resend_from) if received and now < resend_from else None,
            "cancel_available_at": cancel_available_at,
            "replace_available_at": cancel_available_at,
        }


def _moment(at: float) -> str:
    """A moment from which on something may be done, so never one that comes too early."""
    return iso_text(math.ceil(at))
