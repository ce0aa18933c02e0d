"""Messages of the policy wire: framed whatever the pieces, bounded, and of this version."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pillion.ambassador.red_report import RedReport
from pillion.ambassador.snapshot import Snapshot, decode
from pillion.ambassador.wire import (
    Applied,
    EndpointReport,
    Frames,
    Hello,
    NewSnapshot,
    Refused,
    Report,
    ToAgent,
    Transition,
    UpstreamReport,
    WireError,
    encode,
    to_agent,
    to_worker,
)

TO_AGENT: list[ToAgent] = [
    Hello("ambassador-2", 4711, "0.1.0", 12),
    Applied(13),
    Refused(14, "it cannot be"),
    Report(
        13,
        (UpstreamReport("orders", (EndpointReport("10.0.0.1:80", "open", retry_after_s=3.0),)),),
        RedReport([], 4),
    ),
    Report(0),
    Transition("orders", "10.0.0.1:80", "closed", "open", "5 failures in a row"),
]


@pytest.mark.parametrize("message", TO_AGENT, ids=lambda m: type(m).__name__)
def test_what_a_worker_says_arrives_as_it_was(message: ToAgent) -> None:
    (data,) = Frames().feed(encode(message))
    assert to_agent(data) == message


def test_a_snapshot_arrives_as_it_was() -> None:
    message = NewSnapshot(Snapshot(revision=3, ambassador={"workers": 1}))
    (data,) = Frames().feed(encode(message))
    policy = to_worker(data)
    assert policy is not None
    assert policy.snapshot.revision == 3
    assert decode(msgspec.json.encode(policy.snapshot)) == message.snapshot


@given(st.lists(st.integers(1, 40), max_size=60))
def test_messages_are_the_same_however_they_are_cut(cuts: list[int]) -> None:
    stream = b"".join(map(encode, TO_AGENT))
    frames, found = Frames(), []
    for cut in cuts:
        found += list(frames.feed(stream[:cut]))
        stream = stream[cut:]
    found += list(frames.feed(stream))
    assert [to_agent(one) for one in found] == TO_AGENT
    assert len(frames) == 0


def test_one_that_is_too_long_is_refused_by_its_length_alone() -> None:
    frames = Frames(1000)
    with pytest.raises(WireError, match="cannot take a message of 1001 bytes"):
        list(frames.feed((1001).to_bytes(4, "big")))
    assert len(frames) <= 4


def test_one_that_is_too_long_is_not_sent() -> None:
    with pytest.raises(WireError, match="cannot send"):
        encode(Refused(1, "x" * (16 << 20)))


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"null",
        b'{"op": "applied", "v": 2, "revision": 1}',
        b'{"op": "applied", "v": 1}',
        b"\xff\xfe",
    ],
)
def test_what_is_no_message_is_told_apart(data: bytes) -> None:
    with pytest.raises(WireError):
        to_agent(data)


def test_a_message_of_a_later_version_is_passed_over() -> None:
    assert to_agent(b'{"op": "sing", "v": 1, "song": "x"}') is None
    assert to_worker(b'{"op": "sing", "v": 1}') is None
