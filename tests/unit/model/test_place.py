"""A child's place, as the keeper writes it."""

from __future__ import annotations

import json

import pytest

from pillion.errors import UsageError
from pillion.model.place import VARIABLE, read_place

GIVEN: dict[str, object] = {
    "v": 1,
    "role": "agent",
    "instance": "shop",
    "run": "r1",
    "runtime_dir": "/run/pillion/shop",
    "state_dir": "/var/lib/pillion/shop",
    "heartbeat_s": 1.0,
    "passive": False,
    "fds": {"control": 5, "api_unix": 6},
    "from_a_later_version": True,
}


def test_a_place_is_read() -> None:
    place = read_place({VARIABLE: json.dumps(GIVEN)})
    assert place.runtime("api.sock") == "/run/pillion/shop/api.sock"
    assert place.spool_dir == "/var/lib/pillion/shop/spool"
    assert place.fds["api_unix"] == 6
    # A keeper before there were workers names no component.
    assert (place.component, place.worker) == ("agent", 1)


def test_a_workers_place_is_read() -> None:
    worker = {**GIVEN, "role": "ambassador", "component": "ambassador-2", "worker": 2}
    place = read_place({VARIABLE: json.dumps(worker)})
    assert (place.role, place.component, place.worker) == ("ambassador", "ambassador-2", 2)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"v": 2}, "upgrade the keeper"),
        ({"fds": {}}, "no control descriptor"),
        ({"role": 7}, "cannot read PILLION_CHILD"),
    ],
)
def test_what_is_no_place(change: dict[str, object], says: str) -> None:
    with pytest.raises(UsageError) as error:
        read_place({VARIABLE: json.dumps({**GIVEN, **change})})
    assert says in str(error.value)


def test_started_by_hand() -> None:
    with pytest.raises(UsageError, match="is started by the keeper"):
        read_place({})
