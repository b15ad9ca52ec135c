"""Contracts of the folders that are registries: a new file is tested without an edit here."""

from __future__ import annotations

import ast
import contextlib
import inspect
import io
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any, get_args

import msgspec
import pytest

import device_agents.python.meters as meters
import exporters
from device_agents.python import energy
from edgebench import compare, plugins
from edgebench.device.transports import AgentTransport, Transport
from edgebench.errors import UnknownName
from edgebench.schema.bundle import FORMAT_OF_SUFFIX, Format, Precision
from edgebench.schema.energy_reading import Instrument, Scope
from edgebench.schema.targets import Target
from edgebench.studies.audit import AuditEvidence
from edgebench.studies.study.results import Results
from tests.support.records import make_record

REGISTRIES = {
    "edgebench.device.transports": "transport",
    "edgebench.analysis.report": "report",
    "edgebench.analysis.report.sections": "section",
    "edgebench.networks.models": "model",
    "edgebench.networks.data": "data set",
    "edgebench.networks.pruning": "pruning method",
    "edgebench.networks.packing": "packing format",
    "edgebench.networks.tasks": "task",
    "edgebench.studies.audit.detectors": "detector",
    "edgebench.studies.study.figures": "figure",
    "edgebench.studies.study.places": "place",
    "exporters": "export format",
    "device_agents.python.runtimes": "runtime",
    "device_agents.python.meters": "meter",
    "edgebench.energy.meters": "meter",
}
AGENT = Path(meters.__file__).parents[1]


def every(package: str) -> Any:
    """Parametrise a test over the plugins of a folder."""
    return pytest.mark.parametrize("name", plugins.names(package))


def load(package: str, name: str) -> ModuleType:
    return plugins.load(package, name, kind=REGISTRIES[package])


def parameters(function: Any) -> list[str]:
    """The names of the parameters that have no default."""
    known = inspect.signature(function).parameters.values()
    return [one.name for one in known if one.default is inspect.Parameter.empty and one.kind is not one.VAR_KEYWORD]


# ------------------------------------------------------------------ the registries themselves


@pytest.mark.parametrize("package", REGISTRIES)
def test_the_listing_is_the_folder(package: str) -> None:
    known = plugins.names(package)
    folder = Path(str(sys.modules[package].__file__)).parent
    files = {path.stem for path in folder.glob("*.py")} - {"__init__", "__main__"}
    assert set(known) == {stem.replace("_", "-") for stem in files if not stem.startswith("_")}
    assert known == sorted(known) and known


@pytest.mark.parametrize("package", REGISTRIES)
def test_every_name_loads_and_says_what_it_is(package: str) -> None:
    for name in plugins.names(package):
        module = load(package, name)
        assert module.__name__ == f"{package}.{name.replace('-', '_')}"
        assert module.__doc__, name


@pytest.mark.parametrize("package", REGISTRIES)
def test_a_typo_is_answered_with_a_guess(package: str) -> None:
    name = plugins.names(package)[0]
    with pytest.raises(UnknownName, match=f"{REGISTRIES[package]}: .*Did you mean '{name}'"):
        load(package, name + "x")


@pytest.mark.parametrize("name", ["_facts", "-facts", "facts", "__init__", "../targets", "memory.py", "memory.x", ""])
def test_only_names_in_the_listing_are_loaded(name: str) -> None:
    assert (Path(str(sys.modules["edgebench"].__file__)).parent / "analysis/report/sections/_facts.py").is_file()
    with pytest.raises(UnknownName):
        load("edgebench.analysis.report.sections", name)


def test_names_with_an_underscore_are_helpers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "made_up_registry"
    package.mkdir()
    for name in ("__init__", "two_words", "_helper"):
        (package / f"{name}.py").write_text("VALUE = 1\n")
    monkeypatch.syspath_prepend(tmp_path)
    assert plugins.names("made_up_registry") == ["two-words"]
    assert plugins.load("made_up_registry", "two-words", kind="thing").VALUE == 1
    with pytest.raises(UnknownName):
        plugins.load("made_up_registry", "two_words", kind="thing")


# ------------------------------------------------------------------ transports


