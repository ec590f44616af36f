"""A flood of three seconds: members are answered, and neither memory nor the file grows with the strangers."""

from pathlib import Path

import pytest

from tests.faults.flood import flood


@pytest.mark.timeout(240)
async def test_a_flood_of_many_strangers_is_bounded_and_delays_no_member(tmp_path: Path) -> None:
    # Beside all the other tests an answer may take longer; the long proof has the machine for itself.
    findings = await flood(3, 500, tmp_path, longest_answer=6.0)
    assert findings.broken == [], findings.line()
    assert findings.messages == 1500
    assert 0 < findings.notices <= 240
    assert len(findings.waits) >= 5
