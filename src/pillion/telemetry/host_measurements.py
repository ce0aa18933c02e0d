"""From the files of the host to measurements: OpenTelemetry's semantic conventions for systems 1.x.

What they have no name for is `pillion.host.…`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from pillion.telemetry.host_parsing import (
    DiskCounts,
    InterfaceCounts,
    Stall,
    parse_cpu,
    parse_disks,
    parse_interfaces,
    parse_load,
    parse_memory,
    parse_numbers,
    parse_pressure,
)
from pillion.telemetry.measurement import NO_ATTRIBUTES, Instrument, Measurement

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from pillion.base.host_files import Files

CPU_TIME = Instrument("system.cpu.time", "s", "CPU time of the host by mode.", counts=True)
LOAD = {
    minutes: Instrument(
        f"system.cpu.load_average.{minutes}m", "{thread}", f"Load average over {minutes} min."
    )
    for minutes in (1, 5, 15)
}
MEMORY = Instrument("system.memory.usage", "By", "Memory of the host by what it is used for.")
MEMORY_SHARE = Instrument(
    "system.memory.utilization", "1", "Memory in use in parts of the host's; caches are not in use."
)
SWAP = Instrument("system.paging.usage", "By", "Swap space of the host.")
FAULTS = Instrument("system.paging.faults", "{fault}", "Page faults of the host.", counts=True)
DISK_IO = Instrument(
    "system.disk.io", "By", "Bytes read from and written to a device.", counts=True
)
DISK_OPERATIONS = Instrument(
    "system.disk.operations", "{operation}", "Requests that a device completed.", counts=True
)
DISK_BUSY = Instrument(
    "system.disk.io_time", "s", "How long a device had a request under way.", counts=True
)
FILESYSTEM = Instrument("system.filesystem.usage", "By", "Space of a file system.")
FILESYSTEM_SHARE = Instrument(
    "system.filesystem.utilization", "1", "Space in use in parts of what a user may have."
)
NETWORK_IO = Instrument(
    "system.network.io", "By", "Bytes received and transmitted by an interface.", counts=True
)
NETWORK_PACKETS = Instrument(
    "system.network.packet.count", "{packet}", "Packets received and transmitted.", counts=True
)
NETWORK_ERRORS = Instrument(
    "system.network.errors", "{error}", "Packets that went wrong.", counts=True
)
NETWORK_DROPPED = Instrument(
    "system.network.packet.dropped", "{packet}", "Packets that were dropped.", counts=True
)
OOM_KILLS = Instrument(
    "pillion.host.oom_kills",
    "{process}",
    "Processes that the kernel killed for memory.",
    counts=True,
)
PRESSURE = Instrument(
    "pillion.host.pressure",
    "1",
    "Share of the last 10 s in which some or all tasks waited for a resource (PSI).",
)
PRESSURE_TIME = Instrument(
    "pillion.host.pressure.time", "s", "How long tasks waited for a resource (PSI).", counts=True
)

RESOURCES = ("cpu", "memory", "io")


class FileSystem(msgspec.Struct, frozen=True):
    """A file system in bytes: `free` is what a user may still have, `reserved` what only root may."""

    point: str
    device: str
    kind: str
    used: int
    free: int
    reserved: int


class HostReading(msgspec.Struct, frozen=True):
    """The host at one moment; what it does not tell is empty."""

    cpu_s: Mapping[str, float] = {}
    load: tuple[float, float, float] | None = None
    memory: Mapping[str, int] = {}
    vmstat: Mapping[str, int] = {}
    disks: Mapping[str, DiskCounts] = {}
    interfaces: Mapping[str, InterfaceCounts] = {}
    pressure: Mapping[str, Mapping[str, Stall]] = {}
    filesystems: tuple[FileSystem, ...] = ()


def read_host(files: Files, filesystems: tuple[FileSystem, ...] = ()) -> HostReading:
    """Read the host's files; call it in a thread."""
    return HostReading(
        cpu_s=parse_cpu(files.text("/proc/stat")),
        load=parse_load(files.text("/proc/loadavg")),
        memory=parse_memory(files.text("/proc/meminfo")),
        vmstat=parse_numbers(files.text("/proc/vmstat")),
        disks=parse_disks(files.text("/proc/diskstats")),
        interfaces=parse_interfaces(files.text("/proc/net/dev")),
        pressure={one: parse_pressure(files.text(f"/proc/pressure/{one}")) for one in RESOURCES},
        filesystems=filesystems,
    )


