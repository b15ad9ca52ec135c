"""The auditor: every detector fires on a reconstruction of its mistake, and is silent about the corrected one."""

from __future__ import annotations

import dataclasses
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest
from typer.testing import CliRunner

from edgebench import cli
from edgebench.errors import BadFile, UnknownName
from edgebench.networks import data
from edgebench.prune import prune
from edgebench.schema import record_files
from edgebench.studies import audit
from edgebench.studies.audit import AuditEvidence, gather
from edgebench.studies.audit.published import PublishedRow, PublishedTable, PublishedValue
from edgebench.train import train
from tests.conftest import run_cli
from tests.support.audit_cases import CASES, DATA, Case
from tests.support.records import make_record, save_all

pytest.importorskip("torch")

RESULTS = Path(__file__).parents[2] / "results" / "reference"

# What is to be found in the transcribed tables: (study, detector) -> words.
PUBLISHED = {
    ("ultralight", "operations-mixed"): (
        "units mixed: printed as GFLOP, 421 of 'Custom CNN, MNIST' is KMac (421,066 MACs by the ptflops rule)",
        "5.94 of 'Pruned MobileNet, MNIST' is MMac",
        "needs 14x fewer than 'Pruned MobileNet, MNIST', although the column shows 71x more",
    ),
    ("ultralight", "structured-changes-nothing"): ("2,236,106 parameters; the dense network has 2,236,106",),
    ("ultralight", "scheme-contradiction"): ("called unstructured but is said to remove channels",),
    ("ultralight", "file-not-smaller"): ("44.77 MB are the dense network's 44.74 MB",),
    ("ultralight", "accuracy-claim"): ("-13.2 points", "-14.6 points"),
    ("ultralight", "latency-of-overhead"): ("0.07 ms for 3 networks from 342,464 to 33,010,944 MACs, 96x",),
    ("ultralight", "green-score"): ("1.6 %/mg",),
    ("ultralight", "ram-claim"): ("0.41 MB are 1.5x the 264 KiB; as INT8 it would be about 0.10 MB",),
    ("ultralight", "network-as-described"): ("no BatchNorm2d and no AdaptiveAvgPool2d",),
    ("ultralight", "train-accuracy-as-test"): ("65.9%, on images that are not stated",),
    ("ultralight", "single-seed"): ("6 accuracies", "one run each"),
    ("plos-mlp", "latency-within-noise"): ("'-33 % inference time'", "0.99% of the weights", "dense kernels"),
    ("plos-mlp", "sparsity-far-from-nominal"): ("called 50%, but 0.99%",),
    ("plos-mlp", "unequal-budgets"): ("'S_50_L_PT' 12,832, 'S_50_G_PT' 6,480",),
    ("plos-mlp", "global-but-uniform"): ("'global' zeroed 50.0% of each of 3 layers",),
    ("plos-mlp", "energy-of-another-device"): ("that of gpu, but it ran on cpu",),
    ("plos-mlp", "energy-window"): ("3e-05 s", "0.1 s"),
    ("plos-mlp", "single-seed"): ("10 runs are called independent but have the same seed (42)",),
    ("plos-mlp", "not-the-test-split"): ("6,000 images", "10,000", "without a seed"),
    ("plos-mlp", "augmented-evaluation"): ("validation and test split",),
    ("plos-mlp", "wrong-unit"): ("power is 41.7 Wh, but 'Wh' is a unit of energy",),
    ("plos-mlp", "co2-arithmetic"): ("2.01 Wh at 527.93 g/kWh are 1.06 g",),
    ("plos-mlp", "contradiction"): ("(44 %)", "(56 %)"),
    ("cifar100-profile", "single-seed"): ("2 accuracies",),
    ("cifar100-profile", "train-accuracy-as-test"): (
        "52.5% is on training images",
        "99.8%, on images that are not stated",
    ),
    ("cifar100-profile", "different-regions"): ("285.5 g/kWh", "452.6"),
    ("cifar100-profile", "modelled-energy"): ("CodeCarbon is presented as measured",),
    ("cifar100-profile", "unlike-conditions"): ("input shape (3x224x224, 3x32x32)", "pretrained"),
    ("cifar100-profile", "claim-without-measurement"): ("during training, not inference",),
    ("approx-compression", "single-seed"): ("7 accuracies",),
    ("approx-compression", "missing-dense-control"): ("+7.1 points", "+8.5 points", "+15.0 points", "5 more epochs"),
    ("approx-compression", "accuracy-claim"): ("'pruned 50' has 81.61% and 'pruned 30' 82.50%",),
    ("approx-compression", "selected-on-test"): ("best of 30 epochs",),
    ("approx-compression", "latency-within-noise"): ("-2.1% and +1.5% in 2 runs of one script: both signs",),
    ("approx-compression", "sparsity-far-from-nominal"): ("called 50%, but 1.21%",),
    ("approx-compression", "unlike-conditions"): ("file holds (pickled module, state_dict)",),
    ("approx-compression", "file-not-smaller"): ("42.7288 MB are not less than the 42.7314 MB",),
    ("approx-compression", "megabytes-mixed"): ("printed as MB, 42.7309 of 'ResNet18 C10 base' is MiB",),
    ("light-cnn", "single-seed"): ("2 accuracies",),
    ("light-cnn", "network-as-described"): (
        "20,000 parameters are stated; the network has 334,706, 17x",
        "83,344, 2.8x",
    ),
    ("light-cnn", "stage-trains-nothing"): ("330,506 parameters, as 'dense1' did", "330,506 of 334,706"),
    ("light-cnn", "epochs-cut-short"): ("4 of 8 epochs took 9 s",),
    ("light-cnn", "augmented-evaluation"): ("validation split",),
    ("light-cnn", "latency-of-overhead"): ("72.44 ms for 1,804,800 MACs",),
    ("light-cnn", "claim-without-measurement"): (
        "on cpu, not on cuda",
        "no ece",
        "row 'Residual + SE without MixUp' does not exist",
    ),
}


