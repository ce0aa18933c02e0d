"""The OTLP/HTTP sink: one request for each batch, and the specification's reading of every answer.

OTLP specification 1.x, "OTLP/HTTP": success is 200 even when `partial_success` rejects records, which are then not to be
sent again; 429, 502, 503 and 504 and a failed connection may be retried, any other status must not be.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, TypeAlias

import msgspec

from pillion.keeper.streams import REQUESTS
from pillion.logs import answers, otlp_json, protobuf
from pillion.logs.deflate import gzip
from pillion.logs.requests import RequestRecords
from pillion.logs.retry import RETRYABLE, retry_after_s
from pillion.logs.sinks import Again, Outcome, Refused, Sent

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pillion.logs.sinks import Groups, Records

# An answer's text in an event.
_TEXT_BYTES = 300


class Answer(msgspec.Struct, frozen=True):
    """A receiver's answer: `retry_after` and `content_type` are the headers' values, empty when there are none."""

    status: int
    body: bytes = b""
    retry_after: str = ""
    content_type: str = ""


# Posts a body with headers and returns the answer; raises OSError or TimeoutError when there is none.
Post: TypeAlias = Callable[[bytes, "Mapping[str, str]"], Awaitable[Answer]]


async def _nothing() -> None:
    return None


class OtlpSink:
    """Ships to one receiver through `post`; `timeout_s` bounds a request from its start to the whole answer."""

    name = "otlp"

    def __init__(
        self,
        post: Post,
        *,
        json: bool = False,
        gzip: bool = True,
        headers: Mapping[str, str] | None = None,
        timeout_s: float = 10.0,
        in_flight: int = 4,
        now_s: Callable[[], float] = time.time,
        close: Callable[[], Awaitable[None]] = _nothing,
    ) -> None:
        self.in_flight = in_flight
        self.json = json
        self._post = post
        self._gzip = gzip
        self._timeout_s = timeout_s
        self._now_s = now_s
        self._close = close
        self._headers = {
            **(headers or {}),
            "content-type": otlp_json.CONTENT_TYPE if json else protobuf.CONTENT_TYPE,
        }
        if gzip:
            self._headers["content-encoding"] = "gzip"

    def records(self, attributes: Mapping[str, object], stream: str) -> Records:
        """Return an empty encoder for a stream whose records all have `attributes`."""
        records = (
            otlp_json.JsonRecords(attributes, stream)
            if self.json
            else protobuf.ProtobufRecords(attributes, stream)
        )
        return RequestRecords(records) if stream == REQUESTS else records

    def request(self, groups: Groups) -> Sequence[bytes | memoryview]:
        """Return an ExportLogsServiceRequest in pieces."""
        return [otlp_json.request(groups)] if self.json else protobuf.request(groups)

    def seal(self, groups: Groups) -> bytes:
        """Return the request of a batch, compressed when asked for."""
        pieces = self.request(groups)
        return gzip(pieces) if self._gzip else b"".join(pieces)

    async def send(self, body: bytes) -> Outcome:
        """Post one batch and read the answer."""
        try:
            async with asyncio.timeout(self._timeout_s):
                answer = await self._post(body, self._headers)
        except TimeoutError:
            return Again(f"the receiver did not answer within {self._timeout_s:g} s")
        except OSError as error:
            return Again(str(error) or type(error).__name__)
        return read_answer(answer, self._now_s())

    async def close(self) -> None:
        """Close the connections."""
        await self._close()


def read_answer(answer: Answer, now_s: float) -> Outcome:
    """Return what a receiver's answer means; `now_s` is seconds since the epoch."""
    status = answer.status
    if 200 <= status < 300:
        rejected, message = _partial_success(answer)
        return Sent(rejected, message)
    text = answer.body[:_TEXT_BYTES].decode("utf-8", "backslashreplace").strip()
    if not text.isprintable():
        text = ""  # a protobuf Status: the code says enough
    why = f"the receiver answered {status}" + (f": {text}" if text else "")
    if status in RETRYABLE:
        asked = retry_after_s(answer.retry_after, now_s) if answer.retry_after else None
        return Again(why, asked)
    return Refused(why)


class _Partial(msgspec.Struct, rename="camel"):
    rejected_log_records: int | str = 0
    rejected_spans: int | str = 0
    error_message: str = ""


class _Response(msgspec.Struct, rename="camel"):
    partial_success: _Partial | None = None


def _partial_success(answer: Answer) -> tuple[int, str]:
    """How many records an answer rejects, and why; an answer that cannot be read rejects none."""
    if not answer.body:
        return 0, ""
    try:
        if "json" in answer.content_type:
            partial = msgspec.json.decode(answer.body, type=_Response).partial_success or _Partial()
            rejected = int(partial.rejected_log_records) or int(partial.rejected_spans)
            return rejected, partial.error_message
        return answers.partial_success(answer.body)
    except (msgspec.DecodeError, ValueError):
        return 0, ""
