"""Clients of the API that must never see a failed request: keep-alive, new connections, pipelined, slow.

    python tests/api_load.py --socket PATH | --url URL --token TOKEN  --clients N --kind keep-alive|new|pipelined|slow --report FILE

Runs until SIGTERM, then finishes what is under way and writes `{"requests": …, "failures": {"what": count}}` by rename. A client obeys
`Connection: close`; anything but a whole 200 is a failure and says which.
"""

from __future__ import annotations

import argparse
import asyncio
import collections
import json
import os
import signal
from urllib.parse import urlsplit


class Failed(Exception):
    """A request that was not answered as it should."""


class Client:
    """One client of a kind."""

    def __init__(self, load: Load) -> None:
        self.load = load
        self.reader: asyncio.StreamReader | None = None
        self.writer: asyncio.StreamWriter | None = None

    async def open(self) -> None:
        self.reader, self.writer = await self.load.connect()

    def close(self) -> None:
        if self.writer is not None:
            self.writer.close()
        self.reader = self.writer = None

    async def answer(self) -> bool:
        """Read one answer; True when the connection may be used again."""
        assert self.reader is not None
        head = await self.reader.readuntil(b"\r\n\r\n")
        lines = head.decode().split("\r\n")
        if lines[0].split()[1] != "200":
            raise Failed(f"answer {lines[0]}")
        headers = {
            k.strip().lower(): v.strip().lower()
            for k, _, v in (line.partition(":") for line in lines[1:])
        }
        await self.reader.readexactly(int(headers["content-length"]))
        return headers.get("connection") != "close"

    async def one(self, count: int, pause: float) -> None:
        """Send `count` requests at once, byte by byte with pauses when slow, and read the answers."""
        if self.writer is None:
            await self.open()
        assert self.writer is not None
        sent = count
        data = self.load.request * count
        if pause:
            for at in range(0, len(data), 16):
                self.writer.write(data[at : at + 16])
                await self.writer.drain()
                await asyncio.sleep(pause)
        else:
            self.writer.write(data)
        again = True
        while sent and again:
            again = await self.answer()
            sent -= 1
            self.load.requests += 1
        if not again:
            # What was pipelined behind an answer with Connection: close was not processed and may be sent again (RFC 9112, 9.3.2).
            self.close()
            if sent:
                await self.one(sent, pause)

    async def run(self, kind: str) -> None:
        while not self.load.stopping:
            try:
                await self.one(4 if kind == "pipelined" else 1, 0.01 if kind == "slow" else 0)
            except (Failed, OSError, EOFError, ValueError, KeyError, IndexError) as error:
                self.load.failures[f"{type(error).__name__}: {error}"] += 1
                self.close()
            if kind == "new":
                self.close()
            await asyncio.sleep(self.load.pause)
        self.close()


class Load:
    """All clients of one process."""

    def __init__(self, options: argparse.Namespace) -> None:
        self.options = options
        self.requests = 0
        self.failures: collections.Counter[str] = collections.Counter()
        self.stopping = False
        self.pause = options.pause
        host = urlsplit(options.url).netloc if options.url else "localhost"
        token = f"Authorization: Bearer {options.token}\r\n" if options.token else ""
        self.request = f"GET {options.path} HTTP/1.1\r\nHost: {host}\r\n{token}\r\n".encode()

    async def connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        if self.options.socket:
            return await asyncio.open_unix_connection(self.options.socket)
        parts = urlsplit(self.options.url)
        return await asyncio.open_connection(parts.hostname, parts.port)

    def stop(self) -> None:
        self.stopping = True

    async def run(self) -> None:
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, self.stop)
        kinds = self.options.kind.split(",")
        async with asyncio.TaskGroup() as group:
            for number in range(self.options.clients):
                group.create_task(Client(self).run(kinds[number % len(kinds)]))
            print("up", flush=True)


def main() -> None:
    """Run until SIGTERM."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--socket")
    parser.add_argument("--url")
    parser.add_argument("--token")
    parser.add_argument("--path", default="/livez")
    parser.add_argument("--clients", type=int, default=10)
    parser.add_argument("--kind", default="keep-alive")
    parser.add_argument("--pause", type=float, default=0.02)
    parser.add_argument("--report", required=True)
    load = Load(parser.parse_args())
    asyncio.run(load.run())
    with open(f"{load.options.report}.new", "w") as file:
        json.dump({"requests": load.requests, "failures": load.failures}, file)
    os.rename(f"{load.options.report}.new", load.options.report)


if __name__ == "__main__":
    main()
