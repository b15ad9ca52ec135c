"""This machine's addresses in networks that a phone may share, the likeliest first."""

from __future__ import annotations

import fcntl
import ipaddress
import re
import socket
import struct

from edgebench.errors import UserError

_SIOCGIFADDR = 0x8915
# Bridges of containers and virtual machines: phones are never behind them.
_INSIDE = re.compile(r"lo|docker|br-|veth|virbr|vmnet|vboxnet|lxc|lxd|cni|podman|cali|flannel|kube|dummy")
_TUNNEL = re.compile(r"tun|tap|wg|ppp|utun|tailscale|zt|ipsec|nordlynx|proton")


def lan_addresses() -> list[str]:
    """Raises UserError without any."""
    found = [
        (name, address)
        for _, name in socket.if_nameindex()
        if not _INSIDE.match(name) and (address := _address(name)) and not ipaddress.ip_address(address).is_loopback
    ]
    outside = _way_outside()
    found.sort(key=lambda one: _unlikely(one[0], one[1], outside))
    addresses = list(dict.fromkeys(address for _, address in found)) or [outside]
    if not addresses[0]:
        raise UserError("--lan", "this machine is not in a network", "Join the phone's Wi-Fi, or use USB")
    return addresses


def _unlikely(name: str, address: str, outside: str) -> tuple[bool, bool, bool]:
    """Sort key: the address that leads to the internet first, unless it is a tunnel, where no phone is."""
    return bool(_TUNNEL.match(name)), address != outside, not ipaddress.ip_address(address).is_private


def _address(interface: str) -> str:
    """Its IPv4 address, "" if it has none."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asked:
        try:
            answer = fcntl.ioctl(asked.fileno(), _SIOCGIFADDR, struct.pack("256s", interface.encode()[:15]))
        except OSError:
            return ""
        return socket.inet_ntoa(answer[20:24])


def _way_outside() -> str:
    """The address that leads to the internet, "" without one; nothing is sent."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))  # documentation address, RFC 5737
            return str(probe.getsockname()[0])
        except OSError:
            return ""
