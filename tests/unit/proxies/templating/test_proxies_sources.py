"""Who is told of which change, and what becomes of a source that has nothing to give."""

from __future__ import annotations

import asyncio

import pytest

from pillion.proxies.templating.references import Reference
from pillion.proxies.templating.sources import SourceError, Sources, concerned

PRICE = Reference("config", "shop/price")
SHOP = Reference("tree", "shop/")
ORDERS = Reference("service", "orders")
HEALTH = Reference("health")


class Given:
    """A source that gives what the test says."""

    def __init__(self, values: dict[str, object], stale_s: int | None = None) -> None:
        self._values = values
        self._stale_s = stale_s
        self.watched: list[frozenset[str]] = []

    async def fetch(self, name: str) -> object:
        if name not in self._values:
            raise SourceError(f"cannot read {name}")
        return self._values[name]

    def stale_s(self) -> int | None:
        return self._stale_s

    def watch(self, names: frozenset[str]) -> None:
        self.watched.append(names)


@pytest.mark.parametrize(
    ("kind", "names", "expected"),
    [
        ("config", {"shop/price"}, {PRICE, SHOP}),
        ("config", {"shop/name"}, {SHOP}),
        ("config", {"other"}, set()),
        ("config", set(), {PRICE, SHOP}),
        ("service", {"orders"}, {ORDERS}),
        ("service", {"prices"}, set()),
        ("health", set(), {HEALTH}),
    ],
)
def test_who_is_concerned(kind: str, names: set[str], expected: set[Reference]) -> None:
    found = {
        one
        for one in (PRICE, SHOP, ORDERS, HEALTH)
        if concerned({one}, kind, frozenset(names))  # type: ignore[arg-type]
    }
    assert found == expected


def test_only_those_who_use_it_are_told() -> None:
    sources = Sources()
    told: list[str] = []
    sources.use("edge", frozenset({PRICE}), lambda: told.append("edge"))
    sources.use("inner", frozenset({ORDERS}), lambda: told.append("inner"))
    sources.changed("config", frozenset({"shop/price"}))
    assert told == ["edge"]
    sources.changed("service", frozenset({"orders", "prices"}))
    assert told == ["edge", "inner"]
    sources.forget("edge")
    sources.changed("config", frozenset())
    assert told == ["edge", "inner"]


def test_a_source_that_is_to_watch_is_told_what_all_use() -> None:
    sources = Sources()
    files = Given({})
    sources.add("file", files, files)
    one, two = Reference("file", "/one"), Reference("file", "/two")
    sources.use("edge", frozenset({one}), lambda: None)
    sources.use("inner", frozenset({one, two, PRICE}), lambda: None)
    sources.use("inner", frozenset({one, two, PRICE}), lambda: None)
    sources.forget("inner")
    assert files.watched == [frozenset({"/one"}), frozenset({"/one", "/two"}), frozenset({"/one"})]


def test_values_come_from_the_source_of_their_kind() -> None:
    sources = Sources()
    sources.add("config", Given({"shop/price": 3}))
    assert asyncio.run(sources.fetch([PRICE])) == {PRICE: 3}
    with pytest.raises(SourceError, match="no such source"):
        asyncio.run(sources.fetch([ORDERS]))
    with pytest.raises(SourceError, match="cannot read"):
        asyncio.run(sources.fetch([Reference("config", "nothing")]))


def test_the_oldest_of_what_is_used_counts() -> None:
    sources = Sources()
    sources.add("config", Given({}, 12))
    sources.add("service", Given({}, 40))
    sources.add("health", Given({}))
    assert sources.stale_s({PRICE, ORDERS}) == 40
    assert sources.stale_s({PRICE, HEALTH}) == 12
    assert sources.stale_s({HEALTH}) is None
