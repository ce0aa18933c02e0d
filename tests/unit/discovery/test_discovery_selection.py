"""Filters and order: those that can take work, the own zone first."""

from __future__ import annotations

import pytest

from pillion.discovery.instance import ServiceInstance
from pillion.discovery.selection import EVERYTHING, Selection, statuses_of


def one(key: str, status: str = "passing", zone: str = "", *tags: str) -> ServiceInstance:
    return ServiceInstance(
        id=key,
        service="orders",
        address="10.0.0.1",
        status=status,  # type: ignore[arg-type]
        zone=zone,
        tags=tags,
    )


ALL = [
    one("c", "passing", "east", "v1"),
    one("b", "warning", "west", "v1", "canary"),
    one("a", "critical", "west", "v1"),
    one("d", "passing", "west", "v2"),
]


def ids(selection: Selection, zone: str = "") -> str:
    return "".join(found.id for found in selection.select(ALL, zone))


def test_the_usable_ones_by_status_then_name() -> None:
    assert ids(Selection()) == "cdb"


def test_the_own_zone_first() -> None:
    assert ids(Selection(), "west") == "dbc"
    assert ids(Selection(statuses=EVERYTHING), "west") == "dbac"


def test_filters() -> None:
    assert ids(Selection(frozenset({"v1"}))) == "cb"
    assert ids(Selection(frozenset({"v1", "canary"}))) == "b"
    assert ids(Selection(zone="west")) == "db"
    assert ids(Selection(zone="")) == ""
    assert ids(Selection(statuses=frozenset({"critical"}))) == "a"


def test_statuses() -> None:
    assert statuses_of(None) == {"passing", "warning"}
    assert statuses_of("any") == EVERYTHING
    assert statuses_of("warning,critical") == {"warning", "critical"}
    for bad in ("", "well", "passing,", "any,passing", "PASSING"):
        with pytest.raises(ValueError, match="write"):
            statuses_of(bad)
