"""The other instances of this user on this host: who is there, who has just died, and a bell to tell all of them something.

Being there is a held lock: each keeper holds the lock of its runtime directory, and the kernel frees it when the keeper
dies. A pidfd of each keeper tells of its death at once, without polling and without anything written. The bell is a
datagram socket in each runtime directory: inotify would do the same, but a user has 128 instances of it and a host
has room for more sidecars. A bell may go unheard. Who finds a full queue of bells knows that others may have found it
full too, and looks for himself; and so does everybody at rare moments, for a ringer may be killed between the deed and
the ring.
"""

from __future__ import annotations

import asyncio
import errno
import os
import random
import socket
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from pillion.keeper.places import INSTANCE_FILE, is_running

if TYPE_CHECKING:
    from collections.abc import Callable

BELL = "bell.sock"
MESSAGE_BYTES = 2048
DOUBT_S = 300.0
"""Seconds between two looks for what no bell told; varied by a quarter, so that 200 do not look at once."""
MOST_NEIGHBOURS = 20_000

_DRAIN_MESSAGES = 256
# A queue takes one more than this, from anybody, before it refuses (unix(7), net.unix.max_dgram_qlen).
_QUEUE_SETTING = "/proc/sys/net/unix/max_dgram_qlen"
_QUEUE_MESSAGES = 10
_LOOK_SOON_S = 0.05
_LOOK_AGAIN_S = 1.0
_INSTANCE_BYTES = 1 << 16


class Session(NamedTuple):
    """One life of an instance: its name and the id of its run."""

    instance: str
    run: str


class _Keeper(msgspec.Struct):
    pid: int
    start_ticks: int


class _Facts(msgspec.Struct):
    name: str
    run: str
    keeper: _Keeper


class _Ring(msgspec.Struct, array_like=True):
    topic: str
    instance: str
    detail: str


