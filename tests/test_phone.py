"""The phone's page in a real headless Chromium, from `deploy` to the records."""

from __future__ import annotations

import os
import shutil
import signal
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest

from edgebench import cache as cache_
from edgebench import check, compare, data, deploy, feeding, plan, record, stats, verdict
from edgebench.errors import UserError
from edgebench.feeding import Feeding
from edgebench.phone import assets, link
from edgebench.phone.addresses import lan_addresses
from edgebench.plan import Plan
from edgebench.progress import Silent
from edgebench.record import FedInput, Record
from edgebench.report import _text, markdown
from edgebench.targets import Target
from tests import odd_models
from tests.browser import SOFTWARE_GPU, Browser, Person, browser, needs_chromium, url_in

BUNDLE = Path(__file__).parent / "data/bundle"
_DEPLOY = """
import contextlib, msgspec, sys
from pathlib import Path
from edgebench import deploy
from edgebench.plan import Plan
from edgebench.targets import Target

class Aloud:
    def step(self, label, total=None):
        return contextlib.nullcontext(self)
    def advance(self, amount=1.0, note=""):
        print(note, flush=True)
    def say(self, line):
        print(line, flush=True)

target, plan, bundle, results = sys.argv[1:]
target, plan = msgspec.json.decode(target, type=Target), msgspec.json.decode(plan, type=Plan)
sources = [one for one in deploy.sources([Path(bundle)]) if one.artifact.precision == "int8"]
deploy.deploy(target, sources, plan, Path(results), progress=Aloud())
"""
# The screen is locked, and unlocked again, while the next values are taken.
_LOCKED_WHILE_TIMING = """
{
  const ask = WebWorker.prototype.ask;
  WebWorker.prototype.ask = function (request) {
    const asked = ask.call(this, request);
    if (request.do === "time") {
      WebWorker.prototype.ask = ask;
      for (const value of ["hidden", "visible"]) {
        Object.defineProperty(document, "visibilityState", {value, configurable: true});
        document.dispatchEvent(new Event("visibilitychange"));
      }
    }
    return asked;
  };
}
"""
PHONE = Target(name="phone", transport="web", runtimes=("onnxruntime-web", "litert-web"))
pytestmark = [pytest.mark.phone, needs_chromium, pytest.mark.usefixtures("page_assets")]


@pytest.fixture
def person() -> Iterator[Person]:
    somebody = Person()
    yield somebody
    somebody.leave()


ALL = ("onnx-fp32", "onnx-int8", "tflite-fp32", "tflite-int8")
# Enough where it is about the connection, and quicker.
TWO = ("onnx-int8", "tflite-int8")


def measure(
    person: Person, plan: Plan, tmp_path: Path, target: Target = PHONE, only: Sequence[str] = TWO
) -> dict[str, Record]:
    sources = [one for one in deploy.sources([BUNDLE]) if one.artifact.name.endswith(tuple(only))]
    paths = deploy.deploy(target, sources, plan, tmp_path / "results", progress=person)
    records = [record.load(path) for path in paths]
    return {f"{one.artifact.format}-{one.artifact.precision}": one for one in records}


def assert_right(measured: dict[str, Record], rounds_min: int = 3) -> None:
    """Complete, checked, int8 to the bit; the floats as near as another order of additions brings them."""
    assert list(measured) in (list(ALL), list(TWO))
    for name, one in measured.items():
        assert one.outcome.status in ("complete", "budget"), one.outcome
        assert one.golden is not None and one.golden.passed and one.golden.agreement_with_host == 1
        assert one.golden.max_abs_diff is not None
        assert one.golden.max_abs_diff <= (0 if "int8" in name else 1e-5)
        assert len(one.rounds) >= rounds_min and one.warmup and one.load_ns and one.first_inference_ns
        assert one.memory is not None and one.memory.running["wasm_heap_bytes"] >= 1 << 20
        assert one.in_browser and one.target.transport == "web"
        assert one.runtime.name == ("onnxruntime-web" if "onnx" in name else "litert-web")


