"""A policy is put in force in small steps, and then at once: how much work is in each, and what requests see meanwhile."""

from __future__ import annotations

import asyncio
import ssl
from time import thread_time
from typing import TYPE_CHECKING

import msgspec
import pytest

from ambassador_inside import written
from pillion.ambassador.hub import Hub
from pillion.ambassador.metrics import Red
from pillion.ambassador.reporting import report
from pillion.ambassador.runtime import Runtime
from pillion.ambassador.snapshot import (
    EndpointSpec,
    Snapshot,
    UpstreamEndpoints,
    decode_raw,
    encode,
)
from pillion.base.tasks import RootTasks
from pillion.settings.ambassador import Ambassador
from pillion.settings.routes import Match, RouteSpec, Target
from pillion.settings.shapes import Table
from pillion.settings.upstreams import ClientTls, Upstream

if TYPE_CHECKING:
    from collections.abc import Callable

    from pillion.ambassador.live import LiveUpstream
    from pillion.ambassador.snapshot import RawSnapshot
    from pillion.ambassador.wire import Report

_TABLE = Table(Ambassador())
UPSTREAMS, EACH = 10, 1000
RUNS = 2
_OVER = object()


def specs(upstream: int, count: int, *, block: int = 0) -> tuple[EndpointSpec, ...]:
    """Endpoints of one upstream; those of another block have other addresses."""
    return tuple(
        EndpointSpec(
            f"{upstream}-{at}",
            f"10.{block}.{upstream}.{at}",
            80,
            weight=1 + at % 2,
            healthy=at % 7 > 0,
        )
        for at in range(count)
    )


def snapshot(
    revision: int,
    endpoints: dict[str, tuple[EndpointSpec, ...]],
    *,
    balance: str = "least-request",
    routes: tuple[RouteSpec, ...] = (),
) -> RawSnapshot:
    """A policy with an upstream for each name, each with a port of its own."""
    upstreams = {
        name: Upstream(service=name, balance=balance, hash="address" if balance == "hash" else None)
        for name in endpoints
    }
    ambassador = Ambassador(upstreams=upstreams, routes=routes)
    said = Snapshot(
        revision=revision,
        ambassador=_TABLE.encode(ambassador),  # type: ignore[arg-type]
        listeners={f"upstream:{name}": "127.0.0.1:1" for name in endpoints},
        upstreams=tuple(UpstreamEndpoints(name, found) for name, found in endpoints.items()),
    )
    return decode_raw(encode(said))


def many(revision: int, block: int, *, balance: str = "least-request") -> RawSnapshot:
    """Ten thousand endpoints."""
    return snapshot(
        revision,
        {f"u{at}": specs(at, EACH, block=block) for at in range(UPSTREAMS)},
        balance=balance,
    )


def in_loop(work: Callable[[Runtime], None]) -> None:
    async def run() -> None:
        defaults = Ambassador()
        hub = Hub(RootTasks(lambda _end: None), defaults.http, defaults.trace, lambda: None)
        hub.red = Red()
        work(Runtime(hub, lambda *_: None, lambda _event: None))
        hub.close()

    asyncio.run(run())


def reported(runtime: Runtime) -> Report:
    """What the agent is told."""
    return written(report(runtime._hub, runtime))


def put(runtime: Runtime, raw: RawSnapshot) -> str | None:
    """Put a policy in force without a turn for anybody."""
    steps = runtime.steps(raw)
    while True:
        try:
            next(steps)
        except StopIteration as end:
            why: str | None = end.value
            break
    for _ in runtime.upstreams.rest(1.0):
        pass
    return why


def costs(runtime: Runtime, raw: RawSnapshot) -> list[float]:
    """How long each step takes, in seconds of this thread's own time; the last ones are those after the policy is in force."""
    found = []
    for steps in (runtime.steps(raw), runtime.upstreams.rest(1.0)):
        over = False
        while not over:
            began = thread_time()
            over = next(steps, _OVER) is _OVER
            found.append(thread_time() - began)
    assert runtime.revision == raw.revision
    return found


