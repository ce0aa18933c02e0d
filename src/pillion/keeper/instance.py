"""One instance on this host: its directories, its lock, its sockets, and what a predecessor that was killed has left."""

from __future__ import annotations

import errno
import os
import stat
import sys
import time

from . import cgroups, notify, places, posix, tree
from .launch import Failure
from .lean import json, signal, socket

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .plan import ApiPlan
    from .wire import Json

BACKLOG = 4096
_NUMBERED_NAMES = 10_000
_GUARD_BOUND_S = 60.0
_LEFTOVER_BOUND_S = 10.0
_MEMORY_FILE_SYSTEMS = frozenset({"tmpfs", "ramfs"})


class Busy(Failure):
    """Another keeper runs under this name."""

    def __init__(self, name: str, pid: object) -> None:
        super().__init__(
            f"cannot start instance {name}: it is running already (keeper pid {pid}); choose another --name or stop it",
            1,
        )


class Instance:
    """A claimed instance. `lock` and `guard` are the descriptors that hold its locks."""

    def __init__(self, name: str, run: str, runtime_dir: str, state_dir: str, lock: int) -> None:
        self.name = name
        self.run = run
        self.runtime_dir = runtime_dir
        self.state_dir = state_dir
        self.lock = lock
        self.guard = -1
        self.sockets: dict[str, socket.socket] = {}
        self.token = ""
        self.operator_token = ""
        # What the app's proxy variables let it in by; "" without an ambassador.
        self.proxy_token = ""

    def path(self, name: str) -> str:
        """Return a file of the runtime directory."""
        return f"{self.runtime_dir}/{name}"

    def bind(self, api: ApiPlan, *, app_uid: int | None) -> None:
        """Bind every listening socket, once for the life of the instance. Raises Failure with who holds an address."""
        shared = app_uid is not None and app_uid != os.getuid()
        self.sockets["api_unix"] = _listen_unix(
            self.path(places.API_SOCKET), 0o666 if shared else 0o600
        )
        self.sockets["keeper"] = _listen_unix(
            self.path(places.KEEPER_SOCKET), 0o600, socket.SOCK_SEQPACKET
        )
        self.sockets["notify"] = notify.bind(
            self.path(places.NOTIFY_SOCKET), 0o666 if shared else 0o600
        )
        if api["listen"]:
            self.sockets["api_tcp"] = listen_tcp(api["listen"], "api.listen")
        if api["probe_listen"]:
            self.sockets["probe"] = listen_tcp(api["probe_listen"], "api.probe_listen")
        self.token = write_token(self.path(places.APP_TOKEN))
        self.operator_token = write_token(self.path(places.OPERATOR_TOKEN))

    @property
    def url(self) -> str | None:
        """The API's base URL on loopback TCP, or None when there is none."""
        sock = self.sockets.get("api_tcp")
        return f"http://{host_port(sock)}" if sock else None

    def describe(self, facts: dict[str, Json]) -> None:
        """Write instance.json, by which commands and the next start find us."""
        write_atomically(
            self.path(places.INSTANCE_FILE),
            json.dumps(
                {
                    "v": 1,
                    "name": self.name,
                    "run": self.run,
                    "keeper": {"pid": os.getpid(), "start_ticks": posix.start_ticks(os.getpid())},
                    "socket": self.path(places.API_SOCKET),
                    "url": self.url,
                    "runtime_dir": self.runtime_dir,
                    "state_dir": self.state_dir,
                    **facts,
                }
            ),
        )

    def release(self) -> None:
        """Remove the runtime directory; the lock goes with the process."""
        with os.scandir(self.runtime_dir) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    # A proxy's room: it holds sockets, and no directories.
                    for name in os.listdir(entry.path):
                        os.unlink(f"{entry.path}/{name}")
                    os.rmdir(entry.path)
                else:
                    os.unlink(entry.path)
        os.rmdir(self.runtime_dir)


def new_run() -> str:
    """Return a run id: UTC time and six random hex digits, so that runs sort by time."""
    return f"{time.strftime('%Y%m%dT%H%M%S', time.gmtime())}-{os.urandom(3).hex()}"


