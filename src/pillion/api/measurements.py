"""Measurements with OpenTelemetry's names as Prometheus has them.

OpenTelemetry, "Prometheus and OpenMetrics compatibility": dots become underscores, the unit is written out at the end,
counters end with `_total`.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pillion.api.metrics import Exposition
    from pillion.telemetry.measurement import Instrument, Measurement

_UNITS = {"By": "_bytes", "s": "_seconds"}
_OTHER = re.compile(r"[^a-zA-Z0-9_]+")
# As everywhere else on the page.
_LABELS = {"pillion.component": "component"}


def prometheus_name(instrument: Instrument) -> str:
    """The name of the family: `process.cpu.time` in seconds becomes `process_cpu_time_seconds_total`."""
    name = _OTHER.sub("_", instrument.name)
    unit = _UNITS.get(instrument.unit, "")
    if instrument.unit == "1" and not instrument.counts:
        unit = "_ratio"
    if not name.endswith(unit):
        name += unit
    return f"{name}_total" if instrument.counts else name


def add_measurements(page: Exposition, measurements: Iterable[Measurement]) -> None:
    """Add all of them to the page."""
    for one in measurements:
        name = prometheus_name(one.instrument)
        page.describe(name, one.instrument.description)
        labels = {
            _LABELS.get(key) or _OTHER.sub("_", key): text for key, text in one.attributes.items()
        }
        page.add(name, labels, one.value)
