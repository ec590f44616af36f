"""Replayable chance for the simulated SMSCode: the same seed and purpose give the same draws."""

import random
import string

_ORDER_ID_ALPHABET = string.ascii_lowercase + string.digits


class Dice(random.Random):
    """Draws that repeat for the same seed. Nothing here is secret, so predictability is the point."""

    def __init__(self, seed: int, purpose: str) -> None:
        # A text seed is hashed the same way in every process, unlike a tuple of hashable parts.
        super().__init__(f"{seed}:{purpose}")

    def digits(self, count: int) -> str:
        """Return `count` decimal digits."""
        return "".join(self.choices(string.digits, k=count))

    def word(self, count: int) -> str:
        """Return `count` lower-case letters and digits."""
        return "".join(self.choices(_ORDER_ID_ALPHABET, k=count))
