"""What is found on each kind of host."""

from __future__ import annotations

import hashlib
import hmac
import os
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from environment_trees import (
    AZURE,
    BARE,
    DOCKER_V1,
    DOCKER_V2,
    EC2,
    EC2_XEN,
    EMPTY,
    GCE,
    HYPER_V,
    ID,
    KUBERNETES,
    KUBERNETES_PRIVATE,
    LXC,
    NSPAWN,
    NSPAWN_OUTER,
    PODMAN,
    PODMAN_BARE,
    PROCESS,
    UID,
    Tree,
    plant,
)

from pillion.base.host_files import Files
from pillion.environment.cloud import find_provider
from pillion.environment.facts import Container, Disk, Interface, Memory, Pod
from pillion.environment.gathering import Gathering
from pillion.environment.host import machine_identity

if TYPE_CHECKING:
    from pathlib import Path

    from pillion.environment.gathering import Local


def read(root: Path, tree: Tree, pid: int | None = None, **variables: str) -> Local:
    gathering = Gathering(
        {"state": "/srv/with blank/state"},
        variables,
        plant(root, tree),
        interfaces=lambda: [Interface(name="lo", addresses=["127.0.0.1/8"])],
        measured=lambda point: (100, 50) if point == "/" else None,
    )
    return gathering.read(pid, "2026-01-01T00:00:00Z")


def test_bare_metal(tmp_path: Path) -> None:
    found = read(tmp_path, BARE)
    host = found.host
    assert (host.name, host.boot) == ("metal", "9d0a1f0e-3a56-4f5e-8a36-2f4b0a1a3f5b")
    assert host.hardware == "Dell Inc. PowerEdge R640"
    assert host.distribution.name == "Debian GNU/Linux 12 (bookworm)"
    assert (host.kernel.name, host.kernel.release) == ("Linux", "6.1.0-18-amd64")
    assert (host.cpu.model, host.cpu.count) == ("Intel(R) Xeon(R) Gold 6130", 8)
    assert (host.cpu.affinity, host.cpu.quota) == ([0, 1, 2, 3, 6], 1.5)
    assert host.memory == Memory(
        total=64 << 20, available=32 << 20, swap_total=0, swap_free=0, limit=32 << 20
    )
    assert host.disks == [
        Disk(mount="/", device="/dev/vda1", kind="ext4", holds=["root"], size=100, free=50),
        Disk(mount="/srv/with blank", device="/dev/sda1", kind="xfs", holds=["state"]),
    ]
    assert host.network == [Interface(name="lo", addresses=["127.0.0.1/8"])]
    assert (found.container, found.pod, found.app) == (None, None, None)


def test_the_machine_id_itself_is_not_told(tmp_path: Path) -> None:
    found = read(tmp_path, BARE)
    machine_id = BARE["/etc/machine-id"].strip()
    assert machine_id not in msgspec.json.encode(found.host).decode()
    assert found.host.machine == machine_identity(machine_id)
    assert found.host.machine is not None
    key = bytes.fromhex("6f0a35a3b3964c0fa5be0f3e1e7f9c2d")
    derived = hmac.new(bytes.fromhex(machine_id), key, hashlib.sha256).digest()
    assert found.host.machine[:12] == derived.hex()[:12]
    assert (found.host.machine[12], found.host.machine[16] in "89ab") == ("4", True)


@pytest.mark.parametrize("text", ["", "uninitialized", "0" * 32, "12", "zz" * 16])
def test_no_identity_from_no_machine_id(text: str) -> None:
    assert machine_identity(text) is None


@pytest.mark.parametrize(
    ("tree", "variables", "container"),
    [
        (BARE, {}, None),
        (EMPTY, {}, None),
        (DOCKER_V1, {}, Container(runtime="docker", id=ID)),
        (DOCKER_V2, {}, Container(runtime="docker", id=ID)),
        ({**BARE, "/.dockerenv": ""}, {}, Container(runtime="docker")),
        (PODMAN, {}, Container(runtime="podman", id=ID, name="shop", image="docker.io/library/node:20")),
        (PODMAN_BARE, {}, Container(runtime="podman", id=ID)),
        ({**BARE, "/run/.containerenv": ""}, {}, Container(runtime="podman")),
        (KUBERNETES, {}, Container(runtime="containerd", id=ID)),
        (KUBERNETES_PRIVATE, {"KUBERNETES_SERVICE_HOST": "10.0.0.1"}, Container(runtime="containerd")),
        (NSPAWN, {}, Container(runtime="systemd-nspawn")),
        (NSPAWN_OUTER, {}, Container(runtime="systemd-nspawn", name="web")),
        (LXC, {}, Container(runtime="lxc", name="web")),
        (BARE, {"container": "lxc"}, Container(runtime="lxc")),
        ({**BARE, "/proc/self/cgroup": f"0::/system.slice/docker-{ID}.scope\n"}, {}, Container(runtime="docker", id=ID)),
        ({**BARE, "/proc/self/cgroup": f"0::/kubepods.slice/x/crio-{ID}.scope\n"}, {}, Container(runtime="cri-o", id=ID)),
        ({**BARE, "/proc/self/cgroup": f"5:cpu:/kubepods/besteffort/pod{UID}/{ID}\n"}, {}, Container(runtime="containerd", id=ID)),
    ],
    ids=lambda value: value.runtime if isinstance(value, Container) else "",
)  # fmt: skip
def test_containers(
    tmp_path: Path, tree: Tree, variables: dict[str, str], container: Container | None
) -> None:
    assert read(tmp_path, tree, None, **variables).container == container


