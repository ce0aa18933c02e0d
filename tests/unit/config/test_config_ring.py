"""The last changes, bounded, and who may go on from where."""

from __future__ import annotations

from pillion.config.items import Item
from pillion.config.ring import Ring, Selection
from pillion.config.tree import Step


def step(revision: int, key: str = "a", layer: str = "service", *, shows: bool = True) -> Step:
    item = Item(key, layer, b"1", revision, created=revision)
    return Step(revision, key, layer, item, item, shows)


def test_what_comes_after_a_revision() -> None:
    ring = Ring()
    ring.begin(10)
    ring.add(11, [step(11)])
    ring.add(12, [])
    ring.add(15, [step(15, "b")])
    assert ring.after(9) is None
    assert [group.revision for group in ring.after(10) or ()] == [11, 15]
    assert [group.revision for group in ring.after(11) or ()] == [15]
    assert ring.after(15) == []
    assert ring.after(99) == []
    assert ring.end == 15


def test_it_is_bounded_by_steps() -> None:
    ring = Ring(most_steps=3)
    ring.begin(0)
    for revision in range(1, 8):
        ring.add(revision, [step(revision)])
    assert ring.start == 4
    assert ring.dropped == 4
    assert ring.after(3) is None
    assert [group.revision for group in ring.after(4) or ()] == [5, 6, 7]


def test_it_is_bounded_by_bytes_even_for_one_group() -> None:
    ring = Ring(most_bytes=1000)
    ring.begin(0)
    ring.add(1, [step(1, f"k{i}") for i in range(10)])
    assert ring.after(0) is None
    assert ring.after(1) == []
    assert ring.dropped == 10


def test_a_revision_that_comes_twice_begins_anew() -> None:
    ring = Ring()
    ring.begin(1)
    epoch = ring.epoch
    ring.add(2, [step(2)])
    ring.add(2, [step(2, "b")])
    assert ring.epoch == epoch + 1
    assert ring.start == 2


def test_skipping_is_no_new_beginning() -> None:
    ring = Ring()
    ring.begin(5)
    epoch = ring.epoch
    ring.add(6, [step(6)])
    ring.skip(9)
    assert ring.after(6) is None
    assert ring.after(9) == []
    assert (ring.end, ring.epoch) == (9, epoch)


def test_changed_says_so_or_that_it_does_not_know() -> None:
    ring = Ring()
    ring.begin(10)
    ring.add(11, [step(11, "a")])
    ring.add(12, [step(12, "b/c", "instance", shows=False)])
    assert ring.changed(10, Selection(key="a")) is True
    assert ring.changed(11, Selection(key="a")) is False
    assert ring.changed(9, Selection(key="z")) is None
    assert ring.changed(10, Selection(prefix="b/")) is False
    assert ring.changed(10, Selection(prefix="b/", layer="instance")) is True
    assert ring.changed(10, Selection(prefix="b/", layer="service")) is False


def test_only_the_last_event_of_a_revision_can_be_resumed_from() -> None:
    ring = Ring()
    ring.begin(0)
    group = ring.add(7, [step(7, "a"), step(7, "b"), step(7, "x")])
    assert group is not None
    events = group.events(Selection())
    assert [event.revision for event in events] == [None, None, 7]
    chosen = group.events(Selection(key="b"))
    assert [event.revision for event in chosen] == [7]


def test_a_deletion_is_told_with_the_revision_of_it() -> None:
    ring = Ring()
    ring.begin(0)
    group = ring.add(3, [Step(3, "a", "service", None, None, shows=True)])
    assert group is not None
    (event,) = group.events(Selection())
    assert (event.kind, event.revision) == ("delete", 3)
    assert event.data == b'{"key":"a","revision":3,"layer":"service"}'
