"""Money over midnight, and when the date is set back: each order counts on the day it was reserved, and on no other."""

from pathlib import Path

from bot.domain.limits import Window
from bot.sandbox.bot_api import ADA, OMAR
from storage import ledger
from tests.clocks import JumpyClock
from tests.scene import SPEED, Scene, open_scene

BEFORE_MIDNIGHT = 1_773_507_000.0
"""2026-03-14 23:50 in Jakarta."""
OLD, NEW = Window("2026-03-14", "2026-03"), Window("2026-03-15", "2026-03")
PRICE = 5000
JUMP = 900.0


async def test_each_day_has_its_own_budget_even_when_the_date_is_set_back(tmp_path: Path) -> None:
    clock = JumpyClock(SPEED, BEFORE_MIDNIGHT)
    async with open_scene(tmp_path, clock=clock) as scene:
        scene.sms.clear_catalog()
        scene.sms.set_product("indonesia", "whatsapp", PRICE, 500)
        await scene.ask(ADA, f"/limit {OMAR} daily {PRICE}", "per day")
        first = await scene.order()
        await scene.ask(OMAR, "/order whatsapp indonesia", "has only")

        clock.set_by = JUMP
        await scene.order()
        await scene.ask(OMAR, "/order whatsapp indonesia", "has only")
        assert await _spent(scene) == {OLD: PRICE, NEW: PRICE}

        await scene.ask(OMAR, "/cancel 1", "came back")
        assert not scene.sms.order(first.id).live
        assert await _spent(scene) == {OLD: 0, NEW: PRICE}

        clock.set_by = 0.0
        await scene.order()
        await scene.ask(OMAR, "/order whatsapp indonesia", "has only")
        assert await _spent(scene) == {OLD: PRICE, NEW: PRICE}
        assert await scene.app.desk.database.read(ledger.discrepancies) == []
        assert scene.sms.books.spent == 2 * PRICE


async def _spent(scene: Scene) -> dict[Window, int]:
    """What each day's books say was spent by Omar."""
    read = scene.app.desk.database.read
    return {
        window: (await read(lambda connection, day=window.day: ledger.usage(connection, OMAR, day))).spent  # type: ignore[misc]
        for window in (OLD, NEW)
    }
