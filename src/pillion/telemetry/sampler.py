"""One look at everything: the components of an instance, their control groups, and the host.

It remembers what counters need to go on growing, and nothing else; when to look is the caller's affair.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from pillion.base.control_groups import parse_groups
from pillion.base.mounts import parse_mounts
from pillion.telemetry.filesystems import read_filesystems
from pillion.telemetry.group_measurements import group_measurements, read_group
from pillion.telemetry.host_measurements import (
    FILESYSTEM,
    FILESYSTEM_SHARE,
    host_measurements,
    read_host,
)
from pillion.telemetry.process_files import listening_ports, read_processes
from pillion.telemetry.process_measurements import PORTS, PROPORTIONAL, process_measurements
from pillion.telemetry.process_totals import ProcessTotals

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from pillion.base.host_files import Files
    from pillion.base.mounts import Mount
    from pillion.telemetry.measurement import Measurement

COMPONENT = "pillion.component"
"""The attribute that names a component."""

SLOW = frozenset((PROPORTIONAL, PORTS, FILESYSTEM, FILESYSTEM_SHARE))


class Subject(msgspec.Struct, frozen=True):
    """A component to be looked at: the pids that are known of it, the main process first.

    `grouped`: it has a control group of its own. `alone`: its children are others' affair, as the keeper's are.
    """

    name: str
    pids: tuple[int, ...]
    grouped: bool = False
    alone: bool = False


class Sampler:
    """Looks whenever it is called, from one thread at a time."""

    def __init__(self, files: Files) -> None:
        self._files = files
        self._totals: dict[str, ProcessTotals] = {}
        self._slow: list[Measurement] = []

    def sample(self, subjects: Sequence[Subject], *, slow: bool = False) -> list[Measurement]:
        """Everything at this moment; what takes the kernel milliseconds (`SLOW`) is looked at when `slow`, and told again until then.

        It waits for the kernel: call it in a thread.
        """
        names = {one.name for one in subjects}
        self._totals = {name: one for name, one in self._totals.items() if name in names}
        mounts = parse_mounts(self._files.text("/proc/self/mountinfo"))
        found: list[Measurement] = []
        for one in subjects:
            found += self._component(one, mounts, slow=slow)
        filesystems = read_filesystems(mounts) if slow else ()
        found += host_measurements(read_host(self._files, filesystems))
        if slow:
            self._slow = [one for one in found if one.instrument in SLOW]
            return found
        told = {None, *names}
        return found + [one for one in self._slow if one.attributes.get(COMPONENT) in told]

    def _component(self, one: Subject, mounts: list[Mount], *, slow: bool) -> Iterator[Measurement]:
        files = self._files
        readings = read_processes(files, one.pids, children=not one.alone, slow=slow)
        totals = self._totals.setdefault(one.name, ProcessTotals())
        totals.take(readings)
        if not readings:
            return
        named = {COMPONENT: one.name}
        ports = listening_ports(files, [each.stat.pid for each in readings]) if slow else None
        yield from process_measurements(readings, totals.totals, ports, named)
        if one.grouped:
            groups = parse_groups(files.text(f"/proc/{one.pids[0]}/cgroup"))
            yield from group_measurements(read_group(files, groups, mounts), named)
