"""The crash proof in small; `make crash KILLS=1000` is the long one."""

from pathlib import Path

import pytest

from tests.faults.crash import prove


@pytest.mark.timeout(240)
async def test_killed_twenty_five_times_nothing_is_lost_and_nothing_is_bought_twice(tmp_path: Path) -> None:
    verdict = await prove(kills=25, seed=11, folder=tmp_path)
    assert not verdict.broken, verdict.line()
    assert verdict.orders > 0
    assert verdict.codes > 0
