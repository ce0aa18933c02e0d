"""The HTTP load as a process: started, waited for, and what it tells as a value."""

from __future__ import annotations

import json
import signal
import subprocess
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bench.api import request_bytes
from bench.figure import Unavailable

if TYPE_CHECKING:
    from bench.instance import Instance
    from bench.workbench import Bench

_SLACK_S = 30.0


@dataclass(frozen=True, slots=True)
class Load:
    """What one load saw; `in_time` leaves out what was answered after `seconds`, `failed` is by kind, `last` the last failure in words."""

    seconds: float
    requests: int
    in_time: int
    connections: int
    failed: dict[str, int]
    p50_us: float
    p99_us: float
    p999_us: float
    longest_us: float
    last: str

    @property
    def failures(self) -> int:
        """Failed requests of every kind."""
        return sum(self.failed.values())


@dataclass(frozen=True, slots=True)
class Target:
    """Where requests go, and the request."""

    address: str
    request_file: str


def unix(
    bench: Bench, instance: Instance, path: str, *, method: str = "GET", body: bytes | None = None
) -> Target:
    """`path` over the instance's Unix socket."""
    request = request_bytes(path, "localhost", method=method, body=body)
    return target(bench, f"unix:{instance.socket}", request)


def tcp(bench: Bench, instance: Instance, path: str) -> Target:
    """`path` over loopback, with the app's token."""
    port = instance.port
    request = request_bytes(path, f"127.0.0.1:{port}", instance.token)
    return target(bench, f"tcp:{port}", request)


def target(bench: Bench, address: str, request: bytes) -> Target:
    """Any request to an address (`unix:PATH`, `tcp:PORT`, `tls:PORT`)."""
    path = f"{bench.fresh('q')}/request"
    with open(path, "wb") as file:
        file.write(request)
    return Target(address, path)


class Loading:
    """A load under way: for `seconds`, or until `stop` when that is 0. With `poll` it never sleeps, and nobody pays for waking it.

    With `settle` every connection has been answered once when this is made, and seconds and counts begin with `result`.
    """

    def __init__(
        self,
        bench: Bench,
        target: Target,
        connections: int,
        *,
        seconds: float = 0,
        keep: bool = True,
        think_ms: int = 0,
        cpus: set[int] | None = None,
        poll: bool = False,
        settle: bool = False,
    ) -> None:
        self._seconds = seconds
        self._process = bench.spawn(
            [
                _program(bench, target),
                target.address,
                str(connections),
                "keep" if keep else "new",
                str(seconds),
                str(think_ms),
                target.request_file,
                *(["poll"] if poll else []),
                *(["settle"] if settle else []),
            ],
            stdout=subprocess.PIPE,
            cpus=cpus,
        )
        self._settled = settle
        if settle:
            assert self._process.stdout is not None
            self._process.stdout.readline()

    def result(self) -> Load:
        """Wait for its end."""
        if self._settled:
            self._process.send_signal(signal.SIGUSR1)
        said, _ = self._process.communicate(timeout=self._seconds + _SLACK_S)
        return Load(**json.loads(said))

    def stop(self) -> Load:
        """Let it finish what is under way, and end."""
        self._process.terminate()
        return self.result()


def _program(bench: Bench, target: Target) -> str:
    if not target.address.startswith("tls:"):
        return bench.programs.load
    if bench.programs.load_tls is None:
        raise Unavailable(
            "cannot compile a load that speaks TLS: no headers of OpenSSL; install them with: apt-get install libssl-dev"
        )
    return bench.programs.load_tls
