"""Whatever happens in whatever order: readers see what a simple model says, and one that is cut off anywhere misses nothing."""

from __future__ import annotations

import msgspec
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from pillion.discovery.feed import PUT, services_after, steps_after
from pillion.discovery.instance import ServiceInstance
from pillion.discovery.leases import Leases
from pillion.discovery.registry import Registry
from pillion.discovery.selection import EVERYTHING, Selection

SERVICES = ("orders", "shop")
KEYS = tuple("abcd")
FIRST = 10
WINDOW_S, KEEP_S = 10.0, 50.0

services = st.sampled_from(SERVICES)
keys = st.sampled_from(KEYS)
statuses = st.sampled_from(("passing", "warning", "critical"))
tags = st.sampled_from(((), ("v1",), ("v1", "v2")))
selections = st.builds(
    Selection,
    st.sampled_from((frozenset[str](), frozenset({"v1"}), frozenset({"v2"}))),
    st.none(),
    st.sampled_from((EVERYTHING, frozenset({"passing", "warning"}))),
)


class Reader:
    """A client of one service: it takes in a few events of what it is sent, is cut off, and resumes."""

    def __init__(self, service: str, selection: Selection) -> None:
        self.service = service
        self.selection = selection
        self.seen: dict[str, ServiceInstance] = {}
        self.at: int | None = None

    def read(self, registry: Registry, most: int | None) -> None:
        """Take in at most `most` events; everything when it is None."""
        steps = None
        if self.at is not None:
            steps = steps_after(registry, self.at, self.service, self.selection)
        if steps is None:
            # A snapshot without its end has no id: the client begins anew.
            if most is None:
                present = self.selection.select(registry.instances(self.service))
                self.seen = {one.id: one for one in present}
                self.at = registry.revision
            return
        for step in steps if most is None else steps[:most]:
            if step.kind == PUT:
                self.seen[step.instance.id] = step.instance
            else:
                del self.seen[step.instance.id]
            self.at = step.revision


class Machine(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.registry = Registry(FIRST, Leases(window_s=WINDOW_S, keep_s=KEEP_S))
        self.announced: dict[str, ServiceInstance] = {}
        self.registered: dict[tuple[str, str], ServiceInstance] = {}
        self.ever: set[tuple[str, str]] = set()
        self.readers: list[Reader] = []
        self.summaries: dict[str, int] = {}
        self.summaries_at = FIRST
        self.revision = FIRST
        self.now_s = 0.0

    @rule(key=keys, service=services, status=statuses, tag=tags)
    def announce(self, key: str, service: str, status: str, tag: tuple[str, ...]) -> None:
        one = ServiceInstance(
            id=key,
            service=service,
            address="127.0.0.1",
            status=status,  # type: ignore[arg-type]
            tags=tag,
            instance=key,
            run="r",
        )
        self.announced[key] = one
        self.registry.announce(key, one, self.now_s)

    @rule(key=keys)
    def withdraw(self, key: str) -> None:
        self.announced.pop(key, None)
        self.registry.announce(key, None, self.now_s)

    @rule(key=keys, service=services, status=statuses, tag=tags)
    def register(self, key: str, service: str, status: str, tag: tuple[str, ...]) -> None:
        one = ServiceInstance(
            id=key,
            service=service,
            address="10.0.0.1",
            status=status,  # type: ignore[arg-type]
            tags=tag,
        )
        self.registered[service, key] = one
        self.registry.register(one, self.now_s)

    @rule(key=keys, service=services, certain=st.booleans())
    def unregister(self, key: str, service: str, certain: bool) -> None:
        if self.registered.pop((service, key), None) is not None and not certain:
            self.ever.add((service, key))
        if certain:
            self.ever.discard((service, key))
        self.registry.unregister(service, key, self.now_s, certain=certain)

    @rule(seconds=st.sampled_from((1.0, 5.0, WINDOW_S, KEEP_S)))
    def pass_time(self, seconds: float) -> None:
        self.now_s += seconds
        due_s = self.registry.next_s
        if due_s is not None and due_s <= self.now_s:
            self.registry.tick(self.now_s)
            assert self.registry.next_s is None or self.registry.next_s > self.now_s

    @rule(service=services, selection=selections)
    def begin_to_read(self, service: str, selection: Selection) -> None:
        if len(self.readers) < 4:
            self.readers.append(Reader(service, selection))

    @rule(data=st.data(), most=st.one_of(st.none(), st.integers(0, 3)))
    def read(self, data: st.DataObject, most: int | None) -> None:
        if self.readers:
            data.draw(st.sampled_from(self.readers)).read(self.registry, most)

    @rule(most=st.integers(0, 3))
    def read_summaries(self, most: int) -> None:
        changed = services_after(self.registry, self.summaries_at)
        assert changed is not None
        assert [at for _, at in changed] == sorted(at for _, at in changed)
        for name, revision in changed[:most]:
            self.summaries[name] = len(list(self.registry.instances(name)))
            self.summaries_at = revision
        if len(changed) <= most:
            for name in SERVICES:
                assert self.summaries.get(name, 0) == len(list(self.registry.instances(name)))

    @invariant()
    def what_is_there_is_what_the_model_says(self) -> None:
        count = 0
        for service in SERVICES:
            found = {one.id: one for one in self.registry.instances(service)}
            count += len(found)
            for key in KEYS:
                wanted = self.announced.get(key)
                if wanted is None or wanted.service != service:
                    wanted = self.registered.get((service, key))
                if wanted is not None:
                    assert found[key] == wanted
                elif key in found:
                    # Only what was lost by a lease may still be shown, and only marked.
                    assert found[key].stale
                    assert (service, key) in self.ever
            stale = any(one.stale for one in found.values())
            assert self.registry.is_stale(service) == stale
        assert len(self.registry) == count
        assert set(self.registry.names) == {s for s in SERVICES if list(self.registry.instances(s))}

    @invariant()
    def revisions_only_grow(self) -> None:
        assert self.registry.revision >= self.revision
        self.revision = self.registry.revision
        for service in SERVICES:
            assert FIRST <= self.registry.changed(service) <= self.revision

    def teardown(self) -> None:
        for reader in self.readers:
            reader.read(self.registry, None)
            present = reader.selection.select(self.registry.instances(reader.service))
            assert reader.seen == {one.id: one for one in present}
        for change in self.registry.changes_after(FIRST):
            assert change.old != change.new
            assert change.old is None or msgspec.json.encode(change.old)


TestRegistry = Machine.TestCase
