"""The phone's page in a real headless Chromium, from `deploy` to the records."""

from __future__ import annotations

import shutil
import statistics
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest

from edgebench import compare, deploy
from edgebench.analysis import report_text, stats
from edgebench.analysis.report import markdown
from edgebench.device import target_check
from edgebench.device.phone import assets, link
from edgebench.device.phone.addresses import lan_addresses
from edgebench.errors import UserError
from edgebench.files import cache as cache_
from edgebench.modelfile import feeding
from edgebench.modelfile.feeding import Feeding
from edgebench.networks import data
from edgebench.progress import Silent
from edgebench.schema import plan
from edgebench.schema.plan import Plan
from edgebench.schema.record import FedInput, Record
from edgebench.schema.targets import Target
from tests.support import odd_models
from tests.support.browser import SOFTWARE_GPU, Person, needs_chromium
from tests.support.phone_jobs import ALL, BUNDLE, PHONE, TWO, assert_right, measure
from tests.support.phone_jobs import person as person

pytestmark = [pytest.mark.phone, needs_chromium, pytest.mark.usefixtures("page_assets")]


def test_a_browser_keeps_a_pace_and_answers_a_whole_test_set(person: Person, tiny_plan: Plan, tmp_path: Path) -> None:
    preprocessing = data.load("fashion-mnist-mini").preprocessing
    sources = [
        replace(one, artifact=msgspec.structs.replace(one.artifact, preprocessing=preprocessing))
        for one in deploy.artifacts_at([BUNDLE])
        if one.artifact.name.endswith(TWO)
    ]
    how = plan.with_accuracy(msgspec.structs.replace(tiny_plan, duty_hz=50.0, round_s=0.1))
    for one in deploy.deploy(PHONE, sources, how, tmp_path / "results", progress=person):
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
        pytest.skip("this machine is not in a network")


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
    """Rows of browsers are marked, and so is a ratio to native ones, whose outputs are equal bit for bit."""
    here = Target(name="here", transport="local")
    sources = [one for one in deploy.artifacts_at([BUNDLE]) if one.artifact.precision == "int8"]
    native = deploy.deploy(here, sources, plan, tmp_path / "results")
    comparison = compare.compare([*native, *phone.values()])
    for row in comparison.rows[2:]:
        assert "runs: in a browser (wasm), baseline natively" in row.differences
    assert any("phone ran in a browser (wasm)" in note for note in report_text.notes(comparison))
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
    assert "This page was loaded over plain http" in page and "timed in blocks" in page
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


def test_models_that_the_browser_cannot_load_fail_alone(
    person: Person, models: Path, tiny_plan: Plan, tmp_path: Path
) -> None:
    odd_models.custom(models / "custom.onnx")
    odd_models.with_operator(models / "newer.tflite", version=99)
    names = ["custom.onnx", "newer.tflite", "relu.onnx", "relu.tflite"]
    sources = deploy.artifacts_at([models / name for name in names])
    first, second, *fine = deploy.deploy(PHONE, sources, tiny_plan, tmp_path / "results", progress=person)
    for broken in (first, second):
        assert (broken.outcome.status, broken.outcome.kind, broken.outcome.stage) == ("failed", "error", "check")
        assert broken.outcome.reason
    # An inference of a microsecond is timed, in blocks.
    assert all(one.rounds and one.rounds[0].block > 10 for one in fine)


def test_a_page_feeds_what_it_is_asked_to_and_says_it(person: Person, tiny_plan: Plan, tmp_path: Path) -> None:
    files = [odd_models.detector(tmp_path / "a.onnx"), odd_models.nonzero(tmp_path / "b.onnx")]
    sources = deploy.artifacts_at(files, feeding.parse_request(["image=1x3x16x24"]))
    image, places = deploy.deploy(PHONE, sources, tiny_plan, tmp_path / "results", progress=person)
    assert image.rounds and image.fed == (FedInput("image", (1, 3, 16, 24), "float32"),)
    assert places.rounds
    # What the host does not know is refused there.
    unknown = [replace(one, feeding=Feeding()) for one in sources[:1]]
    (one,) = deploy.deploy(PHONE, unknown, tiny_plan, tmp_path / "results", progress=person)
    assert "leaves sizes open, [batch, 3, height, width]" in one.outcome.reason


def test_weights_beside_the_graph_are_refused_in_one_sentence(person: Person, tiny_plan: Plan, tmp_path: Path) -> None:
    sources = deploy.artifacts_at([odd_models.outside(tmp_path / "a.onnx")])
    with pytest.raises(UserError, match=r"weights are in a\.onnx\.data, and a page in a browser loads only one file"):
        deploy.deploy(PHONE, sources, tiny_plan, tmp_path / "results", progress=person)


def test_operators_that_the_browser_would_leave_out_are_refused(
    person: Person, tiny_plan: Plan, tmp_path: Path
) -> None:
    """It loads such files, and times the rest of them."""
    sources = deploy.artifacts_at([odd_models.with_operator(tmp_path / "flex.tflite", custom="FlexErf")])
    with pytest.raises(UserError, match="FlexErf is a custom operator, which LiteRT in a browser"):
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
    ("flags", "why"),
    [(SOFTWARE_GPU, "computes WebGPU on the processor"), ((), "offers no GPU of this device to WebGPU")],
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
    lines = list(target_check.check(PHONE, progress=person).lines())
    text = "\n".join(lines)
    assert lines[0] == "phone: reached by web" and lines[-1] == "ready"
    assert "browser      Chrome" in text and "onnxruntime-web 1.30.0" in text and "litert-web   2.5.3" in text
    assert "browsers do not report energy" in text
