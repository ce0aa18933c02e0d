"""A real `pillion run` under test: started, watched, asked through its own socket, and ended whatever happens."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from typing import TYPE_CHECKING, Any, Self, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

PILLION = os.path.join(os.path.dirname(sys.executable), "pillion")
BOUND_S = 40.0
T = TypeVar("T")


def wait_for(
    what: str,
    look: Callable[[], T],
    bound_s: float = BOUND_S,
    state: Callable[[], object] | None = None,
) -> T:
    """Return the first truthy answer of `look`; fail with `what`, and the `state` then, when there is none within the bound."""
    deadline = time.monotonic() + bound_s
    while True:
        found = look()
        if found:
            return found
        if time.monotonic() >= deadline:
            shown = "" if state is None else f"; {state()}"
            raise AssertionError(f"not within {bound_s:g} s: {what}{shown}")
        time.sleep(0.01)


class Host:
    """Directories of their own for the instances of one test."""

    def __init__(self) -> None:
        self.root = tempfile.mkdtemp(prefix="pillion-")
        self.runtime = os.path.join(self.root, "run")
        self.state = os.path.join(self.root, "state")
        self.instances: list[Instance] = []

    def env(self, **more: str) -> dict[str, str]:
        """Return an environment in which `pillion` finds these directories."""
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("PILLION_", "OTEL_"))}
        return {
            **kept,
            "PILLION_RUNTIME_DIR": self.runtime,
            "PILLION_STATE_DIR": self.state,
            **more,
        }

    def run(
        self, *command: str, name: str | None = "app", settings: str | None = None, **options: Any
    ) -> Instance:
        """Start `pillion run --name NAME -- COMMAND`; `settings` is the text of a pillion.toml."""
        instance = Instance(self, name, command, settings, **options)
        self.instances.append(instance)
        return instance

    def pillion(
        self, *words: str, check: bool = True, timeout: float = BOUND_S
    ) -> subprocess.CompletedProcess[str]:
        """Run a command of Pillion's to its end."""
        done = subprocess.run(
            [PILLION, *words],
            env=self.env(),
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
            stdin=subprocess.DEVNULL,
        )
        if check and done.returncode != 0:
            raise AssertionError(
                f"pillion {' '.join(words)} ended with {done.returncode}: {done.stderr}"
            )
        return done

    def close(self) -> None:
        """End every instance and remove the directories."""
        # Two may share a name, and with it the lock by which one sees that the scribe has ended.
        for instance in self.instances:
            instance.end()
        for instance in self.instances:
            instance.close()
        shutil.rmtree(self.root)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class Instance:
    """One instance; `process` is the keeper."""

    def __init__(
        self,
        host: Host,
        name: str | None,
        command: Sequence[str],
        settings: str | None,
        *,
        overrides: Sequence[str] = (),
        verb: str = "run",
        words: Sequence[str] = (),
        env: dict[str, str] | None = None,
        stdout: Any = subprocess.PIPE,
        stderr: Any = subprocess.PIPE,
        stdin: Any = subprocess.DEVNULL,
        cwd: str | None = None,
        prefix: Sequence[str] = (),
        **options: Any,
    ) -> None:
        self.host = host
        # Without a name the instance takes its command's, with a number when that is taken.
        self.name = name or os.path.basename(command[0])
        line = [*prefix, PILLION, verb, *(["--name", name] if name else []), *words]
        if settings is not None:
            path = os.path.join(host.root, f"{self.name}.toml")
            with open(path, "w") as file:
                file.write(settings)
            line += ["--settings", path]
        for override in overrides:
            line += ["--set", override]
        if command:
            line += ["--", *command]
        self.process = subprocess.Popen(
            line,
            env=host.env(**(env or {})),
            stdin=stdin,
            stdout=stdout,
            stderr=stderr,
            cwd=cwd or host.root,
            **options,
        )

    @property
    def runtime(self) -> str:
        """Return the runtime directory."""
        return os.path.join(self.host.runtime, self.name)

    @property
    def spool(self) -> str:
        """Return the spool of all runs."""
        return os.path.join(self.host.state, self.name, "spool")

    def call(self, method: str, bound_s: float = BOUND_S, **params: Any) -> dict[str, Any]:
        """Ask the keeper on its own socket; returns the reply message."""
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as sock:
            sock.settimeout(bound_s)
            sock.connect(os.path.join(self.runtime, "keeper.sock"))
            sock.send(
                json.dumps({"op": "call", "id": 1, "method": method, "params": params}).encode()
            )
            answer: dict[str, Any] = json.loads(sock.recv(1 << 20))
            return answer

    def component(self, name: str) -> dict[str, Any]:
        """Return a component, or an empty object while nobody answers."""
        try:
            items = self.call("components")["result"]["items"]
        except (OSError, ValueError):
            return {}
        return next((i for i in items if i["name"] == name), {})

    def wait_state(
        self, name: str, state: str = "running", bound_s: float = BOUND_S
    ) -> dict[str, Any]:
        """Wait until a component is in a state, and ready when that is running."""

        def look() -> dict[str, Any]:
            component = self.component(name)
            reached = component.get("state") == state and (state != "running" or component["ready"])
            return component if reached else {}

        return wait_for(f"{name} is {state}", look, bound_s)

    def events(self) -> list[dict[str, Any]]:
        """Return the journal of the newest run, oldest first."""
        return [json.loads(line) for line in self.spooled("events").splitlines()]

    def kinds(self, component: str | None = None) -> list[str]:
        """Return the kinds of the journal's events, of one component or of all."""
        return [e["kind"] for e in self.events() if component in (None, e["component"])]

    def spooled(self, stream: str, run: str | None = None) -> bytes:
        """Return what the spool holds of a stream, losses simply missing."""
        return b"".join(data for _, data in self.chunks(stream, run))

    def chunks(self, stream: str, run: str | None = None) -> Iterator[tuple[int, bytes]]:
        """Yield offset and payload of every chunk in the spool."""
        from pillion.keeper.tail import Tail

        runs = sorted(os.listdir(self.spool)) if os.path.exists(self.spool) else []
        if not runs:
            return
        tail = Tail(os.path.join(self.spool, run or runs[-1], stream))
        try:
            while (chunk := tail.read()) is not None:
                yield chunk
        finally:
            tail.close()

    def signal(self, number: int) -> None:
        """Signal the keeper."""
        self.process.send_signal(number)

    def wait(self, bound_s: float = BOUND_S) -> int:
        """Return the exit code of the whole."""
        return self.process.wait(bound_s)

    def output(self, bound_s: float = BOUND_S) -> tuple[bytes, bytes]:
        """Return all of stdout and stderr, to the end."""
        return self.process.communicate(timeout=bound_s)

    def pids(self) -> list[int]:
        """Return every living process that carries the mark of one of this instance's runs."""
        from pillion.keeper.tree import marked_pids

        runs = os.listdir(self.spool) if os.path.exists(self.spool) else []
        return [p for run in runs for side in (False, True) for p in marked_pids(run, sidecar=side)]

    def end(self) -> None:
        """End it, gently first."""
        if self.process.poll() is None:
            self.process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(10)
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait(10)

    def close(self) -> None:
        """End it, and what is left of it."""
        self.end()
        for stream in (self.process.stdout, self.process.stderr, self.process.stdin):
            if stream:
                stream.close()
        wait_for("the scribe has ended", self._is_unguarded, 30)
        for pid in self.pids():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def _is_unguarded(self) -> bool:
        from pillion.keeper.places import is_locked

        return not is_locked(os.path.join(self.runtime, "guard.lock"))


def alive(pid: int) -> bool:
    """Whether a process exists and is no zombie."""
    try:
        with open(f"/proc/{pid}/stat") as stat:
            return stat.read().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False
