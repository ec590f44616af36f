"""A page of the chat in a browser, and what is held against it: its console, its contrast, its accessibility."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.resources import files
from typing import Any

from playwright.async_api import Browser, Page

VIEWPORTS = {"desktop": (1440, 900), "phone": (390, 844)}


class Opened:
    """A page on the chat, and everything its console complained about."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.complaints: list[str] = []
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on("console", lambda line: self._note(line.type, line.text))

    def _note(self, kind: str, text: str) -> None:
        if kind in {"error", "warning"}:
            self.complaints.append(f"{kind}: {text}")


@asynccontextmanager
async def opened(
    browser: Browser, url: str, *, viewport: str = "desktop", scheme: Any = "light"
) -> AsyncIterator[Opened]:
    width, height = VIEWPORTS[viewport]
    context = await browser.new_context(
        viewport={"width": width, "height": height},
        color_scheme=scheme,
        permissions=["clipboard-read", "clipboard-write"],
    )
    page = Opened(await context.new_page())
    await page.page.goto(url)
    await page.page.wait_for_selector(".row")
    yield page
    await context.close()


async def resize(page: Page, viewport: str) -> None:
    """Make a window as wide and high as that one."""
    width, height = VIEWPORTS[viewport]
    await page.set_viewport_size({"width": width, "height": height})


async def clipboard(page: Page) -> str:
    return str(await page.evaluate("navigator.clipboard.readText()"))


AXE_RUN = "axe.run(document, {resultTypes: ['violations'], rules: {'color-contrast': {enabled: false}}})"
"""Without its look at contrast, half of its time: `FAINT_TEXT` asks for more, in a twentieth of that."""


async def flaws(page: Page) -> list[str]:
    """What axe finds that is serious or critical, and texts too faint for their ground, by what they are."""
    return await _inaccessible(page) + await _faint(page)


async def flaws_in_any_light(page: Page) -> list[str]:
    """The same in the light and in the dark, where only texts and their ground differ."""
    found = await _inaccessible(page)
    for scheme in ("light", "dark"):
        await page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
        found += [f"{scheme}: {flaw}" for flaw in await _faint(page)]
    return found


async def _inaccessible(page: Page) -> list[str]:
    if not await page.evaluate("'axe' in window"):
        await page.evaluate((files("axe_playwright_python") / "axe.min.js").read_text("utf-8"))
    found = await page.evaluate(AXE_RUN)
    assert found["passes"], "axe has looked at nothing"
    return [
        f"{violation['id']}: {node['html']}"
        for violation in found["violations"]
        if violation["impact"] in {"serious", "critical"}
        for node in violation["nodes"]
    ]


async def _faint(page: Page) -> list[str]:
    return list(await page.evaluate(FAINT_TEXT))


async def is_as_wide_as_its_window(page: Page) -> bool:
    """Whether nothing sticks out at the side."""
    return bool(await page.evaluate("document.documentElement.scrollWidth <= innerWidth"))


NAMELESS_CONTROLS = """
() => [...document.querySelectorAll("button, textarea, [role=button], a")]
  .filter((one) => one.checkVisibility())
  .filter((one) => !(one.getAttribute("aria-label") || one.textContent.trim()))
  .map((one) => one.outerHTML)
"""

# Contrast by WCAG 2.2, 1.4.3: 4.5 to 1 between a text and the nearest ground behind it that is not see-through.
FAINT_TEXT = """
() => {
  const canvas = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
  const rgba = (colour) => {
    canvas.clearRect(0, 0, 1, 1);
    canvas.fillStyle = colour;
    canvas.fillRect(0, 0, 1, 1);
    const [r, g, b, a] = canvas.getImageData(0, 0, 1, 1).data;
    return [r, g, b, a / 255];
  };
  const over = (top, under) => [0, 1, 2].map((i) => top[i] * top[3] + under[i] * (1 - top[3]));
  const ground = (node) => {
    const layers = [];
    for (let one = node; one; one = one.parentElement) {
      const colour = rgba(getComputedStyle(one).backgroundColor);
      layers.push(colour);
      if (colour[3] === 1) break;
    }
    return layers.reverse().reduce((under, top) => over(top, under), [255, 255, 255]);
  };
  const light = (colour) => {
    const linear = (part) => (part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4);
    const [r, g, b] = colour.map((part) => linear(part / 255));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const faint = [];
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  for (let text = walker.nextNode(); text; text = walker.nextNode()) {
    const node = text.parentElement;
    const hidden = !node.checkVisibility() || node.closest(".unseen, .skip, .spoiler:not(.shown), script, style");
    if (!text.data.trim() || hidden) continue;
    const under = ground(node);
    const [a, b] = [light(over(rgba(getComputedStyle(node).color), under)), light(under)];
    const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    if (ratio < 4.5) faint.push(`${text.data.trim()} (${node.className}): ${ratio.toFixed(2)}`);
  }
  return faint;
}
"""
