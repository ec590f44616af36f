"""Take the pictures in docs/images from the running demo: `make screenshots`.

Needs Debian's packages chromium, fonts-inter and fonts-noto-color-emoji: the page uses the fonts of whoever looks, and
a bare machine has none worth a picture.
"""

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from playwright.async_api import Browser, Page, async_playwright, expect

from tests.sandbox.conftest import CHROMIUM, CHROMIUM_ARGUMENTS

IMAGES = Path("docs/images")
PORT = 8093
PATIENCE_MS = 30_000
UP_TO = "The code arrives by itself"


@asynccontextmanager
async def demo() -> AsyncIterator[str]:
    """The demo as a program of its own; gives the page's address once it is open."""
    url = f"http://127.0.0.1:{PORT}"
    words = (sys.executable, "-m", "bot", "demo", "--port", str(PORT))
    demo = await asyncio.create_subprocess_exec(*words, stdout=asyncio.subprocess.PIPE)
    try:
        assert demo.stdout is not None
        while url.encode() not in await demo.stdout.readline():
            pass
        yield url
    finally:
        demo.terminate()
        await demo.wait()


async def _tour(page: Page, up_to: str) -> None:
    """Click through the tour until the step called `up_to` has been seen."""
    await page.get_by_role("button", name="Take the tour", exact=True).last.click()
    while True:
        title = await page.locator("#tour-title").inner_text()
        for index in range(await page.locator("#tour-acts li").count()):
            await page.locator("#tour-do").click()
            done = page.locator(f"#tour-acts li:nth-child({index + 1})[data-state=done]")
            await done.or_(page.locator("#dialog[open]")).first.wait_for(timeout=PATIENCE_MS)
            if await page.locator("#dialog").is_visible():
                await page.locator("#dialog-ok").click()
            await expect(done).to_be_visible(timeout=PATIENCE_MS)
        if title == up_to:
            return
        await page.locator("#tour-next").click()


async def _take(browser: Browser, name: str, size: tuple[int, int], scheme: Any) -> None:
    width, height = size
    async with demo() as url:
        page = await browser.new_page(viewport={"width": width, "height": height}, color_scheme=scheme)
        await page.goto(url)
        await _tour(page, UP_TO)
        # The card of the order is edited once its code is there; the panel looks every second.
        await page.get_by_text("The code is here").first.wait_for(state="attached", timeout=PATIENCE_MS)
        await page.wait_for_timeout(1500)
        await page.screenshot(path=IMAGES / name)
        await page.close()


async def _main() -> None:
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=CHROMIUM_ARGUMENTS)
        await _take(browser, "chat.png", (1360, 850), "light")
        await _take(browser, "phone.png", (390, 780), "dark")
        await browser.close()


if __name__ == "__main__":
    IMAGES.mkdir(parents=True, exist_ok=True)
    asyncio.run(_main())
