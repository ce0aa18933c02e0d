"""The small C programs that load and time others: compiled once a run, so that the load costs little beside what it measures."""

from __future__ import annotations

import os
import shutil
import subprocess
from dataclasses import dataclass

from bench.figure import Unavailable

_OPENSSL = "/usr/include/openssl/ssl.h"
_SOURCES = os.path.join(os.path.dirname(os.path.abspath(__file__)), "programs")


@dataclass(frozen=True, slots=True)
class Programs:
    """Paths of the compiled programs; what each does stands at the top of its source."""

    first_act: str
    writer: str
    load: str
    serve: str
    load_tls: str | None = None


def compile_all(folder: str) -> Programs:
    """Compile into `folder`. Raises Unavailable without a compiler."""
    compiler = shutil.which("cc")
    if compiler is None:
        raise Unavailable(
            "cannot compile the load programs: no C compiler; install it with: apt-get install gcc libc6-dev"
        )
    paths = {}
    for name in ("first_act", "writer", "load", "serve"):
        paths[name] = _compile(compiler, folder, name, name)
    if os.path.exists(_OPENSSL):
        paths["load_tls"] = _compile(
            compiler, folder, "load", "load_tls", "-DTLS", "-lssl", "-lcrypto"
        )
    return Programs(**paths)


def _compile(compiler: str, folder: str, source: str, name: str, *options: str) -> str:
    path = f"{folder}/{name}"
    command = [compiler, "-O2", "-Wall", "-Wextra", "-o", path, f"{_SOURCES}/{source}.c", *options]
    subprocess.run(command, check=True)
    return path