@pytest.mark.parametrize("balance", ["least-request", "round-robin", "hash"])
def test_ten_thousand_endpoints_are_many_small_steps(balance: str) -> None:
    """Each step is a small part of the whole, and of ten thousand endpoints none looks at more than some hundreds."""
    runs: list[list[float]] = []

    def work(runtime: Runtime) -> None:
        assert put(runtime, many(1, 0, balance=balance)) is None
        raw = many(2, 1, balance=balance)
        runs.append(costs(runtime, raw))

    for _ in range(RUNS):
        in_loop(work)
    assert len({len(run) for run in runs}) == 1
    # What a step costs is what it costs at best: the rest is the host's.
    steps = [min(of_run) for of_run in zip(*runs, strict=True)]
    assert len(steps) > UPSTREAMS * EACH / 100
    assert max(steps) < sum(steps) / 20, (max(steps), sum(steps))


def test_hundreds_of_routes_are_many_small_steps() -> None:
    runs: list[list[float]] = []
    routes = tuple(
        RouteSpec(
            name=f"r{at}",
            listener=("u0",),
            match=Match(path=f"/p{at}/"),
            to=(Target(upstream="u0"),),
        )
        for at in range(500)
    )

    def work(runtime: Runtime) -> None:
        assert put(runtime, snapshot(1, {"u0": specs(0, 2)})) is None
        runs.append(costs(runtime, snapshot(2, {"u0": specs(0, 2)}, routes=routes)))

    for _ in range(RUNS):
        in_loop(work)
    steps = [min(of_run) for of_run in zip(*runs, strict=True)]
    assert len(steps) > 500 / 20
    assert max(steps) < sum(steps) / 10, (max(steps), sum(steps))


def test_what_did_not_change_is_not_done_again() -> None:
    """One endpoint of ten thousand costs the work of its own upstream."""

    def work(runtime: Runtime) -> None:
        endpoints = {f"u{at}": specs(at, EACH) for at in range(UPSTREAMS)}
        assert put(runtime, snapshot(1, endpoints)) is None
        live, ways = dict(runtime.upstreams.live), dict(runtime.ways)
        endpoints["u3"] = endpoints["u3"][:-1]
        raw = snapshot(2, endpoints)
        assert len(costs(runtime, raw)) < 2 * (EACH / 100) * 3 + 30
        for name, upstream in live.items():
            assert (runtime.upstreams.live[name] is upstream) == (name != "u3")
        assert runtime.ways.keys() == ways.keys()
        assert len(runtime.upstreams.live["u3"].group.endpoints) == EACH - 1

    in_loop(work)


def test_requests_see_the_old_policy_or_the_new_one_and_nothing_between() -> None:
    def work(runtime: Runtime) -> None:
        old = {"a": specs(1, 300), "b": specs(2, 300)}
        new = {"a": specs(1, 300, block=1), "b": specs(2, 300, block=1), "c": specs(3, 1, block=1)}
        assert put(runtime, snapshot(1, old)) is None

        def seen() -> set[str]:
            """The blocks of addresses that requests go to, by every upstream and its way in."""
            blocks = set()
            for way in runtime.ways.values():
                assert way.default is not None
                found = way.default.group.pick(1.0, None, [])
                assert found is not None
                blocks.add(found.spec.address.split(".")[1])
            return blocks

        before = runtime.ways
        turns = 0
        steps = runtime.steps(snapshot(2, new))
        for _ in steps:
            turns += 1
            assert runtime.revision == 1
            assert runtime.ways is before
            assert seen() == {"0"}
        assert turns > 10
        assert runtime.revision == 2
        assert len(runtime.ways) == 3
        assert seen() == {"1"}
        for _ in runtime.upstreams.rest(1.0):
            assert seen() == {"1"}

    in_loop(work)


def test_a_policy_that_is_refused_has_changed_nothing() -> None:
    def work(runtime: Runtime) -> None:
        assert put(runtime, snapshot(1, {"a": specs(1, 5)})) is None
        ways, live = runtime.ways, runtime.upstreams.live
        bad = RouteSpec(name="bad", listener=("a",), to=(Target(upstream="nobody"),))
        why = put(runtime, snapshot(2, {"a": specs(1, 9)}, routes=(bad,)))
        assert why == "cannot send route bad to nobody: no such upstream"
        assert (runtime.revision, runtime.ways, runtime.upstreams.live) == (1, ways, live)
        assert len(live["a"].group.endpoints) == 5
        assert put(runtime, snapshot(3, {"a": specs(1, 9)})) is None
        assert len(runtime.upstreams.live["a"].group.endpoints) == 9

    in_loop(work)


