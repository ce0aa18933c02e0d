"""An upgrade under load: two processes, one pair of listening sockets, and no failed request."""

import asyncio
import json
import os
import random
import socket
import sys
import tempfile

import pytest
from http_serving import GET, Raw, listening, run, serving, until

from pillion.http.handover import HandoverError, HandoverReceiver, HandoverSender
from pillion.http.server import Request, Response, Server, ServerLimits

CLIENTS = 400
PROGRAM = os.path.join(os.path.dirname(__file__), "http_upgrade_process.py")


class Load:
    """Clients of every kind, that count what they got and what failed."""

    def __init__(self, path: str, port: int) -> None:
        self.path = path
        self.port = port
        self.stop = False
        self.answers: dict[bytes, int] = {b"old": 0, b"new": 0}
        self.failed: list[str] = []
        self.started = 0

    async def connect(self, number: int) -> Raw:
        if number % 2:
            return Raw(*await asyncio.open_unix_connection(self.path))
        return Raw(*await asyncio.open_connection("127.0.0.1", self.port))

    async def client(self, number: int) -> None:
        kind = ("keep-alive", "new", "pipelined", "slow", "post", "stream")[number % 6]
        chance = random.Random(number)
        client: Raw | None = None
        while not self.stop:
            try:
                if client is None:
                    client = await self.connect(number // 6)
                if not await self.round(kind, client, chance) or kind == "new":
                    await client.close()
                    client = None
            except Exception as error:  # noqa: BLE001 - every failure counts
                self.failed.append(f"{kind}: {error!r}")
                client = None
            await asyncio.sleep(chance.random() * 0.25)
        if client is not None:
            await client.close()

    async def round(self, kind: str, client: Raw, chance: random.Random) -> bool:
        """Make one or more requests; return whether the connection is still good."""
        requests = 1
        if kind == "pipelined":
            requests = 5
            client.send(GET * requests)
        elif kind == "slow":
            data = GET.replace(b"/ ", b"/slow ")
            cut = chance.randrange(1, len(data))
            client.send(data[:cut])
            await asyncio.sleep(chance.random() * 0.1)
            client.send(data[cut:])
        elif kind == "post":
            client.send(b"POST /slow HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nab")
            await asyncio.sleep(chance.random() * 0.1)
            client.send(b"cd")
        else:
            client.send(GET.replace(b"/ ", b"/stream ") if kind == "stream" else GET)
        alive = True
        for _ in range(requests):
            answer = await client.answer()
            assert answer.status == 200
            assert answer.body == {"slow": b"slow", "post": b"abcd", "stream": b"xxxxx"}.get(
                kind, b"fast"
            )
            self.answers[answer.headers.get(b"role") or b""] += 1
            self.started += 1
            alive = answer.keep_alive
        return alive


@pytest.mark.parametrize("kind", [socket.SOCK_SEQPACKET, socket.SOCK_STREAM])
def test_an_upgrade_under_load_fails_no_request(kind: socket.SocketKind) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, "s")
            unix = socket.socket(socket.AF_UNIX)
            unix.bind(path)
            unix.listen(512)
            tcp = listening()
            handover = socket.socketpair(socket.AF_UNIX, kind)
            controls = []
            processes = []
            for role, end in (("old", handover[0]), ("new", handover[1])):
                ours, theirs = socket.socketpair()
                ours.setblocking(False)
                descriptors = [s.fileno() for s in (unix, tcp, end, theirs)]
                processes.append(
                    await asyncio.create_subprocess_exec(
                        sys.executable, PROGRAM, role, *map(str, descriptors), pass_fds=descriptors
                    )
                )
                theirs.close()
                controls.append(ours)
                assert await loop.sock_recv(ours, 1) == b"r"
            handover[0].close()
            handover[1].close()
            load = Load(path, tcp.getsockname()[1])
            tasks = [asyncio.create_task(load.client(n)) for n in range(CLIENTS)]
            await until(lambda: load.started > 2 * CLIENTS)
            await loop.sock_sendall(controls[1], b"p")
            await loop.sock_sendall(controls[0], b"d")
            old = json.loads(await loop.sock_recv(controls[0], 4096))
            before = load.started
            await until(lambda: load.started > before + CLIENTS)
            load.stop = True
            await asyncio.gather(*tasks)
            await loop.sock_sendall(controls[1], b"e")
            new = json.loads(await loop.sock_recv(controls[1], 4096))
            for process in processes:
                assert await process.wait() == 0
            for sock in (unix, tcp, *controls):
                sock.close()
        assert load.failed == []
        assert old["cut"] == 0
        assert old["handed"] == new["adopted"] > CLIENTS // 4
        assert new["complete"]
        assert (old["failures"], new["failures"]) == (0, 0)
        assert load.answers[b"old"] > 0
        assert load.answers[b"new"] > 0

    run(main())


def hello(request: Request) -> Response:
    return Response(200, [], b"x")


def test_without_a_successor_answers_carry_close_and_clients_are_waited_for() -> None:
    async def main() -> None:
        async with serving(hello) as site:
            busy, idle = await site.unix(), await site.tcp()
            await busy.get()
            await idle.get()
            drain = asyncio.create_task(site.server.drain(0.5))
            await until(lambda: site.server.draining)
            answer = await busy.get()
            assert answer.headers.get(b"connection") == b"close"
            assert await busy.closed()
            await busy.close()
            drained = await drain
            assert (drained.handed, drained.closed, drained.cut) == (0, 2, 0)
            assert await idle.closed()
            await idle.close()

    run(main())


