"""What a template knows without asking anybody: where its proxy lives, whose it is, and what was agreed about it."""

import os
from collections.abc import Mapping
from types import MappingProxyType
from typing import Literal, TypeAlias

import msgspec

ProxyKind: TypeAlias = Literal["nginx", "haproxy"]

EMPTY = "empty.sock"
"""In the directory that the keeper starts nginx in. Without a directory in its name: workers of another user come to it whatever the modes of those above are."""


class Facts(msgspec.Struct, frozen=True, kw_only=True):
    """`directory` is where the files are served from (`conf/`), not where they are written first. `state_dir` is the proxy's own, `runtime_dir` the instance's. `service` and `instance` name the app
    and this instance of it; `app_port` is None for an app that has none.

    `proof_path`, `admin_path` and `empty_path` are paths of Unix sockets, the last one of nginx's answer for upstreams without members; `proves` when the proxy has to tell its version. `listeners` are addresses that
    the keeper has bound, by name. `ready` is whether the app is, `as_root` whether root starts the proxy.
    """

    name: str
    kind: ProxyKind
    directory: str
    runtime_dir: str
    state_dir: str
    service: str
    instance: str
    proof_path: str
    admin_path: str = ""
    empty_path: str = EMPTY
    proves: bool = True
    app_port: int | None = None
    old_workers_s: float = 30.0
    old_workers: int = 4
    listeners: Mapping[str, str] = MappingProxyType({})
    ready: bool = True
    as_root: bool = msgspec.field(default_factory=lambda: os.geteuid() == 0)
