"""Exports from an empty home, as a user types them."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.conftest import run_cli


def exported_leaving_nothing(work: Path, monkeypatch: pytest.MonkeyPatch, *typed: str) -> Path:
    """`edgebench export` in `work`; the bundle's folder. Nothing but edgebench's cache may be left elsewhere."""
    home, tmp = work / "home", work / "tmp"
    for folder in (home, tmp):
        folder.mkdir()
    for name in ("EDGEBENCH_CACHE", "ORT_DISABLE_TELEMETRY", "KERAS_HOME", "MPLCONFIGDIR"):
        monkeypatch.delenv(name, raising=False)
    done = run_cli("export", *typed, cwd=work, HOME=str(home), TMPDIR=str(tmp))
    assert done.returncode == 0, done.stderr
    left = {path.relative_to(home).as_posix() for path in home.rglob("*")} - {".cache", ".cache/edgebench"}
    elsewhere = sorted(path for path in left if not path.startswith(".cache/edgebench/"))
    assert not elsewhere, elsewhere
    assert not list(tmp.rglob("*")), list(tmp.rglob("*"))
    (bundle,) = work.glob("bundles/*")
    return bundle
