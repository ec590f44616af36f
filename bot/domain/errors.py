"""Everything that can go wrong on purpose, as one tree.

    DeskError
    ├── Refusal                 the desk says no: nothing was sent, nothing was charged
    │   ├── WrongUsage          the command cannot be read
    │   ├── NotPermitted        the role does not reach
    │   ├── OrderingPaused      an admin, or the desk itself, has stopped new orders
    │   ├── OrderingBanned      SMSCode takes no new order of this account for a while
    │   ├── AccountBusy         an unclear order is still being looked into
    │   ├── UnknownName         no such platform or country
    │   ├── NothingOnOffer      no product fits what was asked
    │   ├── PriceRose           it costs more by now than was agreed to
    │   ├── PriceNotAgreed      it costs more than anybody was asked about
    │   ├── LimitReached        a spend limit would be exceeded
    │   ├── ApprovalNeeded      it costs more than one person may decide alone
    │   ├── NobodyToApprove     and nobody else is there who could
    │   ├── NoSuchApproval      no request for approval by that number, or not this person's
    │   ├── AlreadyAnswered     somebody else, or the clock, was faster
    │   ├── NoSuchOrder         no order by that name, or not this person's
    │   ├── NotNow              the order is in a state that does not allow it
    │   ├── NotOffered          the contract that SMSCode speaks has no words for it
    │   ├── NotAMember          nobody by that id is on the allowlist
    │   └── Protected           it would lock the team out, or overrule the configuration
    ├── BackupFailed            the books could not be copied
    ├── AwaitsApproval          somebody else was asked; nothing is bought before they say yes
    ├── NotCanceled             SMSCode did not confirm a cancel; the order lives on for all we know
    ├── ChatError               what Telegram said, or failed to say
    │   ├── SecondBot           another process polls with the same token
    │   │   └── WebhookSet      Telegram sends updates to an address instead
    │   ├── BotTokenRejected    the bot token is invalid
    │   └── ChatUnreachable     no connection, or it asks for patience
    └── SmsError                what SMSCode said, or failed to say
        ├── ApiError            it said no, with a code; a code nobody knows survives here as itself
        │   ├── TokenRejected           UNAUTHORIZED
        │   ├── Forbidden               FORBIDDEN
        │   ├── BalanceTooLow           INSUFFICIENT_BALANCE
        │   ├── ProductGone             PRODUCT_UNAVAILABLE, NO_OFFER_AVAILABLE, PROVIDER_ERROR
        │   ├── RemoteOrderMissing      ORDER_NOT_FOUND, NOT_FOUND
        │   ├── Conflict                CONFLICT
        │   ├── CancelTooEarly          CANCEL_TOO_EARLY
        │   ├── StillRunning            REQUEST_IN_PROGRESS
        │   ├── KeyReused               IDEMPOTENCY_KEY_REUSED
        │   ├── Invalid                 VALIDATION_ERROR
        │   ├── AbuseGuard              TEMP_BANNED_ABUSE_GUARD
        │   └── RateLimited             RATE_LIMITED, RATE_LIMIT_EXCEEDED
        ├── NotSent             the request never left this machine
        └── Unclear             it may have arrived: only evidence can tell what it did

The three branches of `SmsError` are the three outcomes of spending: refused, refused, unknown.
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from types import MappingProxyType

from bot.domain.limits import LimitName


class DeskError(Exception):
    """Root of every error that the desk raises on purpose."""


class Refusal(DeskError):
    """The desk says no before anything was sent: nothing changed and nothing was charged."""


class BackupFailed(DeskError):
    """The books could not be copied; `reason` says why. Nothing else has changed."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class WrongUsage(Refusal):
    """A command that cannot be read; `problem` says in plain words what is wrong with it.

    `instead` is what may have been meant: the words behind the command, put right.
    """

    def __init__(self, problem: str, instead: str | None = None) -> None:
        super().__init__(problem)
        self.problem = problem
        self.instead = instead


class NotPermitted(Refusal):
    """The person's role does not reach; `needed` names the least role that would."""

    def __init__(self, needed: str) -> None:
        super().__init__(f"needs the role {needed}")
        self.needed = needed


class OrderingPaused(Refusal):
    """New orders are stopped; `reason` is what the admin wrote, or why the desk stopped by itself."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class OrderingBanned(Refusal):
    """SMSCode's abuse guard takes no new order before `until` (unix seconds)."""

    def __init__(self, until: int) -> None:
        super().__init__(f"no new orders before {until}")
        self.until = until


class AccountBusy(Refusal):
    """An order with an unclear outcome is being looked into; `seconds` until the next look."""

    def __init__(self, order_id: int, seconds: int) -> None:
        super().__init__(f"order {order_id} is being looked into for {seconds} s more")
        self.order_id = order_id
        self.seconds = seconds


