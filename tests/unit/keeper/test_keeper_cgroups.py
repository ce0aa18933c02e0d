"""Control groups: which hierarchies a host lets us use, what is written where, and what cannot hold is refused in words.

Fixture trees stand for hosts that this one is not; `test_keeper_cgroups_real` has the host's own.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from pillion.keeper.cgroups import Group, Groups, LimitRefused
from pillion.keeper.hierarchies import (
    SAMPLING,
    V1,
    V2,
    Hierarchies,
    detect,
    parse_membership,
    parse_mounts,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from pillion.keeper.plan import LimitsPlan

V2_ONLY = "30 23 0:26 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate\n"
V1_ONLY = (
    "33 32 0:29 / /sys/fs/cgroup/memory rw shared:9 - cgroup cgroup rw,memory\n"
    "34 32 0:30 / /sys/fs/cgroup/cpu,cpuacct rw shared:10 - cgroup cgroup rw,cpu,cpuacct\n"
    "35 32 0:31 / /sys/fs/cgroup/pids rw - cgroup cgroup rw,pids\n"
    "36 32 0:32 / /sys/fs/cgroup/systemd rw - cgroup cgroup rw,name=systemd\n"
)
OTHER = (
    "22 1 8:1 / / rw,relatime - ext4 /dev/sda1 rw\n"
    "40 1 0:40 / /mnt/a\\040b rw - tmpfs tmpfs rw,memory\n"
    "nonsense\n"
    "41 1 0:41 / /x rw -\n"
)


def test_the_mount_of_v2_is_found() -> None:
    assert parse_mounts(OTHER + V2_ONLY) == ("/sys/fs/cgroup", {})


def test_the_mounts_of_v1_are_found_by_controller() -> None:
    assert parse_mounts(OTHER + V1_ONLY) == (
        None,
        {
            "memory": "/sys/fs/cgroup/memory",
            "cpu": "/sys/fs/cgroup/cpu,cpuacct",
            "cpuacct": "/sys/fs/cgroup/cpu,cpuacct",
            "pids": "/sys/fs/cgroup/pids",
        },
    )


def test_a_hybrid_host_has_both() -> None:
    v2, v1 = parse_mounts(V1_ONLY + V2_ONLY.replace("/sys/fs/cgroup", "/sys/fs/cgroup/unified"))
    assert v2 == "/sys/fs/cgroup/unified"
    assert set(v1) == {"memory", "cpu", "cpuacct", "pids"}


def test_a_host_without_any_has_none() -> None:
    assert parse_mounts(OTHER) == (None, {})


def test_the_first_of_two_mounts_counts() -> None:
    twice = V2_ONLY + V2_ONLY.replace("/sys/fs/cgroup", "/elsewhere")
    assert parse_mounts(twice) == ("/sys/fs/cgroup", {})


def test_our_path_in_each_hierarchy_is_read() -> None:
    v2, v1 = parse_membership("12:cpu,cpuacct:/a\n5:memory:/b:c\n1:name=systemd:/d\n0::/e\n")
    assert v2 == "/e"
    assert {k: v1[k] for k in ("cpu", "cpuacct", "memory")} == {
        "cpu": "/a",
        "cpuacct": "/a",
        "memory": "/b:c",
    }


def test_without_a_word_of_v2_our_path_is_the_root() -> None:
    assert parse_membership("5:memory:/b\n")[0] == "/"


class Host:
    """A host made of files: a proc directory and whatever hierarchies are mounted."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.proc = root / "proc"
        self.proc.mkdir()
        self.mounts: list[str] = []
        self.paths: list[str] = []

    def group(self, path: str, **files: str) -> Path:
        directory = self.root / path
        directory.mkdir(parents=True, exist_ok=True)
        for name, text in {"cgroup__procs": "", **files}.items():
            (directory / name.replace("__", ".")).write_text(text)
        return directory

    def mount(self, where: str, kind: str, options: str) -> None:
        self.mounts.append(f"30 1 0:1 / {self.root}/{where} rw - {kind} {kind} {options}")

    def detect(self) -> Hierarchies:
        (self.proc / "mountinfo").write_text("\n".join(self.mounts) + "\n")
        (self.proc / "cgroup").write_text("\n".join(self.paths) + "\n")
        return detect(str(self.proc))


@pytest.fixture
def host(tmp_path: Path) -> Host:
    return Host(tmp_path)


