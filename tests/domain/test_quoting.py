"""What a refusal repeats of what was typed."""

from hypothesis import given
from hypothesis import strategies as st

from bot.domain.quoting import shortened


@given(typed=st.text(max_size=60))
def test_what_is_long_is_cut_and_shows_that_it_is(typed: str) -> None:
    shown = shortened(typed)
    assert shown == typed or (shown.endswith("…") and typed.startswith(shown[:-1]) and len(shown) <= len(typed))
    assert len(shown) <= 25


def test_as_much_as_two_dozen_characters_is_repeated_whole() -> None:
    assert shortened("an order for whatsapp us") == "an order for whatsapp us"
    assert shortened("an order for whatsapp usa") == "an order for whatsapp us…"
