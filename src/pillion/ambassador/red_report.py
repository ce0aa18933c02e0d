"""The metrics of a worker on their way to the agent: compact, because a worker writes them while requests wait.

`red_samples` makes samples of them when somebody asks the agent for `/metrics`, which costs a worker nothing.
"""

from __future__ import annotations

import msgspec

BOUNDS_S = (
    0.0005,
    0.001,
    0.0025,
    0.005,
    0.01,
    0.025,
    0.05,
    0.1,
    0.25,
    0.5,
    1.0,
    2.5,
    5.0,
    10.0,
    30.0,
)
"""Upper bounds of the histograms' buckets in seconds; one more bucket holds what is above."""

CLASSES = ("none", "1xx", "2xx", "3xx", "4xx", "5xx", "tcp")
"""What a request ended in: "none" without any answer, "tcp" a connection of raw TCP that ended well."""

OTHER = "other"
"""The route and upstream of what is beyond the bound of series, and the reason beyond the bound of reasons."""


class SeriesReport(msgspec.Struct, array_like=True):
    """Requests of one direction, route and upstream since the worker's start.

    `classes` are counts in the order of CLASSES, `total` and `first` those of the buckets (not cumulated), with their sums
    in seconds beside them.
    """

    direction: str
    route: str
    upstream: str
    classes: list[int]
    total: list[int]
    total_s: float
    first: list[int]
    first_s: float
    bytes_in: int
    bytes_out: int
    retries: int
    reasons: dict[str, int]


class RedReport(msgspec.Struct, array_like=True):
    """Every series, and how many requests were counted under OTHER because there were too many.

    What a worker counts once for all of them is in its heartbeats.
    """

    series: list[SeriesReport]
    overflow: int = 0
