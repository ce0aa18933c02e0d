"""gzip and its checksum are the same whoever makes them."""

from __future__ import annotations

import gzip
import importlib
import sys
import zlib
from typing import TYPE_CHECKING

import pytest

from pillion.logs import deflate

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import ModuleType


@pytest.fixture(params=["as installed", "without the wheel"])
def either(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    """The module with whatever library is there, and with zlib."""
    if request.param == "as installed":
        yield deflate
        return
    monkeypatch.setitem(sys.modules, "isal", None)
    monkeypatch.setitem(sys.modules, "isal.isal_zlib", None)
    importlib.reload(deflate)
    yield deflate
    monkeypatch.undo()
    importlib.reload(deflate)


def test_pieces_become_one_member(either: ModuleType) -> None:
    pieces = [b"head", memoryview(bytearray(b"line\n" * 100_000)), b"", b"\x00\xff"]
    packed = either.gzip(pieces)
    assert gzip.decompress(packed) == b"".join(pieces)
    assert len(packed) < 10_000


def test_nothing_is_a_member_too(either: ModuleType) -> None:
    assert gzip.decompress(either.gzip([])) == b""


@pytest.mark.parametrize("data", [b"", b"123456789", bytes(range(256)) * 999])
def test_the_checksum_is_that_of_the_spool(either: ModuleType, data: bytes) -> None:
    assert either.crc32(memoryview(data)) == zlib.crc32(data)
