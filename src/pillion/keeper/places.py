"""Where an instance keeps its files, and which instances there are; one answer for keeper, sidecar and commands."""

from __future__ import annotations

import fcntl
import os
import struct

LOCK = "lock"
GUARD_LOCK = "guard.lock"
INSTANCE_FILE = "instance.json"
SETTINGS_FILE = "settings.json"
SERVICE_FILE = "service.json"
API_SOCKET = "api.sock"
KEEPER_SOCKET = "keeper.sock"
NOTIFY_SOCKET = "notify.sock"
APP_TOKEN = "token"  # noqa: S105 # a file name
OPERATOR_TOKEN = "operator.token"  # noqa: S105 # a file name
PROXY_TOKEN = "proxy.token"  # noqa: S105 # a file name

# Debian's nginx and haproxy are where the path of those who are not root does not lead.
_FURTHER_PATH = ":/usr/local/sbin:/usr/sbin:/sbin"

_NAME_CHARACTERS = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-")


def proxy_path() -> str:
    """Return the PATH by which managed proxies are found: ours, and where distributions have them; one for running and checking them."""
    return os.environ.get("PATH", os.defpath) + _FURTHER_PATH


def runtime_root() -> str:
    """Return the directory that holds every instance's runtime directory for this user."""
    if given := os.environ.get("PILLION_RUNTIME_DIR"):
        return given
    if os.geteuid() == 0:
        return "/run/pillion"
    if user := os.environ.get("XDG_RUNTIME_DIR"):
        return f"{user}/pillion"
    return f"/tmp/pillion-{os.geteuid()}"  # noqa: S108 # created with 0700 and its owner checked


def state_root() -> str:
    """Return the directory that holds every instance's state directory for this user."""
    if given := os.environ.get("PILLION_STATE_DIR"):
        return given
    if os.geteuid() == 0:
        return "/var/lib/pillion"
    if state := os.environ.get("XDG_STATE_HOME"):
        return f"{state}/pillion"
    return os.path.expanduser("~/.local/state/pillion")


def instance_name(text: str) -> str:
    """Return `text` with every character that a file name, a control group or a label could trip over replaced.

    Returns `app` when nothing is left.
    """
    name = "".join(c if c in _NAME_CHARACTERS else "-" for c in text).strip(".-")
    return name[:64] or "app"


def instances(root: str | None = None) -> list[str]:
    """Return the names of all instances that have a runtime directory, running or not, sorted."""
    root = root or runtime_root()
    try:
        names = os.listdir(root)
    except (FileNotFoundError, PermissionError):
        return []
    return sorted(n for n in names if os.path.exists(f"{root}/{n}/{INSTANCE_FILE}"))


def is_running(runtime_dir: str) -> bool:
    """Return whether a keeper holds the instance's lock at this moment."""
    return is_locked(f"{runtime_dir}/{LOCK}")


# struct flock: l_type, l_whence, l_start, l_len, l_pid (fcntl(2)).
_FLOCK = struct.Struct("hhqqi")


def take_lock(path: str) -> int | None:
    """Lock `path` for as long as the returned descriptor stays open, or return None when another holds it.

    An open file description lock (fcntl(2)): it survives execve with the descriptor, and asking about it never takes it, so
    that a status command cannot make a start fail.
    """
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.fcntl(fd, fcntl.F_OFD_SETLK, _FLOCK.pack(fcntl.F_WRLCK, 0, 0, 0, 0))
    except (BlockingIOError, PermissionError):
        os.close(fd)
        return None
    return fd


def is_locked(path: str) -> bool:
    """Return whether another open file description holds the lock on `path`; False when there is no such file."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        answer = fcntl.fcntl(fd, fcntl.F_OFD_GETLK, _FLOCK.pack(fcntl.F_WRLCK, 0, 0, 0, 0))
    finally:
        os.close(fd)
    return int(_FLOCK.unpack(answer)[0]) != fcntl.F_UNLCK