def delegated(host: Host) -> None:
    host.mount("cg", "cgroup2", "rw")
    host.paths.append("0::/user/shop")
    host.group("cg")
    host.group(
        "cg/user/shop",
        cgroup__controllers="cpuset cpu io memory pids\n",
        cgroup__subtree_control="",
    )


def v1(host: Host) -> None:
    for controller in ("memory", "pids"):
        host.mount(controller, "cgroup", f"rw,{controller}")
        host.paths.append(f"3:{controller}:/box")
        host.group(controller)
        host.group(f"{controller}/box")
    host.mount("cpu,cpuacct", "cgroup", "rw,cpu,cpuacct")
    host.paths.append("4:cpu,cpuacct:/box")
    host.group("cpu,cpuacct/box")


def test_v2_delegated_to_us(host: Host) -> None:
    delegated(host)
    found = host.detect()
    assert found.v2 == f"{host.root}/cg/user/shop"
    assert found.v2_controllers == {"cpu", "memory", "pids"}
    assert (found.v1, found.means) == ({}, V2)


def test_v1_where_we_may_make_groups(host: Host) -> None:
    v1(host)
    found = host.detect()
    assert found.v2 is None
    assert found.v1 == {
        "memory": f"{host.root}/memory/box",
        "pids": f"{host.root}/pids/box",
        "cpu": f"{host.root}/cpu,cpuacct/box",
        "cpuacct": f"{host.root}/cpu,cpuacct/box",
    }
    assert found.means == V1


def test_a_hybrid_host_limits_by_v1_and_kills_by_v2(host: Host) -> None:
    v1(host)
    host.mount("unified", "cgroup2", "rw")
    host.group("unified", cgroup__controllers="\n")
    found = host.detect()
    assert found.v2 == f"{host.root}/unified"
    assert found.v2_controllers == frozenset()
    assert found.means == V1


def test_no_hierarchy_at_all(host: Host) -> None:
    host.paths.append("0::/")
    found = host.detect()
    assert (found.v2, found.v1, found.means) == (None, {}, SAMPLING)


def test_in_a_container_a_path_of_the_hosts_is_the_mounts_root(host: Host) -> None:
    host.mount("cg", "cgroup2", "rw")
    host.paths.append("0::/kubepods/pod7/of-the-host")
    host.group("cg", cgroup__controllers="memory")
    assert host.detect().v2 == f"{host.root}/cg"


def test_a_mount_without_groups_in_it_is_none(host: Host) -> None:
    host.mount("cg", "cgroup2", "rw")
    host.paths.append("0::/")
    assert host.detect().v2 is None


def test_on_v2_controllers_are_handed_down_and_groups_made(host: Host) -> None:
    delegated(host)
    own = host.root / "cg/user/shop"
    base = host.group("cg/user/shop/pillion-x", cgroup__subtree_control="")
    groups = Groups(host.detect(), "pillion-x")
    groups.prepare()
    assert (own / "cgroup.subtree_control").read_text() == "+cpu +memory +pids"
    assert (base / "cgroup.subtree_control").read_text() == "+cpu +memory +pids"
    assert groups.means == V2
    assert groups.directories() == [str(base)]
    group = groups.create("app.1")
    assert group.procs_files() == [f"{base}/app.1/cgroup.procs"]
    assert group.means == V2


def test_on_v2_whose_controllers_cannot_be_handed_down_nothing_is_limited(host: Host) -> None:
    delegated(host)
    (host.root / "cg/user/shop/cgroup.subtree_control").unlink()
    groups = Groups(host.detect(), "pillion-x")
    groups.prepare()
    assert groups.means == SAMPLING
    assert groups.create("app.1").tracked, "the kernel still keeps the list of its processes"


def test_on_v1_every_controller_gets_a_group_and_joined_ones_one(host: Host) -> None:
    v1(host)
    groups = Groups(host.detect(), "pillion-x")
    groups.prepare()
    assert groups.means == V1
    assert len(groups.create("app.1").procs_files()) == 3


def test_without_hierarchies_a_group_says_little_and_fails_nowhere(host: Host) -> None:
    groups = Groups(host.detect(), "pillion-x")
    groups.prepare()
    group = groups.create("app.1")
    group.apply({"memory": 1})
    group.kill()
    group.signal(0)
    assert (group.means, group.tracked, group.pids()) == (SAMPLING, False, [])
    assert (group.memory(), group.memory_peak(), group.cpu_s()) == (None, None, None)
    assert (group.oom_kills(), group.watch_oom(), group.procs_files()) == (0, None, [])
    assert group.remove()
    groups.remove()


