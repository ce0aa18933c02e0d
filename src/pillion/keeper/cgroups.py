"""Control groups of an instance: each component in one of its own, in whichever hierarchies this host lets us use.

cgroups(7); kernel documentation cgroup-v2 and cgroup-v1/memory.
"""

from __future__ import annotations

import os

from .hierarchies import SAMPLING, V1, V2, Hierarchies
from .lean import signal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .plan import LimitsPlan
    from .wire import Json

_CPU_PERIOD_US = 100_000
_V1_UNLIMITED = "-1"


class LimitRefused(Exception):
    """A limit that cannot hold; the text says which, why and what to do."""


def _read(path: str) -> str:
    try:
        with open(path) as file:
            return file.read()
    except OSError:
        return ""


def _write(path: str, value: str) -> None:
    fd = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.write(fd, value.encode())
    finally:
        os.close(fd)


def _try_write(path: str, value: str) -> bool:
    try:
        _write(path, value)
    except OSError:
        return False
    return True


def _quota_us(cores: float) -> str:
    """Processor time per period; the kernel takes no less than 1 ms."""
    return str(max(1000, int(cores * _CPU_PERIOD_US)))


def _keyed(text: str, key: str) -> int:
    for line in text.splitlines():
        name, _, value = line.partition(" ")
        if name == key and value.strip().isdigit():
            return int(value)
    return 0


def _number(path: str) -> int | None:
    text = _read(path).strip()
    return int(text) if text.isdigit() else None


class Groups:
    """The groups of one instance, under one directory per hierarchy named `base`."""

    def __init__(self, hierarchies: Hierarchies, base: str) -> None:
        self.base = base
        self.hierarchies = hierarchies
        self._v2: str | None = None
        self._v2_controls = False
        self._v1: dict[str, str] = {}

    def prepare(self) -> None:
        """Make the instance's directories, with v2's controllers handed down where they are delegated to us."""
        h = self.hierarchies
        if h.v2:
            directory = f"{h.v2}/{self.base}"
            if self._make(directory):
                self._v2 = directory
                if h.v2_controllers:
                    self._v2_controls = self._delegate(h.v2, directory, h.v2_controllers)
        if not self._v2_controls:
            for controller, parent in h.v1.items():
                directory = f"{parent}/{self.base}"
                if self._make(directory):
                    self._v1[controller] = directory

    @staticmethod
    def _make(directory: str) -> bool:
        try:
            os.mkdir(directory, 0o755)
        except FileExistsError:
            return True
        except OSError:
            return False
        return True

    def _delegate(self, own: str, directory: str, controllers: frozenset[str]) -> bool:
        """Hand controllers down. A group that hands down may hold no process (but the root), so we move into a leaf first."""
        enable = " ".join(f"+{c}" for c in sorted(controllers))
        if not _try_write(f"{own}/cgroup.subtree_control", enable):
            leaf = f"{directory}/keeper"
            if not (self._make(leaf) and _try_write(f"{leaf}/cgroup.procs", str(os.getpid()))):
                return False
            if not _try_write(f"{own}/cgroup.subtree_control", enable):
                # Others live in our group (a login session): not ours to move. Back to where we were.
                _try_write(f"{own}/cgroup.procs", str(os.getpid()))
                return False
        return _try_write(f"{directory}/cgroup.subtree_control", enable)

    @property
    def means(self) -> str:
        """By which means limits hold."""
        if self._v2_controls:
            return V2
        return V1 if "memory" in self._v1 else SAMPLING

    def directories(self) -> list[str]:
        """Return the instance's directory in each hierarchy in use."""
        return [d for d in (self._v2, *self._v1.values()) if d]

    def dump(self) -> dict[str, Json]:
        """Return the groups as JSON values."""
        return {
            "base": self.base,
            "v2": self._v2,
            "v2_controls": self._v2_controls,
            "v1": dict(self._v1),
        }

    @staticmethod
    def load(data: dict[str, Json]) -> Groups:
        """Return the groups that `dump` described."""
        groups = Groups(Hierarchies(None, frozenset(), {}), str(data["base"]))
        v2, v1 = data["v2"], data["v1"]
        groups._v2 = v2 if isinstance(v2, str) else None
        groups._v2_controls = bool(data["v2_controls"])
        groups._v1 = {str(k): str(v) for k, v in v1.items()} if isinstance(v1, dict) else {}
        return groups

    def create(self, name: str) -> Group:
        """Return a new group for a component; it is `SAMPLING` in means when no hierarchy lets us make one."""
        v2 = f"{self._v2}/{name}" if self._v2 and self._make(f"{self._v2}/{name}") else None
        v1 = {c: f"{d}/{name}" for c, d in self._v1.items() if self._make(f"{d}/{name}")}
        return Group(v2, v1, v2_controls=self._v2_controls and v2 is not None)

    def remove(self) -> None:
        """Remove the instance's directories; what is still occupied stays for the next start."""
        for directory in self.directories():
            remove_tree(directory)


