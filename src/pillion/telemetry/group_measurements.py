"""What a component's own control group tells beyond its use and its limits: throttling, kills, pressure.

Both hierarchies: Documentation/admin-guide/cgroup-v2.rst, and cgroup-v1/memory.rst and scheduler/sched-bwc.rst.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from pillion.base.control_groups import own_directories
from pillion.telemetry.host_measurements import RESOURCES
from pillion.telemetry.host_parsing import Stall, parse_numbers, parse_pressure
from pillion.telemetry.measurement import Instrument, Measurement

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from pillion.base.control_groups import GroupPath
    from pillion.base.host_files import Files
    from pillion.base.mounts import Mount

PERIODS = Instrument(
    "pillion.component.cpu.periods",
    "{period}",
    "Periods in which the CPU limit was looked at.",
    counts=True,
)
THROTTLED = Instrument(
    "pillion.component.cpu.throttled_periods",
    "{period}",
    "Periods in which the CPU limit held the component back.",
    counts=True,
)
THROTTLED_TIME = Instrument(
    "pillion.component.cpu.throttled_time",
    "s",
    "How long the CPU limit held threads of the component back.",
    counts=True,
)
OOM_KILLS = Instrument(
    "pillion.component.oom_kills",
    "{process}",
    "Processes of the component that the kernel killed for memory.",
    counts=True,
)
AT_LIMIT = Instrument(
    "pillion.component.memory.limit_hits",
    "{hit}",
    "How often the component wanted more memory than its limit.",
    counts=True,
)
PRESSURE = Instrument(
    "pillion.component.pressure",
    "1",
    "Share of the last 10 s in which some or all tasks of the component waited for a resource (PSI).",
)


class GroupReading(msgspec.Struct, frozen=True):
    """One control group at one moment; None for what its hierarchy does not tell."""

    periods: int | None = None
    throttled: int | None = None
    throttled_s: float | None = None
    oom_kills: int | None = None
    at_limit: int | None = None
    pressure: Mapping[str, Mapping[str, Stall]] = {}


def read_group(files: Files, groups: list[GroupPath], mounts: list[Mount]) -> GroupReading:
    """Read the group that a process is in; it must be the component's own, or its neighbours are told as its part."""
    cpu: dict[str, int] = {}
    for directory in own_directories(groups, mounts, "cpu"):
        cpu.update(parse_numbers(files.text(f"{directory}/cpu.stat")))
    memory: dict[str, int] = {}
    pressure: dict[str, Mapping[str, Stall]] = {}
    for directory in own_directories(groups, mounts, "memory"):
        memory.update(parse_numbers(files.text(f"{directory}/memory.oom_control")))
        memory.update(parse_numbers(files.text(f"{directory}/memory.events")))
        memory.update(parse_numbers(f"max {files.text(f'{directory}/memory.failcnt')}"))
        for resource in RESOURCES:
            if stalls := parse_pressure(files.text(f"{directory}/{resource}.pressure")):
                pressure[resource] = stalls
    return GroupReading(
        periods=cpu.get("nr_periods"),
        throttled=cpu.get("nr_throttled"),
        throttled_s=_seconds(cpu),
        oom_kills=memory.get("oom_kill"),
        at_limit=memory.get("max"),
        pressure=pressure,
    )


def group_measurements(group: GroupReading, attributes: Mapping[str, str]) -> Iterator[Measurement]:
    """The measurements of one component's group, each with `attributes`."""
    told = {
        PERIODS: group.periods,
        THROTTLED: group.throttled,
        THROTTLED_TIME: group.throttled_s,
        OOM_KILLS: group.oom_kills,
        AT_LIMIT: group.at_limit,
    }
    for instrument, value in told.items():
        if value is not None:
            yield Measurement(instrument, value, attributes)
    for resource, stalls in group.pressure.items():
        for kind, stall in stalls.items():
            named = {**attributes, "pillion.resource": resource, "pillion.stall": kind}
            yield Measurement(PRESSURE, stall.share, named)


def _seconds(cpu: Mapping[str, int]) -> float | None:
    if "throttled_usec" in cpu:
        return cpu["throttled_usec"] / 1e6
    if "throttled_time" in cpu:
        return cpu["throttled_time"] / 1e9
    return None