def claim(name: str, *, exact: bool) -> Instance:
    """Lock an instance of this name, or when `exact` is false of the first free one of name, name-2, name-3, ….

    What a keeper and scribe that were killed together have left is emptied first. Raises Busy, Failure.
    """
    for number in range(1, _NUMBERED_NAMES):
        candidate = name if number == 1 else f"{name}-{number}"
        runtime_dir = f"{places.runtime_root()}/{candidate}"
        lock = _lock(runtime_dir)
        if lock is None:
            if exact:
                raise Busy(name, _keeper_pid(runtime_dir))
            continue
        state_dir = f"{places.state_root()}/{candidate}"
        _make_directory(state_dir)
        _refuse_memory_file_system(state_dir)
        instance = Instance(candidate, new_run(), runtime_dir, state_dir, lock)
        instance.guard = _wait_for_guard(runtime_dir)
        empty_leftovers(runtime_dir)
        return instance
    raise Failure(
        f"cannot start instance {name}: {_NUMBERED_NAMES} of that name are running; choose another --name",
        1,
    )


def _lock(runtime_dir: str) -> int | None:
    """Lock a runtime directory. It may be removed by the holder before us between the opening and the locking: then again."""
    while True:
        _make_directory(runtime_dir)
        path = f"{runtime_dir}/{places.LOCK}"
        try:
            lock = places.take_lock(path)
        except FileNotFoundError:
            continue
        if lock is None:
            return None
        try:
            if os.path.samestat(os.fstat(lock), os.stat(path)):
                return lock
        except FileNotFoundError:
            pass  # removed under us: what we hold locks nothing
        os.close(lock)


def _make_directory(path: str) -> None:
    try:
        os.makedirs(path, mode=0o700, exist_ok=True)
        owner = os.stat(path).st_uid
    except OSError as error:
        raise Failure(
            f"cannot make {path}: {error.strerror}; set {_variable(path)} to a directory of yours",
            1,
        ) from error
    # Where anyone may make files (/tmp), someone else may have made the directory above ours, and could put another in its place.
    above = os.path.dirname(path)
    trusted = {os.geteuid()}
    if owner in trusted and os.stat(os.path.dirname(above)).st_mode & stat.S_ISVTX:
        path, owner = above, os.stat(above).st_uid
        trusted.add(0)
    if owner not in trusted:
        raise Failure(
            f"cannot use {path}: it belongs to uid {owner}; remove it or set {_variable(path)}", 1
        )


def _variable(path: str) -> str:
    runtime = f"{path}/".startswith(f"{places.runtime_root()}/")
    return "PILLION_RUNTIME_DIR" if runtime else "PILLION_STATE_DIR"


def _refuse_memory_file_system(path: str) -> None:
    """The spool outlives a crash only on a disk: refuse tmpfs, by what /proc/self/mountinfo says of the device (proc(5))."""
    device = os.stat(path).st_dev
    number = f"{os.major(device)}:{os.minor(device)}"
    with open("/proc/self/mountinfo") as file:
        for line in file:
            left, _, right = line.partition(" - ")
            if left.split()[2] == number and right.split()[0] in _MEMORY_FILE_SYSTEMS:
                raise Failure(
                    f"cannot keep the spool in {path}: it is in memory ({right.split()[0]}); set PILLION_STATE_DIR to a disk",
                    1,
                )


def _wait_for_guard(runtime_dir: str) -> int:
    """Wait until the scribe of a killed keeper has finished, then hold its lock for the next scribe to inherit. Raises Failure."""
    deadline_s = time.monotonic() + _GUARD_BOUND_S
    told = False
    path = f"{runtime_dir}/{places.GUARD_LOCK}"
    while (fd := places.take_lock(path)) is None:
        if time.monotonic() >= deadline_s:
            raise Failure(
                f"cannot start: the scribe of the run before still holds {path}; end it by hand", 1
            )
        if not told:
            print("pillion: waiting for the run before to be cleaned up", file=sys.stderr)
            told = True
        time.sleep(0.02)
    return fd


