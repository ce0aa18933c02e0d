"""Joining lines: patterns, bounds, losses and time."""

from __future__ import annotations

from pillion.logs.lines import Item, Line, LineSplitter, Loss
from pillion.logs.multiline import Joiner


def lines(*texts: str) -> list[Item]:
    return LineSplitter().feed(1, "".join(text + "\n" for text in texts).encode())


def texts(items: list[Item]) -> list[bytes]:
    return [item.data for item in items if isinstance(item, Line)]


def test_a_start_pattern_begins_records() -> None:
    joiner = Joiner(r"^\d")
    assert texts(joiner.feed(lines("1 a", "  b", "  c", "2 d"), 0)) == [b"1 a\n  b\n  c"]
    assert texts(joiner.flush()) == [b"2 d"]
    assert joiner.flush() == []


def test_a_continuation_pattern_continues() -> None:
    joiner = Joiner(r"^\s|^Caused by:", starts=False)
    items = joiner.feed(lines("Exception", "\tat x", "Caused by: y", "next"), 0)
    assert texts(items) == [b"Exception\n\tat x\nCaused by: y"]


def test_offsets_span_the_record() -> None:
    (joined,) = Joiner(r"^\d").feed(lines("1 a", "b", "2"), 0)
    assert isinstance(joined, Line)
    assert (joined.offset, joined.end) == (0, 6)


def test_records_are_bounded_in_lines_and_bytes() -> None:
    joiner = Joiner(r"^\d", max_lines=3)
    assert texts(joiner.feed(lines("1", "a", "b", "c", "d"), 0)) == [b"1\na\nb"]
    joiner = Joiner(r"^\d", max_bytes=8)
    assert texts(joiner.feed(lines("1", "aaa", "bbb"), 0)) == [b"1\naaa"]


def test_what_is_held_is_due_after_its_time() -> None:
    joiner = Joiner(r"^\d", timeout_s=1.0)
    assert joiner.deadline_s is None
    joiner.feed(lines("1"), 10.0)
    joiner.feed(lines("a"), 10.5)
    assert joiner.deadline_s == 11.5
    assert joiner.due(11.4) == []
    assert texts(joiner.due(11.5)) == [b"1\na"]
    assert joiner.deadline_s is None


def test_a_loss_ends_a_record_and_stays_in_its_place() -> None:
    joiner = Joiner(r"^\d")
    loss = Loss(4, 9, 1, 5, "dropped")
    items = joiner.feed([*lines("1", "a"), loss, *lines("2")], 0)
    assert texts(items) == [b"1\na"]
    assert items[1] == loss


def test_the_rest_of_a_cut_line_belongs_to_it() -> None:
    joiner = Joiner(r"^\d")
    splitter = LineSplitter(cap_bytes=8)
    items = joiner.feed(splitter.feed(1, b"12345678901\n2\n"), 0)
    assert texts(items) == [b"12345678\n901"]