def where(name: str) -> Path:
    """A study's own tables are in its file; the corrected ones are made up, and here."""
    folder = DATA if name.endswith("-corrected") else Path(__file__).parents[2] / "studies"
    return folder / f"{name}.yaml"


def published(name: str) -> AuditEvidence:
    return AuditEvidence(published=tuple(gather.tables(where(name))))


def said(evidence: AuditEvidence, detector: str) -> str:
    findings = audit.audit(evidence, [detector])
    assert all(finding.detector == detector and finding.where and finding.remedy for finding in findings)
    return "\n".join(map(str, findings))


# ------------------------------------------------------------------ the contract


@pytest.mark.parametrize("name", audit.names())
def test_a_detector_has_a_mistake_and_its_correction(name: str) -> None:
    assert name in {case.detector for case in CASES} | {detector for _, detector in PUBLISHED}


@pytest.mark.parametrize("name", audit.names())
def test_a_detector_says_what_it_looks_for_and_is_silent_about_nothing(name: str) -> None:
    assert audit.summary(name).endswith(".") or ":" in audit.summary(name)
    assert audit.audit(AuditEvidence(), [name]) == []


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.detector)
def test_a_reconstructed_mistake_is_found_and_its_correction_is_not(case: Case, tmp_path: Path) -> None:
    (tmp_path / "mistake").mkdir()
    (tmp_path / "corrected").mkdir()
    seen = said(case.mistake(tmp_path / "mistake"), case.detector)
    for words in case.words:
        assert words in seen
    assert said(case.corrected(tmp_path / "corrected"), case.detector) == ""


@pytest.mark.parametrize(("study", "detector"), PUBLISHED, ids=lambda name: name)
def test_a_published_mistake_is_found(study: str, detector: str) -> None:
    seen = said(published(study), detector)
    for words in PUBLISHED[study, detector]:
        assert words in seen


@pytest.mark.parametrize("study", sorted({study for study, _ in PUBLISHED}))
def test_no_detector_finds_anything_in_the_corrected_table(study: str) -> None:
    assert audit.audit(published(f"{study}-corrected")) == []


def test_no_detector_finds_anything_in_the_corrected_emissions() -> None:
    assert audit.audit(gather.gather([DATA / "emissions_corrected.csv"])) == []