def test_endpoints_that_are_damaged_refuse_the_whole() -> None:
    def work(runtime: Runtime) -> None:
        assert put(runtime, snapshot(1, {"a": specs(1, 5)})) is None
        raw = snapshot(2, {"a": specs(1, 9), "b": specs(2, 1)})
        broken = msgspec.structs.replace(
            raw, upstreams=(*raw.upstreams, msgspec.Raw(b'{"name":"c","endpoints":[{"id":1}]}'))
        )
        why = put(runtime, broken)
        assert why is not None
        assert why.startswith("cannot read the snapshot: ")
        assert runtime.revision == 1
        assert len(runtime.upstreams.live["a"].group.endpoints) == 5

    in_loop(work)


def test_an_endpoint_that_stays_keeps_what_it_has() -> None:
    def work(runtime: Runtime) -> None:
        assert put(runtime, snapshot(1, {"a": specs(1, 5)})) is None
        kept = runtime.upstreams.live["a"].group.find("10.0.1.3:80")
        assert kept is not None
        kept.active = 7
        kept.breaker.force("open", 1.0)
        assert put(runtime, snapshot(2, {"a": specs(1, 4), "b": specs(2, 1)})) is None
        found = runtime.upstreams.live["a"].group.find("10.0.1.3:80")
        assert found is kept
        assert (found.active, found.breaker.state) == (7, "open")
        assert runtime.upstreams.live["a"].group.find("10.0.1.4:80") is None

    in_loop(work)


def test_a_report_says_why_a_circuit_is_open() -> None:
    def work(runtime: Runtime) -> None:
        assert put(runtime, snapshot(1, {"a": specs(1, 2)})) is None
        found = runtime.upstreams.live["a"].group.find("10.0.1.1:80")
        assert found is not None
        for at in range(5):
            found.breaker.end(found.breaker.begin(1.0 + at), False, 1.0 + at)
        assert found.breaker.state == "open"
        (report,) = [
            one
            for upstream in reported(runtime).upstreams
            for one in upstream.endpoints
            if one.key == found.key
        ]
        assert (report.state, report.reason) == ("open", "5 failures in a row")
        found.breaker.force("closed", 9.0)
        assert {one.reason for one in reported(runtime).upstreams[0].endpoints} == {""}

    in_loop(work)


def test_a_report_of_ten_thousand_endpoints_is_many_small_steps() -> None:
    runs: list[list[float]] = []

    def work(runtime: Runtime) -> None:
        assert put(runtime, many(1, 0)) is None
        writing = report(runtime._hub, runtime)
        steps = []
        over = False
        while not over:
            began = thread_time()
            over = next(writing, _OVER) is _OVER
            steps.append(thread_time() - began)
        runs.append(steps)
        told = reported(runtime)
        assert sum(len(one.endpoints) for one in told.upstreams) == UPSTREAMS * EACH

    for _ in range(RUNS):
        in_loop(work)
    steps = [min(of_run) for of_run in zip(*runs, strict=True)]
    assert len(steps) > UPSTREAMS * EACH / 100
    assert max(steps) < sum(steps) / 20, (max(steps), sum(steps))


def test_a_tcp_upstream_is_offered_what_the_settings_say() -> None:
    def work(runtime: Runtime) -> None:
        tls = ClientTls(verify=False, alpn=("h2",))
        upstreams = {
            "grpc": Upstream(urls=("tcp://10.0.0.1:443",), protocol="tcp", tls=tls),
            "db": Upstream(
                urls=("tcp://10.0.0.2:5432",), protocol="tcp", tls=ClientTls(verify=False)
            ),
            "web": Upstream(urls=("https://10.0.0.3",), tls=ClientTls(verify=False)),
        }
        said = Snapshot(
            revision=1,
            ambassador=_TABLE.encode(Ambassador(upstreams=upstreams)),  # type: ignore[arg-type]
        )
        assert put(runtime, decode_raw(encode(said))) is None
        found = {name: offered(one) for name, one in runtime.upstreams.live.items()}
        assert found == {"grpc": b"\x02h2", "db": b"", "web": b"\x08http/1.1"}

    in_loop(work)


def offered(upstream: LiveUpstream) -> bytes:
    """What a connection to it offers by ALPN (RFC 7301 section 3.1), as it stands in its ClientHello."""
    assert upstream.tls is not None
    out = ssl.MemoryBIO()
    context = upstream.tls.context
    hello = context.wrap_bio(ssl.MemoryBIO(), out, server_hostname="a")
    with pytest.raises(ssl.SSLWantReadError):
        hello.do_handshake()
    data = out.read()
    return next((name for name in (b"\x02h2", b"\x08http/1.1") if name in data), b"")
