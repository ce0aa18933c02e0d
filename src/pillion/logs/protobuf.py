# ruff: noqa: ERA001 # the next line is for Cython
# cython: annotation_typing=False
"""OTLP log requests in protobuf, written field by field: the runtime's objects would cost ten times the record.

opentelemetry/proto/collector/logs/v1/logs_service.proto and logs/v1/logs.proto, version 1; a property test decodes
what this writes with the official classes. Fields are tagged by number and wire type; the tags are spelled out below.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

from pillion.logs.lines import Line, Loss
from pillion.logs.losses import loss_facts

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pillion.logs.facts import Facts
    from pillion.logs.lines import Item
    from pillion.logs.recognise import Recogniser

CONTENT_TYPE = "application/x-protobuf"

_DEEPEST = 8
_MOST_ATTRIBUTES = 128

_DOUBLE = struct.Struct("<Bd").pack
_FIXED32 = struct.Struct("<BI").pack


class ProtobufRecords:
    """The `log_records` of one ScopeLogs; `attributes` are those that all of its records have.

    `stream` is the stream's name, for what is said of its losses.
    """

    def __init__(self, attributes: Mapping[str, object], stream: str) -> None:
        self._stream = stream
        self._constant = b"".join(
            _field(0x32, key_value(key, value)) for key, value in attributes.items()
        )
        self._data = bytearray()
        # The attributes of one record, whose size has to be known before it is written.
        self._own = bytearray()
        self.count = 0

    @property
    def size(self) -> int:
        """How many bytes the records take."""
        return len(self._data)

    def take(self) -> bytes:
        """Return the records as they stand in a ScopeLogs, and begin anew."""
        data = bytes(self._data)
        self._data.clear()
        self.count = 0
        return data

    def fill(
        self, items: Sequence[Item], at: int, recogniser: Recogniser, size: int, count: int
    ) -> int:
        """Encode `items` from `at` on until there are `size` bytes or `count` records; return where it ended."""
        end = len(items)
        while at < end and len(self._data) < size and self.count < count:
            item = items[at]
            at += 1
            if isinstance(item, Line):
                line = item
                facts = recogniser.recognise(line.data, line.time_ns)
                self.add(facts, line.offset, line.time_ns, line.cut)
            elif isinstance(item, Loss):
                self.add(loss_facts(self._stream, item), item.offset, item.time_ns, False)
        return at

    def add(self, facts: Facts, offset: int, time_ns: int, cut: bool) -> None:
        """Append the record of what was recognised in the line at `offset`, which arrived at `time_ns`."""
        body = facts.body if facts.body.isascii() else valid_utf8(facts.body)
        size = len(body)
        value_size = 1 + varint_size(size) + size
        record_size = self._record_size(facts, offset, cut, value_size)
        attributes = facts.attributes
        own = self._own
        if attributes:
            own.clear()
            _put_attributes(own, attributes)
            record_size += len(own)
        data = self._data
        data.append(0x12)
        put_varint(data, record_size)
        if facts.time_ns:
            data.append(0x09)
            put_fixed64(data, facts.time_ns)
        data.append(0x59)
        put_fixed64(data, time_ns)
        if facts.severity:
            data.append(0x10)
            data.append(facts.severity)
        level = facts.level
        if level:
            data.append(0x1A)
            put_varint(data, len(level))
            data += level
        data.append(0x2A)
        put_varint(data, value_size)
        data.append(0x0A)
        put_varint(data, size)
        data += body
        data += self._constant
        # pillion.offset: KeyValue{key, AnyValue{int_value}}
        length = varint_size(offset)
        data += b"\x32"
        data.append(19 + length)
        data += b"\x0a\x0epillion.offset\x12"
        data.append(1 + length)
        data.append(0x18)
        put_varint(data, offset)
        if cut:
            data += _CUT
        if attributes:
            data += own
        if facts.trace:
            if facts.flags:
                data += _FIXED32(0x45, facts.flags)
            data += b"\x4a\x10"
            data += facts.trace
            if facts.span:
                data += b"\x52\x08"
                data += facts.span
        self.count += 1

    def _record_size(self, facts: Facts, offset: int, cut: bool, value_size: int) -> int:
        """The record's size but for the attributes of its own."""
        size = 18 if facts.time_ns else 9
        if facts.severity:
            size += 2
        level = facts.level
        if level:
            if not level.isascii() or len(level) > 64:
                facts.level = level = valid_utf8(level[:64])
            size += 1 + varint_size(len(level)) + len(level)
        size += 1 + varint_size(value_size) + value_size
        size += len(self._constant)
        size += 21 + varint_size(offset)
        if cut:
            size += len(_CUT)
        if facts.trace:
            size += 18
            if facts.flags:
                size += 5
            if facts.span:
                size += 10
        return size


