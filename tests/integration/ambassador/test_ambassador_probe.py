"""One attempt of an active check, against servers that are well, ill, silent, garbled, or behind TLS and Unix sockets."""

from __future__ import annotations

import asyncio
import ssl
from contextlib import asynccontextmanager, closing, suppress
from typing import TYPE_CHECKING

import pytest

from ambassador_certificates import Authority
from ambassador_edges import run, until
from pillion.ambassador.active import ActiveChecks, Standing
from pillion.ambassador.probe import Probe, host_of
from pillion.ambassador.snapshot import EndpointSpec
from pillion.base.tasks import RootTasks
from pillion.settings import parse

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from pillion.settings.upstreams import Upstream

OK = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"


def upstream(more: str = "", check: str = '{ http = "/healthz", timeout = "400ms" }') -> Upstream:
    text = f'[ambassador.upstreams.u]\nservice = "orders"\ncheck = {check}\n{more}\n'
    return parse(text).ambassador.upstreams["u"]


class Server:
    """Answers every connection with the same bytes, and keeps what it was asked."""

    def __init__(self, answer: bytes | None) -> None:
        self.answer = answer
        self.asked = b""
        self.port = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        # Python 3.11.2, which is Debian's, leaves a connection open whose callback has failed.
        with closing(writer):
            if self.answer is None:
                await reader.read()  # silent until the other side goes
            elif self.answer:
                # A check that only connects asks nothing.
                with suppress(asyncio.IncompleteReadError):
                    self.asked = await reader.readuntil(b"\r\n\r\n")
                    writer.write(self.answer)


@asynccontextmanager
async def serving(
    answer: bytes | None, *, path: str | None = None, context: ssl.SSLContext | None = None
) -> AsyncIterator[Server]:
    server = Server(answer)
    if path is not None:
        made = await asyncio.start_unix_server(server.serve, path)
    else:
        made = await asyncio.start_server(server.serve, "127.0.0.1", 0, ssl=context)
        server.port = made.sockets[0].getsockname()[1]
    async with made:
        yield server


async def ask(wanted: Upstream, spec: EndpointSpec) -> str:
    assert wanted.check is not None
    return await Probe().attempt(wanted, spec, wanted.check)


@pytest.mark.parametrize(
    ("answer", "complaint"),
    [
        (OK, ""),
        (b"HTTP/1.1 100 Continue\r\n\r\n" + OK, ""),
        (b"HTTP/1.1 204 No Content\r\n\r\n", ""),
        (b"HTTP/1.1 503 Nope\r\ncontent-length: 0\r\n\r\n", "GET /healthz is answered 503"),
        (b"HTTP/1.1 301 Moved\r\ncontent-length: 0\r\n\r\n", "GET /healthz is answered 301"),
        (b"SSH-2.0-OpenSSH\r\n\r\n", "cannot read"),
        (b"", "ended"),
        (None, "no answer within 0.4 s"),
    ],
)
def test_what_a_server_answers(answer: bytes | None, complaint: str) -> None:
    async def work() -> None:
        async with serving(answer) as server:
            found = await ask(upstream(), EndpointSpec("a", "127.0.0.1", server.port))
            assert bool(found) == bool(complaint)
            assert complaint in found or complaint == "ended"

    run(work())


def test_what_it_is_asked() -> None:
    async def work() -> None:
        async with serving(OK) as server:
            assert not await ask(upstream(), EndpointSpec("a", "127.0.0.1", server.port))
            head = server.asked.split(b"\r\n")
            assert head[0] == b"GET /healthz HTTP/1.1"
            assert b"host: orders" in [line.lower() for line in head]
            assert b"connection: close" in [line.lower() for line in head]

    run(work())


def test_nobody_listens_and_somebody_does() -> None:
    async def work() -> None:
        tcp = upstream(check='{ tcp = true, timeout = "400ms" }')
        async with serving(OK) as server:
            spec = EndpointSpec("a", "127.0.0.1", server.port)
            assert not await ask(tcp, spec)
        assert "cannot connect to" in await ask(tcp, spec)
        assert "cannot connect to" in await ask(upstream(), spec)

    run(work())


