"""CodeCarbon's emissions.csv: the two rows of the CIFAR-100 profile study, and files that are none."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from edgebench import emissions
from edgebench.errors import BadFile
from tests.audit_cases import DATA

FILE = DATA / "emissions.csv"


def edited(folder: Path, **cells: str | None) -> Path:
    """The file with cells of its second run changed; a column of None is taken out."""
    with FILE.open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    rows[1].update({name: text for name, text in cells.items() if text is not None})
    header = [name for name in rows[0] if cells.get(name, "") is not None]
    path = folder / "emissions.csv"
    with path.open("w", newline="") as stream:
        writer = csv.DictWriter(stream, header, extrasaction="ignore")
        writer.writeheader()
        writer.writerows(rows)
    return path


def test_what_follows_from_the_two_rows_of_study_002() -> None:
    resnet, efficientnet = emissions.load(FILE)
    assert (resnet.name, resnet.region, resnet.version) == ("resnet18", "iowa", "2.8.3")
    assert round(resnet.intensity_g_per_kwh, 1) == 452.6 and round(efficientnet.intensity_g_per_kwh, 1) == 285.5
    assert round(resnet.mean_power_w("gpu"), 2) == 69.07 and round(efficientnet.mean_power_w("gpu"), 2) == 75.23
    assert round(efficientnet.energy_kwh / resnet.energy_kwh, 2) == 16.26
    assert round(efficientnet.emissions_kg / resnet.emissions_kg, 2) == 10.26
    assert (round(resnet.emissions_g(), 2), round(efficientnet.emissions_g(), 2)) == (11.74, 190.94)
    assert (round(resnet.modelled_share, 2), round(efficientnet.modelled_share, 2)) == (0.44, 0.42)
    assert resnet.modelled == ("cpu", "ram") and resnet.is_cpu_constant


def test_version_3_has_other_columns_and_mean_powers() -> None:
    for one in emissions.load(DATA / "emissions_corrected.csv"):
        assert one.version == "3.2.9" and one.modelled == ("ram",)
        assert one.modelled_share == 0.0
        assert one.power_w["gpu"] == pytest.approx(one.mean_power_w("gpu"), rel=1e-4)


def test_the_constant_is_the_tables_unit() -> None:
    """Test vectors of the PLOS study: 150 kJ are 21.997 g, 400 kJ are 58.659 g."""
    kwh = {kilojoules: kilojoules / 3600 for kilojoules in (150, 400)}
    assert [round(kwh[kj] * emissions.INTENSITY_G_PER_KWH, 3) for kj in kwh] == [21.997, 58.659]


@pytest.mark.parametrize(
    ("cells", "words"),
    [
        ({"gpu_energy": None}, "it lacks the column gpu_energy"),
        ({"gpu_energy": None, "region": None}, "it lacks the columns gpu_energy, region"),
        ({"gpu_energy": "plenty"}, "run 2: gpu_energy is 'plenty', which is no amount"),
        ({"duration": ""}, "run 2: duration is empty"),
        ({"duration": "0"}, "duration is 0"),
        ({"energy_consumed": "-1"}, "energy_consumed is '-1'"),
        ({"emissions": "nan"}, "emissions is 'nan'"),
    ],
)
def test_a_damaged_file_is_told_with_its_run_and_column(
    tmp_path: Path, cells: dict[str, str | None], words: str
) -> None:
    with pytest.raises(BadFile) as told:
        emissions.load(edited(tmp_path, **cells))
    assert words in str(told.value)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "it is empty"),
        (b"a,b\n1,2\n", "it has none of CodeCarbon's columns"),
        (b"\xff\xfe\x00\x81", "it is not a CSV file"),
        (FILE.read_bytes().splitlines()[0] + b"\n", "it has a header and no run"),
        (FILE.read_bytes().rstrip() + b",more\n", "run 2: it has not as many fields as the header"),
        (FILE.read_bytes()[:-100], "run 2: it has not as many fields"),
    ],
)
def test_what_is_no_such_file_is_told(tmp_path: Path, content: bytes, words: str) -> None:
    path = tmp_path / "emissions.csv"
    path.write_bytes(content)
    with pytest.raises(BadFile) as told:
        emissions.load(path)
    assert words in str(told.value)


def test_a_file_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(BadFile, match="cannot be read"):
        emissions.load(tmp_path / "emissions.csv")
