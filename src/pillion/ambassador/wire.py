"""What agent and ambassador say to each other over `policy.sock`: a length of four bytes (big-endian), then JSON with `op` and `v`.

Both may be of different versions during an upgrade: unknown messages and fields are ignored, missing ones have defaults. The agent says one
thing only, the whole policy; what is done to a breaker by hand is part of it, so that a worker that was away knows of it too.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias, cast

import msgspec

from pillion.ambassador.red_report import RedReport, SeriesReport
from pillion.ambassador.snapshot import MOST_BYTES, VERSION, RawSnapshot, Snapshot

if TYPE_CHECKING:
    from collections.abc import Iterator

HEADER_BYTES = 4


class WireError(ValueError):
    """What came is not this wire, or longer than it allows; the connection is of no further use."""


# From the agent to a worker.


class NewSnapshot(msgspec.Struct, tag_field="op", tag="snapshot"):
    """The policy from now on."""

    snapshot: Snapshot
    v: int = VERSION


class NewPolicy(msgspec.Struct, tag_field="op", tag="snapshot"):
    """The same as a worker takes it: what it has read before, it need not read again."""

    snapshot: RawSnapshot
    v: int = VERSION


# From a worker to the agent.


class Hello(msgspec.Struct, tag_field="op", tag="hello"):
    """The first message. `worker` is the component's name (`ambassador-2`), `revision` what it goes by, 0 for nothing yet."""

    worker: str
    pid: int
    version: str = ""
    revision: int = 0
    v: int = VERSION


class Applied(msgspec.Struct, tag_field="op", tag="applied"):
    """New requests go by `revision` from now on."""

    revision: int
    v: int = VERSION


class Refused(msgspec.Struct, tag_field="op", tag="refused"):
    """`revision` cannot be used, for `reason`; the worker goes on with what it has."""

    revision: int
    reason: str
    v: int = VERSION


class EndpointReport(msgspec.Struct, omit_defaults=True):
    """One endpoint as a worker sees it: `state` is the breaker's (closed, open, half-open), `forced` whether by hand.

    `retry_after_s` counts down while it is open. `active` are requests in flight, the others counts since the worker's start.
    """

    key: str
    state: str = "closed"
    forced: bool = False
    reason: str = ""
    retry_after_s: float = 0.0
    active: int = 0
    requests: int = 0
    failures: int = 0
    connections: int = 0


class UpstreamReport(msgspec.Struct, omit_defaults=True):
    """One upstream as a worker sees it; counts since the worker's start. `waiting` is the length of its queue now."""

    name: str
    endpoints: tuple[EndpointReport, ...] = ()
    active: int = 0
    waiting: int = 0
    requests: int = 0
    failures: int = 0
    retries: int = 0
    refused: int = 0


class Sample(msgspec.Struct, array_like=True):
    """One sample for `/metrics`, made by the agent from a report: `name` as `pillion.model.stats` has it, without `pillion_`.

    A histogram is its `_bucket`, `_sum` and `_count`.
    """

    name: str
    labels: dict[str, str]
    value: float


class Report(msgspec.Struct, tag_field="op", tag="report", omit_defaults=True):
    """How things stand in a worker: at most one a second, and none while nothing changes. `red` counts requests by route."""

    revision: int
    upstreams: tuple[UpstreamReport, ...] = ()
    red: RedReport | None = None
    v: int = VERSION


class Transition(msgspec.Struct, tag_field="op", tag="transition", omit_defaults=True):
    """The breaker of an endpoint went from state `old` to `new`, because of `reason`. `forced`: by hand."""

    upstream: str
    endpoint: str
    old: str
    new: str
    reason: str
    forced: bool = False
    v: int = VERSION


ToWorker: TypeAlias = NewSnapshot
ToAgent: TypeAlias = Hello | Applied | Refused | Report | Transition


class _Envelope(msgspec.Struct):
    op: str = ""
    v: int = VERSION


_envelope = msgspec.json.Decoder(_Envelope)
_new_policy = msgspec.json.Decoder(NewPolicy)
_to_agent: dict[str, msgspec.json.Decoder[ToAgent]] = {
    "hello": msgspec.json.Decoder(Hello),
    "applied": msgspec.json.Decoder(Applied),
    "refused": msgspec.json.Decoder(Refused),
    "report": msgspec.json.Decoder(Report),
    "transition": msgspec.json.Decoder(Transition),
}


