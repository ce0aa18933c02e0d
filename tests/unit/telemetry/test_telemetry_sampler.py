"""Looks at a tree of files as the kernel has them, with both hierarchies of control groups."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from pillion.api.measurements import prometheus_name
from pillion.base.host_files import Files
from pillion.model.component import Component, KeeperFacts, Status
from pillion.telemetry import process_files
from pillion.telemetry.instance_sampling import subjects
from pillion.telemetry.measurement import Instrument
from pillion.telemetry.process_files import MOST_PROCESSES, read_processes
from pillion.telemetry.sampler import Sampler, Subject

if TYPE_CHECKING:
    from pathlib import Path

    from pillion.telemetry.measurement import Measurement


class Host:
    """A host in a directory."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.files = Files(str(root))
        self.put("/proc/stat", "cpu  100 0 50 800 10 0 5 1 0 0\n")
        self.put("/proc/meminfo", "MemTotal: 100 kB\nMemFree: 40 kB\nMemAvailable: 60 kB\n")

    def put(self, path: str, text: str) -> None:
        place = self.root / path.lstrip("/")
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(text)

    def process(
        self, pid: int, *, children: str = "", state: str = "S", ticks: int = 100, threads: int = 1
    ) -> None:
        self.put(
            f"/proc/{pid}/stat",
            f"{pid} (x) {state} 1 1 1 0 -1 0 5 0 1 0 {ticks} 0 0 0 20 0 {threads} 0 {pid} 4096 2 0\n",
        )
        self.put(f"/proc/{pid}/task/{pid}/children", children)
        self.put(f"/proc/{pid}/fd/0", "")
        self.put(f"/proc/{pid}/smaps_rollup", "Pss: 3 kB\n")


@pytest.fixture
def host(tmp_path: Path) -> Host:
    return Host(tmp_path)


def values(found: list[Measurement], component: str | None = "app") -> dict[str, float]:
    """By name, with the attributes that tell one from another behind it."""
    return {
        ":".join(
            [
                one.instrument.name,
                *(text for key, text in one.attributes.items() if key != "pillion.component"),
            ]
        ): one.value
        for one in found
        if one.attributes.get("pillion.component") == component
    }


def test_a_tree_is_summed_and_zombies_are_told_apart(host: Host) -> None:
    host.process(10, children="11 12 ", threads=3)
    host.process(11, state="Z")
    host.process(12)
    found = values(Sampler(host.files).sample([Subject("app", (10, 12))], slow=True))
    assert found["pillion.process.count"] == 2
    assert found["pillion.process.zombies"] == 1
    assert found["process.thread.count"] == 4
    assert found["process.unix.file_descriptor.count"] == 2
    assert found["pillion.process.memory.proportional"] == 2 * 3072
    assert found["process.paging.faults:major"] == 3
    assert "process.disk.io:read" not in found


def test_the_slow_lane_is_told_again_until_it_is_looked_at_again(host: Host) -> None:
    host.process(10)
    sampler = Sampler(host.files)
    sampler.sample([Subject("app", (10,))], slow=True)
    host.put("/proc/10/smaps_rollup", "Pss: 9 kB\n")
    name = "pillion.process.memory.proportional"
    assert values(sampler.sample([Subject("app", (10,))]))[name] == 3072
    assert values(sampler.sample([Subject("app", (10,))], slow=True))[name] == 9216
    assert name not in values(sampler.sample([]))


def test_who_is_gone_is_not_there(host: Host) -> None:
    assert values(Sampler(host.files).sample([Subject("app", (10,))], slow=True)) == {}


def test_thousands_of_processes_are_bounded(host: Host) -> None:
    for pid in range(1, MOST_PROCESSES + 50):
        host.process(pid)
    readings = read_processes(host.files, range(1, MOST_PROCESSES + 50))
    assert len(readings) == MOST_PROCESSES


def test_a_circle_of_children_ends(host: Host) -> None:
    host.process(10, children="11")
    host.process(11, children="10")
    assert [one.stat.pid for one in read_processes(host.files, [10])] == [10, 11]
    assert [one.stat.pid for one in read_processes(host.files, [10], children=False)] == [10]


