"""The tree of errors is the one that its docstring draws."""

import inspect
import re
from datetime import UTC, datetime

import pytest

from bot.domain import errors, limits
from bot.domain.errors import API_ERRORS, ApiError, DeskError

DRAWN = re.compile(r"^ {4}(?P<stem>[│├└─ ]*)(?P<name>[A-Z][A-Za-z]+)(?: {2,}(?P<meaning>.+))?$")


def drawing() -> dict[str, tuple[str | None, str]]:
    """Every class that is drawn, with the one it hangs from and the words beside it."""
    found: dict[str, tuple[str | None, str]] = {}
    above: list[str] = []
    for line in inspect.cleandoc(errors.__doc__ or "").splitlines():
        if (drawn := DRAWN.match(line)) is None:
            continue
        depth = len(drawn["stem"]) // 4
        above[depth:] = [drawn["name"]]
        found[drawn["name"]] = (above[depth - 1] if depth else None, drawn["meaning"] or "")
    return found


def written() -> dict[str, type[DeskError]]:
    return {
        name: kind
        for name, kind in vars(errors).items()
        if isinstance(kind, type) and issubclass(kind, DeskError) and kind.__module__ == errors.__name__
    }


def test_the_drawing_is_found_whole() -> None:
    drawn = drawing()
    assert drawn["DeskError"][0] is None
    assert drawn["RateLimited"] == ("ApiError", "RATE_LIMITED, RATE_LIMIT_EXCEEDED")
    assert drawn["Unclear"][0] == "SmsError"


def test_what_is_drawn_exists_and_what_exists_is_drawn() -> None:
    assert drawing().keys() == written().keys()


@pytest.mark.parametrize("name", sorted(drawing()))
def test_every_class_sits_where_it_is_drawn(name: str) -> None:
    parent, _ = drawing()[name]
    kind = written()[name]
    assert kind.__bases__ == ((written()[parent],) if parent else (Exception,))
    assert kind.__doc__


def test_the_codes_beside_the_classes_are_those_they_stand_for() -> None:
    drawn = {
        code: name
        for name, (parent, meaning) in drawing().items()
        if parent == "ApiError"
        for code in meaning.split(", ")
    }
    assert drawn == {code: kind.__name__ for code, kind in API_ERRORS.items()}


def test_an_unknown_code_survives_as_itself() -> None:
    assert ApiError("SOMETHING_NEW").code == str(ApiError("SOMETHING_NEW")) == "SOMETHING_NEW"


def test_what_is_not_known_of_an_error_is_shared_by_none() -> None:
    assert errors.BalanceTooLow("X").balance is errors.BalanceTooLow("X").price is None
    with pytest.raises(TypeError):
        ApiError("X").details["a"] = 1  # type: ignore[index]