def encode(message: ToWorker | ToAgent) -> bytes:
    """The message with its length before it. Raises `WireError` when it is longer than a message may be."""
    return _framed(msgspec.json.encode(message))


# A report may have thousands of endpoints: it is written in pieces, so that nobody waits for the whole.


def encode_part(part: EndpointReport | UpstreamReport | SeriesReport) -> bytes:
    """One piece of a report."""
    return msgspec.json.encode(part)


def written_endpoints(parts: list[bytes]) -> tuple[EndpointReport, ...]:
    """The endpoints of an upstream that were encoded before: only to be encoded again, with their upstream."""
    return cast("tuple[EndpointReport, ...]", _array(parts))


def encode_report(
    revision: int, upstreams: list[bytes], series: list[bytes], overflow: int
) -> bytes:
    """A `Report` of pieces, with its length before it. Raises `WireError` when it is longer than a message may be."""
    red = RedReport(cast("list[SeriesReport]", _array(series)), overflow)
    written = cast("tuple[UpstreamReport, ...]", _array(upstreams))
    return _framed(msgspec.json.encode(Report(revision, upstreams=written, red=red)))


def _array(parts: list[bytes]) -> msgspec.Raw:
    # msgspec writes a Raw as it stands, wherever it is.
    return msgspec.Raw(b"[" + b",".join(parts) + b"]")


def _framed(data: bytes) -> bytes:
    if len(data) > MOST_BYTES:
        raise WireError(f"cannot send {len(data)} bytes: a message has {MOST_BYTES} at most")
    return len(data).to_bytes(HEADER_BYTES, "big") + data


def to_worker(data: bytes) -> NewPolicy | None:
    """The agent's message; None for one that this version does not know. Raises `WireError` for what is none."""
    try:
        # A policy is long, and what it is stands at its beginning: it is not looked through twice.
        policy = _new_policy.decode(data)
    except (msgspec.DecodeError, RecursionError) as error:
        if _opened(data) == "snapshot":
            raise WireError(f"cannot read the agent's message: {error}") from error
        return None
    if policy.v != VERSION:
        raise WireError(f"cannot read version {policy.v} of the policy wire, only {VERSION}")
    return policy


def to_agent(data: bytes) -> ToAgent | None:
    """The worker's message; None for one that this version does not know. Raises `WireError` for what is none."""
    decoder = _to_agent.get(_opened(data))
    try:
        return None if decoder is None else decoder.decode(data)
    except (msgspec.DecodeError, RecursionError) as error:
        raise WireError(f"cannot read the worker's message: {error}") from error


def _opened(data: bytes) -> str:
    try:
        envelope = _envelope.decode(data)
    except (msgspec.DecodeError, RecursionError) as error:
        raise WireError(f"cannot read a message: {error}") from error
    if envelope.v != VERSION:
        raise WireError(f"cannot read version {envelope.v} of the policy wire, only {VERSION}")
    return envelope.op


class Frames:
    """Cuts a stream of bytes into messages; it holds one incomplete message of at most `most_bytes`."""

    def __init__(self, most_bytes: int = MOST_BYTES) -> None:
        self._most_bytes = most_bytes
        self._buffer = bytearray()

    def __len__(self) -> int:
        """How many bytes it holds."""
        return len(self._buffer)

    def feed(self, data: bytes) -> Iterator[bytes]:
        """The messages that are complete with `data`, without their lengths. Raises `WireError` for one that is too long."""
        buffer = self._buffer
        buffer += data
        at = 0
        try:
            while len(buffer) - at >= HEADER_BYTES:
                length = int.from_bytes(buffer[at : at + HEADER_BYTES], "big")
                if length > self._most_bytes:
                    raise WireError(
                        f"cannot take a message of {length} bytes: {self._most_bytes} at most"
                    )
                end = at + HEADER_BYTES + length
                if len(buffer) < end:
                    return
                message = bytes(buffer[at + HEADER_BYTES : end])
                at = end
                yield message
        finally:
            del buffer[:at]
