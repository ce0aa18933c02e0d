"""The keeper's side of the output: pipes that outlive every reader and writer, and the scribe that reads them."""

from __future__ import annotations

import fcntl
import os

from . import launch, posix, ring, wire
from .journal import Journal
from .lean import signal, socket
from .streams import EVENTS, MESSAGES, SAID, STDERR, STDOUT, STREAMS, TRAFFIC

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn

    from .instance import Instance
    from .plan import LogsPlan, Plan
    from .wire import Json

_PIPE_BYTES = 1 << 20
_SMALL_RING_BYTES = 1 << 20
_MIRROR_FDS = {STDOUT: 1, STDERR: 2}


class Stream:
    """One stream: both ends of its pipe (or pty), held for the life of the keeper, and its ring's memory."""

    __slots__ = ("capacity", "memory", "mirror", "name", "read", "write")

    def __init__(
        self, name: str, read: int, write: int, memory: int, capacity: int, *, mirror: bool
    ) -> None:
        self.name = name
        self.read = read
        self.write = write
        self.memory = memory
        self.capacity = capacity
        self.mirror = mirror


def stream_names(plan: Plan) -> tuple[str, ...]:
    """Return the streams that a plan needs."""
    return (*STREAMS, *TRAFFIC) if "ambassador" in plan else STREAMS


def open_streams(logs: LogsPlan, names: tuple[str, ...] = STREAMS) -> dict[str, Stream]:
    """Return every stream, their pipes as large as we may have them."""
    return {name: open_stream(name, logs) for name in names}


def open_stream(name: str, logs: LogsPlan) -> Stream:
    """Return one stream, with nothing in it."""
    plan = logs["streams"].get(name)
    if plan and plan["pty"]:
        read, write = os.openpty()
        os.set_inheritable(read, False)
        os.set_inheritable(write, False)
        _raw(write)
        capacity = 4096
    elif name in MESSAGES:
        read, write, capacity = _message_socket()
    else:
        read, write = os.pipe()
        capacity = _enlarge(write)
    size = logs["ring_bytes"] if name in SAID or name in TRAFFIC else _SMALL_RING_BYTES
    mirror = bool(plan and plan["mirror"]) and not _is_null(_MIRROR_FDS[name])
    return Stream(name, read, write, ring.create_memory(size), capacity, mirror=mirror)


def _message_socket() -> tuple[int, int, int]:
    """Two ends and the bytes between them, of what is written in messages, each taken whole or not at all.

    A pipe would tear a line longer than PIPE_BUF when it is nearly full, and a writer that dies then never mends it; and two agents write
    during an upgrade.
    """
    write, read = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    write.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _PIPE_BYTES)
    capacity = write.getsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF)
    return read.detach(), write.detach(), capacity


def _raw(fd: int) -> None:
    """Leave line ends as the app writes them: a log is no terminal."""
    import termios

    attributes = termios.tcgetattr(fd)
    attributes[1] &= ~termios.OPOST
    termios.tcsetattr(fd, termios.TCSANOW, attributes)


def _enlarge(fd: int) -> int:
    """Ask for 1 MiB; without CAP_SYS_RESOURCE and past the user's quota the kernel refuses (pipe(7)), and 64 KiB stay."""
    try:
        return fcntl.fcntl(fd, fcntl.F_SETPIPE_SZ, _PIPE_BYTES)
    except OSError:
        return fcntl.fcntl(fd, fcntl.F_GETPIPE_SZ)


def _is_null(fd: int) -> bool:
    try:
        return os.fstat(fd).st_rdev == os.stat("/dev/null").st_rdev
    except OSError:
        return True


class ScribeProcess:
    """The scribe as the keeper sees it: forked, never exec'd, replaced at once when it dies."""

    def __init__(self, instance: Instance, logs: LogsPlan, streams: dict[str, Stream]) -> None:
        self._instance = instance
        self._logs = logs
        self.streams = streams
        self.pid = 0
        self.channel: wire.Channel | None = None
        self.restarts = 0
        self.stats: dict[str, Json] = {}
        self.started = ""
        # Whether the scribe that runs knows fewer streams than we do: it was an earlier version's.
        self.outdated = False

    def start(self) -> None:
        """Fork it. The child keeps its pipes, rings, channel, guard lock and the terminal, and nothing else of ours."""
        ours, theirs = wire.pair()
        keeper = os.getpid()
        before = signal.pthread_sigmask(signal.SIG_BLOCK, launch.ALL_SIGNALS)
        self.pid = os.fork()
        if self.pid == 0:
            self._become(theirs, keeper)
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
        theirs.close()
        self.channel = wire.Channel(ours)

    def _become(self, channel: socket.socket, keeper: int) -> NoReturn:
        try:
            # Here and not above: the first scribe loads its code beside the start of the app, not before it.
            from . import intake, scribe

            signal.set_wakeup_fd(-1)
            pipes = [
                intake.Pipe(
                    s.name, s.read, s.memory, s.capacity, _MIRROR_FDS[s.name] if s.mirror else -1
                )
                for s in self.streams.values()
            ]
            keep = {0, 1, 2, channel.fileno(), self._instance.guard}
            keep.update(s.read for s in self.streams.values())
            keep.update(s.memory for s in self.streams.values())
            for name in os.listdir("/proc/self/fd"):
                if int(name) not in keep:
                    _close(int(name))
            process = scribe.Scribe(
                channel, keeper, pipes, self._logs, self._instance.state_dir, self._instance.run
            )
            scribe.prepare()
            signal.pthread_sigmask(signal.SIG_SETMASK, ())
            process.run()
            os._exit(0)
        except BaseException as error:  # noqa: BLE001 # a child must never return into the keeper's code
            posix.fail("scribe", error)
        finally:
            os._exit(1)

    @staticmethod
    def preload() -> None:
        """Load the scribe's code into the keeper: a later scribe is of the keeper's version, whatever is installed by then."""
        from . import intake, scribe

        del intake, scribe

    def close_channel(self) -> None:
        """Forget the channel of a scribe that has ended."""
        if self.channel is not None:
            self.channel.close()
            self.channel = None


def _close(fd: int) -> None:
    try:
        os.close(fd)
    except OSError:
        return  # the descriptor of the listing itself


def journal_of(streams: dict[str, Stream]) -> Journal:
    """Return the journal that writes into the events stream."""
    return Journal(streams[EVENTS].write)
