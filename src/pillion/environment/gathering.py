"""All the facts together: what never changes is read once, when it is first asked for; the rest each time.

Everything here may wait for a disk; `Surroundings` does it in a thread of its own, and never in more than one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from pillion.base.control_groups import memory_limit, parse_groups, quota_cores
from pillion.base.host_files import Files
from pillion.base.mounts import parse_mounts
from pillion.environment import app, container, hardware, host, network, pod
from pillion.environment.disks import disks, measure
from pillion.environment.facts import Cpu, Disk, Host
from pillion.environment.secrecy import allowed

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from pillion.base.mounts import Mount
    from pillion.environment.facts import (
        Container,
        Distribution,
        Interface,
        Kernel,
        Pod,
        Process,
    )

# Larger than the mountinfo of a host with thousands of containers.
_MOUNTINFO_BYTES = 4 << 20


class Fixed(msgspec.Struct, frozen=True):
    """What does not change while this process runs."""

    machine: str | None
    boot: str | None
    hardware: str | None
    distribution: Distribution
    kernel: Kernel
    cpu_model: str | None
    container: Container | None
    pod: Pod | None


class Local(msgspec.Struct, frozen=True):
    """What this host tells at one moment."""

    host: Host
    container: Container | None
    pod: Pod | None
    app: Process | None


class Gathering:
    """Reads the facts below `root`. `places` says which file systems matter besides the app's working directory: what for, and a path."""

    def __init__(
        self,
        places: Mapping[str, str],
        environment: Mapping[str, str],
        root: str = "/",
        interfaces: Callable[[], Sequence[Interface]] = network.interfaces,
        measured: Callable[[str], tuple[int, int] | None] = measure,
    ) -> None:
        self.files = Files(root)
        self._places = dict(places)
        self._variables = allowed(environment)
        self._interfaces = interfaces
        self._measured = measured
        self._fixed: Fixed | None = None

    def read(self, pid: int | None = None, started: str | None = None) -> Local:
        """Everything that this host tells now; with the app's process when there is one."""
        mounts = self._mounts("self")
        fixed = self._fixed = self._fixed or self._read_fixed(mounts)
        process = None if pid is None else app.read_process(self.files, pid, started)
        return Local(
            host=self._host(fixed, mounts, process),
            container=fixed.container,
            pod=fixed.pod,
            app=process,
        )

    def _read_fixed(self, mounts: list[Mount]) -> Fixed:
        files = self.files
        _, machine, boot = host.identity(files)
        groups = parse_groups(files.text("/proc/self/cgroup"))
        return Fixed(
            machine=machine,
            boot=boot,
            hardware=host.hardware(files),
            distribution=host.distribution(files),
            kernel=host.kernel(files),
            cpu_model=hardware.parse_cpu_model(files.text("/proc/cpuinfo")),
            container=container.find_container(files, groups, mounts, self._variables),
            pod=pod.find_pod(files, groups, mounts, self._variables),
        )

    def _host(self, fixed: Fixed, mounts: list[Mount], process: Process | None) -> Host:
        files = self.files
        # Of the app where there is one: its groups have its limits.
        of = "self" if process is None else str(process.pid)
        groups = parse_groups(files.text(f"/proc/{of}/cgroup"))
        online = hardware.online_cpus(files)
        name, _, _ = host.identity(files)
        return Host(
            name=name,
            machine=fixed.machine,
            boot=fixed.boot,
            hardware=fixed.hardware,
            distribution=fixed.distribution,
            kernel=fixed.kernel,
            cpu=Cpu(
                model=fixed.cpu_model,
                count=None if online is None else len(online),
                affinity=_affinity(files, of),
                quota=quota_cores(files, groups, mounts),
            ),
            memory=hardware.parse_memory(
                files.text("/proc/meminfo"), memory_limit(files, groups, mounts)
            ),
            disks=self._disks(mounts, process),
            network=list(self._interfaces()),
        )

    def _disks(self, mounts: list[Mount], process: Process | None) -> list[Disk]:
        places = {"root": "/", **self._places}
        if process is not None and process.workdir is not None:
            places["workdir"] = process.workdir
        return disks(mounts, places, self._measured)

    def _mounts(self, of: str) -> list[Mount]:
        text = self.files.data(f"/proc/{of}/mountinfo", _MOUNTINFO_BYTES)
        return parse_mounts(text.decode("utf-8", "replace"))


def _affinity(files: Files, of: str) -> list[int] | None:
    for line in files.text(f"/proc/{of}/status").splitlines():
        name, _, value = line.partition(":")
        if name == "Cpus_allowed_list":
            return hardware.parse_cpu_list(value)
    return None
