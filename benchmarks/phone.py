"""What measuring through a phone's browser costs, in headless Chromium on this machine.

    page assets     bytes of both runtimes, compressed, as they travel
    hello           from opening the page's address in a running browser until the host knows it
    first sample    from `deploy` over adb reverse (the real adb, tests/support/fake_adbd.py) until the first values
    loop            the page's timed loop over a bare loop in the same web worker: medians of each, taking turns
    server          resident memory of the server's process after a job (VmHWM)

Exit code 3 if a gate is missed. Needs chromium and adb (Debian packages).
"""

from __future__ import annotations

import contextlib
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import msgspec

from benchmarks import report
from benchmarks.models import all_models
from edgebench import deploy
from edgebench.device.phone import assets
from edgebench.device.phone.link import Link, PageAccess
from edgebench.files import cache
from edgebench.progress import Silent
from edgebench.schema import bundle, plan
from edgebench.schema.targets import Target
from tests.support.browser import Browser, browser, url_in

ROOT = Path(__file__).parents[1]
BUNDLE = ROOT / "tests/data/bundle"
RUNTIMES = ("onnxruntime-web", "litert-web")
MAX_ASSETS_BYTES, MAX_HELLO_S, MAX_LOOP_RATIO, MAX_SERVER_BYTES = 13_000_000, 2.0, 1.03, 30_000_000
TURNS, VALUES = 40, 100


class Watcher:
    """Opens the page that `deploy` shows, and notes when what happened."""

    def __init__(self, browser: Browser) -> None:
        self._browser = browser
        self.seen_s: dict[str, float] = {}

    @contextmanager
    def step(self, label: str, total: float | None = None) -> Iterator[Watcher]:
        yield self

    def advance(self, amount: float = 1.0, note: str = "") -> None:
        self.seen_s.setdefault(note, time.monotonic())

    def say(self, line: str) -> None:
        url = url_in(line)
        if url:
            self._browser.open(url)


def assets_bytes() -> int:
    folder = assets.ensure(Silent(), None)
    usual = [package.folder for package in assets.PACKAGES if package.runtime in assets.USUAL]
    return sum(path.stat().st_size for name in usual for path in (folder / name).glob("*.gz"))


def hello_s(opened: Browser) -> float:
    """Median of five."""
    taken = []
    target = Target(name="benchmark-hello", transport="web", runtimes=RUNTIMES)
    for _ in range(5):
        link = Link(target, PageAccess("127.0.0.1", ("localhost", "127.0.0.1")))
        with contextlib.closing(link):
            link.start(Silent())
            begun = time.monotonic()
            opened.open(link.url)
            link.wait_for_page(Silent(), "")
            taken.append(time.monotonic() - begun)
            opened.open("about:blank")
            link.stop()
    return statistics.median(taken)


def first_sample_s(opened: Browser) -> tuple[float, int]:
    """Seconds, and the server's high-water mark in bytes after the job."""
    with tempfile.TemporaryDirectory() as folder, phone_on_cable(Path(folder)) as serial:
        target = Target(name="benchmark-usb", transport="adb", agent="browser", host=serial, runtimes=RUNTIMES)
        watcher = Watcher(opened)
        begun = time.monotonic()
        effort = msgspec.structs.replace(plan.named("quick"), rounds_min=3, seconds_max=0.5)
        deploy.deploy(target, deploy.artifacts_at([BUNDLE]), effort, Path(folder) / "results", progress=watcher)
        return watcher.seen_s["round 1"] - begun, server_bytes(cache.folder() / "phone" / target.name)