@pytest.fixture
def open_transport(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Transport | AgentTransport]]:
    """Open transports of a made-up device, with stand-ins for the programs they call; closed in the end."""
    monkeypatch.setenv("PATH", f"{Path(__file__).parents[1] / 'stubs'}:{os.environ['PATH']}")
    with contextlib.ExitStack() as opened:

        def open_(name: str, **keys: Any) -> Transport | AgentTransport:
            target = Target(name="x", transport=name, host="nowhere.invalid", **keys)
            transport = load("edgebench.device.transports", name).open_transport(target)
            return opened.enter_context(contextlib.closing(transport))

        yield open_


@every("edgebench.device.transports")
def test_a_transport_does_what_its_package_says(
    name: str, open_transport: Callable[..., Transport | AgentTransport]
) -> None:
    opened = open_transport(name)
    assert parameters(opened.connect) == ["progress"] and parameters(opened.close) == []
    if isinstance(opened, AgentTransport):
        assert len(opened.sha256) == 64 and parameters(opened.session) == []
    else:
        assert opened.python and opened.workdir
        assert parameters(opened.put) == ["source", "destination"] and parameters(opened.run) == ["script"]


@every("edgebench.device.transports")
def test_a_transport_takes_interpreter_and_folder_from_the_target(
    name: str, open_transport: Callable[..., Transport | AgentTransport]
) -> None:
    opened = open_transport(name, python="/opt/python", workdir="/var/agent")
    assert getattr(opened, "python", "/opt/python") == "/opt/python"
    assert getattr(opened, "workdir", "") == "/var/agent"


# ------------------------------------------------------------------ report forms


@pytest.mark.parametrize(
    "name",
    plugins.names("edgebench.analysis.report"),
)
def test_a_report_form_renders_a_comparison_to_text(name: str) -> None:
    text = load("edgebench.analysis.report", name).render(compare.compare([make_record()]))
    assert ("net-onnx-fp32" if isinstance(text, str) else b"net-onnx-fp32") in text


@every("edgebench.analysis.report.sections")
def test_a_section_has_its_place_and_none_without_data(name: str) -> None:
    section = load("edgebench.analysis.report.sections", name)
    assert isinstance(section.PLACE, int) and list(section.sections(compare.compare([]))) == []


# ------------------------------------------------------------------ what runs on devices


@every("device_agents.python.runtimes")
def test_a_runtime_says_what_it_loads_and_how_it_is_brought(name: str) -> None:
    runtime = load("device_agents.python.runtimes", name)
    assert runtime.SUFFIXES and set(runtime.SUFFIXES) <= set(FORMAT_OF_SUFFIX)
    assert all(isinstance(package, str) and isinstance(rule, str) for package, rule in runtime.WHEELS.items())
    assert isinstance(runtime.TINY_MODEL, str)
    if hasattr(runtime, "start_worker"):
        assert parameters(runtime.start_worker) == ["stderr_path"]
        assert runtime.PROGRAM in Target.__struct_fields__
    else:
        assert parameters(runtime.facts) == ["options"] and parameters(runtime.load) == ["path", "options"]
    assert not runtime.WHEELS or runtime.TINY_MODEL  # what is brought is proved to work


@every("device_agents.python.meters")
def test_a_meter_says_where_its_numbers_come_from_or_why_there_are_none(name: str) -> None:
    meter = load("device_agents.python.meters", name)
    for scope, (provenance, why) in meter.NOT_MEASURED.items():
        assert msgspec.convert(scope, Scope) and provenance in ("estimated", "modelled") and why
    assert parameters(meter.open_meter) == []
    try:
        opened = meter.open_meter()
    except meters.Unavailable as reason:
        assert len(str(reason)) > 10
    else:
        first, second = opened.read(), opened.read()
        joules = opened.joules(first, second)
        assert joules and all(msgspec.convert(scope, Scope) and value >= 0 for scope, value in joules.items())
        assert opened.u_joules(first, second).keys() == joules.keys()
        assert msgspec.convert(opened.instrument, Instrument)


def test_a_helper_among_the_meters_is_no_meter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "_helper.py").write_text("")
    monkeypatch.setattr(meters, "__path__", [str(tmp_path)])
    energy.measure_energy([], {"energy_windows": 0}, journal=None, survives=None)
    assert "device_agents.python.meters._helper" not in sys.modules


