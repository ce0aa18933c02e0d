"""A real HAProxy in master-worker mode under test, and what a driver needs of whoever runs it."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import signal
import subprocess
import tempfile
from typing import TYPE_CHECKING

from free_ports import free_port
from pillion.base.tasks import RootTasks
from pillion.proxies.haproxy.driver import MAIN_FILE, HaproxyDriver
from pillion.proxies.templating.rendered import VERSION_PLACE, Rendered, RenderedFile, versioned

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping, Sequence

_END_S = 10.0


class RealHaproxy:
    """A directory for one HAProxy, whose front listens at `port`; it is the driver's `Runner` as well."""

    def __init__(self) -> None:
        self.root = tempfile.mkdtemp(prefix="pillion-haproxy-")
        self.directory = os.path.join(self.root, "conf")
        os.mkdir(self.directory)
        self.port = free_port()
        self.process: subprocess.Popen[bytes] | None = None
        self.signals: list[str] = []

    def path(self, name: str) -> str:
        """A socket's path."""
        return os.path.join(self.root, name)

    def text(
        self,
        servers: Sequence[str],
        *,
        balance: str = "roundrobin",
        more: str = "",
        front: str = "",
    ) -> str:
        """A haproxy.cfg with these `server` lines in its backend `shop`."""
        lines = "\n".join(f"    server {server}" for server in servers)
        return f"""global
    stats socket unix@{self.path("admin")} mode 600 level admin
    hard-stop-after 5s
defaults
    mode http
    timeout connect 2s
    timeout client 30s
    timeout server 30s
    timeout queue 5s
    default-server inter 200ms
frontend proof
    bind unix@{self.path("proof")} mode 600
    http-request return status 200 content-type text/plain string "{VERSION_PLACE}"
frontend front
    bind 127.0.0.1:{self.port}
{front}
    default_backend shop
backend shop
    balance {balance}
{more}
{lines}
"""

    def rendered(self, servers: Sequence[str], **options: str) -> Rendered:
        """The version with these servers."""
        version, files = versioned({MAIN_FILE: self.text(servers, **options)})
        return Rendered(
            version=version,
            files=tuple(RenderedFile(name, text) for name, text in files.items()),
        )

    def write(self, rendered: Rendered, directory: str | None = None) -> None:
        """Move a version in."""
        for file in rendered.files:
            with open(os.path.join(directory or self.directory, file.name), "w") as target:
                target.write(file.text)

    def stderr(self) -> str:
        """What it has said."""
        with contextlib.suppress(FileNotFoundError), open(self.path("stderr")) as file:
            return file.read()
        return ""

    async def start(self) -> None:
        self.launch()

    def launch(self) -> None:
        """Start it."""
        with open(self.path("stderr"), "ab") as stderr:
            self.process = subprocess.Popen(
                [
                    "haproxy",
                    "-W",
                    "-S",
                    f"unix@{self.path('master')},mode,600",
                    "-C",
                    self.directory,
                    "-f",
                    os.path.join(self.directory, MAIN_FILE),
                ],
                stderr=stderr,
                stdout=subprocess.DEVNULL,
            )

    async def signal(self, name: str) -> None:
        self.signals.append(name)
        assert self.process is not None
        self.process.send_signal(signal.Signals[f"SIG{name}"])

    def running(self) -> int | None:
        if self.process is None or self.process.poll() is not None:
            return None
        return self.process.pid

    def close(self) -> None:
        """End it, and remove everything."""
        if self.process is not None and self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(_END_S)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait(_END_S)
        shutil.rmtree(self.root, ignore_errors=True)


class Driven:
    """A real HAProxy with its driver, and the tasks of that."""

    def __init__(self, real: RealHaproxy, driver: HaproxyDriver, tasks: RootTasks) -> None:
        self.real = real
        self.driver = driver
        self.tasks = tasks

    async def serve(self, rendered: Rendered) -> None:
        """Have it serve a version by a load."""
        self.real.write(rendered)
        loaded = await self.driver.load()
        assert loaded.ok, loaded
        proved = await self.driver.prove(rendered.version, 5)
        assert proved.ok, proved

    async def worker_pids(self) -> frozenset[int]:
        """The present workers."""
        assert self.driver._master is not None
        processes = await self.driver._master.processes()
        assert processes is not None
        return processes.worker_pids

    async def say(self, *commands: str) -> list[str]:
        """What the runtime interface answers to somebody else's commands."""
        assert self.driver.runtime is not None
        async with self.driver.runtime._socket.session() as session:
            return [await session.say(command) for command in commands]


@contextlib.asynccontextmanager
async def driven(**options: float) -> AsyncIterator[Driven]:
    """A HAProxy that is not started yet, with its driver."""
    real = RealHaproxy()
    unexpected: list[object] = []
    tasks = RootTasks(unexpected.append)
    try:
        yield Driven(real, make_driver(real, tasks, **options), tasks)
    finally:
        assert not await tasks.close(5)
        await asyncio.to_thread(real.close)
    assert not unexpected, unexpected


def make_driver(real: RealHaproxy, tasks: RootTasks, **options: float) -> HaproxyDriver:
    """Another driver of the same HAProxy, as the next agent has one."""
    more: Mapping[str, float] = options
    return HaproxyDriver(
        "edge",
        real.directory,
        real,
        tasks,
        master=f"unix@{real.path('master')}",
        admin=real.path("admin"),
        proof_path=real.path("proof"),
        said=real.stderr if not more.get("silent") else str,
        leaving_s=more.get("leaving_s", 5.0),
    )