def test_pipelined_requests_already_here_are_answered_before_the_close() -> None:
    gate = asyncio.Event()

    async def wait() -> Response:
        await gate.wait()
        return Response(200, [], b"x")

    async def main() -> None:
        async with serving(lambda r: wait() if r.path == "/wait" else hello(r)) as site:
            client = await site.unix()
            client.send(GET.replace(b"/ ", b"/wait ") + GET * 3)
            await until(lambda: site.server.counters.busy)
            drain = asyncio.create_task(site.server.drain(5))
            await until(lambda: site.server.draining)
            gate.set()
            answers = [await client.answer() for _ in range(4)]
            assert [a.keep_alive for a in answers] == [True, True, True, False]
            await client.close()
            assert (await drain).cut == 0

    run(main())


def test_what_the_bound_cuts_is_counted() -> None:
    async def never(request: Request) -> Response:
        await asyncio.Event().wait()
        raise AssertionError

    async def main() -> None:
        async with serving(never) as site:
            busy, fresh, half = [await site.unix() for _ in range(3)]
            busy.send(GET)
            half.send(GET[:10])
            await until(lambda: site.server.counters.open == 3 and site.server.counters.busy)
            await until(lambda: site.server.counters.bytes_in == len(GET) + 10)
            drained = await site.server.drain(0.05)
            assert (drained.handed, drained.closed, drained.cut) == (0, 0, 3)
            for client in (busy, fresh, half):
                await client.close()

    run(main())


def test_a_successor_that_is_gone_means_a_drain_without_one() -> None:
    async def main() -> None:
        async with serving(hello) as site:
            client = await site.unix()
            await client.get()
            ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            theirs.close()
            drain = asyncio.create_task(site.server.drain(5, ours))
            await until(lambda: site.errors)
            assert isinstance(site.errors[0], HandoverError)
            assert not (await client.get()).keep_alive
            await client.close()
            drained = await drain
            assert (drained.handed, drained.closed, drained.cut) == (0, 1, 0)
            ours.close()

    run(main())


def test_a_fresh_connection_is_not_handed_over_before_its_first_answer() -> None:
    async def main() -> None:
        successor = Server(hello, ServerLimits())
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        receiver = asyncio.create_task(HandoverReceiver(theirs, successor.adopt).run())
        async with serving(hello) as site:
            client = await site.tcp()
            await until(lambda: site.server.counters.open == 1)
            drain = asyncio.create_task(site.server.drain(5, ours))
            await until(lambda: site.server.draining)
            assert (await client.get()).keep_alive
            assert (await drain).handed == 1
            assert (await receiver).adopted == 1
            assert (await client.get()).status == 200
            assert site.server.counters.requests == 1
            assert successor.counters.requests == 1
            await client.close()
        await successor.close()
        ours.close()
        theirs.close()

    run(main())


def test_a_connection_that_stays_silent_is_passed_on_at_the_deadline() -> None:
    async def main() -> None:
        successor = Server(hello, ServerLimits())
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        receiver = asyncio.create_task(HandoverReceiver(theirs, successor.adopt).run())
        async with serving(hello) as site:
            client = await site.tcp()
            await until(lambda: site.server.counters.open == 1)
            drained = await site.server.drain(0.1, ours)
            assert (drained.handed, drained.closed, drained.cut) == (1, 0, 0)
            assert (await receiver).complete
            assert (await client.get()).status == 200
            assert successor.counters.requests == 1
            await client.close()
        await successor.close()
        ours.close()
        theirs.close()

    run(main())


@pytest.mark.parametrize("kind", [socket.SOCK_SEQPACKET, socket.SOCK_STREAM])
def test_the_sender_waits_for_a_receiver_that_is_behind(kind: socket.SocketKind) -> None:
    async def main() -> None:
        ours, theirs = socket.socketpair(socket.AF_UNIX, kind)
        ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
        got: list[str] = []
        sender = HandoverSender(ours)

        async def send() -> None:
            for number in range(100):
                await sender.send(str(number), ours.fileno())
            await sender.end(100)

        def adopt(sock: socket.socket, listener: str) -> None:
            got.append(listener)
            sock.close()

        sending = asyncio.create_task(send())
        for _ in range(5):
            await asyncio.sleep(0)
        assert not sending.done()
        received = await HandoverReceiver(theirs, adopt).run()
        await sending
        assert (received.adopted, received.complete) == (100, True)
        assert got == [str(n) for n in range(100)]
        ours.close()
        theirs.close()

    run(main())


@pytest.mark.parametrize("data", [b"nonsense\n", b"[]\n", b"x" * 5000])
def test_a_receiver_refuses_nonsense(data: bytes) -> None:
    async def main() -> None:
        ours, theirs = socket.socketpair()
        ours.sendall(data)
        with pytest.raises(HandoverError):
            await HandoverReceiver(theirs, lambda *_: None).run()
        ours.close()
        theirs.close()

    run(main())


def test_a_sender_that_dies_is_no_complete_hand_over() -> None:
    async def main() -> None:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        ours.close()
        received = await HandoverReceiver(theirs, lambda *_: None).run()
        assert not received.complete
        theirs.close()

    run(main())