@pytest.mark.parametrize("path", sorted(AGENT.rglob("*.py")), ids=lambda path: path.relative_to(AGENT).as_posix())
def test_the_agent_imports_the_standard_library_only(path: Path) -> None:
    """At module level; a runtime imports its library inside its functions."""
    tree = ast.parse(path.read_text(), feature_version=(3, 9))
    for node in tree.body:
        if isinstance(node, ast.Import):
            assert {alias.name.partition(".")[0] for alias in node.names} <= sys.stdlib_module_names
        elif isinstance(node, ast.ImportFrom) and not node.level:
            assert str(node.module).partition(".")[0] in sys.stdlib_module_names


# ------------------------------------------------------------------ models, data, pruning, exporters


@every("edgebench.networks.models")
def test_a_model_is_built_from_shape_and_classes(name: str) -> None:
    assert parameters(load("edgebench.networks.models", name).build) == ["input_shape", "classes"]


@every("edgebench.networks.data")
def test_a_data_set_loads_without_arguments(name: str) -> None:
    assert parameters(load("edgebench.networks.data", name).load) == []


@every("edgebench.networks.pruning")
def test_a_pruning_method_removes_parts_or_says_what_is_kept(name: str) -> None:
    method = load("edgebench.networks.pruning", name)
    if hasattr(method, "shrink"):
        assert parameters(method.shrink) == ["model", "input_shape"] and not hasattr(method, "masks")
    else:
        assert parameters(method.masks) == ["model", "input_shape", "seed"]


@every("edgebench.networks.packing")
def test_a_packing_format_packs_and_unpacks(name: str) -> None:
    format_ = load("edgebench.networks.packing", name)
    assert parameters(format_.pack) == ["array"] and parameters(format_.unpack) == ["packed", "shape"]


@every("edgebench.studies.audit.detectors")
def test_a_detector_looks_at_evidence(name: str) -> None:
    detector = load("edgebench.studies.audit.detectors", name)
    assert parameters(detector.find) == ["evidence"]
    assert list(detector.find(AuditEvidence())) == []


@every("edgebench.studies.study.figures")
def test_a_figure_shows_results_or_nothing(name: str) -> None:
    figure = load("edgebench.studies.study.figures", name)
    assert parameters(figure.render) == ["results"]
    section = figure.render(Results("empty", "Empty", "nobody", ()))
    assert section is None or (section.heading and section.text)


@every("edgebench.studies.study.places")
def test_a_place_opens_at_an_address(name: str) -> None:
    assert parameters(load("edgebench.studies.study.places", name).open_place) == ["address", "jobs"]


@every("exporters")
def test_an_exporter_says_what_it_reads_and_makes(name: str) -> None:
    exporter = load("exporters", name)
    assert exporter.FORMAT in get_args(Format) and FORMAT_OF_SUFFIX[exporter.SUFFIX] == exporter.FORMAT
    assert exporter.SOURCES and set(exporter.SOURCES) <= set(get_args(exporters.SourceKind))
    assert exporter.PRECISIONS and set(exporter.PRECISIONS) <= set(get_args(Precision))
    assert all(isinstance(package, str) for package in exporter.PACKAGES) and exporter.EXTRA
    assert parameters(exporter.warm) == [] and parameters(exporter.convert) == ["job"]
    assert parameters(exporter.open_artifact) == ["path"]


def test_importing_every_plugin_imports_no_heavy_library() -> None:
    """In a process of its own, because another test may have imported them here."""
    script = (
        "import json, sys\n"
        "from edgebench import plugins\n"
        f"for package in {list(REGISTRIES)}:\n"
        "    for name in plugins.names(package):\n"
        "        plugins.load(package, name, kind='')\n"
        "print(json.dumps(sorted(sys.modules)))\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    loaded = set(json.load(io.StringIO(done.stdout)))
    heavy = {"torch", "tensorflow", "onnx", "onnxruntime", "ai_edge_litert", "litert_torch", "torchvision", "scipy"}
    heavy |= {"sklearn", "ray", "codecarbon", "zstandard", "altair"}
    assert not loaded & heavy