def test_listening_ports_are_those_of_the_processes_own_sockets(host: Host) -> None:
    host.process(10)
    for number, inode in enumerate((501, 502, 503), 1):
        (host.root / f"proc/10/fd/{number}").symlink_to(f"socket:[{inode}]")
    line = "  0: 0100007F:{port} 00000000:0000 {state} 00000000:00000000 00:00000000 00000000 0 0 {inode} 1\n"
    host.put(
        "/proc/10/net/tcp",
        "  sl  local_address\n"
        + line.format(port="1F90", state="0A", inode=501)
        + line.format(port="1F91", state="01", inode=502)
        + line.format(port="1F92", state="0A", inode=999),
    )
    host.put("/proc/10/net/tcp6", "sl\n" + line.format(port="1F90", state="0A", inode=503))
    assert process_files.listening_ports(host.files, [10]) == 1
    assert process_files.listening_ports(host.files, [4711]) is None


MOUNTS = {
    "v2": "30 1 0:26 / /sys/fs/cgroup rw - cgroup2 cgroup rw\n",
    "v1": (
        "31 1 0:27 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu\n"
        "32 1 0:28 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n"
    ),
}
GROUPS = {"v2": "0::/pillion/app\n", "v1": "3:cpu:/pillion/app\n4:memory:/pillion/app\n0::/\n"}
STATE = {
    "v2": {
        "/sys/fs/cgroup/pillion/app/cpu.stat": "nr_periods 9\nnr_throttled 4\nthrottled_usec 2500000\n",
        "/sys/fs/cgroup/pillion/app/memory.events": "low 0\nmax 7\noom_kill 2\n",
        "/sys/fs/cgroup/pillion/app/memory.pressure": "some avg10=50.00 total=5\n",
        "/sys/fs/cgroup/pillion/memory.events": "max 100\noom_kill 100\n",
    },
    "v1": {
        "/sys/fs/cgroup/cpu/pillion/app/cpu.stat": "nr_periods 9\nnr_throttled 4\nthrottled_time 2500000000\n",
        "/sys/fs/cgroup/memory/pillion/app/memory.oom_control": "oom_kill_disable 0\nunder_oom 0\noom_kill 2\n",
        "/sys/fs/cgroup/memory/pillion/app/memory.failcnt": "7\n",
        "/sys/fs/cgroup/memory/pillion/memory.failcnt": "100\n",
    },
}


@pytest.mark.parametrize("hierarchy", ["v1", "v2"])
def test_a_control_group_tells_of_its_own_component_alone(host: Host, hierarchy: str) -> None:
    host.process(10)
    host.put("/proc/self/mountinfo", MOUNTS[hierarchy])
    host.put("/proc/10/cgroup", GROUPS[hierarchy])
    for path, text in STATE[hierarchy].items():
        host.put(path, text)
    found = values(Sampler(host.files).sample([Subject("app", (10,), grouped=True)]))
    assert found["pillion.component.cpu.periods"] == 9
    assert found["pillion.component.cpu.throttled_periods"] == 4
    assert found["pillion.component.cpu.throttled_time"] == 2.5
    assert found["pillion.component.oom_kills"] == 2
    assert found["pillion.component.memory.limit_hits"] == 7
    if hierarchy == "v2":
        assert found["pillion.component.pressure:memory:some"] == 0.5
    without = values(Sampler(host.files).sample([Subject("app", (10,))]))
    assert not [name for name in without if name.startswith("pillion.component")]


def test_memory_in_use_is_what_no_cache_holds(host: Host) -> None:
    host.put(
        "/proc/meminfo", "MemTotal: 100 kB\nMemFree: 40 kB\nCached: 20 kB\nMemAvailable: 60 kB\n"
    )
    found = values(Sampler(host.files).sample([]), None)
    assert found["system.memory.usage:used"] == 40 * 1024
    assert found["system.memory.utilization"] == pytest.approx(0.4)


def test_guards_are_looked_at_without_their_children() -> None:
    def component(name: str, pid: int | None) -> Component:
        return Component(name=name, state="running", pid=pid, limits_by="cgroup-v1")

    status = Status(
        instance="i",
        run="r",
        keeper=KeeperFacts(pid=1),
        components=[component("keeper", 1), component("app", 5), component("edge", None)],
    )
    assert subjects(status, [5, 6]) == [
        Subject("keeper", (1,), grouped=False, alone=True),
        Subject("app", (5, 6), grouped=True, alone=False),
    ]


@pytest.mark.parametrize(
    ("instrument", "name"),
    [
        (Instrument("process.cpu.time", "s", "", counts=True), "process_cpu_time_seconds_total"),
        (Instrument("system.memory.utilization", "1", ""), "system_memory_utilization_ratio"),
        (Instrument("process.thread.count", "{thread}", ""), "process_thread_count"),
        (Instrument("process.disk.io", "By", "", counts=True), "process_disk_io_bytes_total"),
    ],
)
def test_names_as_prometheus_has_them(instrument: Instrument, name: str) -> None:
    assert prometheus_name(instrument) == name
