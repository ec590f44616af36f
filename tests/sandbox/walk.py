"""Take the pictures of docs/walk.md: `make screenshots`. One demo, walked through as each of its people."""

import asyncio

from playwright.async_api import Page, async_playwright

from tests.sandbox.conftest import CHROMIUM, CHROMIUM_ARGUMENTS
from tests.sandbox.screenshots import IMAGES, PATIENCE_MS, demo

ADA, OMAR, SAM, TEAM = range(4)
SETTLED_MS = 1200


class Walk:
    """A person at the page: goes to a chat, types, taps, waits for words, takes a picture."""

    def __init__(self, page: Page) -> None:
        self._page = page

    async def go(self, place: int) -> None:
        """Be somebody, or look into the team's group."""
        await self._page.locator("#people button").nth(place).click()
        await self._page.wait_for_timeout(300)

    async def start(self, answer: str) -> None:
        """Press Start in a chat that is still empty."""
        await self._page.locator("#start").click()
        await self.sees(answer)

    async def say(self, text: str, answer: str) -> None:
        """Type something and wait for the words of its answer."""
        box = self._page.locator("#text")
        await box.fill(text)
        await box.press("Enter")
        await self.sees(answer)

    async def tap(self, label: str, answer: str) -> None:
        """Press the latest button that begins with that label and wait for what it brings."""
        await self._page.locator("#log").get_by_role("button", name=label).last.click()
        await self.sees(answer)

    async def close_popup(self) -> None:
        """Tap away what the bot has answered to a press."""
        await self._page.locator("#dialog-ok").click(timeout=PATIENCE_MS)

    async def sees(self, words: str) -> None:
        """Wait until these words stand in the chat."""
        await self._page.locator("#log").get_by_text(words).last.wait_for(state="attached", timeout=PATIENCE_MS)
        await self._page.wait_for_timeout(SETTLED_MS)

    async def picture(self, name: str) -> None:
        """Keep how the chat looks now."""
        await self._page.locator("#chat").screenshot(path=IMAGES / f"walk-{name}.jpg", type="jpeg", quality=80)

    async def up_to_the_plot(self) -> None:
        """Scroll to the latest picture in the chat."""
        await self._page.locator("#log img").last.scroll_into_view_if_needed(timeout=PATIENCE_MS)
        await self._page.wait_for_timeout(SETTLED_MS)


async def walk(person: Walk) -> None:
    """From a stranger to the month's spending."""
    await person.go(SAM)
    await person.start("This desk works for its team only")
    await person.say("Hello, I test sign-ups with Omar", "I test sign-ups")
    await person.tap("Ask for access", "This desk works")
    await person.close_popup()
    await person.go(ADA)
    await person.sees("asks to come in")
    await person.picture("access")
    await person.tap("Let in as viewer", "is a viewer now")

    await person.go(OMAR)
    await person.say("/order note=login test, build 214", "Platforms")
    await person.tap("whatsapp", "Indonesia · from")
    await person.tap("🇮🇩 Indonesia", "cheapest first")
    await person.picture("offers")
    await person.tap("Order the cheapest", "The code is here")
    await person.picture("code")
    await person.say("/order indonesia whatsapp", "The platform comes first")
    await person.say("/order whatsapp united kingdom", "I ask first")
    await person.picture("asked")
    await person.say("/history", "spent")
    await person.picture("history")
    await person.say("/usage", "left")
    await person.picture("usage")

    await person.go(SAM)
    await person.say("/order whatsapp indonesia", "needs the role")
    await person.say("/catalog whatsapp indonesia", "cheapest first")
    await person.picture("viewer")

    await person.go(ADA)
    await person.say("/role sam approver", "is an approver now")
    await person.go(OMAR)
    await person.say("/order telegram poland max=7000 note=regional test", "somebody else has to say yes")
    await person.go(SAM)
    await person.sees("needs your yes")
    await person.picture("approval")
    await person.tap("Approve", "Approved. #")
    await person.go(OMAR)
    await person.sees("Sam approved")
    await person.sees("Telegram · Poland")
    await person.picture("approved")

    await person.go(ADA)
    await person.sees("Sam approved it")
    await person.say("/audit omar", "Omar")
    await person.picture("audit")
    await person.say("/spend today", "half within")
    await person.up_to_the_plot()
    await person.picture("spend")
    await person.say("/pause audit week", "New orders are stopped")
    await person.say("/chats", "Where I work")


async def _main() -> None:
    async with async_playwright() as playwright, demo() as url:
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=CHROMIUM_ARGUMENTS)
        page = await browser.new_page(viewport={"width": 1080, "height": 760}, color_scheme="light")
        await page.goto(url)
        await page.get_by_text("Omar").first.wait_for(timeout=PATIENCE_MS)
        await walk(Walk(page))
        await browser.close()


if __name__ == "__main__":
    IMAGES.mkdir(parents=True, exist_ok=True)
    asyncio.run(_main())
