"""How the official contract shows an order: in the answer to a look, in the list of live ones, and in an event."""

from bot.sandbox.sms_books import Order, OrderStatus
from bot.sandbox.sms_shelves import Shelves
from bot.sandbox.sms_wire import utc_text
from bot.sandbox.sms_world import SmsWorld

_WORDS = {OrderStatus.WAITING.value: "ACTIVE", OrderStatus.CANCELLED.value: "CANCELED"}


class OrderRows:
    """Rows of orders, over one world and its numbered catalog."""

    def __init__(self, world: SmsWorld, shelves: Shelves) -> None:
        self._world = world
        self._shelves = shelves

    def status(self, order: Order) -> str:
        """Return the contract's word for where an order stands; a word that a script made up stays itself."""
        return _WORDS.get(order.status, str(order.status))

    def whole(self, order: Order) -> dict[str, object]:
        """Return everything there is to see of an order."""
        return {
            **self.brief(order),
            "phone_number": order.phone_number,
            "amount": order.price,
            "product_id": order.product_id,
            "catalog_product_id": self._shelves.kind(order.country, order.platform),
            "country_id": self._shelves.country_id(order.country),
            "platform_id": self._shelves.platform_id(order.platform),
            "created_at": utc_text(order.created_at),
        }

    def brief(self, order: Order) -> dict[str, object]:
        """Return what the list of live orders shows: no number and no charge."""
        return {
            "id": order.number,
            "status": self.status(order),
            "expires_at": utc_text(order.expires_at),
            **self._sms(order),
            **self._may(order),
        }

    def event(self, order: Order) -> dict[str, object]:
        """Return the data of an event about an order."""
        return {
            "order_id": order.number,
            "phone_number": order.phone_number,
            **self._sms(order),
            "product_id": order.product_id,
            "catalog_product_id": self._shelves.kind(order.country, order.platform),
            "country": self._shelves.title(order.country),
            "platform": self._shelves.title(order.platform),
            "operator_id": None,
            "operator_name": None,
            **self._may(order),
        }

    def _sms(self, order: Order) -> dict[str, object]:
        coded = order.coded_sms
        return {
            "otp_code": None if coded is None else coded.code,
            "otp_message": order.messages[-1].text if order.messages else None,
            "sms_revision": len(order.messages),
        }

    def _may(self, order: Order) -> dict[str, object]:
        received = order.status == OrderStatus.OTP_RECEIVED
        unused = order.status == OrderStatus.WAITING and not order.messages
        from_when = order.created_at + self._world.cancel_window
        early = unused and self._world.now() < from_when
        return {
            "can_finish": received,
            "can_resend": received,
            "can_cancel": unused and not early,
            "can_replace": False,
            "can_reactivate": order.status == OrderStatus.COMPLETED,
            "resend_available_at": None,
            "cancel_available_at": utc_text(from_when) if early else None,
            "replace_available_at": None,
        }
