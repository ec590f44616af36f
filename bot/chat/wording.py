"""How amounts, phone numbers, countries and times are written for people: all libraries for that are called here."""

from datetime import datetime
from functools import cache, lru_cache
from typing import Final
from zoneinfo import ZoneInfo

import phonenumbers
from babel import Locale
from babel.numbers import format_currency

from bot.clock import from_milliseconds
from bot.services.catalog import fold

_RUPIAH: Final = "¤ #,##0;−¤ #,##0"
_FIRST_FLAG_LETTER: Final = 0x1F1E6
_SHORTEST_NUMBER: Final = 5


@lru_cache(maxsize=1024)
def format_amount(amount: int) -> str:
    """Write IDR as Indonesians do: `Rp 3.500`; a minus sign stands in front of the currency."""
    return format_currency(amount, "IDR", _RUPIAH, locale="id", currency_digits=False)


@lru_cache(maxsize=1024)
def readable_number(phone_number: str) -> str | None:
    """A phone number in the groups in which it is read out; None for one that is none, or needs none."""
    if not phone_number.isascii() or len(phone_number) < _SHORTEST_NUMBER:
        return None
    try:
        number = phonenumbers.parse(phone_number)
    except phonenumbers.NumberParseException:
        return None
    written = phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.INTERNATIONAL)
    return written if written != phone_number else None


def country_title(country: str) -> str:
    """A country of the catalog with its flag and the name people know; one nobody knows stays as it is."""
    region = _regions().get(fold(country))
    return f"{country_flag(country)} {Locale('en').territories[region]}" if region else country


def country_flag(country: str) -> str:
    """The flag of a country of the catalog, which Unicode spells with its ISO code; empty for one nobody knows."""
    region = _regions().get(fold(country), "")
    return "".join(chr(_FIRST_FLAG_LETTER + ord(letter) - ord("A")) for letter in region)


def day_and_time(milliseconds: int, zone: ZoneInfo, now: datetime) -> str:
    """A moment in the team's zone, from today where shorter: `14:05`, `yesterday 14:05`, `9 Mar 14:05`."""
    moment = from_milliseconds(milliseconds).astimezone(zone)
    days = (now.astimezone(zone).date() - moment.date()).days
    if days == 0:
        return f"{moment:%H:%M}"
    return f"yesterday {moment:%H:%M}" if days == 1 else f"{moment.day} {moment:%b %H:%M}"


@cache
def _regions() -> dict[str, str]:
    """The ISO codes of all countries, by what their English names are compared by."""
    names = Locale("en").territories
    return {fold(name): code for code, name in names.items() if len(code) == 2 and code.isalpha()}