class UnknownName(Refusal):
    """Nothing in the catalog goes by that name; `suggestions` are the nearest ones, best first."""

    def __init__(self, kind: str, typed: str, suggestions: tuple[str, ...]) -> None:
        super().__init__(f"no {kind} {typed!r}")
        self.kind = kind
        self.typed = typed
        self.suggestions = suggestions


class NothingOnOffer(Refusal):
    """No product fits; `cheapest` (IDR) is what the cheapest one in stock costs, if there is any."""

    def __init__(self, platform: str, countries: tuple[str, ...], max_price: int | None, cheapest: int | None) -> None:
        super().__init__(f"nothing on offer for {platform} in {', '.join(countries)}")
        self.platform = platform
        self.countries = countries
        self.max_price = max_price
        self.cheapest = cheapest


class PriceRose(Refusal):
    """The price (IDR) is above the one that the person agreed to."""

    def __init__(self, agreed: int, price: int) -> None:
        super().__init__(f"costs {price} by now, agreed was {agreed}")
        self.agreed = agreed
        self.price = price


class PriceNotAgreed(Refusal):
    """A number costs `price` (IDR), and nobody was asked about that much: `seen` is what the button showed, if one was
    pressed, and above `limit` the desk always asks.
    """

    def __init__(self, platform: str, country: str, price: int, limit: int, seen: int | None = None) -> None:
        super().__init__(f"{price} was not agreed to")
        self.platform = platform
        self.country = country
        self.price = price
        self.limit = limit
        self.seen = seen


class LimitReached(Refusal):
    """A limit would be exceeded. `cap` and `left` are IDR, or orders for `active_orders`."""

    def __init__(self, name: LimitName, cap: int, left: int, asked: int, resets_at: datetime | None = None) -> None:
        super().__init__(f"{name}: asked {asked}, left {left} of {cap}")
        self.name = name
        self.cap = cap
        self.left = left
        self.asked = asked
        self.resets_at = resets_at


class ApprovalNeeded(Refusal):
    """An order at `price` (IDR) is above the `threshold` up to which a member decides alone."""

    def __init__(self, threshold: int, price: int) -> None:
        super().__init__(f"{price} is above {threshold}")
        self.threshold = threshold
        self.price = price


class NobodyToApprove(Refusal):
    """The order needs somebody else's yes, and the member is the only one who could give it."""

    def __init__(self, threshold: int, price: int) -> None:
        super().__init__(f"{price} is above {threshold}, and nobody else may approve")
        self.threshold = threshold
        self.price = price


class NoSuchApproval(Refusal):
    """No request for approval goes by that number, or it is somebody else's."""

    def __init__(self, approval_id: int) -> None:
        super().__init__(f"no request {approval_id}")
        self.approval_id = approval_id


class AlreadyAnswered(Refusal):
    """A request for approval that is over: `outcome` is its state, `by` the name of whoever answered."""

    def __init__(self, approval_id: int, outcome: str, by: str | None = None) -> None:
        super().__init__(f"request {approval_id} is {outcome}")
        self.approval_id = approval_id
        self.outcome = outcome
        self.by = by


class AwaitsApproval(DeskError):
    """The order waits for the yes of one of `approvers`, until a moment; nothing was bought and nothing is held."""

    def __init__(
        self, approval_id: int, threshold: int, price: int, approvers: tuple[str, ...], until: datetime
    ) -> None:
        super().__init__(f"request {approval_id}: {price} is above {threshold}")
        self.approval_id = approval_id
        self.threshold = threshold
        self.price = price
        self.approvers = approvers
        self.until = until


class NoSuchOrder(Refusal):
    """No order goes by that name, or it is somebody else's; `live` are the orders that could be meant."""

    def __init__(self, typed: str, live: tuple[int, ...] = ()) -> None:
        super().__init__(f"no order {typed!r}")
        self.typed = typed
        self.live = live


class NotNow(Refusal):
    """The order is in a state that does not allow what was asked."""

    def __init__(self, order_id: int, state: str) -> None:
        super().__init__(f"order {order_id} is {state}")
        self.order_id = order_id
        self.state = state


class NotOffered(Refusal):
    """SMSCode cannot do this over the contract it speaks; `what` says what was asked, `contract` which one it is."""

    def __init__(self, what: str, contract: str) -> None:
        super().__init__(f"the {contract} contract cannot {what}")
        self.what = what
        self.contract = contract


class NotCanceled(DeskError):
    """A cancel that did not go through, or may not have; `reason` is what SMSCode said, or failed to say.

    `possible_from` is when a cancel that came too early may be tried again, where SMSCode says so.
    """

    def __init__(self, order_id: int, reason: "SmsError", possible_from: datetime | None = None) -> None:
        super().__init__(f"order {order_id} is not canceled: {reason}")
        self.order_id = order_id
        self.reason = reason
        self.possible_from = possible_from


class NotAMember(Refusal):
    """Nobody by that id is on the allowlist."""

    def __init__(self, user_id: int) -> None:
        super().__init__(f"{user_id} is not on the allowlist")
        self.user_id = user_id


