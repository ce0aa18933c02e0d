"""Writes a spool as the scribe does, for tests of its readers."""

from __future__ import annotations

import os

from pillion.keeper.chunks import encode_chunk, segment_header, segment_name

START_NS = 1_795_360_526_000_000_000


class Spool:
    """One stream's writer: `write` appends a chunk, `roll` begins a new segment, `drop` loses bytes."""

    def __init__(
        self, state_dir: str, run: str = "20261122T151526-aaaa", stream: str = "stdout"
    ) -> None:
        self.directory = f"{state_dir}/spool/{run}/{stream}"
        os.makedirs(self.directory, exist_ok=True)
        self.offset = 0
        self.time_ns = START_NS
        self.path = ""

    def roll(self) -> str:
        self.path = f"{self.directory}/{segment_name(self.offset)}"
        with open(self.path, "wb") as file:
            file.write(segment_header(self.offset, self.time_ns))
        return self.path

    def write(self, payload: bytes) -> None:
        if not self.path:
            self.roll()
        with open(self.path, "ab") as file:
            file.write(encode_chunk(payload, self.offset, self.time_ns))
        self.offset += len(payload)
        self.time_ns += 1_000_000

    def drop(self, count: int) -> None:
        self.offset += count
