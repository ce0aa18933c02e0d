"""Metrics of every process of the instance in Prometheus' text format, version 0.0.4.

Names follow Prometheus: base units, `_total` for counters, one name per meaning with the component as a
label. What components count themselves (`stats` of their heartbeats) is added under `pillion_`.
"""

from __future__ import annotations

import re
from datetime import datetime
from typing import TYPE_CHECKING

from pillion.api.measurements import add_measurements
from pillion.model.component import STATES

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from pillion.ambassador.wire import Sample
    from pillion.model.component import Component, Status
    from pillion.model.stats import Stats
    from pillion.telemetry.measurement import Measurement

# Samples of one component's own stats; a process that counts more has a mistake in its labels.
SAMPLES_PER_COMPONENT = 500
# Of the requests that a worker of the ambassador has seen: it bounds its series itself.
SAMPLES_PER_WORKER = 20_000

_NAME = re.compile(r"[a-z][a-z0-9_]{0,127}\Z")
_HISTOGRAM = re.compile(r"(.+)_(?:bucket|sum|count)\Z")
_LABEL = re.compile(r"[a-z_][a-z0-9_]{0,63}\Z")

_FIXED = {
    "pillion_instance_info": "The instance, its run and the agent's version.",
    "pillion_component_up": "Whether the component's process runs.",
    "pillion_component_ready": "Whether the component is ready.",
    "pillion_component_state": "1 for the state that the component is in.",
    "pillion_component_restarts_total": "Restarts of the component by the keeper.",
    "pillion_component_start_time_seconds": "Start of the component's process, since the epoch.",
    "pillion_component_memory_bytes": "Memory in use by the component with its children.",
    "pillion_component_memory_peak_bytes": "The most memory that was in use.",
    "pillion_component_cpu_seconds_total": "CPU time used.",
    "pillion_component_processes": "Processes of the component.",
    "pillion_component_limit_memory_bytes": "Memory limit in force.",
    "pillion_component_limit_cpu_cores": "CPU limit in force.",
    "pillion_component_limit_processes": "Limit of processes in force.",
    "pillion_component_limit_open_files": "Limit of open files per process in force.",
    "pillion_metrics_dropped_total": "Samples left out: malformed names, or too many of them.",
}


class Exposition:
    """Samples gathered by name, since the format wants all samples of a name together."""

    def __init__(self) -> None:
        self._families: dict[str, list[str]] = {}
        self._histograms: set[str] = set()
        self._help = dict(_FIXED)
        self.dropped = 0

    def add(
        self, name: str, labels: Mapping[str, str], value: float, *, histogram: str = ""
    ) -> None:
        """Add a sample; `name` is complete, label values may hold anything; `histogram` is the family that it is a part of."""
        body = ",".join(f'{key}="{_escaped(text)}"' for key, text in labels.items())
        sample = f"{name}{{{body}}} {_number(value)}" if body else f"{name} {_number(value)}"
        if histogram:
            self._histograms.add(histogram)
        self._families.setdefault(histogram or name, []).append(sample)

    def describe(self, name: str, text: str) -> None:
        """Say what the family `name` is: one line without backslashes."""
        self._help[name] = text

    def text(self) -> bytes:
        """The whole document."""
        self.add("pillion_metrics_dropped_total", {}, self.dropped)
        lines: list[str] = []
        for name, samples in self._families.items():
            if name in self._help:
                lines.append(f"# HELP {name} {self._help[name]}")
            kind = "counter" if name.endswith("_total") else "gauge"
            lines.append(f"# TYPE {name} {'histogram' if name in self._histograms else kind}")
            lines.extend(samples)
        return ("\n".join(lines) + "\n").encode()


def render(
    status: Status | None,
    own: Stats,
    version: str,
    workers: Iterable[tuple[str, Iterable[Sample]]] = (),
    measurements: Iterable[Measurement] = (),
) -> bytes:
    """The document for what the keeper told, with the agent's `own` numbers as they are this moment.

    `workers` are the ambassador's by component, each with what it has seen of requests; `measurements` are of processes and host.
    """
    page = Exposition()
    if status is not None:
        info = {"name": status.instance, "run": status.run, "version": version}
        page.add("pillion_instance_info", info, 1)
        for component in status.components:
            _component(page, component)
            mine = component.name == "agent" and own
            _stats(page, component.name, own if mine else component.stats)
    elif own:
        _stats(page, "agent", own)
    for name, samples in workers:
        _seen(page, name, samples)
    add_measurements(page, measurements)
    return page.text()


def _component(page: Exposition, one: Component) -> None:
    label = {"component": one.name}
    page.add("pillion_component_up", label, one.pid is not None)
    page.add("pillion_component_ready", label, one.ready)
    for state in STATES:
        page.add("pillion_component_state", {**label, "state": state}, one.state == state)
    page.add("pillion_component_restarts_total", label, one.restarts)
    for name, value in _measured(one):
        if value is not None:
            page.add(f"pillion_component_{name}", label, value)


def _measured(one: Component) -> Iterator[tuple[str, float | None]]:
    yield "start_time_seconds", _since_epoch(one.started) if one.pid is not None else None
    yield "memory_bytes", one.usage.memory
    yield "memory_peak_bytes", one.usage.memory_peak
    yield "cpu_seconds_total", one.usage.cpu_s
    yield "processes", one.usage.processes
    yield "limit_memory_bytes", one.limits.memory
    yield "limit_cpu_cores", one.limits.cpu
    yield "limit_processes", one.limits.processes
    yield "limit_open_files", one.limits.open_files


def _stats(page: Exposition, component: str, stats: Mapping[str, object]) -> None:
    left = SAMPLES_PER_COMPONENT
    for name, value in stats.items():
        for labels, number in _samples(value):
            if not left or not _NAME.match(name) or not all(map(_LABEL.match, labels)):
                page.dropped += 1
                continue
            left -= 1
            page.add(f"pillion_{name}", {"component": component, **labels}, number)


def _seen(page: Exposition, component: str, samples: Iterable[Sample]) -> None:
    left = SAMPLES_PER_WORKER
    for sample in samples:
        name = f"pillion_{sample.name}"
        if not left or not _NAME.match(sample.name) or not all(map(_LABEL.match, sample.labels)):
            page.dropped += 1
            continue
        left -= 1
        part = _HISTOGRAM.match(name)
        labels = {"component": component, **sample.labels}
        page.add(name, labels, sample.value, histogram=part[1] if part else "")


def _samples(value: object) -> Iterator[tuple[dict[str, str], float]]:
    if isinstance(value, int | float):
        yield {}, value
    elif isinstance(value, dict):
        for label, split in value.items():
            if isinstance(split, dict):
                yield from (
                    ({str(label): str(text)}, number)
                    for text, number in split.items()
                    if isinstance(number, int | float)
                )


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def _number(value: float) -> str:
    if isinstance(value, bool):
        return "1" if value else "0"
    return str(value) if isinstance(value, int) else repr(float(value))


def _since_epoch(time: str | None) -> float | None:
    if time is None:
        return None
    try:
        return datetime.fromisoformat(time).timestamp()
    except ValueError:
        return None