def test_a_browser_keeps_a_pace_and_answers_a_whole_test_set(person: Person, tiny_plan: Plan, tmp_path: Path) -> None:
    preprocessing = data.load("fashion-mnist-mini").preprocessing
    sources = [
        replace(one, artifact=msgspec.structs.replace(one.artifact, preprocessing=preprocessing))
        for one in deploy.sources([BUNDLE])
        if one.artifact.name.endswith(TWO)
    ]
    how = plan.with_accuracy(msgspec.structs.replace(tiny_plan, duty_hz=50.0, round_s=0.1))
    for path in deploy.deploy(PHONE, sources, how, tmp_path / "results", progress=person):
        one = record.load(path)
        assert one.rounds and all(round_.missed is not None and round_.block == 1 for round_ in one.rounds)
        # Five inferences, each begun 20 ms after the one before it; a browser's timers are a little early.
        assert all(round_.duration_ns is not None and round_.duration_ns >= 70_000_000 for round_ in one.rounds)
        assert one.answers is not None and one.artifact.parity is not None
        assert stats.accuracy(one.answers).value == one.artifact.parity.accuracy


@pytest.fixture(scope="session")
def lan() -> str:
    try:
        return lan_addresses()[0]
    except UserError:
        pytest.skip("this machine is in no network")


def test_an_isolated_page_has_a_fine_clock(person: Person, tiny_plan: Plan, tmp_path: Path) -> None:
    measured = measure(person, tiny_plan, tmp_path, only=ALL)
    assert_right(measured)
    facts = measured["onnx-int8"].facts_before
    assert facts.isolated and facts.secure_context and facts.clock_step_ns is not None and facts.clock_step_ns <= 20_000
    assert facts.browser is not None and facts.browser.startswith("Chrome ") and facts.cores
    assert {one.runtime.facts["threads"] for one in measured.values()} == {"1"}
    assert measured["tflite-fp32"].runtime.facts["build"] == "wasm simd"
    assert person.phone is not None and person.phone.headline() == "Done"
    assert "One thread, as asked for" in person.phone.run("document.body.innerText")
    assert_labelled(measured, tiny_plan, tmp_path)


def assert_labelled(phone: dict[str, Record], plan: Plan, tmp_path: Path) -> None:
    """Browser rows say what they are, and so does a ratio to native ones, which answer the same to the bit."""
    here = Target(name="here", transport="local")
    sources = [one for one in deploy.sources([BUNDLE]) if one.artifact.precision == "int8"]
    native = [record.load(path) for path in deploy.deploy(here, sources, plan, tmp_path / "results")]
    comparison = compare.compare([*native, *phone.values()])
    for row in comparison.rows[2:]:
        assert "runs: in a browser (wasm), baseline natively" in row.differences
    assert any("phone ran in a browser (wasm)" in note for note in _text.notes(comparison))
    assert len(comparison.outputs) == 2 and all(match.identical for match in comparison.outputs)
    assert "phone (browser, wasm)" in markdown.render(comparison)


def test_over_plain_http_in_the_network_it_says_what_is_missing(
    person: Person, lan: str, tiny_plan: Plan, tmp_path: Path
) -> None:
    measured = measure(person, tiny_plan, tmp_path, msgspec.structs.replace(PHONE, threads=2, lan=True), ALL)
    assert_right(measured)
    assert "█" in person.said[0] and f"http://{lan}:" in person.said[0] and "Plain http" in person.said[0]
    facts = measured["onnx-int8"].facts_before
    assert facts.isolated is False and facts.secure_context is False
    # Asked for two, got one, and says so.
    assert {one.runtime.facts["threads"] for one in measured.values()} == {"1"}
    assert facts.clock_step_ns is not None and facts.clock_step_ns >= 50_000
    # ... and values are of blocks that this clock can tell.
    for one in measured.values():
        values_ns = [value for round_ in one.rounds for value in round_.values_ns]
        assert statistics.median(values_ns) >= 5 * facts.clock_step_ns
    assert person.phone is not None
    page = person.phone.run("document.body.innerText")
    assert "This page came over plain http" in page and "timed in blocks" in page
    assert "One thread, not the 2 asked for" in page


