"""A small keeper for tests of the agent: a real SEQPACKET peer in a thread, which starts a real agent process.

The wire is a process boundary with a written contract (ARCHITECTURE.md); this is the other side of it.
"""

from __future__ import annotations

import array
import contextlib
import json
import os
import select
import socket
import subprocess
import sys
import threading
import time
from typing import TYPE_CHECKING, Any, Self

import pytest

from pillion.http.blocking import BlockingClient
from pillion.keeper.places import take_lock

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path
    from types import TracebackType

APP_TOKEN = "a" * 48
OPERATOR_TOKEN = "b" * 48
RUN = "20260101T000000-abcdef"
BOUND_S = 40.0

Message = dict[str, Any]


class Refuse(Exception):
    """What a method raises to answer with an error."""

    def __init__(self, status: int, title: str, detail: str) -> None:
        super().__init__(detail)
        self.error = {"status": status, "title": title, "detail": detail}


class Child:
    """One agent process with its end of the wire, and everything it has said."""

    def __init__(self, peer: KeeperPeer, *, passive: bool, handover: socket.socket | None) -> None:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.sock = ours
        self.said: list[Message] = []
        self.heard = threading.Condition()
        self._peer = peer
        sources = {"control": theirs, **peer.sockets}
        if handover is not None:
            sources["handover"] = handover
        place = {
            "v": 1,
            "role": "agent",
            "instance": "shop",
            "run": RUN,
            "runtime_dir": str(peer.runtime_dir),
            "state_dir": str(peer.state_dir),
            "heartbeat_s": 0.2,
            "passive": passive,
            "fds": {name: sock.fileno() for name, sock in sources.items()},
        }
        self.process = subprocess.Popen(
            [
                sys.executable,
                "-I",
                "-c",
                "from pillion.processes.agent import main; import sys; sys.exit(main())",
            ],
            env={
                **os.environ,
                "PILLION_CHILD": json.dumps(place),
                "PILLION_RUNTIME_DIR": str(peer.runtime_dir.parent),
                "PILLION_STATE_DIR": str(peer.state_dir.parent),
            },
            pass_fds=[sock.fileno() for sock in sources.values()],
            stderr=subprocess.PIPE,
        )
        theirs.close()
        self._thread = threading.Thread(target=self._listen, daemon=True)
        self._thread.start()

    @property
    def pid(self) -> int:
        return self.process.pid

    def send(self, message: Message, *descriptors: int) -> None:
        rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", descriptors))]
        self.sock.sendmsg([json.dumps(message).encode()], rights if descriptors else [])

    def wait_for(self, op: str, where: Callable[[Message], bool] = lambda _: True) -> Message:
        """The first message `op` that fits, now or within the bound."""

        def found() -> Message | None:
            return next((m for m in self.said if m["op"] == op and where(m)), None)

        with self.heard:
            if not self.heard.wait_for(found, BOUND_S):
                ended = self.process.poll() is not None
                why = self.errors() if ended else "it still runs"
                raise AssertionError(f"no {op} among {self.said}: {why}")
            message = found()
            assert message is not None
            return message

    def calls(self, method: str) -> list[Message]:
        with self.heard:
            return [m["params"] for m in self.said if m["op"] == "call" and m["method"] == method]

    def wait(self) -> int:
        """The exit code, within the bound."""
        return self.process.wait(BOUND_S)

    def errors(self) -> str:
        assert self.process.stderr is not None
        return self.process.stderr.read().decode()

    def end(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait(BOUND_S)
        self._thread.join(BOUND_S)
        self.sock.close()
        assert self.process.stderr is not None
        self.process.stderr.close()

    def _listen(self) -> None:
        while True:
            try:
                data = self.sock.recv(1 << 17)
            except OSError:
                return
            if not data:
                return
            message = json.loads(data)
            with self.heard:
                self.said.append(message)
                self.heard.notify_all()
            if message["op"] == "call":
                self._peer.answer(self, message)


class KeeperPeer:
    """An instance's directories, sockets and tokens, and the methods that its agents call."""

    def __init__(self, root: Path, settings: dict[str, object] | None = None) -> None:
        self.runtime_dir = root / "run" / "shop"
        self.state_dir = root / "state" / "shop"
        self.runtime_dir.mkdir(parents=True)
        (self.state_dir / "spool" / RUN).mkdir(parents=True)
        self.write("settings.json", json.dumps(settings or {"app": {"name": "shop"}}))
        self.write("token", APP_TOKEN)
        self.write("operator.token", OPERATOR_TOKEN)
        self.write("instance.json", json.dumps({"name": "shop", "run": RUN}))
        unix = socket.socket(socket.AF_UNIX)
        unix.bind(str(self.runtime_dir / "api.sock"))
        unix.listen(4096)
        tcp, probe = socket.create_server(("127.0.0.1", 0)), socket.create_server(("127.0.0.1", 0))
        # What the agent hands in is read at the other end, as the scribe does.
        logs, self.posted = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.sockets = {"api_unix": unix, "api_tcp": tcp, "probe": probe, "logs": logs}
        self.methods: dict[str, Callable[[Message], object]] = {
            "status": lambda _: self.status,
            "shutdown": lambda _: {},
            "reload": lambda _: {},
            "app-ready": lambda _: {},
            "app-processes": lambda _: {"pid": None, "pids": []},
            "watchdog": lambda _: {"timeout_s": 10.0, "beats": 1},
        }
        for action in ("start", "stop", "restart", "signal", "limits"):
            self.methods[action] = self._act
        self.components = [component("app"), component("agent")]
        self.children: list[Child] = []
        self.operator_calls: list[tuple[str, Message]] = []
        self._lock: int | None = None
        self._operators: socket.socket | None = None

    @property
    def status(self) -> Message:
        return {
            "instance": "shop",
            "run": RUN,
            "keeper": {"pid": os.getpid(), "started": "2026-01-01T00:00:00Z", "version": "0.1.0"},
            "app": {"ready": True, "status_text": "serving"},
            "components": self.components,
        }

    @property
    def port(self) -> int:
        port: int = self.sockets["api_tcp"].getsockname()[1]
        return port

    @property
    def probe_port(self) -> int:
        port: int = self.sockets["probe"].getsockname()[1]
        return port

    @property
    def api_socket(self) -> str:
        return str(self.runtime_dir / "api.sock")

    def write(self, name: str, text: str) -> None:
        (self.runtime_dir / name).write_text(text)

    def start(self, *, passive: bool = False, handover: socket.socket | None = None) -> Child:
        """Start an agent and wait until it is ready."""
        child = Child(self, passive=passive, handover=handover)
        self.children.append(child)
        child.wait_for("ready")
        return child

    def serve_operators(self) -> None:
        """Hold the instance's lock and answer on keeper.sock, as the keeper itself does."""
        self._lock = take_lock(str(self.runtime_dir / "lock"))
        listening = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        listening.bind(str(self.runtime_dir / "keeper.sock"))
        listening.listen(16)
        self._operators = listening
        threading.Thread(target=self._serve_operators, args=(listening,), daemon=True).start()

    def unlock(self) -> None:
        """What the end of a keeper does to its instance."""
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def _serve_operators(self, listening: socket.socket) -> None:
        while True:
            try:
                sock, _ = listening.accept()
            except OSError:
                return
            with sock:
                while data := sock.recv(1 << 17):
                    call = json.loads(data)
                    self.operator_calls.append((call["method"], call["params"]))
                    sock.send(json.dumps(self._reply(call)).encode())

    def unix(self) -> BlockingClient:
        return BlockingClient.unix(self.api_socket, BOUND_S)

    def tcp(self) -> BlockingClient:
        return BlockingClient.tcp("127.0.0.1", self.port, BOUND_S)

    def answer(self, child: Child, call: Message) -> None:
        """Reply to a call; one whose method returns None stays without a reply."""
        reply = self._reply(call)
        if reply.get("result", {}) is None:
            return
        # The agent may have ended meanwhile; what it was told then is nobody's concern.
        with contextlib.suppress(OSError):
            child.send(reply)

    def _reply(self, call: Message) -> Message:
        reply: Message = {"op": "reply", "id": call["id"]}
        try:
            reply["result"] = self.methods[call["method"]](call["params"])
        except Refuse as refuse:
            reply["error"] = refuse.error
        return reply

    def _act(self, params: Message) -> object:
        for one in self.components:
            if one["name"] == params["name"]:
                return {**one, "limits": params.get("limits", one["limits"])}
        raise Refuse(404, "No such component", f"cannot find component {params['name']}")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for child in self.children:
            child.end()
        for sock in (*self.sockets.values(), self.posted):
            sock.close()
        self.unlock()
        if self._operators is not None:
            self._operators.shutdown(socket.SHUT_RDWR)
            self._operators.close()


@pytest.fixture
def keeper(tmp_path: Path) -> Iterator[KeeperPeer]:
    """An instance without a keeper of its own, ready to start agents."""
    with KeeperPeer(tmp_path) as peer:
        yield peer


def component(name: str, **facts: object) -> Message:
    """A running component as the keeper tells it."""
    return {
        "name": name,
        "state": "running",
        "pid": 4711,
        "started": "2026-01-01T00:00:00Z",
        "restarts": 0,
        "ready": True,
        "version": None,
        "limits": {"memory": 536870912},
        "limits_by": "cgroup-v1",
        "usage": {"memory": 1234, "cpu_s": 0.4, "processes": 2},
        "last_exit": None,
        "stats": {},
        **facts,
    }


def exchange(address: str | tuple[str, int], data: bytes) -> bytes:
    """Send raw bytes and read until the other side closes, within the bound."""
    family = socket.AF_UNIX if isinstance(address, str) else socket.AF_INET
    with socket.socket(family) as sock:
        sock.settimeout(BOUND_S)
        sock.connect(address)
        sock.sendall(data)
        return read_to_end(sock)


def read_to_end(sock: socket.socket) -> bytes:
    """Everything until the end of the stream."""
    parts = []
    while part := sock.recv(65536):
        parts.append(part)
    return b"".join(parts)


def eventually(what: Callable[[], object], why: str) -> None:
    """Wait for a condition that no descriptor announces, within the bound."""
    deadline = time.monotonic() + BOUND_S
    while not what():
        assert time.monotonic() < deadline, why
        select.select([], [], [], 0.01)
