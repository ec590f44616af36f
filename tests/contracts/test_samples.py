"""The vendor's recorded answers, read from the SDK's source distribution where `make install` could download it.

None of them is copied into the project: what they hold is the vendor's, that we can read them is ours.
"""

import hashlib
import json
import sys
import tarfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from bot.domain.orders import RemoteStatus
from bot.sms.fields import mapping, rows
from bot.sms.official import decode_created, decode_live, decode_offer, decode_order
from bot.sms.wire import Answer, decode

PINS = Path(__file__).parents[2] / "requirements" / "run.txt"


def samples() -> Mapping[str, bytes]:
    """The recorded answers by name, from a distribution that is the very one we have pinned."""
    for archive in sorted(Path(sys.prefix, "samples").glob("smscode-*.tar.gz")):
        if hashlib.sha256(archive.read_bytes()).hexdigest() in PINS.read_text():
            return _read(archive)
    return {}


def _read(archive: Path) -> Mapping[str, bytes]:
    with tarfile.open(archive) as distribution:
        return {
            Path(member.name).name: opened.read()
            for member in distribution.getmembers()
            if "/tests/fixtures/" in member.name and (opened := distribution.extractfile(member)) is not None
        }


def _order(answer: Answer) -> None:
    order = decode_order(mapping(answer), None)
    assert (order.status, order.code, order.amount) == (RemoteStatus.OTP_RECEIVED, "123456", 139)
    assert order.allowed is not None
    assert order.allowed.finish
    assert not order.allowed.cancel


def _created(answer: Answer) -> None:
    order = decode_created(answer)
    assert (order.status, order.code, order.amount) == (RemoteStatus.WAITING, None, 139)


def _live(answer: Answer) -> None:
    (shown,) = decode_live(answer, {}).values()
    order = shown.order
    assert (order.status, order.code) == (RemoteStatus.OTP_RECEIVED, "123456")


def _product(answer: Answer) -> None:
    (row,) = rows(answer, "a catalog")
    offer = decode_offer(row, {7: "Indonesia"}, {1: "WhatsApp"})
    assert offer is not None
    assert (offer.price, offer.stock, offer.catalog_id, offer.operator_id) == (139, 42, 88, 42)
    assert (offer.country, offer.platform, offer.operator) == ("Indonesia", "WhatsApp", "Telkomsel")


READERS: Mapping[str, Callable[[Answer], Any]] = {
    "v1_order_summary.json": _order,
    "v1_create_result.json": _created,
    "v1_reactivate_result.json": _created,
    "v1_order_statuses.json": _live,
    "v1_catalog_products.json": _product,
}


@pytest.mark.parametrize("name", sorted(samples().keys() & READERS.keys()))
def test_the_vendors_own_sample_is_read(name: str) -> None:
    READERS[name](decode(200, samples()[name], {}, 0.0))


@pytest.mark.parametrize("name", sorted(name for name in samples() if name.startswith("v1_")))
def test_every_sample_is_a_success_to_the_wire(name: str) -> None:
    assert decode(200, samples()[name], {}, 0.0).data == json.loads(samples()[name])["data"]