def test_a_unix_socket(tmp_path: Path) -> None:
    async def work() -> None:
        path = str(tmp_path / "s")
        async with serving(OK, path=path):
            assert not await ask(upstream(), EndpointSpec("a", f"unix:{path}"))

    run(work())


def test_the_proxy_header_comes_first() -> None:
    async def work() -> None:
        async with serving(OK) as server:
            spec = EndpointSpec("a", "127.0.0.1", server.port)
            assert not await ask(upstream('proxy_protocol = "v1"'), spec)
            assert server.asked.startswith(b"PROXY UNKNOWN\r\nGET ")

    run(work())


def test_tls_is_verified_as_for_requests(tmp_path: Path) -> None:
    async def work() -> None:
        authority = Authority(tmp_path)
        pair = authority.issue("orders", dns=("orders.internal",))
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(pair.cert, pair.key)
        trusted = f'tls = {{ ca_file = "{authority.file}", server_name = "orders.internal" }}'
        async with serving(OK, context=context) as server:
            spec = EndpointSpec("a", "127.0.0.1", server.port, tls=True)
            assert not await ask(upstream(trusted), spec)
            assert await ask(upstream("tls = {}"), spec)
            assert not await ask(upstream("tls = { verify = false }"), spec)
            missing = await ask(upstream('tls = { ca_file = "/nowhere.pem" }'), spec)
            assert "cannot read its TLS files" in missing

    run(work())


def test_which_host_it_asks_for() -> None:
    text = '[ambassador.upstreams.u]\nurls = "http://api.internal:8080"\n'
    urls = parse(text).ambassador.upstreams["u"]
    assert host_of(urls, EndpointSpec("a", "10.0.0.1", 8080, host="api.internal")) == (
        "api.internal:8080"
    )
    assert host_of(urls, EndpointSpec("a", "10.0.0.1", 80, host="::1")) == "[::1]"
    assert host_of(urls.replace(host="x"), EndpointSpec("a", "10.0.0.1", 80)) == "x"


def test_many_endpoints_are_asked_and_those_that_went_are_not() -> None:
    async def work() -> None:
        tasks = RootTasks(lambda _: None)
        sick: set[str] = {"10.0.0.7:80"}
        asked: list[str] = []
        turned: list[tuple[str, bool]] = []
        done = asyncio.Event()

        async def attempt(_: Upstream, spec: EndpointSpec, __: object) -> str:
            asked.append(spec.key)
            await asyncio.sleep(0)
            return "refused" if spec.key in sick else ""

        def changed(_: str, spec: EndpointSpec, standing: Standing) -> None:
            turned.append((spec.key, standing.healthy))
            done.set()

        checks = ActiveChecks(attempt, tasks, changed)
        wanted = upstream(check='{ tcp = true, interval = "100ms" }')
        specs = [EndpointSpec(f"{at}", f"10.0.0.{at}", 80) for at in range(200)]
        checks.configure({"u": wanted}, {"u": specs})
        async with asyncio.timeout(10):
            await done.wait()
        await until(lambda: len(set(asked)) == 200, "every one was asked")
        assert turned == [("10.0.0.7:80", False)]
        checks.configure({"u": wanted}, {"u": specs[7:8]})
        assert not checks.standing("u", "10.0.0.7:80").healthy, "it keeps its standing"
        asked.clear()
        sick.clear()
        done.clear()
        async with asyncio.timeout(10):
            await done.wait()
        asked.clear()  # attempts that were under way then have ended
        await until(lambda: len(asked) >= 2, "it is asked on and on")
        assert set(asked) == {"10.0.0.7:80"}
        checks.configure({}, {})
        assert len(checks) == 0
        await tasks.close(1.0)

    run(work())