def varint_size(value: int) -> int:
    """Return how many bytes the varint of a non-negative `value` takes."""
    size = 1
    while value > 127:
        value >>= 7
        size += 1
    return size


def put_varint(data: bytearray, value: int) -> None:
    """Append a non-negative `value` below 2**63 as a varint."""
    while value > 127:
        data.append(value & 127 | 128)
        value >>= 7
    data.append(value)


def put_fixed64(data: bytearray, value: int) -> None:
    """Append a non-negative `value` as eight bytes, little-endian."""
    for _ in range(8):
        data.append(value & 255)
        value >>= 8


def valid_utf8(data: bytes) -> bytes:
    """Return `data` as valid UTF-8: what is not becomes `\\xNN`, so that nothing is guessed or lost."""
    try:
        data.decode("utf-8")
    except UnicodeDecodeError:
        return data.decode("utf-8", "backslashreplace").encode()
    return data


def _field(tag: int, data: bytes) -> bytes:
    out = bytearray()
    out.append(tag)
    put_varint(out, len(data))
    out += data
    return bytes(out)


def _text(value: str) -> bytes:
    try:
        return value.encode()
    except UnicodeEncodeError:  # half of a surrogate pair
        return value.encode("utf-8", "backslashreplace")


def key_value(key: str, value: object) -> bytes:
    """Return a KeyValue message."""
    return _field(0x0A, _text(key)) + _field(0x12, _any(value, 0))


def _any(value: object, depth: int) -> bytes:
    """An AnyValue message; None is an AnyValue without a value."""
    if isinstance(value, str):
        return _field(0x0A, _text(value))
    if value is None:
        return b""
    if isinstance(value, bool):
        return b"\x10\x01" if value else b"\x10\x00"
    if isinstance(value, int):
        if not -(1 << 63) <= value < 1 << 63:
            return _field(0x0A, str(value).encode())
        out = bytearray(b"\x18")
        if value >= 0:
            put_varint(out, value)
        else:
            # Ten bytes of two's complement: nine groups of seven bits and the sign.
            for _ in range(9):
                out.append(value & 127 | 128)
                value >>= 7
            out.append(1)
        return bytes(out)
    if isinstance(value, float):
        return bytes(_DOUBLE(0x21, value))
    if isinstance(value, bytes):
        return _field(0x3A, value)
    if depth < _DEEPEST and isinstance(value, list):
        return _field(0x2A, b"".join([_field(0x0A, _any(one, depth + 1)) for one in value]))
    if depth < _DEEPEST and isinstance(value, dict):
        return _field(
            0x32,
            b"".join(
                [
                    _field(0x0A, _field(0x0A, _text(str(key))) + _field(0x12, _any(one, depth + 1)))
                    for key, one in value.items()
                ]
            ),
        )
    return _field(0x0A, _text(str(value)))


def _put_attributes(out: bytearray, attributes: Mapping[str, object]) -> None:
    """Append the attributes of one record, and how many of them were left out."""
    count = 0
    for key, value in attributes.items():
        if count == _MOST_ATTRIBUTES:
            out.append(0x38)
            put_varint(out, len(attributes) - count)
            return
        count += 1  # noqa: SIM113 # compiled, this is a C number
        name = _text(key)
        name_size = len(name)
        # Text is what most values are; it is written without a bytes object for each of the messages around it.
        text = _text(value) if isinstance(value, str) else _any(value, 0)
        size = len(text)
        value_size = 1 + varint_size(size) + size if isinstance(value, str) else size
        out.append(0x32)
        put_varint(
            out, 2 + varint_size(name_size) + name_size + varint_size(value_size) + value_size
        )
        out.append(0x0A)
        put_varint(out, name_size)
        out += name
        out.append(0x12)
        put_varint(out, value_size)
        if isinstance(value, str):
            out.append(0x0A)
            put_varint(out, size)
        out += text


def request(groups: Sequence[tuple[Mapping[str, object], Sequence[tuple[str, bytes]]]]) -> bytes:
    """Return an ExportLogsServiceRequest: for each resource its attributes, its scopes' names and their records."""
    out = []
    for resource, scopes in groups:
        parts = [
            _field(
                0x0A,
                b"".join([_field(0x0A, key_value(key, value)) for key, value in resource.items()]),
            )
        ]
        parts += [
            _field(0x12, _field(0x0A, _field(0x0A, _text(name))) + records)
            for name, records in scopes
        ]
        out.append(_field(0x0A, b"".join(parts)))
    return b"".join(out)


_CUT = _field(0x32, key_value("pillion.cut", True))
