"""The desk that flow tests speak with."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.scene import Scene, open_scene


@pytest.fixture
async def scene(tmp_path: Path) -> AsyncIterator[Scene]:
    """A desk with Ada (admin), Omar (operator) and Sam (stranger); SMS arrive when the test says so."""
    async with open_scene(tmp_path) as opened:
        yield opened
