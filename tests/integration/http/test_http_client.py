"""The client against our server, and against peers that break every promise."""

import asyncio
import contextlib
import datetime
import ipaddress
import math
import os
import socket
import ssl
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from http_serving import run, serving, until

from pillion.http.client import Client, ClientLimits, ConnectError, ProtocolError, Timeout
from pillion.http.server import Request, Response, ServerLimits

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
Script = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


async def echo(request: Request) -> Response:
    return Response(200, [(b"x-method", request.method.encode())], await request.read(1 << 24))


@contextlib.asynccontextmanager
async def peer(script: Script, context: ssl.SSLContext | None = None) -> AsyncIterator[str]:
    """Serve connections by `script`, one after the other's number; yield the URL."""
    tasks: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        with contextlib.suppress(ConnectionError):
            await script(reader, writer)
        writer.close()
        with contextlib.suppress(ConnectionError, ssl.SSLError):
            await writer.wait_closed()

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context)
    scheme = "http" if context is None else "https"
    try:
        yield f"{scheme}://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
    finally:
        server.close()
        if tasks:
            await asyncio.wait(tasks, timeout=2)


def answers(*replies: bytes) -> Script:
    """Return a script that answers the n-th request of a connection with the n-th reply."""

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for reply in replies:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(reply)
            await writer.drain()

    return script


def test_requests_over_tcp_and_unix_reuse_their_connections() -> None:
    async def pieces() -> AsyncIterator[bytes]:
        yield b"a"
        yield b""
        yield b"b" * 100_000

    async def main() -> None:
        async with serving(echo) as site, Client() as client:
            for transport in (None, f"unix:{site.path}"):
                url = f"http://127.0.0.1:{site.port}/x?y"
                for _ in range(3):
                    answer = await client.request("GET", url, transport=transport)
                    assert (answer.status, await answer.read()) == (200, b"")
                answer = await client.request("POST", url, body=b"hello", transport=transport)
                assert await answer.read() == b"hello"
                answer = await client.request("POST", url, body=pieces(), transport=transport)
                assert len(await answer.read()) == 100_001
                answer = await client.request("HEAD", url, transport=transport)
                assert await answer.read() == b""
            assert client.counters.connected == 2
            assert client.counters.reused == 10
            assert site.server.counters.accepted == 2

    run(main())


def test_a_stream_is_read_as_it_comes_and_given_up_by_closing() -> None:
    async def endless() -> AsyncIterator[bytes]:
        while True:
            yield b"tick"
            await asyncio.sleep(0.001)

    async def main() -> None:
        async with serving(lambda _: Response(200, [], endless())) as site, Client() as client:
            url = f"http://127.0.0.1:{site.port}/"
            async with await client.request("GET", url, total_timeout_s=math.inf) as answer:
                count = 0
                async for piece in answer:
                    assert piece.replace(b"tick", b"") == b""
                    count += 1
                    if count == 5:
                        break
            await until(lambda: site.server.counters.open == 0)

    run(main())


def test_a_refused_connection_names_its_origin() -> None:
    async def main() -> None:
        with socket.socket() as sock:
            sock.bind(("127.0.0.1", 0))
            port = sock.getsockname()[1]
        async with Client() as client:
            with pytest.raises(ConnectError, match=f"cannot connect to 127.0.0.1:{port}"):
                await client.request("GET", f"http://127.0.0.1:{port}/")
            with pytest.raises(ConnectError, match="unix:/nowhere"):
                await client.request("GET", "http://a/", transport="unix:/nowhere")

    run(main())


@pytest.mark.parametrize(
    "url",
    ["ftp://a/", "http:///", "http://u:p@a/", "http://a:x/", "/a", "http://a/b c"],
)
def test_urls_that_cannot_be_requested(url: str) -> None:
    async def main() -> None:
        async with Client() as client:
            with pytest.raises(ValueError, match="cannot"):
                await client.request("GET", url)

    run(main())


@pytest.mark.parametrize(
    ("reply", "error"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nab", ProtocolError),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n", ProtocolError),
        (b"HTTP/1.1 200 OK\r\nContent-Le", ProtocolError),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 5, 5\r\n\r\nhello", ProtocolError),
        (b"SSH-2.0\r\n\r\n", ProtocolError),
        (b"", ProtocolError),
    ],
)
def test_answers_that_are_cut_or_wrong(reply: bytes, error: type[Exception]) -> None:
    async def main() -> None:
        async with peer(answers(reply)) as url, Client() as client:
            with pytest.raises(error, match=r"127\.0\.0\.1"):
                await (await client.request("GET", url)).read()

    run(main())


def test_a_stale_connection_is_replaced_for_what_may_be_repeated_only() -> None:
    connections = 0

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal connections
        connections += 1
        await reader.readuntil(b"\r\n\r\n")
        writer.write(OK)
        if connections % 2:
            # Take the next request, and close without a word: the client cannot know why.
            await reader.readuntil(b"\r\n\r\n")

    async def main() -> None:
        async with peer(script) as url, Client() as client:
            for _ in range(2):
                assert await (await client.request("GET", url)).read() == b"ok"
            assert (connections, client.counters.repeated) == (2, 1)
        async with peer(script) as url, Client() as client:
            assert await (await client.request("GET", url)).read() == b"ok"
            with pytest.raises(ProtocolError):
                await client.request("POST", url, body=b"pay")
            assert (connections, client.counters.repeated) == (3, 0)

    run(main())


