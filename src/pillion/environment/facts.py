"""The shapes of the answer to `GET /v1/environment`. Sizes are bytes; what is not known is null."""

from __future__ import annotations

import msgspec

from pillion.model.component import Limits  # noqa: TC001 # read at run time, for the schema


class Distribution(msgspec.Struct, frozen=True, kw_only=True):
    """What os-release(5) says."""

    id: str | None = None
    name: str | None = None
    version: str | None = None


class Kernel(msgspec.Struct, frozen=True, kw_only=True):
    """What uname(2) says."""

    name: str | None = None
    release: str | None = None
    version: str | None = None
    architecture: str | None = None


class Cpu(msgspec.Struct, frozen=True, kw_only=True):
    """`count` are online; `affinity` of these the app may use, `quota` cores of time at most, by control groups."""

    model: str | None = None
    count: int | None = None
    affinity: list[int] | None = None
    quota: float | None = None


class Memory(msgspec.Struct, frozen=True, kw_only=True):
    """The host's memory, and `limit`: the least that a control group above the app allows."""

    total: int | None = None
    available: int | None = None
    swap_total: int | None = None
    swap_free: int | None = None
    limit: int | None = None


class Disk(msgspec.Struct, frozen=True, kw_only=True):
    """A file system that matters; `holds` says for what: `root`, `state`, `workdir`. `free` is what an ordinary user may take."""

    mount: str
    device: str
    kind: str
    holds: list[str]
    size: int | None = None
    free: int | None = None


class Interface(msgspec.Struct, frozen=True, kw_only=True):
    """A network interface that is up, with its addresses as `address/prefix`."""

    name: str
    addresses: list[str]


class Host(msgspec.Struct, frozen=True, kw_only=True):
    """The host as processes here see it.

    `machine` is derived from the machine id, which is itself confidential (machine-id(5)): the same for every
    instance on this host, and telling nothing else.
    """

    name: str | None = None
    machine: str | None = None
    boot: str | None = None
    hardware: str | None = None
    distribution: Distribution = Distribution()
    kernel: Kernel = Kernel()
    cpu: Cpu = Cpu()
    memory: Memory = Memory()
    disks: list[Disk] = []
    network: list[Interface] = []


class Container(msgspec.Struct, frozen=True, kw_only=True):
    """The container that this is: docker, podman, containerd, cri-o, lxc, systemd-nspawn."""

    runtime: str
    id: str | None = None
    name: str | None = None
    image: str | None = None


class Pod(msgspec.Struct, frozen=True, kw_only=True):
    """The Kubernetes pod, from its service account, the downward API and the customary variables."""

    name: str | None = None
    namespace: str | None = None
    uid: str | None = None
    address: str | None = None
    node: str | None = None
    service_account: str | None = None
    labels: dict[str, str] = {}


class Cloud(msgspec.Struct, frozen=True, kw_only=True):
    """The cloud instance; `error` says why its metadata service has told nothing."""

    provider: str
    account: str | None = None
    instance: str | None = None
    name: str | None = None
    kind: str | None = None
    region: str | None = None
    zone: str | None = None
    image: str | None = None
    error: str | None = None


class Bound(msgspec.Struct, frozen=True, kw_only=True):
    """A resource limit (getrlimit(2)); null is none."""

    soft: int | None
    hard: int | None


class Account(msgspec.Struct, frozen=True, kw_only=True):
    """A user or group; `name` where this host knows one."""

    id: int
    name: str | None = None


class Process(msgspec.Struct, frozen=True, kw_only=True):
    """The app's process. Its environment is never among it."""

    pid: int
    started: str | None = None
    executable: str | None = None
    arguments: list[str] = []
    workdir: str | None = None
    user: Account | None = None
    group: Account | None = None
    groups: list[Account] = []
    resources: dict[str, Bound] = {}


class InForce(msgspec.Struct, frozen=True, kw_only=True):
    """The limits of a component, and by which means they hold."""

    component: str
    limits: Limits
    limits_by: str | None = None


class Sidecar(msgspec.Struct, frozen=True, kw_only=True):
    """Pillion itself. `settings_digest` is that of the settings in force (SHA-256), `settings_file` where they came from."""

    version: str
    instance: str
    run: str
    keeper_version: str | None = None
    settings_file: str | None = None
    settings_digest: str | None = None


class Environment(msgspec.Struct, frozen=True, kw_only=True):
    """Everything; `container`, `pod`, `cloud` and `app` are null where there is none."""

    host: Host
    container: Container | None
    pod: Pod | None
    cloud: Cloud | None
    app: Process | None
    limits: list[InForce]
    sidecar: Sidecar
