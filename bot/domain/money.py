"""Money: whole Indonesian rupiah, read strictly. How it is written for people is up to `bot.chat.wording`."""

import re

from bot.domain.errors import WrongUsage
from bot.domain.quoting import shortened

MOST = 1_000_000_000
"""The largest amount (IDR) that the desk reads or limits: far above any order, far below any overflow."""

_PLAIN = re.compile(r"[0-9]{1,10}")
_GROUPED = re.compile(r"[0-9]{1,3}(?P<mark>[.,_])[0-9]{3}(?:(?P=mark)[0-9]{3}){0,2}")


def parse_amount(typed: str) -> int:
    """Read an amount of IDR: `3500`, `3.500`, `3,500` or `3_500`, nothing cleverer.

    A sign, an exponent, a fraction, or digits of another script are refused rather than guessed at:
    a price limit read wrongly is money spent wrongly.

    Raises:
        WrongUsage: it is not a whole amount from 0 to `MOST`.
    """
    if not (_PLAIN.fullmatch(typed) or _GROUPED.fullmatch(typed)):
        raise WrongUsage(f"“{shortened(typed)}” is not an amount; write whole rupiah such as 3500")
    amount = int(re.sub(r"[.,_]", "", typed))
    if amount > MOST:
        raise WrongUsage(f"{typed} is more than the desk handles; the most is {MOST}")
    return amount
