"""Tables and figures of a study's report, and the report itself."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest

from edgebench.analysis import stats
from edgebench.errors import UnknownName, UserError
from edgebench.networks.evaluation import Roc
from edgebench.studies.audit import Finding
from edgebench.studies.audit.published import PublishedRow, PublishedValue
from edgebench.studies.audit.published import PublishedTable as Published
from edgebench.studies.study import figures, report
from edgebench.studies.study.claims import ClaimVerdict
from edgebench.studies.study.figures import _approaches, _values, efficiency_index
from edgebench.studies.study.results import Results, Section, VariantResults
from tests.support import figure_results
from tests.support.figure_results import results as results

pytest.importorskip("torch")

# Headings of columns that hold no quantity, and of plain counts.
WITHOUT_UNIT = re.compile(
    r"network|class|layer|part|reference|changed|short|setting|table|on the Pareto front|most often mistaken for"
    r"|provenance.*|.*seeds.*|images|.*parameters|.*weights|zeros|MACs per image|FLOPs per image.*"
)
UNIT = re.compile(r", (%|nats|J|Wh|g|mg|ms|points|MB|MiB|%/mg)( |$)|\(0 to [12]\)|\(as printed\)")
NEED_NOTHING = {"table", "dashboard", "compression"}


@pytest.fixture(scope="module")
def sections(results: Results) -> dict[str, Section]:
    return {name: figure for name in figures.names() if (figure := figures.render(name, results))}


def every_figure() -> Any:
    return pytest.mark.parametrize("name", figures.names())


def parts(spec: Any) -> Iterator[dict[str, Any]]:
    """Every object in a specification."""
    if isinstance(spec, dict):
        yield spec
        for value in spec.values():
            yield from parts(value)
    elif isinstance(spec, list):
        for value in spec:
            yield from parts(value)


def cells(section: Section, row: int) -> dict[str, str]:
    assert section.table is not None
    return dict(zip(section.table.columns, section.table.rows[row], strict=True))


# ------------------------------------------------------------------ every figure


@every_figure()
def test_a_figure_shows_something_and_says_what(name: str, sections: dict[str, Section]) -> None:
    section = sections[name]
    assert section.heading and len(section.text) > 20
    if name != "published":
        assert section.table or section.chart or section.images


@every_figure()
def test_tables_are_whole_and_name_their_units(name: str, sections: dict[str, Section]) -> None:
    table = sections[name].table
    if table is None:
        return
    assert table.rows and all(len(row) == len(table.columns) for row in table.rows)
    for number, column in enumerate(table.columns):
        assert WITHOUT_UNIT.fullmatch(column) or UNIT.search(column) or column.startswith("index"), column
        assert all(row[number] for row in table.rows), column


@every_figure()
def test_charts_are_drawn_by_vega(name: str, sections: dict[str, Section]) -> None:
    import vl_convert

    chart = sections[name].chart
    if chart is not None:
        svg = vl_convert.vegalite_to_svg(chart)
        assert svg.startswith("<svg") and "NaN" not in svg
        assert svg.count("<path") > 3


@every_figure()
def test_bars_start_at_zero(name: str, sections: dict[str, Section]) -> None:
    for part in parts(sections[name].chart):
        if isinstance(part.get("mark"), dict) and part["mark"]["type"] == "bar":
            low, high = part["encoding"]["x"]["scale"]["domain"]
            assert low <= 0 <= high


@pytest.mark.parametrize(
    ("values", "ends", "expected"),
    [
        ([0, 10], [], [0, 10]),
        ([0, 10], [(9, 12)], [0, 12]),
        ([0, 10], [(-200, 220)], [0, 15]),
        ([0, -10, 4], [(-30, 10)], [-17, 10]),
        ([70, 80], [(69, 81)], [69, 81]),
        ([0, 0], [], [0, 1]),
        ([50, 50], [], [45, 55]),
        ([50, 50], [(49, 51)], [49, 51]),
    ],
)
def test_whiskers_of_two_seeds_do_not_squeeze_the_picture(
    values: list[float], ends: list[tuple[float, float]], expected: list[float]
) -> None:
    from edgebench.studies.study.figures import _charts

    assert _charts._domain(values, [SimpleNamespace(low=low, high=high) for low, high in ends]) == expected


@every_figure()
def test_what_has_no_data_says_why(name: str, results: Results) -> None:
    section = figures.render(name, figure_results.without_anything(results))
    assert section is not None and section.text.endswith(".")
    if name not in NEED_NOTHING:
        assert not section.table and not section.chart and not section.images


def test_a_reason_that_is_on_record_is_repeated(results: Results) -> None:
    bare = figure_results.without_anything(results)
    for name in ("green", "training-energy", "table", "dashboard"):
        section = figures.render(name, bare)
        assert section is not None and "there is no counter" in section.text, name


def test_figures_are_known_without_what_draws_them() -> None:
    """Reading a study file looks every one of them up. In a process of its own: others have drawn here."""
    script = (
        "import sys\n"
        "from edgebench import plugins\n"
        "for name in plugins.names('edgebench.studies.study.figures'):\n"
        "    plugins.load('edgebench.studies.study.figures', name, kind='')\n"
        "print(sorted({'torch', 'altair', 'scipy', 'pandas', 'sklearn'} & set(sys.modules)))\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


# ------------------------------------------------------------------ single ones


def test_the_main_table_holds_what_the_networks_are(sections: dict[str, Section], results: Results) -> None:
    dense, cut = cells(sections["table"], 2), cells(sections["table"], 3)
    assert dense["network"] == "ultralight dense"
    assert (dense["parameters"], dense["MACs per image"], dense["n seeds"]) == ("101,930", "342,464", "2")
    assert dense["FLOPs per image (2 x MACs)"] == "684,928"
    assert int(dense["non-zero parameters"].replace(",", "")) - int(cut["non-zero parameters"].replace(",", "")) == 320
    size = results.variants[2].runs[0].file_bytes
    assert dense["file, MB (10^6 B)"] == f"{size / 1e6:.3f}"
    assert dense["file, MiB (2^20 B)"] == f"{size / 2**20:.3f}"
    assert "±" in dense["test accuracy, %"]
    grams = [_values.co2_g(run, "measured") for run in results.variants[2].runs]
    assert dense["training CO2, g (measured: cpu)"].startswith(f"{sum(filter(None, grams)) / 2:.5f} ± ")
    assert "500 g/kWh (a made-up grid)" in sections["table"].text


def test_one_seed_has_no_interval(results: Results) -> None:
    single = replace(results, variants=tuple(replace(one, runs=one.runs[:1]) for one in results.variants))
    section = figures.render("table", single)
    assert section is not None and "n = 1" in section.text
    assert "±" not in "".join(section.table.rows[0])  # type: ignore[union-attr]
    ablation = figures.render("ablation", single)
    assert ablation is not None and "n = 1, no interval" in cells(ablation, 0)["95 % interval, points"]


def test_ablation_is_seed_by_seed(sections: dict[str, Section], results: Results) -> None:
    reference, changed = results.variants[:2]
    differences = [100 * (own.accuracy - base.accuracy) for own, base in zip(changed.runs, reference.runs, strict=True)]
    row = cells(sections["ablation"], 0)
    assert row["change of test accuracy, points"] == f"{sum(differences) / 2:+.2f}"
    estimate = stats.mean(differences)
    assert row["95 % interval, points"] == f"{estimate.low:+.2f} to {estimate.high:+.2f}"


def test_the_index_has_its_formula_and_its_energy_or_says_that_it_is_none(
    sections: dict[str, Section], results: Results
) -> None:
    section = sections["efficiency-index"]
    assert efficiency_index.FORMULA in section.text and "rapl cpu_package, measured" in section.text
    assert [cells(section, row)["index (0 to 1)"] for row in range(4)] == ["0.000", "0.100", "0.000", "0.100"]

    def silent(variant: VariantResults) -> VariantResults:
        runs = [
            replace(run, records=tuple(msgspec.structs.replace(one, energy=()) for one in run.records))
            for run in variant.runs
        ]
        return replace(variant, runs=tuple(runs))

    assert "TIE is missing" not in section.text
    quiet = replace(results, variants=(silent(results.variants[0]), *results.variants[1:]))
    section = figures.render("efficiency-index", quiet)  # type: ignore[assignment]
    assert "TIE is missing" in section.text and efficiency_index.TIME_ONLY in section.text
    indices = [cells(section, row)["index (0 to 1)"] for row in range(4)]
    assert indices == ["0.000 (time only)", "0.200 (time only)", "0.000", "0.100"]


def test_many_classes_fit_the_page(results: Results) -> None:
    """Sixty-two of them: matrices below one another, the worst curves only, every class in the tables."""
    import vl_convert

    run = results.variants[2].runs[0]
    assert run.evaluation is not None
    names = tuple(f"class {number}" for number in range(62))
    curves = [Roc((0.0, 0.5, 1.0), (0.0, 0.5 + number / 200, 1.0), 0.5 + number / 200) for number in range(61)]
    counts = ((1,) * 62,) * 62
    many = msgspec.structs.replace(run.evaluation, class_names=names, confusion=counts, roc=(*curves, Roc()))
    variant = replace(results.variants[2], runs=(replace(run, evaluation=many),))
    for name, rows in (("confusion", 62), ("roc", 63)):
        section = figures.render(name, replace(results, variants=(variant,)))
        assert section is not None and section.table is not None and section.chart is not None
        assert len(section.table.rows) == rows
        assert vl_convert.vegalite_to_svg(section.chart).startswith("<svg")
        groups = {point.get("group") for points in section.chart["datasets"].values() for point in points}
        assert name == "confusion" or groups == {f"class {number}" for number in range(12)}


def test_zeros_are_shown_of_all_and_of_live_weights(sections: dict[str, Section]) -> None:
    assert sections["layer-sparsity"].table is not None
    rows = {row[:2]: row[2:] for row in sections["layer-sparsity"].table.rows}
    assert rows["ultralight l1-hidden 50 %", "classifier"] == ("640", "320", "0", "50.00", "50.00")
    assert rows["ultralight l1-hidden 50 %", "all layers"][1] == "320"
    assert ("ultralight dense", "classifier") not in rows


def test_packed_sizes_stand_beside_the_dense_file(sections: dict[str, Section], results: Results) -> None:
    row = cells(sections["packing"], 0)
    size = results.variants[0].runs[0].file_bytes
    assert row["checkpoint, dense, MB (10^6 B)"] == f"{size / 1e6:.3f}"
    assert row["bitmask, MB (10^6 B)"] == f"{size // 2 / 1e6:.3f}"


def test_what_was_packed_but_never_pruned_is_a_table_only(results: Results) -> None:
    section = figures.render("packing", replace(results, variants=results.variants[:1]))
    assert section is not None and section.table is not None and section.chart is None


def test_a_line_over_the_ratio_begins_at_what_was_not_pruned(sections: dict[str, Section]) -> None:
    chart = sections["prune-ratio"].chart
    assert chart is not None
    found = {(point["group"], point["x"]) for points in chart["datasets"].values() for point in points}
    lines = [f"{model} fashion-mnist-mini l1-hidden" for model in figure_results.MODELS]
    assert found == {(line, ratio) for line in lines for ratio in (0, 50)}


def test_what_is_published_is_shown_as_printed(results: Results) -> None:
    row = PublishedRow(
        label="Custom CNN", values={"operations": PublishedValue(421.0, "GFLOP"), "accuracy": PublishedValue(0.9759)}
    )
    section = figures.render("published", replace(results, published=(Published("slides", (row,)),)))
    assert section is not None
    assert cells(section, 0)["operations (as printed)"] == "421 GFLOP"


def test_global_is_red_layer_wise_blue_and_dense_a_green_cross(sections: dict[str, Section]) -> None:
    assert _approaches.COLOURS["global"] == "#d1495b" and _approaches.COLOURS["layer-wise"] == "#2c6fbb"
    shapes = [part["shape"]["scale"] for part in parts(sections["efficiency-index"].chart) if "shape" in part]
    drawn = [dict(zip(one["domain"], one["range"], strict=True)) for one in shapes if isinstance(one, dict)]
    assert {"dense": "cross", "layer-wise": "circle"} in drawn


# ------------------------------------------------------------------ the report


HOSTILE = "</script><script>alert(1)</script>"
FINDINGS = [Finding("wrong", "row 3", "421 GFLOP are 421.0 KMac", "Print MACs", "units")]
CLAIMS = [
    ClaimVerdict("half the energy | less", "study", "not reproduced", "0.99 [0.97, 1.02]", "Dense kernels."),
    ClaimVerdict(f"hostile {HOSTILE}", "edgebench", "unsupported", "one seed"),
]


@pytest.fixture(scope="module")
def written(results: Results, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("report") / "report.html"
    named = replace(results, title=f"A study {HOSTILE}", variants=results.variants[:2])
    names = ["table", "training-energy", "published", "grad-cam"]
    assert report.write(named, names, FINDINGS, CLAIMS, path) == path
    return path


def test_claims_and_findings_come_first(written: Path) -> None:
    html = written.read_text().partition("<script>")[0]
    headings = re.findall(r"<h2>(.*?)</h2>", html)
    assert headings == ["Claims", "Findings", "Results", "Energy of training", "Not shown"]
    for words in ("not reproduced", "0.99 [0.97, 1.02]", "Dense kernels.", "421 GFLOP are 421.0 KMac", "units"):
        assert words in html


def test_figures_without_data_are_listed_with_their_reasons(written: Path) -> None:
    last = written.read_text().partition("<h2>Not shown</h2>")[2]
    assert "What the publication states" in last and "no convolution" in last


def test_the_page_needs_nothing_else_and_runs_nothing_of_strangers(written: Path) -> None:
    html = written.read_text()
    assert not re.search(r"""(src|href)=["']https?:""", html)
    assert HOSTILE not in html
    assert html.count('vegaEmbed("#chart') == html.count('id="chart') == 1


def test_the_text_beside_it_has_every_table(written: Path) -> None:
    text = written.with_suffix(".md").read_text()
    assert "| not reproduced | half the energy \\| less (study) |" in text
    assert "* **wrong** units: row 3: 421 GFLOP are 421.0 KMac. Print MACs" in text
    assert "| mlp-small dense | 2 |" in text and "## Energy of training" in text


def test_a_figure_that_is_no_file_and_a_place_that_is_none(results: Results, tmp_path: Path) -> None:
    with pytest.raises(UnknownName, match="Did you mean 'green'"):
        report.write(results, ["gren"], (), (), tmp_path / "report.html")
    with pytest.raises(UserError, match="cannot be written"):
        report.write(results, ["table"], (), (), tmp_path / "no" / "report.html")