def test_every_finding_in_the_tables_is_expected() -> None:
    """What is found beside what is listed above would be a false alarm."""
    found = {
        (study, finding.detector)
        for study in {study for study, _ in PUBLISHED}
        for finding in audit.audit(published(study))
    }
    assert found == set(PUBLISHED)


# ------------------------------------------------------------------ single rules


def test_both_megabytes_in_one_column() -> None:
    rows = published("ultralight").published[0].rows[:1] + published("approx-compression").published[0].rows[:1]
    seen = said(AuditEvidence(published=(PublishedTable("mixed", rows),)), "megabytes-mixed")
    assert "both units" in seen and "0.41 of 'Custom CNN, MNIST' is MB (407,720" in seen
    assert "42.7309 of 'ResNet18 C10 base' is MiB" in seen


def test_latencies_of_records_decide_about_a_published_one() -> None:
    """The approximate-compression study's claim about edgebench's own records of the two networks."""
    table = published("approx-compression").published[0]
    labels = {"MobileNetV2 pruned 50": "pruned-onnx-fp32", "MobileNetV2 C10 base": "base-onnx-fp32"}
    rows = tuple(msgspec.structs.replace(row, artifact=labels.get(row.label, "")) for row in table.rows)
    own = PublishedTable("own", rows, table.statements)

    def evidence(pruned_ns: float, threads: int = 1, job: str = "job-1") -> AuditEvidence:
        pruned = make_record("pruned-onnx-fp32", p50_ns=pruned_ns, threads=threads, job=job)
        return AuditEvidence(records=(pruned, make_record("base-onnx-fp32", p50_ns=50_000.0)), published=(own,))

    assert "on board 'pruned-onnx-fp32' takes 1.000x" in said(evidence(50_000.0), "latency-within-noise")
    assert "which is the same within 3%" in said(evidence(50_000.0), "latency-within-noise")
    (open_,) = audit.audit(evidence(45_000.0, job="another"), ["latency-within-noise"])
    assert open_.level == "doubtful" and "takes 0.900x" in open_.seen and open_.seen.endswith("not resolved")
    assert said(evidence(40_000.0), "latency-within-noise") == ""
    assert "differ in threads: 4, baseline 1" in said(evidence(40_000.0, threads=4, job="another"), "unlike-conditions")
    assert "threads" not in said(evidence(40_000.0), "unlike-conditions")


def test_training_accuracy_is_recognised_by_a_training_of_our_own(tmp_path: Path) -> None:
    case = next(case for case in CASES if case.detector == "train-accuracy-as-test")
    row = PublishedRow("slide", model="mlp-small", dataset="mnist", values={"accuracy": PublishedValue(0.523)})
    evidence = AuditEvidence(case.corrected(tmp_path).checkpoints, published=(PublishedTable("slides", (row,)),))
    assert "'net' has 52.5% on training and 61.2% on test images" in said(evidence, "train-accuracy-as-test")


def test_runs_are_facts_that_need_no_file(tmp_path: Path) -> None:
    """What a study has read once can be kept as JSON, and stands for its checkpoint."""
    case = next(case for case in CASES if case.detector == "unequal-budgets")
    checkpoints = case.mistake(tmp_path).checkpoints
    runs = AuditEvidence(checkpoints).variants
    kept = msgspec.json.decode(msgspec.json.encode(runs), type=tuple[audit.AuditedRun, ...])
    assert AuditEvidence(checkpoints, runs=kept).variants == kept == runs
    for path in tmp_path.glob("*"):
        path.unlink()
    assert "12,832 weights" in said(AuditEvidence(runs=kept), "unequal-budgets")


def test_a_row_that_names_no_possible_network_is_told() -> None:
    row = PublishedRow(
        "tiny", model="mobilenetv2", input_shape=(3, 32, 32), classes=10, arguments={"width": 2}, layers=("Conv2d",)
    )
    with pytest.raises(BadFile, match="published row 'tiny'.*'mobilenetv2' cannot be built"):
        audit.audit(AuditEvidence(published=(PublishedTable("x", (row,)),)))


def test_findings_name_the_wrong_first() -> None:
    levels = [finding.level for finding in audit.audit(published("ultralight"))]
    assert levels == sorted(levels, reverse=True) and set(levels) == {"wrong", "doubtful"}


