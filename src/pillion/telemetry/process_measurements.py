"""From the readings of a component's processes to measurements of the component.

OpenTelemetry's semantic conventions for processes 1.x, summed over the tree; what they have no name for is `pillion.process.…`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pillion.telemetry.measurement import Instrument, Measurement
from pillion.telemetry.process_reading import ZOMBIE

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping

    from pillion.telemetry.process_reading import ProcessReading
    from pillion.telemetry.process_totals import Totals

CPU_TIME = Instrument(
    "process.cpu.time", "s", "CPU time that the component's processes used.", counts=True
)
MEMORY = Instrument(
    "process.memory.usage", "By", "Resident memory (RSS) of the component's processes."
)
VIRTUAL = Instrument("process.memory.virtual", "By", "Virtual memory of the component's processes.")
PROPORTIONAL = Instrument(
    "pillion.process.memory.proportional",
    "By",
    "Proportional set size (PSS): what is shared counts in parts.",
)
THREADS = Instrument("process.thread.count", "{thread}", "Threads of the component's processes.")
DESCRIPTORS = Instrument(
    "process.unix.file_descriptor.count",
    "{file_descriptor}",
    "Open file descriptors of the component's processes.",
)
DESCRIPTOR_SHARE = Instrument(
    "pillion.process.file_descriptor.utilization",
    "1",
    "Open file descriptors in parts of the soft limit, of the process that is nearest to it.",
)
SWITCHES = Instrument(
    "process.context_switches",
    "{context_switch}",
    "Context switches of the processes' main threads.",
    counts=True,
)
FAULTS = Instrument("process.paging.faults", "{fault}", "Page faults.", counts=True)
DISK_IO = Instrument(
    "process.disk.io", "By", "Bytes that storage was asked to read and write.", counts=True
)
PROCESSES = Instrument(
    "pillion.process.count", "{process}", "Processes of the component, zombies left out."
)
ZOMBIES = Instrument(
    "pillion.process.zombies", "{process}", "Processes that ended and were not waited for."
)
PORTS = Instrument(
    "pillion.process.listening_ports", "{port}", "TCP ports that the component listens on."
)


def process_measurements(
    readings: Collection[ProcessReading],
    totals: Totals,
    ports: int | None,
    attributes: Mapping[str, str],
) -> Iterator[Measurement]:
    """The measurements of one component, each with `attributes`. `ports` is None where it was not looked."""
    living = [one for one in readings if one.stat.state != ZOMBIE]

    def told(instrument: Instrument, value: float | None, **more: str) -> Iterator[Measurement]:
        if value is not None:
            named = {name.replace("__", "."): text for name, text in more.items()}
            yield Measurement(instrument, value, {**attributes, **named})

    yield from told(CPU_TIME, totals.user_s, cpu__mode="user")
    yield from told(CPU_TIME, totals.system_s, cpu__mode="system")
    yield from told(MEMORY, sum(one.stat.resident_bytes for one in living))
    yield from told(VIRTUAL, sum(one.stat.virtual_bytes for one in living))
    yield from told(PROPORTIONAL, _sum([one.proportional_bytes for one in living]))
    yield from told(THREADS, sum(one.stat.threads for one in living))
    yield from told(DESCRIPTORS, _sum([one.descriptors for one in living]))
    yield from told(DESCRIPTOR_SHARE, _share(living))
    yield from told(SWITCHES, totals.voluntary, process__context_switch__type="voluntary")
    yield from told(SWITCHES, totals.involuntary, process__context_switch__type="involuntary")
    yield from told(FAULTS, totals.minor_faults, system__paging__fault__type="minor")
    yield from told(FAULTS, totals.major_faults, system__paging__fault__type="major")
    yield from told(DISK_IO, totals.read_bytes, disk__io__direction="read")
    yield from told(DISK_IO, totals.written_bytes, disk__io__direction="write")
    yield from told(PROCESSES, len(living))
    yield from told(ZOMBIES, len(readings) - len(living))
    yield from told(PORTS, ports)


def _sum(values: list[int | None]) -> int | None:
    """The sum of what is known, None when nothing is."""
    known = [one for one in values if one is not None]
    return sum(known) if known else None


def _share(readings: list[ProcessReading]) -> float | None:
    return max(
        (
            one.descriptors / one.descriptor_limit
            for one in readings
            if one.descriptors is not None and one.descriptor_limit
        ),
        default=None,
    )
