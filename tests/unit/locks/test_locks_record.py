"""Keys and values of locks: what is ours is read, what is not is left alone."""

from __future__ import annotations

import pytest

from pillion.locks.board import Board, queues_of
from pillion.locks.record import Life, Record, decode, encode, is_name, split_key
from pillion.store.interface import Change, Entry

RECORD = Record(
    holder="h",
    lease="l",
    instance="i",
    run="r",
    agent=Life(1, 2),
    ttl_s=15.0,
    since_s=1.5,
    bind="process",
    life=Life(3, 4),
)


def entry(key: str, created: int, value: bytes | None = None) -> Entry:
    return Entry(
        key=key,
        value=encode(RECORD) if value is None else value,
        revision=created,
        created=created,
        time_s=0.0,
    )


@pytest.mark.parametrize("name", ["a", "shop.import", "Nightly:2026-01-01", "a@b_c", "x" * 128])
def test_names(name: str) -> None:
    assert is_name(name)


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "a b", "é", "-a", "x" * 129, "a\n", "a\0b"])
def test_no_names(name: str) -> None:
    assert not is_name(name)


def test_a_record_comes_back_as_it_was() -> None:
    assert decode(encode(RECORD)) == RECORD


@pytest.mark.parametrize("value", [b"", b"null", b"[]", b"{}", b'{"holder": 1}', b"\xff"])
def test_foreign_values_are_none(value: bytes) -> None:
    assert decode(value) is None


@pytest.mark.parametrize("key", ["locks", "locks/", "config/a/b", "locks/x/", "x"])
def test_foreign_keys_are_none(key: str) -> None:
    assert split_key(key) is None


def test_foreign_entries_hold_nothing() -> None:
    board = Board()
    board.reset(9, [entry("locks/x/a", 3, b"garbage"), entry("locks/x/b", 5)])
    first = board.first("locks/x")
    assert first is not None
    assert first.id == "b"
    board.apply(10, [Change(key="locks/x/b", value=b"garbage", revision=10, time_s=0.0)])
    assert board.first("locks/x") is None
    assert board.queue("locks/x") == []


def test_queues_are_in_the_order_of_creation() -> None:
    entries = [entry("locks/x/a", 7), entry("locks/x/b", 3), entry("elections/y/c", 5)]
    queues = queues_of(entries)
    assert list(queues) == ["elections/y", "locks/x"]
    assert [one.token for one in queues["locks/x"]] == [3, 7]


def test_a_change_told_twice_changes_nothing() -> None:
    board = Board()
    change = Change(key="locks/x/a", value=encode(RECORD), revision=4, time_s=0.0)
    board.apply(4, [change])
    board.apply(4, [change])
    assert [one.token for one in board.queue("locks/x")] == [4]
    assert board.revision == 4
