"""The shipper as a process of its own, with the test as its keeper."""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import socket
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any, Self

from pillion.settings import parse, to_json

if TYPE_CHECKING:
    from collections.abc import Callable

RUN = "20261122T151526-aaaa"


def wait_for(condition: Callable[[], bool], what: str, within_s: float = 40.0) -> None:
    """Wait until `condition` holds; fails by name after `within_s` seconds."""
    deadline = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < deadline, f"not within {within_s:g} s: {what}"
        select.select([], [], [], 0.01)


class ShipperProcess:
    """Starts, kills and talks to a shipper over state under `base`; `toml` is its pillion.toml."""

    def __init__(self, base: str, toml: str, run: str = RUN) -> None:
        self.runtime_dir = f"{base}/runtime"
        self.state_dir = f"{base}/state"
        self.run = run
        self.events: list[dict[str, Any]] = []
        self.stats: dict[str, Any] = {}
        self.said: list[str] = []
        self.process: subprocess.Popen[bytes] | None = None
        self.keeper: socket.socket | None = None
        os.makedirs(self.runtime_dir, exist_ok=True)
        os.makedirs(f"{self.state_dir}/spool/{run}", exist_ok=True)
        self.configure(toml)

    def configure(self, toml: str) -> None:
        with open(f"{self.runtime_dir}/settings.json", "w", encoding="utf-8") as file:
            file.write(to_json(parse(toml)))

    def start(self, *, passive: bool = False) -> ShipperProcess:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        place = {
            "v": 1,
            "role": "shipper",
            "instance": "shop",
            "run": self.run,
            "runtime_dir": self.runtime_dir,
            "state_dir": self.state_dir,
            "heartbeat_s": 0.1,
            "passive": passive,
            "fds": {"control": theirs.fileno()},
        }
        self.said = []
        self.process = subprocess.Popen(
            [sys.executable, "-c", "from pillion.processes.shipper import main; main()"],
            env={**os.environ, "PILLION_CHILD": json.dumps(place)},
            pass_fds=[theirs.fileno()],
        )
        theirs.close()
        self.keeper = ours
        self.keeper.setblocking(False)
        return self

    def say(self, op: str, **fields: object) -> None:
        assert self.keeper is not None
        self.keeper.send(json.dumps({"op": op, **fields}).encode())

    def listen(self) -> None:
        """Take what the shipper has said."""
        assert self.keeper is not None
        with contextlib.suppress(BlockingIOError, ConnectionResetError):
            while datagram := self.keeper.recv(1 << 17):
                message = json.loads(datagram)
                self.said.append(message["op"])
                if message["op"] == "event":
                    self.events.append(message)
                elif message["op"] == "heartbeat":
                    self.stats = message["stats"]

    def heard(self, op: str) -> bool:
        self.listen()
        return op in self.said

    def told(self, kind: str) -> bool:
        self.listen()
        return any(event["kind"] == kind for event in self.events)

    def positions(self, sink: str = "otlp") -> dict[str, int]:
        try:
            with open(f"{self.state_dir}/positions/{sink}.json", encoding="utf-8") as file:
                found: dict[str, int] = json.load(file)["positions"].get(self.run, {})
                return found
        except FileNotFoundError:
            return {}

    def kill(self) -> None:
        assert self.process is not None
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()
        self.close()

    def stop(self, grace_s: float = 5.0) -> int:
        """An ordered stop; returns the exit code."""
        assert self.process is not None
        self.say("stop", grace_s=grace_s)
        code = self.process.wait(grace_s + 5)
        self.listen()
        self.close()
        return code

    def close(self) -> None:
        if self.process is not None and self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        if self.keeper is not None:
            self.keeper.close()
            self.keeper = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
