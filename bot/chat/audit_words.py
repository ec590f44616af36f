"""The audit's lines where people read them: who it was, and what they did."""

from collections.abc import Mapping

from storage.audit import DESK

AUDIT_WORDS: Mapping[str, str] = {
    "access.ask": "asked to come in",
    "access.refuse": "refused to let in",
    "approval.approve": "said yes to",
    "approval.ask": "asked for a yes",
    "approval.dearer": "asked again at a higher price",
    "approval.decline": "said no to",
    "approval.expire": "let a request run out of",
    "approval.fail": "could not place what was approved",
    "approval.placed": "placed what was approved:",
    "approval.withdraw": "withdrew a request",
    "chat.allow": "allowed the group",
    "chat.forget": "left the group",
    "chat.move": "followed a group that moved to",
    "desk.backup": "backed the books up",
    "desk.pause": "stopped new orders",
    "desk.restored": "was restored from a backup",
    "desk.resume": "opened new orders again",
    "guard.begin": "noted SMSCode's abuse guard",
    "limit.set": "set a limit of",
    "member.allow": "let in",
    "member.revoke": "took off the list",
    "member.role": "changed the role of",
    "order.cancel": "canceled",
    "order.cancel_refused": "could not cancel",
    "order.cancel_later": "planned the cancel of",
    "order.canceled": "noted the end of",
    "order.charged": "noted as paid",
    "order.code": "delivered a code of",
    "order.completed": "noted as completed",
    "order.expired": "noted as expired",
    "order.finish": "asked to finish",
    "order.missing": "missed at SMSCode",
    "order.overcharge": "booked a higher price for",
    "order.place": "ordered",
    "order.refund": "booked the refund of",
    "order.refuse": "could not place",
    "order.release": "released the hold of",
    "order.reserve": "put money aside for",
    "order.resend": "asked for another SMS on",
    "order.resolve": "decided about",
    "order.strange": "noted a strange status of",
    "order.unclear": "had no clear answer about",
    "report.export": "exported orders",
    "stock.unwatch": "stopped watching for",
    "stock.watch": "watches for",
    "webhook.register": "registered the webhook",
}
"""What somebody did, by the audit's word for it."""


def actor(actor_id: int, names: Mapping[int, str]) -> str:
    """Who did something: the desk speaks of itself, and who has left the list is a number."""
    return "I" if actor_id == DESK else names.get(actor_id, str(actor_id))


def deed(action: str) -> str:
    """What was done, in words; a new word of the audit is shown as it is."""
    return AUDIT_WORDS.get(action, action)
