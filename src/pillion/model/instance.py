"""What an instance says about itself in `instance.json`: enough to list it and to find its sockets."""

from __future__ import annotations

import msgspec


class KeeperProcess(msgspec.Struct, frozen=True):
    """The keeper's pid, with its start time in clock ticks since boot (proc(5)), which makes it one process."""

    pid: int | None = None
    start_ticks: int | None = None


class Instance(msgspec.Struct, frozen=True, kw_only=True):
    """The record that the keeper writes at its start; missing fields are unknown.

    `started` is RFC 3339 in UTC. `settings_file` and `overrides` are what a reload
    reads again: the file, and `a.b=v` texts from the command line (the command and the name among them).
    """

    name: str
    run: str = ""
    keeper: KeeperProcess = KeeperProcess()
    started: str | None = None
    version: str | None = None
    command: list[str] = []
    url: str | None = None
    state_dir: str | None = None
    settings_file: str | None = None
    overrides: list[str] = []
