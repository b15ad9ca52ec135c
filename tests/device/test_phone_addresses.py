"""Where a phone in the network finds the page."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from edgebench.device.phone import addresses
from edgebench.device.transports import web
from edgebench.errors import UserError
from edgebench.schema.targets import Target

pytestmark = pytest.mark.phone


def machine(monkeypatch: pytest.MonkeyPatch, interfaces: dict[str, str], outside: str) -> None:
    """With these interfaces, and the address of the one that leads to the internet."""
    monkeypatch.setattr(socket, "if_nameindex", lambda: list(enumerate(interfaces)))
    monkeypatch.setattr(addresses, "_address", interfaces.__getitem__)
    monkeypatch.setattr(addresses, "_way_outside", lambda: outside)


@pytest.mark.parametrize(
    ("interfaces", "outside", "found"),
    [
        ({"lo": "127.0.0.1", "wlan0": "192.168.1.5"}, "192.168.1.5", ["192.168.1.5"]),
        # Cable and Wi-Fi: the way outside first.
        ({"eth0": "10.0.0.7", "wlp2s0": "192.168.1.5"}, "192.168.1.5", ["192.168.1.5", "10.0.0.7"]),
        # A tunnel leads outside, but no phone here is in it.
        ({"tun0": "10.8.0.2", "wlan0": "192.168.1.5"}, "10.8.0.2", ["192.168.1.5", "10.8.0.2"]),
        ({"docker0": "172.17.0.1", "br-1f": "172.18.0.1", "eth0": "10.0.0.7", "eth1": ""}, "10.0.0.7", ["10.0.0.7"]),
    ],
)
def test_all_addresses_are_offered_the_likeliest_first(
    monkeypatch: pytest.MonkeyPatch, interfaces: dict[str, str], outside: str, found: list[str]
) -> None:
    machine(monkeypatch, interfaces, outside)
    assert addresses.lan_addresses() == found


def test_without_a_network_it_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    machine(monkeypatch, {"lo": "127.0.0.1"}, "")
    with pytest.raises(UserError, match="this machine is not in a network"):
        addresses.lan_addresses()


def test_the_terminal_shows_the_code_of_one_and_names_the_others(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    machine(monkeypatch, {"eth0": "10.0.0.7", "wlan0": "192.168.1.5"}, "192.168.1.5")
    transport = web.Web(Target(name="phone", transport="web", lan=True))
    assert web.page_access(transport._target).hosts == ("192.168.1.5", "10.0.0.7", "localhost", "127.0.0.1")
    transport._link.port, transport._link._token = 8765, "code"
    transport._link.url = transport._link.url_at(8765)
    lines = transport._address().splitlines()
    assert "█" in lines[3] and "http://192.168.1.5:8765/#t=code" in lines
    assert lines[-2:] == [
        "If the phone cannot open it: this machine's addresses in other networks are", "http://10.0.0.7:8765/#t=code"
    ]  # fmt: skip


def test_this_machine_has_the_addresses_that_it_says() -> None:
    try:
        found = addresses.lan_addresses()
    except UserError:
        pytest.skip("this machine is not in a network")
    for address in found:
        with socket.socket() as bound:
            bound.bind((address, 0))
