"""The writing app under whoever runs it: how it is started everywhere alike, and what it reports of its writes."""

from __future__ import annotations

import errno
import json
import os
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from bench.instance import Instance
from bench.peers import TINI
from bench.workbench import Bench, end, wait_for

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Sequence

LINE_BYTES = 120
_REST_S = 0.5


@dataclass(frozen=True, slots=True)
class Report:
    """What the writer saw: `longest_ms` is its longest write(2), `rate` the lines a second that it came to."""

    lines: int
    bytes: int
    seconds: float
    longest_ms: float
    over_50ms: int

    @property
    def rate(self) -> float:
        """Lines a second."""
        return self.lines / self.seconds


class Writer:
    """The command line of one writer, and its report."""

    def __init__(self, bench: Bench, *, rate: int, lines: int, kind: str = "text") -> None:
        folder = bench.fresh("w")
        self.path = f"{folder}/report.json"
        self._go = f"{folder}/go"
        self._held = -1
        os.mkfifo(self._go)
        self.command = [
            bench.programs.writer,
            self._go,
            self.path,
            str(rate),
            str(lines),
            str(LINE_BYTES),
            kind,
        ]

    def wait_started(self) -> None:
        """Wait until it runs, and whoever runs it has had a moment to come to rest."""
        wait_for(self._is_there, "the writer has been started")
        time.sleep(_REST_S)

    def begin(self) -> None:
        """Let it write."""
        os.write(self._held, b"!")
        os.close(self._held)

    def _is_there(self) -> bool:
        try:
            # It waits in open(2) until there is somebody at the other end, and then for a byte.
            self._held = os.open(self._go, os.O_WRONLY | os.O_NONBLOCK)
        except OSError as error:
            if error.errno != errno.ENXIO:
                raise
            return False
        return True

    @property
    def is_done(self) -> bool:
        """Whether it has written all."""
        return os.path.exists(self.path)

    def report(self, within_s: float = 60.0) -> Report:
        """Wait for the report and read it."""
        wait_for(lambda: self.is_done, "the writer has written its lines", within_s)
        with open(self.path, encoding="utf-8") as file:
            told: dict[str, Any] = json.load(file)
        return Report(
            told["lines"],
            told["bytes"],
            told["seconds"],
            told["longest_us"] / 1e3,
            told["over_50ms"],
        )


class Host:
    """Something that runs a writer with its output on a disk: `pid` is the process that takes the output."""

    def __init__(
        self, process: subprocess.Popen[bytes], pid: int, instance: Instance | None
    ) -> None:
        self.process = process
        self.pid = pid
        self.instance = instance

    def stop(self) -> None:
        """End it with its writer."""
        end(self.process)


def under_pillion(bench: Bench, writer: Writer, folder: str, settings: Sequence[str] = ()) -> Host:
    """`pillion run` with its spool in `folder`; who takes the output is the scribe."""
    instance = Instance(bench, writer.command, settings=settings, state=f"{folder}/s")
    instance.wait_ready()
    return Host(instance.process, instance.pid("scribe"), instance)


def under_peer(bench: Bench, name: str, writer: Writer, folder: str) -> Host:
    """A peer that writes the output to a file in `folder`; tini leaves that to the app itself."""
    output = f"{folder}/app.out"
    own = bench.fresh(name)
    command = bench.peers.command(name, writer.command, own, output)
    if name != TINI:
        process = bench.spawn(command, cwd=own)
        return Host(process, process.pid, None)
    with open(output, "wb") as file:
        process = bench.spawn(command, cwd=own, stdout=file.fileno())
    return Host(process, process.pid, None)
