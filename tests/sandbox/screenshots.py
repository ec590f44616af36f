"""Take the pictures in docs/images from the running demo: `make screenshots` (needs Debian's chromium)."""

import asyncio
import sys
from pathlib import Path

from playwright.async_api import Page, async_playwright

CHROMIUM = "/usr/bin/chromium"
FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--no-first-run",
)
IMAGES = Path("docs/images")
PORT = 8093
_READY = f"http://127.0.0.1:{PORT}"


async def _order_as_omar(page: Page) -> None:
    await page.goto(_READY)
    await page.locator("#people button").nth(1).click()
    box = page.locator("#text")
    for command in ("/catalog whatsapp indonesia", "/order whatsapp indonesia note=login test, build 214"):
        await box.fill(command)
        await box.press("Enter")
        await page.wait_for_timeout(1500)
    await page.get_by_text("🔑").first.wait_for(timeout=30_000)
    await page.get_by_text("The code is here").first.wait_for(timeout=10_000)
    await page.wait_for_timeout(500)


async def _take() -> None:
    demo = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "bot", "demo", "--port", str(PORT), stdout=asyncio.subprocess.PIPE
    )
    try:
        assert demo.stdout is not None
        while _READY.encode() not in await demo.stdout.readline():
            pass
        async with async_playwright() as playwright:
            browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=list(FLAGS))
            page = await browser.new_page(viewport={"width": 1280, "height": 800}, color_scheme="light")
            await _order_as_omar(page)
            await page.screenshot(path=IMAGES / "chat.png")
            await browser.close()
    finally:
        demo.terminate()
        await demo.wait()


if __name__ == "__main__":
    IMAGES.mkdir(parents=True, exist_ok=True)
    asyncio.run(_take())
