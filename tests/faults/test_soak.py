"""A soak of a few seconds: both streets flap, both servers vanish, and nothing is lost and little grows."""

from pathlib import Path

import pytest

from tests.faults.soak import soak

LOG_BYTES_A_COMMAND = 6_000


@pytest.mark.timeout(300)
async def test_flapping_servers_lose_nothing_and_readiness_tells_the_truth(tmp_path: Path) -> None:
    findings = await soak(0.12, 3, tmp_path, per_second=8)
    assert findings.broken == []
    assert findings.changes >= 2
    assert findings.orders > 3
    assert findings.codes > 1
    # Most of it is the caches that fill; what grows with the commands is measured by the long soak.
    assert findings.drift < 0.35, findings.line()
    assert findings.log_bytes / findings.commands < LOG_BYTES_A_COMMAND, findings.line()
