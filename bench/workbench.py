"""One figure's surroundings: a directory, started processes and their end, so that nothing outlives a measurement."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from types import TracebackType

    from bench.install import Installation
    from bench.peers import Peers
    from bench.programs import Programs

POLL_S = 0.01


def new_folder() -> str:
    """A fresh directory on a disk: /var/tmp is one wherever /tmp is memory. Short, since sockets lie in it."""
    return tempfile.mkdtemp(prefix="pb-", dir="/var/tmp")


def wait_for(condition: Callable[[], bool], what: str, within_s: float = 20.0) -> None:
    """Wait until `condition` holds. Raises TimeoutError that names `what`."""
    deadline = time.monotonic() + within_s
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(f"not within {within_s:g} s: {what}")
        time.sleep(POLL_S)


@dataclass(slots=True)
class Bench:
    """What a figure is given. Everything that it starts by `spawn` or enters in `stack` has ended when it returns."""

    quick: bool
    wanted_runs: int | None
    programs: Programs
    installation: Installation
    peers: Peers
    folder: str = field(default_factory=new_folder)
    stack: contextlib.ExitStack = field(default_factory=contextlib.ExitStack)
    _folders: int = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            self.stack.__exit__(kind, error, trace)
        finally:
            shutil.rmtree(self.folder, ignore_errors=True)

    def runs(self, full: int, quick: int = 1) -> int:
        """How many times to measure: what the user said, else what the figure wants."""
        return self.wanted_runs or (quick if self.quick else full)

    def seconds(self, full: float, quick: float) -> float:
        """How long to measure."""
        return quick if self.quick else full

    def say(self, text: str) -> None:
        """Tell about progress."""
        print(f"  {text}", file=sys.stderr, flush=True)

    def fresh(self, name: str = "f") -> str:
        """A new directory under the figure's own."""
        self._folders += 1
        path = f"{self.folder}/{name}{self._folders}"
        os.mkdir(path)
        return path

    def spawn(
        self,
        command: Sequence[str],
        *,
        stdout: int = subprocess.DEVNULL,
        env: Mapping[str, str] | None = None,
        cwd: str | None = None,
        cpus: set[int] | None = None,
    ) -> subprocess.Popen[bytes]:
        """Start a program that is ended with the figure. Its stderr goes to `stderr.txt` in the figure's directory."""
        if cpus is not None:
            command = ["taskset", "-c", ",".join(map(str, sorted(cpus))), *command]
        with open(f"{self.folder}/stderr.txt", "ab") as errors:
            process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=stdout,
                stderr=errors,
                env=None if env is None else {**os.environ, **env},
                cwd=cwd or self.folder,
            )
        self.stack.callback(end, process)
        return process


def end(process: subprocess.Popen[bytes], within_s: float = 15.0) -> int:
    """End a process by TERM, and by KILL when it does not go. Returns its exit code."""
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(within_s)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
    if process.stdout is not None:
        process.stdout.close()
    return process.returncode
