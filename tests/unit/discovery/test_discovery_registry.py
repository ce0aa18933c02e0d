"""The merge: what readers see of announcements and registrations, and the revisions that they resume from."""

from __future__ import annotations

import msgspec

from pillion.discovery import registry as module
from pillion.discovery.instance import ServiceInstance
from pillion.discovery.registry import MOST_CHANGES, Change, Registry

FIRST = 1000


def announced(instance: str, service: str = "orders", **more: object) -> ServiceInstance:
    one = ServiceInstance(
        id=instance, service=service, address="127.0.0.1", port=3000, instance=instance, run="r1"
    )
    return msgspec.structs.replace(one, **more)


def by_hand(key: str, service: str = "orders", **more: object) -> ServiceInstance:
    one = ServiceInstance(id=key, service=service, address="10.0.0.1", port=4000)
    return msgspec.structs.replace(one, **more)


def ids(registry: Registry, service: str = "orders") -> list[str]:
    return sorted(one.id for one in registry.instances(service))


def test_an_announcement_comes_and_goes() -> None:
    registry = Registry(FIRST)
    registry.announce("a", announced("a"), 0.0)
    assert (ids(registry), registry.revision, len(registry)) == (["a"], FIRST + 1, 1)
    registry.announce("a", None, 1.0)
    assert (ids(registry), registry.revision, len(registry)) == ([], FIRST + 2, 0)
    assert list(registry.names) == []


def test_what_does_not_change_is_no_change() -> None:
    registry = Registry(FIRST)
    for _ in range(3):
        registry.announce("a", announced("a"), 0.0)
        registry.register(by_hand("b"), 0.0)
        registry.announce("nobody", None, 0.0)
        registry.unregister("orders", "nobody", 0.0, certain=True)
    assert registry.revision == FIRST + 2


def test_a_change_says_what_was_and_what_is() -> None:
    registry = Registry(FIRST)
    seen: list[Change] = []
    registry.on_change(seen.append)
    one, two = announced("a"), announced("a", status="warning")
    registry.announce("a", one, 0.0)
    registry.announce("a", two, 0.0)
    registry.announce("a", None, 0.0)
    assert [(c.old, c.new) for c in seen] == [(None, one), (one, two), (two, None)]
    assert [c.revision for c in seen] == [FIRST + 1, FIRST + 2, FIRST + 3]
    assert registry.changes_after(FIRST) == seen
    assert registry.changes_after(FIRST + 2) == seen[2:]
    assert registry.changes_after(FIRST + 3) == []


def test_another_service_under_the_same_instance() -> None:
    registry = Registry(FIRST)
    registry.announce("a", announced("a"), 0.0)
    registry.announce("a", announced("a", service="shop"), 0.0)
    assert (ids(registry), ids(registry, "shop")) == ([], ["a"])
    assert registry.changed("orders") == FIRST + 1 + 1
    assert registry.changed("shop") == registry.revision


def test_an_announcement_hides_a_registration_of_its_id() -> None:
    registry = Registry(FIRST)
    registry.register(by_hand("a"), 0.0)
    registry.announce("a", announced("a"), 0.0)
    assert [one.address for one in registry.instances("orders")] == ["127.0.0.1"]
    registry.announce("a", None, 0.0)
    assert [one.address for one in registry.instances("orders")] == ["10.0.0.1"]
    registry.unregister("orders", "a", 0.0, certain=True)
    assert ids(registry) == []


def test_most_lost_leases_are_kept_and_marked() -> None:
    registry = Registry(FIRST)
    for key in "abcd":
        registry.register(by_hand(key), 0.0)
    for at, key in enumerate("abc"):
        registry.unregister("orders", key, float(at), certain=False)
    assert ids(registry) == ["a", "b", "c", "d"]
    assert sorted(one.id for one in registry.instances("orders") if one.stale) == ["a", "b", "c"]
    assert registry.is_stale("orders")
    # One comes back, one is certainly gone, and the last is dropped when its time is over.
    registry.register(by_hand("a"), 10.0)
    registry.unregister("orders", "b", 11.0, certain=True)
    assert ids(registry) == ["a", "c", "d"]
    due_s = registry.next_s
    assert due_s is not None
    registry.tick(due_s)
    assert ids(registry) == ["a", "d"]
    assert not registry.is_stale("orders")
    assert registry.next_s is None


def test_what_a_lock_has_freed_is_not_kept() -> None:
    registry = Registry(FIRST)
    for key in "abcd":
        registry.announce(key, announced(key), 0.0)
    for key in "abcd":
        registry.announce(key, None, 0.0)
    assert ids(registry) == []
    assert not registry.is_stale("orders")


def test_announced_ones_count_among_the_living() -> None:
    registry = Registry(FIRST)
    for key in "xyz":
        registry.announce(key, announced(key), 0.0)
    for key in "ab":
        registry.register(by_hand(key), 0.0)
    for key in "ab":
        registry.unregister("orders", key, 0.0, certain=False)
    assert ids(registry) == ["x", "y", "z"]


def test_ten_thousand_lost_at_once() -> None:
    registry = Registry(FIRST)
    for n in range(module.MOST_INSTANCES):
        registry.register(by_hand(f"i{n}"), 0.0)
    for n in range(module.MOST_INSTANCES):
        registry.unregister("orders", f"i{n}", 1.0, certain=False)
    assert len(registry) >= module.MOST_INSTANCES // 2
    assert registry.is_stale("orders")


def test_its_size_is_bounded_and_what_is_left_out_is_counted() -> None:
    registry = Registry(FIRST)
    for n in range(module.MOST_INSTANCES + 5):
        registry.announce(f"i{n}", announced(f"i{n}"), 0.0)
    assert (len(registry), registry.refused) == (module.MOST_INSTANCES, 5)
    assert not registry.has_room(by_hand("more"))
    registry.announce("i0", announced("i0", status="warning"), 0.0)
    assert registry.refused == 5
    registry.announce("i0", None, 0.0)
    registry.register(by_hand("more"), 0.0)
    assert len(registry) == module.MOST_INSTANCES


def test_changes_of_long_ago_are_forgotten() -> None:
    registry = Registry(FIRST)
    for n in range(MOST_CHANGES + 10):
        registry.announce("a", announced("a", weight=n % 60_000), 0.0)
    assert not registry.knows(FIRST)
    assert not registry.knows(registry.revision - MOST_CHANGES - 1)
    oldest = registry.revision - MOST_CHANGES
    assert registry.knows(oldest)
    assert len(registry.changes_after(oldest)) == MOST_CHANGES


def test_a_foreign_revision_is_none_of_ours() -> None:
    registry = Registry(FIRST)
    registry.announce("a", announced("a"), 0.0)
    for revision in (0, FIRST - 1, FIRST + 2, 1 << 60, -1):
        assert not registry.is_ours(revision)
        assert not registry.knows(revision)
    for revision in (FIRST, FIRST + 1):
        assert registry.is_ours(revision)
        assert registry.knows(revision)


def test_names_that_are_forgotten_count_as_changed() -> None:
    registry = Registry(FIRST)
    registry.announce("a", announced("a", service="first"), 0.0)
    before = registry.changed("first")
    for n in range(module.MOST_NAMES):
        registry.announce("b", announced("b", service=f"s{n}"), 0.0)
    # A reader of long ago is rather told too much than nothing.
    assert registry.changed("first") >= before