def test_https_with_our_own_certificate_gives_threads(lan: str, tiny_plan: Plan, tmp_path: Path) -> None:
    person = Person("--ignore-certificate-errors")
    try:
        target = msgspec.structs.replace(PHONE, lan=True, https=True, threads=2)
        measured = measure(person, tiny_plan, tmp_path, target)
        assert person.phone is not None
        assert "2 threads" in person.phone.run("document.body.innerText")
    finally:
        person.leave()
    assert_right(measured)
    assert measured["onnx-int8"].facts_before.isolated
    assert {one.runtime.facts["threads"] for one in measured.values()} == {"2"}
    assert measured["tflite-int8"].runtime.facts["build"] == "wasm threaded"
    assert f"https://{lan}:" in person.said[0] and "SHA-256 fingerprint" in person.said[0]
    pem = next(cache_.folder().glob("phone/certificate-*.pem"))
    assert pem.stat().st_mode & 0o077 == 0


def test_a_reload_in_the_middle_is_marked_and_nothing_is_lost(person: Person, tiny_plan: Plan, tmp_path: Path) -> None:
    plan = msgspec.structs.replace(tiny_plan, rounds_min=6, seconds_max=60.0, precision=10.0)
    person.when["round 2"] = Browser.reload
    measured = measure(person, plan, tmp_path)
    assert_right(measured, rounds_min=6)
    marked = [r.interrupted for one in measured.values() for r in one.rounds if r.interrupted]
    assert 1 <= len(marked) <= 4 and set(marked) == {"the page was reloaded"}
    # The clock of the rounds goes on over the reload.
    for one in measured.values():
        starts = [r.start_ns for r in one.rounds]
        assert starts == sorted(starts)


def test_a_round_that_nobody_saw_is_measured_again(person: Person, tiny_plan: Plan, tmp_path: Path) -> None:
    plan = msgspec.structs.replace(tiny_plan, rounds_min=6, seconds_max=60.0, precision=10.0)

    person.when["round 2"] = lambda phone: phone.run(_LOCKED_WHILE_TIMING)
    measured = measure(person, plan, tmp_path)
    assert_right(measured, rounds_min=6)
    marked = [r.interrupted for one in measured.values() for r in one.rounds if r.interrupted]
    assert marked == ["the page was hidden"]


_SHOWN_OR_HIDDEN = """
Object.defineProperty(document, "visibilityState", {value: "%s", configurable: true});
document.dispatchEvent(new Event("visibilitychange"));
"""


def test_a_page_in_the_background_is_asked_to_the_front(person: Person, tiny_plan: Plan, tmp_path: Path) -> None:
    plan = msgspec.structs.replace(tiny_plan, rounds_min=6, seconds_max=60.0, precision=10.0)

    def show_again() -> None:
        assert person.phone is not None
        person.phone.run(_SHOWN_OR_HIDDEN % "visible")

    person.when["round 2"] = lambda phone: phone.run(_SHOWN_OR_HIDDEN % "hidden")
    person.on_said["in the background, where nothing is measured"] = show_again
    assert_right(measure(person, plan, tmp_path), rounds_min=6)
    assert "phone is back; it goes on where it was" in person.said and not person.on_said


def test_a_lost_network_is_waited_for(person: Person, tiny_plan: Plan, tmp_path: Path) -> None:
    plan = msgspec.structs.replace(tiny_plan, rounds_min=6, seconds_max=60.0, precision=10.0)
    headlines = []

    def lose_it_for_a_while(phone: Browser) -> None:
        phone.set_offline(True)
        give_up = time.monotonic() + 10
        while "No connection" not in phone.headline() and time.monotonic() < give_up:
            time.sleep(0.05)
        headlines.append(phone.headline())
        phone.set_offline(False)

    person.when["round 2"] = lose_it_for_a_while
    assert_right(measure(person, plan, tmp_path), rounds_min=6)
    assert headlines == ["No connection to the computer"]


def test_a_phone_that_goes_away_leaves_what_it_measured(person: Person, tiny_plan: Plan, tmp_path: Path) -> None:
    plan = msgspec.structs.replace(tiny_plan, rounds_min=6, seconds_max=60.0, precision=10.0, worker_timeout_s=3.0)
    person.when["round 3"] = lambda phone: phone.open("about:blank")
    measured = measure(person, plan, tmp_path)
    for one in measured.values():
        assert (one.outcome.status, one.outcome.kind) == ("failed", "timeout")
        assert "the phone is gone" in one.outcome.reason and "open the page again" in one.outcome.reason
        assert len(one.rounds) >= 2
        assert verdict.judge(one).level == "invalid"


