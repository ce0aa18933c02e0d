"""Which hierarchies of control groups this host has, and where in them we may make groups. cgroups(7).

cgroup v2 where its controllers are delegated to us, cgroup v1 where we may make groups (root on a hybrid host), and the bare v2 mount for
`cgroup.kill` alone.
"""

from __future__ import annotations

import os

V2 = "cgroup-v2"
V1 = "cgroup-v1"
SAMPLING = "sampling"

_V2_CONTROLLERS = ("memory", "cpu", "pids")
_V1_CONTROLLERS = ("memory", "cpu", "cpuacct", "pids")


class Hierarchies:
    """Where we may make groups: `v2` the directory in the unified hierarchy (None: none), `v2_controllers` what it controls,
    `v1` a directory per controller.
    """

    __slots__ = ("v1", "v2", "v2_controllers")

    def __init__(self, v2: str | None, v2_controllers: frozenset[str], v1: dict[str, str]) -> None:
        self.v2 = v2
        self.v2_controllers = v2_controllers
        self.v1 = v1

    @property
    def means(self) -> str:
        """By which means limits hold."""
        if "memory" in self.v2_controllers:
            return V2
        return V1 if "memory" in self.v1 else SAMPLING


def parse_mounts(mountinfo: str) -> tuple[str | None, dict[str, str]]:
    """Return the mount point of cgroup v2 and those of the v1 controllers, from the text of /proc/self/mountinfo (proc(5))."""
    v2: str | None = None
    v1: dict[str, str] = {}
    for line in mountinfo.splitlines():
        left, dash, right = line.partition(" - ")
        fields, kind = left.split(), right.split()
        if not dash or len(fields) < 5 or len(kind) < 3:
            continue
        if kind[0] == "cgroup2" and v2 is None:
            v2 = fields[4]
        elif kind[0] == "cgroup":
            for option in kind[2].split(","):
                if option in _V1_CONTROLLERS:
                    v1.setdefault(option, fields[4])
    return v2, v1


def parse_membership(text: str) -> tuple[str, dict[str, str]]:
    """Return our path in v2 and in each v1 controller's hierarchy, from the text of /proc/self/cgroup."""
    v2 = "/"
    v1: dict[str, str] = {}
    for line in text.splitlines():
        number, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        if number == "0" and not controllers:
            v2 = path
        for controller in controllers.split(","):
            v1[controller] = path
    return v2, v1


def detect(proc: str = "/proc/self") -> Hierarchies:
    """Return where this process may make groups, by asking the kernel; makes none."""
    with open(f"{proc}/mountinfo") as file:
        v2_mount, v1_mounts = parse_mounts(file.read())
    with open(f"{proc}/cgroup") as file:
        v2_path, v1_paths = parse_membership(file.read())
    v2 = _own(v2_mount, v2_path) if v2_mount else None
    v1 = {}
    for controller, mount in v1_mounts.items():
        own = _own(mount, v1_paths.get(controller, "/"))
        if own:
            v1[controller] = own
    controllers = frozenset(_controllers(v2)) & frozenset(_V2_CONTROLLERS) if v2 else frozenset()
    return Hierarchies(v2, controllers, v1)


def _own(mount: str, path: str) -> str | None:
    """Our directory under a mount, when we may make groups in it. In a container the path may be one of the host's: then the mount's root."""
    for directory in (f"{mount}{path}".rstrip("/"), mount):
        if os.path.exists(f"{directory}/cgroup.procs"):
            return directory if os.access(directory, os.W_OK) else None
    return None


def _controllers(directory: str) -> list[str]:
    try:
        with open(f"{directory}/cgroup.controllers") as file:
            return file.read().split()
    except OSError:
        return []
