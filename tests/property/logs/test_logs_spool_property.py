"""A reader of the spool invents nothing and misses nothing, whatever the disk did."""

from __future__ import annotations

import os
import random
import tempfile

from hypothesis import given, settings
from hypothesis import strategies as st

from logs_spooling import Spool
from pillion.logs.spool import Chunk, Gap, StreamReader

Step = tuple[str, int]

steps = st.lists(
    st.one_of(
        st.tuples(st.just("write"), st.integers(1, 3000)),
        st.tuples(st.just("roll"), st.just(0)),
        st.tuples(st.just("drop"), st.integers(1, 500)),
    ),
    min_size=1,
    max_size=25,
)
damages = st.lists(
    st.one_of(
        st.tuples(
            st.just("flip"), st.integers(0, 10**6), st.integers(0, 10**6), st.integers(1, 255)
        ),
        st.tuples(st.just("truncate"), st.integers(0, 10**6), st.integers(0, 10**6), st.just(0)),
        st.tuples(st.just("unlink"), st.integers(0, 10**6), st.just(0), st.just(0)),
        st.tuples(st.just("zeros"), st.integers(0, 10**6), st.integers(1, 5000), st.just(0)),
    ),
    max_size=4,
)


# The stream's bytes: no short period, so that a byte from a wrong place shows.
_BYTES = random.Random(7).randbytes(100_000)


def _payload(offset: int, count: int) -> bytes:
    return _BYTES[offset : offset + count]


def _build(spool: Spool, plan: list[Step]) -> None:
    spool.write(_payload(0, 1))
    for kind, count in plan:
        if kind == "write":
            spool.write(_payload(spool.offset, count))
        elif kind == "drop":
            spool.drop(count)
        else:
            spool.roll()


def _read_all(reader: StreamReader) -> list[Chunk | Gap]:
    items: list[Chunk | Gap] = []
    while step := reader.read(final=True):
        items += step
    return items


def _check(items: list[Chunk | Gap], start: int) -> int:
    """Contiguous from `start`, every byte the stream's own; returns where it ends."""
    at = start
    for item in items:
        if isinstance(item, Gap):
            assert item.start == at
            assert item.end > item.start
            at = item.end
        else:
            assert item.offset == at
            assert item.payload == _payload(at, len(item.payload))
            at += len(item.payload)
    return at


@settings(max_examples=120, deadline=None)
@given(plan=steps)
def test_an_undamaged_spool_is_read_whole_with_its_drops(plan: list[Step]) -> None:
    with tempfile.TemporaryDirectory() as state:
        spool = Spool(state)
        _build(spool, plan)
        reader = StreamReader(spool.directory)
        items = _read_all(reader)
        end = _check(items, 0)
        written = 1 + sum(count for kind, count in plan if kind == "write")
        assert sum(len(i.payload) for i in items if isinstance(i, Chunk)) == written
        assert all(item.why == "dropped" for item in items if isinstance(item, Gap))
        trailing = 0
        for kind, count in reversed(plan):
            if kind == "write":
                break
            trailing += count
        assert end == spool.offset - trailing
        assert reader.torn_bytes == 0
        reader.close()


@settings(max_examples=250, deadline=None)
@given(plan=steps, damage=damages, position=st.integers(0, 20_000))
def test_a_damaged_spool_yields_only_true_bytes_and_exact_gaps(
    plan: list[Step], damage: list[tuple[str, int, int, int]], position: int
) -> None:
    with tempfile.TemporaryDirectory() as state:
        spool = Spool(state)
        _build(spool, plan)
        for kind, which, where, value in damage:
            there = sorted(os.listdir(spool.directory))
            if not there:
                break
            path = f"{spool.directory}/{there[which % len(there)]}"
            with open(path, "r+b") as file:
                content = bytearray(file.read())
                if kind == "flip" and content:
                    content[where % len(content)] ^= value
                elif kind == "truncate":
                    del content[where % (len(content) + 1) :]
                elif kind == "zeros":
                    content += bytes(where)
                file.seek(0)
                file.truncate()
                file.write(content)
            if kind == "unlink":
                os.unlink(path)
        reader = StreamReader(spool.directory, position)
        _check(_read_all(reader), position)
        reader.close()


@settings(max_examples=60, deadline=None)
@given(plan=steps, cuts=st.lists(st.integers(1, 4000), max_size=30))
def test_a_growing_spool_yields_the_same_however_its_writes_appear(
    plan: list[Step], cuts: list[int]
) -> None:
    """The writer's appends become visible piece by piece; nothing is taken for damage."""
    with tempfile.TemporaryDirectory() as state, tempfile.TemporaryDirectory() as shown:
        spool = Spool(state)
        _build(spool, [*plan, ("write", 10)])
        whole = StreamReader(spool.directory)
        expected = b"".join(i.payload for i in _read_all(whole) if isinstance(i, Chunk))
        whole.close()
        reader = StreamReader(shown)
        found: list[Chunk | Gap] = []
        for name in sorted(os.listdir(spool.directory)):
            with open(f"{spool.directory}/{name}", "rb") as file:
                content = file.read()
            with open(f"{shown}/{name}", "ab", buffering=0) as file:
                at = 0
                for cut in [*cuts, len(content)]:
                    file.write(content[at : at + cut])
                    at += cut
                    found += reader.read()
        while step := reader.read():
            found += step
        _check(found, 0)
        assert b"".join(i.payload for i in found if isinstance(i, Chunk)) == expected
        assert all(item.why == "dropped" for item in found if isinstance(item, Gap))
        assert reader.torn_bytes == 0
        reader.close()
