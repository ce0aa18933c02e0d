"""Layers over each other, and what each change shows."""

from __future__ import annotations

from pillion.config.keys import Scopes
from pillion.config.tree import Step, Tree
from pillion.store.interface import Change, Entry

SCOPES = Scopes("prod", "shop", "shop-1")


class Writer:
    """Writes to a tree as the store would tell it."""

    def __init__(self, tree: Tree) -> None:
        self.tree = tree
        self.revision = 0

    def put(self, layer: str, key: str, value: bytes | None) -> Step | None:
        self.revision += 1
        change = Change(
            key=SCOPES.store_key(layer, key),
            value=value,
            revision=self.revision,
            time_s=1.0,
            writer="w",
        )
        step = self.tree.apply(change)
        self.tree.revision = self.revision
        return step


def entry(layer: str, key: str, value: bytes, revision: int) -> Entry:
    return Entry(
        key=SCOPES.store_key(layer, key),
        value=value,
        revision=revision,
        created=revision,
        time_s=1.0,
    )


def test_the_stronger_layer_holds() -> None:
    tree = Tree(SCOPES)
    writer = Writer(tree)
    for layer in ("instance", "service", "environment", "default"):
        writer.put(layer, "a", layer.encode().join([b'"', b'"']))
        assert tree.effective["a"].layer == "instance"
    for layer, below in (
        ("instance", "service"),
        ("service", "environment"),
        ("environment", "default"),
    ):
        step = writer.put(layer, "a", None)
        assert step is not None
        assert step.shows
        assert step.effective is not None
        assert step.effective.layer == below
    step = writer.put("default", "a", None)
    assert step is not None
    assert step.effective is None
    assert tree.effective == {}
    assert tree.size_bytes == 0


def test_a_hidden_change_does_not_show() -> None:
    tree = Tree(SCOPES)
    writer = Writer(tree)
    writer.put("instance", "a", b"1")
    step = writer.put("default", "a", b"2")
    assert step is not None
    assert not step.shows
    assert step.own is not None
    assert step.own.value == b"2"
    assert tree.item("a", "default") is step.own
    assert tree.up_to("a", "service") is step.own
    assert tree.up_to("b", "instance") is None


def test_what_is_known_or_another_s_changes_nothing() -> None:
    tree = Tree(SCOPES)
    writer = Writer(tree)
    writer.put("service", "a", b"1")
    writer.put("service", "a", b"2")
    old = Change(key=SCOPES.store_key("service", "a"), value=b"1", revision=1, time_s=1.0)
    assert tree.apply(old) is None
    other = Change(key="config/service/other/a", value=b"1", revision=9, time_s=1.0)
    assert tree.apply(other) is None
    gone = Change(key=SCOPES.store_key("service", "b"), value=None, revision=9, time_s=1.0)
    assert tree.apply(gone) is None


def test_created_is_the_first_write_since_it_was_absent() -> None:
    tree = Tree(SCOPES)
    writer = Writer(tree)
    writer.put("service", "a", b"1")
    writer.put("service", "a", b"2")
    assert tree.effective["a"].created == 1
    writer.put("service", "a", None)
    writer.put("service", "a", b"3")
    assert tree.effective["a"].created == 4


def test_items_by_prefix_in_order() -> None:
    tree = Tree(SCOPES)
    writer = Writer(tree)
    for key in ("b/2", "b/1", "a", "b", "c", "bb"):
        writer.put("service", key, b"0")
    assert [item.key for item in tree.items("b/")] == ["b/1", "b/2"]
    assert [item.key for item in tree.items("b")] == ["b", "b/1", "b/2", "bb"]
    writer.put("service", "b/0", b"0")
    writer.put("service", "b/2", None)
    assert [item.key for item in tree.items("b/")] == ["b/0", "b/1"]
    assert [item.key for item in tree.items("b/", "service")] == ["b/0", "b/1"]
    assert tree.items("b/", "default") == []


def test_adopting_tells_the_difference_once_per_key() -> None:
    tree = Tree(SCOPES)
    writer = Writer(tree)
    writer.put("service", "a", b"1")
    writer.put("service", "b", b"1")
    writer.put("service", "c", b"1")
    new = [
        entry("service", "a", b"1", 1),
        entry("instance", "b", b"2", 7),
        entry("default", "d", b"4", 8),
    ]
    assert not tree.agrees(new)
    steps = tree.adopt(new, 9)
    shown = {step.key: step.effective for step in steps if step.shows}
    assert {key: item and (item.layer, item.revision) for key, item in shown.items()} == {
        "b": ("instance", 7),
        "c": None,
        "d": ("default", 8),
    }
    assert sum(step.shows for step in steps if step.key == "b") == 1
    assert tree.revision == 9
    assert tree.agrees(new)
    assert tree.adopt(new, 10) == []


def test_another_store_with_the_same_revisions_is_told_apart() -> None:
    tree = Tree(SCOPES)
    tree.adopt([entry("service", "a", b"1", 3)], 3)
    other = [entry("service", "a", b"2", 3)]
    assert not tree.agrees(other)
    assert [step.key for step in tree.adopt(other, 3)] == ["a"]
    assert tree.effective["a"].value == b"2"


def test_what_is_no_json_is_held_without_its_value() -> None:
    tree = Tree(SCOPES)
    writer = Writer(tree)
    writer.put("service", "a", b"\xff\x00")
    assert tree.effective["a"].omitted == "not JSON"
    assert tree.omitted == 1
    writer.put("service", "a", b"1")
    assert tree.omitted == 0


def test_memory_is_bounded_and_what_it_leaves_out_is_counted() -> None:
    tree = Tree(SCOPES, most_bytes=1000)
    writer = Writer(tree)
    writer.put("service", "a", b'"%s"' % (b"x" * 600))
    writer.put("service", "b", b'"%s"' % (b"x" * 600))
    assert not tree.effective["a"].omitted
    assert "1000 bytes" in tree.effective["b"].omitted
    assert tree.omitted == 1
    writer.put("service", "a", b'"%s"' % (b"y" * 600))  # in its own place there is room
    assert not tree.effective["a"].omitted


def test_agreeing_looks_only_at_what_is_asked_for() -> None:
    tree = Tree(SCOPES)
    writer = Writer(tree)
    writer.put("service", "a/x", b"1")
    writer.put("default", "b", b"1")
    assert tree.agrees([entry("service", "a/x", b"1", 1)], "a/")
    assert tree.agrees([entry("service", "a/x", b"1", 1)], "", "service")
    assert not tree.agrees([], "a/")
    assert not tree.agrees([entry("service", "a/x", b"1", 1)])
