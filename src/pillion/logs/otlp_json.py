"""OTLP log requests in JSON, for receivers that speak no protobuf.

OTLP specification, "JSON Protobuf Encoding": lowerCamelCase names, 64-bit integers as strings, trace and span ids in
hexadecimal, enumerations as numbers.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from pillion.logs.json_records import JsonPieces
from pillion.logs.protobuf import valid_utf8

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pillion.logs.facts import Facts
    from pillion.logs.sinks import Groups

CONTENT_TYPE = "application/json"

_DEEPEST = 8
_MOST_ATTRIBUTES = 128


class JsonRecords(JsonPieces):
    """The `logRecords` of one ScopeLogs; `attributes` are those that all of its records have."""

    SEPARATOR = b","

    def __init__(self, attributes: Mapping[str, object], stream: str) -> None:
        super().__init__(stream)
        self._constant = [key_value(key, value) for key, value in attributes.items()]

    def encode(self, facts: Facts, offset: int, time_ns: int, *, cut: bool) -> bytes:
        """Return a LogRecord (OTLP, logs.proto)."""
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
        return msgspec.json.encode(record)


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


def request(
    groups: Groups,
    names: tuple[str, str, str] = ("resourceLogs", "scopeLogs", "logRecords"),
) -> bytes:
    """Return an export request: for each resource its attributes, its scopes' names and their records.

    `names` are those of the lists, by default an ExportLogsServiceRequest's.
    """
    of_resources, of_scopes, of_records = names
    return msgspec.json.encode(
        {
            of_resources: [
                {
                    "resource": {
                        "attributes": [key_value(key, value) for key, value in resource.items()]
                    },
                    of_scopes: [
                        {
                            "scope": {"name": name},
                            of_records: msgspec.Raw(b"[" + records + b"]"),
                        }
                        for name, records in scopes
                    ],
                }
                for resource, scopes in groups
            ]
        }
    )
