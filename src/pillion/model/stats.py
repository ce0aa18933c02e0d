"""What a process counts about itself, in a shape that needs no table to become a metric.

A name follows Prometheus without the `pillion_` prefix: base units, `_total` for counters
(`http_requests_total`), otherwise a gauge (`loop_lag_seconds`). A value is a number, or
`{label: {label value: number}}` where one label splits it: `{"class": {"2xx": 10, "4xx": 1}}`.
"""

from __future__ import annotations

from typing import TypeAlias

Split: TypeAlias = dict[str, dict[str, float]]
Stats: TypeAlias = dict[str, float | str | Split]
