"""A real nginx under test, run as the keeper runs one, and the files of it."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import signal
import socket
import subprocess
import tempfile
from typing import TYPE_CHECKING, Self

from free_ports import free_port
from instance import wait_for
from pillion.errors import PillionError
from pillion.proxies.files.candidate import write_candidate
from pillion.proxies.files.moving import finish, move, take_back
from pillion.proxies.files.site import Site
from pillion.proxies.nginx.driver import NginxDriver
from pillion.proxies.nginx.workers import children

if TYPE_CHECKING:
    from collections.abc import Coroutine
    from typing import TypeVar

    from pillion.proxies.driver import Verdict

    T = TypeVar("T")

MAIN = "nginx.conf"


def run(coroutine: Coroutine[object, object, T]) -> T:
    return asyncio.run(asyncio.wait_for(coroutine, 60))


class Nginx:
    """Directories, a driver and a runner (`Runner`); the process is started when the driver asks for it."""

    def __init__(self, *, workers: int = 1) -> None:
        self.root = tempfile.mkdtemp(prefix="pillion-nginx-")
        self.runtime = os.path.join(self.root, "run")
        os.mkdir(self.runtime)
        state = os.path.join(self.root, "state", "edge")
        self.site = Site("edge", os.path.join(state, "conf"), state)
        self.proof = os.path.join(self.runtime, "proxy-edge.proof")
        self.words = os.path.join(self.runtime, "proxy-edge.words")
        self.port = free_port()
        self.workers = workers
        self.process: subprocess.Popen[bytes] | None = None
        self.log = os.path.join(self.root, "stderr")
        self.driver = NginxDriver(self.site, self, proof=self.proof, words=self.words)
        self.live = ""

    async def start(self) -> None:
        self._start()

    def _start(self) -> None:
        conf, pid = self.site.directory, os.path.join(self.site.state, "nginx.pid")
        settings = f"daemon off; pid {pid}; error_log stderr; error_log {self.words} emerg;"
        line = ["nginx", "-c", f"{conf}/{MAIN}", "-p", f"{conf}/", "-e", self.words, "-g", settings]
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(line, stderr=log, start_new_session=True)

    async def signal(self, name: str) -> None:
        pid = self.running()
        if pid is None:
            raise PillionError("cannot signal edge: it does not run; start it")
        os.kill(pid, signal.Signals[f"SIG{name}"])

    def running(self) -> int | None:
        if self.process is None or self.process.poll() is not None:
            return None
        return self.process.pid

    def text(self, version: str, *, top: str = "", http: str = "", server: str = "") -> str:
        """A configuration that serves `version` on the proof socket and on the port."""
        return f"""worker_processes {self.workers};
{top}
events {{ worker_connections 128; }}
http {{
    access_log off;
    client_body_temp_path {self.root}/body;
    proxy_temp_path {self.root}/proxy;
    fastcgi_temp_path {self.root}/fastcgi;
    uwsgi_temp_path {self.root}/uwsgi;
    scgi_temp_path {self.root}/scgi;
    {http}
    server {{ listen unix:{self.proof}; keepalive_timeout 0; return 200 {version}; }}
    server {{
        listen 127.0.0.1:{self.port};
        {server}
        location = /served {{ return 200 {version}; }}
    }}
}}
"""

    def checked(self, files: dict[str, str]) -> Verdict:
        """What the driver says of these files, which stay beside the served ones."""
        made = write_candidate(self.site, MAIN, files)
        return run(self.driver.check(made.directory))

    def place(self, version: str, files: dict[str, str]) -> None:
        """Put these files in place."""
        move(self.site, write_candidate(self.site, MAIN, files), version, self.live, 0.0)

    def apply(self, version: str, files: dict[str, str], timeout_s: float = 10.0) -> Verdict:
        """Move, load, prove; back to the last version when it fails."""
        self.place(version, files)

        async def loaded() -> Verdict:
            told = await self.driver.load()
            return await self.driver.prove(version, timeout_s) if told.ok else told

        verdict = run(loaded())
        if verdict.ok:
            finish(self.site)
            self.live = version
        else:
            take_back(self.site)
        return verdict

    def ask(self) -> str:
        """The version that clients get."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=5) as client:
            client.sendall(b"GET /served HTTP/1.0\r\nHost: x\r\n\r\n")
            received = b""
            while piece := client.recv(4096):
                received += piece
        return received.partition(b"\r\n\r\n")[2].decode()

    def kill(self) -> None:
        """SIGKILL the master and its workers, at once, as the keeper does with what a killed master leaves."""
        if self.process is None:
            return
        pids = [self.process.pid, *children(self.process.pid)]
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self.process.wait(10)
        wait_for("the workers are gone", lambda: not any(_alive(pid) for pid in pids))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()
        shutil.rmtree(self.root)


def _alive(pid: int) -> bool:
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            return file.read().rpartition(b")")[2].split()[0] != b"Z"
    except OSError:
        return False
