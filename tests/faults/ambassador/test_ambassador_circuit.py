"""The breaker with real sockets: one circuit for an endpoint, whatever is asked of it, and none for what the client does wrong."""

from __future__ import annotations

import http.client
from typing import TYPE_CHECKING

import pytest

from ambassador_instance import Ambassador
from instance import wait_for
from misbehaving import Misbehaving

if TYPE_CHECKING:
    from collections.abc import Iterator

POLICY = """
timeout = { connect = "400ms", try = "1s", total = "3s" }
retry = "off"
breaker = { consecutive = 3, ratio = "off", open = "700ms", trials = 1 }
"""


@pytest.fixture
def upstream() -> Iterator[Misbehaving]:
    with Misbehaving() as one:
        yield one


@pytest.fixture
def ambassador(upstream: Misbehaving) -> Iterator[Ambassador]:
    with Ambassador({"orders": f'urls = ["http://127.0.0.1:{upstream.port}"]{POLICY}'}) as one:
        yield one


def ask(ambassador: Ambassador, path: str) -> tuple[int, str, str]:
    """Status, reason of our own, Retry-After."""
    connection = http.client.HTTPConnection("127.0.0.1", ambassador.ports["orders"], timeout=10)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        answer.read()
        return (
            answer.status,
            answer.headers.get("pillion-reason", ""),
            answer.headers.get("retry-after", ""),
        )
    finally:
        connection.close()


def test_one_circuit_for_an_endpoint_opens_half_opens_and_closes(ambassador: Ambassador) -> None:
    # Different things are asked: the circuit is the endpoint's, not the path's.
    assert [ask(ambassador, f"/error-500/{n}")[0] for n in range(3)] == [500, 500, 500]
    status, reason, again = ask(ambassador, "/ok/1")
    assert (status, reason) == (503, "circuit-open")
    assert int(again) >= 1
    assert ask(ambassador, "/not-found/2")[1] == "circuit-open"
    # Asked after its time it lets one through; that one fails, and it is open again, for twice as long.
    wait_for("a trial is let through", lambda: ask(ambassador, "/error-500/9")[0] == 500)
    assert ask(ambassador, "/ok/3")[1] == "circuit-open"
    # The next trial succeeds, and everything is let through.
    wait_for("it is closed", lambda: ask(ambassador, "/ok/4")[0] == 200)
    assert [ask(ambassador, f"/ok/{n}")[0] for n in range(5)] == [200] * 5
    wait_for(
        "the journal tells",
        lambda: {"circuit-opened", "circuit-closed"} <= set(ambassador.instance.kinds()),
    )


def test_a_flood_of_404_opens_nothing(ambassador: Ambassador) -> None:
    assert {ask(ambassador, f"/not-found/{n}")[0] for n in range(200)} == {404}
    assert ask(ambassador, "/ok/1")[0] == 200


def test_an_open_circuit_answers_without_asking(
    ambassador: Ambassador, upstream: Misbehaving
) -> None:
    for n in range(3):
        ask(ambassador, f"/error-500/{n}")
    arrived = sum(upstream.arrivals.values())
    assert {ask(ambassador, f"/ok/{n}")[1] for n in range(20)} == {"circuit-open"}
    assert sum(upstream.arrivals.values()) == arrived
    record = ambassador.record(path="/ok/7")
    assert (record["reason"], record["status"], record["attempts"]) == ("circuit-open", 503, 0)
