"""Meters as users name them: NAME, or NAME:PORT where the port does not show which meter is behind it."""

from __future__ import annotations

from types import ModuleType

from edgebench import plugins
from edgebench.errors import UserError

PACKAGE = "edgebench.energy.meters"


def parse(spec: str) -> tuple[str, str | None]:
    """`um25c:/dev/rfcomm0` -> (name, port); the port is None where it is left to the meter to find."""
    name, _, port = spec.partition(":")
    return name, port or None


def load(name: str) -> ModuleType:
    """The meter's module. Raises UnknownName."""
    return plugins.load(PACKAGE, name, kind="meter")


def check_volts(name: str, volts: float | None) -> None:
    """Raises UnknownName for a meter that does not exist, UserError for a voltage that would have no effect."""
    module = load(name)
    if volts is not None and not getattr(module, "NEEDS_VOLTS", False):
        raise UserError(
            f"meter {name}", f"it measures the voltage itself, so {volts:g} V has no effect", "Leave it out"
        )


def plugged_in() -> list[str]:
    """`NAME:PORT` of the meters that identify themselves."""
    return [f"{name}:{port}" for name in plugins.names(PACKAGE) for port in load(name).find() or []]


def only_port(name: str, ports: list[str] | None) -> str:
    """The port of a meter that was found once. Raises UserError."""
    if ports and len(ports) == 1:
        return ports[0]
    seen = f"{len(ports)} are plugged in: {', '.join(ports)}" if ports else "its port is not known"
    raise UserError(f"meter {name}", seen, f"Name it: --port /dev/..., or with deploy --meter {name}:/dev/...")
