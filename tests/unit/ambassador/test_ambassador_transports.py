"""What is sealed by TLS is given to it joined, and a little at a time."""

from __future__ import annotations

import asyncio

import pytest

from pillion.ambassador.transports import SEALED_BYTES, write_sealed


class Written(asyncio.Transport):
    """Keeps what is written."""

    def __init__(self) -> None:
        super().__init__()
        self.writes: list[bytes] = []

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.writes.append(bytes(data))


@pytest.mark.parametrize(
    "sizes",
    [[1], [300, 10], [6, 20_000, 2], [SEALED_BYTES], [SEALED_BYTES + 1], [300, 5 * SEALED_BYTES]],
)
def test_whatever_the_pieces_no_write_is_large_and_every_byte_is_in_its_place(
    sizes: list[int],
) -> None:
    pieces = [bytes([at]) * size for at, size in enumerate(sizes)]
    transport = Written()
    write_sealed(transport, pieces)
    assert b"".join(transport.writes) == b"".join(pieces)
    assert len(transport.writes) == -(-sum(sizes) // SEALED_BYTES)
    assert max(map(len, transport.writes)) <= SEALED_BYTES
