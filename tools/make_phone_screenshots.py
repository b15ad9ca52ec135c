"""docs/phone-*.png: the real page in headless Chromium at the size of a phone, while `deploy` measures through it.

python -m tools.make_phone_screenshots
"""

from __future__ import annotations

import base64
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec

from edgebench import deploy
from edgebench.schema import plan
from edgebench.schema.targets import Target
from tests.support.browser import Browser, url_in

ROOT = Path(__file__).parents[1]
PHONE = Target(name="phone", transport="web", lan=True, https=True, runtimes=("onnxruntime-web", "litert-web"))
# A phone of 390 x 844 points at twice the pixels.
SCREEN = {"width": 390, "height": 844, "deviceScaleFactor": 1.5, "mobile": True}


class Photographer:
    """Opens the page that `deploy` shows, and takes pictures when it has come so far."""

    def __init__(self) -> None:
        self.browser = Browser("--ignore-certificate-errors")
        self.browser.call("Emulation.setDeviceMetricsOverride", **SCREEN)

    @contextmanager
    def step(self, label: str, total: float | None = None) -> Iterator[Photographer]:
        yield self

    def advance(self, amount: float = 1.0, note: str = "") -> None:
        if note == "round 4":
            self.take("measuring")

    def say(self, line: str) -> None:
        url = url_in(line)
        if url:
            self.browser.open(url)

    def take(self, name: str) -> None:
        image = self.browser.call("Page.captureScreenshot", captureBeyondViewport=False)["data"]
        (ROOT / f"docs/phone-{name}.png").write_bytes(base64.b64decode(image))


def main() -> None:
    photographer = Photographer()
    effort = msgspec.structs.replace(plan.named("quick"), rounds_min=8, seconds_max=20.0, precision=0.5)
    with tempfile.TemporaryDirectory() as folder:
        sources = deploy.artifacts_at([ROOT / "tests/data/bundle"])
        deploy.deploy(PHONE, sources, effort, Path(folder), progress=photographer)
    photographer.take("done")
    photographer.browser.close()


if __name__ == "__main__":
    main()
