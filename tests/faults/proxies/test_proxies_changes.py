"""Members that come and go all the time under a constant load: nobody's request fails, reloads are bounded by the window, and what is served at the end is what the source says."""

from __future__ import annotations

import os
import random
import signal
import time
from itertools import pairwise
from typing import TYPE_CHECKING

import msgspec
import pytest

import proxies_running as running
from free_ports import free_port
from health_client import ask
from instance import wait_for
from steady_load import steady_load
from steady_members import members

if TYPE_CHECKING:
    from instance import Host, Instance
    from steady_load import Seen
    from steady_members import Members

_SERVICE = "orders"
_MEMBERS = 10
# So many are there at first, and as many give or take one at any time: more than the guard wants to be left.
_PRESENT = 6
# Kept connections that a worker of nginx closed in the moment in which a request was under way to it (see steady_load).
_REPEATED = 0.02


class Storm(msgspec.Struct, frozen=True):
    """So many changes, so far apart, with this window."""

    changes: int
    apart_s: float
    min_s: float
    max_s: float


SHORT = Storm(60, 0.066, 0.2, 0.5)
LONG = Storm(500, 0.06, 0.2, 2.0)


class Source:
    """The service's registrations, as one who registers by hand has them."""

    def __init__(self, instance: Instance, serving: Members) -> None:
        self._instance = instance
        self._ports = serving.ports
        self._chance = random.Random(5)
        self.present: set[str] = set()
        for name in sorted(self._ports)[:_PRESENT]:
            self._put(name)

    def change(self) -> None:
        """One that is there goes, or one that is not comes: in turns, so that their number stays about the same."""
        if len(self.present) > _PRESENT:
            name = self._chance.choice(sorted(self.present))
            self._ask("DELETE", name)
            self.present.remove(name)
        else:
            self._put(self._chance.choice(sorted(self._ports.keys() - self.present)))

    def _put(self, name: str) -> None:
        self._ask("PUT", name, {"address": "127.0.0.1", "port": self._ports[name]})
        self.present.add(name)

    def _ask(self, method: str, name: str, body: object = None) -> None:
        path = f"/v1/services/{_SERVICE}/instances/{name}"
        status, said = ask(self._instance, method, path, body)
        assert status in (200, 201, 204), said


def _settings(kind: str, port: int, storm: Storm) -> str:
    return f"""
[app]
name = "front"
[[proxies]]
name = "{running.NAME}"
kind = "{kind}"
template = "pillion:load-balancer"
wait = {{ min = "{storm.min_s}s", max = "{storm.max_s}s" }}
values = {{ service = "{_SERVICE}", listen = "127.0.0.1:{port}" }}
"""


def _blow(source: Source, storm: Storm) -> list[float]:
    """Make the changes in their time, and return when each was made."""
    began, made = time.monotonic(), []
    for number in range(storm.changes):
        time.sleep(max(0.0, began + number * storm.apart_s - time.monotonic()))
        source.change()
        made.append(time.monotonic())
    return made


def _most_windows(made: list[float], storm: Storm) -> int:
    """How many windows there can have been: each one ended by a quiet while, or was as long as it may be."""
    quiet = sum(after - before > storm.min_s * 0.9 for before, after in pairwise(made))
    return int((made[-1] - made[0]) / storm.max_s) + quiet + 2


def _wait_for_members(port: int, source: Source) -> None:
    """Return when every member is served and nobody else."""

    def served() -> set[str]:
        return {running.ask(port)[1] for _ in range(len(source.present) * 4)}

    found: set[str] = set()

    def look() -> bool:
        found.clear()
        found.update(served())
        return found == source.present

    wait_for("what the source says is served", look, 30, lambda: (found, source.present))


def _check_seen(seen: Seen, storm: Storm) -> None:
    assert seen.failed == {}
    assert seen.requests > storm.changes * 5
    assert len(seen.bodies) > _PRESENT, "nobody has ever come"


def _check_told(instance: Instance, source: Source, kind: str, first: str) -> None:
    """What the API says of it is what is served."""
    path = f"/v1/proxies/{running.NAME}"
    # What was changed at run time is served before the file is level with it.
    wait_for("it is settled", lambda: ask(instance, "GET", path)[1]["state"] == "serving")
    told = ask(instance, "GET", path)[1]
    assert told["members"] == {_SERVICE: len(source.present)}
    # A HAProxy has read nothing since its start.
    assert (told["loaded"] == first) == (kind == "haproxy")


def _check_file(instance: Instance, port: int, source: Source) -> None:
    """What was changed in the running process stands in the file, too: one that is killed comes back with it."""
    pid = int(instance.component(running.NAME)["pid"])
    os.kill(pid, signal.SIGKILL)
    wait_for("another one runs", lambda: instance.component(running.NAME)["pid"] not in (pid, None))
    _wait_for_members(port, source)


def _through(host: Host, kind: str, storm: Storm) -> None:
    port = free_port()
    with members(_MEMBERS) as serving:
        # They are registered with a neighbour, since nobody balances before there are any.
        neighbour = host.run(*running.SLEEPER, name="neighbour")
        neighbour.wait_state("agent")
        source = Source(neighbour, serving)
        instance = running.start(host, _settings(kind, port, storm))
        _wait_for_members(port, source)
        worker = running.workers(instance)
        applied = running.count(instance, "proxy-applied")
        first = ask(instance, "GET", f"/v1/proxies/{running.NAME}")[1]["loaded"]
        with steady_load(port) as load:
            made = _blow(source, storm)
            _wait_for_members(port, source)
            seen = load.stop()
        _check_seen(seen, storm)
        kinds = {event["kind"] for event in running.told(instance)}
        reloads = running.count(instance, "proxy-applied") - applied
        if kind == "haproxy":
            assert seen.repeated == 0
            assert reloads == 0
            assert running.workers(instance) == worker
            assert kinds == {"proxy-applied", "proxy-changed"}
        else:
            assert seen.repeated <= seen.requests * _REPEATED
            assert 2 <= reloads <= _most_windows(made, storm)
            assert kinds == {"proxy-applied"}
        _check_told(instance, source, kind, first)
        _check_file(instance, port, source)


@pytest.mark.parametrize("kind", running.KINDS)
def test_members_come_and_go_and_no_request_fails(host: Host, kind: str) -> None:
    _through(host, kind, SHORT)


@pytest.mark.soak
@pytest.mark.timeout(180)
@pytest.mark.parametrize("kind", running.KINDS)
def test_five_hundred_changes_in_thirty_seconds(host: Host, kind: str) -> None:
    _through(host, kind, LONG)
