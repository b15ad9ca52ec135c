"""The notebook in docs/ runs as it stands, and comes to the decision that the records hold."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest.importorskip("nbclient")
pytest.importorskip("ipykernel")
pytest.importorskip("pandas")

DOCS = Path(__file__).parents[2] / "docs"


@pytest.mark.filterwarnings("ignore")
def test_the_notebook_runs_and_decides(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import nbformat
    from nbclient import NotebookClient

    for name in ("JUPYTER_RUNTIME_DIR", "IPYTHONDIR", "JUPYTER_CONFIG_DIR"):
        monkeypatch.setenv(name, str(tmp_path / name))
    monkeypatch.setenv("PYDEVD_DISABLE_FILE_VALIDATION", "1")
    book = nbformat.read(DOCS / "results.ipynb", as_version=4)
    assert not any(cell.get("outputs") or cell.get("execution_count") for cell in book.cells), "strip its outputs"
    NotebookClient(book, timeout=120, resources={"metadata": {"path": str(DOCS)}}).execute()
    shown = {cell.id: cell.outputs for cell in book.cells if cell.cell_type == "code"}
    assert "<svg" in str(shown["chart"][0].data["image/svg+xml"])
    decided = shown["decision"][0].data["text/plain"]
    assert "desktop-cpu    demo-pruned-tflite-int8" in decided and "rpi4-emulated    demo-pruned-onnx-fp32" in decided
    assert "demo-pruned-tflite-int8    0.39x (0.39-0.39) different" in shown["compare"][0].text
