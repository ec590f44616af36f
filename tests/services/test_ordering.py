"""What an order's command says of itself; how orders are placed is told by the flows."""

from typing import Any

import pytest

from bot.services.ordering import OrderCommand


@pytest.mark.parametrize(
    ("asked", "chosen"),
    [
        pytest.param({"product": "Premium"}, "Premium", id="a product's button"),
        pytest.param({"product": "Premium", "operator": "telkomsel", "seen": 2_500}, "Premium", id="product first"),
        pytest.param({"operator": "telkomsel"}, "", id="an operator that was typed"),
        pytest.param({"operator": "telkomsel", "seen": 2_500}, "telkomsel", id="an operator's button"),
        pytest.param({"operator": "telkomsel", "approval_id": 7}, "", id="typed, and approved"),
        pytest.param({"operator": "telkomsel", "seen": 2_500, "approval_id": 7}, "", id="seen by whoever approved"),
        pytest.param({"operator": "telkomsel", "wish": True}, "telkomsel", id="wished for as before"),
        pytest.param({"operator": "telkomsel", "wish": True, "approval_id": 7}, "telkomsel", id="wished, and approved"),
        pytest.param({"seen": 2_500}, "", id="a button without either"),
    ],
)
def test_what_was_chosen_is_what_a_button_named(asked: dict[str, Any], chosen: str) -> None:
    assert OrderCommand("key", 1, 1, None, "whatsapp", **asked).chosen == chosen
