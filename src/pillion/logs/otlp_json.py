"""OTLP log requests in JSON, for receivers that speak no protobuf.

OTLP specification, "JSON Protobuf Encoding": lowerCamelCase names, 64-bit integers as strings, trace and span ids in
hexadecimal, enumerations as numbers.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from pillion.logs.lines import Line
from pillion.logs.losses import loss_facts
from pillion.logs.protobuf import valid_utf8

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pillion.logs.facts import Facts
    from pillion.logs.lines import Item
    from pillion.logs.recognise import Recogniser

CONTENT_TYPE = "application/json"

_DEEPEST = 8
_MOST_ATTRIBUTES = 128


class JsonRecords:
    """The `logRecords` of one ScopeLogs; `attributes` are those that all of its records have.

    `stream` is the stream's name, for what is said of its losses.
    """

    def __init__(self, attributes: Mapping[str, object], stream: str) -> None:
        self._stream = stream
        self._constant = [key_value(key, value) for key, value in attributes.items()]
        self._parts: list[bytes] = []
        self.size = 0
        self.count = 0

    def take(self) -> bytes:
        """Return the records as they stand in a ScopeLogs, and begin anew."""
        data = b",".join(self._parts)
        self._parts.clear()
        self.size = self.count = 0
        return data

    def fill(
        self, items: Sequence[Item], at: int, recogniser: Recogniser, size: int, count: int
    ) -> int:
        """Encode `items` from `at` on until there are `size` bytes or `count` records; return where it ended."""
        while at < len(items) and self.size < size and self.count < count:
            item = items[at]
            at += 1
            if isinstance(item, Line):
                facts = recogniser.recognise(item.data, item.time_ns)
                self.add(facts, item.offset, item.time_ns, item.cut)
            else:
                self.add(loss_facts(self._stream, item), item.offset, item.time_ns, False)
        return at

    def add(self, facts: Facts, offset: int, time_ns: int, cut: bool) -> None:
        """Append the record of what was recognised in the line at `offset`, which arrived at `time_ns`."""
        attributes = [*self._constant, key_value("pillion.offset", offset)]
        if cut:
            attributes.append(key_value("pillion.cut", True))
        record: dict[str, object] = {
            "observedTimeUnixNano": str(time_ns),
            "body": {"stringValue": valid_utf8(facts.body).decode()},
            "attributes": attributes,
        }
        own = facts.attributes
        if own:
            attributes += [
                key_value(key, value) for key, value in list(own.items())[:_MOST_ATTRIBUTES]
            ]
            if len(own) > _MOST_ATTRIBUTES:
                record["droppedAttributesCount"] = len(own) - _MOST_ATTRIBUTES
        if facts.time_ns:
            record["timeUnixNano"] = str(facts.time_ns)
        if facts.severity:
            record["severityNumber"] = facts.severity
        if facts.level:
            record["severityText"] = valid_utf8(facts.level[:64]).decode()
        if facts.trace:
            record["traceId"] = facts.trace.hex()
            if facts.flags:
                record["flags"] = facts.flags
            if facts.span:
                record["spanId"] = facts.span.hex()
        data = msgspec.json.encode(record)
        self._parts.append(data)
        self.size += len(data) + 1
        self.count += 1


def key_value(key: str, value: object) -> dict[str, object]:
    """Return a KeyValue as JSON has it."""
    return {"key": key, "value": _any(value, 0)}


def _any(value: object, depth: int) -> dict[str, object]:
    if isinstance(value, str):
        return {"stringValue": value}
    if value is None:
        return {}
    if isinstance(value, bool):
        return {"boolValue": value}
    if isinstance(value, int):
        if not -(1 << 63) <= value < 1 << 63:
            return {"stringValue": str(value)}
        return {"intValue": str(value)}
    if isinstance(value, float):
        return {"doubleValue": value}
    if depth < _DEEPEST and isinstance(value, list):
        return {"arrayValue": {"values": [_any(one, depth + 1) for one in value]}}
    if depth < _DEEPEST and isinstance(value, dict):
        return {
            "kvlistValue": {
                "values": [
                    {"key": str(key), "value": _any(one, depth + 1)} for key, one in value.items()
                ]
            }
        }
    return {"stringValue": str(value)}


def request(groups: Sequence[tuple[Mapping[str, object], Sequence[tuple[str, bytes]]]]) -> bytes:
    """Return an ExportLogsServiceRequest: for each resource its attributes, its scopes' names and their records."""
    return msgspec.json.encode(
        {
            "resourceLogs": [
                {
                    "resource": {
                        "attributes": [key_value(key, value) for key, value in resource.items()]
                    },
                    "scopeLogs": [
                        {
                            "scope": {"name": name},
                            "logRecords": msgspec.Raw(b"[" + records + b"]"),
                        }
                        for name, records in scopes
                    ],
                }
                for resource, scopes in groups
            ]
        }
    )
