"""The app's sd_notify socket, read by the keeper itself: its queue holds few datagrams, and a full one would block the app.

Protocol: sd_notify(3). What an app may say is bounded and never trusted: who said it is told by the kernel, a field that makes no
sense is passed over, and no descriptor that comes along is kept.
"""

from __future__ import annotations

import os

from .lean import socket

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from .wire import Json

_MAX_DATAGRAM_BYTES = 16 * 1024
_MAX_STATUS_CHARACTERS = 512
_MAX_NAME_CHARACTERS = 128
# As many as one message can carry (SCM_MAX_FD).
_MAX_FDS = 253
_MAX_PID_DIGITS = 10
_MAX_USEC_DIGITS = 20
_INFINITY_USEC = (1 << 64) - 1
# No promise of an app's reaches further: what it asks for beyond, it has to ask for again.
_MAX_EXTENSION_S = 24 * 3600.0
# An app that never stops sending is left for the next turn: everything else has its turn between.
_MAX_BATCH = 64

ACCESSES = ("none", "main", "exec", "all")


def parse(datagram: bytes) -> dict[str, str]:
    """Return the assignments of one datagram; lines that are none are passed over."""
    fields = {}
    for line in datagram.decode(errors="backslashreplace").split("\n"):
        name, equals, value = line.partition("=")
        if equals and name:
            fields[name] = value
    return fields


def _number(text: str | None, digits: int) -> int | None:
    """Any app can say anything here: digits of other scripts, or thousands of them, are no number."""
    if text and text.isascii() and text.isdigit() and len(text) <= digits:
        return int(text)
    return None


def _shown(text: str, most: int) -> str:
    """What an operator's terminal may be given: no escape sequences, nothing that reverses the line."""
    return "".join(c if c.isprintable() else "\ufffd" for c in text[:most])


class Heard:
    """What the socket has counted since the keeper's start."""

    __slots__ = ("foreign", "malformed", "refused_fds", "truncated")

    def __init__(self) -> None:
        self.foreign = 0
        self.malformed = 0
        self.truncated = 0
        self.refused_fds = 0

    def stats(self) -> dict[str, Json]:
        """Return the counters by the names of their metrics."""
        return {
            "notify_foreign_total": self.foreign,
            "notify_malformed_total": self.malformed,
            "notify_truncated_total": self.truncated,
            "notify_refused_descriptors_total": self.refused_fds,
        }


class State:
    """What an app has said of itself since its start.

    `trigger`, `extend_s`, `watchdog_s` (0 turns it off) and `store` are requests: whoever carries them out takes them away.
    """

    __slots__ = (
        "access", "beats", "bus_error", "errno", "exit_status", "extend_s", "main_pid", "ready", "reload_usec", "reloading",
        "status", "stopping", "store", "trigger", "watchdog_s",
    )  # fmt: skip

    def __init__(self) -> None:
        self.ready = False
        self.reloading = False
        self.reload_usec: int | None = None
        self.stopping = False
        self.status = ""
        self.main_pid: int | None = None
        self.beats = 0
        self.trigger = False
        self.extend_s: float | None = None
        self.watchdog_s: float | None = None
        self.store = False
        self.errno: int | None = None
        self.exit_status: int | None = None
        self.bus_error = ""
        # Who may speak (NOTIFYACCESS): every process of the app's, until it says otherwise.
        self.access = "all"

    def _facts(self) -> tuple[object, ...]:
        return (
            self.ready, self.reloading, self.stopping, self.status, self.main_pid, self.errno, self.exit_status, self.bus_error,
            self.access,
        )  # fmt: skip

    def update(self, fields: dict[str, str]) -> bool:
        """Take over what one datagram says; True when anything but a heartbeat changed."""
        before = self._facts()
        if fields.get("READY") == "1":
            self.ready, self.reloading = True, False
        if fields.get("RELOADING") == "1":
            self.reloading = True
            self.reload_usec = _number(fields.get("MONOTONIC_USEC"), _MAX_USEC_DIGITS)
        if fields.get("STOPPING") == "1":
            self.stopping = True
        if "STATUS" in fields:
            self.status = _shown(fields["STATUS"], _MAX_STATUS_CHARACTERS)
        main_pid = _number(fields.get("MAINPID"), _MAX_PID_DIGITS)
        if main_pid is not None:
            self.main_pid = main_pid
        self._watchdog(fields)
        self._failure(fields)
        if fields.get("NOTIFYACCESS") in ACCESSES:
            self.access = fields["NOTIFYACCESS"]
        if fields.get("FDSTORE") == "1":
            self.store = True
        return before != self._facts()

    def _watchdog(self, fields: dict[str, str]) -> None:
        if fields.get("WATCHDOG") == "1":
            self.beats += 1
        elif fields.get("WATCHDOG") == "trigger":
            self.trigger = True
        timeout = _number(fields.get("WATCHDOG_USEC"), _MAX_USEC_DIGITS)
        if timeout is not None:
            self.watchdog_s = 0.0 if timeout >= _INFINITY_USEC else timeout / 1e6
        extension = _number(fields.get("EXTEND_TIMEOUT_USEC"), _MAX_USEC_DIGITS)
        if extension:
            self.extend_s = min(extension / 1e6, _MAX_EXTENSION_S)

    def _failure(self, fields: dict[str, str]) -> None:
        """ERRNO, EXIT_STATUS and BUSERROR are an app's own words on why it fails; they go with its exit."""
        errno = _number(fields.get("ERRNO"), 4)
        if errno is not None:
            self.errno = errno
        exit_status = _number(fields.get("EXIT_STATUS"), 3)
        if exit_status is not None and exit_status <= 255:
            self.exit_status = exit_status
        if fields.get("BUSERROR"):
            self.bus_error = _shown(fields["BUSERROR"], _MAX_NAME_CHARACTERS)

    def failure(self) -> str:
        """Return what the app said of its failure, in words; empty when nothing."""
        words = []
        if self.errno:
            words.append(f"ERRNO={self.errno} ({os.strerror(self.errno)})")
        if self.exit_status is not None:
            words.append(f"EXIT_STATUS={self.exit_status}")
        if self.bus_error:
            words.append(f"BUSERROR={self.bus_error}")
        return ", ".join(words)


