"""An OTLP/HTTP receiver that costs little: it answers 200 and counts, and keeps the bodies when asked to.

    python -m bench.sink [--keep FILE]

prints its port. `GET /` tells {"requests", "bytes", "first_ns", "last_ns"} (CLOCK_MONOTONIC). FILE gets each body after
a line with its length, content type and encoding, so that records are counted after the measurement and not in it.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import sys
import time
from typing import BinaryIO

_HEAD_BYTES = 65536


class Counted:
    """What came in."""

    def __init__(self, keep: BinaryIO | None) -> None:
        self.keep = keep
        self.requests = 0
        self.bytes = 0
        self.first_ns = 0
        self.last_ns = 0

    def take(self, body: bytes, content_type: str, encoding: str) -> None:
        """Count one request, and keep its body."""
        self.last_ns = time.monotonic_ns()
        self.first_ns = self.first_ns or self.last_ns
        self.requests += 1
        self.bytes += len(body)
        if self.keep is not None:
            self.keep.write(f"{len(body)} {content_type} {encoding or 'identity'}\n".encode())
            self.keep.write(body)
            self.keep.flush()

    def tell(self) -> bytes:
        """The counters as JSON."""
        told = {
            "requests": self.requests,
            "bytes": self.bytes,
            "first_ns": self.first_ns,
            "last_ns": self.last_ns,
        }
        return json.dumps(told).encode()


async def _serve(
    counted: Counted, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> None:
    try:
        while True:
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
            fields = {
                name.lower(): value.strip()
                for name, _, value in (line.partition(":") for line in head[1:])
            }
            size = int(fields.get("content-length", "0"))
            body = await reader.readexactly(size) if size else b""
            kind = fields.get("content-type", "application/x-protobuf")
            answer = b"{}" if kind == "application/json" else b""
            if head[0].startswith("GET"):
                kind, answer = "application/json", counted.tell()
            else:
                counted.take(body, kind, fields.get("content-encoding", ""))
            writer.write(
                f"HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\nContent-Length: {len(answer)}\r\n\r\n".encode()
                + answer
            )
            await writer.drain()
    except (asyncio.IncompleteReadError, ConnectionError):
        pass
    finally:
        writer.close()


async def _main(keep: str | None) -> None:
    file = open(keep, "ab", buffering=1 << 20) if keep else None  # noqa: ASYNC230, SIM115 # for the whole run
    counted = Counted(file)
    server = await asyncio.start_server(
        lambda reader, writer: _serve(counted, reader, writer), "127.0.0.1", 0, limit=_HEAD_BYTES
    )
    sys.stdout.write(f"{server.sockets[0].getsockname()[1]}\n")
    sys.stdout.flush()
    # Nobody is left to ask once whoever started us has gone.
    parent = os.getppid()
    while os.getppid() == parent:  # noqa: ASYNC110 # nothing tells an event of it
        await asyncio.sleep(1)


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--keep")
    asyncio.run(_main(parser.parse_args().keep))