def test_nothing_is_repeated_once_a_byte_of_the_answer_came() -> None:
    connections = 0

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal connections
        connections += 1
        await answers(OK, b"HT")(reader, writer)

    async def main() -> None:
        async with peer(script) as url, Client() as client:
            await (await client.request("GET", url)).read()
            with pytest.raises(ProtocolError):
                await client.request("GET", url)
            assert connections == 1

    run(main())


def test_a_connection_that_the_server_closed_while_idle_is_not_used() -> None:
    async def main() -> None:
        async with serving(echo, ServerLimits(idle_timeout_s=0.05)) as site, Client() as client:
            url = f"http://127.0.0.1:{site.port}/"
            await (await client.request("POST", url, body=b"a")).read()
            await until(lambda: site.server.counters.open == 0)
            assert await (await client.request("POST", url, body=b"b")).read() == b"b"
            assert client.counters.repeated == 0

    run(main())


def test_timeouts() -> None:
    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()

    async def drip(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n")
        while not reader.at_eof():
            writer.write(b"x")
            await asyncio.sleep(0.02)
            if writer.is_closing():
                return

    async def main() -> None:
        async with peer(silent) as url, Client(ClientLimits(read_timeout_s=0.1)) as client:
            with pytest.raises(Timeout, match=r"nothing for 0\.1 s"):
                await client.request("GET", url)
        async with peer(drip) as url, Client(ClientLimits(total_timeout_s=0.3)) as client:
            answer = await client.request("GET", url)
            with pytest.raises(Timeout, match="total time is over"):
                await answer.read()
        # A full backlog: the connection is never made.
        with socket.socket() as sock:
            sock.bind(("127.0.0.1", 0))
            sock.listen(0)
            address = sock.getsockname()
            fillers = [socket.socket() for _ in range(3)]
            for filler in fillers:
                filler.setblocking(False)
                filler.connect_ex(address)
            async with Client(ClientLimits(connect_timeout_s=0.1)) as client:
                with pytest.raises(Timeout, match="cannot connect"):
                    await client.request("GET", f"http://127.0.0.1:{address[1]}/")
            for filler in fillers:
                filler.close()

    run(main())


def test_connections_are_bounded_and_callers_wait() -> None:
    running = most = 0

    async def handler(request: Request) -> Response:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await asyncio.sleep(0.01)
        running -= 1
        return Response(200, [], b"x")

    async def main() -> None:
        limits = ClientLimits(max_connections=3, max_idle=2)
        async with serving(handler) as site, Client(limits) as client:

            async def one() -> None:
                url = f"http://127.0.0.1:{site.port}/"
                assert await (await client.request("GET", url)).read() == b"x"

            await asyncio.gather(*(one() for _ in range(20)))
            assert most == 3
            assert client.counters.connected + client.counters.reused == 20
            await until(lambda: site.server.counters.open == 2)

            late = Client(ClientLimits(max_connections=1, connect_timeout_s=0.05))
            url = f"http://127.0.0.1:{site.port}/"
            held = await late.request("GET", url)
            with pytest.raises(Timeout):
                await late.request("GET", url)
            await held.read()
            await (await late.request("GET", url)).read()
            await late.close()

    run(main())


def test_an_answer_larger_than_the_limit_is_refused() -> None:
    async def main() -> None:
        async with serving(echo) as site, Client() as client:
            url = f"http://127.0.0.1:{site.port}/"
            answer = await client.request("POST", url, body=bytes(5000))
            with pytest.raises(ProtocolError, match="more than 100 bytes"):
                await answer.read(100)

    run(main())


def test_a_server_that_has_heard_enough_is_listened_to() -> None:
    async def body() -> AsyncIterator[bytes]:
        for _ in range(10_000):
            yield bytes(65536)

    def no(request: Request) -> Response:
        return Response(403, [], b"no")

    async def main() -> None:
        async with serving(no) as site, Client() as client:
            url = f"http://127.0.0.1:{site.port}/"
            answer = await client.request("POST", url, body=body())
            assert (answer.status, await answer.read()) == (403, b"no")

    run(main())


def contexts(folder: str) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """Return the contexts of a server and of a client that trusts it."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    now = datetime.datetime.now(datetime.UTC)
    address = x509.IPAddress(ipaddress.ip_address("127.0.0.1"))
    cert = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([address]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    path = os.path.join(folder, "pem")
    with open(path, "wb") as file:
        file.write(
            key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            )
        )
        file.write(cert.public_bytes(serialization.Encoding.PEM))
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(path)
    client = ssl.create_default_context(cafile=path)
    return server, client


def test_tls_and_a_stream_that_ends_without_close_notify() -> None:
    close_delimited = b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nbody"

    async def polite(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(close_delimited)
        await writer.drain()

    async def rude(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(close_delimited)
        await writer.drain()
        sock = writer.get_extra_info("socket")
        os.set_blocking(sock.fileno(), False)
        # A FIN below TLS, as an attacker in between would send it.
        raw = socket.socket(fileno=os.dup(sock.fileno()))
        raw.shutdown(socket.SHUT_WR)
        raw.close()
        await reader.read()

    async def main() -> None:
        with tempfile.TemporaryDirectory() as folder:
            server, trusting = contexts(folder)
            async with peer(polite, server) as url, Client(context=trusting) as client:
                answer = await client.request("GET", url)
                assert await answer.read() == b"body"
            async with peer(rude, server) as url, Client(context=trusting) as client:
                answer = await client.request("GET", url)
                with pytest.raises(ProtocolError):
                    await answer.read()
            async with peer(polite, server) as url, Client() as client:
                with pytest.raises(ConnectError, match=r"(?i)certificate"):
                    await client.request("GET", url)

    run(main())