def bind(path: str, mode: int) -> socket.socket:
    """Return a bound datagram socket that tells who sends."""
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
    if os.path.exists(path):
        os.unlink(path)
    sock.bind(path)
    os.chmod(path, mode)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
    return sock


def receive(
    sock: socket.socket,
    accept: Callable[[int], bool],
    state: State,
    heard: Heard,
    *,
    own: Callable[[int], bool],
) -> bool:
    """Read what waits, at most a batch of it, into `state`; True when something but heartbeats changed.

    `accept(pid)` tells whether a process may speak for the app, `own(pid)` whether it is one of the app's (for MAINPID). A barrier is
    answered by closing its descriptor (sd_notify_barrier(3)), which is done with all that come.
    """
    changed = False
    for _ in range(_MAX_BATCH):
        try:
            data, ancillary, flags, _ = sock.recvmsg(
                _MAX_DATAGRAM_BYTES,
                socket.CMSG_SPACE(12) + socket.CMSG_SPACE(4 * _MAX_FDS),
                socket.MSG_CMSG_CLOEXEC,
            )
        except BlockingIOError:
            break
        pid = -1
        fds: list[int] = []
        for level, kind, payload in ancillary:
            if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
                fds += [
                    int.from_bytes(payload[i : i + 4], "little")
                    for i in range(0, len(payload) - 3, 4)
                ]
            elif level == socket.SOL_SOCKET and kind == socket.SCM_CREDENTIALS:
                pid = int.from_bytes(payload[:4], "little")
        if pid <= 0 or not accept(pid):
            heard.foreign += 1
        elif flags & socket.MSG_TRUNC:
            heard.truncated += 1
        else:
            changed |= _take(parse(data), len(fds), state, heard, own)
        # Only now: whoever waits for its barrier ends with it, and could not be told from a stranger any more.
        for fd in fds:
            os.close(fd)
    return changed


def _take(
    fields: dict[str, str], fds: int, state: State, heard: Heard, own: Callable[[int], bool]
) -> bool:
    if not fields:
        heard.malformed += 1
        return False
    if "BARRIER" not in fields:
        heard.refused_fds += fds
    if "MAINPID" in fields:
        main_pid = _number(fields["MAINPID"], _MAX_PID_DIGITS)
        if main_pid is None:
            heard.malformed += 1
            del fields["MAINPID"]
        elif not own(main_pid):
            heard.foreign += 1
            del fields["MAINPID"]
    return state.update(fields)


def tell(address: str, text: str) -> None:
    """Say something on an outer NOTIFY_SOCKET (that of systemd above us). Raises OSError."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK) as sock:
        sock.connect("\0" + address[1:] if address.startswith("@") else address)
        sock.send(text.encode())