def test_groups_come_back_as_they_were(host: Host) -> None:
    v1(host)
    groups = Groups(host.detect(), "pillion-x")
    groups.prepare()
    again = Groups.load(groups.dump())
    assert (again.dump(), again.means, again.directories()) == (
        groups.dump(),
        groups.means,
        groups.directories(),
    )
    group = groups.create("app.1")
    assert Group.load(group.dump()).dump() == group.dump()


@pytest.fixture
def on_v2(host: Host) -> Callable[..., tuple[Group, Path]]:
    def make(**files: str) -> tuple[Group, Path]:
        wanted = dict.fromkeys(
            ("memory__max", "memory__oom__group", "memory__swap__max", "cpu__max", "pids__max"), ""
        )
        directory = host.group("g", **{**wanted, **files})
        return Group(str(directory), {}, v2_controls=True), directory

    return make


@pytest.fixture
def on_v1(host: Host) -> Callable[..., tuple[Group, dict[str, Path]]]:
    def make(**files: str) -> tuple[Group, dict[str, Path]]:
        made = {
            "memory": host.group("memory", memory__limit_in_bytes="", **files),
            "cpu": host.group("cpu", cpu__cfs_period_us="", cpu__cfs_quota_us=""),
            "cpuacct": host.group("cpuacct", cpuacct__usage="1500000000\n"),
            "pids": host.group("pids", pids__max=""),
        }
        return Group(None, {k: str(v) for k, v in made.items()}, v2_controls=False), made

    return make


def texts(directory: Path, *names: str) -> list[str]:
    return [(directory / name).read_text() for name in names]


def test_limits_on_v2(on_v2: Callable[..., tuple[Group, Path]]) -> None:
    group, directory = on_v2()
    group.apply({"memory": 1 << 30, "cpu": 1.5, "processes": 20})
    assert texts(directory, "memory.max", "memory.swap.max", "memory.oom.group") == [
        str(1 << 30),
        "0",
        "1",
    ]
    assert texts(directory, "cpu.max", "pids.max") == ["150000 100000", "20"]


def test_limits_lifted_on_v2(on_v2: Callable[..., tuple[Group, Path]]) -> None:
    group, directory = on_v2()
    group.apply({"memory": None})
    assert texts(directory, "memory.max", "memory.swap.max", "cpu.max", "pids.max") == [
        "max",
        "max",
        "max 100000",
        "max",
    ]


def test_limits_on_v1(on_v1: Callable[..., tuple[Group, dict[str, Path]]]) -> None:
    group, made = on_v1(memory__memsw__limit_in_bytes="")
    group.apply({"memory": 1 << 30, "cpu": 0.25, "processes": 20})
    assert (
        texts(made["memory"], "memory.limit_in_bytes", "memory.memsw.limit_in_bytes")
        == [str(1 << 30)] * 2
    )
    assert texts(made["cpu"], "cpu.cfs_period_us", "cpu.cfs_quota_us") == ["100000", "25000"]
    assert texts(made["pids"], "pids.max") == ["20"]


def test_limits_lifted_on_v1(on_v1: Callable[..., tuple[Group, dict[str, Path]]]) -> None:
    group, made = on_v1()
    group.apply({})
    assert texts(made["memory"], "memory.limit_in_bytes") == ["-1"]
    assert texts(made["cpu"], "cpu.cfs_quota_us") == ["-1"]
    assert texts(made["pids"], "pids.max") == ["max"]
    assert not (made["memory"] / "memory.memsw.limit_in_bytes").exists()


def test_the_smallest_quota_is_the_kernels(
    on_v1: Callable[..., tuple[Group, dict[str, Path]]],
    on_v2: Callable[..., tuple[Group, Path]],
) -> None:
    first, made = on_v1()
    first.apply({"cpu": 0.001})
    assert texts(made["cpu"], "cpu.cfs_quota_us") == ["1000"]
    second, directory = on_v2()
    second.apply({"cpu": 0.001})
    assert texts(directory, "cpu.max") == ["1000 100000"]