class Protected(Refusal):
    """The change would lock the team out, or overrule the configuration; `reason` says which."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class ChatError(DeskError):
    """Root of what Telegram said, or failed to say, when it was asked for updates."""


class SecondBot(ChatError):
    """Another process asks for updates with the same token: one of the two must stop."""


class WebhookSet(SecondBot):
    """Telegram sends updates to an address, so they cannot be asked for: left from before, or another desk's."""


class BotTokenRejected(ChatError):
    """Telegram does not know the bot token."""


class ChatUnreachable(ChatError):
    """Telegram cannot be reached, or asks to wait `retry_after` seconds."""

    def __init__(self, reason: str, retry_after: float | None = None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.retry_after = retry_after


class SmsError(DeskError):
    """Root of everything that SMSCode said, or failed to say."""


class NotSent(SmsError):
    """The request never left: no connection, no free connection, or the request budget is paused."""

    def __init__(self, reason: str, retry_after: float | None = None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.retry_after = retry_after


class Unclear(SmsError):
    """The request may have arrived and may have had its effect; the answer never came, or made no sense."""

    def __init__(self, reason: str, status: int | None = None, request_id: str | None = None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.status = status
        self.request_id = request_id


_NO_DETAILS: Mapping[str, object] = MappingProxyType({})


class ApiError(SmsError):
    """SMSCode said no. `code` decides, never the message; an unknown code stays what it is."""

    def __init__(
        self,
        code: str,
        message: str = "",
        *,
        status: int = 0,
        request_id: str | None = None,
        retry_after: float | None = None,
        details: Mapping[str, object] = _NO_DETAILS,
    ) -> None:
        super().__init__(f"{code}: {message}" if message else code)
        self.code = code
        self.message = message
        self.status = status
        self.request_id = request_id
        self.retry_after = retry_after
        self.details = details


class TokenRejected(ApiError):
    """The SMSCode token is invalid or missing."""


class BalanceTooLow(ApiError):
    """The account cannot pay the order. `balance` and `price` are IDR where they are known."""

    balance: int | None = None
    price: int | None = None


class Forbidden(ApiError):
    """The token is known, but not allowed to do this."""


class ProductGone(ApiError):
    """This offer cannot be had now: sold out, dearer than agreed, or its provider failed. The next one may do."""


class RemoteOrderMissing(ApiError):
    """SMSCode knows no such order on this account."""


class Conflict(ApiError):
    """The order is in a state that does not allow this, such as a cancel after an SMS has come."""


class CancelTooEarly(ApiError):
    """A number must be kept for a while before it may be given back."""


class StillRunning(ApiError):
    """The first request with this key has not come to its end: the same key tells its outcome shortly."""


class KeyReused(ApiError):
    """The key was used with another body before: a mistake of ours, or of whoever shares the account."""


class Invalid(ApiError):
    """SMSCode cannot read the request: a mistake of ours, or its API has changed."""


class AbuseGuard(ApiError):
    """After too many failures SMSCode takes no new order of this account for a while."""

    @property
    def until(self) -> float | None:
        """When it ends, in unix seconds, from `details.until` (ISO 8601); None where that is not said."""
        said = self.details.get("until")
        if not isinstance(said, str):
            return None
        try:
            moment = datetime.fromisoformat(said)
        except ValueError:
            return None
        return moment.timestamp() if moment.tzinfo else moment.replace(tzinfo=UTC).timestamp()

    @property
    def seconds(self) -> float | None:
        """For how long from the answer on, from `details.retry_after_seconds` or `Retry-After`."""
        said = self.details.get("retry_after_seconds")
        return float(said) if isinstance(said, int | float) and not isinstance(said, bool) else self.retry_after


class RateLimited(ApiError):
    """Too many requests; `retry_after` says how many seconds to stay away."""


API_ERRORS: Mapping[str, type[ApiError]] = MappingProxyType(
    {
        "UNAUTHORIZED": TokenRejected,
        "FORBIDDEN": Forbidden,
        "INSUFFICIENT_BALANCE": BalanceTooLow,
        "PRODUCT_UNAVAILABLE": ProductGone,
        "NO_OFFER_AVAILABLE": ProductGone,
        "PROVIDER_ERROR": ProductGone,
        "ORDER_NOT_FOUND": RemoteOrderMissing,
        "NOT_FOUND": RemoteOrderMissing,
        "CONFLICT": Conflict,
        "CANCEL_TOO_EARLY": CancelTooEarly,
        "REQUEST_IN_PROGRESS": StillRunning,
        "IDEMPOTENCY_KEY_REUSED": KeyReused,
        "VALIDATION_ERROR": Invalid,
        "TEMP_BANNED_ABUSE_GUARD": AbuseGuard,
        "RATE_LIMITED": RateLimited,
        "RATE_LIMIT_EXCEEDED": RateLimited,
    }
)
"""Error codes of both contracts and what they mean here."""
