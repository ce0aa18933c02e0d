"""What a service manager above us expects, from its environment (sd_watchdog_enabled(3))."""

from __future__ import annotations

import pytest

from pillion.keeper.watch import outer_interval_s

OUTER = {"NOTIFY_SOCKET": "/run/x", "WATCHDOG_USEC": "3000000"}


@pytest.mark.parametrize(
    ("change", "interval_s"),
    [
        ({}, 3.0),
        ({"WATCHDOG_PID": "7"}, 3.0),
        ({"WATCHDOG_PID": "8"}, None),
        ({"WATCHDOG_PID": ""}, None),
        ({"NOTIFY_SOCKET": ""}, None),
        ({"WATCHDOG_USEC": "0"}, None),
        ({"WATCHDOG_USEC": "soon"}, None),
        ({"WATCHDOG_USEC": "\u0663"}, None),
        ({"WATCHDOG_USEC": "9" * 40}, None),
        ({"WATCHDOG_USEC": "1"}, 0.1),
    ],
)
def test_the_interval_is_ours_or_none(change: dict[str, str], interval_s: float | None) -> None:
    assert outer_interval_s({**OUTER, **change}, 7) == interval_s
