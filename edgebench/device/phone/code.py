"""The address of the page for people: a QR code to scan, and the URL."""

from __future__ import annotations

import io

from edgebench.errors import MissingPackage


def lines(url: str) -> str:
    """A QR code in half blocks, 20 lines high, and the URL below. Raises MissingPackage."""
    try:
        import segno
    except ModuleNotFoundError:
        raise MissingPackage("phone", "segno", "phone") from None
    drawn = io.StringIO()
    segno.make(url, error="l", boost_error=False).terminal(out=drawn, compact=True, border=2)
    return f"{drawn.getvalue()}{url}"
