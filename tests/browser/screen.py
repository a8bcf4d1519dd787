"""A headless Chromium without a network, and what a reader would see and hear of in it."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

from selenium import webdriver
from selenium.webdriver import ActionChains
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.keys import Keys

LOCAL = ("file:", "data:", "blob:", "about:", "chrome:")
FOCUS = """
const at = document.activeElement, box = at.getBoundingClientRect(), style = getComputedStyle(at);
return {
  id: at.id, name: at.getAttribute("aria-label") || at.textContent.trim(),
  outline: style.outlineStyle === "none" ? 0 : parseFloat(style.outlineWidth),
  seen: box.width > 0 && box.right > 0 && box.left < innerWidth
    && box.bottom > 0 && box.top < innerHeight,
};
"""
CHARTS = """
return [...document.querySelectorAll(".figure")].map((plot) => {
  const marks = [...plot.querySelectorAll("g.trace path, g.trace rect, g.trace use")];
  const box = (node) => node.getBoundingClientRect();
  return {
    id: plot.id,
    asked: JSON.parse(document.getElementById("figures").textContent)[plot.id].data.length,
    known: (plot._fullData || []).length,
    drawn: plot.querySelectorAll("g.trace").length,
    marks: marks.filter((mark) => box(mark).width > 1 || box(mark).height > 1).length,
    width: plot._fullLayout ? plot._fullLayout.width : 0,
    room: plot.clientWidth,
  };
});
"""
LABELS = """
// Words of each figure with their boxes, axis by axis.
const boxes = (plot, selector) => [...plot.querySelectorAll(selector)]
  .filter((text) => text.textContent.trim())
  .map((text) => {
    const {left, right, top, bottom} = text.getBoundingClientRect();
    return {text: text.textContent, left, right, top, bottom};
  });
return [...document.querySelectorAll(".figure")].map((plot) => ({
  id: plot.id,
  box: plot.getBoundingClientRect().toJSON(),
  axes: ["x", "y", "x2", "y2"].map((axis) => boxes(plot, `g.${axis}tick text`)),
  words: boxes(plot, "svg.main-svg text"),
}));
"""
CONTRAST = """
// The contrast (WCAG 2) of all text that does not lie on a bar.
const channel = (c) => (c /= 255) <= 0.03928 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4;
const numbers = (color) => color.match(/[\\d.]+/g).map(Number);
const parts = [0.2126, 0.7152, 0.0722];
const light = (rgb) => parts.reduce((sum, part, at) => sum + part * channel(rgb[at]), 0);
const ground = (node) => {
  for (let at = node; at; at = at.parentElement) {
    const color = numbers(getComputedStyle(at).backgroundColor);
    if (color.length < 4 || color[3] === 1) return color;
  }
  return [255, 255, 255];
};
const found = [];
for (const node of document.querySelectorAll("body *")) {
  const own = [...node.childNodes].some((at) => at.nodeType === 3 && at.textContent.trim());
  if (!own || node.closest("script, style, noscript, .bars")) continue;
  if (!node.getClientRects().length) continue;
  const style = getComputedStyle(node);
  const ink = node.closest("svg") ? style.fill : style.color;
  const [a, b] = [light(numbers(ink)), light(ground(node))].sort((x, y) => y - x);
  found.push({text: node.textContent.trim(), ratio: (a + 0.05) / (b + 0.05)});
}
return found;
"""


class Screen:
    """A browser window of a wanted width and color scheme, in which a local page is opened."""

    def __init__(self, binary: str, driver: str) -> None:
        options = webdriver.ChromeOptions()
        options.binary_location = binary
        for flag in (
            "--headless=new",
            "--no-sandbox",  # in a container root has no user namespace to give it
            "--disable-dev-shm-usage",
            "--disable-gpu",
            "--hide-scrollbars",
            "--host-resolver-rules=MAP * ~NOTFOUND",  # no name resolves: offline
        ):
            options.add_argument(flag)
        options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
        self.driver = webdriver.Chrome(options=options, service=Service(executable_path=driver))
        self.command = self.driver.execute_cdp_cmd
        self.command("Network.enable", {})
        unreachable = {
            "offline": True,
            "latency": 0,
            "downloadThroughput": 0,
            "uploadThroughput": 0,
        }
        self.command("Network.emulateNetworkConditions", unreachable)

    def open(self, page: Path, *, width: int = 1280, dark: bool = False) -> None:
        """Open a page and wait until it has settled; earlier messages are forgotten."""
        self.resize(width)
        self.use_scheme(dark=dark)
        self.messages()
        self.requests()
        self.driver.get(page.as_uri())
        self.settle()

    def resize(self, width: int, height: int = 900) -> None:
        """Give the window another size."""
        size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
        self.command("Emulation.setDeviceMetricsOverride", size)

    def use_scheme(self, *, dark: bool) -> None:
        """Give the window a color scheme; nothing moves, so that focus is seen at once."""
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        still = {"name": "prefers-reduced-motion", "value": "reduce"}
        self.command("Emulation.setEmulatedMedia", {"features": [scheme, still]})

    def settle(self) -> None:
        """Wait until two frames are painted, so that observers of sizes have had their turn."""
        self.driver.execute_async_script(
            "const done = arguments[0];"
            "requestAnimationFrame(() => requestAnimationFrame(() => setTimeout(done, 0)));"
        )

    def ask(self, script: str) -> Any:
        """Return what a script says of the page."""
        return self.driver.execute_script(script)

    def messages(self) -> list[str]:
        """Return what the console has shown since the last time: errors and warnings."""
        entries = self.driver.get_log("browser")
        return [e["message"] for e in entries if e["level"] in ("SEVERE", "WARNING")]

    def requests(self) -> list[str]:
        """Return the addresses beyond this machine that were asked for since the last time."""
        found = []
        for entry in self.driver.get_log("performance"):
            message = json.loads(entry["message"])["message"]
            if message["method"] == "Network.requestWillBeSent":
                url = message["params"]["request"]["url"]
                if not url.startswith(LOCAL):
                    found.append(url)
        return found

    def press(self, key: str) -> None:
        """Press a key."""
        ActionChains(self.driver).send_keys(key).perform()

    def tab(self) -> dict[str, Any]:
        """Press Tab and return what has the focus now."""
        self.press(Keys.TAB)
        self.settle()
        return self.ask(FOCUS)

    def until(self, script: str, within_s: float = 10.0) -> Any:
        """Wait for a script to say something true, and return it, or its last answer."""
        end = time.monotonic() + within_s
        while not (found := self.ask(script)) and time.monotonic() < end:
            self.settle()
        return found

    def close(self) -> None:
        """End the browser."""
        self.driver.quit()
