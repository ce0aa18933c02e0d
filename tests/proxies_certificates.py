"""A certificate for proxies in tests, as files."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


def certificates(directory: Path, *more: str) -> None:
    """Write cert.pem, key.pem and both.pem of shop.example, which is also `more` (as in a subjectAltName)."""
    subprocess.run(
        [
            "openssl",
            "req",
            "-x509",
            "-newkey",
            "rsa:2048",
            "-nodes",
            "-days",
            "2",
            "-keyout",
            directory / "key.pem",
            "-out",
            directory / "cert.pem",
            "-subj",
            "/CN=shop.example",
            "-addext",
            "subjectAltName=" + ",".join(("DNS:shop.example", *more)),
        ],
        check=True,
        capture_output=True,
    )
    both = (directory / "cert.pem").read_text() + (directory / "key.pem").read_text()
    (directory / "both.pem").write_text(both)