def test_a_limit_below_what_is_in_use_is_refused(
    on_v2: Callable[..., tuple[Group, Path]],
) -> None:
    group, directory = on_v2(memory__current="5000", memory__stat="inactive_file 1000\n")
    with pytest.raises(LimitRefused) as caught:
        group.apply({"memory": 3999})
    assert str(caught.value) == (
        "cannot limit memory to 3999 bytes: 4000 are in use; choose more, or restart with the limit"
    )
    assert texts(directory, "memory.max") == [""], "nothing was touched"
    group.apply({"memory": 4000})


@pytest.mark.parametrize(
    ("limits", "file", "what"),
    [
        ({"memory": 5000}, "memory.max", "memory to 5000"),
        ({"cpu": 1.5}, "cpu.max", "cpu to 150000 100000"),
        ({"processes": 7}, "pids.max", "processes to 7"),
    ],
)
def test_a_limit_that_the_kernel_refuses_on_v2_is_named(
    on_v2: Callable[..., tuple[Group, Path]],
    limits: LimitsPlan,
    file: str,
    what: str,
) -> None:
    group, directory = on_v2()
    (directory / file).unlink()
    with pytest.raises(LimitRefused) as caught:
        group.apply(limits)
    assert str(caught.value) == (
        f"cannot limit {what}: {directory}/{file}: No such file or directory"
    )
    group.apply({})


@pytest.mark.parametrize(
    ("limits", "controller", "what"),
    [
        ({"memory": 5000}, "memory", "memory to 5000"),
        ({"cpu": 1.5}, "cpu", "cpu to 1.5"),
        ({"processes": 7}, "pids", "processes to 7"),
    ],
)
def test_a_limit_whose_controller_v1_lacks_is_refused_in_words(
    on_v1: Callable[..., tuple[Group, dict[str, Path]]],
    limits: LimitsPlan,
    controller: str,
    what: str,
) -> None:
    group, _ = on_v1()
    del group.v1[controller]
    with pytest.raises(LimitRefused) as caught:
        group.apply(limits)
    assert str(caught.value) == (
        f"cannot limit {what}: we may make no group of cgroup v1's {controller} controller here"
    )


def test_usage_on_v2(on_v2: Callable[..., tuple[Group, Path]]) -> None:
    group, _ = on_v2(
        memory__current="5000\n",
        memory__stat="anon 1\ninactive_file 1000\n",
        memory__peak="9000\n",
        cpu__stat="usage_usec 2500000\nuser_usec 1\n",
        memory__events="low 0\noom 3\noom_kill 2\n",
        cgroup__procs="1\n2\n",
    )
    assert (group.memory(), group.memory_peak(), group.cpu_s()) == (4000, 9000, 2.5)
    assert (group.oom_kills(), group.pids(), group.watch_oom()) == (2, [1, 2], None)


def test_usage_on_v1(on_v1: Callable[..., tuple[Group, dict[str, Path]]]) -> None:
    group, _ = on_v1(
        memory__usage_in_bytes="5000\n",
        memory__stat="inactive_file 1\ntotal_inactive_file 1000\n",
        memory__max_usage_in_bytes="9000\n",
        memory__oom_control="oom_kill_disable 0\nunder_oom 0\noom_kill 2\n",
        cgroup__procs="1\n2\n",
    )
    assert (group.memory(), group.memory_peak(), group.cpu_s()) == (4000, 9000, 1.5)
    assert (group.oom_kills(), group.pids()) == (2, [1, 2])


def test_usage_that_the_kernel_does_not_tell_is_none(
    on_v2: Callable[..., tuple[Group, Path]],
) -> None:
    group, _ = on_v2()
    assert (group.memory(), group.memory_peak(), group.oom_kills()) == (None, None, 0)


def test_a_process_of_another_pid_namespace_is_nobody(
    on_v2: Callable[..., tuple[Group, Path]],
) -> None:
    """Listed as 0; and to signal 0 is to signal our own group."""
    group, _ = on_v2(cgroup__procs="0\n0\n")
    assert group.pids() == []
    group.kill()


def test_a_group_is_killed_by_the_kernel_where_it_can(
    on_v2: Callable[..., tuple[Group, Path]],
) -> None:
    group, directory = on_v2(cgroup__kill="", cgroup__procs="4194303\n")
    group.kill()
    assert texts(directory, "cgroup.kill") == ["1"]