@pytest.mark.parametrize("how", ["closed", "killed"])
def test_a_tab_that_is_lost_is_opened_anew_and_the_job_goes_on(
    person: Person, tiny_plan: Plan, tmp_path: Path, how: str
) -> None:
    """The terminal says that it is gone, where to open it again, and that it is back; no value is lost."""
    plan = msgspec.structs.replace(tiny_plan, rounds_min=6, seconds_max=60.0, precision=10.0)
    url = []

    def lose(phone: Browser) -> None:
        url.append(phone.run("location.origin + '/#t=' + token"))
        phone.open("about:blank") if how == "closed" else phone.kill()
        person.on_said["No sign of the page on phone"] = lambda: person.open_again(url[0])

    person.when["round 2"] = lose
    measured = measure(person, plan, tmp_path)
    assert_right(measured, rounds_min=6)
    for one in measured.values():
        assert [round_.number for round_ in one.rounds] == list(range(len(one.rounds)))
    marked = {r.interrupted for one in measured.values() for r in one.rounds if r.interrupted}
    assert marked == {"the page was opened anew"}
    (gone,) = [line for line in person.said if "No sign of the page" in line]
    assert url[0] in gone and "the job waits for two minutes" in gone
    assert any("phone is back; it goes on where it was" in line for line in person.said)


def test_ctrl_c_ends_a_job_whose_phone_is_gone(person: Person, tiny_plan: Plan, tmp_path: Path) -> None:
    """At once, and not when the phone is back; what was measured is saved."""
    plan = msgspec.structs.replace(tiny_plan, rounds_min=6, seconds_max=60.0, precision=10.0)
    person.when["round 3"] = Browser.kill
    person.on_said["No sign of the page"] = lambda: os.kill(os.getpid(), signal.SIGINT)
    measured = measure(person, plan, tmp_path)
    assert any("Stopping after this round" in line for line in person.said)
    assert {one.outcome.status for one in measured.values()} <= {"failed", "stopped"}
    assert all(len(one.rounds) >= 2 for one in measured.values())


def test_a_second_phone_with_the_same_code_is_turned_away(person: Person, tiny_plan: Plan, tmp_path: Path) -> None:
    plan = msgspec.structs.replace(tiny_plan, rounds_min=6, seconds_max=60.0, precision=10.0)
    headlines = []

    def bring_another(_: Browser) -> None:
        url = url_in(person.said[0])
        assert url is not None
        with browser() as other:
            other.open(url)
            give_up = time.monotonic() + 20
            while other.headline() in ("", "Connecting …") and time.monotonic() < give_up:
                time.sleep(0.05)
            headlines.append(other.headline())

    person.when["round 2"] = bring_another
    assert_right(measure(person, plan, tmp_path), rounds_min=6)
    assert headlines == ["Another phone or tab has this code"]


def test_models_that_the_browser_cannot_load_fail_alone(
    person: Person, models: Path, tiny_plan: Plan, tmp_path: Path
) -> None:
    odd_models.custom(models / "custom.onnx")
    odd_models.with_operator(models / "custom.tflite", custom="MyOp")
    names = ["custom.onnx", "custom.tflite", "relu.onnx", "relu.tflite"]
    sources = deploy.sources([models / name for name in names])
    paths = deploy.deploy(PHONE, sources, tiny_plan, tmp_path / "results", progress=person)
    first, second, *fine = [record.load(path) for path in paths]
    for broken in (first, second):
        assert (broken.outcome.status, broken.outcome.kind, broken.outcome.stage) == ("failed", "error", "check")
        assert broken.outcome.reason
    # An inference of a microsecond is timed, in blocks.
    assert all(one.rounds and one.rounds[0].block > 10 for one in fine)


def test_a_page_feeds_what_it_is_asked_to_and_says_it(person: Person, tiny_plan: Plan, tmp_path: Path) -> None:
    files = [odd_models.detector(tmp_path / "a.onnx"), odd_models.nonzero(tmp_path / "b.onnx")]
    sources = deploy.sources(files, feeding.wish(["image=1x3x16x24"]))
    paths = deploy.deploy(PHONE, sources, tiny_plan, tmp_path / "results", progress=person)
    image, places = [record.load(path) for path in paths]
    assert image.rounds and image.fed == (FedInput("image", (1, 3, 16, 24), "float32"),)
    assert places.rounds
    # What the host does not know is refused there.
    unknown = [replace(one, feeding=Feeding()) for one in sources[:1]]
    (path,) = deploy.deploy(PHONE, unknown, tiny_plan, tmp_path / "results", progress=person)
    assert "leaves sizes open, [batch, 3, height, width]" in record.load(path).outcome.reason


