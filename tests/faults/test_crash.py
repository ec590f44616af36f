"""The crash proof in small, twenty-five kills; `make crash KILLS=1000` is the long one."""

from pathlib import Path

import pytest

from bot.sandbox.sms_api import Contract
from tests.faults.crash import prove


@pytest.mark.timeout(360)
@pytest.mark.parametrize(("contract", "kills"), [("guide", 13), ("official", 12)])
async def test_however_often_it_is_killed_nothing_is_lost_and_nothing_is_bought_twice(
    tmp_path: Path, contract: Contract, kills: int
) -> None:
    verdict = await prove(kills, 11, tmp_path, contract)
    assert not verdict.broken, verdict.line()
    assert verdict.orders > 0
    assert verdict.codes > 0
