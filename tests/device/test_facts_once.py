"""Finding out which meters can be read opens all of them: once for a session and the job that it starts."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from device_agents.python import device, job, meters
from device_agents.python.session import AgentSession
from device_agents.python.simulation import SimulatedBoard, SimulatedDevice
from device_agents.python.store import Store


@pytest.fixture
def probed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """One entry each time that meters were opened."""
    times: list[str] = []

    def probe(*_: Any) -> dict[str, Any]:
        times.append("probed")
        return {"rapl": {"available": True, "note": ""}}

    monkeypatch.setattr(meters, "probe", probe)
    return times


def test_a_session_opens_meters_once_and_its_job_not_at_all(tmp_path: Path, probed: list[str]) -> None:
    session = AgentSession(None, Store(tmp_path))  # type: ignore[arg-type]
    first, again = session.do_facts(), session.do_facts()
    assert first["meters"] == again["meters"] and probed == ["probed"]
    assert session._store.create_job({"id": "a"}, session._facts)
    folder = tmp_path / "jobs/a"
    assert job._lasting_facts(device.MACHINE, None, folder) == json.loads((folder / "facts.json").read_text())
    assert probed == ["probed"]


def test_a_job_whose_session_was_not_asked_and_a_made_up_device_find_out_themselves(
    tmp_path: Path, probed: list[str]
) -> None:
    assert job._lasting_facts(device.MACHINE, None, tmp_path)["meters"] and len(probed) == 1
    (tmp_path / "facts.json").write_text('{"model": "this machine"}')
    made_up = SimulatedDevice(SimulatedBoard())
    assert job._lasting_facts(made_up, None, tmp_path)["model"] == "simulated device" and len(probed) == 2
