"""The messages between keeper and child as types (ARCHITECTURE.md, "The wire"): encode, decode, nothing else."""

from __future__ import annotations

from typing import TypeAlias

import msgspec

from pillion.model.component import Status  # noqa: TC001 - msgspec reads these
from pillion.model.event import Json  # noqa: TC001
from pillion.model.stats import Stats  # noqa: TC001

# One message of the wire, and so one datagram of the socket.
MESSAGE_BYTES = 128 * 1024
# That come with one message at most: the keeper sends listening sockets by so many.
DESCRIPTORS = 64


class Hello(msgspec.Struct, tag_field="op", tag="hello"):
    """The first message of a child."""

    role: str
    version: str
    v: int = 1


class Ready(msgspec.Struct, tag_field="op", tag="ready"):
    """Listening sockets are served, or would be if promoted."""


class Heartbeat(msgspec.Struct, tag_field="op", tag="heartbeat", omit_defaults=True):
    """The loop turns; what the process counts, left out where next to nothing has happened."""

    stats: Stats | None = None


class Occurred(msgspec.Struct, tag_field="op", tag="event"):
    """An entry for the journal."""

    kind: str
    component: str
    reason: str
    data: dict[str, Json]


class Call(msgspec.Struct, tag_field="op", tag="call"):
    """A question to the keeper."""

    id: int
    method: str
    params: object


class Retired(msgspec.Struct, tag_field="op", tag="retired"):
    """After a retire: connections passed on, connections cut by the bound."""

    handed: int
    cut: int


class Drained(msgspec.Struct, tag_field="op", tag="drained"):
    """Nobody finds the app any more; `wait_s` seconds are to pass before it is told to stop."""

    wait_s: float


Outgoing: TypeAlias = Hello | Ready | Heartbeat | Occurred | Call | Retired | Drained


class Refusal(msgspec.Struct):
    """The error of a reply."""

    status: int = 500
    title: str = "the keeper refused"
    detail: str = ""


class Reply(msgspec.Struct, tag_field="op", tag="reply"):
    """The answer to a call: a result (kept raw until its type is known) or an error."""

    id: int
    result: msgspec.Raw = msgspec.Raw(b"null")
    error: Refusal | None = None


class Promote(msgspec.Struct, tag_field="op", tag="promote"):
    """A passive child takes over."""


class Retire(msgspec.Struct, tag_field="op", tag="retire"):
    """Stop accepting, hand over, drain for at most `drain_s` seconds, say retired, exit 0."""

    drain_s: float = 10.0


class Drain(msgspec.Struct, tag_field="op", tag="drain"):
    """The app's process `pid` is about to be told to stop: see to it that nobody finds it any more, and say so."""

    pid: int


class Stop(msgspec.Struct, tag_field="op", tag="stop"):
    """Final flush within `grace_s` seconds, exit 0."""

    grace_s: float = 5.0


class Reload(msgspec.Struct, tag_field="op", tag="reload"):
    """settings.json has changed."""


class Listeners(msgspec.Struct, tag_field="op", tag="listeners"):
    """Listening sockets that are new, by name and in the order of the descriptors that come along; names that are served no more."""

    added: list[str] = []
    gone: list[str] = []


class StateChanged(msgspec.Struct, tag_field="op", tag="state"):
    """Something about the components changed."""

    state: Status


Incoming: TypeAlias = Reply | Promote | Retire | Drain | Stop | Reload | Listeners | StateChanged


class _Envelope(msgspec.Struct):
    op: str


_envelope = msgspec.json.Decoder(_Envelope)
_decoders: dict[str, msgspec.json.Decoder[Incoming]] = {
    "reply": msgspec.json.Decoder(Reply),
    "promote": msgspec.json.Decoder(Promote),
    "retire": msgspec.json.Decoder(Retire),
    "drain": msgspec.json.Decoder(Drain),
    "stop": msgspec.json.Decoder(Stop),
    "reload": msgspec.json.Decoder(Reload),
    "listeners": msgspec.json.Decoder(Listeners),
    "state": msgspec.json.Decoder(StateChanged),
}


def encode(message: Outgoing) -> bytes:
    """The message as one datagram; it may be longer than `MESSAGE_BYTES`, which the sender checks."""
    return msgspec.json.encode(message)


def decode(datagram: bytes) -> Incoming | None:
    """The message in `datagram`; None for an `op` that this version does not know.

    Raises `msgspec.DecodeError` for what is no message at all.
    """
    decoder = _decoders.get(_envelope.decode(datagram).op)
    return None if decoder is None else decoder.decode(datagram)
