"""Which container this is, from what runtimes leave to see: control groups, mounts, marker files.

Neither alone is enough. With a group namespace of its own a container's path is just `/`, and then the files that the runtime
mounts in (hostname, resolv.conf) still name it.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from pillion.environment.facts import Container

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pillion.base.control_groups import GroupPath
    from pillion.base.host_files import Files
    from pillion.base.mounts import Mount

DOCKER, PODMAN, CONTAINERD, CRIO = "docker", "podman", "containerd", "cri-o"
LXC, NSPAWN = "lxc", "systemd-nspawn"

_ID = r"([0-9a-f]{64})"
_BY_GROUP = (
    (DOCKER, re.compile(rf"/docker[-/]{_ID}(?:\.scope)?(?:/|$)")),
    (PODMAN, re.compile(rf"/libpod-(?:conmon-)?{_ID}(?:\.scope)?(?:/|$)")),
    (CONTAINERD, re.compile(rf"(?:/|:)cri-containerd[-:]{_ID}(?:\.scope)?(?:/|$)")),
    (CRIO, re.compile(rf"/crio-{_ID}(?:\.scope)?(?:/|$)")),
    (CONTAINERD, re.compile(rf"/kubepods[^:]*/{_ID}(?:/|$)")),
    (LXC, re.compile(r"/lxc(?:\.payload\.|/)([^/]+)")),
    (NSPAWN, re.compile(r"/machine\.slice/(?:machine-|systemd-nspawn@)([^/]+?)\.(?:scope|service)")),
)  # fmt: skip
_BY_MOUNT = (
    (DOCKER, re.compile(rf"/containers/{_ID}/(?:hostname|hosts|resolv\.conf)$")),
    (PODMAN, re.compile(rf"/overlay-containers/{_ID}/userdata/")),
)
_MOUNTED = ("/etc/hostname", "/etc/hosts", "/etc/resolv.conf", "/run/.containerenv")
# What systemd's container interface calls them (systemd.io/CONTAINER_INTERFACE).
_BY_NAME = {
    "docker": DOCKER, "podman": PODMAN, "lxc": LXC, "lxc-libvirt": LXC, "systemd-nspawn": NSPAWN,
}  # fmt: skip
_ENV_LINE = re.compile(r'^(\w+)="?(.*?)"?$', re.MULTILINE)


def find_container(
    files: Files,
    groups: Sequence[GroupPath],
    mounts: Sequence[Mount],
    variables: Mapping[str, str],
) -> Container | None:
    """The container that the process of `groups` and `mounts` is in, or None for none."""
    marked = dict(_ENV_LINE.findall(files.text("/run/.containerenv")))
    told = files.line("/run/systemd/container") or variables.get("container")
    found = by_groups(groups) or by_mounts(mounts)
    if files.exists("/run/.containerenv"):
        runtime = PODMAN if marked.get("engine", PODMAN).startswith(PODMAN) else CRIO
        identity = marked.get("id") or (found[1] if found else None)
        name, image = marked.get("name") or None, marked.get("image") or None
        return Container(runtime=runtime, id=identity, name=name, image=image)
    if found is not None:
        runtime, identity = found
        if runtime in (LXC, NSPAWN):
            return Container(runtime=runtime, name=identity)
        return Container(runtime=runtime, id=identity)
    if told is not None:
        return Container(runtime=_BY_NAME.get(told, told))
    if files.exists("/.dockerenv"):
        return Container(runtime=DOCKER)
    if "KUBERNETES_SERVICE_HOST" in variables:
        return Container(runtime=CONTAINERD)
    return None


def by_groups(groups: Sequence[GroupPath]) -> tuple[str, str] | None:
    """Runtime and id (or name) that a group's path tells."""
    for group in groups:
        for runtime, pattern in _BY_GROUP:
            if match := pattern.search(group.path):
                return runtime, match[1]
    return None


def by_mounts(mounts: Sequence[Mount]) -> tuple[str, str] | None:
    """Runtime and id that the files tell which a runtime mounts in."""
    for mount in mounts:
        if mount.point in _MOUNTED:
            for runtime, pattern in _BY_MOUNT:
                if match := pattern.search(mount.root):
                    return runtime, match[1]
    return None
