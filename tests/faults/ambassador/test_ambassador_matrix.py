"""Every way in which an upstream can misbehave ends in the documented status and reason, in time, counted once, with memory flat."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import msgspec
import pytest

from ambassador_instance import QUICK, Ambassador
from instance import wait_for
from misbehaving import Misbehaving
from misbehaving_talk import FAULTS
from own_time import OwnTime
from plain_client import Client, ask

if TYPE_CHECKING:
    from collections.abc import Iterator

_BOUND_S = 6.0
_MEMORY_KB = 64 << 10
# What a peer can have sent before it is heard that nobody reads: the buffers of two kernels.
_BUFFERED = 16 << 20
_numbers = itertools.count(1)


class Case(msgspec.Struct, frozen=True):
    """What must come of one fault. Without a status of our own `reason` is empty; a cut answer is not `whole`."""

    fault: str
    status: int
    reason: str = ""
    whole: bool = True
    body: bytes | None = None
    method: str = "GET"
    sent: bytes = b""
    upstream: str = "bad"


CASES = (
    Case("ok", 200, body=b"ok"),
    # Nobody there, or nobody home.
    Case("ok", 502, "connect-failed", upstream="refusing"),
    Case("ok", 504, "connect-timeout", upstream="deaf"),
    Case("silent", 504, "try-timeout"),
    Case("unread", 504, "idle-timeout", method="POST", sent=bytes(8 << 20)),
    Case("drip-head", 504, "try-timeout"),
    Case("drip-body", 200, body=b"x" * 10),
    Case("stall-in-body", 200, "idle-timeout", whole=False, body=b"12345"),
    Case("flood-1xx", 502, "upstream-protocol"),
    # The connection ends where it should not.
    Case("reset-at-once", 502, "upstream-reset"),
    Case("close-at-once", 502, "upstream-reset"),
    Case("reset-after-work", 502, "upstream-reset"),
    Case("reset-in-head", 502, "upstream-reset"),
    Case("close-in-head", 502, "upstream-reset"),
    Case("reset-in-body", 200, "upstream-reset", whole=False, body=b"12345"),
    Case("reset-in-chunks", 200, "upstream-reset", whole=False, body=b"12345"),
    Case("close-in-chunks", 200, "upstream-reset", whole=False, body=b"12345"),
    Case("until-close", 200, body=b"12345"),
    Case("until-reset", 200, "upstream-reset", whole=False, body=b"12345"),
    Case("length-too-long", 200, "upstream-reset", whole=False, body=b"12345"),
    # Answers that pass as they are.
    Case("error-500", 500, body=b"no"),
    Case("busy-503", 503, body=b"no"),
    Case("not-found", 404, body=b"no"),
    Case("early-413", 413, body=b"too much", method="POST", sent=bytes(1 << 20)),
    Case("early-200", 200, body=b"early", method="POST", sent=bytes(1 << 20)),
    # What is beyond an answer's end is nobody's.
    Case("length-too-short", 200, body=b"ok"),
    Case("head-with-body", 200, body=b"", method="HEAD"),
    Case("body-with-204", 204, body=b""),
    Case("length-with-204", 502, "upstream-protocol"),
    # Not HTTP as the specification has it.
    Case("switch-unasked", 502, "upstream-protocol"),
    Case("garbage", 502, "upstream-protocol"),
    # What looks like the beginning of a head is judged when it is whole.
    Case("another-protocol", 502, "upstream-protocol"),
    Case("huge-header", 502, "upstream-protocol"),
    Case("many-headers", 502, "upstream-protocol"),
    Case("huge-trailer", 200, "upstream-protocol", whole=False),
    Case("two-lengths", 502, "upstream-protocol"),
    Case("length-and-chunked", 502, "upstream-protocol"),
    Case("unknown-coding", 502, "upstream-protocol"),
    Case("bare-line-feeds", 502, "upstream-protocol"),
    # Nothing of it has gone out yet.
    Case("bad-chunk-at-once", 502, "upstream-protocol"),
    Case("bad-chunk", 200, "upstream-protocol", whole=False, body=b"12345"),
)
# Faults of a connection that is used again have tests of their own.
_ELSEWHERE = {
    "drip-forever",
    "sip",
    "stream",
    "stale",
    "close-idle",
    "unasked",
}


@pytest.fixture(scope="module")
def upstream() -> Iterator[Misbehaving]:
    """The server that misbehaves."""
    with Misbehaving() as server:
        yield server


@pytest.fixture(scope="module")
def ambassador(upstream: Misbehaving) -> Iterator[Ambassador]:
    """One instance for all cases, so that each begins where the one before has left the pools."""
    policy = QUICK.replace("attempts = 2", "attempts = 0")
    ports = {
        "bad": upstream.port,
        "refusing": upstream.refusing_port,
        "deaf": upstream.deaf_port,
        "patient": upstream.port,
    }
    upstreams = {
        name: f'urls = ["http://127.0.0.1:{port}"]\n{QUICK if name == "patient" else policy}'
        for name, port in ports.items()
    }
    with Ambassador(upstreams) as running:
        yield running


def test_every_fault_has_a_case() -> None:
    assert {case.fault for case in CASES} == FAULTS.keys() - _ELSEWHERE


@pytest.mark.parametrize("case", CASES, ids=lambda c: f"{c.method}-{c.upstream}-{c.fault}")
def test_a_fault_ends_as_documented(
    ambassador: Ambassador, upstream: Misbehaving, case: Case
) -> None:
    name = f"{case.fault}-{next(_numbers)}"
    path = f"/{case.fault}/{name}"
    before_kb = ambassador.most_rss_kb()
    port, fields = ambassador.ports[case.upstream], [("x-request-id", name)]
    with OwnTime() as took:
        got = ask(port, path, case.method, fields, case.sent)

    if got.status != case.status and case.reason == "upstream-protocol" and not case.whole:
        # On a late loop good and bad come in one read: then nothing of it was sent on, and the answer is ours.
        case = msgspec.structs.replace(case, status=502, whole=True, body=None)
    assert (got.status, got.whole) == (case.status, case.whole), got
    if case.body is not None:
        assert got.body == case.body
    own = case.status >= 500 and case.reason
    assert got.field("pillion-reason") == (case.reason if own else "")
    if own:
        assert got.field("content-type") == "application/problem+json"
    assert took.seconds < _BOUND_S
    record = ambassador.record(path=path)
    assert (record["status"], record.get("reason", "")) == (case.status, case.reason), record
    assert record["attempts"] == 1
    assert ("truncated" in record.get("note", "")) == (not case.whole), record
    assert upstream.executions[name] <= 1
    assert ambassador.most_rss_kb() < before_kb + (8 << 10)
    assert ambassador.most_rss_kb() < _MEMORY_KB
    assert upstream.sent_bytes[case.fault] < _BUFFERED


def test_after_every_fault_the_next_request_is_answered_right(ambassador: Ambassador) -> None:
    with Client(ambassador.ports["bad"]) as client:
        for number, case in enumerate(CASES):
            if case.upstream == "bad" and case.status != 504 and case.method == "GET":
                ask(ambassador.ports["bad"], f"/{case.fault}/first-{number}")
            asked = f"{case.fault}-{number}"
            got = client.ask("/ok", "POST", body=asked.encode())
            assert (got.status, got.body) == (200, asked.encode()), case.fault


def test_a_connection_that_ended_while_idle_is_not_used(ambassador: Ambassador) -> None:
    with Client(ambassador.ports["bad"]) as client:
        for number in range(20):
            body = f"{number}".encode()
            got = client.ask("/close-idle", "POST", body=body)
            # Whether its end has been heard of decides the race; nobody gets the answer of another.
            assert got.body == body or got.field("pillion-reason") == "upstream-reset"


def test_an_answer_that_nobody_asked_for_is_given_to_nobody(
    ambassador: Ambassador, upstream: Misbehaving
) -> None:
    had = upstream.connections
    with Client(ambassador.ports["patient"]) as client:
        for number in range(10):
            body = f"{number}".encode()
            got = client.ask("/unasked", "PUT", body=body)
            assert (got.status, got.body) == (200, body)
            upstream.closing.wait(0.1)  # the second answer is on its way
    assert upstream.connections >= had + 9


def test_an_idempotent_request_to_a_stale_connection_is_repeated(ambassador: Ambassador) -> None:
    with Client(ambassador.ports["patient"]) as client:
        for number in range(10):
            path = f"/stale/get-{next(_numbers)}"
            got = client.ask(path, "PUT", body=f"{number}".encode())
            assert (got.status, got.body) == (200, f"{number}".encode())
            assert ambassador.record(path=path)["attempts"] <= 3


def test_a_stream_without_an_end_lasts_as_long_as_somebody_listens(
    ambassador: Ambassador,
) -> None:
    path = f"/drip-forever/{next(_numbers)}"
    with Client(ambassador.ports["bad"]) as client:
        client.begin(path)
        data = b""
        while data.count(b"x") < 5:
            data += client.sock.recv(1000)
    record = ambassador.record(path=path)
    assert (record["status"], record.get("note")) == (200, "client-left")


def test_what_the_upstreams_left_behind_is_closed(
    ambassador: Ambassador, upstream: Misbehaving
) -> None:
    before = ambassador.open_files()
    for case in CASES:
        if case.upstream == "bad" and case.status == 502:
            ask(ambassador.ports["bad"], f"/{case.fault}/left-{next(_numbers)}")
    wait_for(
        "no more connections than before",
        lambda: ambassador.open_files() <= before + 4,
        state=ambassador.open_files,
    )
