"""A certificate for --https, made by the system's `openssl` and kept for a month.

It is self-signed, so the browser warns once. It makes the page isolated, which gives it threads and a fine clock; it
does not protect against an attacker in between unless the fingerprint is compared.
"""

from __future__ import annotations

import hashlib
import ssl
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path

from edgebench.errors import UserError
from edgebench.files import cache
from edgebench.files.replacing import PRIVATE, write_whole

DAYS = 30


def ensure(folder: Path, hosts: Sequence[str]) -> Path:
    """A PEM file with key and certificate for these names and addresses, readable only by this user.

    Raises UserError.
    """
    key = hashlib.sha256(" ".join(hosts).encode()).hexdigest()[:12]
    path = folder / f"certificate-{key}.pem"
    if path.is_file() and time.time() - path.stat().st_mtime < (DAYS - 1) * 86400:
        return path
    names = ",".join(f"IP:{host}" if host.replace(".", "").isdigit() else f"DNS:{host}" for host in hosts)
    made = _make(names)
    with cache.writing():
        folder.mkdir(parents=True, exist_ok=True)
        write_whole(path, made, mode=PRIVATE)
    return path


def _make(names: str) -> bytes:
    command = [
        "openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
        "-days", str(DAYS), "-subj", "/CN=edgebench", "-addext", f"subjectAltName={names}", "-keyout", "-",
    ]  # fmt: skip
    try:
        made = subprocess.run(command, capture_output=True, stdin=subprocess.DEVNULL)
    except FileNotFoundError:
        raise UserError(
            "--https", "`openssl`, which makes the certificate, is not installed", "Install it (apt: openssl)"
        ) from None
    if made.returncode:
        raise UserError(
            "--https", f"openssl failed to make a certificate ({made.stderr.decode()[-200:].strip()})", "Use --lan"
        )
    return made.stdout


def fingerprint(path: Path) -> str:
    """SHA-256 of the certificate, as browsers show it."""
    text = path.read_text()
    der = ssl.PEM_cert_to_DER_cert(text[text.index("-----BEGIN CERTIFICATE") :])
    digest = hashlib.sha256(der).hexdigest().upper()
    return ":".join(digest[at : at + 2] for at in range(0, 64, 2))
