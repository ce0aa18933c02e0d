"""Faults made on purpose: which requests are delayed, and which are answered instead of being sent, so that an app can be
tried against a slow or failing upstream without breaking one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from random import Random

    from pillion.http.codec import Headers
    from pillion.settings.policies import Fault

NONE = (0.0, 0)


def decide(fault: Fault, headers: Headers, random: Random) -> tuple[float, int]:
    """The seconds to wait (0.0: none) and then the status to answer with (0: the request is sent).

    Both are drawn independently, each for its share of the requests. A fault with a `header` is for
    the requests that have it, whatever its value, and no other.
    """
    if fault.header is not None and fault.header.lower().encode("ascii") not in headers:
        return NONE
    delay_s = fault.delay_s if fault.delay_s and random.random() < fault.delay_share else 0.0
    abort = fault.abort or 0
    if abort and random.random() >= fault.abort_share:
        abort = 0
    return delay_s, abort
