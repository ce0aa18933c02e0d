"""However a stream was cut into chunks, its lines are the same."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hypothesis import given, settings
from hypothesis import strategies as st

if TYPE_CHECKING:
    from types import SimpleNamespace

Item = Any

CAP = 16
text = st.lists(
    st.one_of(
        st.binary(max_size=40),
        st.just(b"\n"),
        st.just(b"\r\n"),
        st.just("äöü€𝄞".encode()),
        st.just(b"x" * CAP),
    ),
    max_size=20,
).map(b"".join)
cuts = st.lists(st.integers(1, 20), max_size=60)


def _pieces(data: bytes, sizes: list[int]) -> list[bytes]:
    pieces = []
    at = 0
    for size in sizes:
        pieces.append(data[at : at + size])
        at += size
    pieces.append(data[at:])
    return [piece for piece in pieces if piece]


def _shape(items: list[Item]) -> list[tuple[object, ...]]:
    return [
        (i.offset, i.end, i.lost, i.why) if hasattr(i, "lost") else (i.offset, i.end, i.data, i.cut)
        for i in items
    ]


def _split(pieces: list[bytes], splitter: Any) -> list[Item]:
    items: list[Item] = []
    for piece in pieces:
        items += splitter.feed(1, piece)
    return items + splitter.finish()


@settings(max_examples=120, deadline=None)
@given(data=text, sizes=cuts)
def test_any_split_gives_the_same_lines(
    hot: SimpleNamespace, data: bytes, sizes: list[int]
) -> None:
    whole = _split([data] if data else [], hot.lines.LineSplitter(0, CAP))
    assert _shape(_split(_pieces(data, sizes), hot.lines.LineSplitter(0, CAP))) == _shape(whole)


@settings(max_examples=120, deadline=None)
@given(data=text, sizes=cuts)
def test_no_byte_is_lost_or_doubled(hot: SimpleNamespace, data: bytes, sizes: list[int]) -> None:
    at = 0
    for item in _split(_pieces(data, sizes), hot.lines.LineSplitter(0, CAP)):
        assert isinstance(item, hot.lines.Line)
        assert item.offset == at
        assert len(item.data) <= CAP
        assert data[at : item.end].rstrip(b"\r\n") == item.data.rstrip(b"\r\n")
        at = item.end
    assert at == len(data)


@settings(max_examples=120, deadline=None)
@given(before=text, after=text, sizes=cuts, lost=st.integers(1, 1000))
def test_a_loss_stands_in_its_place_and_is_exact(
    hot: SimpleNamespace, before: bytes, after: bytes, sizes: list[int], lost: int
) -> None:
    splitter = hot.lines.LineSplitter(0, CAP)
    items: list[Item] = []
    for piece in _pieces(before, sizes):
        items += splitter.feed(1, piece)
    items += splitter.gap(len(before) + lost, 2, "dropped")
    for piece in _pieces(after, sizes):
        items += splitter.feed(3, piece)
    items += splitter.finish()
    losses = [item for item in items if isinstance(item, hot.lines.Loss)]
    assert len(losses) == 1
    loss = losses[0]
    assert (loss.offset, loss.lost) == (len(before), lost)
    assert 0 <= loss.skipped <= CAP
    at = 0
    for item in items:
        assert item.offset == at
        at = item.end
    assert at == len(before) + lost + len(after)
    # What was passed over ends with a newline, unless there was none within the cap.
    passed = after[: loss.skipped]
    assert b"\n" not in passed[:-1]
    assert passed.endswith(b"\n") or len(passed) == min(CAP, len(after))


@settings(max_examples=120, deadline=None)
@given(data=text, sizes=cuts, stop=st.integers(0, 60))
def test_a_new_splitter_at_the_position_goes_on_where_the_old_one_was(
    hot: SimpleNamespace, data: bytes, sizes: list[int], stop: int
) -> None:
    pieces = _pieces(data, sizes)
    first = hot.lines.LineSplitter(0, CAP)
    items: list[Item] = []
    for piece in pieces[:stop]:
        items += first.feed(1, piece)
    again = hot.lines.LineSplitter(first.position, CAP)
    rest = _split([data[first.position :]] if data[first.position :] else [], again)
    assert _shape(items + rest) == _shape(
        _split([data] if data else [], hot.lines.LineSplitter(0, CAP))
    )
