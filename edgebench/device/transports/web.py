"""A phone, measured by a page in its browser: nothing to install. --lan admits the network, --https isolates it."""

from __future__ import annotations

from edgebench.device.phone import certificate, code, link
from edgebench.device.phone.addresses import lan_addresses
from edgebench.device.phone.conversation import Conversation
from edgebench.device.phone.link import Link, PageAccess
from edgebench.files import cache
from edgebench.progress import Progress
from edgebench.schema.targets import Target


def open_transport(target: Target) -> Web:
    return Web(target)


class Web:
    """An AgentTransport: the agent is the page, device_agents/web."""

    def __init__(self, target: Target) -> None:
        self._target = target
        self._access = page_access(target)
        self._link = Link(target, self._access)
        self.workdir = str(self._link.workdir)
        self.sha256 = link.agent_sha256()

    def connect(self, progress: Progress) -> None:
        """Show the address of the page, and wait until a phone has opened it."""
        self._link.start(progress)
        if not self._link.job_runs and not self._link.has_page(progress):
            self._link.wait_for_page(progress, self._how_to_get_there())
        self._link.watch(progress, self._address())

    def session(self) -> Conversation:
        return self._link.session()

    def close(self) -> None:
        self._link.close()

    def _how_to_get_there(self) -> str:
        target = self._target
        if not target.lan:
            return (
                f"Waiting for a browser on this machine: {self._address()}\n"
                "For a phone in this network add --lan; for one on a cable use `transport: adb`."
            )
        lines = [self._address(), "Scan it with a phone in the same network."]
        if target.https:
            path = self._access.certificate
            assert path is not None
            lines.append(
                "The browser warns of an unknown certificate: proceed (Advanced, Proceed). SHA-256 fingerprint:"
            )
            lines.append(certificate.fingerprint(path))
        else:
            lines.append(
                "Plain http: others in this network can read the model and the code, and the browser allows one thread "
                "and a coarse clock. --https or a cable avoids both."
            )
        return "\n".join(lines)

    def _address(self) -> str:
        """The page's address; in a network the QR code of the likeliest one, with the others below."""
        if not self._target.lan:
            return self._link.url
        others = [self._link.url_at(self._link.port, host) for host in self._access.hosts[1:-2]]
        also = (
            ["If the phone cannot open it: this machine's addresses in other networks are", *others] if others else []
        )
        return "\n".join([code.lines(self._link.url), *also])


def page_access(target: Target) -> PageAccess:
    found = lan_addresses() if target.lan else []
    hosts = (*found, "localhost", "127.0.0.1")
    pem = certificate.ensure(cache.folder() / "phone", hosts) if target.https else None
    return PageAccess("0.0.0.0" if target.lan else "127.0.0.1", hosts, pem)
