"""What proc(5) says of the whole host, parsed: every function takes a file's text and leaves out what makes no sense."""

from __future__ import annotations

import os

import msgspec

_TICKS_PER_S = os.sysconf("SC_CLK_TCK")
# The first eight columns of /proc/stat; guest time is in user and nice already.
_CPU_MODES = ("user", "nice", "system", "idle", "iowait", "interrupt", "softirq", "steal")
# /proc/diskstats counts in these, whatever the device has (Documentation/admin-guide/iostats.rst).
_SECTOR_BYTES = 512


class DiskCounts(msgspec.Struct, frozen=True):
    """One block device since its start; `busy_s` is how long at least one request was under way."""

    reads: int
    read_bytes: int
    writes: int
    written_bytes: int
    busy_s: float


class InterfaceCounts(msgspec.Struct, frozen=True):
    """One network interface since its start: received and transmitted."""

    received_bytes: int
    received_packets: int
    received_errors: int
    received_dropped: int
    sent_bytes: int
    sent_packets: int
    sent_errors: int
    sent_dropped: int


class Stall(msgspec.Struct, frozen=True):
    """One line of pressure stall information (Documentation/accounting/psi.rst): share of the last 10 s, and seconds in all."""

    share: float
    total_s: float


def parse_cpu(text: str) -> dict[str, float]:
    """Seconds of all CPUs together by mode, of /proc/stat."""
    for line in text.splitlines():
        name, _, rest = line.partition(" ")
        if name == "cpu":
            ticks = rest.split()[: len(_CPU_MODES)]
            return {
                mode: int(one) / _TICKS_PER_S
                for mode, one in zip(_CPU_MODES, ticks, strict=False)
                if one.isdigit()
            }
    return {}


def parse_load(text: str) -> tuple[float, float, float] | None:
    """The load averages of /proc/loadavg over 1, 5 and 15 minutes."""
    fields = text.split()
    try:
        return float(fields[0]), float(fields[1]), float(fields[2])
    except (IndexError, ValueError):
        return None


def parse_memory(text: str) -> dict[str, int]:
    """Bytes by name of /proc/meminfo."""
    found = {}
    for line in text.splitlines():
        name, _, rest = line.partition(":")
        fields = rest.split()
        if len(fields) == 2 and fields[1] == "kB" and fields[0].isdigit():
            found[name] = int(fields[0]) * 1024
    return found


def parse_numbers(text: str) -> dict[str, int]:
    """Lines `name number`, as /proc/vmstat and the files of control groups have them; others are left out."""
    found = {}
    for line in text.splitlines():
        name, _, number = line.strip().partition(" ")
        if number.isdigit():
            found[name] = int(number)
    return found


def parse_disks(text: str) -> dict[str, DiskCounts]:
    """Block devices of /proc/diskstats by name; those that never did anything are left out."""
    found = {}
    for line in text.splitlines():
        fields = line.split()
        if len(fields) < 14 or not all(one.isdigit() for one in fields[3:14]):
            continue
        numbers = [int(one) for one in fields[3:14]]
        if any(numbers):
            found[fields[2]] = DiskCounts(
                reads=numbers[0],
                read_bytes=numbers[2] * _SECTOR_BYTES,
                writes=numbers[4],
                written_bytes=numbers[6] * _SECTOR_BYTES,
                busy_s=numbers[9] / 1000,
            )
    return found


def parse_interfaces(text: str) -> dict[str, InterfaceCounts]:
    """Network interfaces of /proc/net/dev by name; those that never carried anything are left out."""
    found = {}
    for line in text.splitlines():
        name, colon, rest = line.partition(":")
        fields = rest.split()
        if not colon or len(fields) < 12 or not all(one.isdigit() for one in fields[:12]):
            continue
        numbers = [int(one) for one in fields[:12]]
        if any(numbers):
            found[name.strip()] = InterfaceCounts(*numbers[:4], *numbers[8:12])
    return found


def parse_pressure(text: str) -> dict[str, Stall]:
    """The lines `some` and `full` of a pressure file."""
    found = {}
    for line in text.splitlines():
        kind, _, rest = line.partition(" ")
        fields = dict(one.partition("=")[::2] for one in rest.split())
        try:
            share, total_us = float(fields["avg10"]) / 100, int(fields["total"])
        except (KeyError, ValueError):
            continue
        if kind in ("some", "full"):
            found[kind] = Stall(share, total_us / 1e6)
    return found
