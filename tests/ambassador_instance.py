"""A real instance whose ambassador stands between a client and upstreams: its ways in, its request log and its memory."""

from __future__ import annotations

import json
import os
import sys
from typing import TYPE_CHECKING, Any, Self

from free_ports import free_ports
from instance import Host, Instance, wait_for

if TYPE_CHECKING:
    from collections.abc import Mapping

STREAM = "requests"
# An app that writes down its environment, and waits.
_APP = """
import json, os, sys, time
with open(sys.argv[1] + ".new", "w") as file:
    json.dump(dict(os.environ), file)
os.rename(sys.argv[1] + ".new", sys.argv[1])
time.sleep(3600)
"""

QUICK = """
timeout = { connect = "400ms", try = "1s", idle = "600ms", total = "3s" }
retry = { attempts = 2, initial = "5ms", max = "20ms" }
breaker = { consecutive = 0, ratio = "off" }
"""
"""An upstream's policy under which every fault shows within seconds, and none hides behind an open circuit."""


class Ambassador:
    """An instance with one upstream for each item of `upstreams` (name: TOML lines), and more TOML before and after them."""

    def __init__(self, upstreams: Mapping[str, str], more: str = "", *, head: str = "") -> None:
        self.ports = dict(zip(upstreams, free_ports(len(upstreams)), strict=True))
        lines = ["[agent]", 'wait = "20s"', "[ambassador]", head]
        for name, text in upstreams.items():
            listen = f'listen = "127.0.0.1:{self.ports[name]}"'
            lines += [f"[ambassador.upstreams.{name}]", listen, text]
        self.settings = "\n".join([*lines, more, ""])
        self._host = Host()
        self._told = f"{self._host.root}/environment.json"

    def __enter__(self) -> Self:
        command = (sys.executable, "-c", _APP, self._told)
        try:
            self.instance: Instance = self._host.run(*command, settings=self.settings)
            self.instance.wait_state("ambassador")
        except BaseException:
            self._host.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._host.close()

    @property
    def pid(self) -> int:
        """The pid of the first worker."""
        return int(self.instance.component("ambassador")["pid"])

    def environment(self) -> dict[str, str]:
        """The environment that the app was given."""
        wait_for("the app has written down its environment", lambda: os.path.exists(self._told))
        with open(self._told, encoding="utf-8") as file:
            found: dict[str, str] = json.load(file)
            return found

    def rss_kb(self) -> int:
        """Resident memory of the first worker in KiB (proc(5), status)."""
        return _status_kb(self.pid, "VmRSS")

    def most_rss_kb(self) -> int:
        """The most that this memory has ever been."""
        return _status_kb(self.pid, "VmHWM")

    def open_files(self) -> int:
        """How many descriptors the first worker has open."""
        return len(os.listdir(f"/proc/{self.pid}/fd"))

    def records(self, **wanted: object) -> list[dict[str, Any]]:
        """The request log so far: the records in which every one of `wanted` is as given."""
        lines = self.instance.spooled(STREAM).splitlines()
        found = [json.loads(line) for line in lines]
        return [r for r in found if all(r.get(k) == v for k, v in wanted.items())]

    def record(self, **wanted: object) -> dict[str, Any]:
        """The one record in which everything is as given, once it has been written."""
        found = wait_for(f"a record of {wanted}", lambda: self.records(**wanted))
        assert len(found) == 1, f"one record was to be of {wanted}: {found}"
        return found[0]


def _status_kb(pid: int, name: str) -> int:
    with open(f"/proc/{pid}/status", encoding="ascii", errors="replace") as file:
        for line in file:
            if line.startswith(f"{name}:"):
                return int(line.split()[1])
    raise ValueError(f"no {name} in the status of {pid}")
