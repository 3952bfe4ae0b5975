"""Takes the screenshots of a report that stand in docs/results.md, in Debian's Chromium.

Usage: python -m tests.screenshots REPORT.html DIR

Writes report_light.png, report_dark.png and report_phone.png: the page from its top, its learning curves with the
pointer on one, and the same on a phone.
"""

from __future__ import annotations

import base64
import io
import sys
import tempfile
from pathlib import Path

from PIL import Image

from tests.browser import Browser, chromium

SHOTS = (
    ("light", 1200, 1330, "body", False),
    ("dark", 1200, 880, "#curves", False),
    ("phone", 390, 850, "#curves", True),
)
"""Name, width and height in CSS pixels, what stands at the top, and whether it is a phone, which is light."""


def main() -> None:
    report, folder = Path(sys.argv[1]).absolute(), Path(sys.argv[2])
    with tempfile.TemporaryDirectory() as profile, chromium(Path(profile)) as browser:
        for name, width, height, top, phone in SHOTS:
            browser.resize(width, height, phone=phone)
            browser.prefer("dark" if name == "dark" else "light")
            browser.open(report.as_uri())
            browser.wait("document.documentElement.dataset.drawn")
            browser.evaluate("document.querySelector(arguments[0]).scrollIntoView()", top)
            if top != "body":
                _point_at_the_last_curve(browser)
            taken = browser.driver.execute_cdp_cmd("Page.captureScreenshot", {"format": "png"})
            image = Image.open(io.BytesIO(base64.b64decode(taken["data"]))).convert("RGB")
            image.quantize(256, dither=Image.Dither.NONE).save(folder / f"report_{name}.png", optimize=True)


def _point_at_the_last_curve(browser: Browser) -> None:
    x, y = browser.evaluate(
        "[...document.querySelectorAll('#curves .view')].map((one) => one.getBoundingClientRect())"
        ".filter(({bottom}) => bottom < innerHeight)"
        ".map(({left, top, width, height}) => [left + width * 0.45, top + height * 0.4]).at(-1)"
    )
    browser.point(x, y)
    browser.wait("!document.getElementById('tooltip').hidden")


if __name__ == "__main__":
    main()
