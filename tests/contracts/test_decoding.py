"""The decoding functions against anything that can come down a wire: only `SmsError` ever comes out of them."""

import contextlib
import json
import time
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from bot.domain.errors import API_ERRORS, ApiError, SmsError, Unclear
from bot.domain.orders import Offer, RemoteOrder
from bot.sms import official
from bot.sms.guide import decode_balance, decode_offers, decode_order
from bot.sms.wire import Answer, decode, retry_after

NOW = datetime(2026, 3, 14, 12, 0, tzinfo=UTC).timestamp()

TEXTS = st.text() | st.text(st.characters(codec=None), max_size=20)  # halves of surrogate pairs are among them
SCALARS = st.none() | st.booleans() | st.integers(-(10**60), 10**60) | st.floats() | TEXTS
JSON_VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=5) | st.dictionaries(TEXTS, inner, max_size=5), max_leaves=20
)
ORDER_FIELDS = ("order_id", "status", "phone_number", "expires_at", "otp_code", "balance")
OFFICIAL_FIELDS = (
    "id",
    "status",
    "phone_number",
    "otp_code",
    "otp_message",
    "sms_revision",
    "amount",
    "refund_amount",
    "expires_at",
    "can_cancel",
    "can_finish",
    "cancel_available_at",
    "resend_available_at",
)
OFFER_FIELDS = ("id", "price", "available", "stock", "stock_count", "name", "country", "platform", "slug")
ENVELOPE_FIELDS = ("success", "data", "error", "code", "message", "details")
FIELDS = st.sampled_from(ORDER_FIELDS + OFFER_FIELDS + ENVELOPE_FIELDS)
LIKELY = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=5) | st.dictionaries(FIELDS, inner, max_size=8), max_leaves=30
)
SHOWN = st.none() | st.booleans() | st.integers(2, 9) | st.sampled_from(["ACTIVE", "OTP_RECEIVED", "471100"])
"""Without 0 and 1, which Python takes for False and True."""

STATUSES = st.integers(100, 599)
HEADERS = st.dictionaries(st.sampled_from(["x-request-id", "retry-after", "content-type"]), st.text(max_size=30))

tireless = settings(max_examples=100)


def decoded(status: int, content: bytes, headers: dict[str, str]) -> Answer | SmsError:
    try:
        return decode(status, content, headers, NOW)
    except SmsError as error:
        str(error).encode()
        return error


class TestEnvelope:
    @tireless
    @given(STATUSES, st.binary(max_size=200), HEADERS)
    def test_any_bytes(self, status: int, content: bytes, headers: dict[str, str]) -> None:
        result = decoded(status, content, headers)
        if status >= 500 or status == 408:
            assert isinstance(result, Unclear)
        elif status >= 400:
            assert isinstance(result, ApiError)
        else:
            assert isinstance(result, Unclear)

    @tireless
    @given(STATUSES, LIKELY | JSON_VALUES, HEADERS)
    @example(200, {"success": False, "error": {"code": "\ud800", "message": "\udfff", "details": []}}, {})
    def test_any_json(self, status: int, value: Any, headers: dict[str, str]) -> None:
        result = decoded(status, json.dumps(value).encode(), headers)
        good = 200 <= status < 300 and isinstance(value, dict) and value.get("success") is True
        assert isinstance(result, Answer) == good

    @tireless
    @given(st.sampled_from([401, 402, 404, 409, 422, 429]), TEXTS.filter(bool), TEXTS)
    def test_every_code_survives(self, status: int, code: str, message: str) -> None:
        content = json.dumps({"success": False, "error": {"code": code, "message": message}}).encode()
        result = decoded(status, content, {})
        assert type(result) is API_ERRORS.get(code, ApiError)
        assert isinstance(result, ApiError)
        assert result.code == code[:64].encode("utf-8", "replace").decode()

    @pytest.mark.parametrize("code", API_ERRORS)
    @pytest.mark.parametrize("status", [200, 400, 401, 404, 429])
    def test_the_code_decides_and_not_the_status(self, code: str, status: int) -> None:
        content = json.dumps({"success": False, "error": {"code": code, "message": "NOT_FOUND"}}).encode()
        assert type(decoded(status, content, {})) is API_ERRORS[code]

    def test_data_and_request_id_come_through(self) -> None:
        answer = decode(200, b'{"success":true,"data":[1],"meta":{}}', {"x-request-id": "req_1"}, NOW)
        assert answer == Answer([1], "req_1")

    def test_an_error_that_is_unclear_keeps_its_traces(self) -> None:
        error = decoded(503, b"", {"x-request-id": "req_2"})
        assert isinstance(error, Unclear)
        assert (error.status, error.request_id) == (503, "req_2")