def host_measurements(host: HostReading) -> Iterator[Measurement]:
    """The measurements of the host."""
    for mode, seconds in host.cpu_s.items():
        yield Measurement(CPU_TIME, seconds, {"cpu.mode": mode})
    if host.load is not None:
        for minutes, load in zip(LOAD, host.load, strict=True):
            yield Measurement(LOAD[minutes], load)
    yield from _memory(host.memory)
    yield from _paging(host)
    for device, disk in host.disks.items():
        yield from _disk(device, disk)
    for one in host.filesystems:
        yield from _filesystem(one)
    for name, interface in host.interfaces.items():
        yield from _interface(name, interface)
    for resource, stalls in host.pressure.items():
        for kind, stall in stalls.items():
            named = {"pillion.resource": resource, "pillion.stall": kind}
            yield Measurement(PRESSURE, stall.share, named)
            yield Measurement(PRESSURE_TIME, stall.total_s, named)


def _memory(memory: Mapping[str, int]) -> Iterator[Measurement]:
    total, free = memory.get("MemTotal"), memory.get("MemFree")
    if not total or free is None:
        return
    buffers = memory.get("Buffers", 0)
    cached = memory.get("Cached", 0) + memory.get("SReclaimable", 0)
    parts = {
        "used": max(0, total - free - buffers - cached),
        "free": free,
        "buffers": buffers,
        "cached": cached,
    }
    for state, size in parts.items():
        yield Measurement(MEMORY, size, {"system.memory.state": state})
    available = memory.get("MemAvailable")
    if available is not None:
        yield Measurement(MEMORY_SHARE, 1 - available / total)


def _paging(host: HostReading) -> Iterator[Measurement]:
    total, free = host.memory.get("SwapTotal"), host.memory.get("SwapFree")
    if total is not None and free is not None:
        yield Measurement(SWAP, total - free, {"system.paging.state": "used"})
        yield Measurement(SWAP, free, {"system.paging.state": "free"})
    faults, major = host.vmstat.get("pgfault"), host.vmstat.get("pgmajfault")
    if faults is not None and major is not None:
        yield Measurement(FAULTS, faults - major, {"system.paging.fault.type": "minor"})
        yield Measurement(FAULTS, major, {"system.paging.fault.type": "major"})
    kills = host.vmstat.get("oom_kill")
    if kills is not None:
        yield Measurement(OOM_KILLS, kills, NO_ATTRIBUTES)


def _disk(device: str, disk: DiskCounts) -> Iterator[Measurement]:
    named = {"system.device": device}
    read = {**named, "disk.io.direction": "read"}
    write = {**named, "disk.io.direction": "write"}
    yield Measurement(DISK_IO, disk.read_bytes, read)
    yield Measurement(DISK_IO, disk.written_bytes, write)
    yield Measurement(DISK_OPERATIONS, disk.reads, read)
    yield Measurement(DISK_OPERATIONS, disk.writes, write)
    yield Measurement(DISK_BUSY, disk.busy_s, named)


def _filesystem(one: FileSystem) -> Iterator[Measurement]:
    named = {
        "system.device": one.device,
        "system.filesystem.mountpoint": one.point,
        "system.filesystem.type": one.kind,
    }
    parts = {"used": one.used, "free": one.free, "reserved": one.reserved}
    for state, size in parts.items():
        yield Measurement(FILESYSTEM, size, {**named, "system.filesystem.state": state})
    if one.used + one.free:
        yield Measurement(FILESYSTEM_SHARE, one.used / (one.used + one.free), named)


def _interface(name: str, counts: InterfaceCounts) -> Iterator[Measurement]:
    received = {"network.interface.name": name, "network.io.direction": "receive"}
    sent = {"network.interface.name": name, "network.io.direction": "transmit"}
    yield Measurement(NETWORK_IO, counts.received_bytes, received)
    yield Measurement(NETWORK_IO, counts.sent_bytes, sent)
    yield Measurement(NETWORK_PACKETS, counts.received_packets, received)
    yield Measurement(NETWORK_PACKETS, counts.sent_packets, sent)
    yield Measurement(NETWORK_ERRORS, counts.received_errors, received)
    yield Measurement(NETWORK_ERRORS, counts.sent_errors, sent)
    yield Measurement(NETWORK_DROPPED, counts.received_dropped, received)
    yield Measurement(NETWORK_DROPPED, counts.sent_dropped, sent)
