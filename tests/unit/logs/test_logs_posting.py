"""What may be posted, and how it is packed."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pillion.errors import RefusedError
from pillion.keeper.streams import MESSAGE_BYTES
from pillion.logs import inlet
from pillion.logs.inlet import Inlet
from pillion.logs.posting import LINE_BYTES, Message, json_lines, packed, text_lines

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable


@pytest.mark.parametrize(
    ("body", "lines"),
    [
        (b"", []),
        (b"one", [b"one"]),
        (b"one\n", [b"one"]),
        (b"one\r\ntwo\r\n", [b"one", b"two"]),
        (b"one\n\ntwo", [b"one", b"", b"two"]),
        (b"\n", [b""]),
        (b"\xff\x00\n", [b"\xff\x00"]),
    ],
)
def test_text_becomes_lines(body: bytes, lines: list[bytes]) -> None:
    assert text_lines(body) == lines


@pytest.mark.parametrize(
    ("body", "lines"),
    [
        (b"", []),
        (b"\n \r\n", []),
        (b'{"a": 1}', [b'{"a": 1}']),
        (b'{"a": 1}\r\n\n {} \n', [b'{"a": 1}', b"{}"]),
    ],
)
def test_ndjson_becomes_lines(body: bytes, lines: list[bytes]) -> None:
    assert json_lines(body) == lines


@pytest.mark.parametrize("line", [b"{", b"[1]", b"7", b"null", b'"x"', b'{"a": }', b"{} {}"])
def test_a_line_that_is_no_object_is_refused_with_its_number(line: bytes) -> None:
    with pytest.raises(RefusedError, match="cannot use line 2: ") as caught:
        json_lines(b"{}\n" + line + b"\n{}")
    assert caught.value.status == 422


@pytest.mark.parametrize("read", [text_lines, json_lines])
def test_a_line_too_long_for_a_message_is_refused(read: Callable[[bytes], list[bytes]]) -> None:
    longest = json.dumps({"m": "x" * (LINE_BYTES - 9)}).encode()
    assert len(longest) == LINE_BYTES
    assert packed(read(longest)) == [Message(longest + b"\n", 1)]
    with pytest.raises(RefusedError, match="cannot take line 1: it has 65536 bytes") as caught:
        read(longest.replace(b"x", b"xx", 1))
    assert caught.value.status == 413


@given(st.lists(st.binary(max_size=100).map(lambda b: b.replace(b"\n", b"")), max_size=50))
def test_packing_keeps_every_line_in_order(lines: list[bytes]) -> None:
    messages = packed(lines)
    assert b"".join(m.data for m in messages) == b"".join(line + b"\n" for line in lines)
    assert sum(m.lines for m in messages) == len(lines)


def test_messages_are_filled_and_never_overfilled() -> None:
    messages = packed([b"x" * 999] * 200)
    assert [m.lines for m in messages] == [65, 65, 65, 5]
    assert all(len(m.data) <= MESSAGE_BYTES for m in messages)


def with_inlet(use: Callable[[Inlet, socket.socket], Awaitable[None]]) -> None:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)

    async def run() -> None:
        door = Inlet(ours.detach())
        with contextlib.closing(door):
            await use(door, theirs)

    with theirs:
        asyncio.run(run())


def test_what_finds_no_room_is_counted_and_told() -> None:
    async def use(door: Inlet, _: socket.socket) -> None:
        messages = packed([b"x" * 50_000] * 20)
        taken = await door.put(messages, 0.01)
        assert 0 < taken < 20
        assert (door.taken, door.refused) == (taken, 20 - taken)
        assert await door.put(messages[:1], 0.01) == 0

    with_inlet(use)


def test_who_waits_goes_on_when_there_is_room_again() -> None:
    async def use(door: Inlet, reader: socket.socket) -> None:
        messages = packed([b"%02d" % n + b"x" * 50_000 for n in range(20)])
        first = asyncio.create_task(door.put(messages, 10.0))
        second = asyncio.create_task(door.put(packed([b"last"]), 10.0))
        read = [await asyncio.to_thread(reader.recv, 1 << 17) for _ in range(21)]
        assert [data[:2] for data in read] == [*(b"%02d" % n for n in range(20)), b"la"]
        assert (await first, await second) == (20, 1)
        assert (door.taken, door.refused) == (21, 0)

    with_inlet(use)


def test_only_so_many_may_wait() -> None:
    async def use(door: Inlet, _: socket.socket) -> None:
        messages = packed([b"x" * 50_000] * 20)
        waiting = [asyncio.create_task(door.put(messages, 10.0)) for _ in range(inlet.WAITING)]
        await asyncio.sleep(0)  # each begins
        with pytest.raises(RefusedError, match="16 requests wait"):
            await door.put(messages)
        for task in waiting:
            task.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)
        # Whoever was cancelled has left nothing behind that another would wait for.
        assert await door.put(messages[:1], 0.01) == 0

    with_inlet(use)