class TestGuide:
    @tireless
    @given(LIKELY | JSON_VALUES)
    def test_any_balance(self, data: Any) -> None:
        try:
            balance = decode_balance(Answer(data, None))
        except Unclear:
            return
        assert type(balance) is int
        assert 0 <= balance < 2**53
        assert data["balance"] == balance

    @pytest.mark.parametrize("balance", [None, True, "150000", -1, 0.5, 2**53, float("inf"), float("nan"), [1], {}])
    def test_what_is_no_balance(self, balance: object) -> None:
        with pytest.raises(Unclear) as caught:
            decode_balance(Answer({"currency": "IDR", "balance": balance}, "req_3"))
        assert caught.value.request_id == "req_3"

    @pytest.mark.parametrize("balance", [0, 150_000, 150_000.0, 2**53 - 1])
    def test_what_is_one(self, balance: float) -> None:
        assert decode_balance(Answer({"balance": balance}, None)) == balance

    @tireless
    @given(st.lists(LIKELY, max_size=6) | LIKELY)
    def test_any_catalog(self, data: Any) -> None:
        try:
            offers = decode_offers(Answer(data, None))
        except Unclear:
            assert not isinstance(data, list)
            return
        assert len(offers) <= len(data)
        for offer in offers:
            assert type(offer.price) is int
            assert offer.price >= 0
            assert offer.stock is None or offer.stock >= 0
            f"{offer.name}{offer.country}{offer.platform}".encode()

    @pytest.mark.parametrize(
        ("row", "offer"),
        [
            ({"id": 42, "price": 4000}, Offer(42, 4000)),
            ({"id": "p-42", "price": 4000.0, "stock": 3}, Offer("p-42", 4000, stock=3)),
            ({"id": 1, "price": 0, "stock_count": 0}, Offer(1, 0, stock=0)),
            ({"id": 1, "price": 5, "available": "many", "stock": 2}, Offer(1, 5, stock=2)),
            ({"id": 1, "price": 5, "available": True}, Offer(1, 5)),
            ({"id": 1, "price": 5, "available": -1}, Offer(1, 5)),
            ({"id": 1, "price": 5, "country": {"code": "id", "name": "Indonesia"}}, Offer(1, 5, country="id")),
            ({"id": 1, "price": 5, "platform": {"slug": ["x"], "name": "WhatsApp"}}, Offer(1, 5)),
            ({"id": 1, "price": 5, "platform": {"name": "WhatsApp"}}, Offer(1, 5, platform="WhatsApp")),
            ({"id": 1, "price": 5, "country": 6, "name": None}, Offer(1, 5, country="6")),
        ],
        ids=str,
    )
    def test_a_row(self, row: dict[str, Any], offer: Offer) -> None:
        assert decode_offers(Answer([row], None)) == [offer]

    @pytest.mark.parametrize(
        "row",
        [None, 7, [], {}, {"id": 1}, {"price": 5}, {"id": True, "price": 5}, {"id": None, "price": 5}]
        + [{"id": 1, "price": price} for price in (None, "5", -1, 0.5, True, 2**53)],
        ids=str,
    )
    def test_a_row_that_cannot_be_ordered_costs_only_itself(self, row: object) -> None:
        sound = {"id": 1, "price": 5}
        assert decode_offers(Answer([sound, row, sound], None)) == [Offer(1, 5), Offer(1, 5)]

    @tireless
    @given(LIKELY | JSON_VALUES)
    def test_any_order(self, data: Any) -> None:
        try:
            order = decode_order(Answer(data, None))
        except Unclear:
            return
        texts = (order.remote_id, order.raw_status, order.phone_number, order.code)
        assert all(text is None or (text and text.encode()) for text in texts)
        assert order.expires_at is None or order.expires_at.tzinfo is UTC

    @tireless
    @given(
        st.from_regex(r"[A-Za-z0-9_.~:%-]{1,128}", fullmatch=True),
        st.dictionaries(FIELDS | TEXTS, LIKELY),
        st.sampled_from([200, 201, 202]),
    )
    def test_an_id_is_never_lost(self, remote_id: str, others: dict[str, Any], status: int) -> None:
        """Whatever else a create answered, what was paid for is known by its id."""
        envelope = {**others, "success": True, "data": {**others, "order_id": remote_id}}
        answer = decode(status, json.dumps(envelope).encode(), {}, NOW)
        assert decode_order(answer).remote_id == remote_id

    @tireless
    @given(st.datetimes(datetime(2000, 1, 2), datetime(9998, 12, 30), timezones=st.timezones()))  # noqa: DTZ001
    def test_a_time_survives_its_spelling(self, moment: datetime) -> None:
        order = decode_order(Answer({"order_id": "ord_1", "expires_at": moment.isoformat()}, None))
        assert order.expires_at is not None
        assert abs(order.expires_at.timestamp() - moment.timestamp()) < 60  # ISO 8601 rounds the oldest zones

    @tireless
    @given(st.text() | st.from_regex(r"\d{4}-\d\d-\d\dT\d\d:\d\d(:\d\d)?(Z|[+-]\d\d:\d\d)?", fullmatch=True))
    def test_a_time_can_be_shown_anywhere(self, text: str) -> None:
        order = decode_order(Answer({"order_id": "ord_1", "expires_at": text}, None))
        if order.expires_at is not None:
            again = datetime.fromtimestamp(round(order.expires_at.timestamp() * 1000) / 1000, UTC)
            assert again.year >= 2000


