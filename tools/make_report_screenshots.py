"""docs/images/report-*.png: the page of a comparison in headless Chromium, at two widths and in both schemes.

python -m tools.make_report_screenshots RESULTS
"""

from __future__ import annotations

import base64
import io
import sys
import tempfile
import time
from pathlib import Path

from PIL import Image

from edgebench import compare
from edgebench.analysis import report
from tests.support.browser import Browser

IMAGES = Path(__file__).parents[1] / "docs" / "images"
# Width and height in points; a telephone's first screens stand side by side.
SIZES = {1400: 1250, 390: 844}
COLOURS = 256
# The sections whose first screen is shown, from the top of the page on.
SHOWN = {1400: ("h1", "Ratios to the baseline"), 390: ("h1", "Ratios to the baseline", "Single latencies")}


def main() -> None:
    asked = compare.Asked()
    made = compare.of_found(compare.find(Path(sys.argv[1]), asked), asked, compare.Terms())
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "report.html"
        report.write(made, "html", path)
        browser = Browser()
        for width, height in SIZES.items():
            browser.call(
                "Emulation.setDeviceMetricsOverride",
                width=width,
                height=height,
                deviceScaleFactor=1,
                mobile=width < 600,
            )
            for scheme in ("light", "dark"):
                features = [{"name": "prefers-color-scheme", "value": scheme}]
                browser.call("Emulation.setEmulatedMedia", features=features)
                browser.open(path.as_uri())
                time.sleep(6)  # until all charts are drawn
                taken = [_taken(browser, heading, width, height) for heading in SHOWN[width]]
                _save(taken, IMAGES / f"report-{width}-{scheme}.png", aside=width < 600)
        browser.close()


def _taken(browser: Browser, heading: str, width: int, height: int) -> Image.Image:
    found = f"[...document.querySelectorAll('h2')].find(one => one.textContent === '{heading}')?.parentElement"
    top = 0 if heading == "h1" else browser.run(f"{found}.getBoundingClientRect().top + scrollY - 14")
    clip = {"x": 0, "y": top, "width": width, "height": height, "scale": 1}
    data = browser.call("Page.captureScreenshot", captureBeyondViewport=True, clip=clip)["data"]
    return Image.open(io.BytesIO(base64.b64decode(data))).convert("RGB")


def _save(taken: list[Image.Image], path: Path, *, aside: bool) -> None:
    gap = 12
    widths, heights = [one.width for one in taken], [one.height for one in taken]
    size = (sum(widths) + gap * (len(taken) - 1), heights[0]) if aside else (widths[0], sum(heights))
    whole = Image.new("RGB", size, "#8a94a0")
    at = 0
    for one in taken:
        whole.paste(one, (at, 0) if aside else (0, at))
        at += one.width + gap if aside else one.height
    path.parent.mkdir(exist_ok=True)
    whole.quantize(COLOURS, dither=Image.Dither.NONE).save(path, optimize=True)


if __name__ == "__main__":
    main()