def test_weights_beside_the_graph_are_refused_in_one_sentence(person: Person, tiny_plan: Plan, tmp_path: Path) -> None:
    sources = deploy.sources([odd_models.outside(tmp_path / "a.onnx")])
    with pytest.raises(UserError, match=r"weights are in a\.onnx\.data, and a page in a browser loads one file only"):
        deploy.deploy(PHONE, sources, tiny_plan, tmp_path / "results", progress=person)


# As iOS does: no memory that may grow above 256 MiB is given.
_LITTLE_MEMORY = """
WebAssembly.Memory = new Proxy(WebAssembly.Memory, {
  construct(Memory, [wanted]) {
    if (wanted.maximum > 4096) throw new RangeError("Out of memory");
    return new Memory(wanted);
  },
});
"""


def test_a_phone_that_gives_little_memory_is_asked_for_less(
    person: Person, tiny_plan: Plan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The page as it is, in workers whose browser refuses what an iPhone refuses."""
    agents = Path(link.device_agents.__file__).parent
    shutil.copytree(agents, tmp_path / "site/device_agents", ignore=shutil.ignore_patterns("__pycache__"))
    (tmp_path / "site/edgebench").symlink_to(agents.parent / "edgebench")
    worker = tmp_path / "site/device_agents/web/worker.js"
    worker.write_text(_LITTLE_MEMORY + worker.read_text())
    monkeypatch.setattr(link, "_import_path", lambda: str(tmp_path / "site"))
    monkeypatch.chdir(tmp_path / "site")  # the server is a module, looked for here first
    assert_right(measure(person, tiny_plan, tmp_path))


def test_a_killed_deploy_is_gone_on_with(person: Person, tiny_plan: Plan, tmp_path: Path) -> None:
    """The phone's job outlives the `deploy` that started it, as a board's does."""
    plan = msgspec.structs.replace(tiny_plan, rounds_min=8, seconds_max=60.0, precision=10.0)
    arguments = [msgspec.json.encode(PHONE).decode(), msgspec.json.encode(plan).decode(), BUNDLE, tmp_path / "results"]
    first = subprocess.Popen([sys.executable, "-c", _DEPLOY, *map(str, arguments)], stdout=subprocess.PIPE, text=True)
    assert first.stdout is not None
    with first, first.stdout:
        for line in first.stdout:
            person.say(line)
            if line.startswith("round 1"):
                break
        os.kill(first.pid, signal.SIGKILL)
    measured = measure(person, plan, tmp_path)
    assert any("which an earlier deploy left behind" in line for line in person.said)
    assert_right(measured, rounds_min=8)


# The next timings that are sent are of 10^4000 ns; no browser makes such a number by itself.
_LIES = """
{
  const written = JSON.stringify;
  JSON.stringify = (what) => {
    const text = written(what);
    if (!(what.answer && what.answer.ok && what.answer.ok.values_ns)) return text;
    JSON.stringify = written;
    return text.replace(/"values_ns":\\[\\d+/, '"values_ns":[1' + "0".repeat(4000));
  };
}
"""


def test_a_phone_that_lies_fails_one_artifact(person: Person, tiny_plan: Plan, tmp_path: Path) -> None:
    plan = msgspec.structs.replace(tiny_plan, rounds_min=6, seconds_max=60.0, precision=10.0)
    person.when["round 2"] = lambda phone: phone.run(_LIES)
    measured = measure(person, plan, tmp_path)
    by_status = {one.outcome.status: one for one in measured.values()}
    assert sorted(by_status) == ["complete", "failed"]
    assert "values that are no times" in by_status["failed"].outcome.reason and by_status["failed"].rounds
    assert len(by_status["complete"].rounds) >= 6


def test_a_second_deploy_is_told_who_follows_the_job(person: Person, tiny_plan: Plan, tmp_path: Path) -> None:
    """... and the first one goes on and saves what it measured."""
    plan = msgspec.structs.replace(tiny_plan, rounds_min=8, seconds_max=60.0, precision=10.0)
    arguments = [msgspec.json.encode(PHONE).decode(), msgspec.json.encode(plan).decode(), BUNDLE, tmp_path / "results"]
    first = subprocess.Popen([sys.executable, "-c", _DEPLOY, *map(str, arguments)], stdout=subprocess.PIPE, text=True)
    assert first.stdout is not None
    said = ""
    with first, first.stdout:
        for line in first.stdout:
            person.say(line)
            if line.startswith("round 1") and not said:
                with pytest.raises(UserError) as told:
                    measure(person, tiny_plan, tmp_path)
                said = str(told.value)
    assert f"which another edgebench here (process {first.pid}) follows" in said and "Ctrl-C" in said
    assert first.returncode == 0
    records = [record.load(path) for path in (tmp_path / "results").glob("phone/*.json")]
    assert len(records) == 2 and all(one.outcome.status == "complete" for one in records)


def test_a_phone_that_was_killed_does_not_hold_up_the_next_deploy(
    person: Person, tiny_plan: Plan, tmp_path: Path
) -> None:
    """The terminal says that it gives no sign, and shows the address again."""
    measure(person, tiny_plan, tmp_path)
    assert person.phone is not None
    person.phone.kill()
    person.phone, person.said = None, []
    assert_right(measure(person, tiny_plan, tmp_path))
    assert "had the page open and gives no sign now" in person.said[0] and url_in(person.said[1])


GPU = msgspec.structs.replace(PHONE, runtimes=("onnxruntime-webgpu", "litert-web"))


@pytest.fixture
def gpu_assets(page_assets: None) -> None:
    try:
        assets.ensure(Silent(), None, GPU.runtimes)
    except UserError as error:
        pytest.skip(f"the page's runtimes are not to be had: {error}")


@pytest.mark.usefixtures("gpu_assets")
def test_on_the_gpu_answers_are_checked_and_rows_say_so(tiny_plan: Plan, tmp_path: Path) -> None:
    person = Person(*SOFTWARE_GPU)
    try:
        target = msgspec.structs.replace(GPU, emulated=True)
        measured = measure(person, tiny_plan, tmp_path, target, ("onnx-fp32", "onnx-int8", "tflite-int8"))
    finally:
        person.leave()
    fp32 = measured["onnx-fp32"]
    assert fp32.runtime.name == "onnxruntime-webgpu" and fp32.outcome.status in ("complete", "budget"), fp32.outcome
    assert fp32.golden is not None and fp32.golden.passed and fp32.golden.agreement_with_host == 1 and fp32.rounds
    assert fp32.runtime.facts["build"] == "webgpu" and fp32.runtime.facts["adapter"].endswith("in software")
    # Quantised nodes would be computed on the processor.
    int8 = measured["onnx-int8"].outcome
    assert int8.status == "failed" and "WebGPU does not take every node of this file" in int8.reason
    text = markdown.render(compare.compare(list(measured.values())))
    assert "phone (emulated, browser, webgpu)" in text and "phone (emulated, browser, wasm)" in text


@pytest.mark.usefixtures("gpu_assets")
@pytest.mark.parametrize(
    ("flags", "why"), [(SOFTWARE_GPU, "computes WebGPU on the processor"), ((), "gives WebGPU no GPU of this device")]
)
def test_what_is_no_gpu_is_not_measured_as_one(
    tiny_plan: Plan, tmp_path: Path, flags: tuple[str, ...], why: str
) -> None:
    person = Person(*flags)
    try:
        with pytest.raises(UserError, match=why):
            measure(person, tiny_plan, tmp_path, GPU, ["onnx-fp32"])
    finally:
        person.leave()


def test_check_says_what_the_browser_is(person: Person) -> None:
    lines = list(check.check(PHONE, progress=person).lines())
    text = "\n".join(lines)
    assert lines[0] == "phone: reached by web" and lines[-1] == "ready"
    assert "browser      Chrome" in text and "onnxruntime-web 1.30.0" in text and "litert-web   2.5.3" in text
    assert "no browser tells what it uses" in text
