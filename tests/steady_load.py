"""A constant load on a proxy whose configuration changes: connections that are kept and connections that are new, and every failure counted by its kind.

    python tests/steady_load.py PORT --kept N --fresh N [--pause S] [--path PATH]

Says `up` once every client was answered, runs until SIGTERM, finishes what is under way, and prints what it has seen as JSON: a `Seen`.
A server may close a kept connection whenever it likes, also while a request is on its way to it: RFC 9112, 9.3.1, then has the
client send a request that is safe once more on another connection. Such a repetition is counted apart, and is no failure when it is answered.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from collections.abc import Iterator

_BOUND_S = 40.0
_END_S = 30.0


class Seen(msgspec.Struct):
    """What the clients saw. `bodies` counts the answers by their text, `failed` what was no whole 200 by its kind and words."""

    requests: int = 0
    connections: int = 0
    repeated: int = 0
    longest_ms: float = 0.0
    bodies: dict[str, int] = {}
    failed: dict[str, int] = {}


class _Failed(Exception):
    """A request without the answer that it should have; the text begins with the kind."""


class _ClosedBefore(Exception):
    """A kept connection that ended before the first byte of an answer."""


class _Client:
    """One client; `kept` tells whether it goes on with its connection."""

    def __init__(self, options: argparse.Namespace, seen: Seen, *, kept: bool) -> None:
        self._port: int = options.port
        self._pause_s: float = options.pause
        self._request = f"GET {options.path} HTTP/1.1\r\nHost: shop\r\n\r\n".encode()
        self._seen = seen
        self._kept = kept
        self._reader: asyncio.StreamReader | None = None
        self._writer: asyncio.StreamWriter | None = None
        self.answered = asyncio.Event()

    async def run(self, over: asyncio.Event) -> None:
        """Ask again and again until it is over."""
        while not over.is_set():
            began = time.monotonic()
            try:
                async with asyncio.timeout(_BOUND_S):
                    await self._ask()
            except TimeoutError:
                self._fail(f"timeout: not within {_BOUND_S:g} s")
            except _Failed as failed:
                self._fail(str(failed))
            else:
                self._seen.requests += 1
                self.answered.set()
            took_ms = (time.monotonic() - began) * 1e3
            self._seen.longest_ms = max(self._seen.longest_ms, took_ms)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(over.wait(), self._pause_s)
        self._close()

    async def _ask(self) -> None:
        if self._reader is not None and self._reader.at_eof():
            self._close()  # while nothing was under way, which is a server's right
        if self._writer is None:
            await self._connect()
            return await self._exchange(again=False)
        try:
            await self._exchange(again=True)
        except _ClosedBefore:
            self._seen.repeated += 1
            self._close()
            await self._connect()
            await self._exchange(again=False)
        return None

    async def _connect(self) -> None:
        try:
            self._reader, self._writer = await asyncio.open_connection("127.0.0.1", self._port)
        except OSError as error:
            raise _Failed(f"refused: {error.strerror}") from error
        self._seen.connections += 1

    async def _exchange(self, *, again: bool) -> None:
        """One request and its answer. `again`: the connection has had one before."""
        assert self._reader is not None
        assert self._writer is not None
        head = b""
        try:
            self._writer.write(self._request)
            head = await self._reader.readuntil(b"\r\n\r\n")
            fields, length = _read_head(head)
            body = await self._reader.readexactly(length)
        except (asyncio.IncompleteReadError, ConnectionError) as error:
            began = head or getattr(error, "partial", b"")
            if again and not began:
                raise _ClosedBefore from error
            where = "in an answer" if began else "before an answer on a new connection"
            kind = "cut" if isinstance(error, asyncio.IncompleteReadError) else "reset"
            raise _Failed(f"{kind}: {where}") from error
        except (ValueError, KeyError, IndexError, asyncio.LimitOverrunError) as error:
            raise _Failed(f"garbled: {head[:80]!r}") from error
        if not head.startswith(b"HTTP/1.1 200 "):
            line = head.partition(b"\r\n")[0].decode()
            raise _Failed(f"status: {line} {body[:200]!r}")
        text = body.decode()
        self._seen.bodies[text] = self._seen.bodies.get(text, 0) + 1
        if not self._kept or fields.get("connection") == "close":
            self._close()

    def _fail(self, what: str) -> None:
        self._seen.failed[what] = self._seen.failed.get(what, 0) + 1
        self._close()

    def _close(self) -> None:
        if self._writer is not None:
            self._writer.close()
        self._reader = self._writer = None


def _read_head(head: bytes) -> tuple[dict[str, str], int]:
    lines = head.decode("latin-1").split("\r\n")[1:]
    fields = {
        name.strip().lower(): value.strip().lower()
        for name, _, value in (line.partition(":") for line in lines if line)
    }
    return fields, int(fields["content-length"])


async def _run(options: argparse.Namespace) -> Seen:
    seen, over = Seen(), asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, over.set)
    clients = [
        _Client(options, seen, kept=number < options.kept)
        for number in range(options.kept + options.fresh)
    ]
    async with asyncio.TaskGroup() as group:
        for client in clients:
            group.create_task(client.run(over))
        try:
            async with asyncio.timeout(_END_S):
                for client in clients:
                    await client.answered.wait()
            print("up", flush=True)
        except TimeoutError:
            print(f"not up: {seen.failed}", flush=True)
            over.set()
    return seen


class SteadyLoad:
    """The load as a process of its own, so that what it sees is not the tests' own pauses."""

    def __init__(self, port: int, kept: int, fresh: int, pause_s: float) -> None:
        self._process = subprocess.Popen(
            [
                sys.executable,
                __file__,
                str(port),
                f"--kept={kept}",
                f"--fresh={fresh}",
                f"--pause={pause_s}",
            ],
            stdout=subprocess.PIPE,
        )
        assert self._process.stdout is not None
        self._stdout = self._process.stdout

    def wait_up(self) -> None:
        """Return when every client was answered once."""
        said = self._stdout.readline()
        assert said == b"up\n", f"the load said {said!r}"

    def stop(self) -> Seen:
        """End it and return what it has seen."""
        self._process.terminate()
        said, _ = self._process.communicate(timeout=_END_S)
        return msgspec.json.decode(said, type=Seen)

    def close(self) -> None:
        """End it whatever it does."""
        if self._process.poll() is None:
            self._process.kill()
            self._process.wait(_END_S)
        self._stdout.close()


@contextlib.contextmanager
def steady_load(
    port: int, *, kept: int = 12, fresh: int = 6, pause_s: float = 0.03
) -> Iterator[SteadyLoad]:
    """A load that is up, and is ended whatever happens; `stop` tells what it has seen."""
    load = SteadyLoad(port, kept, fresh, pause_s)
    try:
        load.wait_up()
        yield load
    finally:
        load.close()


def main() -> None:
    """Run until SIGTERM."""
    parser = argparse.ArgumentParser()
    parser.add_argument("port", type=int)
    parser.add_argument("--kept", type=int, default=12)
    parser.add_argument("--fresh", type=int, default=6)
    parser.add_argument("--pause", type=float, default=0.03)
    parser.add_argument("--path", default="/")
    seen = asyncio.run(_run(parser.parse_args()))
    sys.stdout.write(msgspec.json.encode(seen).decode())


if __name__ == "__main__":
    main()
