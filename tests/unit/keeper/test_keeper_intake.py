"""How much one read takes from a pipe, and when the next may wait."""

from __future__ import annotations

import fcntl
import os
from typing import TYPE_CHECKING

import pytest

from pillion.keeper import ring
from pillion.keeper.intake import Input, Pipe

if TYPE_CHECKING:
    from collections.abc import Iterator

SCRATCH = bytearray(ring.SLAB_BYTES)
KIB = 1024


class Fed:
    """A pipe with an input at its end."""

    def __init__(self) -> None:
        read, self.write = os.pipe()
        capacity = fcntl.fcntl(self.write, fcntl.F_SETPIPE_SZ, 512 * KIB)
        os.set_blocking(read, False)
        self.memory = ring.create_memory(1 << 20)
        self.input = Input(
            Pipe("stdout", read, self.memory, capacity),
            ring.Ring(self.memory),
            ring.DROP_OLDEST,
        )

    def feed(self, size: int) -> None:
        assert os.write(self.write, b"x" * size) == size

    def read(self) -> int:
        return self.input.read(SCRATCH)

    def close(self) -> None:
        for fd in (self.input.fd, self.write, self.memory):
            os.close(fd)


@pytest.fixture
def fed() -> Iterator[Fed]:
    one = Fed()
    yield one
    one.close()


def test_what_is_there_comes_in_one_read_though_a_slab_has_little_left(fed: Fed) -> None:
    for _ in range(3):
        fed.feed(220 * KIB)
        assert fed.read() == 220 * KIB
        assert not fed.input.behind


def test_small_reads_fill_a_slab(fed: Fed) -> None:
    for _ in range(30):
        fed.feed(8 * KIB)
        assert fed.read() == 8 * KIB
    assert fed.input.ring.pending_bytes > 240 * KIB


def test_what_does_not_fit_is_read_at_once(fed: Fed) -> None:
    fed.feed(300 * KIB)
    first = fed.read()
    assert 0 < first < 300 * KIB
    assert fed.input.behind
    assert first + fed.read() == 300 * KIB
    assert not fed.input.behind


def test_a_pipe_half_full_is_read_again_at_once(fed: Fed) -> None:
    fed.input.pace_below = 100 * KIB
    fed.feed(100 * KIB)
    assert fed.read() == 100 * KIB
    assert fed.input.behind
    fed.feed(99 * KIB)
    assert fed.read() == 99 * KIB
    assert not fed.input.behind


def test_nothing_to_read_is_not_behind(fed: Fed) -> None:
    assert fed.read() == 0
    assert not fed.input.behind
    assert not fed.input.ended
