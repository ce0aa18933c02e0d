"""The pod, where this is one: the service account's mount, downward API files and variables, and paths that name it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from pillion.environment.facts import Pod

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pillion.base.control_groups import GroupPath
    from pillion.base.host_files import Files
    from pillion.base.mounts import Mount

_ACCOUNT = "/var/run/secrets/kubernetes.io/serviceaccount"
# Where the documentation of the downward API and most charts mount it.
_PODINFO = ("/etc/podinfo", "/etc/pod-info", "/podinfo")
_MOST_LABELS = 64

_UID = r"([0-9a-f]{8}[-_][0-9a-f]{4}[-_][0-9a-f]{4}[-_][0-9a-f]{4}[-_][0-9a-f]{12})"
_UID_IN_GROUP = re.compile(rf"/(?:kubepods[^/]*-)?pod{_UID}(?:\.slice)?(?:/|$)")
_UID_IN_MOUNT = re.compile(rf"/pods/{_UID}/")
_LABEL = re.compile(r'^([^=\s"]+)="((?:[^"\\]|\\.)*)"$', re.MULTILINE)
_ESCAPE = re.compile(r"\\(.)")


def find_pod(
    files: Files,
    groups: Sequence[GroupPath],
    mounts: Sequence[Mount],
    variables: Mapping[str, str],
) -> Pod | None:
    """The pod, or None outside of Kubernetes. `variables` are those that may be looked at."""
    namespace = files.line(f"{_ACCOUNT}/namespace")
    uid = uid_of(groups, mounts)
    if namespace is None and uid is None and "KUBERNETES_SERVICE_HOST" not in variables:
        return None

    def said(*names: str) -> str | None:
        return next((variables[name] for name in names if name in variables), None)

    def written(name: str) -> str | None:
        return next((text for at in _PODINFO if (text := files.line(f"{at}/{name}"))), None)

    return Pod(
        # A pod's containers have its name as their host name, unless it asks for another.
        name=said("POD_NAME", "MY_POD_NAME", "K8S_POD_NAME") or written("name") or said("HOSTNAME"),
        namespace=namespace
        or said("POD_NAMESPACE", "MY_POD_NAMESPACE", "K8S_NAMESPACE", "K8S_POD_NAMESPACE")
        or written("namespace"),
        uid=said("POD_UID", "MY_POD_UID", "K8S_POD_UID") or written("uid") or uid,
        address=said("POD_IP", "MY_POD_IP", "K8S_POD_IP"),
        node=said("NODE_NAME", "MY_NODE_NAME", "K8S_NODE_NAME"),
        service_account=said("SERVICE_ACCOUNT", "POD_SERVICE_ACCOUNT", "MY_POD_SERVICE_ACCOUNT"),
        labels=next((found for at in _PODINFO if (found := parse_labels(files.text(f"{at}/labels")))), {}),
    )  # fmt: skip


def parse_labels(text: str) -> dict[str, str]:
    """The labels of a downward API file: `key="value"` a line, escaped as Go does."""
    found = {}
    for name, value in _LABEL.findall(text)[:_MOST_LABELS]:
        found[name] = _ESCAPE.sub(r"\1", value)
    return found


def uid_of(groups: Sequence[GroupPath], mounts: Sequence[Mount]) -> str | None:
    """The pod's uid, which its control group and the files mounted by the kubelet name."""
    for group in groups:
        if match := _UID_IN_GROUP.search(group.path):
            return match[1].replace("_", "-")
    for mount in mounts:
        if match := _UID_IN_MOUNT.search(mount.root):
            return match[1]
    return None