@contextmanager
def phone_on_cable(folder: Path) -> Iterator[str]:
    root = folder / "phone"
    (root / "bin").mkdir(parents=True)
    for name in ("am", "getprop", "dumpsys"):
        (root / "bin" / name).write_text("#!/bin/sh\n")
        (root / "bin" / name).chmod(0o755)
    command = [sys.executable, str(ROOT / "tests/support/fake_adbd.py"), str(root)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as adbd:
        assert adbd.stdout is not None
        serial = f"127.0.0.1:{adbd.stdout.readline().strip()}"
        os.environ["ANDROID_ADB_SERVER_PORT"] = "15737"
        subprocess.run(["adb", "connect", serial], check=True, capture_output=True)
        try:
            yield serial
        finally:
            subprocess.run(["adb", "kill-server"], capture_output=True)
            adbd.kill()


def server_bytes(workdir: Path) -> int:
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            words = (process / "cmdline").read_text().split("\0")
            if "edgebench.device.phone.server" in words and str(workdir) in words[-2]:
                found = re.search(r"VmHWM:\s+(\d+) kB", (process / "status").read_text())
                return int(found[1]) * 1024 if found else 0
    raise SystemExit("the server is gone before it was looked at")


def loop_ratio(opened: Browser, runtime: str, model: Path, turns: int) -> tuple[float, float]:
    """(bare median in us, ratio): the ratio's median over TURNS of both loops, in one web worker and random order."""
    target = Target(name="benchmark-loop", transport="web", runtimes=RUNTIMES)
    (package,) = [one for one in assets.PACKAGES if one.runtime == runtime]
    link = Link(target, PageAccess("127.0.0.1", ("localhost", "127.0.0.1")))
    with contextlib.closing(link):
        link.start(Silent())
        sha256 = bundle.file_ref(model.parent, model).sha256
        blobs = link.workdir / "blobs"
        blobs.mkdir(parents=True, exist_ok=True)
        (blobs / sha256).write_bytes(model.read_bytes())
        opened.open(link.url)
        link.wait_for_page(Silent(), "")
        filled = {"RUNTIME": runtime, "FOLDER": package.folder, "SHA256": sha256, "TINY": tiny_model(runtime)}
        script = _LOOPS
        for name, value in {**filled, "COUNT": str(VALUES), "TURNS": str(turns)}.items():
            script = script.replace(name, value)
        pairs: list[list[float]] = opened.run(script)
        opened.open("about:blank")
        link.stop()
    bare = statistics.median(one for one, _ in pairs)
    return bare / 1e3, statistics.median(page / one for one, page in pairs)


def tiny_model(runtime: str) -> str:
    from device_agents.python import runtimes

    tiny: str = runtimes.module(runtime).TINY_MODEL
    return tiny


# In the page: a web worker with all of worker.js and, beside its verbs, the loop that anybody would write.
_LOOPS = """
(async () => {
  const source = `
    importScripts("${location.origin}/worker.js");
    let call = null;
    VERBS.models = async ({bytes, name}) => {
      session = await runtimes[name].load(bytes, {});
      session.inputs().forEach((input, index) => session.feed(index, madeUp(input)));
      if (name === "litert-web") {
        const {model, compiled} = await litertCompile(bytes);
        const buffer = litertBuffer(litertTensor(model.getInputTensorType(0, 0), "input"));
        call = () => { for (const output of compiled.run(0, [buffer])) output.delete(); };
      } else {
        const own = await ort.InferenceSession.create(bytes, {executionProviders: ["wasm"]});
        const {name: input, shape, bytes: size} = session.inputs()[0];
        const feeds = {[input]: new ort.Tensor("float32", new Float32Array(size / 4).fill(0.5), shape)};
        call = () => own.run(feeds);
      }
    };
    VERBS.bare = async ({count}) => {
      const values = [];
      for (let index = 0; index < count; index++) {
        const before = performance.now();
        await call();
        values.push(performance.now() - before);
      }
      return values.map((value) => value * 1e6);
    };
  `;
  const worker = new Worker(URL.createObjectURL(new Blob([source], {type: "text/javascript"})));
  const ask = (request) => new Promise((resolve, reject) => {
    worker.onmessage = ({data}) => data.error ? reject(new Error(data.error)) : resolve(data.ok);
    worker.postMessage({id: 1, ...request});
  });
  const answer = await fetch("/b/SHA256", {headers: {Authorization: "Bearer " + token}});
  const bytes = new Uint8Array(await answer.arrayBuffer());
  const script = location.origin + "/runtimes/RUNTIME.js", assets = location.origin + "/assets/FOLDER/";
  await ask({do: "runtime", name: "RUNTIME", script, assets, options: {threads: 1}, tiny: "TINY"});
  await ask({do: "models", name: "RUNTIME", bytes});
  const median = (values) => values.sort((a, b) => a - b)[values.length >> 1];
  const page = async () => median((await ask({do: "time", count: COUNT, block: 1, epoch_ms: 0})).values_ns);
  const bare = async () => median(await ask({do: "bare", count: COUNT}));
  for (let warm = 0; warm < 5; warm++) { await page(); await bare(); }
  const pairs = [];
  for (let turn = 0; turn < TURNS; turn++) {
    if (Math.random() < 0.5) { const first = await bare(); pairs.push([first, await page()]); }
    else { const first = await page(); pairs.push([await bare(), first]); }
  }
  return pairs;
})()
"""


def main(arguments: Sequence[str]) -> int:
    turns = 5 if "--quick" in arguments else TURNS
    print(f"{report.conditions()}, load {report.load():.1f}\n")
    size = assets_bytes()
    with browser() as opened:
        hello = hello_s(opened)
        first, server = first_sample_s(opened)
        loops = {name: loop_ratio(opened, name, model, turns) for name, model in models().items()}
    found = [
        (
            "page assets, compressed",
            f"{size / 1e6:.1f} MB",
            f"<= {MAX_ASSETS_BYTES / 1e6:.0f} MB",
            size <= MAX_ASSETS_BYTES,
        ),
        ("hello on loopback", f"{hello:.2f} s", f"<= {MAX_HELLO_S:g} s", hello <= MAX_HELLO_S),
        ("deploy to first sample, adb reverse", f"{first:.1f} s", "none", True),
        (
            "server, high-water mark",
            f"{server / 1e6:.1f} MB",
            f"<= {MAX_SERVER_BYTES / 1e6:.0f} MB",
            server <= MAX_SERVER_BYTES,
        ),
    ]
    for name, (bare_us, ratio) in loops.items():
        gate = ratio <= MAX_LOOP_RATIO
        found.append((f"loop, {name} ({bare_us:.0f} us)", f"{ratio:.3f}", f"<= {MAX_LOOP_RATIO}", gate))
    report.print_table(
        ("what", "measured", "gate", "met"),
        [(what, value, gate, "" if gate == "none" else "yes" if met else "NO") for what, value, gate, met in found],
    )
    return 0 if all(met for *_, met in found) else 3


def models() -> dict[str, Path]:
    """A network for each runtime that takes about 0.3 ms natively, several times that in a browser."""
    known = {(model.runtime, model.name): model.path for model in all_models()}
    return {f"{runtime}-web": known[runtime, "conv300-fp32"] for runtime in ("onnxruntime", "litert")}


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