class TestRetryAfter:
    @pytest.mark.parametrize(
        ("value", "seconds"),
        [
            (None, None),
            ("", None),
            ("soon", None),
            ("-5", None),
            ("1.5", None),
            ("5, 5", None),
            ("٣", None),
            ("0", 1),
            ("1", 1),
            (" 7 ", 7),
            ("120", 120),
            ("601", 600),
            ("9" * 5000, 600),
            ("Sat, 14 Mar 2026 12:00:30 GMT", 30),
            ("Saturday, 14-Mar-26 12:00:30 GMT", 30),
            ("Sat Mar 14 12:00:30 2026", 30),
            ("Sat, 14 Mar 2026 12:00:30 -0000", 30),
            ("Sat, 14 Mar 2026 19:00:30 +0700", 30),
            ("Sat, 14 Mar 2026 11:59:00 GMT", 1),
            ("Sat, 14 Mar 2099 12:00:00 GMT", 600),
            ("Thu, 01 Jan 1970 00:00:00 GMT", 1),
            ("Sat, 99 Mar 2026 12:00:30 GMT", None),
            ("Sat, 14 Mar 99999 12:00:30 GMT", None),
            ("Sat, 14 Mar 2026 12:00:30 +9999999", None),
        ],
    )
    def test_is_read(self, value: str | None, seconds: float | None) -> None:
        assert retry_after(value, NOW) == seconds

    @pytest.mark.parametrize("zone", ["UTC", "Asia/Jakarta", "America/New_York"])
    @pytest.mark.parametrize("date", ["Sat Mar 14 12:00:30 2026", "Sat, 14 Mar 2026 12:00:30 -0000"])
    def test_a_date_without_a_zone_is_in_utc(self, monkeypatch: pytest.MonkeyPatch, zone: str, date: str) -> None:
        """Wherever the desk itself stands."""
        with monkeypatch.context() as elsewhere:
            elsewhere.setenv("TZ", zone)
            time.tzset()
            assert retry_after(date, NOW) == 30
        time.tzset()

    def test_a_date_is_held_against_the_clock_given(self) -> None:
        date = "Sat, 14 Mar 2026 12:00:30 GMT"
        assert [retry_after(date, NOW + late) for late in (0, 10, 29.5, 30, 1000)] == [30, 20, 1, 1, 1]

    @tireless
    @given(st.text() | st.from_regex(r"[A-Z][a-z]{2}, \d{1,5} [A-Z][a-z]{2} \d{1,5} \d+:\d+(:\d+)? ?[A-Z+-]?\d*"))
    def test_whatever_it_holds_the_wait_is_sane(self, value: str) -> None:
        seconds = retry_after(value, NOW)
        assert seconds is None or 1 <= seconds <= 600


def live(answer: Answer) -> list[RemoteOrder]:
    return [shown.order for shown in official.decode_live(answer, {}).values()]


class TestOfficialOrders:
    @tireless
    @given(st.lists(st.dictionaries(st.sampled_from(OFFICIAL_FIELDS), SHOWN), max_size=6))
    def test_a_list_says_the_same_whatever_was_shown_before(self, rows: list[dict[str, Any]]) -> None:
        shown: dict[str, official.Shown] = {}
        for row in rows:
            answer = Answer([{**row, "id": 5}], None)
            shown = official.decode_live(answer, shown)
            assert [known.order for known in shown.values()] == live(answer)
        assert official.decode_live(Answer([], None), shown) == {}

    @tireless
    @given(st.dictionaries(st.sampled_from(OFFICIAL_FIELDS), LIKELY | st.integers(1, 10**6)))
    def test_any_row_is_an_order_or_unclear(self, row: dict[str, Any]) -> None:
        for answer in (Answer({"orders": [row], "failed_count": 0}, None), Answer([row], None)):
            try:
                found = live(answer) if answer.data == [row] else [official.decode_created(answer)]
            except Unclear:
                continue
            for order in found:
                assert order.remote_id.isdigit()
                assert order.amount is None or order.amount >= 0
                assert order.revision is None or order.revision > 0
                f"{order.raw_status}{order.code}{order.text}{order.phone_number}".encode()

    @tireless
    @given(LIKELY | JSON_VALUES)
    def test_any_data_is_orders_or_an_error_of_ours(self, data: Any) -> None:
        for read in (official.decode_created, live):
            with contextlib.suppress(SmsError):
                read(Answer(data, None))
