"""The stream of what is posted: messages stay whole on their way into the ring, whoever writes and whoever dies."""

from __future__ import annotations

import os
import socket
from typing import TYPE_CHECKING

import pytest

from pillion.keeper import output
from pillion.keeper.chunks import CHUNK_HEADER_BYTES, iter_chunks
from pillion.keeper.intake import Input, Pipe
from pillion.keeper.plan import default_plan
from pillion.keeper.ring import BLOCK, DROP_OLDEST, SLAB_BYTES, Ring
from pillion.keeper.streams import API, MESSAGE_BYTES, SAID, STDOUT, STREAMS

if TYPE_CHECKING:
    from collections.abc import Iterator

SCRATCH = bytearray(1 << 18)


class Posted:
    """Both ends of the stream as the keeper opens it, with a scribe's input on it."""

    def __init__(self, full: str = DROP_OLDEST, ring_bytes: int = 3 * SLAB_BYTES) -> None:
        logs = default_plan(["true"], "app")["logs"]
        self.stream = output.open_stream(API, {**logs, "ring_bytes": ring_bytes})
        os.set_blocking(self.stream.read, False)
        self.writer = socket.socket(fileno=self.stream.write)
        self.full = full
        self.inputs: list[Input] = []
        self.begin()

    def begin(self) -> None:
        """A scribe, or the next one: it has copies of what the keeper holds."""
        self.ring = Ring(self.stream.memory, self.full)
        pipe = Pipe(API, os.dup(self.stream.read), self.stream.memory, self.stream.capacity)
        self.input = Input(pipe, self.ring, self.full)
        self.inputs.append(self.input)

    def send(self, data: bytes) -> bool:
        try:
            return self.writer.send(data, socket.MSG_DONTWAIT) == len(data)
        except BlockingIOError:
            return False

    def chunks(self) -> list[bytes]:
        found = []
        while (batch := self.ring.take()) is not None:
            for at, _, _, length in iter_chunks(batch.data):
                at += CHUNK_HEADER_BYTES
                found.append(bytes(batch.data[at : at + length]))
            self.ring.release(batch, len(batch.data))
        return found

    def close(self) -> None:
        self.writer.close()
        for one in self.inputs:
            assert one.socket is not None
            one.socket.close()
        os.close(self.stream.read)
        os.close(self.stream.memory)


@pytest.fixture
def posted() -> Iterator[Posted]:
    one = Posted()
    yield one
    one.close()


def test_it_is_a_stream_like_those_of_the_app() -> None:
    assert API in STREAMS
    assert set(SAID) == {STDOUT, "stderr", API}
    assert MESSAGE_BYTES <= SLAB_BYTES // 4


def test_a_message_becomes_a_chunk(posted: Posted) -> None:
    assert posted.send(b"one\n")
    assert posted.send(b"two\nthree\n")
    assert posted.input.read(SCRATCH) == 4
    assert posted.input.read(SCRATCH) == 10
    assert posted.input.read(SCRATCH) == 0
    assert not posted.input.ended
    assert posted.chunks() == [b"one\n", b"two\nthree\n"]


def test_a_message_without_anything_in_it_stands_in_nobodys_way(posted: Posted) -> None:
    assert posted.send(b"")
    assert posted.send(b"after\n")
    assert posted.input.read(SCRATCH) == 0
    assert posted.input.read(SCRATCH) == 6
    assert posted.chunks() == [b"after\n"]


def test_no_message_is_cut_where_a_slab_ends(posted: Posted) -> None:
    sent = []
    for number in range(60):
        data = bytes([number]) * (MESSAGE_BYTES - number)
        assert posted.send(data)
        assert posted.input.read(SCRATCH) == len(data)
        sent.append(data)
        if number % 4 == 3:
            assert posted.chunks() == sent
            sent.clear()
    assert posted.ring.dropped == 0


def test_a_full_socket_takes_nothing_rather_than_a_part(posted: Posted) -> None:
    data = b"x" * 40_000
    taken = 0
    while posted.send(data):
        taken += 1
    assert taken
    read = 0
    while posted.input.read(SCRATCH):
        read += 1
    assert read == taken
    assert all(len(chunk) % len(data) == 0 for chunk in posted.chunks())


def test_a_ring_that_blocks_leaves_messages_in_the_socket() -> None:
    one = Posted(BLOCK)
    data = b"x" * MESSAGE_BYTES
    count = 0
    while not one.input.paused:
        assert one.send(data)
        count += bool(one.input.read(SCRATCH))
    assert one.chunks() == [data] * count
    one.input.paused = False
    assert one.input.read(SCRATCH) == len(data)
    assert one.ring.dropped == 0
    one.close()


def test_a_scribe_killed_behind_a_read_leaves_the_message_to_the_next(posted: Posted) -> None:
    posted.send(b"first\n")
    posted.input.read(SCRATCH)
    posted.send(b"second\n")
    room = posted.ring.reserve(7)
    assert room is not None
    posted.ring.intend(7)
    assert os.readv(posted.stream.read, [room[:7]]) == 7
    posted.begin()
    assert posted.chunks() == [b"first\n", b"second\n"]


def test_a_scribe_killed_before_a_read_finds_the_message_where_it_was(posted: Posted) -> None:
    posted.send(b"first\n")
    assert posted.ring.reserve(6) is not None
    posted.ring.intend(6)
    posted.begin()
    assert posted.input.read(SCRATCH) == 6
    assert posted.chunks() == [b"first\n"]
