"""The power-cut proof in small; `make powercut CUTS=100` is the long one."""

from pathlib import Path

import pytest

from tests.faults.power import lost_in_one_cut


@pytest.mark.parametrize("seconds", [0.0, 0.07, 0.21])
def test_no_acknowledged_row_is_lost_when_the_power_goes(tmp_path: Path, seconds: float) -> None:
    acknowledged, lost = lost_in_one_cut(tmp_path, seconds)
    assert acknowledged > 0
    assert lost == 0


def test_the_proof_would_notice_a_database_that_does_not_sync(tmp_path: Path) -> None:
    _, lost = lost_in_one_cut(tmp_path, 0.1, careless=True)
    assert lost > 0
