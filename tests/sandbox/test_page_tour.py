"""The tour on the page of the real demo: clicked from its first step to its last, on a desktop and on a phone."""

import asyncio
from pathlib import Path
from typing import Literal

import httpx
import pytest
from playwright.async_api import Browser, Page, expect

from bot.sandbox.bot_api import OMAR
from bot.sandbox.child import BotCommand, BotProcess
from bot.sandbox.story import STORIES, Act
from tests.sandbox.clients import http_client
from tests.sandbox.commands import eventually, otpdesk
from tests.sandbox.pages import clipboard, flaws, is_as_wide_as_its_window, opened, resize

PATIENCE_MS = 20_000
SCHEMES: tuple[Literal["light", "dark"], ...] = ("light", "dark")
WINDOWS = ("desktop", "phone")


async def perform(page: Page, index: int, act: Act) -> None:
    """Click `Do it` and wait until the page has seen what the act is for."""
    await page.get_by_role("button", name="Do it").click()
    if act.what == "Ask for access":
        await expect(page.locator("#dialog-text")).to_contain_text("admins")
        await page.get_by_role("button", name="OK").click()
    done = page.locator(f"#tour-acts li:nth-child({index})[data-state=done]")
    await expect(done).to_be_visible(timeout=PATIENCE_MS)


async def latest_code(client: httpx.AsyncClient) -> str:
    return str((await client.get("/world/books")).json()["messages"][-1]["code"])


@pytest.mark.asyncio(loop_scope="session")
@pytest.mark.timeout(150)  # seconds; a minute's worth of waiting for a real bot, on a busy machine
async def test_the_whole_tour_by_clicking_on_a_desktop_and_on_a_phone(browser: Browser, tmp_path: Path) -> None:
    """Window and light change from step to step, each step is looked at in both windows."""
    found: list[str] = []
    async with otpdesk(tmp_path, "demo", "--port", "0") as command:
        url = (await command.prints(r"The desk is open: (http://127\.0\.0\.1:\d+)"))[1]
        async with http_client(url) as client, opened(browser, url) as tab:
            page = tab.page
            await page.get_by_role("button", name="Take the tour", exact=True).last.click()
            for number, step in enumerate(STORIES["guide"], 1):
                here, there = WINDOWS if number % 2 else reversed(WINDOWS)
                await resize(page, here)
                await page.emulate_media(color_scheme=SCHEMES[number // 2 % 2], reduced_motion="reduce")
                await expect(page.locator("#tour-title")).to_have_text(step.title)
                await expect(page.locator("#tour-place")).to_have_text(f"Step {number} of {len(STORIES['guide'])}")
                for index, act in enumerate(step.acts, 1):
                    await perform(page, index, act)
                for window in (there, here):
                    await resize(page, window)
                    found += [f"{window}: {flaw}" for flaw in await flaws(page)]
                    assert await is_as_wide_as_its_window(page), (step.title, window)
                if step.title == "The code arrives by itself":
                    await _goes_back_and_survives_a_reload(page, number)
                    await page.get_by_role("button", name="Copy code").click()
                    assert await clipboard(page) == await latest_code(client)
                await page.locator("#tour-next").click()
            await expect(page.locator("#tour")).to_be_hidden()
            codes = [sms["code"] for sms in (await client.get("/world/books")).json()["messages"]]
            await page.reload()
            await expect(page.locator("#tour")).to_be_hidden()
            await resize(page, "phone")
            await page.locator("#back").click()
            await page.locator(f'[data-chat="{OMAR}"]').click()
            for code in codes:
                await expect(page.locator(f'.words code[aria-label="Copy {code}"]')).to_have_count(1)
            assert len(codes) == 3
            assert (await client.get("/backstage/")).json()["switches"]["arrivals"]
            assert tab.complaints == []
        await command.prints("was killed by SIGKILL")
    assert "\n".join(found) == ""


async def _goes_back_and_survives_a_reload(page: Page, number: int) -> None:
    await page.locator("#tour-back").click()
    await expect(page.locator("#tour-place")).to_contain_text(f"Step {number - 1} ")
    await page.reload()
    await expect(page.locator("#tour-place")).to_contain_text(f"Step {number - 1} ")
    await page.locator("#tour-next").click()
    await expect(page.locator("#tour-do")).to_be_hidden()


@pytest.mark.asyncio(loop_scope="session")
async def test_somebody_who_has_read_nothing_has_a_code_soon(browser: Browser, tmp_path: Path) -> None:
    clock = asyncio.get_running_loop().time
    async with otpdesk(tmp_path, "demo", "--port", "0") as command:
        url = (await command.prints(r"The desk is open: (http://127\.0\.0\.1:\d+)"))[1]
        async with http_client(url) as client, opened(browser, url) as tab:
            started = clock()
            await tab.page.get_by_role("button", name="Order one as Omar").click()
            await tab.page.get_by_role("button", name="Send").click()
            await tab.page.get_by_role("button", name="Copy code").click(timeout=2 * PATIENCE_MS)
            assert await clipboard(tab.page) == await latest_code(client)
            assert clock() - started < 120
            assert tab.complaints == []


async def test_a_bot_that_is_killed_on_purpose_is_started_again_and_again(tmp_path: Path) -> None:
    told: list[str] = []
    # The path of the configuration, which comes last, is here how long the "bot" sleeps.
    async with BotProcess(BotCommand(("sleep",), tmp_path, {}), Path("60"), tmp_path / "log", told.append) as bot:

        async def kill_it_often() -> set[int]:
            seen = set()
            for start in range(1, 5):
                seen.add(bot.pid)
                bot.kill()

                async def is_back(start: int = start) -> bool:
                    return bot.starts > start and bot.is_running

                await eventually(is_back)
            return seen

        assert len(await bot.alongside(kill_it_often())) == 4
    assert sum("was killed by SIGKILL" in sentence for sentence in told) == 4
