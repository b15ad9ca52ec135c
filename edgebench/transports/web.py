"""A phone by the page in its browser: nothing to install. --lan lets it in from the network, --https isolates it."""

from __future__ import annotations

from edgebench import cache
from edgebench.phone import certificate, code, link
from edgebench.phone.link import Conversation, Link, Way
from edgebench.progress import Progress
from edgebench.targets import Target


def open_transport(target: Target) -> Web:
    return Web(target)


class Web:
    """A transport with an agent of its own: device_agents/web."""

    def __init__(self, target: Target) -> None:
        self._target = target
        self._link = Link(target, way(target))
        self.workdir = str(self._link.workdir)
        self.sha256 = link.agent_sha256()

    def connect(self, progress: Progress) -> None:
        """Show the address of the page and wait until a phone has opened it."""
        self._link.start(progress)
        self._link.wait_for_page(progress, self._how_to_get_there())

    def session(self) -> Conversation:
        return self._link.session()

    def close(self) -> None:
        self._link.close()

    def _how_to_get_there(self) -> str:
        target, url = self._target, self._link.url
        if not target.lan:
            return (
                f"Waiting for a browser on this machine: {url}\n"
                "A phone in this network gets in with --lan; one on a cable with `transport: adb`."
            )
        lines = [code.lines(url), "Scan it with the phone, in the same network."]
        if target.https:
            path = way(target).certificate
            assert path is not None
            lines.append("The browser warns of an unknown certificate: go on (Advanced, Proceed). SHA-256 fingerprint:")
            lines.append(certificate.fingerprint(path))
        else:
            lines.append(
                "Plain http: who listens in this network sees model and code, and the browser gives one thread and "
                "a coarse clock. --https, or a cable, gives more."
            )
        return "\n".join(lines)


def way(target: Target) -> Way:
    address = link.lan_address() if target.lan else ""
    hosts = tuple(filter(None, (address, "localhost", "127.0.0.1")))
    pem = certificate.ensure(cache.folder() / "phone", hosts) if target.https else None
    return Way("0.0.0.0" if target.lan else "127.0.0.1", hosts, pem)
