"""The file sink: records as NDJSON in a file that is renamed when it is full, with nothing lost over restarts.

The position moves after a batch is written. A disk that refuses, or a crash, leaves part of a batch in the file, which is then
written again: duplicates that offsets prove.
"""

from __future__ import annotations

import asyncio
import os
from typing import TYPE_CHECKING

import msgspec

from pillion.keeper.streams import REQUESTS
from pillion.logs.json_records import JsonPieces
from pillion.logs.protobuf import valid_utf8
from pillion.logs.requests import RequestRecords
from pillion.logs.severity import short_name
from pillion.logs.sinks import Again, Outcome, Sent
from pillion.logs.stamp import rfc3339

if TYPE_CHECKING:
    from collections.abc import Mapping
    from concurrent.futures import Executor

    from pillion.logs.facts import Facts
    from pillion.logs.sinks import Groups, Records


_BEGINNING = b'{"time":"'


class NdjsonRecords(JsonPieces):
    """One JSON object for each record, with the stream's attributes named without their prefix."""

    SEPARATOR = b""

    def __init__(self, attributes: Mapping[str, object], stream: str) -> None:
        super().__init__(stream)
        self._constant = {
            key.removeprefix("pillion."): value
            for key, value in attributes.items()
            if key != "log.iostream"
        }

    def encode(self, facts: Facts, offset: int, time_ns: int, *, cut: bool) -> bytes:
        """Return one line."""
        shown: dict[str, object] = {
            "time": rfc3339(facts.time_ns or time_ns),
            **self._constant,
            "offset": offset,
            "level": short_name(facts.severity).lower() or None,
            "body": valid_utf8(facts.body).decode(),
        }
        if cut:
            shown["cut"] = True
        if facts.trace:
            shown["trace_id"] = facts.trace.hex()
        if facts.span:
            shown["span_id"] = facts.span.hex()
        if facts.attributes:
            shown["attributes"] = facts.attributes
        return msgspec.json.encode(shown) + b"\n"


class RotatingFile:
    """Appends to `path`; at `size_bytes` it becomes `path.1`, which becomes `path.2`, up to `keep` older files.

    Not thread safe; every method may wait for the disk.
    """

    def __init__(self, path: str, *, size_bytes: int, keep: int) -> None:
        self.path = path
        self.rotations = 0
        self._limit = size_bytes
        self._keep = keep
        self._fd = -1
        self._size = 0

    def append(self, data: bytes) -> None:
        """Append the lines of `data`. Raises `OSError`; the file then ends with a whole line."""
        if self._fd >= 0 and self._replaced():
            self.close()
        if self._fd < 0:
            self._open()
        at = 0
        while at < len(data):
            end = self._end_of_part(data, at)
            if end > at:
                self._write(memoryview(data)[at:end])
                at = end
            if at < len(data):
                self._rotate()

    def _end_of_part(self, data: bytes, at: int) -> int:
        """Where the lines end that still fit; a line longer than a whole file gets one of its own."""
        room = self._limit - self._size
        if len(data) - at <= room:
            return len(data)
        end = data.rfind(b"\n", at, at + max(0, room)) + 1
        if end or self._size:
            return max(at, end)
        return data.find(b"\n", at) + 1 or len(data)

    def _write(self, view: memoryview) -> None:
        count = len(view)
        try:
            while view:
                view = view[os.write(self._fd, view) :]
        except OSError:
            self._cut_back()
            raise
        self._size += count

    def _cut_back(self) -> None:
        try:
            os.ftruncate(self._fd, self._size)
        except OSError:
            self.close()  # opened again, a torn line at the end is cut then

    def close(self) -> None:
        """Give the descriptor back."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def _replaced(self) -> bool:
        """Whether somebody else has renamed or removed the file."""
        try:
            there, ours = os.stat(self.path), os.fstat(self._fd)
        except FileNotFoundError:
            return True
        return (there.st_dev, there.st_ino) != (ours.st_dev, ours.st_ino)

    def _open(self) -> None:
        os.makedirs(os.path.dirname(self.path) or ".", exist_ok=True)
        self._fd = os.open(
            self.path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600
        )
        self._size = os.fstat(self._fd).st_size
        self._cut_torn_line()

    def _cut_torn_line(self) -> None:
        """A crash may have left half a record at the end; its batch is written again."""
        at = self._size
        while at > 0:
            start = max(0, at - 65536)
            block = os.pread(self._fd, at - start, start)
            newline = block.rfind(b"\n")
            if newline >= 0:
                at = start + newline + 1
                break
            at = start
        if at == self._size:
            return
        if os.pread(self._fd, len(_BEGINNING), at).startswith(_BEGINNING[: self._size - at]):
            os.ftruncate(self._fd, at)
            self._size = at
        else:
            # Not a record of ours: nothing of somebody else's is thrown away.
            self._size += os.write(self._fd, b"\n")

    def _rotate(self) -> None:
        for number in range(self._keep - 1, 0, -1):
            try:
                os.replace(f"{self.path}.{number}", f"{self.path}.{number + 1}")
            except FileNotFoundError:
                continue
        if self._keep:
            os.replace(self.path, f"{self.path}.1")
        else:
            os.unlink(self.path)
        self.close()
        self.rotations += 1
        self._open()


class FileSink:
    """Writes batches to a rotating file in a thread of `executor`, so that a hanging disk does not hang the loop."""

    name = "file"
    in_flight = 1

    def __init__(self, file: RotatingFile, executor: Executor) -> None:
        self._file = file
        self._executor = executor

    def records(self, attributes: Mapping[str, object], stream: str) -> Records:
        """Return an empty encoder for a stream whose records all have `attributes`."""
        records = NdjsonRecords(attributes, stream)
        return RequestRecords(records) if stream == REQUESTS else records

    def seal(self, groups: Groups) -> bytes:
        """Return the lines of a batch."""
        return b"".join([records for _, scopes in groups for _, records in scopes])

    async def send(self, body: bytes) -> Outcome:
        """Append one batch."""
        loop = asyncio.get_running_loop()
        try:
            await loop.run_in_executor(self._executor, self._file.append, body)
        except OSError as error:
            return Again(f"cannot write {self._file.path}: {error.strerror}")
        return Sent()

    async def close(self) -> None:
        """Close the file."""
        self._file.close()