class Neighbours:
    """Create and use it inside one running loop. Callbacks are called from the loop and must not raise.

    `unheard` counts rings that could not be delivered because a queue was full, `refused` datagrams that were none of
    ours, `overflow` instances beyond `MOST_NEIGHBOURS`, which are not watched.
    """

    def __init__(self, runtime_dir: str, run: str) -> None:
        self._root, name = os.path.split(runtime_dir.rstrip("/"))
        self.own = Session(name, run)
        self._loop = asyncio.get_running_loop()
        self._alive: dict[str, Session] = {self.own.instance: self.own}
        self._pidfds: dict[str, int] = {}
        self._heard: dict[str, list[Callable[[str, str], None]]] = {}
        self._arrived: list[Callable[[Session], None]] = []
        self._gone: list[Callable[[Session], None]] = []
        self._doubt: list[Callable[[], None]] = []
        self._bell: socket.socket | None = None
        self._out = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        self._timer: asyncio.TimerHandle | None = None
        self._soon: asyncio.TimerHandle | None = None
        self._looked_s = -_LOOK_AGAIN_S
        self._queue = _QUEUE_MESSAGES
        self.unheard = 0
        self.refused = 0
        self.overflow = 0
        self.listen("arrived", lambda instance, _: self._look_at(instance))

    # What a part asks for.

    @property
    def sessions(self) -> frozenset[Session]:
        """All that are alive, our own included."""
        return frozenset(self._alive.values())

    def alive(self, session: Session) -> bool:
        """Whether this very life goes on."""
        return self._alive.get(session.instance) == session

    def runtime_dir(self, instance: str) -> str:
        """The runtime directory of an instance of this user."""
        return f"{self._root}/{instance}"

    def listen(self, topic: str, callback: Callable[[str, str], None]) -> None:
        """Have `callback(instance, detail)` called when another instance rings for `topic`."""
        self._heard.setdefault(topic, []).append(callback)

    def on_arrived(self, callback: Callable[[Session], None]) -> None:
        """Have `callback` called with each session that is new, also for those that `start` finds."""
        self._arrived.append(callback)

    def on_gone(self, callback: Callable[[Session], None]) -> None:
        """Have `callback` called with each session whose keeper has died: the kernel has freed its lock."""
        self._gone.append(callback)

    def on_doubt(self, callback: Callable[[], None]) -> None:
        """Have `callback` called now and then: a bell may have gone unheard, look for yourself."""
        self._doubt.append(callback)

    def ring(self, topic: str, detail: str = "") -> None:
        """Tell all others, without waiting for any. `detail` is cut so that the message fits."""
        if len(self._alive) == 1:
            return  # nobody but us
        message = msgspec.json.encode(_Ring(topic, self.own.instance, detail))
        if len(message) > MESSAGE_BYTES:
            message = msgspec.json.encode(_Ring(topic, self.own.instance, ""))
        for instance in self._alive:
            if instance != self.own.instance:
                self._tell(f"{self._root}/{instance}/{BELL}", message)

    # Life.

    def start(self) -> None:
        """Bind our bell, find who is there, and tell them that we are. Raises `OSError` when the bell cannot be bound."""
        path = f"{self._root}/{self.own.instance}/{BELL}"
        bell = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        # A predecessor's socket (an agent before us) is replaced in one step: there is always one to ring.
        temporary = f"{path}.{os.getpid()}"
        try:
            bell.bind(temporary)
            os.chmod(temporary, 0o600)
            os.rename(temporary, path)
        except OSError:
            bell.close()
            raise
        self._bell = bell
        self._queue = _queue_messages()
        self._loop.add_reader(bell.fileno(), self._hear)
        self._look_around()
        self.ring("arrived")
        self._doubt_later()

    def close(self) -> None:
        """Stop listening; the socket's file stays for a successor to replace."""
        for timer in (self._timer, self._soon):
            if timer is not None:
                timer.cancel()
        self._timer = self._soon = None
        if self._bell is not None:
            self._loop.remove_reader(self._bell.fileno())
            self._bell.close()
            self._bell = None
        for pidfd in self._pidfds.values():
            self._loop.remove_reader(pidfd)
            os.close(pidfd)
        self._pidfds.clear()
        self._out.close()

    # Bells.

    def _tell(self, path: str, message: bytes) -> None:
        try:
            self._out.sendto(message, path)
        except BlockingIOError:
            # It will see from its full queue that some may be missing, and look for itself.
            self.unheard += 1
        except OSError as error:
            # No agent at this moment: the next one looks for itself when it starts.
            if error.errno not in (errno.ENOENT, errno.ECONNREFUSED, errno.ENOTDIR):
                self.unheard += 1

    def _hear(self) -> None:
        bell = self._bell
        for heard in range(_DRAIN_MESSAGES):
            # What a full queue refused was refused while all of it lay there, to be read in this turn.
            if heard == self._queue:
                self._look_soon()
            # A callback may have closed us.
            if bell is None or bell.fileno() < 0:
                return
            try:
                data = bell.recv(MESSAGE_BYTES + 1)
            except BlockingIOError:
                return
            try:
                ring = msgspec.json.decode(data, type=_Ring)
            except msgspec.DecodeError:
                self.refused += 1
                continue
            for callback in self._heard.get(ring.topic, ()):
                callback(ring.instance, ring.detail)

    # Who is there.

    def _look_around(self) -> None:
        try:
            with os.scandir(self._root) as entries:
                names = [entry.name for entry in entries if not entry.name.startswith(".")]
        except OSError:
            return  # looked for again when in doubt
        for name in names:
            # Those that we know have a pidfd: nothing about them can be missed.
            if name not in self._alive:
                self._look_at(name)

    def _look_at(self, instance: str) -> None:
        """Watch the keeper of `instance`, if it lives and is not watched yet."""
        if instance == self.own.instance or "/" in instance or instance in ("", ".", ".."):
            return
        if len(self._alive) >= MOST_NEIGHBOURS and instance not in self._alive:
            self.overflow += 1
            return
        facts = self._facts(instance)
        if facts is None:
            return
        session = Session(instance, facts.run)
        if self._alive.get(instance) == session:
            return
        self._forget(instance)
        try:
            pidfd = os.pidfd_open(facts.keeper.pid)
        except OSError:
            return  # it has died meanwhile
        # The pid may have been given to another in between; the lock tells whether the keeper lives.
        if not is_running(self.runtime_dir(instance)):
            os.close(pidfd)
            return
        self._alive[instance] = session
        self._pidfds[instance] = pidfd
        self._loop.add_reader(pidfd, self._died, instance)
        for callback in self._arrived:
            callback(session)

    def _facts(self, instance: str) -> _Facts | None:
        directory = self.runtime_dir(instance)
        try:
            with open(f"{directory}/{INSTANCE_FILE}", "rb") as file:
                if os.fstat(file.fileno()).st_uid not in (os.geteuid(), 0):
                    return None
                facts = msgspec.json.decode(file.read(_INSTANCE_BYTES), type=_Facts)
            return facts if is_running(directory) else None
        except (OSError, msgspec.DecodeError):
            return None  # not an instance, or one that is about to be: its agent rings when it is

    def _died(self, instance: str) -> None:
        self._forget(instance)
        # Another may have taken the name over by now; its agent's ring may have come before this.
        self._look_at(instance)

    def _forget(self, instance: str) -> None:
        pidfd = self._pidfds.pop(instance, None)
        if pidfd is not None:
            self._loop.remove_reader(pidfd)
            os.close(pidfd)
        session = self._alive.pop(instance, None)
        if session is not None:
            for callback in self._gone:
                callback(session)

    def _doubt_later(self) -> None:
        wait_s = DOUBT_S * random.uniform(0.75, 1.25)
        self._timer = self._loop.call_later(wait_s, self._in_doubt)

    def _look_soon(self) -> None:
        # Where one bell was missed there are many: one look for all of them.
        if self._soon is None:
            at_s = max(self._loop.time() + _LOOK_SOON_S, self._looked_s + _LOOK_AGAIN_S)
            self._soon = self._loop.call_at(at_s, self._look_now)

    def _look_now(self) -> None:
        self._soon = None
        self._look_for_ourselves()

    def _in_doubt(self) -> None:
        self._doubt_later()
        self._look_for_ourselves()

    def _look_for_ourselves(self) -> None:
        self._looked_s = self._loop.time()
        self._look_around()
        for callback in self._doubt:
            callback()


def _queue_messages() -> int:
    try:
        with open(_QUEUE_SETTING, "rb") as file:
            return int(file.read(32))
    except (OSError, ValueError):
        return _QUEUE_MESSAGES
