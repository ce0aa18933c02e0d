"""A record as people and programs get it: one line, or one loss, with what was recognised."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from pillion.keeper.streams import REQUESTS
from pillion.logs.losses import loss_text
from pillion.logs.requests import read_request
from pillion.logs.severity import WARN, short_name
from pillion.logs.stamp import rfc3339

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pillion.logs.lines import Line, Loss
    from pillion.logs.recognise import Recogniser


class Record(msgspec.Struct, frozen=True):
    """One record. Times are nanoseconds since the epoch; `severity` is an OTLP number, 0 when unknown.

    `text` is the line as it was written, `body` its message (the same but for JSON lines); bytes that are not
    UTF-8 stand in both as `\\xNN`. `time_ns` is the arrival, `told_ns` the time that the line tells, 0 for none.
    `cut` marks a piece of a longer line. For a loss, `lost_to` is where the stream goes on and `lost` counts its bytes.
    """

    run: str
    stream: str
    offset: int
    time_ns: int
    text: str
    body: str
    severity: int = 0
    level: str = ""
    told_ns: int = 0
    trace_id: str = ""
    span_id: str = ""
    cut: bool = False
    lost: int = 0
    lost_to: int = 0
    why: str = ""
    attributes: Mapping[str, object] | None = None

    def to_json(self) -> bytes:
        """Return the record as one JSON object without a newline: the shape of `pillion logs --json` and the API."""
        shown: dict[str, object] = {
            "time": rfc3339(self.told_ns or self.time_ns),
            "arrived": rfc3339(self.time_ns),
            "run": self.run,
            "stream": self.stream,
            "offset": self.offset,
            "level": short_name(self.severity).lower() or None,
            "severity": self.severity,
            "body": self.body,
        }
        if self.text != self.body:
            shown["text"] = self.text
        if self.trace_id:
            shown["trace_id"] = self.trace_id
        if self.span_id:
            shown["span_id"] = self.span_id
        if self.cut:
            shown["cut"] = True
        if self.lost:
            shown["lost"] = {"bytes": self.lost, "to": self.lost_to, "why": self.why}
        if self.attributes:
            shown["attributes"] = self.attributes
        return msgspec.json.encode(shown)


def readable(data: bytes) -> str:
    """Return `data` as text; bytes that are not UTF-8 become `\\xNN`, so that nothing is guessed or lost."""
    return data.decode("utf-8", "backslashreplace")


def line_record(run: str, stream: str, line: Line, recogniser: Recogniser) -> Record:
    """Return the record of a line."""
    facts = recogniser.recognise(line.data, line.time_ns)
    if stream == REQUESTS:
        read_request(facts)
    text = readable(line.data)
    return Record(
        run=run,
        stream=stream,
        offset=line.offset,
        time_ns=line.time_ns,
        text=text,
        body=text if facts.body is line.data else readable(facts.body),
        severity=facts.severity,
        level=readable(facts.level),
        told_ns=facts.time_ns,
        trace_id=facts.trace.hex(),
        span_id=facts.span.hex(),
        cut=line.cut,
        attributes=facts.attributes,
    )


def loss_record(run: str, stream: str, loss: Loss) -> Record:
    """Return the record that stands in the place of a loss."""
    text = loss_text(stream, loss)
    return Record(
        run=run,
        stream=stream,
        offset=loss.offset,
        time_ns=loss.time_ns,
        text=text,
        body=text,
        severity=WARN,
        level="WARN",
        lost=loss.lost,
        lost_to=loss.end,
        why=loss.why,
    )