def remove_tree(directory: str) -> bool:
    """Remove a group and the groups in it. False when something still lives there."""
    try:
        for entry in os.scandir(directory):
            if entry.is_dir(follow_symlinks=False):
                remove_tree(entry.path)
        os.rmdir(directory)
    except FileNotFoundError:
        return True
    except OSError:
        return False
    return True


class Group:
    """One component's group. Every method works, with less to say, where there is no hierarchy at all."""

    __slots__ = ("v1", "v2", "v2_controls")

    def __init__(self, v2: str | None, v1: dict[str, str], *, v2_controls: bool) -> None:
        self.v2 = v2
        self.v1 = v1
        self.v2_controls = v2_controls

    @property
    def means(self) -> str:
        """By which means limits hold."""
        if self.v2_controls:
            return V2
        return V1 if "memory" in self.v1 else SAMPLING

    @property
    def tracked(self) -> bool:
        """Whether the kernel keeps the list of the component's processes."""
        return bool(self.v2 or self.v1)

    def procs_files(self) -> list[str]:
        """Return the files to which a process writes 0 to join."""
        directories = [*([self.v2] if self.v2 else []), *self.v1.values()]
        return [f"{d}/cgroup.procs" for d in dict.fromkeys(directories)]

    def pids(self) -> list[int]:
        """Return the processes in the group."""
        directory = self.v2 or next(iter(self.v1.values()), None)
        if not directory:
            return []
        # A process of a pid namespace that we do not see into is listed as 0, and to signal 0 is to signal ourselves.
        return [pid for p in _read(f"{directory}/cgroup.procs").split() if (pid := int(p))]

    def signal(self, number: int) -> None:
        """Signal every process in the group."""
        for pid in self.pids():
            try:
                os.kill(pid, number)
            except (ProcessLookupError, PermissionError):
                continue

    def kill(self) -> None:
        """SIGKILL every process in the group; atomic against forks where the kernel has cgroup.kill (5.14)."""
        if not (self.v2 and _try_write(f"{self.v2}/cgroup.kill", "1")):
            self.signal(signal.SIGKILL)

    def apply(self, limits: LimitsPlan) -> None:
        """Put limits in force; a missing or null one is lifted. Raises LimitRefused."""
        if self.v2_controls:
            self._apply_v2(limits)
        elif self.v1:
            self._apply_v1(limits)

    def _refuse_below_use(self, memory: int | None) -> None:
        used = self.memory()
        if memory is not None and used is not None and used > memory:
            raise LimitRefused(
                f"cannot limit memory to {memory} bytes: {used} are in use; choose more, or restart with the limit"
            )

    def _apply_v2(self, limits: LimitsPlan) -> None:
        memory, cpu, processes = limits.get("memory"), limits.get("cpu"), limits.get("processes")
        self._refuse_below_use(memory)
        self._put(f"{self.v2}/memory.oom.group", "1")
        # Swap would only make the limit slow.
        self._put(f"{self.v2}/memory.swap.max", "0" if memory is not None else "max")
        self._put(
            f"{self.v2}/memory.max",
            "max" if memory is None else str(memory),
            "memory",
            wanted=memory is not None,
        )
        quota = "max" if cpu is None else _quota_us(cpu)
        self._put(f"{self.v2}/cpu.max", f"{quota} {_CPU_PERIOD_US}", "cpu", wanted=cpu is not None)
        self._put(
            f"{self.v2}/pids.max",
            "max" if processes is None else str(processes),
            "processes",
            wanted=processes is not None,
        )

    def _apply_v1(self, limits: LimitsPlan) -> None:
        memory, cpu, processes = limits.get("memory"), limits.get("cpu"), limits.get("processes")
        self._refuse_below_use(memory)
        for what, controller, wanted in (
            ("memory", "memory", memory), ("cpu", "cpu", cpu), ("processes", "pids", processes)
        ):  # fmt: skip
            if wanted is not None and controller not in self.v1:
                raise LimitRefused(
                    f"cannot limit {what} to {wanted}: we may make no group of cgroup v1's {controller} controller here"
                )
        directory = self.v1.get("memory")
        if directory:
            value = _V1_UNLIMITED if memory is None else str(memory)
            # memory.memsw may never be below memory: which of the two goes first depends on the direction, so the second try settles it.
            names = ("memory.limit_in_bytes", "memory.memsw.limit_in_bytes")
            swap = os.path.exists(f"{directory}/{names[1]}")
            first = _try_write(f"{directory}/{names[0]}", value)
            if swap:
                _try_write(f"{directory}/{names[1]}", value)
            if not first:
                self._put(f"{directory}/{names[0]}", value, "memory", wanted=memory is not None)
        quota = _V1_UNLIMITED if cpu is None else _quota_us(cpu)
        self._put(f"{self.v1.get('cpu')}/cpu.cfs_period_us", str(_CPU_PERIOD_US))
        self._put(f"{self.v1.get('cpu')}/cpu.cfs_quota_us", quota, "cpu", wanted=cpu is not None)
        count = "max" if processes is None else str(processes)
        self._put(
            f"{self.v1.get('pids')}/pids.max", count, "processes", wanted=processes is not None
        )

    @staticmethod
    def _put(path: str, value: str, what: str = "", *, wanted: bool = False) -> None:
        try:
            _write(path, value)
        except OSError as error:
            if wanted:
                raise LimitRefused(
                    f"cannot limit {what} to {value}: {path}: {error.strerror}"
                ) from error

    def memory(self) -> int | None:
        """Return the bytes in use that the limit counts, page cache that can be given back left out; None where nobody counts."""
        if self.v2_controls:
            used, inactive = (
                _number(f"{self.v2}/memory.current"),
                _keyed(_read(f"{self.v2}/memory.stat"), "inactive_file"),
            )
        elif directory := self.v1.get("memory"):
            used = _number(f"{directory}/memory.usage_in_bytes")
            inactive = _keyed(_read(f"{directory}/memory.stat"), "total_inactive_file")
        else:
            return None
        return None if used is None else max(0, used - inactive)

    def memory_peak(self) -> int | None:
        """Return the most bytes ever in use, or None where nobody counts."""
        if self.v2_controls:
            return _number(f"{self.v2}/memory.peak")
        directory = self.v1.get("memory")
        return _number(f"{directory}/memory.max_usage_in_bytes") if directory else None

    def cpu_s(self) -> float | None:
        """Return the seconds of processor time used, or None where nobody counts."""
        if self.v2:
            # cpu.stat is there even without the controller.
            return _keyed(_read(f"{self.v2}/cpu.stat"), "usage_usec") / 1e6
        directory = self.v1.get("cpuacct")
        ns = _number(f"{directory}/cpuacct.usage") if directory else None
        return None if ns is None else ns / 1e9

    def oom_kills(self) -> int:
        """Return how many processes of the group the kernel has killed for want of memory."""
        if self.v2_controls:
            return _keyed(_read(f"{self.v2}/memory.events"), "oom_kill")
        directory = self.v1.get("memory")
        return _keyed(_read(f"{directory}/memory.oom_control"), "oom_kill") if directory else 0

    def watch_oom(self) -> int | None:
        """Return a descriptor that polls ready when the group runs out of memory, or None; the caller closes it.

        On v1 an eventfd (EPOLLIN); v2 needs none: memory.oom.group lets the kernel end the whole component.
        """
        directory = self.v1.get("memory")
        if self.v2_controls or not directory:
            return None
        event = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        try:
            control = os.open(f"{directory}/memory.oom_control", os.O_RDONLY | os.O_CLOEXEC)
            try:
                _write(f"{directory}/cgroup.event_control", f"{event} {control}")
            finally:
                os.close(control)
        except OSError:
            os.close(event)
            return None
        return event

    def remove(self) -> bool:
        """Remove the group. False when something still lives there."""
        removed = [remove_tree(d) for d in [*([self.v2] if self.v2 else []), *self.v1.values()]]
        return all(removed)

    def dump(self) -> dict[str, Json]:
        """Return the group as JSON values."""
        return {"v2": self.v2, "v1": dict(self.v1), "v2_controls": self.v2_controls}

    @staticmethod
    def load(data: dict[str, Json]) -> Group:
        """Return the group that `dump` described."""
        v2, v1 = data.get("v2"), data.get("v1")
        return Group(
            v2 if isinstance(v2, str) else None,
            {str(k): str(v) for k, v in v1.items()} if isinstance(v1, dict) else {},
            v2_controls=bool(data.get("v2_controls")),
        )
