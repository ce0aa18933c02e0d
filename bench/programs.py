"""The small C programs that load and time others: compiled once a run, so that the load costs little beside what it measures."""

from __future__ import annotations

import os
import shutil
import subprocess
from dataclasses import dataclass

from bench.figure import Unavailable

_SOURCES = os.path.join(os.path.dirname(os.path.abspath(__file__)), "programs")


@dataclass(frozen=True, slots=True)
class Programs:
    """Paths of the compiled programs; what each does stands at the top of its source."""

    first_act: str
    writer: str
    load: str


def compile_all(folder: str) -> Programs:
    """Compile into `folder`. Raises Unavailable without a compiler."""
    compiler = shutil.which("cc")
    if compiler is None:
        raise Unavailable(
            "cannot compile the load programs: no C compiler; install it with: apt-get install gcc libc6-dev"
        )
    paths = {}
    for name in ("first_act", "writer", "load"):
        paths[name] = f"{folder}/{name}"
        command = [compiler, "-O2", "-Wall", "-Wextra", "-o", paths[name], f"{_SOURCES}/{name}.c"]
        subprocess.run(command, check=True)
    return Programs(**paths)
