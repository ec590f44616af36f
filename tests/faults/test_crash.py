"""The crash proof in small; `make crash KILLS=1000` is the long one."""

from pathlib import Path

import pytest

from bot.sandbox.sms_api import Contract
from tests.faults.crash import prove


@pytest.mark.timeout(360)
@pytest.mark.parametrize("contract", ["guide", "official"])
async def test_killed_twenty_five_times_nothing_is_lost_and_nothing_is_bought_twice(
    tmp_path: Path, contract: Contract
) -> None:
    verdict = await prove(25, 11, tmp_path, contract)
    assert not verdict.broken, verdict.line()
    assert verdict.orders > 0
    assert verdict.codes > 0
