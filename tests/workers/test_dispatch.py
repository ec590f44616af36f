"""Dispatch: whatever comes to its end together is written down together."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from storage import inbox
from tests.scene import open_scene

CROWD = range(6000, 6030)


async def test_what_is_dealt_with_together_is_written_down_together(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with open_scene(tmp_path, contract="official") as scene:
        for user_id in CROWD:
            await scene.hire(user_id, f"Member {user_id}")
        writes, insist = [], type(scene.app.desk).insist

        async def counted(desk: Any, body: Callable[..., Any]) -> Any:
            writes.append(body)
            return await insist(desk, body)

        monkeypatch.setattr(type(scene.app.desk), "insist", counted)
        for user_id in CROWD:
            scene.say(user_id, "/orders")
        for user_id in CROWD:
            await scene.hears("No live orders", user_id, patience=30)
        await scene.settle()
        assert await scene.app.desk.database.read(inbox.depth) == 0
        assert await scene.count("SELECT count(*) FROM inbox WHERE state = 'done' AND user_id >= 6000") == len(CROWD)
        assert 0 < len(writes) < len(CROWD)
