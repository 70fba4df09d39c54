"""A page in a real browser: what it asks of the network, says on the console, and shows."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

__all__ = ["Viewed", "obstacle", "running_browser", "viewing"]

_PROGRAM: Final = "chromium"
_CONTRASTS: Final = """() => {
  const channels = (color) => color.match(/[\\d.]+/g).map(Number);
  const luminance = ([r, g, b]) => [r, g, b].map((c) => c / 255)
    .map((c) => c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4)
    .reduce((sum, c, i) => sum + c * [0.2126, 0.7152, 0.0722][i], 0);
  const behind = (element) => {
    for (let one = element; one; one = one.parentElement) {
      const color = channels(getComputedStyle(one).backgroundColor);
      if (color.length === 3 || color[3] === 1) return color;
    }
    return [255, 255, 255];
  };
  const ratio = (a, b) => { const [low, high] = [a, b].map(luminance).sort((x, y) => x - y);
    return (high + 0.05) / (low + 0.05); };
  const found = [];
  for (const element of document.querySelectorAll("body *")) {
    const style = getComputedStyle(element), ground = behind(element);
    const says = [...element.childNodes].some((node) => node.nodeType === 3 && node.textContent.trim());
    if (says && element.checkVisibility() && !element.closest("script, .unseen"))
      found.push(["text", ratio(channels(style.color), ground), element.textContent.slice(0, 40)]);
    for (const paint of ["fill", "stroke"])
      if (element.tagName === "path" && style[paint] !== "none" && !element.matches(".grid"))
        found.push(["shape", ratio(channels(style[paint]), ground), element.getAttribute("class")]);
  }
  return found;
}"""


@dataclass
class Viewed:
    """A page, and what has happened so far."""

    page: Page
    requests: list[str] = field(default_factory=list)
    messages: list[str] = field(default_factory=list)
    """On the console, errors of scripts too."""

    def contrasts(self) -> list[tuple[str, float, str]]:
        """Return the contrast of each text and each shape with what is behind it: kind, ratio (WCAG 2), which one."""
        found: list[tuple[str, float, str]] = self.page.evaluate(_CONTRASTS)
        return found

    def width(self) -> int:
        """Return the width of what could be scrolled to."""
        width: int = self.page.evaluate("document.documentElement.scrollWidth")
        return width

    def all(self, selector: str, script: str) -> list[Any]:
        """Return the value of an expression in `one` for each element."""
        found: list[Any] = self.page.eval_on_selector_all(selector, f"all => all.map(one => {script})")
        return found


def obstacle() -> str | None:
    """Return why no browser can be started; None if one can."""
    if shutil.which(_PROGRAM) is None:
        return f"no {_PROGRAM} here; 'make services' installs it"
    return None


@contextmanager
def running_browser() -> Iterator[Browser]:
    """Start the browser of the system, without a window."""
    from playwright.sync_api import sync_playwright  # noqa: PLC0415 - not installed everywhere

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=shutil.which(_PROGRAM), args=["--no-sandbox"], chromium_sandbox=False
        )
        try:
            yield browser
        finally:
            browser.close()


@contextmanager
def viewing(
    browser: Browser, file: Path, *, width: int = 1000, scheme: Literal["light", "dark"] = "light"
) -> Iterator[Viewed]:
    """Open a file."""
    context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme)
    try:
        page = context.new_page()
        viewed = Viewed(page)
        page.on("request", lambda request: viewed.requests.append(request.url))
        page.on("console", lambda message: viewed.messages.append(message.text))
        page.on("pageerror", lambda error: viewed.messages.append(str(error)))
        page.goto(file.as_uri())
        yield viewed
    finally:
        context.close()
