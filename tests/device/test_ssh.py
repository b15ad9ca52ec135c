"""The ssh transport, with a stand-in for the ssh program: commands, bootstrap, noise, and what errors say."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from edgebench import deploy
from edgebench.device.agent import Agent
from edgebench.device.transports import open_transport, ssh
from edgebench.errors import AgentError, BadFile, Unreachable
from edgebench.schema.plan import Plan
from edgebench.schema.targets import Target

BOARD = Target(name="board", transport="ssh", host="board.local", user="pi")


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "board home"  # with a space: nothing may be left unquoted
    folder.mkdir()
    stubs = Path(__file__).parents[1] / "stubs"
    monkeypatch.setenv("PATH", f"{stubs}:{os.environ['PATH']}")
    monkeypatch.setenv("STUB_HOME", str(folder))
    return folder


def connect(target: Target = BOARD) -> Agent:
    return Agent(open_transport(target), f"target '{target.name}'")


def test_the_agent_arrives_once_and_is_found_again(home: Path) -> None:
    connect().close()
    first = (home / "calls").read_text().count(".part-")
    connect().close()
    assert first == 1
    assert (home / "calls").read_text().count(".part-") == 1
    assert len(list(home.glob(".cache/edgebench/agent/agent-*.pyz"))) == 1


def test_a_login_banner_is_not_an_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STUB_BANNER", '{"welcome": "to the board"}')
    agent = connect()
    assert agent.facts().kernel
    agent.close()


def test_a_whole_deploy_over_ssh(relu_bundle: Path, tiny_plan: Plan, tmp_path: Path, home: Path) -> None:
    # The stand-in's python3 has no runtimes: use the one of this environment, as a board with them installed.
    import sys

    target = Target(name="board", transport="ssh", host="board.local", python=sys.executable)
    records = deploy.deploy(target, deploy.artifacts_at([relu_bundle]), tiny_plan, tmp_path / "results")
    assert len(records) == 2
    for one in records:
        assert one.target.transport == "ssh" and one.rounds and one.golden and one.golden.passed
    assert (home / ".cache/edgebench/agent/blobs").is_dir()


@pytest.mark.parametrize(
    ("said", "seen", "remedy"),
    [
        ("ssh: Could not resolve hostname board.local: Name or service not known", "name is unknown", "targets.yaml"),
        ("ssh: connect to host board.local port 22: Connection refused", "no ssh server", "Enable ssh"),
        ("ssh: connect to host 10.0.0.9 port 22: Connection timed out", "no answer", "switched on"),
        ("ssh: connect to host 10.0.0.9 port 22: No route to host", "no route to it", "switched on"),
        ("pi@board.local: Permission denied (publickey).", "refuses", "ssh-copy-id pi@board.local"),
        ("Host key verification failed.", "not known here yet", "ssh pi@board.local"),
        ("@ WARNING: REMOTE HOST IDENTIFICATION HAS CHANGED! @\nHost key verification failed.", "not the one",
         "ssh-keygen -R board.local"),
        ("kex_exchange_identification: something new", "something new", "by hand"),
    ],
)  # fmt: skip
def test_what_ssh_says_becomes_what_to_do(said: str, seen: str, remedy: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STUB_SAYS", said)
    with pytest.raises(Unreachable) as caught:
        connect()
    assert seen in caught.value.seen and remedy in caught.value.remedy
    assert "\n" not in str(caught.value)


def test_no_python_on_the_board(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(AgentError, match="'python9' is not installed"):
        connect(Target(name="board", transport="ssh", host="board.local", python="python9"))


def test_a_python_that_is_too_old(tmp_path: Path) -> None:
    old = tmp_path / "python3"
    old.write_text('#!/bin/sh\necho \'{"hello": 0, "python": "3.7"}\'\n')
    old.chmod(0o755)
    with pytest.raises(AgentError, match=r"is 3\.7.*3\.9"):
        connect(Target(name="board", transport="ssh", host="board.local", python=str(old)))


def test_a_target_without_host_or_with_an_option_for_one() -> None:
    with pytest.raises(BadFile, match="no `host`"):
        open_transport(Target(name="board", transport="ssh"))
    with pytest.raises(BadFile, match="cannot start with '-'"):
        open_transport(Target(name="board", transport="ssh", host="-oProxyCommand=evil"))


def test_an_emulated_board_that_is_off_says_how_to_start_it(tmp_path: Path) -> None:
    off = Target(name="x", transport="ssh", host="x", ssh_config=str(tmp_path / "none"), emulated=True)
    with pytest.raises(Unreachable, match="the emulated board is off. Start it with: edgebench targets emulate"):
        open_transport(off)


def test_an_emulated_board_that_was_switched_off_is_no_board_without_ssh(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "config").touch()  # it stays when the board is switched off
    monkeypatch.setenv("STUB_SAYS", "ssh: connect to host 127.0.0.1 port 40123: Connection refused")
    target = Target(
        name="x", transport="ssh", host="edgebench-rpi5", ssh_config=str(tmp_path / "config"), emulated=True
    )
    with pytest.raises(Unreachable, match="is off. Start it with: edgebench targets emulate rpi5$"):
        connect(target)


def test_remote_paths_are_quoted_but_for_the_home_folder() -> None:
    assert ssh.remote_path("~/a b/$(x)") == "~/'a b/$(x)'"
    assert ssh.remote_path("/a b") == "'/a b'"