def test_an_unknown_detector_is_answered_with_a_guess() -> None:
    with pytest.raises(UnknownName, match="Did you mean 'single-seed'"):
        audit.audit(AuditEvidence(), ["single-sed"])


def test_the_test_splits_have_their_official_sizes() -> None:
    from edgebench.studies.audit.splits import TEST_IMAGES

    assert set(TEST_IMAGES) == set(data.names())
    assert len(data.load("fashion-mnist-mini").test) == TEST_IMAGES["fashion-mnist-mini"]


# ------------------------------------------------------------------ paths


def test_nothing_is_found_in_the_reference_results() -> None:
    evidence = gather.gather([RESULTS])
    assert len(evidence.records) == 8
    assert audit.audit(evidence) == []


def test_a_folder_gives_all_that_is_in_it(tmp_path: Path) -> None:
    save_all(tmp_path / "results", [make_record()])
    case = next(case for case in CASES if case.detector == "single-seed")
    case.corrected(tmp_path)
    (tmp_path / "emissions.csv").write_bytes((DATA / "emissions.csv").read_bytes())
    (tmp_path / "bundle.json").write_text('{"schema_version": 1}')
    for aside in (".jobs", "train-3.part", "copies"):
        (tmp_path / aside).mkdir()
        for path in [*tmp_path.glob("*.safetensors"), *tmp_path.glob("results/board/*.json")]:
            if aside != "copies" or path.suffix == ".safetensors":
                (tmp_path / aside / path.name).write_bytes(path.read_bytes())
    evidence = gather.gather([tmp_path])
    counts = [len(kind) for kind in (evidence.records, evidence.checkpoints, evidence.emissions, evidence.published)]
    assert counts == [1, 6, 2, 0]


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("none.json", None, "cannot be read"),
        ("notes.txt", "", "'.txt' cannot be audited"),
        ("record.json", "{}", "it is not a record"),
        ("net.safetensors", "x", "safetensors"),
        ("other.csv", "a,b\n1,2\n", "none of CodeCarbon's columns"),
        ("bad.yaml", "a: [", "it is not YAML"),
        ("typo.yaml", "{title: x, rows: [{label: a, modell: resnet18}]}", "modell"),
        ("unit.yaml", "{title: x, rows: [{label: a, values: {file: {value: 1, unit: Mb}}}]}", "no unit 'Mb'"),
        ("quantity.yaml", "{title: x, rows: [{label: a, values: {flops: {value: 1}}}]}", "no quantity 'flops'"),
        ("share.yaml", "{title: x, rows: [{label: a, values: {accuracy: {value: 97.5}}}]}", "97.5 must be from 0 to 1"),
        ("twice.yaml", "{title: x, rows: [{label: a}, {label: a}]}", "two rows have the same label"),
        ("study.yaml", "{title: x, parts: {}}", "contains no published numbers"),
    ],
)
def test_what_cannot_be_read_is_told(tmp_path: Path, name: str, content: str | None, words: str) -> None:
    if content is not None:
        (tmp_path / name).write_text(content)
    (error,) = gather.gather([tmp_path / name]).skipped
    assert name in error.where and words in error.seen


def test_a_damaged_record_in_a_folder_is_told(tmp_path: Path) -> None:
    (path,) = save_all(tmp_path, [make_record()])
    path.write_bytes(path.read_bytes()[:-20])
    (tmp_path / "emissions.csv").write_bytes((DATA / "emissions.csv").read_bytes())
    evidence = gather.gather([tmp_path])
    assert ["it is not a record" in error.seen for error in evidence.skipped] == [True]
    assert len(evidence.emissions) == 2  # and all else is looked at


def test_networks_of_one_file_name_are_told_apart_by_their_folders(tmp_path: Path) -> None:
    case = next(case for case in CASES if case.detector == "selected-on-test")
    for name in ("train-a", "train-b"):
        (tmp_path / name).mkdir()
        case.mistake(tmp_path / name)
    (tmp_path / "train-b" / "net.safetensors").write_bytes(
        case.corrected(tmp_path / "train-b").checkpoints[0].path.read_bytes()
    )
    evidence = gather.gather([tmp_path])
    assert [finding.where for finding in audit.audit(evidence, ["selected-on-test"])] == ["train-a/net"]