@pytest.mark.parametrize(
    ("tree", "memory", "quota"),
    [(DOCKER_V1, 16 << 20, 0.5), (DOCKER_V2, 8 << 20, 2.0), (BARE, 32 << 20, 1.5), (EMPTY, None, None)],
)  # fmt: skip
def test_limits_of_both_hierarchies(
    tmp_path: Path, tree: Tree, memory: int | None, quota: float | None
) -> None:
    host = read(tmp_path, tree).host
    assert (host.memory.limit, host.cpu.quota) == (memory, quota)


def test_a_pod_from_paths_and_files_alone(tmp_path: Path) -> None:
    pod = read(tmp_path, KUBERNETES).pod
    labels = {"app": "shop", "quoted": 'a "b" \\c'}
    assert pod == Pod(name="shop-7d9c-xyz", namespace="shops", uid=UID, labels=labels)


def test_a_pod_from_the_customary_variables(tmp_path: Path) -> None:
    variables = {
        "KUBERNETES_SERVICE_HOST": "10.0.0.1",
        "POD_NAME": "shop-1",
        "MY_POD_IP": "10.1.2.3",
        "NODE_NAME": "node-7",
        "POD_SERVICE_ACCOUNT": "shop",
        "POD_PASSWORD": "s3cret",
    }
    pod = read(tmp_path, KUBERNETES_PRIVATE, None, **variables).pod
    assert pod is not None
    assert (pod.name, pod.address, pod.node) == ("shop-1", "10.1.2.3", "node-7")
    assert (pod.uid, pod.service_account) == (UID, "shop")


def test_outside_of_kubernetes_there_is_no_pod(tmp_path: Path) -> None:
    assert read(tmp_path, DOCKER_V2, POD_NAME="x").pod is None


@pytest.mark.parametrize(
    ("tree", "provider"),
    [
        (BARE, None), (EMPTY, None), (EC2, "aws"), (EC2_XEN, "aws"), (GCE, "gcp"),
        (AZURE, "azure"), (HYPER_V, None), (KUBERNETES, None),
    ],
)  # fmt: skip
def test_only_a_clouds_own_hardware_is_that_cloud(
    tmp_path: Path, tree: Tree, provider: str | None
) -> None:
    assert find_provider(Files(plant(tmp_path, tree))) == provider


def test_the_apps_process(tmp_path: Path) -> None:
    root = plant(tmp_path, {**BARE, **PROCESS})
    os.symlink("/usr/bin/node", f"{root}/proc/42/exe")
    os.symlink("/srv/with blank/shop", f"{root}/proc/42/cwd")
    found = read(tmp_path, {}, 42)
    app = found.app
    assert app is not None
    assert (app.pid, app.started, app.executable) == (42, "2026-01-01T00:00:00Z", "/usr/bin/node")
    assert app.arguments == ["node", "server.js", "postgres://db/shop"]
    assert app.workdir == "/srv/with blank/shop"
    assert (app.user and app.user.id, app.group and app.group.id) == (1001, 101)
    assert [one.id for one in app.groups] == [4, 27]
    bounds = {name: (one.soft, one.hard) for name, one in app.resources.items()}
    assert bounds == {"cpu": (None, None), "nofile": (1024, 524288), "nice": (0, 0)}
    assert [disk.holds for disk in found.host.disks] == [["root"], ["state", "workdir"]]
    assert found.host.cpu.affinity == [1]


def test_an_app_that_is_gone_is_none(tmp_path: Path) -> None:
    assert read(tmp_path, BARE, 43).app is None


def test_nothing_secret_is_told(tmp_path: Path) -> None:
    tree = {**KUBERNETES, **PROCESS}
    found = read(tmp_path, tree, 42, DATABASE_URL="s3cret", POD_SECRET="s3cret", container="podman")
    told: Any = msgspec.to_builtins(
        [found.host, found.container, found.pod, found.app], builtin_types=()
    )
    assert "s3cret" not in repr(told)


@pytest.mark.parametrize("garbage", ["\0", "x" * 300_000, "é\n:::\n - \n", "0::\n" * 1000])
def test_garbage_is_no_host_and_no_crash(tmp_path: Path, garbage: str) -> None:
    found = read(tmp_path, dict.fromkeys({**KUBERNETES, **PROCESS, **EC2}, garbage), 42)
    assert found.host.cpu.quota is None


def test_a_tree_without_anything(tmp_path: Path) -> None:
    found = read(tmp_path, EMPTY)
    assert (found.host.machine, found.host.disks, found.host.cpu.count) == (None, [], None)


def test_what_never_changes_is_read_once(tmp_path: Path) -> None:
    root = plant(tmp_path, BARE)
    gathering = Gathering({}, {}, root, interfaces=list, measured=lambda _: None)
    first = gathering.read()
    plant(tmp_path, {"/etc/os-release": "ID=other\n", "/proc/meminfo": "MemTotal: 1 kB\n"})
    second = gathering.read()
    assert second.host.distribution == first.host.distribution
    assert second.host.memory.total == 1024