def empty_leftovers(runtime_dir: str) -> list[str]:
    """End what a keeper and a scribe that died together have left, and remove their groups. Return what was found, in words."""
    try:
        with open(f"{runtime_dir}/{places.INSTANCE_FILE}") as file:
            facts = json.load(file)
        run, bases = str(facts["run"]), [str(b) for b in facts["groups"]]
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        return []
    found = []
    for base in bases:
        for directory, _, _ in os.walk(base):
            group = cgroups.Group(directory, {}, v2_controls=False)
            if pids := group.pids():
                found.append(f"{len(pids)} processes in {directory}")
                tree.kill_until_gone(group, run, _LEFTOVER_BOUND_S)
        cgroups.remove_tree(base)
    for sidecar in (False, True):
        if pids := tree.marked_pids(run, sidecar=sidecar):
            found.append(f"{len(pids)} processes marked {run}")
            nowhere = cgroups.Group(None, {}, v2_controls=False)
            tree.kill_until_gone(nowhere, run, _LEFTOVER_BOUND_S, sidecar=sidecar)
    found += _end_titled(str(facts.get("state_dir")))
    os.unlink(f"{runtime_dir}/{places.INSTANCE_FILE}")
    if found:
        print(f"pillion: ended what run {run} had left: {', '.join(found)}", file=sys.stderr)
    return found


def _end_titled(state_dir: str) -> list[str]:
    pids = tree.titled_pids(state_dir)
    words = [f"{len(pids)} processes of nginx"] if pids else []
    deadline_s = time.monotonic() + _LEFTOVER_BOUND_S
    while pids and time.monotonic() < deadline_s:
        tree.signal_all(pids, signal.SIGKILL)
        time.sleep(0.005)
        pids = tree.titled_pids(state_dir)
    return words


def _keeper_pid(runtime_dir: str) -> object:
    try:
        with open(f"{runtime_dir}/{places.INSTANCE_FILE}") as file:
            return json.load(file)["keeper"]["pid"]
    except (OSError, ValueError, KeyError, TypeError):
        return "unknown"


def _listen_unix(path: str, mode: int, kind: int = socket.SOCK_STREAM) -> socket.socket:
    sock = socket.socket(socket.AF_UNIX, kind)
    if os.path.exists(path):
        os.unlink(path)
    try:
        sock.bind(path)
    except OSError as error:
        sock.close()
        hint = (
            "; the path is too long (107 bytes at most), set PILLION_RUNTIME_DIR to a shorter one"
            if len(path) > 107
            else ""
        )
        raise Failure(f"cannot listen on {path}: {error}{hint}", 1) from error
    os.chmod(path, mode)
    sock.listen(BACKLOG)
    return sock


def parse_address(text: str) -> tuple[str, int]:
    """Return host and port of `host:port` or `[v6]:port`. Raises ValueError."""
    host, colon, port = text.rpartition(":")
    if not colon or not port.isdigit() or int(port) > 65535:
        raise ValueError(f"{text} is no host:port")
    return host.strip("[]") or "127.0.0.1", int(port)


def listen_tcp(address: str, setting: str) -> socket.socket:
    """Return a listening socket on `host:port`. Raises Failure with who holds it and which setting says otherwise."""
    sock = None
    try:
        host, port = parse_address(address)
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        sock = socket.socket(family, socket.SOCK_STREAM)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind((host, port))
        sock.listen(BACKLOG)
    except (OSError, ValueError) as error:
        if sock is not None:
            sock.close()
        reason, remedy = str(error), f"set {setting}"
        if isinstance(error, OSError):
            reason = error.strerror or reason
            if error.errno in (errno.EMFILE, errno.ENFILE):
                remedy = "raise the limit of open files (ulimit -n)"
            if error.errno == errno.EADDRINUSE:
                from .holder import holder

                who = holder(port)
                reason = f"already in use by {who}" if who else "already in use"
                remedy = f"set {setting} or stop it"
        raise Failure(f"cannot listen on {address}: {reason}; {remedy}", 1) from error
    return sock


def host_port(sock: socket.socket) -> str:
    """Return where a socket is bound, as `host:port` or `[v6]:port`."""
    host, port = sock.getsockname()[:2]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def write_token(path: str) -> str:
    """Return a new token, kept in a file with mode 0600."""
    token = os.urandom(24).hex()
    write_atomically(path, token)
    return token


def write_atomically(path: str, text: str) -> None:
    """Replace a file of ours by rename; mode 0600."""
    temporary = f"{path}.new"
    fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    try:
        os.write(fd, text.encode())
    finally:
        os.close(fd)
    os.rename(temporary, path)
