"""The tree of errors is the one that its docstring draws."""

import inspect
import re

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
    error = ApiError("SOMETHING_NEW", "hm", status=418, request_id="r1", retry_after=2.5, details={"a": 1})
    assert str(error) == "SOMETHING_NEW: hm"
    assert (error.code, error.message, error.status) == ("SOMETHING_NEW", "hm", 418)
    assert (error.request_id, error.retry_after, error.details) == ("r1", 2.5, {"a": 1})
    assert str(ApiError("SOMETHING_NEW")) == "SOMETHING_NEW"


def test_what_is_not_known_of_an_error_is_shared_by_none() -> None:
    assert errors.BalanceTooLow("X").balance is errors.BalanceTooLow("X").price is None
    with pytest.raises(TypeError):
        ApiError("X").details["a"] = 1  # type: ignore[index]


@pytest.mark.parametrize(
    ("error", "message", "facts"),
    [
        (errors.WrongUsage("no"), "no", {"problem": "no"}),
        (errors.NotPermitted("admin"), "needs the role admin", {"needed": "admin"}),
        (errors.OrderingPaused("holiday"), "holiday", {"reason": "holiday"}),
        (errors.AccountBusy(7, 90), "order 7 is being looked into for 90 s more", {"order_id": 7, "seconds": 90}),
        (errors.UnknownName("country", "indo", ("indonesia",)), "no country 'indo'", {"suggestions": ("indonesia",)}),
        (
            errors.NothingOnOffer("whatsapp", ("us", "id"), 10, None),
            "nothing on offer for whatsapp in us, id",
            {"platform": "whatsapp", "countries": ("us", "id"), "max_price": 10, "cheapest": None},
        ),
        (
            errors.LimitReached(limits.LimitName.DAILY, 100, 20, 30),
            "daily: asked 30, left 20 of 100",
            {"name": limits.LimitName.DAILY, "cap": 100, "left": 20, "asked": 30, "resets_at": None},
        ),
        (errors.NoSuchOrder("#9", (1, 2)), "no order '#9'", {"typed": "#9", "live": (1, 2)}),
        (errors.NotNow(3, "refused"), "order 3 is refused", {"order_id": 3, "state": "refused"}),
        (errors.NotCanceled(3, error := errors.NotSent("cut")), "order 3 is not canceled: cut", {"reason": error}),
        (errors.ChatUnreachable("gone", 3.0), "gone", {"reason": "gone", "retry_after": 3.0}),
        (errors.NotSent("no route", 1.0), "no route", {"reason": "no route", "retry_after": 1.0}),
        (errors.Unclear("cut off", 502, "r1"), "cut off", {"reason": "cut off", "status": 502, "request_id": "r1"}),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, DeskError) else "",
)
def test_an_error_says_what_happened_and_keeps_the_facts(
    error: DeskError, message: str, facts: dict[str, object]
) -> None:
    assert str(error) == message
    assert {name: getattr(error, name) for name in facts} == facts


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
