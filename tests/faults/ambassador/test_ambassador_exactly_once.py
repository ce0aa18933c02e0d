"""A POST is executed exactly once under every fault, except where no one can know, and that is then said."""

from __future__ import annotations

import itertools
import os
import signal
import threading
from typing import TYPE_CHECKING

import pytest

from ambassador_instance import QUICK, Ambassador
from instance import wait_for
from misbehaving import Misbehaving
from misbehaving_talk import FAULTS
from plain_client import Answer, Client, ask

if TYPE_CHECKING:
    from collections.abc import Iterator

_BODY = b"one kettle"
_EACH = 4
_UNKNOWN = "unknown-outcome"
# The other side may have worked, and what it said is no answer.
_SILENT = {"upstream-reset", "upstream-protocol", "try-timeout", "total-timeout", "idle-timeout"}
_numbers = itertools.count(1)


class World:
    """A bad endpoint and a good one behind the same upstream, and what both have executed."""

    def __init__(self, bad: Misbehaving, good: Misbehaving, ambassador: Ambassador) -> None:
        self.bad = bad
        self.good = good
        self.ambassador = ambassador

    def executions(self, request_id: str) -> int:
        """How often the work of a request was done, on both together."""
        return self.bad.executions[request_id] + self.good.executions[request_id]

    def post(
        self, fault: str, upstream: str = "pair", method: str = "POST", body: bytes = _BODY
    ) -> tuple[str, Answer]:
        """Send one; returns its id and the answer."""
        name = f"{fault}-{next(_numbers)}"
        fields = [("x-request-id", name)]
        path = f"/{fault}/{name}"
        return name, ask(self.ambassador.ports[upstream], path, method, fields, body)

    def note(self, name: str) -> str:
        """What the request log remarks on a request."""
        path = f"/{name.rpartition('-')[0]}/{name}"
        return str(self.ambassador.record(path=path).get("note", ""))


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    """One instance for all faults."""
    with Misbehaving() as bad, Misbehaving(always="ok") as good:
        pairs = {"pair": bad.port, "refusing": bad.refusing_port, "deaf": bad.deaf_port}
        upstreams = {
            name: f'urls = ["http://127.0.0.1:{port}", "http://127.0.0.1:{good.port}"]\n'
            f'balance = "round-robin"\n{QUICK}'
            for name, port in pairs.items()
        }
        upstreams["bad"] = f'urls = ["http://127.0.0.1:{bad.port}"]\n{QUICK}'
        with Ambassador(upstreams) as ambassador:
            yield World(bad, good, ambassador)


@pytest.mark.parametrize("fault", sorted(FAULTS.keys() - {"drip-forever", "sip", "stream"}))
def test_a_post_is_executed_once_or_its_outcome_is_said_to_be_unknown(
    world: World, fault: str
) -> None:
    had = world.bad.arrivals[fault]
    for _ in range(_EACH):
        name, got = world.post(fault)
        assert world.executions(name) <= 1, "it was executed twice"
        unknown = got.field("pillion-reason") in _SILENT
        assert (_UNKNOWN in world.note(name)) == unknown, got
        if not unknown:
            assert world.executions(name) == 1 or fault == "early-413"
    assert world.bad.arrivals[fault] > had, "the bad endpoint was never asked"


@pytest.mark.parametrize("upstream", ["refusing", "deaf"])
def test_a_post_that_reached_nobody_goes_to_another_endpoint(world: World, upstream: str) -> None:
    attempts = []
    for _ in range(_EACH):
        name, got = world.post("ok", upstream)
        assert (got.status, world.executions(name)) == (200, 1)
        record = world.ambassador.record(path=f"/ok/{name}")
        assert _UNKNOWN not in record.get("note", "")
        attempts.append(record["attempts"])
    assert 2 in attempts


def test_an_answer_that_is_no_success_is_no_reason_to_repeat_a_post(world: World) -> None:
    for fault, status in (("error-500", 500), ("busy-503", 503)):
        name, got = world.post(fault, "bad")
        assert (got.status, world.executions(name)) == (status, 1)
        assert _UNKNOWN not in world.note(name)


def test_what_may_be_repeated_is_repeated_elsewhere(world: World) -> None:
    for fault in ("reset-at-once", "reset-after-work", "reset-in-head", "busy-503"):
        for _ in range(_EACH):
            name, got = world.post(fault, method="PUT")
            assert (got.status, got.body) == (200, _BODY), fault
            assert world.executions(name) <= 2
            assert _UNKNOWN not in world.note(name)


def test_a_body_beyond_the_replay_buffer_is_sent_once(world: World) -> None:
    for _ in range(_EACH):
        name, got = world.post("reset-after-work", method="PUT", body=bytes(1 << 20))
        assert world.executions(name) == 1
        assert got.status in (200, 502)


def test_nothing_is_repeated_after_the_client_has_received_a_byte(world: World) -> None:
    for fault in ("reset-in-body", "stall-in-body", "length-too-long"):
        for _ in range(_EACH):
            name, got = world.post(fault, method="PUT")
            assert world.executions(name) == 1
            assert got.whole or got.body == b"12345"


def test_posts_side_by_side_on_connections_that_end_are_executed_at_most_once(
    world: World,
) -> None:
    wrong: list[str] = []

    def many(prefix: str) -> None:
        with Client(world.ambassador.ports["pair"]) as client:
            for number in range(25):
                name = f"{prefix}-{number}"
                got = client.ask("/stale", "POST", [("x-request-id", name)], name.encode())
                if got.status == 200 and got.body != name.encode():
                    wrong.append(f"{name} got {got.body!r}")
                if got.status == 200 and world.executions(name) != 1:
                    wrong.append(f"{name} was executed {world.executions(name)} times")
                if world.executions(name) > 1:
                    wrong.append(f"{name} was executed more than once")

    threads = [threading.Thread(target=many, args=(f"side-{n}",)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_a_post_under_way_when_the_worker_is_killed_is_not_sent_again(world: World) -> None:
    name = f"killed-{next(_numbers)}"
    with Client(world.ambassador.ports["bad"]) as client:
        client.begin("/silent", "POST", [("x-request-id", name)], _BODY)
        wait_for("it is being executed", lambda: world.bad.executions[name])
        os.kill(world.ambassador.pid, signal.SIGKILL)
        assert client.answer().status == 0
    wait_for("another worker serves", lambda: world.post("ok", "bad")[1].status == 200)
    assert world.executions(name) == 1
