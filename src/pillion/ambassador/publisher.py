"""The agent's end of the policy wire: every worker gets the newest snapshot, and says how it stands.

A worker that does not read is sent nothing more until it does, and then the newest alone: what is in between nobody needs.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import struct
from typing import TYPE_CHECKING, cast

from pillion.ambassador.wire import (
    Applied,
    Frames,
    Hello,
    NewSnapshot,
    Refused,
    Report,
    Transition,
    WireError,
    encode,
    to_agent,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from pillion.ambassador.snapshot import Snapshot

MOST_WORKERS = 128
"""Connections at once; in an upgrade there are two for each worker."""
MOST_REPORT_BYTES = 4 << 20
_BACKLOG = 128
_TEMPORARY = "policy.new"


class Publisher:
    """Make it inside the running loop. Callbacks are called from the loop, must not raise, and are given the worker.

    `refused` counts connections of strangers and those beyond `MOST_WORKERS`, `malformed` those that spoke another language.
    """

    def __init__(
        self,
        path: str,
        *,
        on_transition: Callable[[Worker, Transition], None],
        on_refused: Callable[[Worker, Refused], None],
        on_applied: Callable[[Worker], None],
        on_report: Callable[[Worker, Report], None],
        on_gone: Callable[[Worker], None],
    ) -> None:
        self._path = path
        self.on_transition = on_transition
        self.on_refused = on_refused
        self.on_applied = on_applied
        self.on_report = on_report
        self.on_gone = on_gone
        self.snapshot: Snapshot | None = None
        self.message = b""
        self.refused = 0
        self.malformed = 0
        self._workers: dict[Worker, None] = {}
        self._server: asyncio.Server | None = None
        self._sock: socket.socket | None = None

    @property
    def workers(self) -> list[Worker]:
        """Those that are connected and have said who they are, by name; of one name, as in an upgrade, the newest last."""
        known = [one for one in self._workers if one.name]
        return sorted(known, key=lambda one: one.name)

    def bind(self) -> None:
        """Take the place of an agent before us, so that its workers find us from now on. Raises `OSError`."""
        # Not longer than the path itself, which may be as long as a socket's can be.
        temporary = os.path.join(os.path.dirname(self._path), _TEMPORARY)
        with contextlib.suppress(FileNotFoundError):
            os.unlink(temporary)
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        try:
            sock.bind(temporary)
            os.chmod(temporary, 0o600)
            sock.listen(_BACKLOG)
            os.rename(temporary, self._path)
        except OSError:
            sock.close()
            raise
        self._sock = sock

    async def serve(self) -> None:
        """Take in workers until closed; after `bind`."""
        assert self._sock is not None
        loop = asyncio.get_running_loop()
        self._server = await loop.create_unix_server(lambda: Worker(self), sock=self._sock)

    def publish(self, snapshot: Snapshot) -> None:
        """Send it to everybody. Raises `WireError` when it is longer than a message may be; nothing is sent then."""
        self.message = encode(NewSnapshot(snapshot))
        self.snapshot = snapshot
        for worker in self._workers:
            worker.update()

    def close(self) -> None:
        """Hang up, so that workers look for the next agent; the socket's file stays for that one to replace."""
        if self._server is not None:
            self._server.close()
            self._server = None
        elif self._sock is not None:
            self._sock.close()
        self._sock = None
        for worker in list(self._workers):
            worker.hang_up()

    def admits(self, worker: Worker, uid: int | None) -> bool:
        """Take in a connection of the user `uid`, if it may be."""
        if uid not in (0, os.geteuid()) or len(self._workers) >= MOST_WORKERS:
            self.refused += 1
            return False
        self._workers[worker] = None
        return True

    def gone(self, worker: Worker) -> None:
        """Forget a connection."""
        if worker in self._workers:
            del self._workers[worker]
            self.on_gone(worker)


class Worker(asyncio.Protocol):
    """One worker as the agent knows it. `name` is empty until it has said hello; `revision` is what it goes by, 0 for nothing yet.

    `refusal` is why it did not take a newer one, `report` the last that it sent.
    """

    def __init__(self, publisher: Publisher) -> None:
        self._publisher = publisher
        self._frames = Frames(MOST_REPORT_BYTES)
        self._transport: asyncio.Transport | None = None
        self._paused = False
        self._sent = 0
        self.name = ""
        self.pid = 0
        self.version = ""
        self.revision = 0
        self.refusal: Refused | None = None
        self.report: Report | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """See who it is."""
        transport = cast("asyncio.Transport", transport)
        if not self._publisher.admits(self, _uid(transport.get_extra_info("socket"))):
            transport.abort()
            return
        # Whatever the kernel does not take at once means that the worker has not read the last one.
        transport.set_write_buffer_limits(high=0)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        """Take in what it says."""
        try:
            for message in self._frames.feed(data):
                self._received(to_agent(message))
        except WireError:
            self._publisher.malformed += 1
            self.hang_up()

    def pause_writing(self) -> None:
        """It does not read."""
        self._paused = True

    def resume_writing(self) -> None:
        """It reads again."""
        self._paused = False
        self.update()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's name
        """It is gone, or hung up on."""
        self._transport = None
        self._publisher.gone(self)

    def update(self) -> None:
        """Send the newest snapshot unless it has it, or has not read the one before."""
        snapshot = self._publisher.snapshot
        if self._transport is None or snapshot is None or self._paused or not self.name:
            return
        if snapshot.revision not in (self._sent, self.revision):
            self._sent = snapshot.revision
            self._transport.write(self._publisher.message)

    @property
    def unsent_bytes(self) -> int:
        """What it was sent and the kernel has not taken yet."""
        return 0 if self._transport is None else self._transport.get_write_buffer_size()

    def hang_up(self) -> None:
        """Close the connection."""
        if self._transport is not None:
            self._transport.abort()

    def _received(self, message: Hello | Applied | Refused | Report | Transition | None) -> None:
        match message:
            case Hello():
                self.name, self.pid, self.version = message.worker, message.pid, message.version
                self.revision = message.revision
                self.update()
            case Applied():
                self.revision = message.revision
                self.refusal = None
                self._publisher.on_applied(self)
            case Refused():
                self.refusal = message
                self._publisher.on_refused(self, message)
            case Report():
                self.report = message
                self._publisher.on_report(self, message)
            case Transition():
                self._publisher.on_transition(self, message)
            case None:
                pass  # of a later version


def _uid(sock: socket.socket | None) -> int | None:
    """The user at the other end of a Unix socket (unix(7), SO_PEERCRED)."""
    if sock is None:
        return None
    credentials = sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
    uid: int = struct.unpack("3i", credentials)[1]
    return uid