def test_an_empty_folder_is_told(tmp_path: Path) -> None:
    evidence = gather.gather([tmp_path])
    assert evidence.is_empty and "no record, checkpoint or emissions.csv" in evidence.skipped[0].seen


def test_nothing_is_found_in_what_the_tool_itself_trains_and_prunes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two seeds, no fine-tuning: there is nothing to be said."""
    full = data.load("fashion-mnist-mini")
    small = dataclasses.replace(full, train=data.balanced(full.train, 640))
    monkeypatch.setattr(data, "load", lambda name: small)
    for seed in (0, 1):
        (tmp_path / str(seed)).mkdir()
        dense = train("ultralight", epochs=1, seed=seed, out=tmp_path / str(seed))
        for method, ratio in (("channels", 0.3), ("l1-global", 0.5)):
            prune(dense.path, method=method, ratio=ratio, finetune=0, out=tmp_path / str(seed))
    evidence = gather.gather([tmp_path])
    assert len(evidence.checkpoints) == 6
    assert audit.audit(evidence) == []


# ------------------------------------------------------------------ as typed


def test_the_command_groups_findings_and_exits_with_3() -> None:
    done = run_cli("audit", "emissions.csv", cwd=DATA)
    assert (done.returncode, done.stderr) == (3, "")
    lines = done.stdout.splitlines()
    assert max(map(len, lines)) <= 80
    assert [line.split() for line in lines if line.startswith(("resnet18", "efficientnet-b4"))] == [
        ["resnet18", "22.24", "452.6", "11.74", "42.47", "69.07", "44%"],
        ["efficientnet-b4", "361.67", "285.5", "190.94", "42.47", "75.23", "42%"],
    ]
    assert lines.count("emissions.csv") == lines.count("emissions.csv, run 1") == 1
    assert lines[-1] == f"{len(audit.names())} detectors ran, 4 findings"


def test_the_exit_code_says_whether_something_is_wrong_or_only_doubtful() -> None:
    def typed(*arguments: str) -> tuple[int, str]:
        shown = CliRunner().invoke(cli.app, ["audit", *arguments])
        return shown.exit_code, shown.output

    doubtful = (str(where("ultralight")), "--only", "green-score")
    assert typed(*doubtful)[0] == 0
    code, output = typed(*doubtful, "--strict")
    assert code == 3 and output.endswith("1 detector ran, 1 finding\n")
    code, output = typed(str(DATA / "ultralight-corrected.yaml"), str(DATA / "emissions_corrected.csv"), "--strict")
    assert code == 0 and output.endswith("detectors ran, 0 findings\n")


def test_a_file_that_cannot_be_read_exits_with_1(tmp_path: Path) -> None:
    done = run_cli("audit", "none.csv", cwd=tmp_path)
    assert done.returncode == 1 and "skipped: none.csv: cannot be read" in done.stderr and not done.stdout


def test_no_path_is_a_usage_error(tmp_path: Path) -> None:
    assert run_cli("audit", cwd=tmp_path).returncode == 2


def test_the_list_names_every_detector(tmp_path: Path) -> None:
    shown = run_cli("audit", "--list", cwd=tmp_path).stdout.splitlines()
    assert [line for line in shown if not line.startswith("  ")] == audit.names()
    assert max(map(len, shown)) <= 80 and len(shown) >= 2 * len(audit.names())


def test_reading_emissions_imports_no_heavy_library(tmp_path: Path) -> None:
    script = (
        "import sys; from pathlib import Path\n"
        "from edgebench.studies import audit; from edgebench.studies.audit import gather\n"
        f"assert audit.audit(gather.gather([Path({str(DATA / 'emissions.csv')!r})]))\n"
        "print([name for name in ('torch', 'torchvision', 'codecarbon', 'pandas') if name in sys.modules])\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_records_alone_need_a_load_only(tmp_path: Path) -> None:
    (path,) = save_all(tmp_path, [make_record()])
    assert gather.gather([path]).records == (record_files.load(path),)
