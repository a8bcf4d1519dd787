"""Picture: the upper part of a report as a browser shows it, small enough for the documentation.

Needs selenium, Chromium and its driver (Debian: chromium, chromium-driver); reads a report only:

    python paper_figs/report_pictures.py results/demo docs/images/report_comparison.png [HEIGHT]
"""

from __future__ import annotations

import base64
import io
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

from PIL import Image

WIDTH, HEIGHT, SHOWN_WIDTH, COLORS = 1280, 1500, 960, 96


def picture(page: Path, browser: str, driver: str, height: int = HEIGHT) -> bytes:
    """Return a page's upper part in a window of ``WIDTH`` pixels, as PNG."""
    from selenium import webdriver
    from selenium.webdriver.chrome.service import Service

    options = webdriver.ChromeOptions()
    options.binary_location = browser
    for flag in (
        "--headless=new",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-dev-shm-usage",
        "--hide-scrollbars",
    ):
        options.add_argument(flag)
    window = webdriver.Chrome(options=options, service=Service(executable_path=driver))
    try:
        size = {"width": WIDTH, "height": height, "deviceScaleFactor": 1, "mobile": False}
        window.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
        window.get(page.resolve().as_uri())
        window.execute_async_script(
            "requestAnimationFrame(() => requestAnimationFrame(arguments[0]));"
        )
        shot = window.execute_cdp_cmd("Page.captureScreenshot", {"format": "png"})
    finally:
        window.quit()
    return base64.b64decode(shot["data"])


def small(shot: bytes) -> bytes:
    """Return a picture of fewer pixels and colors, as PNG."""
    image = Image.open(io.BytesIO(shot)).convert("RGB")
    height = round(image.height * SHOWN_WIDTH / image.width)
    image = image.resize((SHOWN_WIDTH, height), Image.Resampling.LANCZOS)
    file = io.BytesIO()
    # The median cut would give all colors to the shades of gray and take the lines' own away.
    few = image.quantize(COLORS, Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE)
    few.save(file, "PNG", optimize=True)
    return file.getvalue()


def main(arguments: Sequence[str]) -> int:
    """Take the picture of a result folder's report."""
    if len(arguments) not in (2, 3) or Path(arguments[1]).suffix != ".png":
        print("usage: report_pictures.py RESULT_FOLDER PICTURE.png [HEIGHT]", file=sys.stderr)
        return 2
    page = Path(arguments[0]) / "report.html"
    browser, driver = shutil.which("chromium"), shutil.which("chromedriver")
    if not page.is_file():
        print(f"{page}: expected a report; markopt report makes it", file=sys.stderr)
        return 2
    if browser is None or driver is None:
        print(
            "report_pictures.py: needs chromium and chromedriver, both on the PATH", file=sys.stderr
        )
        return 2
    height = int(arguments[2]) if len(arguments) == 3 else HEIGHT
    Path(arguments[1]).write_bytes(small(picture(page, browser, driver, height)))
    print(arguments[1])
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
