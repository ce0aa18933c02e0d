"""Where and when: a figure without its machine says nothing."""

from __future__ import annotations

import datetime
import os
import platform
import subprocess
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bench.install import Installation
    from bench.peers import Peers

_ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


def facts(installation: Installation, peers: Peers, command: str) -> dict[str, Any]:
    """What a reader needs to judge the figures, or to take them again."""
    return {
        "date": datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "command": command,
        "pillion": f"{installation.version} ({_revision()})",
        "codec": "compiled" if installation.compiled else "interpreted",
        "python": platform.python_version(),
        "kernel": f"{platform.system()} {platform.release()} {platform.machine()}",
        "processor": _processor(),
        "cores": len(os.sched_getaffinity(0)),
        "memory_MiB": os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") >> 20,
        "load_before": f"{os.getloadavg()[0]:.2f}",
        "peers": peers.versions(),
    }


def _revision() -> str:
    done = subprocess.run(
        ["git", "-C", _ROOT, "describe", "--always", "--dirty"],
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stdout.strip() or "no revision known"


def _processor() -> str:
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as file:
            for line in file:
                if line.startswith("model name"):
                    return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or "unknown"
