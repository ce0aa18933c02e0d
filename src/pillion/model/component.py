"""A component as the keeper describes it: the same shape on the wire, in the API and in the commands."""

from __future__ import annotations

import msgspec

STATES = ("waiting", "starting", "running", "backoff", "stopping", "stopped", "failed")
LIMIT_MEANS = ("cgroup-v2", "cgroup-v1", "sampling")


class Exit(msgspec.Struct, frozen=True, omit_defaults=True):
    """How a process ended: by `code` or by `signal` (`"KILL"`); `cause` says why where it is known.

    `unknown` is set where the kernel does not tell, as of a process that was attached to.
    """

    code: int | None = None
    signal: str | None = None
    cause: str | None = None
    unknown: bool = False

    def __str__(self) -> str:
        """`code 1`, `signal KILL, out of memory: …`, `unknown`."""
        if self.signal is not None:
            how = f"signal {self.signal}"
        else:
            how = "unknown" if self.code is None else f"code {self.code}"
        return f"{how}, {self.cause}" if self.cause else how


class Limits(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a component may use: bytes of memory, cores, processes, open files; None is no limit."""

    memory: int | None = None
    cpu: float | None = None
    processes: int | None = None
    open_files: int | None = None


class Usage(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a component uses: bytes now and at its peak, seconds of CPU since its start, processes."""

    memory: int | None = None
    memory_peak: int | None = None
    cpu_s: float | None = None
    processes: int | None = None


class Component(msgspec.Struct, frozen=True, kw_only=True):
    """One of the instance's processes. `started` is RFC 3339 in UTC, `state` one of `STATES`.

    `stats` is what the process counts itself (`pillion.model.stats`), taken as it comes: another version may
    count in other shapes.
    """

    name: str
    state: str
    pid: int | None = None
    started: str | None = None
    restarts: int = 0
    ready: bool = False
    version: str | None = None
    limits: Limits = Limits()
    limits_by: str | None = None
    usage: Usage = Usage()
    last_exit: Exit | None = None
    stats: dict[str, object] = {}


class ComponentList(msgspec.Struct, frozen=True):
    """The answer to `components`."""

    items: list[Component]


class KeeperFacts(msgspec.Struct, frozen=True, kw_only=True):
    """The keeper about itself."""

    pid: int
    started: str | None = None
    version: str | None = None


class AppFacts(msgspec.Struct, frozen=True, kw_only=True):
    """What the app said of itself over sd_notify: readiness, its status text, and that it is about to end."""

    ready: bool = False
    status_text: str = ""
    stopping: bool = False


class Status(msgspec.Struct, frozen=True, kw_only=True):
    """The answer to `status`, and the body of a `state` message. `stopping` when the whole instance is on its way out.

    `listeners` says where each of the ambassador's listens, and the offload: `host:port`, with the port that it got.
    """

    instance: str
    run: str
    keeper: KeeperFacts
    app: AppFacts = AppFacts()
    components: list[Component] = []
    listeners: dict[str, str] = {}
    stopping: bool = False

    def component(self, name: str) -> Component | None:
        """The component of that name, or None."""
        return next((one for one in self.components if one.name == name), None)


class Overview(msgspec.Struct, frozen=True, kw_only=True):
    """The answer to `GET /v1/components`: the items, the instance that they belong to, and where its ambassador listens."""

    items: list[Component]
    instance: str = ""
    run: str = ""
    keeper: KeeperFacts | None = None
    app: AppFacts = AppFacts()
    listeners: dict[str, str] = {}

    def status(self) -> Status:
        """The same as the keeper tells it."""
        keeper = self.keeper or KeeperFacts(pid=0)
        return Status(
            instance=self.instance,
            run=self.run,
            keeper=keeper,
            app=self.app,
            components=self.items,
            listeners=self.listeners,
        )


def overview(status: Status) -> Overview:
    """What the API answers for what the keeper told."""
    return Overview(
        items=status.components,
        instance=status.instance,
        run=status.run,
        keeper=status.keeper,
        app=status.app,
        listeners=status.listeners,
    )