NOON = datetime(2026, 3, 14, 12, tzinfo=UTC)
WORDS: dict[type[DeskError], tuple[dict[str, object], str]] = {
    errors.BackupFailed: ({"reason": "the disk is full"}, "the disk is full"),
    errors.WrongUsage: ({"problem": "no", "instead": "whatsapp"}, "no"),
    errors.NotPermitted: ({"needed": "admin"}, "needs the role admin"),
    errors.OrderingPaused: ({"reason": "holiday"}, "holiday"),
    errors.OrderingBanned: ({"until": 1_773_489_600}, "no new orders before 1773489600"),
    errors.AccountBusy: ({"order_id": 7, "seconds": 90}, "order 7 is being looked into for 90 s more"),
    errors.UnknownName: (
        {"kind": "country", "typed": "indo", "suggestions": ("indonesia",)},
        "no country 'indo'",
    ),
    errors.NothingOnOffer: (
        {"platform": "whatsapp", "countries": ("us", "id"), "max_price": 10, "cheapest": None},
        "nothing on offer for whatsapp in us, id",
    ),
    errors.PriceRose: ({"agreed": 3500, "price": 4000}, "costs 4000 by now, agreed was 3500"),
    errors.PriceNotAgreed: (
        {"platform": "whatsapp", "country": "id", "price": 4000, "limit": 3000, "seen": 3500},
        "4000 was not agreed to",
    ),
    errors.LimitReached: (
        {"name": limits.LimitName.DAILY, "cap": 100, "left": 20, "asked": 30, "resets_at": NOON},
        "daily: asked 30, left 20 of 100",
    ),
    errors.ApprovalNeeded: ({"threshold": 5000, "price": 6000}, "6000 is above 5000"),
    errors.NobodyToApprove: ({"threshold": 5000, "price": 6000}, "6000 is above 5000, and nobody else may approve"),
    errors.NoSuchApproval: ({"approval_id": 4}, "no request 4"),
    errors.AlreadyAnswered: ({"approval_id": 4, "outcome": "declined", "by": "Ben"}, "request 4 is declined"),
    errors.AwaitsApproval: (
        {"approval_id": 4, "threshold": 5000, "price": 6000, "approvers": ("Ben",), "until": NOON},
        "request 4: 6000 is above 5000",
    ),
    errors.NoSuchOrder: ({"typed": "#9", "live": (1, 2)}, "no order '#9'"),
    errors.NotNow: ({"order_id": 3, "state": "refused"}, "order 3 is refused"),
    errors.NotOffered: ({"what": "resend", "contract": "guide"}, "the guide contract cannot resend"),
    errors.NotCanceled: (
        {"order_id": 3, "reason": errors.NotSent("cut"), "possible_from": NOON},
        "order 3 is not canceled: cut",
    ),
    errors.NotAMember: ({"user_id": 11}, "11 is not on the allowlist"),
    errors.Protected: ({"reason": "the last admin"}, "the last admin"),
    errors.ChatUnreachable: ({"reason": "gone", "retry_after": 3.0}, "gone"),
    errors.NotSent: ({"reason": "no route", "retry_after": 1.0}, "no route"),
    errors.Unclear: ({"reason": "cut off", "status": 502, "request_id": "r1"}, "cut off"),
    errors.ApiError: (
        {"code": "NEW", "message": "hm", "status": 418, "request_id": "r1", "retry_after": 2.5, "details": {"a": 1}},
        "NEW: hm",
    ),
}
"""What each error that knows something is told, and the words that a log then has of it."""


@pytest.mark.parametrize("kind", WORDS, ids=lambda kind: kind.__name__)
def test_an_error_says_what_happened_and_keeps_the_facts(kind: type[DeskError]) -> None:
    facts, words = WORDS[kind]
    error = kind(**facts)
    assert str(error) == words
    assert {name: getattr(error, name) for name in facts} == facts


def test_the_words_of_every_error_that_knows_something_are_read_here() -> None:
    assert {kind for kind in written().values() if "__init__" in vars(kind)} == WORDS.keys()


@pytest.mark.parametrize(
    ("said", "until"),
    [
        ("2026-03-14T12:00:00Z", 1_773_489_600),
        ("2026-03-14T12:00:00", 1_773_489_600),
        ("2026-03-14T19:00:00+07:00", 1_773_489_600),
        ("soon", None),
        (1_773_489_600, None),
        (None, None),
    ],
)
def test_the_abuse_guard_ends_when_it_says_so_in_utc(said: object, until: float | None) -> None:
    assert errors.AbuseGuard("TEMP_BANNED_ABUSE_GUARD", "too many", details={"until": said}).until == until


@pytest.mark.parametrize(
    ("said", "header", "seconds"),
    [
        (90, 30.0, 90.0),
        (0.5, None, 0.5),
        (None, 30.0, 30.0),
        ("90", 30.0, 30.0),
        (True, 30.0, 30.0),
        (None, None, None),
    ],
)
def test_the_abuse_guard_lasts_as_long_as_its_details_say_or_else_the_header(
    said: object, header: float | None, seconds: float | None
) -> None:
    details = {"retry_after_seconds": said}
    guard = errors.AbuseGuard("TEMP_BANNED_ABUSE_GUARD", "too many", retry_after=header, details=details)
    assert guard.seconds == seconds
