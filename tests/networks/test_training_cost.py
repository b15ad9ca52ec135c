"""Time, memory and energy of a training: where each number comes from, and that none is made up."""

from __future__ import annotations

import dataclasses
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

from device_agents.python.meters import Unavailable, rapl
from edgebench.energy import carbon
from edgebench.errors import MissingPackage, UnknownName
from edgebench.networks.training import Costing, cost, costing, emissions_g, energy
from edgebench.schema.history import EnergyShare, TrainingCost

torch = pytest.importorskip("torch")

CPU = torch.device("cpu")


@pytest.fixture
def no_counters(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse() -> None:
        raise Unavailable("no RAPL counters here")

    monkeypatch.setattr(rapl, "open_meter", refuse)


@pytest.fixture
def counters(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Path]:
    """A machine with one package and its memory; the counters stand at what the test writes."""
    package = tmp_path / "sys/class/powercap/intel-rapl:0"
    memory = package / "intel-rapl:0:0"
    for zone, name in ((package, "package-0"), (memory, "dram")):
        zone.mkdir(parents=True)
        (zone / "name").write_text(name)
        (zone / "max_energy_range_uj").write_text("1000000000")
        (zone / "energy_uj").write_text("0")
    monkeypatch.setattr(rapl, "ROOT", tmp_path)
    return {"cpu": package / "energy_uj", "ram": memory / "energy_uj"}


@pytest.mark.parametrize(("kilojoules", "grams"), [(150, 21.997), (400, 58.659)])
def test_emissions_are_the_studys(kilojoules: float, grams: float) -> None:
    share = EnergyShare("gpu", kilojoules * 1000, "measured", "a counter")
    spent = TrainingCost(1.0, 1, energy=(share,), intensity_g_per_kwh=527.93)
    assert emissions_g(spent) == {"measured": pytest.approx(grams, abs=1e-3)}


def test_emissions_of_different_provenance_are_not_added() -> None:
    shares = (
        EnergyShare("gpu", 3.6e6, "measured", "a"),
        EnergyShare("cpu", 3.6e6, "modelled", "b"),
        EnergyShare("ram", 7.2e6, "modelled", "b"),
    )
    assert emissions_g(TrainingCost(1.0, 1, energy=shares, intensity_g_per_kwh=100)) == {
        "measured": pytest.approx(100),
        "modelled": pytest.approx(300),
    }
    assert emissions_g(TrainingCost(1.0, 1, energy=shares)) == {}


def test_windows_are_added_and_what_is_between_them_is_not(counters: dict[str, Path]) -> None:
    meter = cost.TrainingMeter(Costing(), CPU)
    for before, after in ((1_000_000, 3_000_000), (999_000_000, 1_000_000)):  # the second time it wraps
        counters["cpu"].write_text(str(before))
        with meter.window(images=10):
            counters["cpu"].write_text(str(after))
            counters["ram"].write_text(str(after // 1000))
        time.sleep(0.05)
        counters["ram"].write_text("0")
    spent = meter.cost
    assert spent.images == 20
    assert 0 < spent.seconds < 0.05
    assert {(share.component, share.provenance) for share in spent.energy} == {("cpu", "measured"), ("ram", "measured")}
    joules = {share.component: share.joules for share in spent.energy}
    assert joules == {"cpu": pytest.approx(2 + 2), "ram": pytest.approx(0.003 + 0.001)}
    assert spent.no_energy == "" and spent.intensity_g_per_kwh == 527.93


def test_a_counter_may_start_again_more_than_once(counters: dict[str, Path], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cost, "TICK_S", 0.0)
    meter = cost.TrainingMeter(Costing(), CPU)
    with meter.window(images=1):
        for stand in (600_000_000, 200_000_000, 800_000_000, 400_000_000):
            counters["cpu"].write_text(str(stand))
            meter.tick()
    assert meter.cost.energy[0].joules == pytest.approx(600 * 4)


def test_no_energy_is_invented(no_counters: None) -> None:
    meter = cost.TrainingMeter(Costing(), CPU)
    with meter.window(images=1):
        pass
    assert meter.cost.energy == () and emissions_g(meter.cost) == {}
    assert meter.cost.no_energy == "no RAPL counters here; --carbon adds a modelled figure"


def test_a_model_is_called_one_and_writes_nothing(
    no_counters: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("codecarbon")
    monkeypatch.chdir(tmp_path)
    meter = cost.TrainingMeter(costing("DEU", intensity_g_per_kwh=50.0), CPU)
    for _ in range(2):
        with meter.window(images=1):
            time.sleep(0.3)
    shares = meter.cost.energy
    assert {(share.component, share.provenance) for share in shares} == {("cpu", "modelled"), ("ram", "modelled")}
    assert all(share.joules > 0 and "codecarbon" in share.source for share in shares)
    assert (meter.cost.no_energy, meter.cost.intensity_g_per_kwh) == ("", 50.0)
    assert meter.cost.intensity_source == "given by the user"
    assert list(tmp_path.iterdir()) == []
    assert capfd.readouterr() == ("", "")


def test_the_model_is_not_asked_for_what_is_measured(counters: dict[str, Path]) -> None:
    found, why = energy.sources(CPU, modelled=True)
    assert [type(source) for source in found] == [energy.Packages] and why == ""


def test_a_missing_model_is_an_error(no_counters: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "codecarbon", None)
    with pytest.raises(MissingPackage, match=r"pip install 'edgebench\[carbon\]'"):
        cost.TrainingMeter(Costing(modelled=True), CPU)


def test_carbon_means_the_grid_of_a_country_as_it_does_for_deploy() -> None:
    pytest.importorskip("codecarbon")
    grid = carbon.grid("DEU")
    assert costing("DEU") == Costing(True, grid.g_per_kwh, grid.source)
    assert costing("DEU", intensity_g_per_kwh=50.0) == Costing(True, 50.0, "given by the user")
    assert costing() == Costing(False)
    with pytest.raises(UnknownName, match="country"):
        costing("GERMANY")


def test_a_gpus_counter_is_read_by_the_boards_own_name(no_counters: None, monkeypatch: pytest.MonkeyPatch) -> None:
    millijoules = iter([1_000, 5_000, 12_500])
    nvml = SimpleNamespace(
        NVMLError=OSError,
        nvmlInit=lambda: None,
        nvmlDeviceGetHandleByUUID={"GPU-11-22": "the board"}.__getitem__,
        nvmlDeviceGetTotalEnergyConsumption=lambda board: next(millijoules) if board == "the board" else 0,
    )
    monkeypatch.setitem(sys.modules, "pynvml", nvml)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda where: SimpleNamespace(uuid="11-22"))
    found, why = energy.sources(torch.device("cuda"), modelled=False)
    assert why == "" and len(found) == 1
    found[0].start()
    assert found[0].stop() == [EnergyShare("gpu", 7.5, "measured", "NVML energy counter of the board")]


def test_memory_is_that_of_the_window(no_counters: None) -> None:
    meter = cost.TrainingMeter(Costing(), CPU)
    ballast = torch.ones(50_000_000)  # 200 MB, gone before the window
    del ballast
    with meter.window(images=1):
        small = torch.ones(1000)
    (key, first), = meter.cost.peak_memory_bytes.items()  # fmt: skip
    if key != "process high water":
        pytest.skip("this system does not let the mark be reset")
    with meter.window(images=1):
        large = torch.ones(50_000_000)
    assert meter.cost.peak_memory_bytes[key] > first + 150_000_000
    assert len(small) + len(large) > 0


def test_a_mark_that_cannot_be_reset_is_called_so(no_counters: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cost, "_CLEAR", Path("/nowhere/clear_refs"))
    meter = cost.TrainingMeter(Costing(), CPU)
    with meter.window(images=1):
        pass
    assert list(meter.cost.peak_memory_bytes) == ["process high water since its start"]


def test_a_failed_window_leaves_no_source_running(counters: dict[str, Path]) -> None:
    meter = cost.TrainingMeter(Costing(), CPU)
    with pytest.raises(ZeroDivisionError), meter.window(images=1):
        raise ZeroDivisionError
    assert meter.cost.images == 0 and meter.cost.energy == ()


def test_the_benchmark_times_both_loops() -> None:
    from benchmarks import training as benchmark
    from edgebench.networks import data
    from edgebench.networks.training.recipes import Augment

    full = data.load("fashion-mnist-mini")
    part = dataclasses.replace(full, train=data.balanced(full.train, 64), validation=data.balanced(full.test, 20))
    augment = Augment(flip=True, shift=2)
    assert benchmark.plain_rate("mlp-small", part, 16, augment, workers=0) > 0
    assert benchmark.our_rate("mlp-small", part, benchmark.recipe(16, augment)) > 0
