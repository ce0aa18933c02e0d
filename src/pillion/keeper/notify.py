"""The app's sd_notify socket, read by the keeper itself: its queue holds few datagrams, and a full one would block the app.

Protocol: sd_notify(3). Kept are READY, STATUS, STOPPING, RELOADING, MAINPID, WATCHDOG; a BARRIER is answered by closing its descriptor.
"""

from __future__ import annotations

import os
import socket

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

_MAX_DATAGRAM_BYTES = 16 * 1024
_MAX_STATUS_CHARACTERS = 512
_MAX_FDS = 64
_MAX_PID_DIGITS = 10


def parse(datagram: bytes) -> dict[str, str]:
    """Return the assignments of one datagram; lines that are none are passed over."""
    fields = {}
    for line in datagram.decode(errors="backslashreplace").split("\n"):
        name, equals, value = line.partition("=")
        if equals and name:
            fields[name] = value
    return fields


class State:
    """What an app has said of itself since its start."""

    __slots__ = ("beats", "main_pid", "ready", "reloading", "status", "stopping", "trigger")

    def __init__(self) -> None:
        self.ready = False
        self.reloading = False
        self.stopping = False
        self.status = ""
        self.main_pid: int | None = None
        self.beats = 0
        self.trigger = False

    def update(self, fields: dict[str, str]) -> bool:
        """Take over what one datagram says; True when anything but a heartbeat changed."""
        before = (self.ready, self.reloading, self.stopping, self.status, self.main_pid)
        if fields.get("READY") == "1":
            self.ready, self.reloading = True, False
        if fields.get("RELOADING") == "1":
            self.reloading = True
        if fields.get("STOPPING") == "1":
            self.stopping = True
        if "STATUS" in fields:
            self.status = fields["STATUS"][:_MAX_STATUS_CHARACTERS]
        main_pid = fields.get("MAINPID", "")
        # Any app can say anything here: digits of other scripts, or thousands of them, are no pid.
        if main_pid.isascii() and main_pid.isdigit() and len(main_pid) <= _MAX_PID_DIGITS:
            self.main_pid = int(main_pid)
        if fields.get("WATCHDOG") == "1":
            self.beats += 1
        if fields.get("WATCHDOG") == "trigger":
            self.trigger = True
        return before != (self.ready, self.reloading, self.stopping, self.status, self.main_pid)


def bind(path: str, mode: int) -> socket.socket:
    """Return a bound datagram socket that tells who sends."""
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
    if os.path.exists(path):
        os.unlink(path)
    sock.bind(path)
    os.chmod(path, mode)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
    return sock


def receive(sock: socket.socket, accept: Callable[[int, int], bool], state: State) -> bool:
    """Read all datagrams that `accept(pid, uid)` admits into `state`; True when something but heartbeats changed."""
    changed = False
    while True:
        try:
            data, ancillary, _, _ = sock.recvmsg(
                _MAX_DATAGRAM_BYTES,
                socket.CMSG_SPACE(12) + socket.CMSG_SPACE(4 * _MAX_FDS),
                socket.MSG_CMSG_CLOEXEC,
            )
        except BlockingIOError:
            return changed
        pid, uid = -1, -1
        for level, kind, payload in ancillary:
            if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
                # A barrier's descriptor: closing it is the answer. Descriptors to store are not kept (FDSTORE is not offered).
                for i in range(0, len(payload) - 3, 4):
                    os.close(int.from_bytes(payload[i : i + 4], "little"))
            elif level == socket.SOL_SOCKET and kind == socket.SCM_CREDENTIALS:
                pid = int.from_bytes(payload[:4], "little")
                uid = int.from_bytes(payload[4:8], "little")
        if accept(pid, uid):
            changed |= state.update(parse(data))


def tell(address: str, text: str) -> None:
    """Say something on an outer NOTIFY_SOCKET (that of systemd above us). Raises OSError."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK) as sock:
        sock.connect("\0" + address[1:] if address.startswith("@") else address)
        sock.send(text.encode())
