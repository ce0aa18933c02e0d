"""Spans over OTLP/HTTP: the encoders of the stream `spans`, in protobuf and in JSON, and their sink.

opentelemetry/proto/collector/trace/v1/trace_service.proto and trace/v1/trace.proto, version 1. The messages around
the spans have the same numbers as those around log records, so that one function writes both requests.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

import msgspec

from pillion.keeper.streams import SPANS
from pillion.logs import otlp_json, protobuf
from pillion.logs.lines import Line
from pillion.logs.otlp import OtlpSink
from pillion.logs.spans import STATUS_ERROR, read_span

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pillion.logs.lines import Item
    from pillion.logs.recognise import Recogniser
    from pillion.logs.sinks import Groups, Records
    from pillion.logs.spans import Span

_NAMES = ("resourceSpans", "scopeSpans", "spans")

_FIXED64 = struct.Struct("<BQ").pack
# Field 16, fixed32: a tag of two bytes.
_FLAGS = struct.Struct("<HI").pack
_FLAGS_TAG = 0x0185


class TraceSink(OtlpSink):
    """Ships spans to one receiver; `unreadable` counts lines of the stream that are no span."""

    name = "traces"

    unreadable = 0

    def records(self, attributes: Mapping[str, object], stream: str) -> Records:
        """Return an empty encoder for the stream of spans, which all have `attributes`."""
        assert stream == SPANS, stream
        return JsonSpans(self, attributes) if self.json else ProtobufSpans(self, attributes)

    def request(self, groups: Groups) -> Sequence[bytes | memoryview]:
        """Return an ExportTraceServiceRequest in pieces."""
        return [otlp_json.request(groups, _NAMES)] if self.json else protobuf.request(groups)


class _Spans:
    """What both encodings share: lines are read, and what is no span is counted and passed over.

    Losses of the stream are counted where all streams' are; in a trace there is no place for them.
    """

    SEPARATOR = b""

    def __init__(self, sink: TraceSink, attributes: Mapping[str, object]) -> None:
        self._sink = sink
        self._constant = dict(attributes)
        self._parts: list[bytes] = []
        self.size = 0
        self.count = 0

    def take(self) -> bytes:
        """Return what was encoded, and begin anew."""
        data = self.SEPARATOR.join(self._parts)
        self._parts.clear()
        self.size = self.count = 0
        return data

    def fill(
        self, items: Sequence[Item], at: int, recogniser: Recogniser, size: int, count: int
    ) -> int:
        """Encode `items` from `at` on until there are `size` bytes or `count` spans; return where it ended."""
        del recogniser  # nothing has to be guessed
        while at < len(items) and self.size < size and self.count < count:
            item = items[at]
            at += 1
            if not isinstance(item, Line):
                continue
            span = None if item.cut else read_span(item.data)
            if span is None:
                self._sink.unreadable += 1
                continue
            attributes = {**self._constant, "pillion.offset": item.offset, **span.attributes}
            data = self.encode(span, attributes)
            self._parts.append(data)
            self.size += len(data) + len(self.SEPARATOR)
            self.count += 1
        return at

    def encode(self, span: Span, attributes: Mapping[str, object]) -> bytes:
        """Return a Span message with `attributes`."""
        raise NotImplementedError


class ProtobufSpans(_Spans):
    """The `spans` of one ScopeSpans."""

    def encode(self, span: Span, attributes: Mapping[str, object]) -> bytes:
        """Return a Span as a field of ScopeSpans."""
        parts = [b"\x0a\x10", span.trace, b"\x12\x08", span.span]
        if span.parent:
            parts += [b"\x22\x08", span.parent]
        parts += [
            _sized(0x2A, span.name.encode()),
            bytes((0x30, span.kind)),
            _FIXED64(0x39, span.start_ns),
            _FIXED64(0x41, span.end_ns),
        ]
        parts += [_sized(0x4A, protobuf.key_value(key, one)) for key, one in attributes.items()]
        if span.failed:
            message = _sized(0x12, span.message.encode()) if span.message else b""
            parts.append(_sized(0x7A, message + bytes((0x18, STATUS_ERROR))))
        parts.append(_FLAGS(_FLAGS_TAG, span.flags))
        return _sized(0x12, b"".join(parts))


class JsonSpans(_Spans):
    """The `spans` of one ScopeSpans as pieces of JSON."""

    SEPARATOR = b","

    def encode(self, span: Span, attributes: Mapping[str, object]) -> bytes:
        """Return a Span as JSON has it."""
        shown: dict[str, object] = {
            "traceId": span.trace.hex(),
            "spanId": span.span.hex(),
            "name": span.name,
            "kind": span.kind,
            "startTimeUnixNano": str(span.start_ns),
            "endTimeUnixNano": str(span.end_ns),
            "attributes": [otlp_json.key_value(key, one) for key, one in attributes.items()],
            "flags": span.flags,
        }
        if span.parent:
            shown["parentSpanId"] = span.parent.hex()
        if span.failed:
            shown["status"] = {"code": STATUS_ERROR}
            if span.message:
                shown["status"] = {"code": STATUS_ERROR, "message": span.message}
        return msgspec.json.encode(shown)


def _sized(tag: int, data: bytes) -> bytes:
    size = len(data)
    length = bytearray()
    while size > 127:
        length.append(size & 127 | 128)
        size >>= 7
    length.append(size)
    return bytes((tag,)) + bytes(length) + data
